//! Tells the code which CPython it is built for, and hands it the documentation of the stub, so that `help()` says what an
//! editor says.

use std::fmt::Write;
use std::{env, fs, path::Path};

const STUB: &str = "python/slipring/_native.pyi";

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={STUB}");
    let stub = fs::read_to_string(STUB).expect("the stub stands beside the package's modules");
    let folder = env::var_os("OUT_DIR").expect("cargo gives one");
    let arms = documented(&stub).into_iter().fold(String::new(), |mut arms, (name, text)| {
        writeln!(arms, "    ({name}) => {{ {text:?} }};").expect("a String takes all");
        arms
    });
    let code = format!("macro_rules! doc {{\n{arms}}}\n");
    fs::write(Path::new(&folder).join("doc.rs"), code).expect("OUT_DIR can be written to");
}

/// Names (`Class`, `Class.method`, `function`) with what their docstrings say. Of overloads the last one that has a docstring counts.
fn documented(stub: &str) -> Vec<(String, String)> {
    let (mut found, mut class, mut name) = (Vec::<(String, String)>::new(), "", String::new());
    let mut lines = stub.lines();
    while let Some(line) = lines.next() {
        let text = line.trim_start();
        let named = |text: &'static str| line.trim_start().strip_prefix(text).map(identifier);
        if let Some(defined) = named("class ") {
            (class, name) = (defined, defined.to_owned());
        } else if let Some(defined) = named("def ") {
            name = match line.len() - text.len() {
                0 => defined.to_owned(),
                _ => format!("{class}.{defined}"),
            };
        } else if let Some(begun) = text.strip_prefix("\"\"\"") {
            let doc = docstring(begun, line.len() - text.len(), &mut lines);
            found.retain(|(other, _)| *other != name);
            found.push((name.clone(), doc));
        }
    }
    found
}

fn identifier(text: &str) -> &str {
    let end = text.find(|c: char| c != '_' && !c.is_alphanumeric());
    &text[..end.unwrap_or(text.len())]
}

/// The docstring that begins so, without its indentation.
fn docstring<'a>(begun: &str, indent: usize, lines: &mut impl Iterator<Item = &'a str>) -> String {
    let (mut doc, mut line) = (String::new(), begun);
    loop {
        if let Some((last, _)) = line.split_once("\"\"\"") {
            doc.push_str(last);
            return doc.trim_end().replace("\\\\", "\\");
        }
        doc.push_str(line);
        doc.push('\n');
        let next = lines.next().expect("a docstring ends");
        line = next.get(indent..).unwrap_or("");
    }
}
