//! The part of `benches/compilers.sh` that needs the crate.
//!
//! - `pipelines dump DIR` writes the pipelines of the seven shapes' plans and of further plans to
//!   DIR as SPIR-V and HLSL, and the plans of the seven shapes to `index.json`.
//! - `pipelines stats DIR NAME…` compiles pipelines on the first Vulkan device and prints the
//!   driver's statistics, one line of JSON for the device and one per pipeline. If the driver
//!   crashes, the lines before are complete.

use std::error::Error;
use std::path::Path;

mod dump;
mod stats;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["dump", folder] => dump::dump(Path::new(folder)),
        ["stats", folder, ref names @ ..] => stats::stats(Path::new(folder), names),
        _ => Err("usage: pipelines dump DIR | pipelines stats DIR NAME…".into()),
    }
}
