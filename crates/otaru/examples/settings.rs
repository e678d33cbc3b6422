//! Renews docs/settings.md, the checked-in list of settings:
//!
//! ```sh
//! cargo run -p otaru --example settings
//! ```

fn main() -> std::io::Result<()> {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/settings.md"), otaru::settings::page())
}
