//! The verdict for programs.

use ctc_wgpu::conformance::check::Tolerance;
use ctc_wgpu::conformance::probe::Numerics;
use ctc_wgpu::conformance::suite::Tally;
use serde_json::{Value, json};

use super::facts::WGPU;
use super::{Judged, Row, Verdict, verdict};
use crate::format::{milliseconds_json, number};

pub(super) fn report(found: &Verdict) -> Value {
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "wgpu": WGPU,
        "os": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "date": jiff::Timestamp::now().to_string(),
        "extent": found.extent,
        "tolerance": { "loss": Tolerance::F32.loss, "grad": Tolerance::F32.grad },
        "passed": found.passed(),
        "adapters": found.judged.iter().map(one).collect::<Vec<_>>(),
    })
}

fn one(judged: &Judged) -> Value {
    let facts = &judged.facts;
    let limits = facts
        .limits
        .iter()
        .map(|(name, value)| ((*name).to_owned(), json!(value)));
    json!({
        "name": facts.name,
        "backend": facts.backend,
        "type": facts.kind,
        "driver": facts.driver,
        "limits": limits.collect::<serde_json::Map<_, _>>(),
        "features": facts.features,
        "numerics": judged.numerics.as_ref().map(numerics),
        "passed": judged.passed(),
        "reason": judged.rows.as_ref().err(),
        "variants": judged.rows.as_deref().unwrap_or_default().iter().map(row).collect::<Vec<_>>(),
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

fn row(row: &Row) -> Value {
    let families = row
        .families
        .iter()
        .map(|(family, tally)| with("family", family, tally));
    let mut value = with("variant", row.variant, &row.total);
    value["families"] = families.collect();
    value
}

fn with(what: &str, name: &str, tally: &Tally) -> Value {
    json!({
        what: name,
        "cases": tally.cases,
        "worst_grad": tally.worst.map(|worst| number(worst.grad)),
        "worst_loss": tally.worst.map(|worst| number(worst.loss)),
        "same_bits": tally.same_bits,
        "ms": milliseconds_json(tally.time),
        "verdict": verdict(tally),
        "failures": tally.failures,
    })
}
