//! Every text of every kernel, with the constants that plans give it, through the shader compilers of other projects.
//!
//! naga translates it as wgpu does for each API; `spirv-val` judges the SPIR-V, glslang the GLSL and the HLSL. Tint, the
//! compiler of Chromium, takes the WGSL itself. Whatever a judge prints is a failure, warnings included. No judge of MSL is
//! to be had outside macOS: of it only naga's translation is tested here, and the rest where Metal runs the kernels.
//!
//! AMD's driver compiles every pipeline for four GPU families (`aco.rs`), which needs no GPU. The reference `aco.tsv` lists the
//! registers, spills and code size of each pipeline. A rise above 5 % fails, as does a missing or a stale pipeline. After an
//! intended change, rewrite the reference and commit it:
//!
//! ```sh
//! cargo test --all-features --test compilers -- --ignored write_what_aco_makes
//! ```
//!
//! The figures depend on the compiler: with a version of Mesa other than the one named in `aco.tsv` (Debian 12's) nothing is
//! compared, but every pipeline must still compile.
//!
//! The judges are Debian's `spirv-tools`, `glslang-tools` and `mesa-vulkan-drivers`, and the npm package that `package.json`
//! here names. One that is missing is a failure, not a skipped test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed"
)]

mod aco;
mod case;
mod cases;
mod glsl;
mod hlsl;
mod judge;
mod module;
mod msl;
mod ratchet;
mod spirv;
mod tint;
mod to_hlsl;
mod to_spirv;
mod vulkan;
