//! Nonsense that is on the device already: each item is told of it, its neighbours do not notice, and nothing is
//! touched that should not be, whether wgpu checks the kernels or not.

use ctc_wgpu::{GpuCtc, RuntimeChecks};

use crate::support::device::{Gpu, on_each_device};
use crate::support::malformed::{self, CONCATENATED_LENGTHS, Corruption};

/// Both ways of compiling the kernels, on every adapter.
fn on_each_context(test: impl Fn(&Gpu, &GpuCtc) -> Result<(), String>) {
    on_each_device(|gpu| {
        for checks in [RuntimeChecks::On, RuntimeChecks::Off] {
            println!("checks {checks:?}");
            let ctc = GpuCtc::with_checks(&gpu.device, &gpu.queue, checks).unwrap();
            test(gpu, &ctc).unwrap();
        }
    });
}

fn each_spoils_its_item_alone(spoilers: &[Corruption]) {
    assert!(!spoilers.is_empty());
    on_each_context(|gpu, ctc| {
        spoilers
            .iter()
            .try_for_each(|spoiler| spoiler.check(gpu, ctc))
    });
}

#[test]
fn a_label_that_is_no_class_spoils_its_item_alone() {
    each_spoils_its_item_alone(&malformed::labels_out_of_range());
}

#[test]
fn the_blank_among_the_labels_spoils_its_item_where_it_is_not_allowed() {
    each_spoils_its_item_alone(&malformed::blank_among_labels());
    on_each_context(malformed::allowed_blank);
}

#[test]
fn a_logit_length_out_of_range_spoils_its_item_alone() {
    each_spoils_its_item_alone(&malformed::logit_lengths_out_of_range());
}

#[test]
fn a_padded_label_length_out_of_range_spoils_its_item_alone() {
    each_spoils_its_item_alone(&malformed::label_lengths_out_of_range());
}

#[test]
fn a_weight_that_is_not_finite_spoils_its_item_alone() {
    each_spoils_its_item_alone(&malformed::weights_that_are_not_finite());
}

#[test]
fn every_kind_of_nan_and_plus_infinity_in_a_frame_that_counts_spoils_its_item_alone() {
    each_spoils_its_item_alone(&malformed::logits_that_are_not_finite());
}

#[test]
fn concatenated_lengths_whose_sum_leaves_the_buffer_or_overflows_spoil_the_items_that_leave_it() {
    on_each_context(|gpu, ctc| {
        let mut lengths = CONCATENATED_LENGTHS.iter();
        lengths.try_for_each(|lengths| malformed::concatenated_lengths(gpu, ctc, lengths))
    });
}

#[test]
fn a_batch_of_nothing_but_garbage_touches_nothing_else() {
    on_each_context(|gpu, ctc| (0..24).try_for_each(|seed| malformed::random_bits(gpu, ctc, seed)));
}
