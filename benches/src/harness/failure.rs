//! Why a run gave no figure.

use std::fmt;
use std::time::Duration;

/// Why a run gave no figure.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// What the peer needs is not on this machine. The table says so; it is not an error.
    NotInstalled {
        /// What is missing, and how to get it.
        what: String,
    },
    /// A frame came that was not the next one.
    Lost {
        /// The sequence that should have come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// A frame came with another length than was sent.
    Length {
        /// Bytes that were sent.
        expected: usize,
        /// Bytes that came.
        found: usize,
    },
    /// The far end has sent all it will, and not all of it has come.
    Short {
        /// Frames that were sent.
        sent: u64,
        /// Frames that came.
        received: u64,
    },
    /// Nothing happened for so long; most often the other end has died.
    Silent {
        /// How long.
        waited: Duration,
    },
    /// The far end reported a failure.
    Far {
        /// In its own words.
        report: String,
    },
    /// A call failed.
    Call {
        /// What it should have done.
        doing: &'static str,
        /// What it said.
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A script printed something that is no sample, or left with an error.
    Script {
        /// Its command.
        command: String,
        /// What it printed.
        printed: String,
    },
}

impl Failure {
    /// For `map_err`: the call that should have done this failed.
    pub fn call<E>(doing: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |cause| Self::Call { doing, cause: cause.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInstalled { what } => write!(f, "not installed: {what}"),
            Self::Lost { expected, found } => {
                write!(
                    f,
                    "frame {found} came where frame {expected} was due: frames were lost or changed places"
                )
            }
            Self::Length { expected, found } => {
                write!(f, "a frame of {found} bytes came where {expected} were sent")
            }
            Self::Short { sent, received } => {
                write!(f, "{sent} frames were sent, and {received} came: the rest was lost")
            }
            Self::Silent { waited } => write!(
                f,
                "nothing came or went for {waited:?}: the other end has died, or the machine is too busy to measure on"
            ),
            Self::Far { report } => write!(f, "at the far end: {report}"),
            Self::Call { doing, cause } => write!(f, "could not {doing}: {cause}"),
            Self::Script { command, printed } => write!(f, "`{command}` gave no sample: {printed}"),
        }
    }
}

impl std::error::Error for Failure {}
