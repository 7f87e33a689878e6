//! slipring for Elixir: the functions behind `Slipring.Native`.
//!
//! The Rust crates do the work. Here the BEAM's terms, processes and schedulers meet them:
//!
//! 1. No function on a normal scheduler waits for a ring, or for another call on the same end. What
//!    can't be done at once is answered (`:empty`, `:full`, `:busy`), and Elixir decides.
//! 2. What takes long by its size is answered `:large` or left for later, and done on a dirty
//!    scheduler: much to copy, to encode or to decode, and memory that the system has to clear first.
//!    What is done on a normal one is charged to the process.
//! 3. Locks on a normal scheduler guard a few steps each, on a list of watches or attachments or on
//!    one field; no file, mapping or sleep is waited for under them. The system calls there wake
//!    sleepers (`futex`) and fence (`membarrier`), which take microseconds.
//! 4. Attaching and looking into segments run on dirty schedulers. Waiting is done by the threads of
//!    `waiter`, unmapping by the one of `attachment`.
//! 5. What the garbage collector drops gives leases, frames and roles back by atomics and wakes who
//!    waits. Nothing is unmapped there.
#![allow(clippy::disallowed_types, reason = "no model runs here")]

mod attachment;
mod consumer;
mod counts;
mod credit;
mod dtype;
mod end;
mod error;
mod expect;
mod frame;
mod json;
mod lease;
mod meta;
mod producer;
mod ring;
mod schema;
mod select;
mod table;
mod tensor;
mod value;
mod waiter;

use rustler::{Env, Term};

/// Answers of the functions here, and the keys of what they answer.
mod atoms {
    rustler::atoms! {
        ok, error, nil,
        // outcomes
        told, migrate, first, rest, feeder, crowded, held, empty, full, busy, large, last, detached, ready, deferred, copy, meta, cbor, spent,
        // formats and tensors
        raw, ndarray, value, arrow, pickle, json, unknown,
        c, fortran, little, big, bool_ = "bool", s, u, f,
        // numbers that the BEAM's floats don't have
        nan, infinity, neg_infinity,
        // frames
        struct_ = "__struct__", frame = "Elixir.Slipring.Frame", format, content, lease, producer, stream, redeliveries, sequence, timestamp,
        only, unfinished,
        // policies
        auto, always, never,
    }
}

/// Frames and copied bytes that take about a hundredth of a process's time slice.
const FRAMES_PER_CENT: usize = 32;
const BYTES_PER_CENT: usize = 64 << 10;

/// Charges the calling process for what was done.
fn charge(env: Env<'_>, frames: usize, bytes: usize) {
    let percent = frames / FRAMES_PER_CENT + bytes / BYTES_PER_CENT;
    if percent > 0 {
        rustler::schedule::consume_timeslice(env, percent.min(100) as i32);
    }
}

fn load(env: Env<'_>, _info: Term<'_>) -> bool {
    keep_loaded();
    value::shape::check(env);
    ring::register(env)
        && end::register(env)
        && lease::register(env)
        && producer::register(env)
        && schema::register(env)
        && expect::register(env)
        && table::register(env)
        && attachment::start()
        && waiter::start()
}

/// Keeps the library mapped when its module is purged: the waiter's thread runs in it, and so do
/// the destructors of what is still referred to.
fn keep_loaded() {
    // SAFETY: `info` is filled before it is read; the path that the loader gives is valid until the
    // library is unloaded, which the second call prevents.
    unsafe {
        let mut info: libc::Dl_info = std::mem::zeroed();
        if libc::dladdr(keep_loaded as *const libc::c_void, &mut info) != 0 {
            libc::dlopen(info.dli_fname, libc::RTLD_NOW | libc::RTLD_NOLOAD | libc::RTLD_NODELETE);
        }
    }
}

rustler::init!("Elixir.Slipring.Native", load = load);
