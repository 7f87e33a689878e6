//! What is measured: end, pattern, size and variant, named `end/pattern/size/variant`.

use std::fmt;

/// Whose hands a frame passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// No frame at all: what the machine itself can do.
    Machine,
    /// Rust at both ends.
    Rust,
    /// Python at both ends.
    Python,
    /// Elixir at the measuring end, Python at the other.
    Beam,
}

/// Which way frames go, and what is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// One frame there and one back, timed one by one.
    Rtt,
    /// Frames one way as fast as they go, counted by the consumer.
    Stream,
    /// A stream into Elixir; of the variant `View`, the receiving of single frames.
    Recv,
    /// A stream out of Elixir.
    Send,
    /// Frames from several producers to several consumers, each to one of them, counted over all.
    Many,
    /// A peer is killed, and what it held is wanted by others: the time until they go on.
    Killed,
    /// One cache line passed between two cores.
    Pingpong,
    /// One futex wake-up there and one back.
    Futex,
    /// One core copying memory.
    Memcpy,
    /// One reading of the harness's own clock.
    Clock,
}

/// How a frame is written, read and waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Copied, and both ends poll.
    Spin,
    /// Copied, and both ends sleep until they are woken.
    Block,
    /// One word written, one word read, whatever the size.
    Touch,
    /// Copied in from a buffer of the producer's; read in every cache line.
    Copy,
    /// As `Copy`, each frame in memory that nobody has touched yet.
    Cold,
    /// Many frames handed over at a time.
    Batch,
    /// One frame at a time.
    Single,
    /// As `Single`, each body taken as a bytes object.
    Bytes,
    /// As `Batch`, each body taken as a bytes object.
    BatchBytes,
    /// A frame that waits is taken as a view, in one process, so that nothing but this is timed.
    View,
    /// Copied, with so many ends; each polls.
    Ends {
        /// Those that send.
        producers: u8,
        /// Those that receive.
        consumers: u8,
    },
    /// One producer and one consumer, while views hold so many percent of the pool.
    Held(u8),
    /// Who is killed, and what the others do meanwhile.
    Victim {
        /// What the victim has.
        hold: Hold,
        /// Whether the others sleep; otherwise they poll.
        asleep: bool,
    },
}

/// What a process has in hand when it is killed, and others need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hold {
    /// The pool, in reservations.
    Reservations,
    /// The pool, in views.
    Views,
    /// The frames, taken and not acknowledged.
    Frames,
}

/// One row of the results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Case {
    /// Whose ends.
    pub host: Host,
    /// Which pattern.
    pub pattern: Pattern,
    /// Bytes in a frame's body, or bytes copied; 0 where nothing has a size.
    pub size: usize,
    /// Which variant, where there is a choice.
    pub variant: Option<Variant>,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// Every case, in the order of the results.
