//! `ctc-wgpu bench` on an adapter: times of stages, of queued steps and of the first use, and
//! decoders.

use serde_json::{Value, json};

use crate::bench::{SMALL, rejected};
use crate::support::{json as tool_json, tool};

const GPU: [&str; 2] = ["--backend", "gpu"];

fn number(row: &Value, name: &str) -> f64 {
    let value = row[name].as_f64();
    value.unwrap_or_else(|| panic!("{name} is not a number in {row}"))
}

/// Returns the stages of a row by name, in microseconds.
fn stages(row: &Value) -> Vec<(&str, f64)> {
    let object = row["stages_us"].as_object();
    let object = object.unwrap_or_else(|| panic!("no stages_us in {row}"));
    let time = |(name, value): (_, &Value)| (name, value.as_f64().expect("a number"));
    object
        .iter()
        .map(|(name, value)| time((name.as_str(), value)))
        .collect()
}

/// Asserts that the stages together take about as long as a step. A busy machine may delay either,
/// so they may differ by a factor of 50.
fn assert_plausible(row: &Value) {
    let sum: f64 = stages(row).iter().map(|(_, micros)| micros).sum();
    let wall = number(row, "wall_ms") * 1e3;
    assert!(
        stages(row).iter().all(|(_, micros)| *micros >= 0.0),
        "{row}"
    );
    assert!(
        (wall / 50.0..wall * 50.0).contains(&sum),
        "{sum} µs in {row}"
    );
}

/// Returns the only row of `bench` on the adapter.
fn row(flags: &[&str]) -> Value {
    let args = [&["bench"], &GPU[..], &SMALL[..2], flags].concat();
    tool_json(&args)[0].take()
}

#[test]
fn each_stage_has_its_time_in_every_way() {
    for (flag, timed_by) in [
        ("--stages=timestamps", "timestamps in one pass"),
        ("--stages=passes", "timestamps, one pass per stage"),
        (
            "--stages=submissions",
            "wall clock, one submission per stage",
        ),
    ] {
        let row = row(&[flag]);
        assert_eq!(row["stages_timed_by"], timed_by);
        let names: Vec<_> = stages(&row).into_iter().map(|(name, _)| name).collect();
        for stage in [
            "grad",
            "check_labels",
            "join",
            "softmax_stats",
            "sweep inward",
            "sweep outward",
        ] {
            assert!(names.contains(&stage), "no `{stage}` in {row}");
        }
        assert_plausible(&row);
    }
}

#[test]
fn queued_steps_and_the_first_use_are_measured() {
    let row = row(&["--queued", "3", "--stages", "--forward-only"]);
    assert_eq!(row["queued"], 3);
    let (queued, wall) = (number(&row, "queued_ms"), number(&row, "wall_ms"));
    assert!((wall / 50.0..wall * 50.0).contains(&queued), "{row}");
    let [plan, loss] = ["first_plan_ms", "first_loss_ms"].map(|name| number(&row, name));
    assert!(plan > 0.0 && loss > plan, "{row}");
    let [plan, again] = ["second_plan_ms", "second_loss_ms"].map(|name| number(&row, name));
    assert!(plan > 0.0 && again > plan, "{row}");
    let state = if again < 0.6 * loss {
        "cold"
    } else {
        "hot or absent"
    };
    assert_eq!(row["driver_cache"], state, "{row}");
    // Without the gradient its stages do not run.
    let names: Vec<_> = stages(&row).into_iter().map(|(name, _)| name).collect();
    assert!(names.contains(&"join"), "{row}");
    assert!(
        !names.contains(&"grad") && !names.contains(&"sweep outward"),
        "{row}"
    );
}

#[test]
fn a_variant_is_named_and_gives_the_same_loss() {
    let measured = |name: &str| {
        let shape = ["--shape", "6,2,5,3", "--variant", name];
        tool_json(&[&["bench"], &GPU[..], &shape].concat())[0].take()
    };
    let planned = measured("planned");
    for name in ["barriers", "unchecked"] {
        let row = measured(name);
        assert_eq!(row["variant"], name);
        assert_eq!(row["mean_loss"], planned["mean_loss"], "{row}");
        assert!(number(&row, "median_ms") > 0.0);
    }
}

