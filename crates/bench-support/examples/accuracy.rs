//! Prints the errors of the losses and gradients of every backend, relative to the float64
//! reference, as a table.
//!
//! Run it with `cargo run --release --example accuracy`; the README's table is its output.

use ctc_wgpu::{Ctc, Error, Options, adapters, reference};
use ctc_wgpu_bench_support::inputs::{self, Inputs};
use ctc_wgpu_bench_support::seeded::SHAPES;

/// `[T, N, C, L]` of each batch, and the scale of its logits.
const BATCHES: [([usize; 4], f32); 6] = [
    (SHAPES[0], 1.0),
    (SHAPES[3], 1.0),
    (SHAPES[5], 1.0),
    (SHAPES[6], 1.0),
    (SHAPES[6], 10.0),
    ([10_000, 1, 32, 500], 10.0),
];

fn main() -> Result<(), Error> {
    let mut backends = vec![Ctc::cpu()];
    for adapter in &adapters() {
        backends.push(Ctc::on_adapter(adapter)?);
    }
    for (number, ctc) in (1..).zip(&backends) {
        println!("({number}) {}", ctc.backend());
    }
    print!("\n| batch |");
    for number in 1..=backends.len() {
        print!(" loss ({number}) | gradient ({number}) |");
    }
    println!("\n| --- |{}", " ---: | ---: |".repeat(backends.len()));
    for (shape, scale) in BATCHES {
        let inputs = Inputs::new(shape, scale);
        let options = Options::default();
        let truth = reference::loss_and_grad(&inputs.batch(), &options)?;
        print!("| {}, logits ×{scale} |", inputs::name(shape));
        for ctc in &backends {
            let output = ctc.loss_and_grad(&inputs.batch(), &options)?;
            let loss = worst(&output.loss, &truth.loss, |loss| loss.max(1.0));
            let grad = worst(&output.grad, &truth.grad, |_| 1.0);
            print!(" {loss:.1e} | {grad:.1e} |");
        }
        println!();
    }
    println!("\nloss: largest |error| / max(1, loss); gradient: largest |error|");
    Ok(())
}

/// Returns the largest absolute error, each divided by `unit` of the true value.
fn worst(found: &[f32], truth: &[f64], unit: impl Fn(f64) -> f64) -> f64 {
    let errors = found
        .iter()
        .zip(truth)
        .map(|(f, t)| (f64::from(*f) - t).abs() / unit(*t));
    errors.fold(0.0, f64::max)
}
