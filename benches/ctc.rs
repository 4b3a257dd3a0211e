//! Times losses and gradients on the CPU backend and on every adapter; see `benches/README.md`.
#![allow(missing_docs, reason = "criterion_group! makes a public function")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run should stop")]

use std::cell::LazyCell;
use std::ops::Deref;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use ctc_wgpu::{Ctc, LossAndGradOutput, LossOutput, Options, Task, adapters};
use ctc_wgpu_bench_support::inputs::{self, Inputs};
use ctc_wgpu_bench_support::resident::{Arrays, Gpu, Resident, plan};
use ctc_wgpu_bench_support::seeded::SHAPES;
use ctc_wgpu_bench_support::truth::Truth;

/// The backends: from arrays on the host to arrays on the host, and from device to device.
struct Backends {
    host: Vec<(String, Ctc)>,
    device: Vec<(String, Gpu)>,
}

impl Backends {
    fn find() -> Self {
        let mut host = vec![("host cpu".to_owned(), Ctc::cpu())];
        let mut device = Vec::new();
        for adapter in adapters() {
            let info = adapter.get_info();
            let name = format!("{} {}", info.backend, info.name);
            host.push((format!("host {name}"), Ctc::on_adapter(&adapter).unwrap()));
            let gpu = Gpu::open(&adapter, wgpu::Features::empty()).unwrap();
            device.push((format!("device {name}"), gpu));
        }
        Self { host, device }
    }
}

/// Each of [`SHAPES`], with the gradient and without it.
fn shapes(c: &mut Criterion) {
    let backends = Backends::find();
    for shape in SHAPES {
        let inputs = Inputs::new(shape, 1.0);
        // Computed when it is first needed: a filter may leave a shape out.
        let truth = LazyCell::new(|| Truth::of(&inputs).unwrap());
        for task in [Task::LossAndGrad, Task::Loss] {
            let what = match task {
                Task::LossAndGrad => "loss+grad",
                _ => "loss",
            };
            let mut group = group(c, format!("{} {what}", inputs::name(shape)));
            group.throughput(Throughput::Bytes(inputs.shape.elements() as u64 * 4));
            for (name, ctc) in &backends.host {
                let id = BenchmarkId::from_parameter(name);
                host(&mut group, id, ctc, &inputs, task, &truth);
            }
            for (name, gpu) in &backends.device {
                let id = BenchmarkId::from_parameter(name);
                device(&mut group, id, gpu, &inputs, task, &truth);
            }
            group.finish();
        }
    }
}

/// The batch of which [`scaling`] doubles one axis after the other.
const MIDDLE: [usize; 4] = [400, 8, 64, 20];

/// Doubles one axis at a time, with the others as in [`MIDDLE`]. criterion plots one line per
/// backend.
fn scaling(c: &mut Criterion) {
    let backends = Backends::find();
    for (axis, name, first, doublings) in [
        (0, "T", 100, 5),
        (1, "N", 1, 6),
        (2, "C", 16, 8),
        (3, "L", 5, 5),
    ] {
        let mut group = group(c, format!("scaling {name}"));
        for doubling in 0..=doublings {
            let mut shape = MIDDLE;
            shape[axis] = first << doubling;
            let inputs = Inputs::new(shape, 1.0);
            let truth = LazyCell::new(|| Truth::of(&inputs).unwrap());
            let task = Task::LossAndGrad;
            let (backend, ctc) = &backends.host[0];
            let id = BenchmarkId::new(backend, shape[axis]);
            host(&mut group, id, ctc, &inputs, task, &truth);
            for (name, gpu) in &backends.device {
                let id = BenchmarkId::new(name, shape[axis]);
                device(&mut group, id, gpu, &inputs, task, &truth);
            }
        }
        group.finish();
    }
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn group(c: &mut Criterion, name: String) -> Group<'_> {
    let mut group = c.benchmark_group(name);
    group
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    group
}

fn host(
    group: &mut Group<'_>,
    id: BenchmarkId,
    ctc: &Ctc,
    inputs: &Inputs,
    task: Task,
    truth: &impl Deref<Target = Truth>,
) {
    let (batch, options) = (inputs.batch(), Options::default());
    // criterion calls the closure several times, and not at all if its filter excludes it.
    let verified = LazyCell::new(|| match task {
        Task::LossAndGrad => {
            let output = ctc.loss_and_grad(&batch, &options).unwrap();
            truth.check(&output.loss, Some(&output.grad)).unwrap();
        }
        _ => {
            let output = ctc.loss(&batch, &options).unwrap();
            truth.check(&output.loss, None).unwrap();
        }
    });
    group.bench_function(id, |b| {
        LazyCell::force(&verified);
        match task {
            Task::LossAndGrad => {
                let mut output = LossAndGradOutput::default();
                b.iter(|| {
                    ctc.loss_and_grad_into(&batch, &options, &mut output)
                        .unwrap()
                });
            }
            _ => {
                let mut output = LossOutput::default();
                b.iter(|| ctc.loss_into(&batch, &options, &mut output).unwrap());
            }
        }
    });
}

fn device(
    group: &mut Group<'_>,
    id: BenchmarkId,
    gpu: &Gpu,
    inputs: &Inputs,
    task: Task,
    truth: &impl Deref<Target = Truth>,
) {
    let verified = LazyCell::new(|| {
        let plan = plan(&gpu.ctc, inputs, task).unwrap();
        let resident = Resident::new(gpu, plan, Arrays::new(gpu, inputs, task));
        resident.run().unwrap();
        let (loss, grad) = (resident.loss().unwrap(), resident.grad().unwrap());
        truth.check(&loss, grad.as_deref()).unwrap();
        resident
    });
    group.bench_function(id, |b| {
        let resident = LazyCell::force(&verified);
        b.iter(|| resident.run().unwrap());
    });
}

criterion_group!(all, shapes, scaling);
criterion_main!(all);
