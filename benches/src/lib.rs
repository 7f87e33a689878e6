//! Measures the ring beside its peers, all in one run.
//!
//! [`harness`] knows how to measure and nothing of who is measured; [`peers`] holds one file per
//! peer. A new peer is one type that implements [`harness::link::Link`] and one line in
//! [`peers::all`]. How the figures come about, and what they don't say: `docs/benchmarks.md`.
#![allow(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "no model runs here, and the yardsticks must not stand on the code they measure"
)]

pub mod harness;
pub mod peers;
