//! ctc-wgpu for browsers.
//!
//! `build.sh` builds a WebAssembly module with its JavaScript module and TypeScript types.
//! [`ctc_loss_and_grad`], `ctcLossAndGrad` in JavaScript, is the public interface. It does not
//! include the options `RepeatedLabels` and `RepeatedOutputs`. The rest is for the page in `www/`:
//! [`validate::validate`], [`bench::Benchmark`] and, for the demonstration, [`demo::Recogniser`].
//!
//! Every function that may use the GPU returns a promise, because a browser delivers the results of
//! the GPU only to its event loop.

pub mod bench;
pub mod demo;
mod js;
mod loss;
mod session;
pub mod validate;

pub use loss::ctc_loss_and_grad;

use wasm_bindgen::prelude::wasm_bindgen;

/// Prints panics to the console, where a browser would only print `unreachable executed`.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|panic| {
        web_sys::console::error_1(&panic.to_string().into());
    }));
}
