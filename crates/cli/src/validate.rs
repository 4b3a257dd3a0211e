//! `ctc-wgpu validate`: runs the conformance suite through every variant of the kernels, on every
//! adapter of the machine and on the CPU backend.

mod adapter;
mod json;
mod markdown;
mod terminal;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ctc_wgpu_conformance::families::SuiteSize;
use ctc_wgpu_conformance::probe::Numerics;
use ctc_wgpu_conformance::suite::{Subject, Suite, Tally, TestGroup};
use indicatif::ProgressBar;

use crate::error::CliError;
use crate::format::Outcome;
use crate::output::Output;
use crate::progress;
use adapter::AdapterInfo;

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Validate only adapters whose name contains NAME [default: all]
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,

    /// Validate only adapters of this graphics API, or only the CPU backend [default: all]
    #[arg(long, value_enum)]
    backend: Option<BackendArg>,

    /// Run fewer cases, which takes some seconds on a GPU
    #[arg(long, conflicts_with = "full")]
    quick: bool,

    /// Run more cases and the largest items and batches, which takes some minutes on a GPU and
    /// an hour on a software driver
    #[arg(verbatim_doc_comment, long)]
    full: bool,

    /// Also write a report with the adapter's limits, its arithmetic and every failure; FILE
    /// must end in .md, .html or .json [default: none is written]
    #[arg(verbatim_doc_comment, long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BackendArg {
    /// Vulkan adapters
    Vulkan,
    /// Metal adapters
    Metal,
    /// Direct3D 12 adapters
    Dx12,
    /// OpenGL and OpenGL ES adapters
    Gl,
    /// The CPU backend
    Cpu,
}

impl BackendArg {
    fn matches(self, backend: wgpu::Backend) -> bool {
        match self {
            Self::Vulkan => backend == wgpu::Backend::Vulkan,
            Self::Metal => backend == wgpu::Backend::Metal,
            Self::Dx12 => backend == wgpu::Backend::Dx12,
            Self::Gl => backend == wgpu::Backend::Gl,
            Self::Cpu => false,
        }
    }
}

/// The format of a report file.
#[derive(Debug, Clone, Copy)]
enum ReportFormat {
    Markdown,
    Html,
    Json,
}

impl ReportFormat {
    fn of(path: &Path) -> Result<Self, CliError> {
        match path.extension().and_then(|end| end.to_str()) {
            Some("md") => Ok(Self::Markdown),
            Some("html") => Ok(Self::Html),
            Some("json") => Ok(Self::Json),
            _ => Err(CliError::file(
                path,
                "--report must end in .md, .html or .json",
            )),
        }
    }
}

/// The results of a run.
struct ValidationReport {
    size: &'static str,
    adapters: Vec<AdapterReport>,
}

impl ValidationReport {
    fn total(&self) -> Tally {
        let rows = self
            .adapters
            .iter()
            .filter_map(|adapter| adapter.rows.as_ref().ok());
        rows.flatten()
            .fold(Tally::new(), |sum, row| sum.and(&row.total))
    }

    fn passed(&self) -> bool {
        self.adapters.iter().all(AdapterReport::passed)
    }

    /// Returns a summary of one line.
    fn summary(&self) -> String {
        let total = self.total();
        let passed = self
            .adapters
            .iter()
            .filter(|adapter| adapter.passed())
            .count();
        match self.adapters.len() - passed {
            0 => format!("all {} cases pass", total.cases),
            failed => format!(
                "{failed} of {} failed, with {}",
                counted(self.adapters.len(), "backend"),
                counted(total.failures.len().max(1), "failure")
            ),
        }
    }
}

/// Returns "1 case" or "3 cases", for the noun `case`.
fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// The results of an adapter or of the CPU backend.
struct AdapterReport {
    info: AdapterInfo,
    numerics: Option<Numerics>,
    /// One row per variant, or the reason why no device could be created.
    rows: Result<Vec<VariantRow>, String>,
}

impl AdapterReport {
    fn passed(&self) -> bool {
        let rows = self.rows.as_ref();
        rows.is_ok_and(|rows| rows.iter().all(|row| row.total.passed()))
    }
}

