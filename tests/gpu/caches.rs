//! What a context keeps for later batches is bounded, and the bound changes no answer.

use ctc_wgpu::{BatchShape, CacheLimits, Ctc, GpuCtc, Input, LossAndGradOutput, Options};

use crate::support::adapters::on_each;
use crate::support::batch::OwnedBatch;
use crate::support::random::Recipe;

/// Many shapes, and of each several options: no two share all of their pipelines.
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
            let mut batch = Recipe::new([2, 2 * labels + 10, 9], labels).batch(labels as u64);
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

fn answers(ctc: &Ctc, runs: &[(OwnedBatch, Options)]) -> Vec<LossAndGradOutput> {
    let answer = |(batch, options): &(OwnedBatch, Options)| {
        ctc.loss_and_grad(&batch.batch(), options).unwrap()
    };
    runs.iter().map(answer).collect()
}

#[test]
fn bounds_on_what_is_kept_change_no_bit() {
    let runs = runs();
    on_each(|ctc| {
        let expected = answers(ctc, &runs);
        for [pipelines, sessions] in [[128, 0], [3, 1], [0, 2]] {
            let limits = CacheLimits::default().pipelines(pipelines).shapes(sessions);
            ctc.set_cache_limits(limits);
            assert!(answers(ctc, &runs) == expected, "{limits:?}");
        }
        // Threads take from each other what is kept.
        ctc.set_cache_limits(CacheLimits::default().pipelines(20).shapes(1));
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| assert!(answers(ctc, &runs) == expected));
            }
        });
    });
}

/// What wgpu counts on an instance of the test's own.
#[test]
fn pipelines_and_buffers_are_released_beyond_the_bound() {
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
    answers(&ctc, &runs);
    let [many, buffers_of_four] = counted();
    ctc.set_cache_limits(CacheLimits::default().pipelines(12).shapes(1));
    answers(&ctc, &runs);
    let [few, buffers_of_one] = counted();
    println!("pipelines: {many}, then {few}; buffers: {buffers_of_four}, then {buffers_of_one}");
    // A session holds those of its plan, at most seven, whatever is kept beside it.
    assert!(many > 12 + 7 && few <= 12 + 7, "{many}, {few}");
    assert!(2 * buffers_of_one < buffers_of_four);
    ctc.set_cache_limits(CacheLimits::default().pipelines(0).shapes(0));
    assert_eq!(counted(), [0, 0]);
    // The caller's plans hold what they need.
    let own = GpuCtc::new(&device, &queue).unwrap();
    own.set_pipeline_limit(0);
    let plan = own.plan(&BatchShape::new(2, 10, 5, 3), &Options::default());
    assert!(counted()[0] > 0);
    drop(plan);
    assert_eq!(counted()[0], 0);
}
