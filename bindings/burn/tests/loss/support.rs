//! Batches, devices, and the comparison with the reference.

use std::sync::OnceLock;

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};
use ctc_wgpu::{Batch, Impossible, Options, reference};
use ctc_wgpu_burn::{CtcLossConfig, Layout};

/// A seeded batch, `[T, N, C]`.
pub struct Case {
    pub frames: usize,
    pub items: usize,
    pub classes: usize,
    pub max_labels: usize,
    pub logits: Vec<f32>,
    pub targets: Vec<i32>,
    pub target_lengths: Vec<i32>,
    pub input_lengths: Vec<i32>,
}

/// Knuth's generator of 64 bits, whose upper half is used.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// Within ±`scale`.
    pub fn number(&mut self, scale: f32) -> f32 {
        (self.below(20_001) as f32 / 10_000.0 - 1.0) * scale
    }
}

impl Case {
    /// Lengths of all kinds; each item fits.
    pub fn new([frames, items, classes, max_labels]: [usize; 4], scale: f32) -> Self {
        let mut random = Random(frames as u64 * 31 + items as u64);
        let logits = (0..frames * items * classes)
            .map(|_| random.number(scale))
            .collect();
        let mut case = Self {
            frames,
            items,
            classes,
            max_labels,
            logits,
            targets: Vec::new(),
            target_lengths: Vec::new(),
            input_lengths: Vec::new(),
        };
        for item in 0..items {
            let length = match item {
                0 => max_labels,
                _ => 1 + random.below(max_labels),
            };
            case.target_lengths.push(length as i32);
            // Equal neighbours need a blank between them: as many frames more.
            let least = (2 * length).min(frames);
            let more = random.below(frames - least + 1);
            let given = if item == 0 { frames } else { least + more };
            case.input_lengths.push(given as i32);
            let labels = (0..max_labels).map(|_| 1 + random.below(classes - 1) as i32);
            case.targets.extend(labels);
        }
        case
    }

    pub fn batch(&self) -> Batch<'_> {
        Batch::time_major([self.frames, self.items, self.classes], &self.logits)
            .labels(&self.targets, &self.target_lengths)
            .logit_lengths(&self.input_lengths)
    }

    pub fn logits(&self, device: &Device) -> Tensor<3> {
        let shape = [self.frames, self.items, self.classes];
        Tensor::from_data(TensorData::new(self.logits.clone(), shape), device)
    }

    /// Targets, input lengths, target lengths.
    pub fn labels(&self, device: &Device) -> (Tensor<2, Int>, Tensor<1, Int>, Tensor<1, Int>) {
        let targets = TensorData::new(self.targets.clone(), [self.items, self.max_labels]);
        let lengths = |lengths: &[i32]| Tensor::from_data(lengths, device);
        (
            Tensor::from_data(targets, device),
            lengths(&self.input_lengths),
            lengths(&self.target_lengths),
        )
    }

    /// Losses, and the gradient of Σ `weights`·loss, by the reference.
    pub fn expected(&self, weights: &[f32], zero_infinity: bool) -> (Vec<f64>, Vec<f64>) {
        let options = Options::default().impossible(match zero_infinity {
            true => Impossible::Zero,
            false => Impossible::Infinity,
        });
        let batch = self.batch().weights(weights);
        let output =
            reference::loss_and_grad(&batch, &options).expect("a batch that keeps the rules");
        (output.loss, output.grad)
    }
}

/// A weight an item, so that no two losses can be taken for each other.
pub fn weights(items: usize) -> Vec<f32> {
    (0..items).map(|n| 1.0 + 0.5 * n as f32).collect()
}

/// How logits are handed over.
#[derive(Debug, Clone, Copy)]
pub enum Handed {
    /// `[T, N, C]` as it is.
    TimeMajor,
    /// `[N, T, C]` to a loss that expects it.
    BatchMajor,
    /// `[T, N, C]` as a view of memory that is `[N, T, C]`.
    Swapped,
    /// `[N, T, C]` as a view of memory that is `[T, N, C]`.
    SwappedBatchMajor,
    /// A part of something larger, in every axis.
    Sliced,
}

pub const ALL_WAYS: [Handed; 5] = [
    Handed::TimeMajor,
    Handed::BatchMajor,
    Handed::Swapped,
    Handed::SwappedBatchMajor,
    Handed::Sliced,
];

