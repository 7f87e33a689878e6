//! Writes the results: `ring.json` for programs, `ring.md` for people.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use super::case::{Host, Variant};
use super::failure::Failure;
use super::sample::Figures;
use super::schedule::Row;

/// Writes both files into `folder`, which is made where it is missing.
pub fn write(folder: &Path, name: &str, rows: &[Row], yardsticks: &[&str]) -> Result<(), Failure> {
    let doing = "write the results";
    fs::create_dir_all(folder).map_err(Failure::call(doing))?;
    let text = format!("{:#}\n", json(rows));
    fs::write(folder.join(format!("{name}.json")), text).map_err(Failure::call(doing))?;
    let text = markdown(rows, yardsticks);
    fs::write(folder.join(format!("{name}.md")), text).map_err(Failure::call(doing))
}

/// One object per row; where there are no figures it has `not_installed` or `failure` in their place.
fn json(rows: &[Row]) -> Value {
    let object = |row: &Row| {
        let mut object = Map::new();
        let mut set = |key: &str, value: Value| object.insert(key.to_owned(), value);
        set("case", json!(row.case.to_string()));
        set("peer", json!(row.peer));
        let figures = match &row.figures {
            Ok(figures) => figures,
            Err(Failure::NotInstalled { what }) => {
                set("not_installed", json!(what));
                return Value::Object(object);
            }
            Err(failure) => {
                set("failure", json!(failure.to_string()));
                return Value::Object(object);
            }
        };
        set("metric", json!(figures.metric));
        set("unit", json!(figures.unit));
        set("median", json!(figures.median));
        set("min", json!(figures.min));
        set("max", json!(figures.max));
        if let Some((p99, p999)) = figures.tail {
            set("p99", json!(p99));
            set("p999", json!(p999));
        }
        Value::Object(object)
    };
    rows.iter().map(object).collect()
}

/// One table per host: a line per case, a column per peer.
fn markdown(rows: &[Row], yardsticks: &[&str]) -> String {
    let mut text = String::from(
        "Median of the rounds, [smallest to largest], and (×) the median over that of the case's best \
         transport: for times above 1 is worse, for rates below 1. Yardsticks are no transports.\n",
    );
    for (host, title) in [
        (Host::Machine, "The machine"),
        (Host::Rust, "Rust to Rust"),
        (Host::Python, "Python to Python"),
        (Host::Beam, "Elixir and Python"),
    ] {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.case.host == host).collect();
        if !rows.is_empty() {
            let _ = write!(text, "\n## {title}\n\n");
            table(&mut text, &rows, yardsticks);
        }
    }
    text
}

fn table(text: &mut String, rows: &[&Row], yardsticks: &[&str]) {
    let (mut peers, mut cases) = (Vec::new(), Vec::new());
    for row in rows {
        if !peers.contains(&row.peer) {
            peers.push(row.peer);
        }
        if !cases.contains(&row.case) {
            cases.push(row.case);
        }
    }
    let _ = writeln!(text, "| case | {} |", peers.join(" | "));
    let _ = writeln!(text, "|---|{}", "--:|".repeat(peers.len()));
    for case in cases {
        let of_case: Vec<&Row> = rows.iter().copied().filter(|row| row.case == case).collect();
        let best = best(&of_case, yardsticks);
        let _ = write!(text, "| {case} |");
        for peer in &peers {
            let cell = of_case.iter().find(|row| row.peer == *peer);
            let _ = write!(text, " {} |", cell.map_or(String::new(), |row| self::cell(row, best)));
        }
        text.push('\n');
    }
}

/// The best median among transports; `None` where only yardsticks have one.
fn best(rows: &[&Row], yardsticks: &[&str]) -> Option<f64> {
    let transports = rows.iter().filter(|row| !yardsticks.contains(&row.peer));
    let figures = transports.filter_map(|row| row.figures.as_ref().ok());
    let better = |a: &Figures, b: &Figures| match a.metric {
        "latency" | "cost" => a.median.total_cmp(&b.median),
        _ => b.median.total_cmp(&a.median),
    };
    figures.min_by(|a, b| better(a, b)).map(|figures| figures.median)
}

fn cell(row: &Row, best: Option<f64>) -> String {
    let figures = match &row.figures {
        Ok(figures) => figures,
        Err(failure @ Failure::NotInstalled { .. }) => return format!("**{}**", plain(failure)),
        Err(failure) => return format!("**FAILED: {}**", plain(failure)),
    };
    let show = |value| amount(value, figures.unit);
    let mut cell = show(figures.median);
    if let Some(best) = best {
        let _ = write!(cell, " (×{:.2})", figures.median / best);
    }
    let _ = write!(cell, "<br>[{} to {}]", show(figures.min), show(figures.max));
    if let Some((p99, p999)) = figures.tail {
        let _ = write!(cell, "<br>p99 {}, p99.9 {}", show(p99), show(p999));
    }
    if figures.unit == "frames/s" && row.case.size >= 1024 && !row.case.is(Variant::Touch) {
        let bytes = figures.median * row.case.size as f64;
        let _ = write!(cell, "<br>{}", amount(bytes, "bytes/s"));
    }
    cell
}

