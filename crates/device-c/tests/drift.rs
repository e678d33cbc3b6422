//! `include/otaru.h` says what the crate does.

mod header;

#[test]
fn the_header_has_not_drifted() {
    let kept = std::fs::read_to_string(header::PATH).expect("the header is there");
    assert!(kept == header::text(), "make it anew: cargo run -p otaru-device-c --example header");
}
