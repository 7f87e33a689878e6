//! Prints what is in a ring: `cargo run --example inspect NAME`; without a name, the rings there are.

fn main() -> Result<(), slipring::Error> {
    match std::env::args().nth(1) {
        Some(name) => print!("{}", slipring::inspect(name.as_str())?),
        None => slipring::list().iter().for_each(|name| println!("{name}")),
    }
    Ok(())
}
