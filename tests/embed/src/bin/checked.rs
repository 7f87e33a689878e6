//! An interpreter with the package built in, so that a sanitizer sees its Rust side: runs a program or a module.
//!
//!     checked FILE.py [ARGUMENTS]
//!     checked -m MODULE [ARGUMENTS]
#![allow(missing_docs, reason = "a program for tests")]

use pyo3::exceptions::PySystemExit;
use pyo3::prelude::*;
use pyo3::types::{IntoPyDict, PyAnyMethods};

/// As the interpreter itself does it: `sys.argv` is the program and its arguments, and beside it is where it imports from.
fn run(py: Python<'_>, mut arguments: Vec<String>) -> PyResult<()> {
    let sys = py.import("sys")?;
    sys.getattr("modules")?.set_item("slipring._native", _native::built_in(py))?;
    let is_module = arguments.first().is_some_and(|first| first == "-m");
    if is_module {
        arguments.remove(0);
    }
    let [program, ..] = &arguments[..] else { panic!("checked FILE.py | -m MODULE") };
    let (program, name) = (program.clone(), [("run_name", "__main__")].into_py_dict(py)?);
    sys.setattr("argv", arguments)?;
    let runpy = py.import("runpy")?;
    if is_module {
        name.set_item("alter_sys", true)?;
        runpy.call_method("run_module", (program,), Some(&name))?;
    } else {
        let beside = py.import("os.path")?.call_method1("dirname", (&program,))?;
        sys.getattr("path")?.call_method1("insert", (0, beside))?;
        runpy.call_method("run_path", (program,), Some(&name))?;
    }
    Ok(())
}

/// What the process ends with; the interpreter itself is not ended.
fn code(py: Python<'_>, ended: PyResult<()>) -> i32 {
    let Err(error) = ended else { return 0 };
    if !error.is_instance_of::<PySystemExit>(py) {
        error.print(py);
        return 1;
    }
    let code = error.value(py).getattr("code");
    match code.as_ref().map(|code| (code.is_none(), code.extract())) {
        Ok((true, _)) => 0,
        Ok((_, Ok(code))) => code,
        _ => {
            eprintln!("{error}");
            1
        }
    }
}

fn main() {
    let arguments = std::env::args().skip(1).collect();
    let code = Python::attach(|py| {
        let code = code(py, run(py, arguments));
        for stream in ["stdout", "stderr"] {
            let stream = py.import("sys").and_then(|sys| sys.getattr(stream));
            stream
                .and_then(|stream| stream.call_method0("flush"))
                .unwrap_or_else(|e| panic!("{e}"));
        }
        code
    });
    std::process::exit(code);
}