#[test]
fn the_larger_copy_rate_is_used() {
    let row = row(&[]);
    let by = ["copy_by_command_gb_per_s", "copy_by_kernel_gb_per_s"].map(|way| number(&row, way));
    assert!(by.iter().all(|rate| *rate > 0.0), "{row}");
    assert_eq!(number(&row, "copy_gb_per_s"), by[0].max(by[1]));
    // Measurements that were not requested are absent.
    for name in ["stages_us", "stages_timed_by", "queued", "queued_ms"] {
        assert!(row[name].is_null(), "{name} in {row}");
    }
}

#[test]
fn the_tables_have_one_line_per_stage_and_one_column_per_shape() {
    let flags = ["bench", "--backend", "gpu", "--stages", "--queued", "2"];
    let run = tool([&flags, &SMALL[..]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    for part in [
        "by kernel; the larger is used",
        "first use",
        "queued",
        "first plan",
        "first loss",
        "timestamps in one pass",
        "T=6 N=2",
        "C=5 L=3",
        "C=4 L=0",
    ] {
        assert!(run.stdout.contains(part), "no `{part}` in:\n{}", run.stdout);
    }
    for stage in ["check_labels", "sweep outward", "sum"] {
        let line = run.stdout.lines().find(|line| line.starts_with(stage));
        let line = line.unwrap_or_else(|| panic!("no `{stage}` in:\n{}", run.stdout));
        assert_eq!(line.matches('%').count(), 2, "{line}");
    }
}

#[test]
fn alignment_and_greedy_kernels_have_their_measurements() {
    let shape = ["--shape", "12,2,5,3"];
    let decode = |flags: &[&str]| tool_json(&[&["bench", "--decode"], flags, &shape[..]].concat());
    let report = decode(&["--backend", "gpu", "--stages", "--queued", "2"]);
    let rows = report.as_array().expect("a list");
    let on_cpu = decode(&["--backend", "cpu"]);
    let tasks: Vec<_> = rows.iter().map(|row| row["task"].as_str()).collect();
    assert_eq!(tasks, [Some("align"), Some("greedy")]);
    for (row, expected) in rows.iter().zip(on_cpu.as_array().expect("a list")) {
        assert_eq!(row["backend"], "gpu");
        assert_eq!(row["task"], expected["task"]);
        assert_eq!(row["shape"], json!([12, 2, 5, 3]));
        assert_eq!(row["results"], expected["results"]);
        assert_eq!(row["log_probs"].as_array().map(Vec::len), Some(2), "{row}");
        assert_eq!(row["queued"], 2);
        for name in ["median_ms", "min_ms", "wall_ms", "queued_ms", "cpu_ms"] {
            assert!(number(row, name) > 0.0, "{name} in {row}");
        }
        assert_plausible(row);
    }
    assert!(
        stages(&rows[0])
            .iter()
            .any(|(name, _)| *name == "backtrace")
    );
    assert!(stages(&rows[1]).iter().any(|(name, _)| *name == "collapse"));
    assert!(on_cpu[0]["cpu_ms"].is_null());
}

#[test]
fn the_table_shows_that_beam_search_has_no_kernel() {
    let flags = ["bench", "--decode", "--backend", "gpu", "--stages"];
    let run = tool([&flags, &SMALL[..2]].concat());
    assert_eq!(run.status, 0, "{}", run.stderr);
    let line = |task: &str| {
        let mut lines = run.stdout.lines();
        let found = lines.find(|line| line.starts_with("T=") && line.contains(task));
        found.unwrap_or_else(|| panic!("no `{task}` in:\n{}", run.stdout))
    };
    assert!(line("align").contains("ms") && line("greedy").contains("ms"));
    assert!(!line("beam").contains("ms") && line("beam").contains('–'));
}

#[test]
fn options_that_require_an_adapter_are_rejected_on_the_cpu() {
    for backend in [&["--backend", "cpu"][..], &["--decode"]] {
        let with = |flags: &'static [&str]| [backend, flags].concat();
        rejected(
            &with(&["--stages"]),
            &["--stages", "the CPU backend", "--backend gpu"],
        );
        rejected(
            &with(&["--queued", "2"]),
            &["--queued", "the CPU backend", "--backend gpu"],
        );
    }
    rejected(
        &["--backend", "cpu", "--variant", "barriers"],
        &["--variant", "the CPU backend", "--backend gpu"],
    );
    rejected(&["--queued", "0"], &["'0'", "--queued"]);
    rejected(&["--queued", "1001"], &["1001", "--queued"]);
    rejected(&["--stages=guess"], &["guess", "timestamps", "submissions"]);
}
