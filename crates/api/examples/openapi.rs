//! Renews docs/openapi.json, the checked-in OpenAPI document:
//!
//! ```sh
//! cargo run -p otaru-api --example openapi
//! ```

fn main() -> std::io::Result<()> {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json"), otaru_api::document())
}
