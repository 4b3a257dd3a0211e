//! Batches that exceed a limit of the device are split, with the same results. Only the device's
//! memory limits their size.

use ctc_wgpu::{
    BatchShape, Ctc, DeviceLimits, Error, GpuCtc, Options, Plan, PlanError, Task, reference,
};

use crate::support::adapters::on_each;
use crate::support::batch::OwnedBatch;
use crate::support::check::Computed;
use crate::support::device::on_each_device_within;
use crate::support::random::{BatchSpec, full};

/// Compares one item of an output with the reference.
fn item_agrees(batch: &OwnedBatch, output: &Computed, item: usize) {
    let alone = batch.alone(item);
    let expected = reference::loss_and_grad(&alone.batch(), &Options::default()).unwrap();
    let (got, want) = (output.loss[item], expected.loss[0]);
    assert!(
        (got - want).abs() <= 1e-6 * want,
        "item {item}: loss {got}, not {want}"
    );
    for frame in 0..batch.frames() {
        let got = &output.grad[batch.row(item, frame)..][..batch.classes()];
        let want = &expected.grad[alone.row(0, frame)..][..batch.classes()];
        let worst = got
            .iter()
            .zip(want)
            .map(|(g, w)| (g - w).abs())
            .fold(0.0, f64::max);
        assert!(
            worst <= 1e-5,
            "item {item} frame {frame}: gradient off by {worst}"
        );
    }
}

fn output(ctc: &Ctc, batch: &OwnedBatch) -> Computed {
    ctc.loss_and_grad(&batch.batch(), &Options::default())
        .unwrap()
        .into()
}

#[test]
fn logits_of_200_mib_are_split_into_bindings_of_128_mib() {
    // 8 × 1600 × 4096 × 4 bytes
    let batch = full([8, 1600, 4096], 30, 2.0, 1);
    assert_eq!(batch.values.len() * 4, 200 << 20);
    on_each(|ctc| {
        let device = DeviceLimits::from(ctc.device().unwrap());
        let limits = device.max_binding(128 << 20);
        for shape in [
            BatchShape::new(8, 1600, 4096, 30),
            BatchShape::new(8, 1600, 4096, 30).time_major(),
        ] {
            let plan = Plan::new(&shape, &Options::default(), Task::LossAndGrad, &limits).unwrap();
            assert!(plan.batch_tiles() > 1 || plan.input_slices() > 1, "{plan}");
        }
        let found = output(ctc, &batch);
        item_agrees(&batch, &found, 0);
        item_agrees(&batch, &found, 7);
        // The other layout is split differently, but has the same bits.
        let transposed = batch.transposed();
        let other = output(ctc, &transposed);
        assert_eq!(found.loss, other.loss);
        assert_eq!(transposed.transpose(&other.grad), found.grad);
    });
}

/// Returns the default limits, with lower ones for bindings and grids.
fn lower_limits(max_binding: u64, max_workgroups: u32) -> wgpu::Limits {
    wgpu::Limits {
        max_storage_buffer_binding_size: max_binding,
        max_compute_workgroups_per_dimension: max_workgroups,
        ..wgpu::Limits::default()
    }
}

#[test]
fn split_batches_have_the_same_bits() {
    let batch = BatchSpec::new([7, 90, 40], 25).batch(5);
    let transposed = batch.transposed();
    let unsplit = outputs(&wgpu::Limits::default(), &batch);
    for (max_binding, max_workgroups) in
        [(60_000, 65_535), (20_224, 7), (6_144, 65_535), (3_584, 10)]
    {
        let limits = lower_limits(max_binding, max_workgroups);
        assert_eq!(
            outputs(&limits, &batch),
            unsplit,
            "bindings of {max_binding} bytes"
        );
        let others = outputs(&limits, &transposed);
        for (other, unsplit) in others.iter().zip(&unsplit) {
            assert_eq!(
                other.loss, unsplit.loss,
                "time-major, bindings of {max_binding} bytes"
            );
            assert_eq!(transposed.transpose(&other.grad), unsplit.grad);
        }
    }
    // These limits split in all three ways, also combined.
    let plan = |max_binding, shape: BatchShape| {
        let limits = DeviceLimits::from(&lower_limits(max_binding, 65_535));
        Plan::new(&shape, &Options::default(), Task::LossAndGrad, &limits).unwrap()
    };
    let (ntc, tnc) = (
        BatchShape::new(7, 90, 40, 25),
        BatchShape::new(7, 90, 40, 25).time_major(),
    );
    assert!(plan(60_000, ntc).batch_tiles() > 1);
    assert!(plan(20_224, tnc).input_slices() > 1 && plan(20_224, tnc).batch_tiles() > 1);
    assert!(
        plan(6_144, ntc).segments() > 1
            && plan(6_144, ntc).input_slices() > 1
            && plan(6_144, ntc).batch_tiles() > 1
    );
}

