//! A bad file is reported on one line with exit status 2, never by a panic.

use crate::support::{Npz, data, rejected, save, scratch, tool};

/// Asserts that `loss` rejects `npz` with a message that contains the file's name and `reason`.
#[track_caller]
fn bad(name: &str, npz: &Npz, reason: &str) {
    let path = npz.save(name);
    rejected(&["loss", "--backend", "cpu", &path], name, reason);
}

#[test]
fn a_missing_file_is_named() {
    rejected(&["loss", "nowhere.npz"], "nowhere.npz", "No such file");
    rejected(&["check", "nowhere.npz"], "nowhere.npz", "No such file");
}

#[test]
fn a_file_that_is_not_an_archive_is_rejected() {
    let text = save("text.npz", b"loss,grad\n1,2\n");
    rejected(&["loss", &text], "text.npz", "not an .npz file");
    let empty = save("empty.npz", b"");
    rejected(&["loss", &empty], "empty.npz", "not an .npz file");
}

#[test]
fn a_truncated_archive_is_rejected_at_any_length() {
    let whole = std::fs::read(data("cli/compressed.npz")).expect("the fixture");
    for tenth in 1..10 {
        let cut = save("cut.npz", &whole[..whole.len() * tenth / 10]);
        rejected(&["loss", &cut], "cut.npz", "truncated");
    }
}

#[test]
fn the_checksum_detects_a_flipped_bit() {
    let mut bytes = Npz::small().bytes();
    // The pattern of 0.5, the logits' value.
    let half = 0.5_f32.to_le_bytes().repeat(3);
    let at = bytes
        .windows(12)
        .position(|w| w == half)
        .expect("the logits");
    bytes[at] ^= 1;
    let path = save("flipped.npz", &bytes);
    rejected(
        &["loss", &path],
        "flipped.npz",
        "logits: truncated or damaged",
    );
}

#[test]
fn a_missing_array_is_named() {
    bad(
        "no_input.npz",
        &Npz::small().without("logits"),
        "logits, log_probs, probs",
    );
    bad(
        "no_labels.npz",
        &Npz::small().without("labels"),
        "labels is missing",
    );
    let flat = Npz::small()
        .with("labels", &[3], &[1_i32, 2, 1])
        .without("label_lengths");
    bad("no_label_lengths.npz", &flat, "label_lengths is missing");
}

#[test]
fn two_inputs_are_rejected() {
    let npz = Npz::small().with("probs", &[2, 4, 3], &[0.3_f32; 24]);
    bad("two.npz", &npz, "contains both logits and probs");
}

#[test]
fn a_wrong_dtype_is_named() {
    bad(
        "ints.npz",
        &Npz::small().with("logits", &[2, 4, 3], &[1_i32; 24]),
        "logits is an integer array",
    );
    bad(
        "floats.npz",
        &Npz::small().with("labels", &[2, 2], &[1.0_f32; 4]),
        "labels is float32",
    );
    bad(
        "flengths.npz",
        &Npz::small().with("logit_lengths", &[2], &[4.0_f64; 2]),
        "logit_lengths is float64",
    );
    bad(
        "fblank.npz",
        &Npz::small().with("blank", &[], &[0.0_f64]),
        "blank is float64",
    );
    let half = "{'descr': '<f2', 'fortran_order': False, 'shape': (2, 4, 3), }";
    bad(
        "half.npz",
        &Npz::small().with_header("logits", half, 48),
        "logits: has dtype float16",
    );
    let object = "{'descr': '|O', 'fortran_order': False, 'shape': (2, 2), }";
    bad(
        "object.npz",
        &Npz::small().with_header("labels", object, 48),
        "labels: has dtype object",
    );
    let text = "{'descr': '<U3', 'fortran_order': False, 'shape': (2, 2), }";
    bad(
        "text.npz",
        &Npz::small().with_header("labels", text, 48),
        "labels: has dtype string",
    );
}

