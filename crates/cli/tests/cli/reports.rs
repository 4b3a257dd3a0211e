//! The reports of the tool, as text and as JSON.

use std::io::Read;
use std::process::Stdio;

use crate::support::{Npz, command, data, json, tool};

#[test]
fn the_report_of_a_loss_names_backend_shape_losses_time_and_deviation() {
    let run = tool(["loss", &data("ocr/keras_ocr_trained.npz")]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let names: Vec<&str> = run
        .stdout
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        names,
        ["backend", "batch", "loss", "time", "deviation"],
        "{}",
        run.stdout
    );
    assert!(
        run.stdout.contains("N=32 T=50 C=20 Lmax=6 blank=19"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("0.057376"), "{}", run.stdout);
}

#[test]
fn without_an_adapter_the_report_names_the_cpu_backend() {
    let adapters = json(&["adapters"])["adapters"].as_array().map(Vec::len);
    let run = tool(["loss", &data("cli/plain.npz")]);
    let first = run.stdout.lines().next().expect("a line");
    let fell_back = first.contains("CPU backend") && first.contains("no GPU adapter was found");
    assert_eq!(fell_back, adapters == Some(0), "{first}");
}

#[test]
fn results_for_another_blank_are_not_compared_with_the_stored_values() {
    let path = data("cli/plain.npz");
    let flags = ["--blank", "3", "--blank-in-labels", "allow"];
    let report = json(&[&["loss", "--backend", "cpu", &path][..], &flags].concat());
    assert_eq!(report["shape"]["blank"], 3);
    assert!(report["loss_deviation"].is_null() && report["grad_deviation"].is_null());
}

#[test]
fn a_batch_without_items_succeeds() {
    let npz = Npz::default()
        .with::<f32>("logits", &[0, 4, 3], &[])
        .with::<i32>("labels", &[0, 2], &[]);
    let path = npz.save("nothing.npz");
    let run = tool(["loss", "--backend", "cpu", &path]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    assert!(run.stdout.contains("no items"), "{}", run.stdout);
    assert_eq!(
        json(&["loss", "--backend", "cpu", &path])["mean"],
        serde_json::Value::Null
    );
}

#[test]
fn check_passes_every_backend_on_every_kind_of_input() {
    for (name, flags) in [
        ("ocr/keras_ocr_trained.npz", &[][..]),
        (
            "cli/time_major.npz",
            &["--layout", "tnc", "--reduction", "mean-label"],
        ),
        ("cli/log_probs.npz", &[]),
        ("cli/log_probs.npz", &["--exact"]),
        ("cli/probs.npz", &[]),
        ("cli/impossible.npz", &[]),
    ] {
        let path = data(name);
        let run = tool(["check", &path].iter().chain(flags));
        assert_eq!(
            run.status, 0,
            "{name} {flags:?}:\n{}{}",
            run.stdout, run.stderr
        );
        assert!(run.stdout.contains("float64 reference"), "{}", run.stdout);
    }
}

#[test]
fn check_reports_each_backend_as_json() {
    let report = json(&["check", &data("ocr/keras_ocr_trained.npz")]);
    assert_eq!(report["passed"], true);
    let adapters = report["adapters"].as_u64().expect("a count");
    let backends = report["backends"].as_array().expect("backends");
    assert_eq!(
        backends.len() as u64,
        adapters + 1,
        "each adapter and the CPU backend"
    );
    let cpu = backends.last().expect("the CPU backend");
    assert_eq!(cpu["result"], "pass");
    assert!(cpu["loss_error"]["worst"].as_f64().expect("an error") <= 1e-6);
    assert!(cpu["grad_error"]["worst"].as_f64().expect("an error") <= 1e-5);
}

#[test]
fn check_has_a_note_if_there_is_no_adapter() {
    let none = json(&["adapters"])["adapters"] == serde_json::json!([]);
    let run = tool(["check", &data("cli/plain.npz")]);
    let noted = run
        .stdout
        .contains("no GPU adapter was found: the CPU backend is checked alone");
    assert_eq!(noted, none, "{}", run.stdout);
}

#[test]
fn adapters_lists_every_adapter() {
    let run = tool(["adapters"]);
    assert_eq!(run.status, 0, "{}", run.stderr);
    let report = json(&["adapters"]);
    let found = report["adapters"].as_array().expect("a list");
    if found.is_empty() {
        assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
        assert!(run.stdout.contains("install"), "{}", run.stdout);
    }
    for adapter in found {
        let name = adapter["name"].as_str().expect("a name");
        assert!(
            run.stdout.contains(name),
            "{name} is not in:\n{}",
            run.stdout
        );
        assert!(adapter["max_binding_bytes"].as_u64() >= Some(1 << 20));
    }
}

#[test]
fn a_reader_that_stops_early_is_not_an_error() {
    let mut child = command()
        .args(["loss", "--backend", "cpu", "--json", &data("cli/plain.npz")])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    drop(child.stdout.take());
    let mut errors = String::new();
    let mut stderr = child.stderr.take().expect("a pipe");
    stderr.read_to_string(&mut errors).expect("UTF-8");
    assert_eq!(errors, "");
    assert!(child.wait().expect("an exit status").success());
}