/// A failure on one line of a table.
fn plain(failure: &Failure) -> String {
    failure.to_string().replace('|', "/").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Three digits and a unit.
pub fn amount(value: f64, unit: &str) -> String {
    let steps: [(f64, &str); 4] = match unit {
        "ns" => [(1e9, "s"), (1e6, "ms"), (1e3, "us"), (1.0, "ns")],
        "frames/s" => [(1e9, "G/s"), (1e6, "M/s"), (1e3, "k/s"), (1.0, "/s")],
        _ => [(1e9, "GB/s"), (1e6, "MB/s"), (1e3, "kB/s"), (1.0, "B/s")],
    };
    let (scale, name) = steps.into_iter().find(|(scale, _)| value >= *scale).unwrap_or(steps[3]);
    let value = value / scale;
    let digits = if value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    format!("{value:.digits$} {name}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::case::Case;
    use crate::harness::sample::Sample;

    fn row(case: &str, peer: &'static str, figures: Result<Sample, Failure>) -> Row {
        let figures = figures.map(|sample| Figures::of(&[sample]).unwrap());
        Row { case: Case::named(case).unwrap(), peer, figures }
    }

    fn rows() -> Vec<Row> {
        let trip = |median| Ok(Sample::Latency { median, p99: 900.0, p999: 12_000.0 });
        let missing = Err(Failure::NotInstalled { what: "a | b\nc".into() });
        vec![
            row("rust/rtt/64B/spin", "limit", trip(100.0)),
            row("rust/rtt/64B/spin", "a", trip(660.0)),
            row("rust/rtt/64B/spin", "b", trip(330.0)),
            row("rust/stream/1MiB/copy", "a", Ok(Sample::FramesPerSecond(44_000.0))),
            row("rust/stream/1MiB/copy", "b", missing),
        ]
    }

    /// R7.5: programs find every figure under its case and peer, and no made-up one: of who failed or
    /// is missing they find that.
    #[test]
    fn json_has_an_object_per_row() {
        let mut rows = rows();
        let silent = Failure::Silent { waited: std::time::Duration::from_secs(1) };
        rows.push(row("rust/stream/1MiB/copy", "c", Err(silent)));
        let json = json(&rows);
        let list = json.as_array().unwrap();
        assert_eq!(list.len(), 6);
        assert_eq!(list[4]["not_installed"], "a | b\nc");
        assert!(list[5]["failure"].as_str().unwrap().starts_with("nothing came or went for 1s"));
        assert!(list[4..].iter().all(|object| object.get("median").is_none()));
        assert_eq!(list[1]["case"], "rust/rtt/64B/spin");
        assert_eq!(list[1]["peer"], "a");
        assert_eq!((&list[1]["metric"], &list[1]["unit"]), (&json!("latency"), &json!("ns")));
        assert_eq!(list[1]["median"], 660.0);
        assert_eq!(list[1]["p999"], 12_000.0);
        assert!(list[3].get("p99").is_none());
    }

    /// R7.2: people see the peers side by side, and loudly what is missing.
    #[test]
    fn markdown_compares_with_the_best_transport() {
        let text = markdown(&rows(), &["limit"]);
        assert!(text.contains("| case | limit | a | b |\n|---|--:|--:|--:|\n"), "{text}");
        assert!(
            text.contains("| 100 ns (×0.30)<br>[100 ns to 100 ns]<br>p99 900 ns, p99.9 12.0 us |")
        );
        assert!(text.contains("| 660 ns (×2.00)"), "{text}");
        assert!(text.contains("|  | 44.0 k/s (×1.00)<br>[44.0 k/s to 44.0 k/s]<br>46.1 GB/s |"));
        assert!(text.contains("| **not installed: a / b c** |"), "{text}");
    }

    /// R7.5: three digits, in the unit that fits.
    #[test]
    fn amounts_are_short() {
        assert_eq!(amount(127.4, "ns"), "127 ns");
        assert_eq!(amount(1234.0, "ns"), "1.23 us");
        assert_eq!(amount(99.96, "frames/s"), "100 /s");
        assert_eq!(amount(0.5, "ns"), "0.50 ns");
        assert_eq!(amount(16.04e9, "bytes/s"), "16.0 GB/s");
    }
}
