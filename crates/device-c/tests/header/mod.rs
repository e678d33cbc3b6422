//! The header as it has to be.

/// Where it is kept.
pub(crate) const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/include/otaru.h");

/// The header, made from the crate's source.
pub(crate) fn text() -> String {
    let folder = env!("CARGO_MANIFEST_DIR");
    let config = cbindgen::Config::from_root_or_default(folder);
    let bindings = cbindgen::Builder::new().with_crate(folder).with_config(config).generate();
    let mut text = Vec::new();
    bindings.expect("the crate can be read").write(&mut text);
    String::from_utf8(text).expect("it is text")
}
