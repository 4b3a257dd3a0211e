//! Batches of a real network, from `tests/data/ocr`: its README says how they were made.

use std::io::BufReader;
use std::path::PathBuf;

use ctc_wgpu::{Blank, Options, Status};
use npyz::npz::NpzArchive;

use super::batch::{OwnedBatch, OwnedLabels};
use super::golden::{Accuracy, Expectation, Golden, Grad};

/// How far the network has come: its outputs get sharper from one to the next.
pub(crate) const STAGES: [&str; 3] = ["untrained", "early", "trained"];

/// The 32 lines of text at each stage, with PyTorch's losses and gradients in float64.
pub(crate) fn cases() -> Vec<Golden> {
    STAGES.into_iter().map(read).collect()
}

fn read(stage: &str) -> Golden {
    let name = format!("ocr/keras_ocr_{stage}.npz");
    let path = root().join("tests/data").join(&name);
    let mut archive = NpzArchive::open(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let dims = [32, 50, 20];
    let logits: Vec<f32> = array(&mut archive, "logits");
    let labels = OwnedLabels::Padded {
        values: array(&mut archive, "labels"),
        lengths: array(&mut archive, "label_lengths"),
    };
    let lengths: Vec<i32> = array(&mut archive, "logit_lengths");
    let loss: Vec<f64> = array(&mut archive, "loss_f64");
    let grad: Vec<f64> = array(&mut archive, "grad_f64");
    Golden {
        batch: OwnedBatch::new(dims, logits, &[[]; 32])
            .labels(labels)
            .logit_lengths(&lengths),
        options: Options::default().blank(Blank::Index(19)),
        status: vec![Status::Ok; 32],
        expectations: vec![Expectation {
            source: name.clone(),
            loss: loss.into_iter().map(Some).collect(),
            grad: Grad::Full(grad.into_iter().map(Some).collect()),
            reduced: None,
            accuracy: Accuracy {
                loss: 1e-12,
                grad: 1e-11,
            },
        }],
        name,
    }
}

/// The folder that holds `tests/data`. Cargo sets the variable for the tests that it runs; a test binary that was carried to
/// another machine is given the folder there by the same variable.
fn root() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from)
}

fn array<T: npyz::Deserialize>(
    archive: &mut NpzArchive<BufReader<std::fs::File>>,
    name: &str,
) -> Vec<T> {
    let array = archive
        .by_name(name)
        .unwrap()
        .unwrap_or_else(|| panic!("no array {name}"));
    array.into_vec().unwrap()
}