/// Losses and the gradient `[T, N, C]` on an autodiff device. There is work of Burn's before and after, which fusion may join.
pub fn ours(
    case: &Case,
    handed: Handed,
    zero_infinity: bool,
    device: &Device,
) -> (Vec<f32>, Vec<f32>) {
    let leaf = case.logits(device).require_grad();
    let pending = (leaf.clone() + 1.0) - 1.0;
    let materialised = |tensor: Tensor<3>| tensor.clone() + tensor.zeros_like();
    let (logits, layout) = match handed {
        Handed::TimeMajor => (pending, Layout::TimeMajor),
        Handed::BatchMajor => (materialised(pending.swap_dims(0, 1)), Layout::BatchMajor),
        Handed::Swapped => (
            contiguous(pending.swap_dims(0, 1)).swap_dims(0, 1),
            Layout::TimeMajor,
        ),
        Handed::SwappedBatchMajor => (pending.swap_dims(0, 1), Layout::BatchMajor),
        Handed::Sliced => {
            let [t, n, c] = pending.dims();
            let larger = pending.pad([(1, 2), (2, 1), (1, 1)], 7.0);
            (
                larger.slice([1..1 + t, 2..2 + n, 1..1 + c]),
                Layout::TimeMajor,
            )
        }
    };
    let loss = CtcLossConfig::new()
        .with_layout(layout)
        .with_zero_infinity(zero_infinity)
        .init();
    let (targets, input_lengths, target_lengths) = case.labels(device);
    let losses = loss.forward(logits, targets, input_lengths, target_lengths);
    let factors = Tensor::<1>::from_data(weights(case.items).as_slice(), device);
    // Not Σ: an infinite loss times its weight would do, but its gradient is what comes in.
    let grads = (losses.clone() * factors).sum().backward();
    let grad = leaf.grad(&grads).expect("the logits have a gradient");
    (floats(losses), floats(grad))
}

/// In the order of its axes, by way of the host: no view is left of what was before.
fn contiguous(tensor: Tensor<3>) -> Tensor<3> {
    // A reshape to one axis and back copies what does not lie in order.
    let dims = tensor.dims();
    tensor.reshape([-1]).reshape(dims)
}

pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("f32")
}

/// Within the tolerances of the library's own tests.
pub fn assert_near(
    what: &str,
    (loss, grad): &(Vec<f32>, Vec<f32>),
    expected: &(Vec<f64>, Vec<f64>),
) {
    assert_eq!(
        (loss.len(), grad.len()),
        (expected.0.len(), expected.1.len())
    );
    for (n, (got, want)) in loss.iter().zip(&expected.0).enumerate() {
        let off = (f64::from(*got) - want).abs();
        let same = f64::from(*got) == *want;
        assert!(
            same || off <= 1e-6 * want.abs().max(1.0),
            "{what}: loss {n} is {got}, not {want}"
        );
    }
    // The gradient is of weighted losses: the tolerance grows with the largest weight.
    let largest = f64::from(*weights(loss.len()).last().unwrap_or(&1.0));
    for (i, (got, want)) in grad.iter().zip(&expected.1).enumerate() {
        let off = (f64::from(*got) - want).abs();
        assert!(
            off <= 1e-5 * largest,
            "{what}: gradient {i} is {got}, not {want}"
        );
    }
}

/// The first software or other adapter, shared with Burn by [`ctc_wgpu_burn::init`]'s two halves, and its handles.
pub fn shared() -> (Device, WgpuSetup) {
    static SHARED: OnceLock<(Device, WgpuSetup)> = OnceLock::new();
    let (device, setup) = SHARED.get_or_init(|| {
        let options = Device::wgpu_options().device_kind(DeviceKind::Cpu);
        let (device, setup) = options
            .init_with_setup()
            .expect("an adapter: install lavapipe");
        ctc_wgpu_burn::register(&device, &setup).expect("a device that can be shared");
        assert!(ctc_wgpu_burn::is_shared(&device));
        (device, setup)
    });
    (device.clone(), setup.clone())
}

/// A device of the application's own, of the same adapter, that Burn knows and the loss does not.
pub fn own() -> (Device, WgpuSetup) {
    let (_, WgpuSetup { adapter, .. }) = shared();
    // What Burn's kernels need.
    let descriptor = wgpu::DeviceDescriptor {
        required_features: adapter.features() - wgpu::Features::MAPPABLE_PRIMARY_BUFFERS,
        required_limits: adapter.limits(),
        ..Default::default()
    };
    let (device, queue) =
        pollster::block_on(adapter.request_device(&descriptor)).expect("a device");
    let setup = WgpuSetup {
        device,
        queue,
        ..shared().1
    };
    let registered = Device::wgpu_options()
        .setup(setup.clone())
        .init()
        .expect("a Burn device");
    (registered, setup)
}

/// A wgpu device that Burn opened and nobody told of: Burn launches the kernels.
pub fn unknown() -> Device {
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    assert!(!ctc_wgpu_burn::is_shared(&device));
    device
}

/// Every route that there is.
pub fn routes() -> [(&'static str, Device); 3] {
    [
        ("shared wgpu", shared().0),
        ("launched by Burn", unknown()),
        ("flex", Device::flex()),
    ]
}
