//! Training with Burn's Learner, on one device and data-parallel on two.

use burn::data::dataloader::DataLoaderBuilder;
use burn::data::dataloader::batcher::Batcher;
use burn::data::dataset::InMemDataset;
use burn::lr_scheduler::constant::ConstantLr;
use burn::module::Module;
use burn::nn::{Linear, LinearConfig};
use burn::optim::AdamConfig;
use burn::tensor::{Device, Int, Tensor, TensorData};
use burn::train::{
    ExecutionStrategy, InferenceStep, Learner, MultiDeviceOptim, SequenceOutput,
    SupervisedTraining, TrainOutput, TrainStep,
};
use ctc_wgpu_burn::{CtcLoss, CtcLossConfig, Layout};

use crate::support::{Random, floats, own, shared};

const FRAMES: usize = 12;
const CLASSES: usize = 5;
const LABELS: usize = 3;
const BATCH: usize = 16;

/// A synthetic utterance: three labels of two or three frames each, a blank frame before each
/// label, and one-hot features with noise.
#[derive(Debug, Clone)]
struct Utterance {
    features: Vec<f32>,
    labels: Vec<i32>,
}

fn utterance(seed: u64) -> Utterance {
    let mut random = Random(seed);
    let mut classes = Vec::new();
    let mut labels = Vec::new();
    for _ in 0..LABELS {
        let label = 1 + random.below(CLASSES - 1);
        labels.push(label as i32);
        classes.push(0);
        classes.extend(std::iter::repeat_n(label, 2 + random.below(2)));
    }
    classes.resize(FRAMES, 0);
    let features = classes
        .iter()
        .flat_map(|class| {
            (0..CLASSES)
                .map(|c| f32::from(u8::from(c == *class)))
                .collect::<Vec<_>>()
        })
        .map(|feature| feature + random.number(0.1))
        .collect();
    Utterance { features, labels }
}

#[derive(Debug, Clone)]
struct Batch {
    features: Tensor<3>,
    labels: Tensor<2, Int>,
}

struct Batches;

impl Batcher<Utterance, Batch> for Batches {
    fn batch(&self, items: Vec<Utterance>, device: &Device) -> Batch {
        let n = items.len();
        let features: Vec<f32> = items
            .iter()
            .flat_map(|item| item.features.clone())
            .collect();
        let labels: Vec<i32> = items.iter().flat_map(|item| item.labels.clone()).collect();
        Batch {
            features: Tensor::from_data(TensorData::new(features, [n, FRAMES, CLASSES]), device),
            labels: Tensor::from_data(TensorData::new(labels, [n, LABELS]), device),
        }
    }
}

#[derive(Module, Debug)]
struct Model {
    layer: Linear,
    loss: CtcLoss,
}

impl Model {
    fn new(device: &Device) -> Self {
        Self {
            layer: LinearConfig::new(CLASSES, CLASSES).init(device),
            loss: CtcLossConfig::new().with_layout(Layout::BatchMajor).init(),
        }
    }

    fn output(&self, batch: Batch) -> SequenceOutput {
        let logits = self.layer.forward(batch.features);
        let (items, device) = (logits.dims()[0], logits.device());
        let losses = self.loss.forward(
            logits.clone(),
            batch.labels.clone(),
            Tensor::full([items], FRAMES as i32, &device),
            Tensor::full([items], LABELS as i32, &device),
        );
        SequenceOutput::new(losses.mean(), logits, None, batch.labels)
    }
}

impl TrainStep for Model {
    type Input = Batch;
    type Output = SequenceOutput;

    fn step(&self, batch: Batch) -> TrainOutput<SequenceOutput> {
        let output = self.output(batch);
        TrainOutput::new(self, output.loss.backward(), output)
    }
}

impl InferenceStep for Model {
    type Input = Batch;
    type Output = SequenceOutput;

    fn step(&self, batch: Batch) -> SequenceOutput {
        self.output(batch)
    }
}

/// Trains, and checks that the mean loss of unseen utterances falls to a tenth.
fn assert_training_converges(name: &str, strategy: ExecutionStrategy) {
    let device = strategy.main_device().clone();
    let loader = |seeds: std::ops::Range<u64>| {
        DataLoaderBuilder::new(Batches)
            .batch_size(BATCH)
            .set_device(device.clone())
            .build(InMemDataset::new(seeds.map(utterance).collect()))
    };
    let plain = device.clone().without_autodiff();
    let unseen = Batches.batch((5000..5000 + BATCH as u64).map(utterance).collect(), &plain);
    let model = Model::new(&device);
    let before = floats(model.valid().output(unseen.clone()).loss)[0];
    let directory = std::env::temp_dir().join(format!("ctc-wgpu-{name}-{}", std::process::id()));
    let result = SupervisedTraining::new(&directory, loader(0..640), loader(1000..1016))
        .with_training_strategy(strategy.into())
        .with_application_logger(None)
        .num_epochs(6)
        .launch(Learner::new(
            model,
            AdamConfig::new().init(),
            ConstantLr::new(0.05),
        ));
    let after = floats(result.model.output(unseen).loss)[0];
    let _ = std::fs::remove_dir_all(directory);
    assert!(after < before / 10.0, "{name}: {before} to {after}");
}

#[test]
fn burns_learner_trains_on_one_device() {
    let device = shared().0.autodiff();
    assert_training_converges("one", ExecutionStrategy::SingleDevice(device));
}

#[test]
fn burns_learner_trains_on_two_devices_at_once() {
    let (second, setup) = own();
    ctc_wgpu_burn::register(&second, &setup).expect("a device that can be shared");
    let devices = vec![shared().0.autodiff(), second.autodiff()];
    assert_training_converges(
        "two",
        ExecutionStrategy::multi(devices, MultiDeviceOptim::OptimMainDevice),
    );
}
