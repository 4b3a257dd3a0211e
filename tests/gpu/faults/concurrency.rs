//! Eight threads at the same time: with a context each, with contexts on one device, and with one
//! context.

use std::sync::Barrier;

use ctc_wgpu::{Ctc, GpuCtc, LossAndGradOutput};

use super::{batches, options};
use crate::support::adapters::{all, on_each};
use crate::support::device::{BUFFER_PLACEMENTS, DeviceBatch, Gpu, Outputs, on_each_device, run};

const THREADS: usize = 8;
const REPETITIONS: usize = 3;

/// Runs `work` on all threads, which begin at the same time.
fn on_threads(work: impl Fn(usize) + Sync) {
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for index in 0..THREADS {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(index);
            });
        }
    });
}

fn alone(ctc: &Ctc) -> Vec<LossAndGradOutput> {
    let output = |batch: &crate::support::batch::OwnedBatch| {
        ctc.loss_and_grad(&batch.batch(), &options()).unwrap()
    };
    batches().iter().map(output).collect()
}

/// Computes all batches several times, in each thread beginning with another one.
fn same_as_alone(ctc: &Ctc, index: usize, alone: &[LossAndGradOutput]) {
    let batches = batches();
    for shift in 0..REPETITIONS * batches.len() {
        let i = (index + shift) % batches.len();
        let got = ctc.loss_and_grad(&batches[i].batch(), &options()).unwrap();
        assert_eq!(got, alone[i], "thread {index}, batch {i}");
    }
}

#[test]
fn eight_contexts_compute_the_same_results_as_one() {
    for adapter in &all() {
        let alone = alone(&Ctc::on_adapter(adapter).unwrap());
        // The contexts are created at the same time, too.
        on_threads(|index| same_as_alone(&Ctc::on_adapter(adapter).unwrap(), index, &alone));
    }
}

#[test]
fn eight_threads_that_share_a_context_compute_the_same_results_as_one() {
    on_each(|ctc| {
        let alone = alone(ctc);
        on_threads(|index| same_as_alone(ctc, index, &alone));
    });
}

/// Computes each batch with a plan, in both placements of the buffers.
fn on_device(gpu: &Gpu, ctc: &GpuCtc, index: usize) -> Vec<Outputs> {
    let batches = batches();
    let mut found = vec![None; batches.len()];
    for shift in 0..batches.len() {
        let i = (index + shift) % batches.len();
        let batch = DeviceBatch::of(&batches[i]);
        let plan = ctc.plan(&batch.shape, &options()).unwrap();
        let [apart, together] =
            BUFFER_PLACEMENTS.map(|placement| run(gpu, &plan, &batch, placement));
        together.same(&apart, "placements").unwrap();
        found[i] = Some(apart);
    }
    found.into_iter().flatten().collect()
}

fn all_same(got: &[Outputs], alone: &[Outputs], index: usize) {
    assert_eq!(got.len(), alone.len());
    for (i, (got, alone)) in got.iter().zip(alone).enumerate() {
        got.same(alone, &format!("thread {index}, batch {i}"))
            .unwrap();
    }
}

#[test]
fn eight_devices_compute_the_same_results_as_one() {
    on_each_device(|gpu| {
        let alone = on_device(gpu, &GpuCtc::new(&gpu.device, &gpu.queue).unwrap(), 0);
        on_threads(|index| {
            let gpu = gpu.another().unwrap();
            let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
            all_same(&on_device(&gpu, &ctc, index), &alone, index);
        });
    });
}

#[test]
fn eight_threads_on_one_queue_compute_the_same_results_as_one() {
    on_each_device(|gpu| {
        let [first, shared] = [(); 2].map(|()| GpuCtc::new(&gpu.device, &gpu.queue).unwrap());
        let alone = on_device(gpu, &first, 0);
        on_threads(|index| {
            // Half of the threads compile the pipelines of a shared context at the same time, the
            // others those of their own.
            let own = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
            let ctc = if index % 2 == 0 { &shared } else { &own };
            all_same(&on_device(gpu, ctc, index), &alone, index);
        });
    });
}
