//! Checks of the golden files: every case is used, and the documented differences from other
//! libraries are correct.

use std::collections::BTreeSet;

use ctc_wgpu::{RepeatedOutputs, reference};

use crate::support::check::{Computed, Failures, Tolerance, close, failures_of};
use crate::support::golden::{
    self, FILES, Grad, NOT_RUN, conformance, edge, file, keras, list, number, tensorflow, text,
};
use crate::support::semantics;

/// Returns the names of all cases of the files, as `file:case`.
fn case_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (name, _) in FILES {
        let file = file(name);
        for part in ["cases", "edge_cases", "edge_behaviour"] {
            for case in file.get(part).map(list).unwrap_or_default() {
                let case = format!("{name}:{}", text(&case["name"]));
                assert!(names.insert(case.clone()), "two cases are called {case}");
            }
        }
    }
    names
}

#[test]
fn every_case_of_every_file_is_run_or_has_a_reason_not_to_be() {
    let sources: Vec<String> = golden::all()
        .into_iter()
        .flat_map(|g| g.expectations)
        .map(|e| e.source)
        .collect();
    let errors = conformance::ERRORS.iter().map(|(name, ..)| *name);
    let errors = errors.chain(edge::ERRORS.iter().map(|(name, _)| *name));
    let errors: BTreeSet<String> = errors.map(|name| format!("conformance:{name}")).collect();
    let names = case_names();
    assert!(names.len() > 200, "only {} cases", names.len());
    for case in &names {
        let part = format!("{case} ");
        let run = sources.iter().any(|s| s == case || s.starts_with(&part));
        let not_run = NOT_RUN.iter().any(|(name, _)| name == case);
        let entries = usize::from(run) + usize::from(not_run) + usize::from(errors.contains(case));
        assert_eq!(
            entries,
            1,
            "{case}: run {run}, not run {not_run}, error {}",
            errors.contains(case)
        );
    }
    for (name, why) in NOT_RUN {
        assert!(
            names.contains(name) && !why.is_empty(),
            "{name} is not in the files, or has no reason"
        );
    }
}

#[test]
fn every_error_that_another_suite_asserts_is_a_row_of_ours_or_has_a_reason_not_to_be() {
    let rows: BTreeSet<&str> = semantics::all().iter().map(|row| row.name).collect();
    for (list, item, ours) in conformance::ERRORS {
        match ours {
            Ok(row) => assert!(rows.contains(row), "{list}: {item}: no row `{row}`"),
            Err(why) => assert!(!why.is_empty(), "{list}: {item}"),
        }
    }
    for (case, row) in edge::ERRORS {
        assert!(rows.contains(row), "{case}: no row `{row}`");
    }
    let file = file("conformance");
    let mut items = 0;
    for case in list(&file["cases"]).iter().filter(|c| c["kind"] == "error") {
        for item in list(&case["items"]) {
            let known = |e: &&(&str, &str, _)| e.0 == case["name"] && e.1 == item;
            assert_eq!(
                conformance::ERRORS.iter().filter(known).count(),
                1,
                "{}: {item}",
                case["name"]
            );
            items += 1;
        }
    }
    assert_eq!(items, conformance::ERRORS.len());
}

#[test]
fn tensorflow_differs_where_the_table_lists_it() {
    let (torch, tensorflow, keras) = (
        file("ctc_torch_f64"),
        file("ctc_tensorflow"),
        file("keras_ops_ctc_loss"),
    );
    for differs in tensorflow::DIFFERS {
        let case = |file: &serde_json::Value| -> serde_json::Value {
            let case = list(&file["cases"])
                .iter()
                .find(|c| c["name"] == differs.case);
            case.unwrap_or_else(|| panic!("no case {}", differs.case))
                .clone()
        };
        let right = number(&case(&torch)["loss"][differs.item]);
        let theirs = match differs.part {
            "keras.ops" => case(&keras)["loss_f32"][differs.item].clone(),
            part => case(&tensorflow)[part]["loss"][differs.item].clone(),
        };
        let same = close(number(&theirs), right, 1e-5);
        assert!(
            !same,
            "{} {}: does not differ ({})",
            differs.case, differs.part, differs.why
        );
    }
}

