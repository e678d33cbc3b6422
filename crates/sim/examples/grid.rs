//! Writes docs/device-speed.md.

fn main() -> Result<(), String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/device-speed.md");
    std::fs::write(path, otaru_sim::grid::page()?).map_err(|error| format!("cannot write {path}: {error}"))
}