fn outputs(limits: &wgpu::Limits, batch: &OwnedBatch) -> Vec<Computed> {
    let found = std::cell::RefCell::new(Vec::new());
    on_each_device_within(
        |_| limits.clone(),
        |gpu| {
            let ctc = Ctc::on_device(&gpu.device, &gpu.queue).unwrap();
            found.borrow_mut().push(output(&ctc, batch));
        },
    );
    found.into_inner()
}

#[test]
fn labels_that_exceed_the_registers_of_a_workgroup_are_right() {
    let batch = full([2, 6_500, 12], 3_000, 2.0, 2);
    let shape = BatchShape::new(2, 6_500, 12, 3_000);
    let limits = DeviceLimits::default();
    let plan = Plan::new(&shape, &Options::default(), Task::LossAndGrad, &limits).unwrap();
    assert!(plan.variant().states_in_storage, "{plan}");
    on_each(|ctc| item_agrees(&batch, &output(ctc, &batch), 1));
}

#[test]
fn ten_thousand_frames_are_right_for_flat_and_sharp_distributions() {
    for scale in [1.0, 10.0] {
        let batch = full([2, 10_000, 16], 400, scale, 4);
        on_each(|ctc| item_agrees(&batch, &output(ctc, &batch), 0));
        item_agrees(&batch, &output(&Ctc::cpu(), &batch), 0);
    }
}

#[test]
fn more_items_than_workgroups_per_dimension_are_right() {
    let items = 70_000;
    let batch = BatchSpec::new([items, 4, 3], 2).batch(6);
    let expected =
        Computed::from(reference::loss_and_grad(&batch.batch(), &Options::default()).unwrap());
    on_each(|ctc| {
        let got = output(ctc, &batch);
        assert_eq!(got.status, expected.status);
        for item in 0..items {
            let (got, want) = (got.loss[item], expected.loss[item]);
            assert!(
                got == want || (got - want).abs() <= 1e-6 * want.max(1.0),
                "item {item}: {got}, not {want}"
            );
        }
        let off = got
            .grad
            .iter()
            .zip(&expected.grad)
            .map(|(g, w)| (g - w).abs())
            .fold(0.0, f64::max);
        assert!(off <= 1e-5, "gradient off by {off}");
    });
}

#[test]
fn no_dispatch_exceeds_the_loop_iterations_of_a_driver() {
    // 4,000 inward steps, each with up to three loops over 126 quads by 32 lanes. The plan counts
    // 18 iterations per step: 72,000 if one dispatch ran them all. llvmpipe ends a loop after
    // 65,535, without an error.
    let lanes = wgpu::Limits {
        max_compute_invocations_per_workgroup: 32,
        max_compute_workgroup_size_x: 32,
        ..wgpu::Limits::default()
    };
    let batch = full([1, 8_000, 20], 500, 1.0, 7);
    for found in outputs(&lanes, &batch) {
        item_agrees(&batch, &found, 0);
    }
}

#[test]
fn limits_below_what_any_plan_needs_are_named() {
    on_each_device_within(
        |_| wgpu::Limits::downlevel_defaults(),
        |gpu| {
            let error = GpuCtc::new(&gpu.device, &gpu.queue).unwrap_err();
            let expected = PlanError::Limit {
                limit: "max_storage_buffers_per_shader_stage",
                has: 4,
                needs: 8,
                what: "the stage that checks labels",
            };
            assert_eq!(error, Error::Plan(expected));
        },
    );
}

#[test]
fn a_workspace_that_cannot_be_allocated_is_an_error() {
    on_each_device_within(
        |_| wgpu::Limits::default(),
        |gpu| {
            let ctc = GpuCtc::new(&gpu.device, &gpu.queue).unwrap();
            // Planned for buffers of 2 GiB, which exceed the limits of this device.
            let limits = ctc.limits().max_binding(1 << 31).max_buffer(1 << 31);
            let shape = BatchShape::new(1, 1_500_000, 2, 30_000);
            let plan = Plan::new(&shape, &Options::default(), Task::LossAndGrad, &limits).unwrap();
            assert!(plan.workspace_bytes() > 1 << 30);
            let error = ctc
                .plan_within(&shape, &Options::default(), Task::LossAndGrad, &limits)
                .unwrap_err();
            println!("{error}");
            assert!(
                matches!(error, Error::Gpu { .. } | Error::OutOfMemory(_)),
                "{error}"
            );
        },
    );
}
