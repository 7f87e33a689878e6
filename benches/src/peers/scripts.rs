//! Peers in Python and in Elixir. Their scripts stand in `benches/python` and `benches/beam`, each
//! peer as one class or module of a few functions.

use std::env;
use std::path::{Path, PathBuf};

use crate::harness::case::{Case, Host, Variant};
use crate::harness::process::Contestant;
use crate::harness::script::Script;

/// All of them. Names mean the same transport in every language.
pub fn contestants() -> [Contestant; 7] {
    [
        contestant("slipring", python(), Host::Python, |_| true),
        contestant("iceoryx2", python(), Host::Python, |case| {
            // No batches, and views alone.
            let lacks = [Variant::Batch, Variant::Bytes, Variant::BatchBytes, Variant::View];
            !lacks.iter().any(|&variant| case.is(variant))
        }),
        contestant("zmq", python(), Host::Python, |case| {
            !case.is(Variant::Touch) && !case.is(Variant::View)
        }),
        contestant("mp.Queue", python(), Host::Python, |case| {
            ![Variant::Touch, Variant::Spin, Variant::View].iter().any(|&variant| case.is(variant))
        }),
        contestant("slipring", elixir(), Host::Beam, |_| true),
        contestant("port", elixir(), Host::Beam, |_| true),
        contestant("unix", elixir(), Host::Beam, |_| true),
    ]
}

fn contestant(
    name: &'static str,
    script: Script,
    host: Host,
    takes: fn(&Case) -> bool,
) -> Contestant {
    Contestant::alone(
        name,
        move |case| case.host == host && takes(case),
        move |case, time| script.run(name, case, time),
    )
}

fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The interpreter that `SLIPRING_PYTHON` names, else the project's own, else the system's.
fn interpreter() -> PathBuf {
    let own = folder().join("../.venv/bin/python");
    env::var_os("SLIPRING_PYTHON")
        .map(PathBuf::from)
        .or_else(|| own.exists().then_some(own))
        .unwrap_or_else(|| "python3".into())
}

fn python() -> Script {
    Script {
        program: interpreter(),
        args: vec![folder().join("python/ring.py")],
        missing: "Python; set SLIPRING_PYTHON to an interpreter, or run `make setup`",
    }
}

fn elixir() -> Script {
    let far = folder().join("beam/far.py");
    Script {
        program: "elixir".into(),
        args: vec![
            "-pa".into(),
            folder().join("../bindings/beam/_build/dev/lib/slipring/ebin"),
            folder().join("beam/ring.exs"),
            "--python".into(),
            interpreter(),
            "--far".into(),
            far,
        ],
        missing: "Elixir is not on PATH",
    }
}
