//! `make bench-ring`: the ring beside its peers. `docs/benchmarks.md` says how to read the results.

use std::env;
use std::process::ExitCode;

use slipring_benches::harness::args::{Args, Refusal};
use slipring_benches::harness::case;
use slipring_benches::harness::failure::Failure;
use slipring_benches::harness::process::{Contestant, cores, far_end};
use slipring_benches::harness::report;
use slipring_benches::harness::schedule::{Row, plan, run};
use slipring_benches::peers;

fn main() -> ExitCode {
    let contestants = peers::all();
    if let Some(code) = far_end(&contestants) {
        return code;
    }
    let args = match Args::parse(env::args().skip(1)) {
        Ok(args) => args,
        Err(Refusal::Help) => {
            print!("{}", Refusal::Help);
            return ExitCode::SUCCESS;
        }
        Err(refusal) => {
            eprintln!("ring: {refusal}");
            return ExitCode::from(2);
        }
    };
    match measure(&args, &contestants) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("ring: {failure}");
            ExitCode::FAILURE
        }
    }
}

/// Whether all went well; a peer that is not installed is no fault.
fn measure(args: &Args, contestants: &[Contestant]) -> Result<bool, Failure> {
    let (cases, results) = if args.grow { (case::GROW, "grow") } else { (case::ALL, "ring") };
    let plan = plan(cases, contestants, args);
    if let Some(name) = args.peers.iter().find(|name| contestants.iter().all(|c| c.name != **name))
    {
        eprintln!("ring: there is no peer {name}; --list names them");
        return Ok(false);
    }
    if plan.is_empty() {
        eprintln!("ring: no case and peer are left to measure; --list names them");
        return Ok(false);
    }
    if args.list {
        for (case, peers) in &plan {
            let names: Vec<_> = peers.iter().map(|peer| peer.name).collect();
            println!("{case:<32} {}", names.join(" "));
        }
        return Ok(true);
    }
    let [near, far] = cores()?;
    if near == far {
        eprintln!(
            "ring: this process may use one core only: ends that poll will starve each other"
        );
    }
    let mut rows = Vec::new();
    for (case, peers) in &plan {
        for row in run(case, peers, args) {
            eprintln!("{}", line(&row));
            rows.push(row);
        }
    }
    report::write(&args.out, results, &rows, peers::YARDSTICKS)?;
    eprintln!("written: {0}/{results}.json and {0}/{results}.md", args.out.display());
    let fault = |row: &Row| matches!(&row.figures, Err(failure) if !matches!(failure, Failure::NotInstalled { .. }));
    Ok(!rows.iter().any(fault))
}

fn line(row: &Row) -> String {
    let what = format!("{:<32} {:<12}", row.case.to_string(), row.peer);
    match &row.figures {
        Err(failure) => format!("{what} {failure}"),
        Ok(figures) => {
            let show = |value| report::amount(value, figures.unit);
            let (median, min, max) = (show(figures.median), show(figures.min), show(figures.max));
            format!("{what} {median:>10}  [{min} to {max}]")
        }
    }
}
