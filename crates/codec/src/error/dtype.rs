//! What can be wrong with the description of a dtype, written or read.

use std::fmt;

/// What is wrong with the description of a dtype.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DtypeFault {
    /// It is not of the form that its kind has, or missing.
    Form,
    /// An element of more than 2^31 - 1 bytes, or of others than its parts make.
    ItemSize,
    /// A field that reaches beyond its struct.
    FieldOutside,
    /// A field whose name or title is that of another.
    NameRepeated,
    /// Structs and subarrays nest deeper than 32.
    Nesting,
    /// A subarray without a dimension, or with more than 64.
    Subarray,
    /// A unit of time that is none, or a count of none.
    Unit,
    /// A dtype where it can't stand: texts of any length in a struct, a subarray outside of one.
    Place,
}

impl DtypeFault {
    pub(super) const fn hint(self) -> &'static str {
        match self {
            DtypeFault::Form => "describe it as docs/frame-format.md says",
            DtypeFault::ItemSize => "send it in several fields or arrays",
            DtypeFault::FieldOutside => "give an item size that holds all fields",
            DtypeFault::NameRepeated => "give each field a name and a title of its own",
            DtypeFault::Nesting => "flatten the struct",
            DtypeFault::Subarray => "give a subarray 1 to 64 dimensions",
            DtypeFault::Unit => "use a unit of NumPy's and a count from 1 to 2^31 - 1",
            DtypeFault::Place => "send it as an array of its own",
        }
    }
}

impl fmt::Display for DtypeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DtypeFault::Form => "the dtype has no description that its kind could have",
            DtypeFault::ItemSize => "the item size is beyond 2^31 - 1 or not what the parts make",
            DtypeFault::FieldOutside => "a field reaches beyond its struct",
            DtypeFault::NameRepeated => "a field has the name or title of another",
            DtypeFault::Nesting => "structs and subarrays nest deeper than 32",
            DtypeFault::Subarray => {
                "a subarray has no dimension, more than 64 or a length that is none"
            }
            DtypeFault::Unit => "a time has a unit that is none, or counts it not at all",
            DtypeFault::Place => "a dtype stands where it can't",
        })
    }
}
