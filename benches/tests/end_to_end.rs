//! The program itself, far ends and all, with very short runs.

use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

struct Bench {
    out: PathBuf,
}

impl Bench {
    fn new(name: &str) -> Self {
        let name = format!("slipring-bench-test-{}-{name}", std::process::id());
        Self { out: std::env::temp_dir().join(name) }
    }

    fn run(&self, line: &str) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ring"))
            .args(["--rounds", "1", "--seconds", "0.01", "--out"])
            .arg(&self.out)
            .args(line.split_whitespace())
            // An interpreter that is there and can't import anything.
            .env("SLIPRING_PYTHON", "/no/such/python")
            .output()
            .unwrap()
    }

    fn results(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out.join(format!("{name}.json"))).unwrap();
        serde_json::from_str(&text).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.out);
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// R7.2, R7.5: every peer that needs no other package gives a figure in every Rust case it takes
/// part in, and no frame is lost on the way.
#[test]
fn every_light_peer_gives_a_figure() {
    let bench = Bench::new("light");
    let output = bench.run(
        "--filter rust/ --filter machine/ --peers slipring,machine,limit,limit+fence,unix,rtrb,arrayqueue",
    );
    assert!(output.status.success(), "{}", said(&output));
    let results = bench.results("ring");
    for (case, peer) in [
        ("machine/pingpong", "machine"),
        ("machine/futex", "machine"),
        ("machine/memcpy/16MiB", "machine"),
        ("rust/rtt/64B/spin", "arrayqueue"),
        ("rust/rtt/64B/block", "limit+fence"),
        ("rust/rtt/64B/block", "unix"),
        ("rust/rtt/1MiB/copy", "unix"),
        ("rust/rtt/1KiB/copy", "limit"),
        ("rust/rtt/64KiB/copy", "slipring"),
        ("rust/recv/1MiB/view", "slipring"),
        ("rust/stream/64B/batch", "rtrb"),
        ("rust/stream/1MiB/touch", "limit"),
        ("rust/stream/1MiB/cold", "limit"),
        ("rust/many/64B/2x2", "slipring"),
        ("rust/many/64B/2x2", "arrayqueue"),
        ("rust/many/1MiB/2x2", "slipring"),
        ("rust/killed/reservations/running", "slipring"),
        ("rust/killed/views/running", "slipring"),
        ("rust/killed/frames/asleep", "slipring"),
    ] {
        let row = results.iter().find(|row| row["case"] == case && row["peer"] == peer);
        let row = row.unwrap_or_else(|| panic!("no figure for {peer} in {case}"));
        let [min, median, max] = ["min", "median", "max"].map(|key| row[key].as_f64().unwrap());
        assert!(0.0 < min && min <= median && median <= max, "{row}");
        assert_eq!(row.get("p999").is_some(), row["metric"] == "latency", "{row}");
    }
    let table = std::fs::read_to_string(bench.out.join("ring.md")).unwrap();
    assert!(!table.contains("FAILED"), "{table}");
}

/// R7.2, P5: it is measured with many ends, without bodies, and with nearly all of the pool held.
#[test]
fn growth_has_results_of_its_own() {
    let bench = Bench::new("grow");
    let output = bench.run("--grow --filter 8x8 --filter /0B/ --filter /4KiB/held99");
    assert!(output.status.success(), "{}", said(&output));
    let results = bench.results("grow");
    let rows: Vec<_> =
        results.iter().map(|row| (row["case"].as_str(), row["peer"].as_str())).collect();
    let expected = [
        ("rust/many/64B/8x8", "slipring"),
        ("rust/many/64B/8x8", "arrayqueue"),
        ("rust/many/0B/1x1", "slipring"),
        ("rust/many/4KiB/held99", "slipring"),
    ];
    assert_eq!(rows, expected.map(|(case, peer)| (Some(case), Some(peer))));
    assert!(results.iter().all(|row| row["min"].as_f64().unwrap() > 0.0), "{results:?}");
    assert!(bench.out.join("grow.md").exists() && !bench.out.join("ring.md").exists());
}

/// R9.1: what is not installed is said in the table and is no failure.
#[test]
fn a_missing_interpreter_is_said_loudly() {
    let bench = Bench::new("missing");
    let output = bench.run("--filter python/rtt/64B/block --peers mp.Queue");
    assert!(output.status.success(), "{}", said(&output));
    let results = bench.results("ring");
    assert!(results[0]["not_installed"].as_str().unwrap().starts_with("Python;"), "{results:?}");
    assert_eq!((results.len(), &results[0]["peer"]), (1, &Value::from("mp.Queue")));
    let table = std::fs::read_to_string(bench.out.join("ring.md")).unwrap();
    assert!(table.contains("**not installed: Python; set SLIPRING_PYTHON"), "{table}");
}

/// R9.1: a name that means nothing is refused before anything is measured.
#[test]
fn unknown_names_are_refused() {
    let bench = Bench::new("unknown");
    for (line, words) in [
        ("--peers nobody", "there is no peer nobody"),
        ("--filter rust/rtt/65B", "no case and peer are left"),
        ("--rounds many", "--rounds takes a whole number"),
    ] {
        let output = bench.run(line);
        assert!(!output.status.success());
        assert!(said(&output).contains(words), "{}", said(&output));
    }
    assert!(!bench.out.exists());
}
