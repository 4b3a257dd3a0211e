//! `ctc-wgpu validate`: the conformance suite through every variant of the kernels, on every adapter of the machine.

mod facts;
mod json;
mod markdown;
mod terminal;

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use ctc_wgpu::conformance::families::SuiteSize;
use ctc_wgpu::conformance::probe::Numerics;
use ctc_wgpu::conformance::suite::{Subject, Suite, Tally, Trial};
use indicatif::ProgressBar;

use crate::fault::Fault;
use crate::format::Outcome;
use crate::output::Output;
use crate::progress;
use facts::Facts;

#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// Only adapters whose name contains NAME
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,

    /// Only adapters of this backend, or only the CPU backend
    #[arg(long, value_enum)]
    backend: Option<BackendArg>,

    /// Fewer cases: some seconds on a GPU
    #[arg(long, conflicts_with = "full")]
    quick: bool,

    /// More cases, and items and batches as large as they get: some minutes on a GPU, an hour on a software driver
    #[arg(long)]
    full: bool,

    /// Write a report too, with limits, arithmetic and every failure; the name's end says what: .md, .html or .json
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,

    /// Print the report as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BackendArg {
    Vulkan,
    Metal,
    Dx12,
    Gl,
    Cpu,
}

impl BackendArg {
    fn is(self, backend: wgpu::Backend) -> bool {
        match self {
            Self::Vulkan => backend == wgpu::Backend::Vulkan,
            Self::Metal => backend == wgpu::Backend::Metal,
            Self::Dx12 => backend == wgpu::Backend::Dx12,
            Self::Gl => backend == wgpu::Backend::Gl,
            Self::Cpu => false,
        }
    }
}

/// What a report is written as.
#[derive(Debug, Clone, Copy)]
enum Form {
    Markdown,
    Html,
    Json,
}

impl Form {
    fn of(path: &Path) -> Result<Self, Fault> {
        match path.extension().and_then(|end| end.to_str()) {
            Some("md") => Ok(Self::Markdown),
            Some("html") => Ok(Self::Html),
            Some("json") => Ok(Self::Json),
            _ => Err(Fault::file(
                path,
                "a report's name ends in .md, .html or .json",
            )),
        }
    }
}

/// What was found, on all that was judged.
struct Verdict {
    extent: &'static str,
    judged: Vec<Judged>,
}

impl Verdict {
    fn total(&self) -> Tally {
        let rows = self
            .judged
            .iter()
            .filter_map(|judged| judged.rows.as_ref().ok());
        rows.flatten()
            .fold(Tally::new(), |sum, row| sum.and(&row.total))
    }

    fn passed(&self) -> bool {
        self.judged.iter().all(Judged::passed)
    }

    /// The verdict in a line.
    fn line(&self) -> String {
        let total = self.total();
        let passed = self.judged.iter().filter(|judged| judged.passed()).count();
        match self.judged.len() - passed {
            0 => format!("all {} cases pass", total.cases),
            failed => format!(
                "{failed} of {} fail, in {} ways",
                self.judged.len(),
                total.failures.len().max(1)
            ),
        }
    }
}

/// What was found on an adapter, or on the CPU backend.
struct Judged {
    facts: Facts,
    numerics: Option<Numerics>,
    /// A row a variant, or why nothing could be run.
    rows: Result<Vec<Row>, String>,
}

impl Judged {
    fn passed(&self) -> bool {
        let rows = self.rows.as_ref();
        rows.is_ok_and(|rows| rows.iter().all(|row| row.total.failures.is_empty()))
    }
}

/// What was found in a variant.
struct Row {
    variant: &'static str,
    total: Tally,
    families: Vec<(&'static str, Tally)>,
}

/// A variant that no case matches was not validated, and must not look as if it was.
fn verdict(tally: &Tally) -> &'static str {
    match (tally.failures.len(), tally.cases) {
        (0, 0) => "not run",
        (0, _) => "pass",
        _ => "FAIL",
    }
}

pub(crate) fn run(args: &ValidateArgs) -> Result<Outcome, Fault> {
    let report = match &args.report {
        Some(path) => Some((Form::of(path)?, Output::create("--report", path, &[])?)),
        None => None,
    };
    let (extent, name) = match (args.quick, args.full) {
        (true, _) => (SuiteSize::Quick, "quick"),
        (_, true) => (SuiteSize::Full, "full"),
        _ => (SuiteSize::Usual, "usual"),
    };
    let subjects = subjects(args)?;
    let suite = Suite::new(extent);
    let trials: Vec<_> = subjects
        .iter()
        .map(|(_, subject)| subject.as_ref().map(|subject| suite.trials(subject)))
        .collect();
    let count: usize = trials.iter().flatten().map(Vec::len).sum();
    let bar = progress::working(count as u64);
    let judged = subjects
        .iter()
        .zip(&trials)
        .map(|((facts, subject), trials)| Judged {
            facts: facts.clone(),
            numerics: subject.as_ref().ok().and_then(Subject::numerics).cloned(),
            rows: match trials {
                Ok(trials) => Ok(rows(trials, &facts.name, &bar)),
                Err(reason) => Err((*reason).clone()),
            },
        });
    let verdict = Verdict {
        extent: name,
        judged: judged.collect(),
    };
    bar.finish_and_clear();
    if let Some((form, output)) = report {
        let text = match form {
            Form::Markdown => markdown::report(&verdict),
            Form::Html => markdown::page(&verdict),
            Form::Json => format!("{:#}\n", json::report(&verdict)),
        };
        output.write(|file| file.write_all(text.as_bytes()))?;
    }
    let passed = verdict.passed();
    if args.json {
        return Ok(Outcome::json(&json::report(&verdict), passed));
    }
    let text = terminal::report(&verdict);
    Ok(Outcome { text, passed })
}

