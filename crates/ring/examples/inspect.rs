//! Prints what is in a ring: `cargo run --example inspect NAME`, or a file's path with a slash in it;
//! without a name, the rings there are.

use slipring::{Address, Error};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let outcome = match std::env::args().nth(1) {
        Some(name) => show(&name),
        None => {
            slipring::list().iter().for_each(|name| println!("{name}"));
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("inspect: {error}");
            ExitCode::FAILURE
        }
    }
}

fn show(name: &str) -> Result<(), Error> {
    let address =
        if name.contains('/') { Address::from(Path::new(name)) } else { Address::from(name) };
    print!("{}", slipring::inspect(address)?);
    Ok(())
}
