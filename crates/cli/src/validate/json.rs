//! The report as JSON.

use ctc_wgpu_conformance::check::Tolerance;
use ctc_wgpu_conformance::probe::Numerics;
use ctc_wgpu_conformance::suite::Tally;
use serde_json::{Value, json};

use super::adapter::WGPU;
use super::{AdapterReport, ValidationReport, VariantRow, result_name};
use crate::format::{milliseconds_json, number};

pub(super) fn report(report: &ValidationReport) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "wgpu": WGPU,
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "date": jiff::Timestamp::now().to_string(),
        "size": report.size,
        "tolerance": { "loss": Tolerance::F32.loss, "grad": Tolerance::F32.grad },
        "passed": report.passed(),
        "adapters": report.adapters.iter().map(adapter_json).collect::<Vec<_>>(),
    })
}

fn adapter_json(adapter: &AdapterReport) -> Value {
    let info = &adapter.info;
    let limits = info
        .limits
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)));
    json!({
        "name": info.name,
        "backend": info.backend,
        "type": info.kind,
        "driver": info.driver,
        "limits": limits.collect::<serde_json::Map<_, _>>(),
        "features": info.features,
        "numerics": adapter.numerics.as_ref().map(numerics),
        "passed": adapter.passed(),
        "reason": adapter.rows.as_ref().err(),
        "variants": adapter.rows.as_deref().unwrap_or_default().iter().map(row).collect::<Vec<_>>(),
    })
}

fn numerics(numerics: &Numerics) -> Value {
    json!({
        "exp2_ulp": number(numerics.exp2),
        "log2_ulp": number(numerics.log2),
        "exp_ulp": number(numerics.exp),
        "log_ulp": number(numerics.log),
        "division_ulp": number(numerics.division),
        "sqrt_ulp": number(numerics.sqrt),
        "fma": numerics.fma.to_string(),
        "multiply_add": numerics.multiply_add.to_string(),
        "reassociates": numerics.reassociates,
        "keeps_two_sums": numerics.keeps_two_sums,
        "flushes_operands": numerics.flushes_operands,
        "flushes_results": numerics.flushes_results,
        "keeps_infinities": numerics.keeps_infinities,
    })
}

fn row(row: &VariantRow) -> Value {
    let families = row
        .families
        .iter()
        .map(|(family, tally)| tally_json("family", family, tally));
    let mut value = tally_json("variant", row.variant, &row.total);
    value["families"] = families.collect();
    value
}

fn tally_json(what: &str, name: &str, tally: &Tally) -> Value {
    json!({
        what: name,
        "cases": tally.cases,
        "worst_grad": tally.worst.map(|worst| number(worst.grad)),
        "worst_loss": tally.worst.map(|worst| number(worst.loss)),
        "same_bits": tally.same_bits,
        "ms": milliseconds_json(tally.time),
        "result": result_name(tally),
        "failures": tally.failures,
    })
}
