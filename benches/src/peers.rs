//! Who is measured: one file each, and one line in [`all`].

#[cfg(feature = "aeron")]
mod aeron;
#[cfg(feature = "peers")]
mod iceoryx;
mod limit;
mod machine;
mod scripts;
mod slipring;
mod threads;
mod unix;
#[cfg(feature = "peers")]
mod zmq;

use crate::harness::process::Contestant;
#[cfg(not(feature = "peers"))]
use crate::harness::{case::Case, failure::Failure};

/// Everyone, in the order of the tables' columns.
pub fn all() -> Vec<Contestant> {
    let mut all = vec![
        machine::contestant(),
        Contestant::processes::<slipring::Slipring>(),
        slipring::views(),
        Contestant::crowd_of_processes::<slipring::Many>(),
        slipring::killed(),
        Contestant::processes::<limit::Limit<false>>(),
        Contestant::processes::<limit::Limit<true>>(),
    ];
    #[cfg(not(feature = "peers"))]
    all.extend(["iceoryx2", "zmq"].map(|name| {
        Contestant::alone(name, Case::in_rust, |_, _| {
            Err(Failure::NotInstalled { what: "built without the feature `peers`".into() })
        })
    }));
    #[cfg(feature = "peers")]
    all.extend([Contestant::processes::<iceoryx::Iceoryx>(), Contestant::processes::<zmq::Zmq>()]);
    #[cfg(feature = "aeron")]
    all.push(Contestant::processes::<aeron::Aeron>());
    all.extend([
        Contestant::processes::<unix::Unix>(),
        Contestant::threads::<threads::Rtrb>(),
        Contestant::threads::<threads::Queue>(),
        Contestant::crowd_of_threads::<threads::Many>(),
    ]);
    all.extend(scripts::contestants());
    all
}

/// Those that are no transports: what the machine can do, and the simplest ring that could work.
pub const YARDSTICKS: &[&str] = &["machine", "limit", "limit+fence"];
