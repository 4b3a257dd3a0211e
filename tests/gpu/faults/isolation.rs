//! A renderer and another's kernels on the same queue, between ours.

use ctc_wgpu::{Ctc, GpuCtc};

use super::foreign_work::Stranger;
use super::{batches, options};
use crate::support::device::{
    ALL, BUFFER_PLACEMENTS, DeviceBatch, GuardedBuffers, on_each_device, run,
};

#[test]
fn work_between_a_renderers_in_one_encoder_is_right_and_so_is_the_renderers() {
    on_each_device(|gpu| {
        let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
        let stranger = Stranger::new(gpu);
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
            // One encoder: drawing, ours, another's kernel, ours, and so on; and at the end one of each once more.
            let mut encoder = gpu.encoder();
            for (plan, placed) in plans.iter().zip(&placed) {
                stranger.draw(&mut encoder, 2, 5);
                plan.encode(&mut encoder, &placed.buffers()).unwrap();
                stranger.count(&mut encoder);
            }
            stranger.draw(&mut encoder, 1, 0);
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
        stranger.is_right(gpu);
    });
}

#[test]
fn arrays_of_the_host_between_a_renderers_submissions_are_right_and_so_is_the_renderers() {
    on_each_device(|gpu| {
        let ctc = Ctc::on_device(&gpu.device, &gpu.queue).unwrap();
        let stranger = Stranger::new(gpu);
        let batches = batches();
        let alone: Vec<_> = batches
            .iter()
            .map(|batch| ctc.loss_and_grad(&batch.batch(), &options()).unwrap())
            .collect();
        std::thread::scope(|scope| {
            // Ours come from threads of their own, the renderer's from this one, all to one queue.
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
                stranger.draw(&mut encoder, 3, 50);
                stranger.count(&mut encoder);
                gpu.queue.submit([encoder.finish()]);
            }
        });
        stranger.is_right(gpu);
    });
}
