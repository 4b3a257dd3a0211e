//! Compiles every variant of every kernel, with all sets of constants that plans use, with the
//! shader compilers of other projects.
//!
//! naga translates each pipeline for each API as wgpu does. `spirv-val` validates the SPIR-V, and
//! glslang the GLSL and the HLSL. Tint, the compiler of Chromium, compiles the WGSL. Any output of
//! a validator is a failure, including warnings. There is no validator for MSL outside macOS, so
//! only naga's translation to it is tested here; the kernels run where Metal is available.
//!
//! AMD's driver compiles every pipeline for four GPU families (`aco.rs`), which needs no GPU. The
//! reference `aco.tsv` lists the registers, spills and code size of each pipeline. A rise above 5 %
//! fails, as does a missing or a stale pipeline. After an intended change, rewrite the reference
//! and commit it:
//!
//! ```sh
//! cargo test -p ctc-wgpu-compilers -- --ignored write_aco_tsv
//! ```
//!
//! The figures depend on the compiler. With a version of Mesa other than the one named in `aco.tsv`
//! (Debian 12's), nothing is compared, but every pipeline must still compile.
//!
//! The validators are in Debian's packages `spirv-tools`, `glslang-tools` and
//! `mesa-vulkan-drivers`, and in the npm package that `package.json` names. A missing validator is
//! a failure, not a skipped test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that panics has failed"
)]

mod aco;
mod cases;
mod glsl;
mod hlsl;
mod msl;
mod ratchet;
mod spirv;
mod tint;
mod validator;
