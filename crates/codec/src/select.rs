//! Which format an object goes in.
//!
//! A binding says what an object is ([`Nature`]) and which formats refused it; the rules here say in
//! which format it goes, why, and which others could have held it. Where a single format holds all that an object
//! is and reads it in place, that one is taken; what is left goes as a value; a pickle comes last, since
//! whoever reads it must trust the sender.

use crate::frame::Format;

/// What an object is, to a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Nature {
    /// Bytes: a binary, or any object with a buffer of bytes.
    Bytes,
    /// An array of elements of one dtype.
    Array,
    /// A table: a data frame, or what shows itself as Arrow.
    Table,
    /// Records with the same keys and types, as many as are worth a table.
    Records,
    /// What the types of values are made of, or what is registered.
    Value,
    /// Text that is JSON already.
    Json,
    /// Any other object.
    Opaque,
}

/// A format, and whether it was taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The format.
    pub format: Format,
    /// Whether it holds all of the object.
    pub fits: bool,
    /// Why it was taken, or was not.
    pub reason: String,
}

/// The formats for an object, the one that is taken first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// At least one; the first one fits, unless none does.
    pub candidates: Vec<Candidate>,
}

impl Selection {
    /// The format that is taken, if any holds the object.
    pub fn format(&self) -> Option<Format> {
        self.candidates.first().filter(|first| first.fits).map(|first| first.format)
    }
}

/// How faithful and how trusted a format is to an object of this nature, the best first. Costs decide only among those
/// of one rank: a format that is cheaper and gives something else back, or asks for trust, is none the better.
fn rank(nature: Nature, format: Format) -> u8 {
    match (nature, format) {
        // The same object, read in place by all that NumPy and others have for it.
        (Nature::Bytes, Format::Raw) | (Nature::Array, Format::Ndarray) => 0,
        (Nature::Json, Format::Json) => 0,
        (Nature::Table | Nature::Records, Format::Arrow) => 0,
        // The same object.
        (_, Format::Value) => 1,
        // The same, for those who trust the sender.
        (_, Format::Pickle) => 2,
        // Less than it was: tuples and dates are none any more. Only who asks for it gets it.
        (_, Format::Json) => 3,
        _ => 4,
    }
}

/// As [`select`], with what each format costs: of those that are as faithful and as trusted as each other the cheapest one
/// is taken.
///
/// ```
/// use slipring_codec::Format;
/// use slipring_codec::select::{Nature, select_by_cost};
///
/// // Whatever it costs: a pickle needs trust, and JSON keeps less.
/// let cost = |format| if format == Format::Value { 9_000 } else { 1 };
/// assert_eq!(select_by_cost(Nature::Value, &[], true, cost).format(), Some(Format::Value));
/// ```
pub fn select_by_cost(
    nature: Nature,
    refused: &[(Format, String)],
    pickles: bool,
    cost: impl Fn(Format) -> u64,
) -> Selection {
    let mut selection = select(nature, refused, pickles);
    sort(&mut selection.candidates, |format| rank(nature, format), cost);
    selection
}

/// Those that fit first, by rank and then by cost; where that is the same the order stays.
fn sort(candidates: &mut [Candidate], rank: impl Fn(Format) -> u8, cost: impl Fn(Format) -> u64) {
    candidates.sort_by_key(|candidate| match candidate.fits {
        true => (false, rank(candidate.format), cost(candidate.format)),
        false => (true, 0, 0),
    });
}

