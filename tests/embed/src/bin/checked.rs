//! An interpreter with the package built in, so that a sanitizer sees its Rust side: runs pytest.
//!
//!     checked ARGUMENTS-OF-PYTEST
#![allow(missing_docs, reason = "a program for tests")]

use pyo3::prelude::*;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let code = Python::attach(|py| {
        let modules = py.import("sys").and_then(|sys| sys.getattr("modules"));
        modules
            .and_then(|modules| modules.set_item("slipring._native", _native::built_in(py)))
            .unwrap_or_else(|e| panic!("{e}"));
        let run = py.import("pytest").and_then(|pytest| pytest.call_method1("main", (arguments,)));
        run.and_then(|code| code.extract::<i32>()).unwrap_or_else(|e| {
            e.print(py);
            1
        })
    });
    std::process::exit(code);
}