/// The results of a variant.
struct VariantRow {
    variant: &'static str,
    total: Tally,
    families: Vec<(&'static str, Tally)>,
}

/// Returns the word for the `result` column. A variant without cases has not been validated, and
/// fails.
fn result_name(tally: &Tally) -> &'static str {
    if tally.passed() { "pass" } else { "FAIL" }
}

pub(crate) fn run(args: &ValidateArgs) -> Result<Outcome, CliError> {
    let report_file = match &args.report {
        Some(path) => Some((
            ReportFormat::of(path)?,
            Output::create("--report", path, &[])?,
        )),
        None => None,
    };
    let (size, name) = match (args.quick, args.full) {
        (true, _) => (SuiteSize::Quick, "quick"),
        (_, true) => (SuiteSize::Full, "full"),
        _ => (SuiteSize::Usual, "usual"),
    };
    let targets = targets(args)?;
    let suite = Suite::new(size);
    let groups: Vec<_> = targets
        .iter()
        .map(|(_, subject)| subject.as_ref().map(|subject| suite.groups(subject)))
        .collect();
    let count: usize = groups.iter().flatten().map(Vec::len).sum();
    let bar = progress::working(count as u64);
    let adapters = targets
        .iter()
        .zip(&groups)
        .map(|((info, subject), groups)| AdapterReport {
            info: info.clone(),
            numerics: subject.as_ref().ok().and_then(Subject::numerics).cloned(),
            rows: match groups {
                Ok(groups) => Ok(rows(groups, &info.name, &bar)),
                Err(reason) => Err((*reason).clone()),
            },
        });
    let report = ValidationReport {
        size: name,
        adapters: adapters.collect(),
    };
    bar.finish_and_clear();
    if let Some((format, output)) = report_file {
        let text = match format {
            ReportFormat::Markdown => markdown::report(&report),
            ReportFormat::Html => markdown::page(&report),
            ReportFormat::Json => format!("{:#}\n", json::report(&report)),
        };
        output.write(|file| file.write_all(text.as_bytes()))?;
    }
    let passed = report.passed();
    if args.json {
        return Ok(Outcome::json(&json::report(&report), passed));
    }
    let text = terminal::report(&report);
    Ok(Outcome { text, passed })
}

/// An adapter or the CPU backend to validate, or the reason why no device could be created.
type Target = (AdapterInfo, Result<Subject, String>);

/// Returns the selected adapters, including those on which no device could be created, and the CPU
/// backend.
fn targets(args: &ValidateArgs) -> Result<Vec<Target>, CliError> {
    let wanted = args.adapter.as_deref().unwrap_or_default().to_lowercase();
    let mut targets = Vec::new();
    for adapter in ctc_wgpu::adapters() {
        let info = adapter.get_info();
        let named = info.name.to_lowercase().contains(&wanted);
        if named
            && args
                .backend
                .is_none_or(|backend| backend.matches(info.backend))
        {
            targets.push((AdapterInfo::of(&adapter), Subject::on(&adapter)));
        }
    }
    let all = args.adapter.is_none() && args.backend.is_none();
    if targets.is_empty() && args.backend != Some(BackendArg::Cpu) {
        let missing = match args.backend {
            Some(_) => "no GPU adapter matches these options".to_owned(),
            None => ctc_wgpu::Error::no_adapter(args.adapter.as_deref()).to_string(),
        };
        return Err(CliError::Usage(format!(
            "{missing}; `--backend cpu` validates only the CPU backend"
        )));
    }
    if all || args.backend == Some(BackendArg::Cpu) {
        let cpu = Subject::cpu();
        targets.push((AdapterInfo::cpu(&cpu), Ok(cpu)));
    }
    Ok(targets)
}

