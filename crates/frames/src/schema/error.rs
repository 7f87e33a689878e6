//! What keeps a table from a schema, the same in all languages.

use arrow_schema::SchemaRef;
use slipring_codec::evolution::{Between, Fault, Incompatible};
use std::error::Error as StdError;
use std::fmt;

/// Why a schema was not announced, or a table not sent under one or read as one.
#[derive(Debug)]
#[non_exhaustive]
pub struct SchemaError {
    /// Of the schema.
    pub name: String,
    /// The version that was written or sent, or is older.
    pub written: u32,
    /// The version that is expected or was announced, or is newer.
    pub wanted: u32,
    /// What is wrong.
    pub kind: SchemaErrorKind,
}

/// What is wrong.
#[derive(Debug)]
#[non_exhaustive]
pub enum SchemaErrorKind {
    /// By the rules one schema can't be had of the other.
    #[non_exhaustive]
    Incompatible {
        /// All that stands in the way.
        found: Incompatible,
        /// The migration that would help, from one version to another.
        migration: Option<(u32, u32)>,
    },
    /// The same, of a version that is announced and the one next to it: a producer may break the rules, and say so.
    #[non_exhaustive]
    Breaking {
        /// All that stands in the way.
        found: Incompatible,
    },
    /// The version was announced before, with another order, nullability or metadata of its columns.
    Rearranged,
    /// There are nulls where none were announced.
    #[non_exhaustive]
    Nulls {
        /// In this column.
        column: String,
        /// So many.
        count: usize,
        /// The first of them.
        row: usize,
    },
    /// The version is older than the oldest that is read.
    #[non_exhaustive]
    TooOld {
        /// The oldest that is.
        oldest: u16,
    },
    /// A migration has refused its table.
    #[non_exhaustive]
    Migration {
        /// The migration's own word.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl SchemaError {
    pub(crate) fn new(name: &str, (written, wanted): (u32, u32), kind: SchemaErrorKind) -> Self {
        SchemaError { name: name.to_owned(), written, wanted, kind }
    }

    /// A table of a version that is older than the oldest that is read.
    pub fn too_old(name: &str, versions: (u32, u32), oldest: u16) -> Self {
        Self::new(name, versions, SchemaErrorKind::TooOld { oldest })
    }

    /// What a migration from this version to the next one has said.
    pub fn migrating(
        name: &str,
        from: u16,
        source: impl Into<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let kind = SchemaErrorKind::Migration { source: source.into() };
        Self::new(name, (from.into(), u32::from(from) + 1), kind)
    }

    /// What is incompatible, and the migration that would help, if one would.
    pub fn needing(found: Incompatible, migration: Option<(u32, u32)>) -> Self {
        let (name, written, wanted) = (found.name.clone(), found.written, found.wanted);
        let kind = SchemaErrorKind::Incompatible { found, migration };
        SchemaError { name, written, wanted, kind }
    }

    /// What is incompatible, with the first step between announced versions that the rules don't allow.
    pub fn refusing(found: Incompatible, announced: impl Fn(u16) -> Option<SchemaRef>) -> Self {
        let is_older = found.written < found.wanted;
        let announced = |version| announced(u16::try_from(version).ok()?);
        let migration = is_older.then(|| found.broken(announced));
        Self::needing(found, migration)
    }

    /// What stands in the way, column by column, where that is what is wrong.
    pub fn faults(&self) -> &[Fault] {
        match &self.kind {
            SchemaErrorKind::Incompatible { found, .. } | SchemaErrorKind::Breaking { found } => {
                &found.faults
            }
            _ => &[],
        }
    }

    /// The first column that something is wrong with, as [`Fault::path`] names it.
    pub fn column(&self) -> Option<&str> {
        match &self.kind {
            SchemaErrorKind::Nulls { column, .. } => Some(column),
            _ => self.faults().first().map(|fault| &*fault.path),
        }
    }

    /// The migration that is needed or has failed, from one version to another.
    pub fn migration(&self) -> Option<(u32, u32)> {
        match &self.kind {
            SchemaErrorKind::Incompatible { found, migration } => match found.between {
                Between::Migrated { from } => Some((from, from + 1)),
                _ => *migration,
            },
            SchemaErrorKind::Breaking { .. } | SchemaErrorKind::Migration { .. } => {
                Some((self.written, self.wanted))
            }
            _ => None,
        }
    }
}

impl From<Incompatible> for SchemaError {
    fn from(found: Incompatible) -> Self {
        let name = found.name.clone();
        let versions = (found.written, found.wanted);
        SchemaError::new(&name, versions, SchemaErrorKind::Incompatible { found, migration: None })
    }
}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SchemaError { name, written, wanted, kind } = self;
        match kind {
            SchemaErrorKind::Incompatible { found, migration: Some((from, to)) } => {
                let told = found.to_string();
                // Its last clause is what to do: here it is known better.
                let told = told.rsplit_once("; ").map_or(&*told, |(told, _)| told);
                write!(f, "{told}; register a migration of {name:?} from version {from} to {to}")
            }
            SchemaErrorKind::Incompatible { found, migration: None } => found.fmt(f),
            SchemaErrorKind::Breaking { found } => {
                write!(f, "{found}, and announce it with announce_breaking()")
            }
            SchemaErrorKind::Rearranged => write!(
                f,
                "{name:?} was announced as version {wanted} with another order, nullability or \
                 metadata of its columns; announce this as version {}",
                wanted + 1
            ),
            SchemaErrorKind::Nulls { column, count, row } => write!(
                f,
                "{name:?} was announced as version {wanted} with no nulls in column {column}, and \
                 there are {count}, the first in row {row}; announce it as nullable, as version {}",
                wanted + 1
            ),
            SchemaErrorKind::TooOld { oldest } => write!(
                f,
                "{name:?} of version {written} came, and {oldest} is the oldest that is read here; \
                 expect it with oldest({written}), or have a newer version sent"
            ),
            SchemaErrorKind::Migration { source } => write!(
                f,
                "the migration of {name:?} from version {written} to {wanted} failed: {source}; \
                 correct it"
            ),
        }
    }
}

impl StdError for SchemaError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.kind {
            SchemaErrorKind::Incompatible { found, .. } | SchemaErrorKind::Breaking { found } => {
                Some(found)
            }
            SchemaErrorKind::Migration { source } => Some(&**source),
            _ => None,
        }
    }
}