#[test]
fn the_peers_on_edge_cases_differ_where_the_table_lists_it() {
    let run = |batch: &ctc_wgpu::Batch<'_>, options: &ctc_wgpu::Options| {
        reference::loss_and_grad(batch, options).map(Computed::from)
    };
    let mut differing = BTreeSet::new();
    for golden in edge::cases_with_different_results() {
        for expectation in &golden.expectations {
            let one = golden::Golden {
                expectations: vec![expectation.clone()],
                ..golden.clone()
            };
            assert!(
                !failures_of(&one.into(), &run, Tolerance::F32).is_empty(),
                "{}: agrees with us",
                expectation.source
            );
            differing.insert(expectation.source.clone());
        }
    }
    for (case, peer) in edge::rejections() {
        differing.insert(format!("conformance:{case} {peer}"));
    }
    for (case, peers) in edge::DIFFERENT_RESULTS {
        for (peer, why) in peers {
            let known = differing.remove(&format!("conformance:{case} {peer}"));
            assert!(
                known,
                "{case}: {peer} is in the table ({why}), but has no different result in the file"
            );
        }
    }
    assert!(differing.is_empty(), "not in the table: {differing:?}");
}

/// Keras's results are for float64 probabilities, which an f32 batch cannot hold, so they are
/// passed to the recursion directly.
#[test]
fn the_recursion_agrees_with_keras_on_float64_probabilities() {
    let mut failures = Failures::default();
    for case in keras::in_f64() {
        let [items, frames, classes] = case.dims;
        let mut grad = vec![0.0; case.probs.len()];
        for item in 0..items {
            let counts = case.frames[item] as usize * classes;
            let start = item * frames * classes;
            let biased: Vec<f64> = case.probs[start..start + counts]
                .iter()
                .map(|p| p + keras::EPSILON)
                .collect();
            let scores: Vec<f64> = biased.iter().map(|p| p.ln()).collect();
            let log_probs = golden::log_softmax(&scores, classes);
            let labels: Vec<usize> = case.labels[item].iter().map(|l| *l as usize).collect();
            let found = reference::item(
                &log_probs,
                classes,
                &labels,
                classes - 1,
                RepeatedOutputs::Merge,
            );
            let (got, expected) = (found.loss, case.loss[item]);
            failures.check(close(got, expected, keras::TENSORFLOW.loss), || {
                format!("{} item {item}: loss {got}, expected {expected}", case.name)
            });
            for at in 0..counts {
                grad[start + at] = (log_probs[at].exp() - found.occupancy[at]) / biased[at];
            }
        }
        compare(&case.name, &grad, &case.grad, &mut failures);
        if let Some(expected) = &case.grad_of_logits {
            compare(
                &format!("{} logits", case.name),
                &through_softmax(&case.probs, &grad, classes),
                expected,
                &mut failures,
            );
        }
    }
    failures.finish("Keras in float64").unwrap();
}

/// Returns the gradient with respect to the logits whose softmax is `probs`.
fn through_softmax(probs: &[f64], grad: &[f64], classes: usize) -> Vec<f64> {
    let rows = probs.chunks(classes).zip(grad.chunks(classes));
    rows.flat_map(|(p, g)| {
        let mean: f64 = p.iter().zip(g).map(|(p, g)| p * g).sum();
        p.iter()
            .zip(g)
            .map(|(p, g)| p * (g - mean))
            .collect::<Vec<f64>>()
    })
    .collect()
}

fn compare(name: &str, grad: &[f64], expected: &Grad, failures: &mut Failures) {
    let pairs: Vec<(usize, f64)> = match expected {
        Grad::Full(full) => full
            .iter()
            .enumerate()
            .map(|(at, g)| (at, g.unwrap()))
            .collect(),
        Grad::Sampled { sample, .. } => sample.clone(),
        Grad::NotGiven => panic!("{name}: no gradient"),
    };
    for (at, expected) in pairs {
        failures.check(close(grad[at], expected, keras::TENSORFLOW.grad), || {
            format!(
                "{name} element {at}: gradient {}, expected {expected}",
                grad[at]
            )
        });
    }
}
