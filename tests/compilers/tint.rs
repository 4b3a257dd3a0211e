//! WGSL, as browsers take it: Tint, with the rules that naga does not have, uniform control flow above all.

use std::path::Path;

use serde_json::json;

use super::cases;
use super::judge::{Given, asked};

/// What Tint says of pipelines, given as name, text, entry point and constants.
fn judged(name: &str, pipelines: &[serde_json::Value]) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compilers");
    assert!(
        folder.join("node_modules/webgpu").is_dir(),
        "Tint is missing: install Node.js 20 or newer, then run `npm ci` in tests/compilers"
    );
    let text = serde_json::to_vec(pipelines).unwrap();
    let file = Given::new(&format!("tint-{name}.json"), &text);
    let script = folder.join("tint.mjs");
    asked("node", "nodejs npm", &[script.to_str().unwrap()], &[file])
}

#[test]
fn tint_agrees_to_every_pipeline_and_warns_of_none() {
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
    judged("all", &pipelines).unwrap_or_else(|said| panic!("{said}"));
}

/// One pipeline of `wgsl`, whose entry point is `main`.
fn refused(name: &str, wgsl: &str, constants: &serde_json::Value) -> String {
    let pipeline = json!({ "name": name, "wgsl": wgsl, "entry": "main", "constants": constants });
    judged(name, &[pipeline]).unwrap_err()
}

#[test]
fn tint_refuses_what_browsers_refuse() {
    let none = json!({});
    let said = refused(
        "barrier",
        "@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) lane: u32) {
            if (lane < 7u) { workgroupBarrier(); }
        }",
        &none,
    );
    assert!(
        said.contains("must only be called from uniform control flow"),
        "{said}"
    );

    let sized = "override LANES: u32 = 64u;
        @compute @workgroup_size(LANES) fn main() {}";
    judged(
        "fits",
        &[json!({ "name": "", "wgsl": sized, "entry": "main", "constants": { "LANES": 256 } })],
    )
    .unwrap();
    let said = refused("size", sized, &json!({ "LANES": 512 }));
    assert!(said.contains("256"), "{said}");

    let said = refused("constant", sized, &json!({ "LANE": 64 }));
    assert!(said.contains("LANE"), "{said}");

    let said = refused(
        "subgroups",
        "@compute @workgroup_size(64) fn main() { _ = subgroupMax(1.0); }",
        &none,
    );
    assert!(said.contains("subgroups"), "{said}");

    // A warning is no consent.
    let said = refused(
        "warning",
        "@compute @workgroup_size(1) fn main() { return; let unreached = 1; }",
        &none,
    );
    assert!(said.contains("warning"), "{said}");
}
