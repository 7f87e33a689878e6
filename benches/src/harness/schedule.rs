//! Interleaves the peers: in each round of a case every peer has one run, and the next round starts
//! with the next peer. A machine that slows down then slows all of them.

use super::args::Args;
use super::case::Case;
use super::failure::Failure;
use super::process::Contestant;
use super::sample::{Figures, Sample};

/// One case with one peer.
#[derive(Debug)]
pub struct Row {
    /// What was measured.
    pub case: Case,
    /// Who was measured.
    pub peer: &'static str,
    /// What came out, or why nothing did.
    pub figures: Result<Figures, Failure>,
}

/// The cases asked for, each with its peers in the order of the table.
pub fn plan<'a>(
    cases: &[Case],
    contestants: &'a [Contestant],
    args: &Args,
) -> Vec<(Case, Vec<&'a Contestant>)> {
    let asked = |case: &&Case| {
        let name = case.to_string();
        args.filter.is_empty() || args.filter.iter().any(|part| name.contains(part.as_str()))
    };
    let wanted =
        |one: &&Contestant| args.peers.is_empty() || args.peers.iter().any(|name| name == one.name);
    cases
        .iter()
        .filter(asked)
        .map(|case| {
            let takes = |one: &&Contestant| (one.takes)(case);
            (*case, contestants.iter().filter(wanted).filter(takes).collect())
        })
        .filter(|(_, peers): &(Case, Vec<_>)| !peers.is_empty())
        .collect()
}

/// All rounds of one case. A peer that fails once is left out of the rounds that follow.
pub fn run(case: &Case, peers: &[&Contestant], args: &Args) -> Vec<Row> {
    let mut rounds: Vec<Result<Vec<Sample>, Failure>> =
        peers.iter().map(|_| Ok(Vec::new())).collect();
    for round in 0..args.rounds {
        for turn in 0..peers.len() {
            let index = (round + turn) % peers.len();
            let Ok(samples) = &mut rounds[index] else { continue };
            match (peers[index].run)(case, args.time) {
                Ok(sample) => samples.push(sample),
                Err(failure) => rounds[index] = Err(failure),
            }
        }
    }
    peers
        .iter()
        .zip(rounds)
        .map(|(peer, samples)| {
            let figures = samples.map(|samples| {
                Figures::of(&samples).expect("each of at least one round gave a sample")
            });
            Row { case: *case, peer: peer.name, figures }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// R7.5: peers take turns, who starts changes, and a failure ends one peer's rounds only.
    #[test]
    fn peers_take_turns() {
        let order = Rc::new(RefCell::new(String::new()));
        let contestant = |name: &'static str, fails: bool| {
            let order = order.clone();
            Contestant::alone(
                name,
                |case| case.in_rust(),
                move |_, _| {
                    order.borrow_mut().push_str(name);
                    match fails {
                        true => Err(Failure::NotInstalled { what: "nothing".into() }),
                        false => Ok(Sample::FramesPerSecond(1.0)),
                    }
                },
            )
        };
        let all = [contestant("a", false), contestant("b", true), contestant("c", false)];
        let words = ["--rounds", "3", "--filter", "64B/spin"].map(String::from);
        let args = Args::parse(words).unwrap();
        let plan = plan(super::super::case::ALL, &all, &args);
        assert_eq!(plan.len(), 1, "Python's case has no peer here");
        let rows = run(&plan[0].0, &plan[0].1, &args);
        assert_eq!(*order.borrow(), "abccaca");
        assert!(rows[0].figures.is_ok() && rows[1].figures.is_err());
    }
}
