//! Functions from each version of something to the next.

use std::collections::BTreeMap;
use std::fmt;

/// Migrations by name, each from one version to the next. `M` is whatever the language calls.
///
/// ```
/// use slipring_codec::evolution::Versions;
///
/// let mut versions: Versions<fn(i64) -> i64> = Versions::new();
/// versions.register("price", 1, |euros| euros * 100);
/// versions.register("price", 2, |cents| -cents);
/// let steps = versions.chain("price", 1, 3)?;
/// assert_eq!(steps.into_iter().fold(5, |value, (_, migrate)| migrate(value)), -500);
///
/// let missing = versions.chain("price", 2, 4).unwrap_err();
/// assert_eq!(missing.to_string(), "register a migration of \"price\" from version 3 to 4");
/// # Ok::<(), slipring_codec::evolution::MigrationMissing>(())
/// ```
#[derive(Debug, Clone)]
pub struct Versions<M> {
    by_name: BTreeMap<String, BTreeMap<u64, M>>,
}

impl<M> Default for Versions<M> {
    fn default() -> Self {
        Self { by_name: BTreeMap::new() }
    }
}

impl<M> Versions<M> {
    /// None yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in the migration of `name` from version `from` to the next. Gives back the former one.
    pub fn register(&mut self, name: &str, from: u64, migration: M) -> Option<M> {
        self.by_name.entry(name.to_owned()).or_default().insert(from, migration)
    }

    /// The migration of `name` from version `from` to the next.
    pub fn get(&self, name: &str, from: u64) -> Option<&M> {
        self.by_name.get(name)?.get(&from)
    }

    /// The migrations from one version to a later one, in order, each with the version it starts from. Empty where there
    /// is nothing to migrate.
    ///
    /// # Errors
    ///
    /// [`MigrationMissing`], of the first step that nobody has registered. Nothing backwards is ever there.
    pub fn chain(
        &self,
        name: &str,
        from: u64,
        to: u64,
    ) -> Result<Vec<(u64, &M)>, MigrationMissing> {
        let missing = |from: u64, to: u64| MigrationMissing { name: name.to_owned(), from, to };
        if from > to {
            return Err(missing(from, to));
        }
        // Counts what is there, and not what a sender claims: versions may lie any way apart.
        let known = self.by_name.get(name);
        let mut steps = Vec::new();
        for (expected, (&start, migration)) in
            (from..to).zip(known.into_iter().flat_map(|known| known.range(from..to)))
        {
            if start != expected {
                return Err(missing(expected, expected + 1));
            }
            steps.push((start, migration));
        }
        match from + steps.len() as u64 {
            reached if reached < to => Err(missing(reached, reached + 1)),
            _ => Ok(steps),
        }
    }
}

/// A step of versions for which no migration is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MigrationMissing {
    /// Of what.
    pub name: String,
    /// The version that there is.
    pub from: u64,
    /// The one that the step should give.
    pub to: u64,
}

impl fmt::Display for MigrationMissing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, from, to } = self;
        if from < to {
            return write!(f, "register a migration of {name:?} from version {from} to {to}");
        }
        write!(
            f,
            "upgrade this side, which knows {name:?} up to version {to}, or have version {to} sent"
        )
    }
}

impl std::error::Error for MigrationMissing {}
