//! Runs many processes on one GPU for a long time and checks every result.
//!
//! `cargo run --release --example soak -- 8 600` starts eight processes for 600 seconds. On a
//! machine without a GPU it tests a software driver.
//!
//! Each process computes batches of eight shapes in turn. It compares the first losses and
//! gradients of each shape with the CPU backend's, within a tolerance, and all later ones with the
//! first, bit for bit. It prints the number of batches, and exits with status 1 at the first
//! difference.

use std::env::{args, current_exe};
use std::error::Error;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use ctc_wgpu::{Batch, Ctc, LossAndGradOutput, Options};

/// The arrays of one batch.
struct Data {
    dims: [usize; 3],
    logits: Vec<f32>,
    labels: Vec<i32>,
    label_lengths: Vec<i32>,
}

impl Data {
    fn new(index: u8) -> Self {
        let length = 3 + 5 * i32::from(index);
        let (index, labels) = (usize::from(index), 3 + 5 * usize::from(index));
        let items = 1 + index % 4;
        let dims = [items, 2 * labels + 10, 7 + index];
        let number = |i: usize| ((i * 7_919 + index * 104_729) % 1_000) as f32 / 100.0 - 5.0;
        Self {
            dims,
            logits: (0..dims.iter().product()).map(number).collect(),
            labels: (1..=6).cycle().take(items * labels).collect(),
            label_lengths: vec![length; items],
        }
    }

    fn compute(&self, ctc: &Ctc) -> Result<LossAndGradOutput, ctc_wgpu::Error> {
        let batch = Batch::new(self.dims, &self.logits).labels(&self.labels, &self.label_lengths);
        ctc.loss_and_grad(&batch, &Options::default())
    }
}

/// Returns true if all numbers agree to 1e-5, relative to those above 1.
fn close(got: &[f32], expected: &[f32]) -> bool {
    let mut pairs = got.iter().zip(expected);
    pairs.all(|(x, y)| (x - y).abs() <= 1e-5 * y.abs().max(1.0))
}

/// Computes batches for `duration` and returns their number.
fn soak(duration: Duration) -> Result<usize, Box<dyn Error>> {
    let begin = Instant::now();
    let (gpu, cpu) = (Ctc::gpu()?, Ctc::cpu());
    let all: Vec<Data> = (0..8).map(Data::new).collect();
    let mut expected = Vec::new();
    for data in &all {
        let (output, on_cpu) = (data.compute(&gpu)?, data.compute(&cpu)?);
        if !close(&output.loss, &on_cpu.loss) || !close(&output.grad, &on_cpu.grad) {
            return Err(format!(
                "{:?}: losses or gradients differ from the CPU backend's",
                data.dims
            )
            .into());
        }
        expected.push(output);
    }
    let mut batches = all.len();
    while begin.elapsed() < duration {
        for (data, expected) in all.iter().zip(&expected) {
            if data.compute(&gpu)? != *expected {
                return Err(format!(
                    "{:?}: batch {batches} differs from the first result",
                    data.dims
                )
                .into());
            }
            batches += 1;
        }
    }
    Ok(batches)
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let numbers: Vec<u64> = args()
        .skip(1)
        .map(|text| text.parse())
        .collect::<Result<_, _>>()?;
    match numbers[..] {
        [seconds] => {
            let batches = soak(Duration::from_secs(seconds))?;
            println!("{batches} batches, all correct");
            Ok(ExitCode::SUCCESS)
        }
        [processes, seconds] => {
            let program = current_exe()?;
            let start = |_| Command::new(&program).arg(seconds.to_string()).spawn();
            let mut children = (0..processes).map(start).collect::<Result<Vec<_>, _>>()?;
            let mut failed = 0;
            for child in &mut children {
                failed += usize::from(!child.wait()?.success());
            }
            println!("{failed} of {processes} processes failed");
            Ok(ExitCode::from(u8::from(failed > 0)))
        }
        _ => Err("usage: soak PROCESSES SECONDS".into()),
    }
}
