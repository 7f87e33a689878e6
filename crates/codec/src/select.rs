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
                "every language reads it, and large bytes and arrays in it in place",
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
