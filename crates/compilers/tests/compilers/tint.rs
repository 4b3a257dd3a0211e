//! Compiles the WGSL with Tint, which enforces rules of browsers that naga lacks, above all uniform
//! control flow.

use std::path::Path;

use serde_json::json;

use super::cases;
use super::validator::{TemporaryFile, run_validator};

/// Compiles pipelines (objects of name, wgsl, entry and constants) with Tint.
fn validate(name: &str, pipelines: &[serde_json::Value]) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        folder.join("node_modules/webgpu").is_dir(),
        "Tint is missing: install Node.js 20 or newer, then run `npm ci` in crates/compilers"
    );
    let text = serde_json::to_vec(pipelines).unwrap();
    let file = TemporaryFile::new(&format!("tint-{name}.json"), &text);
    let script = folder.join("tint.mjs");
    run_validator("node", "nodejs npm", &[script.to_str().unwrap()], &[file])
}

#[test]
fn tint_accepts_every_pipeline_without_warnings() {
    let pipelines: Vec<_> = cases::all()
        .iter()
        .map(|case| {
            let constants: serde_json::Map<_, _> = case
                .constants
                .iter()
                .map(|(name, value)| ((*name).to_owned(), json!(value)))
                .collect();
            json!({
                "name": case.name(),
                "wgsl": case.shader.for_browsers(),
                "entry": case.shader.name,
                "constants": constants,
            })
        })
        .collect();
    validate("all", &pipelines).unwrap_or_else(|message| panic!("{message}"));
}

/// Returns Tint's message for a pipeline of `wgsl` with the entry point `main`, which must fail.
fn rejected(name: &str, wgsl: &str, constants: &serde_json::Value) -> String {
    let pipeline = json!({ "name": name, "wgsl": wgsl, "entry": "main", "constants": constants });
    validate(name, &[pipeline]).unwrap_err()
}

#[test]
fn tint_rejects_what_browsers_reject() {
    let none = json!({});
    let message = rejected(
        "barrier",
        "@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lane: u32) {
            if (lane < 7u) { workgroupBarrier(); }
        }",
        &none,
    );
    assert!(
        message.contains("must only be called from uniform control flow"),
        "{message}"
    );

    let sized = "override LANES: u32 = 64u;
        @compute @workgroup_size(LANES) fn main() {}";
    validate(
        "fits",
        &[json!({ "name": "", "wgsl": sized, "entry": "main", "constants": { "LANES": 256 } })],
    )
    .unwrap();
    let message = rejected("size", sized, &json!({ "LANES": 512 }));
    assert!(message.contains("256"), "{message}");

    let message = rejected("constant", sized, &json!({ "LANE": 64 }));
    assert!(message.contains("LANE"), "{message}");

    let message = rejected(
        "subgroups",
        "@compute @workgroup_size(64) fn main() { _ = subgroupMax(1.0); }",
        &none,
    );
    assert!(message.contains("subgroups"), "{message}");

    // Warnings are failures.
    let message = rejected(
        "warning",
        "@compute @workgroup_size(1) fn main() { return; let unreached = 1; }",
        &none,
    );
    assert!(message.contains("warning"), "{message}");
}
