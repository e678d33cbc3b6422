//! Where the two programs lie in the machine's memory. They come out as flat files, as they lie in flash.

fn main() {
    println!("cargo:rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
    println!("cargo:rustc-link-arg-bins=--oformat=binary");
    for program in ["bootloader", "application"] {
        println!("cargo:rustc-link-arg-bin={program}=-T{program}.ld");
        println!("cargo:rerun-if-changed={program}.ld");
    }
    println!("cargo:rerun-if-changed=sections.ld");
}
