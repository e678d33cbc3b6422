//! Renews docs/metrics.md, the checked-in list of metrics:
//!
//! ```sh
//! cargo run -p otaru-api --example metrics
//! ```

fn main() -> std::io::Result<()> {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md"), otaru_api::metrics_page())
}
