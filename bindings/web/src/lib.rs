//! ctc-wgpu for browsers.
//!
//! `build.sh` makes of it a wasm with a JavaScript module and its types. [`ctc_loss_and_grad`] is for everybody,
//! `ctcLossAndGrad` there; the rest is what the page in `www/` shows: [`validate::validate`], [`bench::Benchmark`] and, for
//! the demonstration, [`demo::Reader`].
//!
//! Everything that may reach the GPU is a promise: a browser answers only when it is returned to.

pub mod bench;
pub mod demo;
mod js;
mod loss;
mod session;
pub mod validate;

pub use loss::ctc_loss_and_grad;

use wasm_bindgen::prelude::wasm_bindgen;

/// Tells of a panic, which is a bug of ours, on the console: without it there is only `unreachable executed`.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| {
        web_sys::console::error_1(&panic.to_string().into());
    }));
}
