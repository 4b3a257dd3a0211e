//! Trains a model end to end on one device, with its own WGSL before and after the loss and one
//! encoder per step. The host reads one number every 25th step; the weights never leave the device.
//!
//! The model is one linear layer. It learns to recognise "utterances" of four sounds, each a few
//! frames long, from labels that are the sounds in order, without their times.
//!
//! Run it with `cargo run --release --example training_loop`.

use std::error::Error;
use std::iter::repeat_n;
use std::process::ExitCode;
use std::sync::mpsc;

use ctc_wgpu::{BatchShape, Buffers, DeviceLimits, GpuCtc, Options, Reduction};
use wgpu::util::DeviceExt;
use wgpu::{BufferUsages, Device, Queue};

const ITEMS: usize = 64;
const FRAMES: usize = 40;
const SOUNDS: u16 = 4;
/// The sounds and the blank, which is class 0.
const CLASSES: usize = SOUNDS as usize + 1;
/// The largest number of sounds in an utterance.
const MAX_SOUNDS: u16 = 5;
const MAX_LABELS: usize = MAX_SOUNDS as usize;
/// The features of a frame. The last one is always 1: its weights are the bias.
const FEATURES: usize = 9;
const STEPS: usize = 200;
const READ_EVERY: usize = 25;

/// The forward pass of the layer, and the gradient of its weights with one step of gradient descent
/// with momentum. One invocation computes one logit or one weight. `ROWS` is N·T, and F the number
/// of features.
const LAYER: &str = "
const ROWS = 2560u; const CLASSES = 5u; const FEATURES = 9u; const RATE = 0.3; const MOMENTUM = 0.9;
@group(0) @binding(0) var<storage, read> features: array<f32>;        // [N·T, F]
@group(0) @binding(1) var<storage, read_write> weights: array<f32>;   // [F, C]
@group(0) @binding(2) var<storage, read_write> logits: array<f32>;    // [N·T, C]
@group(0) @binding(3) var<storage, read> grad: array<f32>;            // [N·T, C]
@group(0) @binding(4) var<storage, read_write> velocity: array<f32>;  // [F, C]

@compute @workgroup_size(64)
fn forward(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= ROWS * CLASSES) { return; }
    let row = id.x / CLASSES;
    var sum = 0.0;
    for (var f = 0u; f < FEATURES; f++) {
        sum += features[row * FEATURES + f] * weights[f * CLASSES + id.x % CLASSES];
    }
    logits[id.x] = sum;
}

@compute @workgroup_size(64)
fn descend(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= FEATURES * CLASSES) { return; }
    var sum = 0.0;
    for (var row = 0u; row < ROWS; row++) {
        sum += features[row * FEATURES + id.x / CLASSES] * grad[row * CLASSES + id.x % CLASSES];
    }
    velocity[id.x] = MOMENTUM * velocity[id.x] - RATE * sum;
    weights[id.x] += velocity[id.x];
}
";