pub const ALL: &[Case] = {
    use {Host::*, Pattern::*, Variant::*};
    const fn case(host: Host, pattern: Pattern, size: usize, variant: Variant) -> Case {
        Case { host, pattern, size, variant: Some(variant) }
    }
    const fn machine(pattern: Pattern, size: usize) -> Case {
        Case { host: Machine, pattern, size, variant: None }
    }
    &[
        machine(Clock, 0),
        machine(Pingpong, 0),
        machine(Futex, 0),
        machine(Memcpy, 4 * KIB),
        machine(Memcpy, MIB),
        machine(Memcpy, 16 * MIB),
        case(Rust, Rtt, 64, Spin),
        case(Rust, Rtt, 64, Block),
        case(Rust, Rtt, KIB, Copy),
        case(Rust, Rtt, 64 * KIB, Copy),
        case(Rust, Rtt, MIB, Touch),
        case(Rust, Rtt, MIB, Copy),
        case(Rust, Stream, 64, Copy),
        case(Rust, Stream, KIB, Copy),
        case(Rust, Stream, 64 * KIB, Copy),
        case(Rust, Stream, MIB, Copy),
        case(Rust, Stream, 64, Batch),
        case(Rust, Stream, MIB, Touch),
        case(Rust, Stream, MIB, Cold),
        case(Rust, Many, 64, Ends { producers: 1, consumers: 1 }),
        case(Rust, Many, 64, Ends { producers: 2, consumers: 2 }),
        case(Rust, Many, 64 * KIB, Ends { producers: 2, consumers: 2 }),
        case(Rust, Many, MIB, Ends { producers: 2, consumers: 2 }),
        case(Rust, Killed, 0, Victim { hold: Hold::Reservations, asleep: false }),
        case(Rust, Killed, 0, Victim { hold: Hold::Reservations, asleep: true }),
        case(Rust, Killed, 0, Victim { hold: Hold::Views, asleep: false }),
        case(Rust, Killed, 0, Victim { hold: Hold::Views, asleep: true }),
        case(Rust, Killed, 0, Victim { hold: Hold::Frames, asleep: false }),
        case(Rust, Killed, 0, Victim { hold: Hold::Frames, asleep: true }),
        case(Rust, Recv, 64, View),
        case(Rust, Recv, MIB, View),
        case(Python, Rtt, 64, Spin),
        case(Python, Rtt, 64, Block),
        case(Python, Rtt, MIB, Touch),
        case(Python, Rtt, MIB, Copy),
        case(Python, Stream, 64, Single),
        case(Python, Stream, 4 * KIB, Single),
        case(Python, Stream, MIB, Single),
        case(Python, Stream, 64, Bytes),
        case(Python, Stream, 4 * KIB, Bytes),
        case(Python, Stream, 64, Batch),
        case(Python, Stream, 4 * KIB, Batch),
        case(Python, Stream, MIB, Batch),
        case(Python, Stream, 64, BatchBytes),
        case(Python, Stream, 4 * KIB, BatchBytes),
        case(Python, Recv, 64, View),
        case(Python, Recv, MIB, View),
        case(Beam, Rtt, 64, Block),
        case(Beam, Rtt, 4 * KIB, Block),
        case(Beam, Rtt, 64 * KIB, Block),
        case(Beam, Rtt, MIB, Block),
        case(Beam, Recv, 64, Batch),
        case(Beam, Recv, 4 * KIB, Batch),
        case(Beam, Recv, 64 * KIB, Batch),
        case(Beam, Recv, MIB, Batch),
        case(Beam, Send, 64, Batch),
        case(Beam, Send, 4 * KIB, Batch),
        case(Beam, Send, 64 * KIB, Batch),
        case(Beam, Send, MIB, Batch),
    ]
};

/// How it grows: with the ends, with the frames, and with what is held of the pool.
pub const GROW: &[Case] = {
    use Variant::*;
    const fn many(size: usize, variant: Variant) -> Case {
        Case { host: Host::Rust, pattern: Pattern::Many, size, variant: Some(variant) }
    }
    const fn ends(producers: u8, consumers: u8) -> Case {
        many(64, Ends { producers, consumers })
    }
    const fn size(size: usize) -> Case {
        many(size, Ends { producers: 1, consumers: 1 })
    }
    &[
        ends(1, 1),
        ends(2, 2),
        ends(4, 4),
        ends(8, 8),
        ends(1, 2),
        ends(1, 4),
        ends(1, 8),
        ends(2, 1),
        ends(4, 1),
        ends(8, 1),
        size(0),
        size(192),
        size(193),
        size(KIB),
        size(4 * KIB),
        size(16 * KIB),
        size(64 * KIB),
        size(256 * KIB),
        size(MIB),
        size(4 * MIB),
        size(16 * MIB),
        many(4 * KIB, Held(0)),
        many(4 * KIB, Held(50)),
        many(4 * KIB, Held(90)),
        many(4 * KIB, Held(99)),
        many(64 * KIB, Held(0)),
        many(64 * KIB, Held(50)),
        many(64 * KIB, Held(90)),
        many(64 * KIB, Held(99)),
    ]
};

