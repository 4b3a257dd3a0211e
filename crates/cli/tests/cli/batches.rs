//! Losses and gradients are right in every way in which numpy can store a batch.

use serde_json::Value;

use crate::support::{array, data, json, names, scratch, tool};

/// Asserts that the loss, and the gradient if the file has one, are close to the file's float64
/// values.
#[track_caller]
fn agrees(args: &[&str], gradient: bool) {
    let report = json(args);
    let worst = |name: &str| report[name]["worst"].as_f64();
    let loss = worst("loss_deviation").expect("the file has reference values");
    assert!(loss <= 1e-6, "{args:?}: loss is off by {loss}");
    match worst("grad_deviation") {
        Some(grad) => assert!(grad <= 1e-5, "{args:?}: gradient is off by {grad}"),
        None => assert!(!gradient, "{args:?}: no gradient was compared"),
    }
}

#[test]
fn the_ocr_batches_agree_with_keras_on_every_kind_of_backend() {
    for stage in ["untrained", "early", "trained"] {
        let path = data(&format!("ocr/keras_ocr_{stage}.npz"));
        for backend in ["auto", "cpu", "reference"] {
            agrees(&["loss", &path, "--backend", backend, "--runs", "1"], true);
        }
    }
}

#[test]
fn every_storage_format_of_numpy_is_read() {
    for (name, gradient) in [
        ("plain", true),
        ("compressed", true),
        ("fortran", true),
        ("wide_integers", false),
        ("big_endian", false),
        ("concatenated", false),
        ("float64", false),
    ] {
        let path = data(&format!("cli/{name}.npz"));
        agrees(&["loss", "--backend", "cpu", &path], gradient);
    }
    let path = data("cli/time_major.npz");
    agrees(
        &["loss", "--backend", "cpu", &path, "--layout", "tnc"],
        true,
    );
    let path = data("cli/no_blank.npz");
    agrees(
        &["loss", "--backend", "cpu", &path, "--blank", "last"],
        false,
    );
    agrees(&["loss", "--backend", "cpu", &path, "--blank", "19"], false);
}

#[test]
fn float64_is_rounded_with_a_note() {
    let run = tool([
        "loss",
        "--backend",
        "cpu",
        &data("cli/float64.npz"),
        "--json",
    ]);
    assert_eq!(run.status, 0);
    assert_eq!(run.stderr.lines().count(), 1, "{}", run.stderr);
    assert!(
        run.stderr
            .contains("float64.npz: logits is float64 and was rounded")
    );
}

#[test]
fn missing_lengths_default_to_the_whole_width() {
    let report = json(&["loss", "--backend", "cpu", &data("cli/no_lengths.npz")]);
    assert_eq!(report["shape"]["max_labels"], 3);
    assert_eq!(report["status"], serde_json::json!(["ok", "ok"]));
}

#[test]
fn log_probs_and_probs_give_the_losses_of_their_logits() {
    let losses = |name: &str, flags: &[&str]| -> Vec<f64> {
        let path = data(name);
        let args: Vec<&str> = ["loss", "--backend", "cpu", &path]
            .into_iter()
            .chain(flags.iter().copied())
            .collect();
        let report = json(&args);
        let values = report["loss"].as_array().expect("losses");
        values
            .iter()
            .map(|v| v.as_f64().expect("a finite loss"))
            .collect()
    };
    let logits = losses("cli/plain.npz", &[]);
    for (name, flags) in [
        ("cli/log_probs.npz", &[][..]),
        ("cli/log_probs.npz", &["--exact"]),
        ("cli/probs.npz", &["--epsilon", "0"]),
    ] {
        for (got, want) in losses(name, flags).iter().zip(&logits) {
            // The stored values are rounded to float32: in each of some 30 frames by up to 1e-6 of
            // its size.
            assert!(
                (got - want).abs() < 1e-4,
                "{name} {flags:?}: {got}, not {want}"
            );
        }
    }
}

#[test]
fn impossible_items_are_reported_and_the_option_sets_their_loss() {
    let path = data("cli/impossible.npz");
    let report = json(&["loss", "--backend", "cpu", &path]);
    assert_eq!(report["loss"][1], "inf");
    assert_eq!(report["status"], serde_json::json!(["ok", "impossible"]));
    let report = json(&["loss", "--backend", "cpu", &path, "--impossible", "zero"]);
    assert_eq!(report["loss"][1], 0.0);
    let run = tool(["loss", "--backend", "cpu", &path]);
    assert!(
        run.stdout.contains("1 impossible (item 1)"),
        "{}",
        run.stdout
    );
}

#[test]
fn every_reduction_has_its_formula() {
    let path = data("cli/plain.npz");
    let reduced = |name: &str| -> Value {
        json(&["loss", "--backend", "cpu", &path, "--reduction", name])["reduced"].clone()
    };
    let losses = json(&["loss", "--backend", "cpu", &path])["loss"].clone();
    let (first, second) = (
        losses[0].as_f64().expect("a loss"),
        losses[1].as_f64().expect("a loss"),
    );
    assert_eq!(reduced("none"), Value::Null);
    // The labels are 5 and 2 long.
    for (name, want) in [
        ("sum", first + second),
        ("mean-batch", (first + second) / 2.0),
        ("mean-label", (first / 5.0 + second / 2.0) / 2.0),
        ("mean-volume", (first + second) / 7.0),
        ("mean-weighted", (first + second) / 2.0),
    ] {
        let got = reduced(name).as_f64().expect("a number");
        assert!((got - want).abs() <= 1e-6, "{name}: {got}, not {want}");
    }
}

#[test]
fn written_results_match_printed_results_and_the_input_shape() {
    let out = scratch("round_trip.npz").display().to_string();
    let path = data("cli/time_major.npz");
    let flags = ["--layout", "tnc", "--reduction", "sum"];
    let args = [
        &["loss", "--backend", "cpu", &path, "--out", &out][..],
        &flags,
    ]
    .concat();
    let report = json(&args);
    assert_eq!(
        names(&out),
        ["grad.npy", "loss.npy", "reduced.npy", "status.npy"]
    );
    let (shape, loss) = array::<f32>(&out, "loss");
    assert_eq!(shape, [2]);
    for (written, printed) in loss.iter().zip(report["loss"].as_array().expect("losses")) {
        // As f32, because serde_json may parse the last digit of an f64 differently.
        assert_eq!(Some(*written), printed.as_f64().map(|p| p as f32));
    }
    let (shape, grad) = array::<f32>(&out, "grad");
    assert_eq!(shape, [50, 2, 20]);
    let (_, reference) = array::<f64>(&path, "grad_f64");
    for (got, want) in grad.iter().zip(&reference) {
        assert!((f64::from(*got) - want).abs() <= 1e-5, "{got}, not {want}");
    }
    let (shape, status) = array::<u32>(&out, "status");
    assert_eq!((shape, status), (vec![2], vec![0, 0]));
    let (shape, reduced) = array::<f32>(&out, "reduced");
    assert_eq!(shape, Vec::<u64>::new());
    assert_eq!(
        Some(reduced[0]),
        report["reduced"].as_f64().map(|r| r as f32)
    );
}

#[test]
fn no_grad_writes_no_gradient() {
    let out = scratch("no_grad.npz").display().to_string();
    let path = data("cli/plain.npz");
    let report = json(&[
        "loss",
        "--backend",
        "cpu",
        &path,
        "--no-grad",
        "--out",
        &out,
    ]);
    assert_eq!(report["grad_deviation"], Value::Null);
    assert_eq!(names(&out), ["loss.npy", "status.npy"]);
}