fn main() -> ExitCode {
    let Some((device, queue)) = pollster::block_on(device()) else {
        eprintln!(
            "No usable GPU adapter was found. Install a GPU driver, or a software adapter (on Debian and \
             Ubuntu: `apt-get install mesa-vulkan-drivers`)."
        );
        return ExitCode::FAILURE;
    };
    match train(&device, &queue) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn train(device: &Device, queue: &Queue) -> Result<(), Box<dyn Error>> {
    let utterances = Utterances::new();
    let features = filled(device, "features", &utterances.features);
    let labels = filled(device, "labels", &utterances.labels);
    let label_lengths = filled(device, "label lengths", &utterances.label_lengths);
    let weights = empty(device, "weights", FEATURES * CLASSES);
    let velocity = empty(device, "velocity", FEATURES * CLASSES);
    let logits = empty(device, "logits", ITEMS * FRAMES * CLASSES);
    let grad = empty(device, "gradient", ITEMS * FRAMES * CLASSES);
    let (loss, mean) = (empty(device, "loss", ITEMS), empty(device, "mean loss", 1));

    let [forward, descend] = ["forward", "descend"].map(|name| {
        let buffers = [&features, &weights, &logits, &grad, &velocity];
        Layer::new(device, name, &buffers)
    });
    let ctc = GpuCtc::new(device, queue)?;
    // The gradient is that of the mean, so the layer need not scale it.
    let options = Options::default().reduction(Reduction::MeanBatch);
    let plan = ctc.plan(
        &BatchShape::new(ITEMS, FRAMES, CLASSES, MAX_LABELS),
        &options,
    )?;
    let buffers = Buffers::new(&logits, &labels, &label_lengths, &loss)
        .grad(&grad)
        .reduced(&mean);

    let readback = device.create_buffer(&wgpu::BufferDescriptor {
        label: Some("readback"),
        size: mean.size(),
        usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
        mapped_at_creation: false,
    });
    let mut first = None;
    let mut last = f32::NAN;
    for step in 0..=STEPS {
        let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        forward.record(&mut encoder, ITEMS * FRAMES * CLASSES);
        plan.encode(&mut encoder, &buffers)?;
        descend.record(&mut encoder, FEATURES * CLASSES);
        if step % READ_EVERY != 0 {
            // No blocking: the device computes while the next steps are recorded.
            queue.submit([encoder.finish()]);
            continue;
        }
        encoder.copy_buffer_to_buffer(&mean, 0, &readback, 0, mean.size());
        queue.submit([encoder.finish()]);
        last = read(device, &readback)?;
        first.get_or_insert(last);
        println!("step {step:>4}   mean loss {last:>8.4}");
    }
    // With zero weights all paths are equally probable. After training, wrong paths have almost no
    // probability.
    let first = first.unwrap_or(f32::NAN);
    if last < first / 50.0 {
        println!("converged: mean loss {first:.2} to {last:.4} nats in {STEPS} steps");
        return Ok(());
    }
    Err(format!("the training did not converge: mean loss {first:.2} to {last:.4} nats").into())
}

/// One of the layer's two kernels with its buffers.
struct Layer {
    pipeline: wgpu::ComputePipeline,
    group: wgpu::BindGroup,
}

impl Layer {
    fn new(device: &Device, name: &str, buffers: &[&wgpu::Buffer; 5]) -> Self {
        let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
            label: Some("layer"),
            source: wgpu::ShaderSource::Wgsl(LAYER.into()),
        });
        let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
            label: Some(name),
            layout: None,
            module: &module,
            entry_point: Some(name),
            compilation_options: wgpu::PipelineCompilationOptions::default(),
            cache: None,
        });
        // A layout that wgpu derives contains only what the entry point uses.
        let used: &[u32] = if name == "forward" {
            &[0, 1, 2]
        } else {
            &[0, 1, 3, 4]
        };
        let entries: Vec<_> = used
            .iter()
            .zip(
                used.iter()
                    .filter_map(|binding| buffers.get(*binding as usize)),
            )
            .map(|(&binding, buffer)| wgpu::BindGroupEntry {
                binding,
                resource: buffer.as_entire_binding(),
            })
            .collect();
        let group = device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(name),
            layout: &pipeline.get_bind_group_layout(0),
            entries: &entries,
        });
        Self { pipeline, group }
    }

    fn record(&self, encoder: &mut wgpu::CommandEncoder, invocations: usize) {
        let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor::default());
        pass.set_pipeline(&self.pipeline);
        pass.set_bind_group(0, &self.group, &[]);
        let groups = u32::try_from(invocations.div_ceil(64)).unwrap_or(u32::MAX);
        pass.dispatch_workgroups(groups, 1, 1);
    }
}

/// Generates labels and features: each sound lasts two to four frames, with silence around it, in
/// noise.
struct Utterances {
    features: Vec<f32>,
    labels: Vec<i32>,
    label_lengths: Vec<i32>,
}

impl Utterances {
    fn new() -> Self {
        let mut random = fastrand::Rng::with_seed(1);
        let mut features = Vec::with_capacity(ITEMS * FRAMES * FEATURES);
        let (mut labels, mut label_lengths) = (Vec::new(), Vec::new());
        for _ in 0..ITEMS {
            let length = 1 + random.u16(..MAX_SOUNDS);
            let mut frames = vec![0; 2];
            for place in 0..MAX_SOUNDS {
                if place >= length {
                    labels.push(-1);
                    continue;
                }
                let sound = 1 + random.u16(..SOUNDS);
                labels.push(i32::from(sound));
                frames.extend(repeat_n(sound, usize::from(2 + random.u16(..3))));
                frames.extend(repeat_n(0, usize::from(1 + random.u16(..3))));
            }
            label_lengths.push(i32::from(length));
            frames.resize(FRAMES, 0);
            for sound in frames {
                // A sound is present in two of the features; in silence none is present.
                features.extend((0..FEATURES - 1).map(|f| {
                    let present = sound > 0 && f / 2 == usize::from(sound) - 1;
                    f32::from(u8::from(present)) + f32::from(random.u16(..1000)) / 2000.0 - 0.25
                }));
                features.push(1.0);
            }
        }
        Self {
            features,
            labels,
            label_lengths,
        }
    }
}

/// Waits for the device and returns the number in `readback`. No other call of the training loop
/// blocks.
fn read(device: &Device, readback: &wgpu::Buffer) -> Result<f32, Box<dyn Error>> {
    let (sender, receiver) = mpsc::channel();
    readback.map_async(wgpu::MapMode::Read, .., move |result| {
        // The receiver exists until the result arrives.
        let _ = sender.send(result);
    });
    device.poll(wgpu::PollType::wait_indefinitely())?;
    receiver.recv()??;
    let number = bytemuck::pod_read_unaligned(&readback.get_mapped_range(..)?);
    readback.unmap();
    Ok(number)
}

/// Creates a device on the best adapter. The default limits suffice; subgroups make the loss faster
/// if available.
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
        .request_device(&wgpu::DeviceDescriptor {
            required_features: adapter.features() & DeviceLimits::FEATURES,
            ..wgpu::DeviceDescriptor::default()
        })
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

/// Creates a buffer of zeros: WebGPU initialises new buffers to 0.
fn empty(device: &Device, label: &str, words: usize) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size: words as u64 * 4,
        usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC,
        mapped_at_creation: false,
    })
}
