//! Types of one's own in values: a name, a version, and fields.
//!
//! On the wire such an object is tag [`OBJECT`](crate::tag::OBJECT) over `[name, version, fields]`. The other side, in
//! whatever language, makes its own type of it if it has registered the name, else it gets name, version and
//! fields as they are.

use std::fmt;

use crate::evolution::{MigrationMissing, Versions};
use crate::tag;
use crate::value::Value;

/// Makes the fields of a version of those of the one before, or says what is wrong with them.
pub type Migration = fn(Value) -> Result<Value, String>;

/// A type that travels by name.
///
/// ```
/// use slipring_codec::extension::Extension;
/// use slipring_codec::Value;
///
/// struct Point { x: f64, y: f64 }
///
/// impl Extension for Point {
///     const NAME: &'static str = "acme.Point";
///     const VERSION: u64 = 2;
///
///     fn to_fields(&self) -> Value {
///         Value::Map(vec![("x".into(), self.x.into()), ("y".into(), self.y.into())])
///     }
///
///     fn from_fields(version: u64, fields: &Value) -> Result<Self, String> {
///         let number = |name| match fields.get(name) {
///             Some(Value::Float(x)) => Ok(*x),
///             other => Err(format!("{name} is {other:?}, not a float")),
///         };
///         // Version 1 had no y.
///         Ok(Point { x: number("x")?, y: if version < 2 { 0.0 } else { number("y")? } })
///     }
/// }
///
/// let value = Value::object(&Point { x: 1.0, y: 2.0 });
/// assert_eq!(value.to_object::<Point>()?.y, 2.0);
/// # Ok::<(), slipring_codec::extension::ExtensionError>(())
/// ```
pub trait Extension: Sized {
    /// By which every language knows it.
    const NAME: &'static str;
    /// Of the fields as [`to_fields`](Self::to_fields) makes them.
    const VERSION: u64;

    /// Functions from the fields of a version, which stands before each, to those of the next. Where there are any, what is
    /// older than [`VERSION`](Self::VERSION) goes through all of them from its own on, and one that is missing is an error.
    const MIGRATIONS: &'static [(u64, Migration)] = &[];

    /// The object's fields, usually a map of texts.
    fn to_fields(&self) -> Value;

    /// The object of these fields, which a sender of this version has made; of [`VERSION`](Self::VERSION), if they were
    /// migrated.
    ///
    /// # Errors
    ///
    /// Says what is wrong with them.
    fn from_fields(version: u64, fields: &Value) -> Result<Self, String>;
}

/// A value that is not an object of the type that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExtensionError {
    /// It is no object.
    NotAnObject,
    /// It is an object of another name.
    #[non_exhaustive]
    OtherName {
        /// Its name.
        found: String,
        /// The name that was asked for.
        expected: &'static str,
    },
    /// A step from its version to the type's is missing.
    Migration(MigrationMissing),
    /// Its fields are not what the type needs, or what a migration does.
    #[non_exhaustive]
    Fields {
        /// The name.
        name: &'static str,
        /// The version of the sender.
        version: u64,
        /// What is wrong.
        reason: String,
    },
}

impl fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAnObject => f.write_str("the value is no object with a name"),
            Self::OtherName { found, expected } => {
                write!(f, "the value is an object {found:?}, not {expected:?}")
            }
            Self::Migration(missing) => {
                let MigrationMissing { name, from, .. } = missing;
                write!(f, "an object {name:?} of version {from} can't be read; {missing}")
            }
            Self::Fields { name, version, reason } => {
                write!(f, "the fields of {name:?}, version {version}, can't be used: {reason}")
            }
        }
    }
}

impl std::error::Error for ExtensionError {}

impl Value {
    /// An object as its name, version and fields.
    pub fn object<T: Extension>(object: &T) -> Value {
        let parts = vec![T::NAME.into(), T::VERSION.into(), object.to_fields()];
        Value::Tag(tag::OBJECT, Box::new(Value::Array(parts)))
    }

    /// The name, version and fields of an object, if this is one.
    pub fn as_object(&self) -> Option<(&str, u64, &Value)> {
        let Value::Tag(tag::OBJECT, inner) = self else { return None };
        let Value::Array(parts) = &**inner else { return None };
        let [Value::Text(name), Value::Int(version), fields] = &parts[..] else { return None };
        Some((name, u64::try_from(*version).ok()?, fields))
    }

    /// The object that this is.
    ///
    /// # Errors
    ///
    /// [`ExtensionError`], if it is another one or none.
    pub fn to_object<T: Extension>(&self) -> Result<T, ExtensionError> {
        let (name, version, fields) = self.as_object().ok_or(ExtensionError::NotAnObject)?;
        if name != T::NAME {
            let found = name.to_owned();
            return Err(ExtensionError::OtherName { found, expected: T::NAME });
        }
        let wrong = |version, reason| ExtensionError::Fields { name: T::NAME, version, reason };
        if version >= T::VERSION || T::MIGRATIONS.is_empty() {
            return T::from_fields(version, fields).map_err(|reason| wrong(version, reason));
        }
        let mut versions = Versions::new();
        for (from, migrate) in T::MIGRATIONS {
            versions.register(T::NAME, *from, *migrate);
        }
        let steps = versions.chain(T::NAME, version, T::VERSION);
        let mut fields = fields.clone();
        for (from, migrate) in steps.map_err(ExtensionError::Migration)? {
            fields = migrate(fields).map_err(|reason| wrong(from, reason))?;
        }
        T::from_fields(T::VERSION, &fields).map_err(|reason| wrong(T::VERSION, reason))
    }
}
