//! Trains a network that reads lines of text, by Burn's Learner with the CTC loss of this crate.
//!
//! The lines are drawn on the fly: 1 to 6 characters in three faces, with jitter, spacing, contrast
//! and noise, in 50 columns of 20 pixels. The network is Input(50, 20) → Dense(123, relu) →
//! LSTM(128) → Dense(20). The example trains the network, saves it, loads it, and decodes unseen
//! lines. It succeeds if at least 85 % of the lines have no error.
//!
//! `cargo run --release --example ocr` uses a GPU if one is available, and the CPU otherwise. The
//! arguments follow `--`: the device (`flex` is the CPU, `wgpu` is a GPU or a software adapter) and
//! the number of epochs, 16 by default; 6 are enough for 85 %. `--features tui` turns on Burn's
//! terminal display.

mod lines;
mod network;
mod progress;

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Instant;

use burn::data::dataloader::DataLoaderBuilder;
use burn::grad_clipping::GradientClippingConfig;
use burn::module::Module;
use burn::optim::AdamConfig;
use burn::tensor::wgpu::wgpu::DeviceType;
use burn::tensor::{Device, DeviceKind};
use burn::train::metric::{CharErrorRate, LossMetric};
use burn::train::{ExecutionStrategy, Learner, SupervisedTraining};

use lines::{Batches, Lines, PADDING};
use network::Network;
use progress::{EpochLog, OneCycle};

const BATCH: usize = 32;
/// The default.
const EPOCHS: usize = 16;
const BATCHES_PER_EPOCH: usize = 200;
/// The number of test lines, which no epoch contains.
const HELD_OUT: usize = 1000;

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool, Box<dyn Error>> {
    let start = Instant::now();
    let (device, name) = open(std::env::args().nth(1).as_deref())?;
    let epochs = match std::env::args().nth(2) {
        Some(number) => number
            .parse()
            .map_err(|e| format!("epochs {number}: {e}"))?,
        None => EPOCHS,
    };
    let shared = ctc_wgpu_burn::is_shared(&device);
    println!(
        "device: {name}; the loss is computed {}",
        if shared {
            "on the device, without a copy"
        } else {
            "on the CPU"
        }
    );

    let model = train(&device, epochs)?;
    println!("trained in {:.0} s", start.elapsed().as_secs_f32());

    let path = std::env::temp_dir().join("ctc-wgpu-ocr.bpk");
    model.save_file(&path)?;
    let model = Network::new(&device).try_load_file(&path)?;
    println!("saved to {} and loaded again", path.display());

    let mut correct = 0;
    let held_out = Lines::held_out(HELD_OUT);
    for first in (0..HELD_OUT).step_by(BATCH) {
        let lines: Vec<_> = (first..HELD_OUT.min(first + BATCH))
            .map(|index| held_out.line(index))
            .collect();
        let images = Batches.images(&lines, &device);
        for (decoded, line) in model.decode(images)?.into_iter().zip(&lines) {
            let [decoded, text] = [&decoded, &line.classes].map(|classes| lines::text(classes));
            if first == 0 && correct < 8 {
                println!("{}{text:<6} decoded as {decoded}\n", line.picture());
            }
            correct += usize::from(decoded == text);
        }
    }
    let share = 100.0 * correct as f32 / HELD_OUT as f32;
    println!("{correct} of {HELD_OUT} unseen lines decoded without an error: {share:.1} %");
    println!("total time {:.0} s", start.elapsed().as_secs_f32());
    Ok(share >= 85.0)
}

/// Opens the device of this name; without a name a hardware GPU, or the CPU if there is none.
fn open(name: Option<&str>) -> Result<(Device, String), Box<dyn Error>> {
    let shared = |options: burn::tensor::wgpu::WgpuOptions| -> Result<_, Box<dyn Error>> {
        let (device, setup) = options.init_with_setup()?;
        ctc_wgpu_burn::register(&device, &setup)?;
        Ok((device, setup.adapter.get_info()))
    };
    let flex = || (Device::flex(), "the CPU".to_owned());
    match name {
        Some("flex") => Ok(flex()),
        Some("wgpu") => {
            let (device, info) = shared(Device::wgpu_options())
                .or_else(|_| shared(Device::wgpu_options().device_kind(DeviceKind::Cpu)))?;
            Ok((device, info.name))
        }
        None => match shared(Device::wgpu_options()) {
            Ok((device, info)) if info.device_type != DeviceType::Cpu => Ok((device, info.name)),
            _ => Ok(flex()),
        },
        Some(other) => Err(format!("unknown device `{other}`: expected flex or wgpu").into()),
    }
}

fn train(device: &Device, epochs: usize) -> Result<Network, Box<dyn Error>> {
    let directory = std::env::temp_dir().join("ctc-wgpu-ocr");
    std::fs::create_dir_all(&directory)?;
    let training = device.clone().autodiff();
    let lines = Lines::fresh(
        BATCH * BATCHES_PER_EPOCH,
        BATCH * BATCHES_PER_EPOCH * epochs,
    );
    let train = DataLoaderBuilder::new(Batches)
        .batch_size(BATCH)
        .set_device(training.clone())
        .build(lines);
    let valid = DataLoaderBuilder::new(Batches)
        .batch_size(BATCH)
        .set_device(device.clone())
        .build(Lines::validation(10 * BATCH));
    let steps = epochs * BATCHES_PER_EPOCH;
    let optimizer = AdamConfig::new().with_grad_clipping(Some(GradientClippingConfig::Norm(1.0)));
    let learner = Learner::new(
        Network::new(&training),
        optimizer.init(),
        OneCycle::new(2e-3, steps),
    );
    let mut run = SupervisedTraining::new(&directory, train, valid)
        .metric_train_numeric(LossMetric::new())
        .metric_valid_numeric(LossMetric::new())
        .metric_valid_numeric(CharErrorRate::new().with_pad_token(PADDING))
        .with_training_strategy(ExecutionStrategy::SingleDevice(training).into())
        .num_epochs(epochs);
    // Burn's own display requires a terminal and the feature `tui`.
    if !(cfg!(feature = "tui") && std::io::stdout().is_terminal()) {
        run = run.renderer(Box::new(EpochLog::default()));
    }
    Ok(run.launch(learner).model)
}
