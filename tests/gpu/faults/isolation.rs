//! A renderer and another kernel on the same queue, interleaved with the library's work.

use ctc_wgpu::{Ctc, GpuCtc};

use super::foreign_work::ForeignWork;
use super::{batches, options};
use crate::support::device::{
    ALL, BUFFER_PLACEMENTS, DeviceBatch, GuardedBuffers, on_each_device, run,
};

#[test]
fn batches_and_a_renderer_in_one_encoder_do_not_affect_each_other() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let foreign = ForeignWork::new(gpu);
        for placement in BUFFER_PLACEMENTS {
            let batches: Vec<_> = batches().iter().map(DeviceBatch::of).collect();
            let plans: Vec<_> = batches
                .iter()
                .map(|batch| ctc.plan(&batch.shape, &options()).unwrap())
                .collect();
            let placed: Vec<_> = plans
                .iter()
                .zip(&batches)
                .map(|(plan, batch)| GuardedBuffers::new(gpu, plan, batch, placement, ALL))
                .collect();
            // One encoder: per batch a draw, the batch and the other kernel, and a last draw at the
            // end.
            let mut encoder = gpu.encoder();
            for (plan, placed) in plans.iter().zip(&placed) {
                foreign.draw(&mut encoder, 2, 5);
                plan.encode(&mut encoder, &placed.buffers()).unwrap();
                foreign.count(&mut encoder);
            }
            foreign.draw(&mut encoder, 1, 0);
            gpu.queue.submit([encoder.finish()]);
            for ((plan, batch), placed) in plans.iter().zip(&batches).zip(&placed) {
                let alone = run(gpu, plan, batch, placement);
                placed
                    .outputs(gpu)
                    .unwrap()
                    .same(&alone, &format!("{placement:?}"))
                    .unwrap();
            }
        }
        foreign.check(gpu);
    });
}

#[test]
fn host_batches_and_a_renderer_on_one_queue_do_not_affect_each_other() {
    on_each_device(|gpu| {
        let ctc = Ctc::on_device(&gpu.device, &gpu.queue).unwrap();
        let foreign = ForeignWork::new(gpu);
        let batches = batches();
        let alone: Vec<_> = batches
            .iter()
            .map(|batch| ctc.loss_and_grad(&batch.batch(), &options()).unwrap())
            .collect();
        std::thread::scope(|scope| {
            // The batches are submitted from two other threads, the renderer's work from this one.
            for _ in 0..2 {
                scope.spawn(|| {
                    for _ in 0..4 {
                        for (batch, alone) in batches.iter().zip(&alone) {
                            let got = ctc.loss_and_grad(&batch.batch(), &options()).unwrap();
                            assert_eq!(got, *alone);
                        }
                    }
                });
            }
            for _ in 0..30 {
                let mut encoder = gpu.encoder();
                foreign.draw(&mut encoder, 3, 50);
                foreign.count(&mut encoder);
                gpu.queue.submit([encoder.finish()]);
            }
        });
        foreign.check(gpu);
    });
}
