//! Times losses and gradients on the CPU twin and on every adapter; see `benches/README.md`.
#![allow(missing_docs, reason = "criterion_group! makes a public function")]
#![allow(clippy::unwrap_used, reason = "a bench that cannot run should stop")]

mod inputs;
mod resident;

use std::cell::LazyCell;
use std::ops::Deref;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use ctc_wgpu::{Ctc, Goal, Options, adapters, reference};
use inputs::{Inputs, SHAPES};
use resident::Resident;

/// Past this many elements the reference's float64 tables are larger than many a machine's memory, and the twin, which
/// the smaller shapes hold to the reference, is the judge.
const LARGEST_FOR_REFERENCE: usize = 10_000_000;

/// How far an answer may be from the judge's: the crate's promise.
const LOSS_TOLERANCE: f64 = 1e-6;
const GRAD_TOLERANCE: f64 = 1e-5;

/// Losses and gradient that an answer is held against before it is timed.
struct Truth {
    loss: Vec<f64>,
    grad: Vec<f64>,
}

impl Truth {
    fn of(inputs: &Inputs) -> Self {
        let (batch, options) = (inputs.batch(), Options::default());
        if inputs.shape.elements() <= LARGEST_FOR_REFERENCE {
            let output = reference::loss_and_grad(&batch, &options).unwrap();
            return Self {
                loss: output.loss,
                grad: output.grad,
            };
        }
        let output = Ctc::cpu().loss_and_grad(&batch, &options).unwrap();
        let wide = |values: Vec<f32>| values.into_iter().map(f64::from).collect();
        Self {
            loss: wide(output.loss),
            grad: wide(output.grad),
        }
    }

    fn check(&self, who: &str, loss: &[f32], grad: Option<&[f32]>) {
        assert_eq!(loss.len(), self.loss.len(), "{who}: losses");
        for (item, (found, truth)) in loss.iter().zip(&self.loss).enumerate() {
            // Not `error > tolerance`: a NaN must fail.
            let near = (f64::from(*found) - truth).abs() <= LOSS_TOLERANCE * truth.max(1.0);
            assert!(near, "{who}: loss {found} of item {item}, not {truth}");
        }
        let Some(grad) = grad else { return };
        assert_eq!(grad.len(), self.grad.len(), "{who}: gradient");
        for (at, (found, truth)) in grad.iter().zip(&self.grad).enumerate() {
            let near = (f64::from(*found) - truth).abs() <= GRAD_TOLERANCE;
            assert!(near, "{who}: gradient {found} at {at}, not {truth}");
        }
    }
}

/// Where a batch is computed: from arrays on the host to arrays on the host, or from device to device.
struct Backends {
    host: Vec<(String, Ctc)>,
    adapters: Vec<(String, wgpu::Adapter)>,
}

impl Backends {
    fn find() -> Self {
        let mut host = vec![("host cpu".to_owned(), Ctc::cpu())];
        let mut found = Vec::new();
        for adapter in adapters() {
            let info = adapter.get_info();
            let name = format!("{} {}", info.backend, info.name);
            host.push((format!("host {name}"), Ctc::on_adapter(&adapter).unwrap()));
            found.push((format!("device {name}"), adapter));
        }
        Self {
            host,
            adapters: found,
        }
    }
}

fn benches(c: &mut Criterion) {
    let backends = Backends::find();
    for shape in SHAPES {
        let inputs = Inputs::new(shape, 1.0);
        // Made when it is first needed: a filter may leave a shape out.
        let truth = LazyCell::new(|| Truth::of(&inputs));
        for goal in [Goal::LossAndGrad, Goal::Loss] {
            let what = match goal {
                Goal::LossAndGrad => "loss+grad",
                Goal::Loss => "loss",
            };
            let mut group = c.benchmark_group(format!("{} {what}", inputs.name()));
            group
                .sample_size(10)
                .warm_up_time(Duration::from_millis(300))
                .measurement_time(Duration::from_secs(1))
                .throughput(Throughput::Bytes(inputs.shape.elements() as u64 * 4));
            for (name, ctc) in &backends.host {
                host(&mut group, name, ctc, &inputs, goal, &truth);
            }
            for (name, adapter) in &backends.adapters {
                device(&mut group, name, adapter, &inputs, goal, &truth);
            }
            group.finish();
        }
    }
}

type Group<'a> = BenchmarkGroup<'a, WallTime>;

fn host(
    group: &mut Group<'_>,
    name: &str,
    ctc: &Ctc,
    inputs: &Inputs,
    goal: Goal,
    truth: &impl Deref<Target = Truth>,
) {
    let (batch, options) = (inputs.batch(), Options::default());
    // Criterion enters the closure several times, and not at all for what its filter leaves out.
    let verified = LazyCell::new(|| match goal {
        Goal::LossAndGrad => {
            let output = ctc.loss_and_grad(&batch, &options).unwrap();
            truth.check(name, &output.loss, Some(&output.grad));
        }
        Goal::Loss => truth.check(name, &ctc.loss(&batch, &options).unwrap().loss, None),
    });
    group.bench_function(name, |b| {
        LazyCell::force(&verified);
        match goal {
            Goal::LossAndGrad => b.iter(|| ctc.loss_and_grad(&batch, &options).unwrap()),
            Goal::Loss => b.iter(|| ctc.loss(&batch, &options).unwrap()),
        }
    });
}

fn device(
    group: &mut Group<'_>,
    name: &str,
    adapter: &wgpu::Adapter,
    inputs: &Inputs,
    goal: Goal,
    truth: &impl Deref<Target = Truth>,
) {
    let verified = LazyCell::new(|| {
        let resident = Resident::new(adapter, inputs, goal);
        resident.run();
        truth.check(name, &resident.loss(), resident.grad().as_deref());
        resident
    });
    group.bench_function(name, |b| {
        let resident = LazyCell::force(&verified);
        b.iter(|| resident.run());
    });
}

criterion_group!(all, benches);
criterion_main!(all);