/// What is judged, or why it cannot be.
type Found = (Facts, Result<Subject, String>);

/// What is to be judged; an adapter that gives no device is judged too.
fn subjects(args: &ValidateArgs) -> Result<Vec<Found>, Fault> {
    let wanted = args.adapter.as_deref().unwrap_or_default().to_lowercase();
    let mut subjects = Vec::new();
    for adapter in ctc_wgpu::adapters() {
        let info = adapter.get_info();
        let named = info.name.to_lowercase().contains(&wanted);
        if named && args.backend.is_none_or(|backend| backend.is(info.backend)) {
            subjects.push((Facts::of(&adapter), Subject::on(&adapter)));
        }
    }
    let all = args.adapter.is_none() && args.backend.is_none();
    if subjects.is_empty() && args.backend != Some(BackendArg::Cpu) {
        let missing = match args.backend {
            Some(_) => "no GPU adapter of that name and backend".to_owned(),
            None => ctc_wgpu::Error::no_adapter(args.adapter.as_deref()).to_string(),
        };
        return Err(Fault::Usage(format!(
            "{missing}; `--backend cpu` validates the CPU backend alone"
        )));
    }
    if all || args.backend == Some(BackendArg::Cpu) {
        let twin = Subject::cpu();
        subjects.push((Facts::of_twin(&twin), Ok(twin)));
    }
    Ok(subjects)
}

/// Runs the trials, and adds up those of a variant.
fn rows(trials: &[Trial<'_>], subject: &str, bar: &ProgressBar) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    for trial in trials {
        bar.set_message(format!("{subject}: {}, {}", trial.variant, trial.family));
        let tally = trial.run();
        let at = rows.iter().position(|row| row.variant == trial.variant);
        let at = at.unwrap_or_else(|| {
            rows.push(Row {
                variant: trial.variant,
                total: Tally::new(),
                families: Vec::new(),
            });
            rows.len() - 1
        });
        let row = &mut rows[at];
        row.total = std::mem::take(&mut row.total).and(&tally);
        row.families.push((trial.family, tally));
        bar.inc(1);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(failures: &[&str]) -> Judged {
        let total = Tally {
            cases: 7,
            failures: failures.iter().map(|text| (*text).to_owned()).collect(),
            ..Tally::new()
        };
        Judged {
            facts: Facts::of_twin(&Subject::cpu()),
            numerics: None,
            rows: Ok(vec![Row {
                variant: "as planned",
                families: vec![("random", total.clone())],
                total,
            }]),
        }
    }

    #[test]
    fn one_failure_or_an_adapter_without_a_device_fails_the_whole() {
        let of = |judged| Verdict {
            extent: "quick",
            judged,
        };
        assert_eq!(of(vec![judged(&[])]).line(), "all 7 cases pass");
        assert!(of(vec![judged(&[])]).passed());
        let failed = of(vec![judged(&[]), judged(&["seed 3: a loss", "seed 4"])]);
        assert!(!failed.passed());
        assert_eq!(failed.line(), "1 of 2 fail, in 2 ways");
        let broken = Judged {
            rows: Err("no device".to_owned()),
            ..judged(&[])
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
    fn what_no_case_went_through_is_shown_as_not_run() {
        let none = Tally::new();
        let mut judged = judged(&[]);
        if let Ok(rows) = &mut judged.rows {
            rows.push(Row {
                variant: "checkpointed",
                families: vec![("random", none.clone())],
                total: none,
            });
        }
        let found = Verdict {
            extent: "quick",
            judged: vec![judged],
        };
        // By variant, and in a file also by kind of case.
        for (times, text) in [
            (1, terminal::report(&found)),
            (2, markdown::report(&found)),
            (2, markdown::page(&found)),
        ] {
            assert_eq!(text.matches("not run").count(), times, "{text}");
        }
        let json = json::report(&found);
        let row = &json["adapters"][0]["variants"][1];
        assert_eq!(row["verdict"], "not run");
        assert_eq!(row["families"][0]["verdict"], "not run");
    }

    #[test]
    fn every_report_tells_each_failure_with_its_variant() {
        let found = Verdict {
            extent: "usual",
            judged: vec![judged(&["seed 3 <b>|*"])],
        };
        let terminal = terminal::report(&found);
        assert!(terminal.contains("as planned: seed 3 <b>|*"), "{terminal}");
        assert!(terminal.contains("FAIL"), "{terminal}");
        let markdown = markdown::report(&found);
        assert!(
            markdown.contains("- as planned, random: seed 3 \\<b\\>\\|\\*"),
            "{markdown}"
        );
        let page = markdown::page(&found);
        assert!(
            page.contains("as planned, random: seed 3 &lt;b&gt;|*"),
            "{page}"
        );
        let json = json::report(&found);
        assert_eq!(
            json["adapters"][0]["variants"][0]["failures"][0],
            "seed 3 <b>|*"
        );
        assert_eq!(json["passed"], false);
    }

    #[test]
    fn the_report_names_the_wgpu_that_it_was_built_with() {
        let lock = include_str!("../../../Cargo.lock");
        let of_wgpu = format!("name = \"wgpu\"\nversion = \"{}\"", facts::WGPU);
        assert!(lock.contains(&of_wgpu), "{}", facts::WGPU);
    }
}
