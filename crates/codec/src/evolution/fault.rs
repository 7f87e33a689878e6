//! Why a table of one schema can't be read as another.

use std::fmt;

use arrow_schema::{DataType, SchemaRef};

use super::{MigrationMissing, Version, compatible};

/// Faults that a message tells in full; of more it tells how many.
const TOLD: usize = 8;

/// A schema that can't be read as another: everything that stands in the way.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Incompatible {
    /// Of the schema.
    pub name: String,
    /// The version that was written, or is older.
    pub written: u32,
    /// The version that is expected, or is newer.
    pub wanted: u32,
    /// In the order of the columns that are expected. At least one.
    pub faults: Vec<Fault>,
    /// What was held against what.
    pub between: Between,
}

/// What was held against what, which decides who can mend it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Between {
    /// A version that was written, or is older, and one that is expected, or is newer.
    Versions,
    /// A table that is sent, and the version that was announced.
    Sent,
    /// A schema that is announced, and what was announced as the same version before.
    Announced,
    /// A schema and its own defaults.
    Defaults,
    /// What the reader's migration from this version to the next one gave, and what is expected.
    Migrated {
        /// The version that it was given.
        from: u32,
    },
}

impl Incompatible {
    /// The same, found between these.
    pub fn between(self, between: Between) -> Self {
        Incompatible { between, ..self }
    }

    /// The first step, from one version to the next, that the rules do not allow, as far as `announced` knows both; all of it, if none is
    /// found. A migration of that step is needed.
    pub fn broken(&self, announced: impl Fn(u32) -> Option<SchemaRef>) -> (u32, u32) {
        let Incompatible { name, written, wanted, .. } = self;
        let is_broken = |step: &u32| {
            let (Some(old), Some(new)) = (announced(*step), announced(step + 1)) else {
                return false;
            };
            compatible(&Version::new(name, *step, &old), &Version::new(name, step + 1, &new))
                .is_err()
        };
        let whole = (*written, *wanted);
        (*written..*wanted).find(is_broken).map_or(whole, |step| (step, step + 1))
    }

    /// The migration that would help; backwards, what is to be done instead.
    pub fn needed(&self) -> MigrationMissing {
        let (from, to) = (self.written.into(), self.wanted.into());
        MigrationMissing { name: self.name.clone(), from, to }
    }
}

impl fmt::Display for Incompatible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, written, wanted, faults, between } = self;
        match between {
            Between::Versions => {
                write!(f, "{name:?} of version {written} can't be read as version {wanted}: ")?;
            }
            Between::Sent => {
                write!(
                    f,
                    "the table does not fit what was announced as {name:?}, version {wanted}: "
                )?;
            }
            Between::Announced => {
                write!(f, "the schema is not what was announced as {name:?}, version {wanted}: ")?;
            }
            Between::Defaults => write!(f, "{name:?} of version {wanted} has wrong defaults: ")?,
            Between::Migrated { from } => {
                let to = from + 1;
                write!(
                    f,
                    "what the migration of {name:?} from version {from} to {to} gave can't be read as version {wanted}: "
                )?;
            }
        }
        for (number, fault) in faults.iter().take(TOLD).enumerate() {
            let between = if number == 0 { "" } else { "; " };
            write!(f, "{between}{fault}")?;
        }
        if let Some(more) = faults.len().checked_sub(TOLD).filter(|&more| more > 0) {
            write!(f, "; and {more} more")?;
        }
        match between {
            Between::Versions => write!(f, "; {}", self.needed()),
            Between::Sent => {
                write!(f, "; send what was announced, or announce it as version {}", wanted + 1)
            }
            Between::Defaults => {
                write!(f, "; give a number, true, false, a text or a date, as the type has it")
            }
            Between::Announced => write!(f, "; announce it as version {}", wanted + 1),
            Between::Migrated { from } if from + 1 == *wanted => {
                write!(f, "; correct the migration from version {from} to {wanted}")
            }
            Between::Migrated { .. } => write!(f, "; correct it, or {}", self.needed()),
        }
    }
}

impl std::error::Error for Incompatible {}

/// What stands in the way in one column.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Fault {
    /// Which column: `temp`, `position.x` within a struct, `tags[]` within a list, `limits{}` within a map.
    pub path: String,
    /// The type that was written, if the column was.
    pub was: Option<DataType>,
    /// The type that is expected, if the column is.
    pub wants: Option<DataType>,
    /// What is wrong.
    pub reason: Reason,
}

/// What is wrong with a column.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reason {
    /// It was not written, may not be null, and has no default.
    Missing,
    /// It is of a type that can't be widened to the one that is expected.
    Type,
    /// It may have nulls, which are not expected.
    Nullable,
    /// Several columns of that name are there, or the one that is was taken for another.
    #[non_exhaustive]
    Ambiguous {
        /// The name or alias.
        name: String,
    },
    /// Its default is none of its type.
    #[non_exhaustive]
    Default {
        /// As the metadata has it.
        value: String,
    },
    /// It is not in the schema that was announced.
    Unknown,
}

impl Reason {
    /// The reason in a word, the same in all languages.
    pub const fn name(&self) -> &'static str {
        match self {
            Reason::Missing => "missing",
            Reason::Type => "type",
            Reason::Nullable => "nullable",
            Reason::Ambiguous { .. } => "ambiguous",
            Reason::Default { .. } => "default",
            Reason::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        let shown = |data_type: &Option<DataType>| {
            data_type.as_ref().map_or("nothing".to_owned(), ToString::to_string)
        };
        let (was, wants) = (shown(&self.was), shown(&self.wants));
        match &self.reason {
            Reason::Missing => {
                write!(
                    f,
                    "column {path} ({wants}) is not there, may not be null and has no default"
                )
            }
            Reason::Type => {
                write!(
                    f,
                    "column {path} is {was}, and {wants} is expected, which can't hold it exactly"
                )
            }
            Reason::Nullable => {
                write!(f, "column {path} ({was}) may have nulls, and none are expected")
            }
            Reason::Ambiguous { name } => {
                write!(
                    f,
                    "column {path} ({wants}) may be more than one: {name:?} is there or meant twice"
                )
            }
            Reason::Default { value } if self.was.is_some() => {
                write!(f, "the default {value:?} of column {path} is no {wants}")
            }
            Reason::Default { value } => {
                write!(f, "column {path} is not there, and its default {value:?} is no {wants}")
            }
            Reason::Unknown => write!(f, "column {path} ({was}) was not announced"),
        }
    }
}
