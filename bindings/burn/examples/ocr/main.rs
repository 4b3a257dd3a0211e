//! A network that learns to read lines of text, trained by Burn's Learner with the CTC loss of this crate.
//!
//! The lines are drawn on the fly: 1 to 6 characters of three faces, with jitter, spacing, contrast and noise, in 50 columns
//! of 20 pixels. The network is Input(50, 20) → Dense(123, relu) → LSTM(128) → Dense(20). It trains, is saved, is loaded
//! again, reads lines that it has never seen, and must read 85 % of them without a fault.
//!
//! `cargo run --release --example ocr` (with `--features tui` for Burn's own display) takes the GPU where there is one, else the CPU; `-- flex` and `-- wgpu` choose.
//! `-- wgpu` takes a software adapter too. A second argument is the number of epochs, 16 if there is none; 6 are enough for 85 %.

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
use progress::{Epochs, OneCycle};

const BATCH: usize = 32;
/// Where nobody says how many.
const EPOCHS: usize = 16;
const BATCHES_OF_AN_EPOCH: usize = 200;
/// Lines that no epoch sees.
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
    let begun = Instant::now();
    let (device, name) = open(std::env::args().nth(1).as_deref())?;
    let epochs = match std::env::args().nth(2) {
        Some(number) => number
            .parse()
            .map_err(|e| format!("epochs {number}: {e}"))?,
        None => EPOCHS,
    };
    let shared = ctc_wgpu_burn::is_shared(&device);
    println!(
        "on {name}, loss {}",
        if shared {
            "on the device, without a copy"
        } else {
            "by the CPU backend"
        }
    );

    let model = train(&device, epochs)?;
    println!("trained in {:.0} s", begun.elapsed().as_secs_f32());

    let path = std::env::temp_dir().join("ctc-wgpu-ocr.bpk");
    model.save_file(&path)?;
    let model = Network::new(&device).try_load_file(&path)?;
    println!("saved to {} and loaded again", path.display());

    let mut right = 0;
    let held_out = Lines::held_out(HELD_OUT);
    for first in (0..HELD_OUT).step_by(BATCH) {
        let lines: Vec<_> = (first..HELD_OUT.min(first + BATCH))
            .map(|index| held_out.line(index))
            .collect();
        let images = Batches.images(&lines, &device);
        for (read, line) in model.read(images)?.into_iter().zip(&lines) {
            let [read, text] = [&read, &line.classes].map(|classes| lines::text(classes));
            if first == 0 && right < 8 {
                println!("{}{text:<6} read as {read}\n", line.picture());
            }
            right += usize::from(read == text);
        }
    }
    let share = 100.0 * right as f32 / HELD_OUT as f32;
    println!("{right} of {HELD_OUT} lines never seen are read without a fault: {share:.1} %");
    println!("all in all {:.0} s", begun.elapsed().as_secs_f32());
    Ok(share >= 85.0)
}

/// The device by name; without one a GPU if there is a real one, else the CPU.
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
        Some(other) => Err(format!("no device is called {other}: flex or wgpu").into()),
    }
}

fn train(device: &Device, epochs: usize) -> Result<Network, Box<dyn Error>> {
    let directory = std::env::temp_dir().join("ctc-wgpu-ocr");
    std::fs::create_dir_all(&directory)?;
    let training = device.clone().autodiff();
    let lines = Lines::fresh(
        BATCH * BATCHES_OF_AN_EPOCH,
        BATCH * BATCHES_OF_AN_EPOCH * epochs,
    );
    let train = DataLoaderBuilder::new(Batches)
        .batch_size(BATCH)
        .set_device(training.clone())
        .build(lines);
    let valid = DataLoaderBuilder::new(Batches)
        .batch_size(BATCH)
        .set_device(device.clone())
        .build(Lines::validation(10 * BATCH));
    let steps = epochs * BATCHES_OF_AN_EPOCH;
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
    // Burn's display of a training needs a terminal, and its feature `tui`. Else a line an epoch.
    if !(cfg!(feature = "tui") && std::io::stdout().is_terminal()) {
        run = run.renderer(Box::new(Epochs::default()));
    }
    Ok(run.launch(learner).model)
}