#[test]
fn a_wrong_rank_is_named() {
    bad(
        "flat.npz",
        &Npz::small().with("logits", &[24], &[0.5_f32; 24]),
        "logits has shape [24]: expected [N, T, C]",
    );
    bad(
        "deep.npz",
        &Npz::small().with("labels", &[2, 1, 2], &[1_i32; 4]),
        "labels has shape [2, 1, 2]",
    );
    bad(
        "square.npz",
        &Npz::small().with("label_lengths", &[2, 1], &[1_i32; 2]),
        "label_lengths has shape [2, 1]",
    );
    bad(
        "blanks.npz",
        &Npz::small().with("blank", &[2], &[0_i32; 2]),
        "blank has shape [2]",
    );
    bad(
        "wide.npz",
        &Npz::small().with("weights", &[1, 2], &[1.0_f32; 2]),
        "weights has shape [1, 2]: expected [N]",
    );
    bad(
        "reference.npz",
        &Npz::small().with("loss_f64", &[3], &[1.0_f64; 3]),
        "loss_f64 has shape [3]: expected [2]",
    );
    let rows = Npz::small().with("labels", &[4, 2], &[1_i32; 8]);
    bad(
        "rows.npz",
        &rows,
        "labels has 4 rows, but logits has 2 items",
    );
}

#[test]
fn messages_contain_numbers_that_do_not_fit_into_32_bits() {
    let padded = |labels: &[u64; 4]| Npz::small().with("labels", &[2, 2], labels);
    bad(
        "wide.npz",
        &padded(&[1, 1, 1 << 63, 1]),
        "item 1: label 9223372036854775808 at position 0 is not a valid class",
    );
    let flat = Npz::small().with("labels", &[3], &[1_i64, 1, -(1 << 40)]);
    bad(
        "wide_flat.npz",
        &flat,
        "label -1099511627776 at element 2 of labels is not a valid class",
    );
    bad(
        "wide_blank.npz",
        &Npz::small().with("blank", &[1], &[u64::MAX]),
        "blank is 18446744073709551615",
    );
    for (name, weight) in [("heavy.npz", 1e39), ("light.npz", -1e-200)] {
        let weights = Npz::small().with("weights", &[2], &[1.0, weight]);
        bad(
            name,
            &weights,
            &format!("item 1: weight {weight:e} is outside the range of float32"),
        );
    }
    // Labels beyond an item's length are padding.
    let padding = padded(&[1, u64::MAX, 2, 1]).save("padding.npz");
    assert_eq!(tool(["loss", "--backend", "cpu", &padding]).status, 0);
}

