//! The formats: what each says in its head, and which buffers follow.

#[cfg(feature = "arrow")]
pub mod arrow;
pub mod json;
pub mod ndarray;
pub mod pickle;
pub mod raw;
pub mod value;
