//! Compares the time and the accuracy of this crate's loss and gradient with those of Burn's own
//! loss, from logits to losses and gradient on the host. The time of Burn's loss includes its
//! log-softmax. The errors of the gradients are deviations from the float64 reference.
//!
//! `cargo run --release --example speed` runs on Burn's default wgpu adapter, or a software adapter
//! if there is no other, and on flex.

use std::error::Error;
use std::time::{Duration, Instant};

use burn::nn::loss::CTCLossConfig;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, DeviceKind, Distribution, Int, Tensor, TensorData};
use ctc_wgpu_burn::CtcLossConfig;

const SHAPES: [[usize; 4]; 4] = [
    [50, 32, 20, 12],
    [150, 32, 28, 40],
    [256, 16, 80, 100],
    [500, 8, 1000, 100],
];
const REPETITIONS: usize = 11;

/// A batch whose frames and labels are all valid.
struct Batch {
    logits: Tensor<3>,
    targets: Tensor<2, Int>,
    input_lengths: Tensor<1, Int>,
    target_lengths: Tensor<1, Int>,
}

impl Batch {
    fn new([frames, items, classes, labels]: [usize; 4], device: &Device) -> Self {
        // No two consecutive labels are equal, and none is the blank.
        let targets: Vec<i32> = (0..items * labels)
            .map(|i| (1 + i * 7 % (classes - 1)) as i32)
            .collect();
        Self {
            logits: Tensor::random(
                [frames, items, classes],
                Distribution::Normal(0.0, 1.0),
                device,
            )
            .require_grad(),
            targets: Tensor::from_data(TensorData::new(targets, [items, labels]), device),
            input_lengths: Tensor::full([items], frames as i32, device),
            target_lengths: Tensor::full([items], labels as i32, device),
        }
    }

    /// Returns losses and gradient, by this crate or by Burn.
    fn loss_and_grad(&self, ours: bool) -> Result<(Vec<f32>, Vec<f32>), Box<dyn Error>> {
        let (targets, lengths) = (self.targets.clone(), self.input_lengths.clone());
        let target_lengths = self.target_lengths.clone();
        let losses = if ours {
            let loss = CtcLossConfig::new().init();
            loss.forward(self.logits.clone(), targets, lengths, target_lengths)
        } else {
            let log_probs = log_softmax(self.logits.clone(), 2);
            CTCLossConfig::new()
                .init()
                .forward(log_probs, targets, lengths, target_lengths)
        };
        let grads = losses.clone().sum().backward();
        let grad = self
            .logits
            .grad(&grads)
            .ok_or("the logits have no gradient")?;
        Ok((losses.try_into_vec_as()?, grad.try_into_vec_as()?))
    }

    /// Returns the gradient by the float64 reference.
    fn reference_grad(
        &self,
        [frames, items, classes, labels]: [usize; 4],
    ) -> Result<Vec<f64>, Box<dyn Error>> {
        let logits: Vec<f32> = self.logits.clone().try_into_vec_as()?;
        let targets: Vec<i32> = self.targets.clone().try_into_vec_as()?;
        let lengths = vec![labels as i32; items];
        let batch = ctc_wgpu::Batch::time_major([frames, items, classes], &logits)
            .labels(&targets, &lengths);
        let options = ctc_wgpu::Options::default();
        Ok(ctc_wgpu::reference::loss_and_grad(&batch, &options)?.grad)
    }
}

/// Returns the largest error, or NaN if there is one.
fn largest_error(grad: &[f32], expected: &[f64]) -> f64 {
    let each = grad
        .iter()
        .zip(expected)
        .map(|(got, want)| (f64::from(*got) - want).abs());
    each.fold(0.0, |largest: f64, error| {
        if largest.is_nan() || largest >= error {
            largest
        } else {
            error
        }
    })
}

fn main() -> Result<(), Box<dyn Error>> {
    let open = |options: burn::tensor::wgpu::WgpuOptions| -> Result<_, Box<dyn Error>> {
        let (device, setup) = options.init_with_setup()?;
        ctc_wgpu_burn::register(&device, &setup)?;
        Ok((device, setup.adapter.get_info().name))
    };
    let wgpu = open(Device::wgpu_options())
        .or_else(|_| open(Device::wgpu_options().device_kind(DeviceKind::Cpu)))?;
    for (device, name) in [wgpu, (Device::flex(), "flex".to_owned())] {
        println!(
            "\n{name}\n| T, N, C, L | Burn, ms | ctc-wgpu, ms | speed-up | Burn, gradient error \
             | ctc-wgpu, gradient error |\n| --- | ---: | ---: | ---: | ---: | ---: |"
        );
        for shape in SHAPES {
            let batch = Batch::new(shape, &device.clone().autodiff());
            // The first call of each compiles its kernels.
            let (ours, theirs) = (batch.loss_and_grad(true)?, batch.loss_and_grad(false)?);
            let expected = batch.reference_grad(shape)?;
            let [error, burn_error] =
                [&ours.1, &theirs.1].map(|grad| largest_error(grad, &expected));
            // False for NaN too.
            let accurate = error <= 1e-5;
            if !accurate {
                let message =
                    format!("{shape:?}: the gradient of ctc-wgpu has an error of {error:e}");
                return Err(message.into());
            }
            let mut times = [Vec::new(), Vec::new()];
            for _ in 0..REPETITIONS {
                for (ours, times) in [true, false].into_iter().zip(&mut times) {
                    let start = Instant::now();
                    batch.loss_and_grad(ours)?;
                    times.push(start.elapsed());
                }
            }
            let [ours, theirs] = times.map(median);
            let [t, n, c, l] = shape;
            println!(
                "| {t}, {n}, {c}, {l} | {theirs:.2} | {ours:.2} | {:.1} | {burn_error:.0e} | {error:.0e} |",
                theirs / ours
            );
        }
    }
    Ok(())
}

/// Returns the median in milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}
