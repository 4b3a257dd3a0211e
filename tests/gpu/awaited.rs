//! The `_async` calls under tokio: on several threads, on one thread, and cancelled.

use std::sync::Arc;
use std::time::Duration;

use ctc_wgpu::{Ctc, Options};
use tokio::runtime::Builder;

use crate::support::adapters::all;
use crate::support::random::Recipe;

#[test]
fn tokio_tasks_compute_the_same_results_as_one_thread() {
    let batches: Arc<Vec<_>> = Arc::new((0..6).map(batch).collect());
    let runtimes = [
        Builder::new_multi_thread().worker_threads(2).build(),
        Builder::new_current_thread().build(),
    ];
    for runtime in runtimes.map(Result::unwrap) {
        for adapter in all() {
            let options = Options::default();
            let ctc = runtime.block_on(Ctc::on_adapter_async(&adapter));
            let ctc = Arc::new(ctc.unwrap());
            println!("on {}", ctc.backend());
            let alone: Vec<_> = (batches.iter())
                .map(|batch| ctc.loss_and_grad(&batch.batch(), &options).unwrap())
                .collect();
            let tasks: Vec<_> = (0..24)
                .map(|task| {
                    let (ctc, batches) = (Arc::clone(&ctc), Arc::clone(&batches));
                    runtime.spawn(async move {
                        let batch = batches[task % batches.len()].batch();
                        let output = ctc.loss_and_grad_async(&batch, &options).await;
                        let losses = ctc.loss_async(&batch, &options).await;
                        (output.unwrap(), losses.unwrap())
                    })
                })
                .collect();
            for (task, handle) in tasks.into_iter().enumerate() {
                let (output, losses) = runtime.block_on(handle).unwrap();
                assert_eq!(output, alone[task % alone.len()]);
                assert_eq!(losses.loss, output.loss);
            }
        }
    }
}

#[test]
fn a_cancelled_call_does_not_affect_later_calls() {
    let runtime = Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    for adapter in all() {
        let options = Options::default();
        let ctc = Ctc::on_adapter(&adapter).unwrap();
        println!("on {}", ctc.backend());
        let batch = batch(1);
        let alone = ctc.loss_and_grad(&batch.batch(), &options).unwrap();
        runtime.block_on(async {
            for microseconds in [0, 1, 10, 100, 300, 1_000] {
                let batch = batch.batch();
                let call = ctc.loss_and_grad_async(&batch, &options);
                let timeout = Duration::from_micros(microseconds);
                if let Ok(output) = tokio::time::timeout(timeout, call).await {
                    assert_eq!(output.unwrap(), alone);
                }
                let later = ctc.loss_and_grad_async(&batch, &options).await;
                assert_eq!(later.unwrap(), alone);
            }
        });
    }
}

fn batch(seed: usize) -> crate::support::batch::OwnedBatch {
    Recipe::new([3, 20 + 5 * (seed % 3), 9], 5).batch(seed as u64)
}
