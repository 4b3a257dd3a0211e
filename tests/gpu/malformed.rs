//! Malformed input that is already on the device: each affected item gets its status, other items
//! are unaffected, and nothing but the outputs is written, with and without wgpu's runtime checks.

use ctc_wgpu::{GpuCtc, RuntimeChecks};

use crate::support::device::{Gpu, on_each_device};
use crate::support::malformed::{self, CONCATENATED_LENGTHS, Corruption};

/// Runs `test` on every adapter, with kernels compiled with and without runtime checks.
fn on_each_context(test: impl Fn(&Gpu, &GpuCtc) -> Result<(), String>) {
    on_each_device(|gpu| {
        for checks in [RuntimeChecks::On, RuntimeChecks::Off] {
            println!("checks {checks:?}");
            let ctc = GpuCtc::with_checks(&gpu.device, &gpu.queue, checks).unwrap();
            test(gpu, &ctc).unwrap();
        }
    });
}

fn each_affects_only_its_item(corruptions: &[Corruption]) {
    assert!(!corruptions.is_empty());
    on_each_context(|gpu, ctc| {
        corruptions
            .iter()
            .try_for_each(|corruption| corruption.check(gpu, ctc))
    });
}

#[test]
fn an_invalid_label_affects_only_its_item() {
    each_affects_only_its_item(&malformed::labels_that_are_no_class());
}

#[test]
fn the_blank_among_the_labels_affects_only_its_item_and_may_be_allowed() {
    each_affects_only_its_item(&malformed::blank_among_the_labels());
    on_each_context(malformed::allowed_blank);
}

#[test]
fn a_logit_length_out_of_range_affects_only_its_item() {
    each_affects_only_its_item(&malformed::logit_lengths_out_of_range());
}

#[test]
fn a_padded_label_length_out_of_range_affects_only_its_item() {
    each_affects_only_its_item(&malformed::label_lengths_out_of_range());
}

#[test]
fn a_weight_that_is_not_finite_affects_only_its_item() {
    each_affects_only_its_item(&malformed::weights_that_are_not_finite());
}

#[test]
fn every_kind_of_nan_and_plus_infinity_in_a_valid_frame_affects_only_its_item() {
    each_affects_only_its_item(&malformed::logits_without_a_meaning());
}

#[test]
fn concatenated_lengths_that_exceed_the_buffer_or_overflow_affect_only_the_items_past_its_end() {
    on_each_context(|gpu, ctc| {
        let mut lengths = CONCATENATED_LENGTHS.iter();
        lengths.try_for_each(|lengths| malformed::concatenated_lengths(gpu, ctc, lengths))
    });
}

#[test]
fn a_batch_of_random_words_writes_nothing_but_its_outputs() {
    on_each_context(|gpu, ctc| (0..24).try_for_each(|seed| malformed::garbage(gpu, ctc, seed)));
}
