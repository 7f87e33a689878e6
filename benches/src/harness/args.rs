//! The command line of a benchmark.

use std::path::PathBuf;
use std::time::Duration;

/// What the user asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct Args {
    /// Runs of each peer in each case.
    pub rounds: usize,
    /// Time measured in one run, warm-up apart.
    pub time: Duration,
    /// Only cases whose name contains one of these; empty for all.
    pub filter: Vec<String>,
    /// Only these peers; empty for all.
    pub peers: Vec<String>,
    /// The folder that the results go to.
    pub out: PathBuf,
    /// How it grows, instead of the cases that stand beside peers.
    pub grow: bool,
    /// Say which cases and peers there are, and measure nothing.
    pub list: bool,
}

/// How it is used; printed for `--help` and after a mistake.
pub const USAGE: &str = "\
usage: ring [--rounds N] [--seconds S] [--filter TEXT] [--peers A,B] [--out DIR] [--grow] [--list]

  --rounds N      runs of each peer in each case; they take turns (default 5)
  --seconds S     time measured in one run, warm-up apart (default 0.3)
  --filter TEXT   only cases whose name contains TEXT; may be given again
  --peers A,B     only these peers; may be given again
  --out DIR       where ring.json and ring.md go (default target/bench)
  --grow          how it grows with ends, sizes and what is held: grow.json and grow.md
  --list          name the cases, and the peers of each, and measure nothing
";

/// Why a command line can't be followed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// Help was asked for.
    Help,
    /// There is no such option.
    Unknown(String),
    /// The option's value is missing, or is none.
    Value {
        /// The option.
        option: String,
        /// What it takes.
        takes: &'static str,
    },
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Help => f.write_str(USAGE),
            Self::Unknown(option) => write!(f, "there is no option {option}\n\n{USAGE}"),
            Self::Value { option, takes } => write!(f, "{option} takes {takes}\n\n{USAGE}"),
        }
    }
}

impl Args {
    /// Follows the words after the program's name.
    pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Self, Refusal> {
        let mut args = Self {
            rounds: 5,
            time: Duration::from_millis(300),
            filter: Vec::new(),
            peers: Vec::new(),
            out: "target/bench".into(),
            grow: false,
            list: false,
        };
        let mut words = words.into_iter();
        while let Some(option) = words.next() {
            let mut value = |takes| {
                words.next().ok_or_else(|| Refusal::Value { option: option.clone(), takes })
            };
            match option.as_str() {
                "--help" | "-h" => return Err(Refusal::Help),
                "--list" => args.list = true,
                "--grow" => args.grow = true,
                "--out" => args.out = value("a folder")?.into(),
                "--filter" => args.filter.push(value("a part of a case's name")?),
                "--peers" => args
                    .peers
                    .extend(value("names of peers")?.split(',').map(|name| name.trim().to_owned())),
                "--rounds" => {
                    let takes = "a whole number from 1";
                    let rounds = value(takes)?.parse().ok().filter(|rounds| *rounds > 0);
                    args.rounds = rounds.ok_or(Refusal::Value { option, takes })?;
                }
                "--seconds" => {
                    let takes = "a time in seconds, above 0 and up to 60";
                    let seconds = value(takes)?.parse().ok().filter(|s| *s > 0.0 && *s <= 60.0);
                    args.time = seconds
                        .map(Duration::from_secs_f64)
                        .filter(|time| !time.is_zero())
                        .ok_or(Refusal::Value { option, takes })?;
                }
                _ => return Err(Refusal::Unknown(option)),
            }
        }
        Ok(args)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args, Refusal> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    /// R9.1: what can't be followed is named, with what would do.
    #[test]
    fn mistakes_are_named() {
        let refused = |line: &str| parse(line).unwrap_err().to_string();
        assert!(refused("--rounds 0").starts_with("--rounds takes a whole number from 1"));
        assert!(refused("--rounds").starts_with("--rounds takes"));
        assert!(refused("--seconds nan").starts_with("--seconds takes a time"));
        assert!(refused("--seconds -1").starts_with("--seconds takes a time"));
        assert!(refused("--seconds 1e-300").starts_with("--seconds takes a time"));
        assert!(refused("--filter").starts_with("--filter takes a part"));
        assert!(refused("--fast").starts_with("there is no option --fast\n"));
    }

    /// R7.2: the user chooses cases, peers and effort.
    #[test]
    fn options_add_up() {
        let args = parse("--peers a,b --peers c --filter x --rounds 2 --seconds 0.05").unwrap();
        assert_eq!(args.peers, ["a", "b", "c"]);
        assert_eq!((args.rounds, args.time), (2, Duration::from_millis(50)));
        assert_eq!(args.filter, ["x"]);
        assert_eq!(parse("").unwrap().rounds, 5);
    }
}
