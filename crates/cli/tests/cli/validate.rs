//! `ctc-wgpu validate`: its output, its report files, and the options that it rejects.
//! `tests/every_driver.sh` runs it on adapters.

use crate::support::{json, scratch, tool};

/// Validates only the CPU backend, which takes a moment; a software adapter takes minutes.
const CPU: [&str; 4] = ["validate", "--quick", "--backend", "cpu"];

#[test]
fn the_cpu_backend_passes_every_case() {
    let report = json(&CPU);
    assert_eq!(report["passed"], true);
    assert_eq!(report["size"], "quick");
    let adapters = report["adapters"].as_array().expect("a list");
    assert_eq!(adapters.len(), 1);
    let planned = &adapters[0]["variants"][0];
    assert_eq!(planned["variant"], "as planned");
    assert!(planned["cases"].as_u64() > Some(400), "{planned}");
    assert_eq!(planned["same_bits"], true);
    for worst in ["worst_loss", "worst_grad"] {
        // A largest deviation of exactly 0 would mean that none was measured.
        let worst = planned[worst].as_f64().expect("a number");
        assert!(worst > 0.0 && worst < 1e-5, "{planned}");
    }
    let families: Vec<_> = planned["families"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    for name in [
        "golden",
        "semantics",
        "random",
        "subnormals",
        "−∞",
        "repeated runs",
        "single items",
    ] {
        let family = families.iter().find(|family| family["family"] == name);
        let family = family.unwrap_or_else(|| panic!("no {name}"));
        assert!(family["cases"].as_u64() > Some(0), "{family}");
    }
}

#[test]
fn the_extension_selects_the_report_format() {
    for (name, begins, has) in [
        ("report.md", "# ctc-wgpu ", "| as planned | golden | "),
        (
            "report.html",
            "<!doctype html>",
            "<td>as planned</td><td>golden</td>",
        ),
        ("report.json", "{", "\"family\": \"golden\""),
    ] {
        let path = scratch(name);
        let path = path.to_str().expect("UTF-8");
        let run = tool([&CPU[..], &["--report", path]].concat());
        assert_eq!(run.status, 0, "{}", run.stderr);
        assert!(run.stdout.contains("as planned"), "{}", run.stdout);
        assert!(run.stdout.ends_with(" cases pass\n"), "{}", run.stdout);
        let report = std::fs::read_to_string(path).expect("the report");
        assert!(
            report.starts_with(begins) && report.contains(has),
            "{report}"
        );
    }
}

#[test]
fn invalid_options_are_rejected_before_anything_runs() {
    for (flags, reason) in [
        (&["--report", "report.pdf"][..], ".md, .html or .json"),
        (&["--adapter", "no such adapter"], "no GPU adapter"),
        (&["--backend", "opengl"], "invalid value"),
        (&["--quick", "--full"], "cannot be used with"),
    ] {
        let run = tool([&["validate"], flags].concat());
        assert_eq!(run.status, 2, "{flags:?}: {}{}", run.stdout, run.stderr);
        assert!(
            run.stdout.is_empty() && run.stderr.contains(reason),
            "{}",
            run.stderr
        );
    }
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let run = tool([&CPU[..], &["--report", "/no/such/folder/report.md"]].concat());
    assert_eq!(run.status, 2, "{}", run.stderr);
    assert!(
        run.stderr.contains("/no/such/folder/report.md"),
        "{}",
        run.stderr
    );
}