/// The formats for an object of this nature. `refused` are those that were tried and can't hold it, with
/// the reason; `pickles` says whether the language has pickles.
///
/// ```
/// use slipring_codec::Format;
/// use slipring_codec::select::{Nature, select};
///
/// let chosen = select(Nature::Array, &[], true);
/// assert_eq!(chosen.format(), Some(Format::Ndarray));
/// // An array of objects: the next format that can hold it.
/// let refused = [
///     (Format::Ndarray, "its elements are objects".to_owned()),
///     (Format::Value, "its elements are objects".to_owned()),
/// ];
/// assert_eq!(select(Nature::Array, &refused, true).format(), Some(Format::Pickle));
/// assert_eq!(select(Nature::Array, &refused, false).format(), None);
/// ```
pub fn select(nature: Nature, refused: &[(Format, String)], pickles: bool) -> Selection {
    let rules: &[(Format, bool, &str)] = match nature {
        Nature::Bytes => &[
            (Format::Raw, true, "bytes are the frame as they are, and are read in place"),
            (Format::Value, true, "holds them too, with a head in front"),
            (Format::Pickle, true, "holds them too, and is read only by who trusts the sender"),
            (Format::Ndarray, false, "they have no dtype and no shape"),
        ],
        Nature::Array => &[
            (Format::Ndarray, true, "keeps dtype, shape and order, and is read in place"),
            (Format::Value, true, "holds it too, with a head in front"),
            (Format::Pickle, true, "holds it too, and is read only by who trusts the sender"),
            (Format::Raw, false, "would lose dtype and shape"),
        ],
        Nature::Table => &[
            (Format::Arrow, true, "keeps columns, types and nulls, and is read in place"),
            (Format::Pickle, true, "holds it too, and is read only by who trusts the sender"),
            (Format::Value, false, "it is a table, and none of the types of values"),
            (Format::Raw, false, "would lose columns and types"),
            (Format::Ndarray, false, "it has columns of several types"),
        ],
        Nature::Records => &[
            (
                Format::Arrow,
                true,
                "the same keys and types throughout: columns are smaller and read in place",
            ),
            (Format::Value, true, "holds them too, with every key in every record"),
            (Format::Pickle, true, "holds them too, and is read only by who trusts the sender"),
            (Format::Raw, false, "they are not bytes"),
            (Format::Ndarray, false, "they are not an array"),
        ],
        Nature::Value => &[
            (
                Format::Value,
                true,
                "every language reads it, and large bytes, arrays and tables in it in place",
            ),
            (Format::Pickle, true, "holds it too, and is read only by who trusts the sender"),
            // Only of what might have been a table, with what kept it from being one.
            (Format::Arrow, false, ""),
            (Format::Json, true, "holds it too, and is taken only where it is asked for"),
            (Format::Raw, false, "it is not bytes"),
            (Format::Ndarray, false, "it is not an array"),
        ],
        Nature::Json => &[
            (Format::Json, true, "it is JSON already, and every language reads it"),
            (Format::Value, false, "it is a text of JSON, and not what that says"),
            (Format::Pickle, false, "it is a text of JSON, and not what that says"),
            (Format::Raw, false, "its bytes would not be known to be JSON"),
            (Format::Ndarray, false, "it is not an array"),
        ],
        Nature::Opaque => &[
            (
                Format::Pickle,
                true,
                "nothing else holds it; it is read only by who trusts the sender",
            ),
            (Format::Value, false, "it is none of the types of values, and not registered"),
            (Format::Raw, false, "it is not bytes"),
            (Format::Ndarray, false, "it is not an array"),
        ],
    };
    let mut candidates: Vec<Candidate> = rules
        .iter()
        .filter(|rule| pickles || rule.0 != Format::Pickle)
        .filter(|rule| !rule.2.is_empty() || refused.iter().any(|tried| tried.0 == rule.0))
        .map(|&(format, fits, reason)| match refused.iter().find(|tried| tried.0 == format) {
            Some((_, why)) => Candidate { format, fits: false, reason: why.clone() },
            None => Candidate { format, fits, reason: reason.to_owned() },
        })
        .collect();
    // Stable: among those that fit the order of the rules stays.
    candidates.sort_by_key(|candidate| !candidate.fits);
    Selection { candidates }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NATURES: [Nature; 5] =
        [Nature::Bytes, Nature::Array, Nature::Value, Nature::Json, Nature::Opaque];

    /// R1.2, R1.3: no cost makes a format win that keeps less or asks for trust, so that rules and costs agree.
    #[test]
    fn costs_never_outweigh_fidelity_and_trust() {
        for nature in NATURES {
            let ruled = select(nature, &[], true);
            for cheap in [Format::Raw, Format::Value, Format::Ndarray, Format::Pickle, Format::Json]
            {
                let cost = |format| u64::from(format != cheap);
                let chosen = select_by_cost(nature, &[], true, cost);
                assert_eq!(chosen.format(), ruled.format(), "{nature:?}, {cheap}");
            }
            let refused: Vec<_> =
                ruled.format().map(|first| (first, String::new())).into_iter().collect();
            let next = select_by_cost(nature, &refused, true, |_| 0).format();
            assert_eq!(next, select(nature, &refused, true).format());
        }
    }

    /// R1.4: among equals the cheapest one is taken; what does not fit comes last.
    #[test]
    fn among_equals_the_cheapest_is_taken() {
        let mut candidates =
            select(Nature::Value, &[(Format::Pickle, "no".into())], true).candidates;
        let cost = |format| if format == Format::Json { 5 } else { 7 };
        sort(&mut candidates, |_| 1, cost);
        assert_eq!(candidates[0].format, Format::Json);
        assert_eq!(candidates[1].format, Format::Value);
        assert!(candidates[2..].iter().all(|candidate| !candidate.fits));
    }
}
