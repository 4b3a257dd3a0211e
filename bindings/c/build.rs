//! Sets the shared library's SONAME, by which the dynamic linker finds it: it contains the version
//! of the ABI, so that a program never loads a library with an incompatible one.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let os = std::env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if ["linux", "freebsd", "netbsd", "openbsd", "android"].contains(&os.as_str()) {
        println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libctc_wgpu_c.so.0");
    }
}
