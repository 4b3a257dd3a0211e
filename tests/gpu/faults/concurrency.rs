//! Eight at once: contexts of their own, contexts on one device, and one context that all share.

use std::sync::Barrier;

use ctc_wgpu::{Ctc, GpuCtc, LossAndGradOutput};

use super::{batches, options};
use crate::support::adapters::{all, on_each};
use crate::support::device::{BUFFER_PLACEMENTS, DeviceBatch, Gpu, Outputs, on_each_device, run};

const CROWD: usize = 8;
const ROUNDS: usize = 3;

/// Runs `member` on as many threads, which begin together.
fn crowd(member: impl Fn(usize) + Sync) {
    let start = Barrier::new(CROWD);
    std::thread::scope(|scope| {
        for index in 0..CROWD {
            let (start, member) = (&start, &member);
            scope.spawn(move || {
                start.wait();
                member(index);
            });
        }
    });
}

fn alone(ctc: &Ctc) -> Vec<LossAndGradOutput> {
    let answer = |batch: &crate::support::batch::OwnedBatch| {
        ctc.loss_and_grad(&batch.batch(), &options()).unwrap()
    };
    batches().iter().map(answer).collect()
}

/// All batches, each member beginning with another one.
fn same_as_alone(ctc: &Ctc, index: usize, alone: &[LossAndGradOutput]) {
    let batches = batches();
    for round in 0..ROUNDS * batches.len() {
        let i = (index + round) % batches.len();
        let got = ctc.loss_and_grad(&batches[i].batch(), &options()).unwrap();
        assert_eq!(got, alone[i], "member {index}, batch {i}");
    }
}

#[test]
fn eight_contexts_at_once_give_what_one_alone_gives() {
    for adapter in &all() {
        let alone = alone(&Ctc::on_adapter(adapter).unwrap());
        // They are made at the same time too.
        crowd(|index| same_as_alone(&Ctc::on_adapter(adapter).unwrap(), index, &alone));
    }
}

#[test]
fn eight_threads_that_share_a_context_give_what_one_alone_gives() {
    on_each(|ctc| {
        let alone = alone(ctc);
        crowd(|index| same_as_alone(ctc, index, &alone));
    });
}

/// What one plan makes of each batch, in both placements.
fn on_device(gpu: &Gpu, ctc: &GpuCtc, index: usize) -> Vec<Outputs> {
    let batches = batches();
    let mut found = vec![None; batches.len()];
    for round in 0..batches.len() {
        let i = (index + round) % batches.len();
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
        got.same(alone, &format!("member {index}, batch {i}"))
            .unwrap();
    }
}

#[test]
fn eight_devices_at_once_give_what_one_alone_gives() {
    on_each_device(|gpu| {
        let alone = on_device(gpu, &GpuCtc::new(&gpu.device, &gpu.queue).unwrap(), 0);
        crowd(|index| {
            let gpu = gpu.another().unwrap();
            let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
            all_same(&on_device(&gpu, &ctc, index), &alone, index);
        });
    });
}

#[test]
fn eight_threads_on_one_queue_give_what_one_alone_gives() {
    on_each_device(|gpu| {
        let [first, shared] = [(); 2].map(|()| GpuCtc::new(&gpu.device, &gpu.queue).unwrap());
        let alone = on_device(gpu, &first, 0);
        crowd(|index| {
            // Half of them compile the pipelines that they share at the same time, the others compile their own.
            let own = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
            let ctc = if index % 2 == 0 { &shared } else { &own };
            all_same(&on_device(gpu, ctc, index), &alone, index);
        });
    });
}
