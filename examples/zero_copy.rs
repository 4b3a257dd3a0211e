//! CTC loss with your device, your buffers and your command encoder. Nothing is copied, and nothing
//! blocks until you read the losses back.
//!
//! Run it with `cargo run --release --example zero_copy`.

use std::error::Error;
use std::process::ExitCode;
use std::sync::mpsc;

use ctc_wgpu::{BatchShape, Buffers, GpuCtc, Options};
use wgpu::util::DeviceExt;
use wgpu::{BufferUsages, Device, Queue};

const ITEMS: usize = 4;
const FRAMES: usize = 6;
const CLASSES: usize = 3;
const MAX_LABELS: usize = 2;

fn main() -> ExitCode {
    let Some((device, queue)) = pollster::block_on(device()) else {
        eprintln!(
            "No GPU adapter was found. Install a GPU driver, or a software adapter (on Debian and Ubuntu: \
             `apt-get install mesa-vulkan-drivers`). Without a GPU, see `--example quickstart`: it falls back to the CPU."
        );
        return ExitCode::FAILURE;
    };
    match run(&device, &queue) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(device: &Device, queue: &Queue) -> Result<(), Box<dyn Error>> {
    // Create one GpuCtc per device and one plan per shape, once. The plan owns the workspace.
    let ctc = GpuCtc::new(device, queue)?;
    let shape = BatchShape::new(ITEMS, FRAMES, CLASSES, MAX_LABELS);
    let plan = ctc.plan(&shape, &Options::default())?;
    println!("{}", plan.plan());

    // Your buffers. In a training loop the previous layer writes the logits, which never leave the
    // GPU. Here they are uploaded, with all classes equally probable, so that the losses can be
    // counted by hand.
    let logits = filled(device, "logits", &[0.0_f32; ITEMS * FRAMES * CLASSES]);
    let labels = filled(device, "labels", &[1_i32, 2, 1, 1, 2, -1, -1, -1]);
    let label_lengths = filled(device, "label lengths", &[2_i32, 2, 1, 0]);
    let loss = empty(device, "loss", ITEMS);
    let status = empty(device, "status", ITEMS);
    let grad = empty(device, "gradient", shape.elements());
    // Each buffer is bound as a whole here. To bind a range of a larger buffer, assign a
    // `wgpu::BufferBinding` with an offset to the field; several ranges may be in one buffer.
    let buffers = Buffers::new(&logits, &labels, &label_lengths, &loss)
        .grad(&grad)
        .status(&status);

    // The losses are copied to a buffer that the host can read. The gradient stays on the GPU for
    // the previous layer.
    let readback = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("readback"),
        size: loss.size(),
        usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });

    // In each step: record the loss, and submit it together with your own passes before and after
    // it.
    let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    plan.encode(&mut encoder, &buffers)?;
    encoder.copy_buffer_to_buffer(&loss, 0, &readback, 0, loss.size());
    queue.submit([encoder.finish()]);

    // The only blocking call.
    let (sender, receiver) = mpsc::channel();
    readback.map_async(wgpu::MapMode::Read, .., move |result| {
        // The receiver exists until the result arrives.
        let _ = sender.send(result);
    });
    device.poll(wgpu::PollType::wait_indefinitely())?;
    receiver.recv()??;
    let bytes = readback.get_mapped_range(..)?;
    let losses: &[f32] = bytemuck::cast_slice(&bytes);

    // There are 3⁶ = 729 equally probable paths. The number of those that give the labels is the
    // binomial coefficient of T + L − repeats over 2L.
    let words = [("1 2", 70_u16), ("1 1", 35), ("2", 21), ("", 1)];
    println!("labels    loss   expected");
    for ((word, paths), loss) in words.iter().zip(losses) {
        let expected = (729.0 / f32::from(*paths)).ln();
        println!("{word:<6}{loss:>8.4}{expected:>11.4}");
        if (loss - expected).abs() > 1e-5 {
            return Err(format!("the loss of \"{word}\" is wrong").into());
        }
    }
    Ok(())
}

/// Creates a device with the default limits, which suffice. Returns `None` if no adapter supports
/// one.
async fn device() -> Option<(Device, Queue)> {
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = instance
        .request_adapter(&wgpu::RequestAdapterOptions {
            power_preference: wgpu::PowerPreference::HighPerformance,
            ..Default::default()
        })
        .await
        .ok()?;
    println!("on {}\n", adapter.get_info().name);
    adapter
        .request_device(&wgpu::DeviceDescriptor::default())
        .await
        .ok()
}

fn filled<T: bytemuck::NoUninit>(device: &Device, label: &str, values: &[T]) -> wgpu::Buffer {
    device.create_buffer_init(&wgpu::util::BufferInitDescriptor {
        label: Some(label),
        contents: bytemuck::cast_slice(values),
        usage: BufferUsages::STORAGE,
    })
}

/// Creates a buffer of `words` zeros: WebGPU initialises new buffers to 0.
fn empty(device: &Device, label: &str, words: usize) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: words as u64 * 4,
        usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    })
}