/// Runs the groups and sums their tallies per variant.
fn rows(groups: &[TestGroup<'_>], subject: &str, bar: &ProgressBar) -> Vec<VariantRow> {
    let mut rows: Vec<VariantRow> = Vec::new();
    for group in groups {
        bar.set_message(format!("{subject}: {}, {}", group.variant, group.family));
        let tally = group.run();
        let at = rows.iter().position(|row| row.variant == group.variant);
        let at = at.unwrap_or_else(|| {
            rows.push(VariantRow {
                variant: group.variant,
                total: Tally::new(),
                families: Vec::new(),
            });
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.total = std::mem::take(&mut row.total).and(&tally);
        row.families.push((group.family, tally));
        bar.inc(1);
    }
    rows
}

#[cfg(test)]
mod tests {
    use ctc_wgpu_conformance::suite::EVERY_FAMILY;

    use super::*;

    fn adapter_report(failures: &[&str]) -> AdapterReport {
        let total = Tally {
            cases: 7,
            failures: failures.iter().map(|text| (*text).to_owned()).collect(),
            ..Tally::new()
        };
        AdapterReport {
            info: AdapterInfo::cpu(&Subject::cpu()),
            numerics: None,
            rows: Ok(vec![VariantRow {
                variant: "as planned",
                families: vec![("random", total.clone())],
                total,
            }]),
        }
    }

    #[test]
    fn one_failure_or_an_adapter_without_a_device_fails_the_run() {
        let of = |adapters| ValidationReport {
            size: "quick",
            adapters,
        };
        assert_eq!(of(vec![adapter_report(&[])]).summary(), "all 7 cases pass");
        assert!(of(vec![adapter_report(&[])]).passed());
        let failed = of(vec![
            adapter_report(&[]),
            adapter_report(&["seed 3: a loss", "seed 4"]),
        ]);
        assert!(!failed.passed());
        assert_eq!(failed.summary(), "1 of 2 backends failed, with 2 failures");
        let broken = AdapterReport {
            rows: Err("no device".to_owned()),
            ..adapter_report(&[])
        };
        let broken = of(vec![broken]);
        assert!(!broken.passed());
        for text in [terminal::report(&broken), markdown::report(&broken)] {
            assert!(
                text.contains("FAIL") && text.contains("no device"),
                "{text}"
            );
        }
    }

    #[test]
    fn a_variant_that_ran_no_case_fails_and_every_report_gives_the_reason() {
        let none = Tally::without_a_case();
        let reason = none.failures[0].clone();
        let mut adapter = adapter_report(&[]);
        if let Ok(rows) = &mut adapter.rows {
            rows.push(VariantRow {
                variant: "checkpointed",
                families: vec![(EVERY_FAMILY, none.clone())],
                total: none,
            });
        }
        let report = ValidationReport {
            size: "quick",
            adapters: vec![adapter],
        };
        assert!(!report.passed());
        assert_eq!(report.summary(), "1 of 1 backend failed, with 1 failure");
        // A file has a second table, by family.
        for (times, text) in [
            (1, terminal::report(&report)),
            (2, markdown::report(&report)),
            (2, markdown::page(&report)),
        ] {
            assert_eq!(text.matches("FAIL").count(), times, "{text}");
            assert!(text.contains(&reason), "{text}");
        }
        let json = json::report(&report);
        assert_eq!(json["passed"], false);
        let row = &json["adapters"][0]["variants"][1];
        assert_eq!(row["result"], "FAIL");
        assert_eq!(row["failures"][0], reason.as_str());
        assert_eq!(row["families"][0]["result"], "FAIL");
    }

    #[test]
    fn every_report_contains_each_failure_with_its_variant() {
        let report = ValidationReport {
            size: "usual",
            adapters: vec![adapter_report(&["seed 3 <b>|*"])],
        };
        let terminal = terminal::report(&report);
        assert!(terminal.contains("as planned: seed 3 <b>|*"), "{terminal}");
        assert!(terminal.contains("FAIL"), "{terminal}");
        let markdown = markdown::report(&report);
        assert!(
            markdown.contains("- as planned, random: seed 3 \\<b\\>\\|\\*"),
            "{markdown}"
        );
        let page = markdown::page(&report);
        assert!(
            page.contains("as planned, random: seed 3 &lt;b&gt;|*"),
            "{page}"
        );
        let json = json::report(&report);
        assert_eq!(
            json["adapters"][0]["variants"][0]["failures"][0],
            "seed 3 <b>|*"
        );
        assert_eq!(json["passed"], false);
    }

    #[test]
    fn the_report_names_the_wgpu_that_it_was_built_with() {
        let lock = include_str!("../../../Cargo.lock");
        let of_wgpu = format!("name = \"wgpu\"\nversion = \"{}\"", adapter::WGPU);
        assert!(lock.contains(&of_wgpu), "{}", adapter::WGPU);
    }
}
