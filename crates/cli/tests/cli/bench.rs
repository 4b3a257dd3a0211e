//! `ctc-wgpu bench`: its output and the options that it rejects. No test asserts a speed.

use serde_json::Value;

use crate::support::{json, tool};

pub(crate) const SMALL: [&str; 4] = ["--shape", "6,2,5,3", "--shape", "7,1,4,0"];

/// Returns the list that `bench --json` prints.
fn bench(flags: &[&str]) -> Vec<Value> {
    let report = json(&[&["bench"], flags, &SMALL[..]].concat());
    report.as_array().expect("a list").clone()
}

#[track_caller]
pub(crate) fn rejected(flags: &[&str], parts: &[&str]) {
    let run = tool([&["bench"], flags].concat());
    assert_eq!(run.status, 2, "{flags:?}: {}{}", run.stdout, run.stderr);
    for part in parts {
        assert!(run.stderr.contains(part), "no `{part}` in: {}", run.stderr);
    }
}

#[test]
fn each_shape_has_its_measurements() {
    for (backend, dispatches) in [("cpu", false), ("gpu", true)] {
        let rows = bench(&["--backend", backend]);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0]["shape"], serde_json::json!([6, 2, 5, 3]));
        for row in &rows {
            assert_eq!(row["backend"], backend);
            assert_eq!(row["task"], "loss+grad");
            assert_eq!(row["version"], env!("CARGO_PKG_VERSION"));
            for number in [
                "median_ms",
                "min_ms",
                "wall_ms",
                "ns_per_frame",
                "gb_per_s",
                "copy_gb_per_s",
                "mean_loss",
                "grad_l1",
                "workspace_bytes",
            ] {
                assert!(row[number].as_f64() > Some(0.0), "{number} in {row}");
            }
            assert!(row["runs"].as_u64() >= Some(5), "{row}");
            assert!(row["timed_by"].is_string(), "{row}");
            for name in [
                "adapter",
                "driver",
                "dispatches",
                "first_plan_ms",
                "driver_cache",
                "copy_by_kernel_gb_per_s",
            ] {
                assert_eq!(row[name].is_null(), !dispatches, "{name} in {row}");
            }
        }
    }
}

#[test]
fn forward_only_has_a_loss_and_no_gradient() {
    for backend in ["cpu", "gpu"] {
        for row in bench(&["--backend", backend, "--forward-only"]) {
            assert_eq!(row["task"], "loss");
            assert!(row["mean_loss"].as_f64() > Some(0.0), "{row}");
            assert!(row["grad_l1"].is_null(), "{row}");
        }
    }
}

#[test]
fn alignment_and_decoders_have_their_measurements() {
    let shape = ["--shape", "12,2,5,3"];
    let report = json(
        &[
            &["bench", "--decode", "--threads", "1", "--backend", "cpu"],
            &shape[..],
        ]
        .concat(),
    );
    let rows = report.as_array().expect("a list");
    assert_eq!(rows.len(), 6);
    for row in rows {
        assert_eq!(row["shape"], serde_json::json!([12, 2, 5, 3]));
        assert!(row["median_ms"].as_f64() > Some(0.0), "{row}");
        for list in ["results", "log_probs"] {
            assert_eq!(row[list].as_array().map(Vec::len), Some(2), "{row}");
        }
    }
    assert_eq!(rows[0]["task"], "align");
    assert_eq!(rows[0]["results"][0].as_array().map(Vec::len), Some(12));
    rejected(&["--decode", "--forward-only"], &["--forward-only"]);
}

#[test]
fn the_table_has_a_line_for_each_shape() {
    let run = tool([&["bench", "--backend", "cpu", "--threads", "1"], &SMALL[..]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    for part in [
        "CPU backend (1 threads",
        "T=6 N=2 C=5 L=3",
        "T=7 N=1 C=4 L=0",
        "GB/s",
    ] {
        assert!(run.stdout.contains(part), "no `{part}` in:\n{}", run.stdout);
    }
}

#[test]
fn wrong_arguments_are_rejected_with_value_and_rule() {
    rejected(
        &["--shape", "6,2,5"],
        &["6,2,5", "T,N,C,L", "four whole numbers"],
    );
    rejected(
        &["--shape", "6,2,1,3"],
        &["6,2,1,3", "C = 1: must be at least 2"],
    );
    rejected(
        &["--shape", "6,2,5,4"],
        &["L = 4: must be at most T / 2 = 3"],
    );
    rejected(
        &["--threads", "0", "--backend", "cpu"],
        &["'0'", "--threads"],
    );
    rejected(
        &["--threads", "2", "--backend", "gpu"],
        &["--threads", "--backend cpu"],
    );
    rejected(
        &["--adapter", "x", "--backend", "cpu"],
        &["--adapter", "--backend gpu"],
    );
    rejected(
        &["--adapter", "no such adapter"],
        &["whose name contains `no such adapter`"],
    );
}
