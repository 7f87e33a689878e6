//! The formats: what each says in its head, and which buffers follow.

pub mod json;
pub mod ndarray;
pub mod pickle;
pub mod raw;
pub mod value;
