//! Times Burn's own `CTCLoss` on its wgpu backend: `log_softmax`, loss, and the gradient by
//! autodiff, all in f32.
//!
//! `burn-peer T,N,C,L …` prints one JSON line per shape, like the other peers.

use std::error::Error;
use std::time::{Duration, Instant};

use burn::nn::loss::{CTCLoss, CTCLossConfig};
use burn::tensor::activation::log_softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use ctc_wgpu_bench_support::seeded;
use serde_json::{Value, json};

/// As in the other programs: about a second after a warm-up, and at least five runs.
const WARM_UP: Duration = Duration::from_millis(200);
const ENOUGH: Duration = Duration::from_secs(1);
const LEAST_RUNS: usize = 5;

/// Must match `Cargo.toml`, since Burn has no constant for its version.
const VERSION: &str = "0.22.1";

type Outcome<T> = Result<T, Box<dyn Error>>;

/// A batch on the device, time-major as Burn requires it.
struct Batch {
    device: Device,
    logits: Tensor<3>,
    labels: Tensor<2, Int>,
    logit_lengths: Tensor<1, Int>,
    label_lengths: Tensor<1, Int>,
    ctc: CTCLoss,
}

impl Batch {
    fn new(shape: [usize; 4], device: &Device) -> Self {
        let [frames, items, classes, max_labels] = shape;
        let (logits, labels) = seeded::numbers(shape, 1.0);
        let logits = TensorData::new(logits, [items, frames, classes]);
        let logits = Tensor::<3>::from_data(logits, device).swap_dims(0, 1);
        // A copy in the order of its axes: a permuted view would be reordered in every step.
        let logits = (logits * 1.0).detach();
        let labels = TensorData::new(labels, [items, max_labels]);
        let full = |length: usize| {
            let length = i32::try_from(length).unwrap_or(i32::MAX);
            Tensor::<1, Int>::from_data(TensorData::new(vec![length; items], [items]), device)
        };
        Self {
            device: device.clone(),
            logits,
            labels: Tensor::from_data(labels, device),
            logit_lengths: full(frames),
            label_lengths: full(max_labels),
            ctc: CTCLossConfig::new().init(),
        }
    }

    /// Enqueues one step of training. Burn computes lazily, until a wait or a read.
    fn step(&self) -> Outcome<(Tensor<1>, Tensor<3>)> {
        let logits = self.logits.clone().require_grad();
        let loss = self.ctc.forward(
            log_softmax(logits.clone(), 2),
            self.labels.clone(),
            self.logit_lengths.clone(),
            self.label_lengths.clone(),
        );
        let gradients = loss.clone().sum().backward();
        let grad = logits.grad(&gradients).ok_or("no gradient")?;
        Ok((loss, grad))
    }

    fn timed(&self) -> Outcome<Duration> {
        let start = Instant::now();
        let answer = self.step()?;
        self.device.sync().map_err(|e| format!("{e:?}"))?;
        let time = start.elapsed();
        drop(answer);
        Ok(time)
    }
}

fn measure(shape: [usize; 4], device: &Device) -> Outcome<Value> {
    let batch = Batch::new(shape, device);
    let (loss, grad) = batch.step()?;
    let (loss, grad) = (read(loss)?, read(grad)?);
    let start = Instant::now();
    while start.elapsed() < WARM_UP {
        batch.timed()?;
    }
    let start = Instant::now();
    let mut times = Vec::new();
    while times.len() < LEAST_RUNS || start.elapsed() < ENOUGH {
        times.push(batch.timed()?.as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    Ok(json!({
        "median_ms": times[times.len() / 2],
        "min_ms": times[0],
        "runs": times.len(),
        "mean_loss": loss.iter().sum::<f64>() / shape[1] as f64,
        "grad_l1": grad.iter().map(|g| g.abs()).sum::<f64>(),
    }))
}

fn read<const D: usize>(tensor: Tensor<D>) -> Outcome<Vec<f64>> {
    let data = tensor.try_into_data().map_err(|e| format!("{e:?}"))?;
    let values = data.try_to_vec::<f32>().map_err(|e| format!("{e:?}"))?;
    Ok(values.into_iter().map(f64::from).collect())
}

/// Returns the first cause, which is the last in Burn's list, without the backtrace.
fn last_cause(message: &str) -> &str {
    let cause = message.rsplit("Caused by:").next().unwrap_or(message);
    cause.trim().lines().next().unwrap_or_default()
}

fn shape(text: &str) -> Outcome<[usize; 4]> {
    let numbers: Result<Vec<usize>, _> = text.split(',').map(str::parse).collect();
    let numbers = numbers.map_err(|e| format!("{text}: {e}"))?;
    let shape = <[usize; 4]>::try_from(numbers);
    Ok(shape.map_err(|_| format!("{text}: T,N,C,L is needed"))?)
}

fn main() -> Outcome<()> {
    let given: Outcome<Vec<_>> = std::env::args().skip(1).map(|text| shape(&text)).collect();
    let shapes = match given? {
        given if given.is_empty() => seeded::SHAPES.to_vec(),
        given => given,
    };
    let (device, setup) = Device::wgpu_options().init_with_setup()?;
    let adapter = setup.adapter.get_info().name;
    let device = device.autodiff();
    for shape in shapes {
        let mut line = match measure(shape, &device) {
            Ok(line) => line,
            Err(reason) => json!({ "error": last_cause(&reason.to_string()) }),
        };
        line["peer"] = json!("burn");
        line["version"] = json!(VERSION);
        line["shape"] = json!(shape);
        line["adapter"] = json!(adapter);
        println!("{line}");
    }
    Ok(())
}
