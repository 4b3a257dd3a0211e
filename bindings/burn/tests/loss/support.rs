//! Batches and devices for the tests, and the comparison with the reference.

use std::sync::OnceLock;

use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{Device, DeviceKind, Int, Tensor, TensorData};
use ctc_wgpu::{Batch, Impossible, Options, reference};
use ctc_wgpu_burn::{CtcLossConfig, Layout};

/// A random batch with a fixed seed; the logits are `[T, N, C]`.
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

/// Knuth's 64-bit linear congruential generator (MMIX), of which the upper bits are used.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }

    /// Returns a number within ±`scale`.
    pub fn number(&mut self, scale: f32) -> f32 {
        (self.below(20_001) as f32 / 10_000.0 - 1.0) * scale
    }
}

impl Case {
    /// Returns a batch with random lengths, in which every item has a valid alignment.
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
            // Equal consecutive labels need a blank between them, so up to `length` further frames.
            let least = (2 * length).min(frames);
            let more = random.below(frames - least + 1);
            let length = if item == 0 { frames } else { least + more };
            case.input_lengths.push(length as i32);
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

    /// Returns targets, input lengths and target lengths.
    pub fn labels(&self, device: &Device) -> (Tensor<2, Int>, Tensor<1, Int>, Tensor<1, Int>) {
        let targets = TensorData::new(self.targets.clone(), [self.items, self.max_labels]);
        let lengths = |lengths: &[i32]| Tensor::from_data(lengths, device);
        (
            Tensor::from_data(targets, device),
            lengths(&self.input_lengths),
            lengths(&self.target_lengths),
        )
    }

    /// Returns the losses and the gradient of Σ `weights`·loss, by the reference.
    pub fn expected(&self, weights: &[f32], zero_infinity: bool) -> (Vec<f64>, Vec<f64>) {
        let options = Options::default().impossible(match zero_infinity {
            true => Impossible::Zero,
            false => Impossible::Infinity,
        });
        let batch = self.batch().weights(weights);
        let output = reference::loss_and_grad(&batch, &options).expect("a valid batch");
        (output.loss, output.grad)
    }
}

/// Returns one weight per item, all different, so that no two items can be confused.
pub fn weights(items: usize) -> Vec<f32> {
    (0..items).map(|n| 1.0 + 0.5 * n as f32).collect()
}

/// The layout and view in which logits are passed to the loss.
#[derive(Debug, Clone, Copy)]
pub enum LogitsView {
    /// `[T, N, C]`, contiguous.
    TimeMajor,
    /// `[N, T, C]`, contiguous.
    BatchMajor,
    /// `[T, N, C]`, a view of contiguous `[N, T, C]` memory.
    Swapped,
    /// `[N, T, C]`, a view of contiguous `[T, N, C]` memory.
    SwappedBatchMajor,
    /// `[T, N, C]`, a slice of a tensor that is larger in every axis.
    Sliced,
}

pub const ALL_VIEWS: [LogitsView; 5] = [
    LogitsView::TimeMajor,
    LogitsView::BatchMajor,
    LogitsView::Swapped,
    LogitsView::SwappedBatchMajor,
    LogitsView::Sliced,
];

/// Returns the losses and the gradient, `[T, N, C]`, of [`CtcLoss`](ctc_wgpu_burn::CtcLoss) on an
/// autodiff device. Burn has operations of its own before and after the loss, which it may fuse.
pub fn loss_and_grad(
    case: &Case,
    view: LogitsView,
    zero_infinity: bool,
    device: &Device,
) -> (Vec<f32>, Vec<f32>) {
    let leaf = case.logits(device).require_grad();
    let pending = (leaf.clone() + 1.0) - 1.0;
    let materialised = |tensor: Tensor<3>| tensor.clone() + tensor.zeros_like();
    let (logits, layout) = match view {
        LogitsView::TimeMajor => (pending, Layout::TimeMajor),
        LogitsView::BatchMajor => (materialised(pending.swap_dims(0, 1)), Layout::BatchMajor),
        LogitsView::Swapped => (
            contiguous(pending.swap_dims(0, 1)).swap_dims(0, 1),
            Layout::TimeMajor,
        ),
        LogitsView::SwappedBatchMajor => (pending.swap_dims(0, 1), Layout::BatchMajor),
        LogitsView::Sliced => {
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
    // Weighted, so that the incoming gradient differs from item to item.
    let grads = (losses.clone() * factors).sum().backward();
    let grad = leaf.grad(&grads).expect("the logits have a gradient");
    (floats(losses), floats(grad))
}

/// Returns a contiguous copy.
fn contiguous(tensor: Tensor<3>) -> Tensor<3> {
    // Reshaping a view to one axis copies it.
    let dims = tensor.dims();
    tensor.reshape([-1]).reshape(dims)
}

pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_to_vec().expect("f32")
}

/// Compares with the tolerances of the library's own tests.
pub fn assert_near(
    name: &str,
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
            "{name}: loss {n} is {got}, expected {want}"
        );
    }
    // The gradient is of weighted losses: the tolerance grows with the largest weight.
    let largest = f64::from(*weights(loss.len()).last().unwrap_or(&1.0));
    for (i, (got, want)) in grad.iter().zip(&expected.1).enumerate() {
        let off = (f64::from(*got) - want).abs();
        assert!(
            off <= 1e-5 * largest,
            "{name}: gradient {i} is {got}, expected {want}"
        );
    }
}

/// Returns a registered device on a software adapter, and its handles. It does in two steps what
/// [`ctc_wgpu_burn::init`] does, to keep the handles.
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

/// Returns a new device on the same adapter, and its handles. Burn uses it, but it is not
/// registered.
pub fn own() -> (Device, WgpuSetup) {
    let (_, WgpuSetup { adapter, .. }) = shared();
    // Burn's kernels require these.
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
    let burn_device = Device::wgpu_options()
        .setup(setup.clone())
        .init()
        .expect("a Burn device");
    (burn_device, setup)
}

/// Returns a wgpu device that Burn opened and that is not registered: Burn launches the kernels.
pub fn unregistered() -> Device {
    let device = Device::wgpu(DeviceKind::DefaultDevice);
    assert!(!ctc_wgpu_burn::is_shared(&device));
    device
}

/// Returns a device for each way of computing the loss.
pub fn routes() -> [(&'static str, Device); 3] {
    [
        ("shared wgpu", shared().0),
        ("launched by Burn", unregistered()),
        ("flex", Device::flex()),
    ]
}