#[test]
fn a_misspelled_array_is_named() {
    let path = Npz::small()
        .with("label_length", &[2], &[1_i32; 2])
        .save("misspelled.npz");
    for command in [&["loss", "--backend", "cpu"][..], &["decode"], &["align"]] {
        let run = tool([command, &[&path]].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        let note = "the array label_length was ignored";
        assert!(run.stderr.contains(note), "{command:?}: {}", run.stderr);
    }
}

#[test]
fn lengths_out_of_range_are_rejected() {
    let lengths = |name: &str, values: &[i64; 2]| Npz::small().with(name, &[2], values);
    bad(
        "long.npz",
        &lengths("logit_lengths", &[4, 5]),
        "item 1: logit length 5",
    );
    bad(
        "negative.npz",
        &lengths("logit_lengths", &[-1, 4]),
        "item 0: logit length -1",
    );
    bad(
        "huge.npz",
        &lengths("logit_lengths", &[4, 1 << 40]),
        "item 1: logit_lengths 1099511627776",
    );
    bad(
        "labels.npz",
        &lengths("label_lengths", &[1, 3]),
        "item 1: label length 3",
    );
    let three = Npz::small().with("label_lengths", &[3], &[1_i32; 3]);
    bad("three.npz", &three, "label_lengths has 3 elements");
    let flat = Npz::small().with("labels", &[4], &[1_i32, 2, 1, 2]);
    bad("sum.npz", &flat, "labels has 4 elements, but 3 are needed");
}

#[test]
fn labels_and_blanks_that_are_not_valid_classes_are_rejected() {
    bad(
        "label.npz",
        &Npz::small().with("labels", &[2, 2], &[1_i64, 2, 2, 1 << 40]),
        "item 1: label",
    );
    bad(
        "blank_label.npz",
        &Npz::small().with("labels", &[2, 2], &[1_u8, 2, 2, 0]),
        "--blank-in-labels allow",
    );
    bad(
        "blank.npz",
        &Npz::small().with("blank", &[], &[3_i32]),
        "blank 3 is out of range: expected 0 to 2 for 3 classes",
    );
    bad(
        "minus.npz",
        &Npz::small().with("blank", &[], &[-1_i32]),
        "blank is -1",
    );
    bad(
        "weight.npz",
        &Npz::small().with("weights", &[2], &[1.0, f64::NAN]),
        "item 1: weight NaN",
    );
}

#[test]
fn a_header_that_claims_more_than_the_file_holds_is_rejected_without_allocating_it() {
    let claims = |shape: &str| {
        let header = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}");
        Npz::small().with_header("logits", &header, 96)
    };
    bad(
        "tera.npz",
        &claims("(1000000, 1000000, 4)"),
        "but 96 bytes follow",
    );
    bad(
        "overflow.npz",
        &claims("(9999999999, 9999999999, 9999999999)"),
        "plain array",
    );
    bad("nested.npz", &claims(&"(".repeat(9000)), "plain array");
    bad("minus.npz", &claims("(-2, 4, 3)"), "header cannot be read");
    bad("garbage.npz", &claims("(2, 4, "), "header cannot be read");
    bad("one_more.npz", &claims("(2, 4, 4)"), "but 96 bytes follow");
    bad(
        "not_npy.npz",
        &Npz::small().with_raw("logits", b"no array here".to_vec()),
        "not in numpy's",
    );
    bad(
        "short.npz",
        &Npz::small().with_raw("logits", b"\x93NUM".to_vec()),
        "truncated",
    );
    let long = b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec();
    bad(
        "long_header.npz",
        &Npz::small().with_raw("logits", long),
        "the header claims 4294967295 bytes",
    );
    let none = Npz::default()
        .with::<f32>("logits", &[1 << 50, 0, 3], &[])
        .with::<i32>("labels", &[1 << 50, 0], &[]);
    bad("none.npz", &none, "which has no elements");
    let zero = claims("(0, 9000000, 90000000)");
    bad("zero.npz", &zero, "but 96 bytes follow");
}

#[test]
fn options_that_contradict_the_file_or_each_other_are_rejected() {
    let path = Npz::small().save("flags.npz");
    rejected(
        &["loss", &path, "--exact"],
        "flags.npz",
        "--exact is for log_probs",
    );
    rejected(
        &["loss", &path, "--epsilon", "1e-6"],
        "flags.npz",
        "--epsilon is for probs",
    );
    rejected(
        &["loss", &path, "--blank", "3"],
        "flags.npz",
        "blank 3 is out of range",
    );
    rejected(
        &["loss", &path, "--out", &path],
        "flags.npz",
        "would overwrite the batch",
    );
    rejected(
        &["loss", &path, "--backend", "cpu", "--adapter", "x"],
        "",
        "--adapter selects a GPU",
    );
    let name = "an adapter of no such name";
    rejected(&["loss", &path, "--adapter", name], "", "no GPU adapter");
    rejected(
        &["loss", &path, "--backend", "gpu", "--adapter", name],
        "",
        "no GPU adapter",
    );
}

#[test]
fn a_result_that_cannot_be_written_exits_with_2() {
    let path = data("cli/plain.npz");
    let nowhere = scratch("no/such/folder/out.npz").display().to_string();
    rejected(
        &["loss", "--backend", "cpu", &path, "--out", &nowhere],
        "out.npz",
        "cannot be written",
    );
}

#[test]
fn an_item_without_an_alignment_can_be_an_error() {
    let path = data("cli/impossible.npz");
    let args = ["loss", "--backend", "cpu", &path, "--impossible", "error"];
    rejected(
        &args,
        "impossible.npz",
        "item 1: no valid alignment of its 3 labels with its 4 frames",
    );
}

#[test]
fn unknown_flags_and_values_exit_with_2() {
    for args in [
        &["loss"][..],
        &["lose"],
        &["loss", "x.npz", "--blank", "first"],
        &["loss", "x.npz", "--layout", "nct"],
    ] {
        assert_eq!(tool(args).status, 2, "{args:?}");
    }
}
