//! Writes `include/otaru.h`.
#![allow(clippy::print_stdout)]

#[path = "../tests/header/mod.rs"]
mod header;

fn main() -> std::io::Result<()> {
    std::fs::write(header::PATH, header::text())?;
    println!("{}", header::PATH);
    Ok(())
}
