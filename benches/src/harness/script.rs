//! Peers in other languages: a script drives both of its ends and prints what came out.
//!
//! It is called with `--peer NAME --case NAME --seconds S`, finds the two cores in the environment
//! variable that [`super::process::CORES`] names, and prints one line of JSON: latencies in ns as
//! `{"median": .., "p99": .., "p999": ..}`, a stream as `{"frames_per_s": ..}`, or
//! `{"not_installed": "what is missing"}`.

use std::io::{ErrorKind, Read};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::case::Case;
use super::failure::Failure;
use super::link::End;
use super::process::{CORES, pin, told_cores};
use super::sample::Sample;

/// How long a script may take beyond the time that it measures.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program, its first arguments, and what to do where the program is missing.
#[derive(Clone, Debug)]
pub struct Script {
    /// The interpreter.
    pub program: PathBuf,
    /// The script, and what stands before it.
    pub args: Vec<PathBuf>,
    /// What is said when the interpreter is not there.
    pub missing: &'static str,
}

impl Script {
    /// One run of `peer`.
    pub fn run(&self, peer: &str, case: &Case, time: Duration) -> Result<Sample, Failure> {
        pin(End::Near)?;
        let mut command = Command::new(&self.program);
        command
            .args(&self.args)
            .args(["--peer", peer, "--case", &case.to_string()])
            .args(["--seconds", &time.as_secs_f64().to_string()])
            .env(CORES, told_cores()?)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let child = command.spawn().map_err(|error| match error.kind() {
            ErrorKind::NotFound => Failure::NotInstalled { what: self.missing.into() },
            _ => Failure::call("start a script's interpreter")(error),
        })?;
        let printed = finish(child, time + PATIENCE)?;
        sample(&printed).unwrap_or_else(|| {
            Err(Failure::Script { command: format!("{command:?}"), printed: printed.trim().into() })
        })
    }
}

/// What it printed until its end, which is brought about when time is up.
fn finish(mut child: Child, limit: Duration) -> Result<String, Failure> {
    let mut stdout = child.stdout.take().expect("stdout was asked for");
    let reader = std::thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).map(|_| text)
    });
    let start = Instant::now();
    while child.try_wait().map_err(Failure::call("wait for a script"))?.is_none() {
        if start.elapsed() > limit {
            // Fails only when it has ended by itself just now.
            let _ = child.kill();
            child.wait().map_err(Failure::call("wait for a script"))?;
            return Err(Failure::Silent { waited: limit });
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    reader
        .join()
        .expect("reading does not panic")
        .map_err(Failure::call("read what a script printed"))
}

/// The sample in its last line; `None` if that is none.
fn sample(printed: &str) -> Option<Result<Sample, Failure>> {
    let line: Value = serde_json::from_str(printed.lines().last()?).ok()?;
    if let Some(what) = line.get("not_installed") {
        return Some(Err(Failure::NotInstalled { what: what.as_str()?.into() }));
    }
    let positive = |key: &str| line.get(key)?.as_f64().filter(|x| x.is_finite() && *x > 0.0);
    if let Some(rate) = positive("frames_per_s") {
        return Some(Ok(Sample::FramesPerSecond(rate)));
    }
    let (median, p99, p999) = (positive("median")?, positive("p99")?, positive("p999")?);
    Some(Ok(Sample::Latency { median, p99, p999 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R7.1: what a script prints is a sample or an error, never a guess.
    #[test]
    fn a_line_is_a_sample_or_none() {
        let latency = sample("warming up\n{\"median\": 5, \"p99\": 7.5, \"p999\": 9}\n");
        let expected = Sample::Latency { median: 5.0, p99: 7.5, p999: 9.0 };
        assert_eq!(latency.unwrap().unwrap(), expected);
        let rate = sample("{\"frames_per_s\": 1e6}").unwrap().unwrap();
        assert_eq!(rate, Sample::FramesPerSecond(1e6));
        let missing = sample("{\"not_installed\": \"pyzmq\"}").unwrap().unwrap_err();
        assert_eq!(missing.to_string(), "not installed: pyzmq");
        for none in ["", "Killed", "{}", "{\"median\": 5}", "{\"frames_per_s\": -1}", "[]", "7"] {
            assert!(sample(none).is_none(), "{none}");
        }
    }

    /// R9.1: a missing interpreter is missing, a failing one is named with what it printed.
    #[test]
    fn a_script_that_cannot_run() {
        let case = Case::named("python/rtt/64B/spin").unwrap();
        let run = |program: &str, args: &[&str]| {
            let args = args.iter().map(PathBuf::from).collect();
            let script = Script { program: program.into(), args, missing: "the interpreter" };
            script.run("any", &case, Duration::from_millis(1)).unwrap_err()
        };
        let missing = run("no-such-interpreter", &[]);
        assert_eq!(missing.to_string(), "not installed: the interpreter");
        let failing = run("sh", &["-c", "echo no idea; exit 3"]).to_string();
        assert!(failing.contains("gave no sample: no idea"), "{failing}");
    }
}