impl Case {
    /// The case of this name, if there is one.
    pub fn named(name: &str) -> Option<Self> {
        ALL.iter().chain(GROW).copied().find(|case| case.to_string() == name)
    }

    /// How many produce and how many consume.
    pub fn ends(&self) -> (usize, usize) {
        match self.variant {
            Some(Variant::Ends { producers, consumers }) => (producers.into(), consumers.into()),
            _ => (1, 1),
        }
    }

    /// Whether this is that variant.
    pub fn is(&self, variant: Variant) -> bool {
        self.variant == Some(variant)
    }

    /// Whether there are two ends, both in Rust, and frames go there and back or one way.
    pub fn in_rust(&self) -> bool {
        self.host == Host::Rust && matches!(self.pattern, Pattern::Rtt | Pattern::Stream)
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = match self.host {
            Host::Machine => "machine",
            Host::Rust => "rust",
            Host::Python => "python",
            Host::Beam => "beam",
        };
        let pattern = match self.pattern {
            Pattern::Rtt => "rtt",
            Pattern::Stream => "stream",
            Pattern::Recv => "recv",
            Pattern::Send => "send",
            Pattern::Many => "many",
            Pattern::Killed => "killed",
            Pattern::Pingpong => "pingpong",
            Pattern::Futex => "futex",
            Pattern::Memcpy => "memcpy",
            Pattern::Clock => "clock",
        };
        write!(f, "{host}/{pattern}")?;
        match self.size {
            0 if self.pattern != Pattern::Many => {}
            0 => f.write_str("/0B")?,
            size if size % MIB == 0 => write!(f, "/{}MiB", size / MIB)?,
            size if size % KIB == 0 => write!(f, "/{}KiB", size / KIB)?,
            size => write!(f, "/{size}B")?,
        }
        match self.variant {
            None => Ok(()),
            Some(Variant::Spin) => f.write_str("/spin"),
            Some(Variant::Block) => f.write_str("/block"),
            Some(Variant::Touch) => f.write_str("/touch"),
            Some(Variant::Copy) => f.write_str("/copy"),
            Some(Variant::Cold) => f.write_str("/cold"),
            Some(Variant::Batch) => f.write_str("/batch"),
            Some(Variant::Single) => f.write_str("/single"),
            Some(Variant::Bytes) => f.write_str("/bytes"),
            Some(Variant::BatchBytes) => f.write_str("/batch-bytes"),
            Some(Variant::View) => f.write_str("/view"),
            Some(Variant::Ends { producers, consumers }) => write!(f, "/{producers}x{consumers}"),
            Some(Variant::Held(percent)) => write!(f, "/held{percent}"),
            Some(Variant::Victim { hold, asleep }) => {
                f.write_str(match hold {
                    Hold::Reservations => "/reservations",
                    Hold::Views => "/views",
                    Hold::Frames => "/frames",
                })?;
                f.write_str(if asleep { "/asleep" } else { "/running" })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R7.5: a case keeps one name, and a name means one case.
    #[test]
    fn every_name_leads_back_to_its_case() {
        for case in ALL.iter().chain(GROW) {
            assert_eq!(Case::named(&case.to_string()), Some(*case), "{case}");
        }
        assert_eq!(ALL[0].to_string(), "machine/clock");
        assert!(Case::named("machine/memcpy/16MiB").is_some());
        assert!(Case::named("rust/stream/64KiB/copy").is_some());
        assert_eq!(Case::named("rust/stream/64KiB"), None);
        assert_eq!(Case::named("rust/many/64B/2x2").unwrap().ends(), (2, 2));
        assert!(Case::named("rust/many/0B/1x1").is_some());
        assert!(Case::named("rust/killed/views/asleep").is_some());
    }
}
