//! Schemas that change while programs of different ages share a ring. `docs/evolution.md` has the rules.
//!
//! | | |
//! |---|---|
//! | [`compatible`] | whether a new version of a schema may follow an old one; all that is wrong with it, if not |
//! | [`resolve`] | how a table of one schema is read as another: a [`Projection`] |
//! | [`Projection::apply`] | does so, without a copy of what stays as it was |
//! | [`fit`] | a table as the schema under which it is sent |
//! | [`Versions`] | functions from each version to the next, and chains of them |
//!
//! ```
//! use arrow_schema::{DataType, Field, Schema};
//! use slipring_codec::evolution::{ALIASES, Version, compatible};
//!
//! let old = Schema::new(vec![Field::new("temp", DataType::Float32, false)]);
//! let renamed = Field::new("temperature", DataType::Float64, false)
//!     .with_metadata([(ALIASES.to_owned(), "temp".to_owned())]);
//! let new = Schema::new(vec![renamed, Field::new("station", DataType::Utf8, false)]);
//! let refused = compatible(&Version::new("reading", 1, &old), &Version::new("reading", 2, &new)).unwrap_err();
//! assert_eq!(
//!     refused.to_string(),
//!     "\"reading\" of version 1 can't be read as version 2: column station (Utf8) is not there, may not be null and has no \
//!      default; register a migration of \"reading\" from version 1 to 2"
//! );
//! ```

mod versions;

#[cfg(feature = "arrow")]
mod apply;
#[cfg(feature = "arrow")]
mod constant;
#[cfg(feature = "arrow")]
mod fault;
#[cfg(feature = "arrow")]
mod fit;
#[cfg(feature = "arrow")]
mod made;
#[cfg(feature = "arrow")]
mod nulls;
#[cfg(feature = "arrow")]
mod packed;
#[cfg(feature = "arrow")]
mod resolve;
#[cfg(feature = "arrow")]
mod slice;
#[cfg(feature = "arrow")]
mod widen;

pub use versions::{MigrationMissing, Versions};

#[cfg(feature = "arrow")]
pub use apply::{ApplyError, ApplyErrorKind};
#[cfg(feature = "arrow")]
pub use constant::{Constant, default_of};
#[cfg(feature = "arrow")]
pub use fault::{Between, Fault, Incompatible, Reason};
#[cfg(feature = "arrow")]
pub use fit::{Unfit, fit, laid_out, tightened};
#[cfg(feature = "arrow")]
pub use made::{Made, Projected, fair};
#[cfg(feature = "arrow")]
pub use nulls::{has_nulls, null_rows};
#[cfg(feature = "arrow")]
pub use resolve::{Projection, Version, arrange, compatible, defaults, resolve};
#[cfg(feature = "arrow")]
pub use slice::slice;

/// Key of a field's metadata: former names, separated by commas.
pub const ALIASES: &str = "slipring.aliases";
/// Key of a field's metadata: what stands for the column where it was not written.
pub const DEFAULT: &str = "slipring.default";
