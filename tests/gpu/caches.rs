//! The limits of the caches of a context: they are observed, and do not change results.

use ctc_wgpu::{BatchShape, CacheLimits, Ctc, GpuCtc, Input, LossAndGradOutput, Options};

use crate::support::adapters::on_each;
use crate::support::batch::OwnedBatch;
use crate::support::random::BatchSpec;

/// Returns batches of several shapes and options, no two of which share all of their pipelines.
fn runs() -> Vec<(OwnedBatch, Options)> {
    let inputs = [
        Input::Logits,
        Input::LogProbs,
        Input::LogProbsExact,
        Input::Probs { epsilon: 1e-7 },
    ];
    let mut runs = Vec::new();
    for labels in [2, 30, 130] {
        for input in inputs {
            let mut batch = BatchSpec::new([2, 2 * labels + 10, 9], labels).batch(labels as u64);
            // Probabilities, or logarithms of some.
            for value in &mut batch.values {
                *value = match input {
                    Input::Probs { .. } => value.abs() + 0.01,
                    _ => -value.abs(),
                };
            }
            let options = Options::default().input(input);
            runs.push((batch, options));
        }
    }
    runs
}

fn outputs(ctc: &Ctc, runs: &[(OwnedBatch, Options)]) -> Vec<LossAndGradOutput> {
    let output = |(batch, options): &(OwnedBatch, Options)| {
        ctc.loss_and_grad(&batch.batch(), options).unwrap()
    };
    runs.iter().map(output).collect()
}

#[test]
fn cache_limits_change_no_bit() {
    let runs = runs();
    on_each(|ctc| {
        let expected = outputs(ctc, &runs);
        for [pipelines, sessions] in [[128, 0], [3, 1], [0, 2]] {
            let limits = CacheLimits::default().pipelines(pipelines).shapes(sessions);
            ctc.set_cache_limits(limits);
            assert!(outputs(ctc, &runs) == expected, "{limits:?}");
        }
        // Threads compete for the cached buffers.
        ctc.set_cache_limits(CacheLimits::default().pipelines(20).shapes(1));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert!(outputs(ctc, &runs) == expected));
            }
        });
    });
}

/// Counts wgpu's objects on an instance that only this test uses.
#[test]
fn pipelines_and_buffers_are_released_beyond_the_cache_limits() {
    let runs = runs();
    let instance =
        wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle_from_env());
    let adapter = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()))
        .into_iter()
        .find(|adapter| adapter.limits().max_storage_buffers_per_shader_stage >= 8)
        .expect("an adapter with WebGPU's limits");
    let (device, queue) =
        pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    let counted = || {
        let hub = instance.generate_report().unwrap();
        let hub = hub.hub_report();
        [
            hub.compute_pipelines.num_allocated,
            hub.buffers.num_allocated,
        ]
    };
    let ctc = Ctc::on_device(&device, &queue).unwrap();
    outputs(&ctc, &runs);
    let [many, buffers_of_four] = counted();
    ctc.set_cache_limits(CacheLimits::default().pipelines(12).shapes(1));
    outputs(&ctc, &runs);
    let [few, buffers_of_one] = counted();
    println!("pipelines: {many}, then {few}; buffers: {buffers_of_four}, then {buffers_of_one}");
    // The cached plan keeps its own pipelines, at most seven, in addition to the limit.
    assert!(many > 12 + 7 && few <= 12 + 7, "{many}, {few}");
    assert!(2 * buffers_of_one < buffers_of_four);
    ctc.set_cache_limits(CacheLimits::default().pipelines(0).shapes(0));
    assert_eq!(counted(), [0, 0]);
    // The caller's plans keep their own pipelines.
    let own = GpuCtc::new(&device, &queue).unwrap();
    own.set_pipeline_limit(0);
    let plan = own.plan(&BatchShape::new(2, 10, 5, 3), &Options::default());
    assert!(counted()[0] > 0);
    drop(plan);
    assert_eq!(counted()[0], 0);
}
