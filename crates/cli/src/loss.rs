//! `ctc-wgpu loss`: computes the losses and the gradient of a batch on one backend.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ctc_wgpu::{Ctc, Status};
use serde_json::{Value, json};

use crate::args::{BatchArgs, ReductionArg};
use crate::compare::{Deviation, largest, loss_deviation, position};
use crate::engine::{EngineOutput, LossEngine, TimedRuns};
use crate::error::CliError;
use crate::format::{self, Outcome};
use crate::loaded_batch::LoadedBatch;
use crate::output::Output;
use crate::pipeline_cache::PipelineCacheFile;
use crate::progress;
use ctc_wgpu_npz::npz::NpzWriter;

#[derive(Debug, Args)]
pub(crate) struct LossArgs {
    #[command(flatten)]
    batch: BatchArgs,

    /// The backend that computes
    #[arg(long, value_enum, default_value = "auto")]
    backend: BackendArg,

    /// The GPU adapter whose name contains NAME [default: the best adapter]
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,

    /// Write the results to this file [default: none is written]
    #[arg(long, value_name = "RESULT.npz")]
    out: Option<PathBuf>,

    /// Compute the losses without the gradient
    #[arg(long)]
    no_grad: bool,

    /// The number of repeated runs for the timing; none is started after 10 s
    #[arg(long, value_name = "N", default_value = "5")]
    runs: u32,

    /// Print the results as one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BackendArg {
    /// The best GPU adapter, or the CPU backend if no adapter is usable
    Auto,
    /// A GPU adapter
    Gpu,
    /// The CPU backend
    Cpu,
    /// The float64 reference, which is slow
    Reference,
}

pub(crate) fn run(args: &LossArgs) -> Result<Outcome, CliError> {
    let path = &args.batch.input.file;
    let out = args.out.as_deref();
    let out = out.map(|out| Output::create("--out", out, &[("the batch", path)]));
    let out = out.transpose()?;
    let batch = LoadedBatch::read(&args.batch)?;
    let (engine, pipeline_cache) = engine(args)?;
    let bar = progress::working(u64::from(args.runs) + 1);
    let timed = TimedRuns::run(
        &engine,
        &batch.file.batch(),
        &batch.options,
        !args.no_grad,
        args.runs,
        |run| {
            bar.set_position(run);
            bar.set_message(engine.name());
        },
    );
    bar.finish_and_clear();
    let timed = timed.map_err(|e| CliError::from_library(path, e))?;
    if let Some(cache) = &pipeline_cache {
        cache.save();
    }
    let timed = timed.checked(&batch.shape, &engine)?;
    let losses = timed.output.loss.iter().copied().enumerate();
    batch.note_negative_loss(losses);
    let written = out.as_ref().map(ToString::to_string);
    if let Some(out) = out {
        out.write(|file| write(file, &batch.file.shape, &timed.output))?;
    }
    let report = LossReport {
        batch: &batch,
        engine: &engine,
        timed: &timed,
        reduction: args.batch.reduction,
        fell_back: args.backend == BackendArg::Auto && args.adapter.is_none() && !engine.is_gpu(),
    };
    if args.json {
        return Ok(Outcome::json(&report.json(), true));
    }
    let mut text = report.text();
    if let Some(path) = written {
        text += &format::line("written", &path);
    }
    Ok(Outcome { text, passed: true })
}

fn engine(args: &LossArgs) -> Result<(LossEngine, Option<PipelineCacheFile>), CliError> {
    let path = &args.batch.input.file;
    let ctc = match (args.backend, &args.adapter) {
        (BackendArg::Auto | BackendArg::Gpu, Some(name)) => Ctc::gpu_named(name),
        (BackendArg::Auto, None) => Ctc::new(),
        (BackendArg::Gpu, None) => Ctc::gpu(),
        (BackendArg::Cpu | BackendArg::Reference, Some(_)) => {
            let reason = "--adapter selects a GPU: it requires --backend gpu or auto";
            return Err(CliError::Usage(reason.to_owned()));
        }
        (BackendArg::Cpu, None) => Ok(Ctc::cpu()),
        (BackendArg::Reference, None) => return Ok((LossEngine::Reference, None)),
    };
    let ctc = ctc.map_err(|e| CliError::from_library(path, e))?;
    let pipeline_cache = PipelineCacheFile::open(&ctc);
    let ctc = match &pipeline_cache {
        Some(cache) => ctc.with_cache(cache.cache()),
        None => ctc,
    };
    Ok((LossEngine::Ctc(Box::new(ctc)), pipeline_cache))
}

fn write(file: &mut File, shape: &[usize; 3], output: &EngineOutput) -> std::io::Result<()> {
    let items = [output.loss.len()];
    let mut npz = NpzWriter::new(file);
    npz.array("loss", &items, output.loss.iter().copied().map(narrow))?;
    if let Some(grad) = &output.grad {
        npz.array("grad", shape, grad.iter().copied().map(narrow))?;
    }
    npz.array("status", &items, output.status.iter().map(|s| *s as u32))?;
    if let Some(reduced) = output.reduced {
        npz.array("reduced", &[], std::iter::once(narrow(reduced)))?;
    }
    npz.finish()
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "results are written as float32"
)]
fn narrow(value: f64) -> f32 {
    value as f32
}

struct LossReport<'a> {
    batch: &'a LoadedBatch,
    engine: &'a LossEngine,
    timed: &'a TimedRuns,
    reduction: ReductionArg,
    /// True if the CPU backend runs because no adapter is usable.
    fell_back: bool,
}

/// The number of losses that are printed; `--json` and `--out` contain all.
const SHOWN: usize = 6;

impl LossReport<'_> {
    /// Returns the mean loss of the items with status `Ok`, and their number.
    fn mean(&self) -> (f64, usize) {
        let output = &self.timed.output;
        let pairs = output.loss.iter().zip(&output.status);
        let ok: Vec<f64> = pairs
            .filter(|(_, status)| **status == Status::Ok)
            .map(|(loss, _)| *loss)
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a count of items")]
        let mean = ok.iter().sum::<f64>() / ok.len().max(1) as f64;
        (mean, ok.len())
    }

    /// Returns true if the file's reference values were computed for the blank in use.
    fn comparable(&self) -> bool {
        let LoadedBatch { file, blank, .. } = self.batch;
        file.blank.is_none_or(|stored| stored as usize == *blank)
    }

    fn loss_deviation(&self) -> Option<Deviation> {
        let reference = self
            .batch
            .file
            .reference_loss
            .as_ref()
            .filter(|_| self.comparable())?;
        Some(loss_deviation(&self.timed.output.loss, reference))
    }

    /// Returns the gradient's deviation. The file's gradient is that of the summed loss, so it
    /// cannot be compared with the gradient of a mean.
    fn grad_deviation(&self) -> Option<Deviation> {
        let reference = self
            .batch
            .file
            .reference_grad
            .as_ref()
            .filter(|_| self.comparable())?;
        let grad = self.timed.output.grad.as_ref()?;
        matches!(self.reduction, ReductionArg::None | ReductionArg::Sum)
            .then(|| largest(grad, reference, |_, _| 1.0))
    }

    fn text(&self) -> String {
        let LoadedBatch {
            file, shape, blank, ..
        } = self.batch;
        let output = &self.timed.output;
        let mut text = String::new();
        let mut backend = self.engine.name();
        if self.fell_back {
            backend += "; no GPU adapter was found";
        }
        text += &format::line("backend", &backend);
        text += &format::line("batch", &format::shape(shape, *blank, file.kind.name()));
        text += &format::line("loss", &self.losses());
        if let Some(statuses) = format::statuses(&output.status) {
            text += &format::line("status", &statuses);
        }
        if let Some(reduced) = output.reduced {
            let reduced = format!("{} ({})", format::loss(reduced), self.reduction.name());
            text += &format::line("reduced", &reduced);
        }
        let mut time = format!("{} first run", format::milliseconds(self.timed.first));
        if let Some(median) = self.timed.median() {
            let runs = self.timed.more.len();
            let _ = write!(
                time,
                ", {} median of {runs} more runs",
                format::milliseconds(median)
            );
        }
        text += &format::line("time", &time);
        if let Some(deviations) = self.deviations() {
            text += &format::line("deviation", &deviations);
        }
        text
    }

    fn losses(&self) -> String {
        let losses = &self.timed.output.loss;
        let first: Vec<String> = losses
            .iter()
            .take(SHOWN)
            .map(|l| format::loss(*l))
            .collect();
        let mut text = first.join("  ");
        if losses.len() > SHOWN {
            text += "  …";
        }
        match self.mean() {
            _ if losses.is_empty() => "no items".to_owned(),
            (_, 0) => text,
            (mean, count) if count == losses.len() => {
                text + &format!("  mean {}", format::loss(mean))
            }
            (mean, count) => {
                text + &format!("  mean {} of {count} with status ok", format::loss(mean))
            }
        }
    }

    /// Describes the deviations from the file's float64 reference values, if it has any.
    fn deviations(&self) -> Option<String> {
        let mut list = Vec::new();
        if let Some(Deviation { worst, at }) = self.loss_deviation() {
            list.push(format!("loss {} (item {at})", format::small(worst)));
        }
        if let Some(Deviation { worst, at }) = self.grad_deviation() {
            let [item, frame, class] = position(&self.batch.shape, at);
            let at = format!("(item {item}, frame {frame}, class {class})");
            list.push(format!("gradient {} {at}", format::small(worst)));
        }
        (!list.is_empty()).then(|| format!("{} from the file's float64 values", list.join(", ")))
    }

    fn json(&self) -> Value {
        let LoadedBatch {
            file, shape, blank, ..
        } = self.batch;
        let output = &self.timed.output;
        let (mean, count) = self.mean();
        let names = output.status.iter().map(|s| s.name());
        json!({
            "backend": self.engine.name(),
            "gpu": self.engine.is_gpu(),
            "shape": format::shape_json(shape, *blank, file.kind.name()),
            "loss": output.loss.iter().map(|l| format::number(*l)).collect::<Vec<_>>(),
            "mean": (count > 0).then(|| format::number(mean)),
            "status": names.collect::<Vec<_>>(),
            "reduction": self.reduction.name(),
            "reduced": output.reduced.map(format::number),
            "first_ms": format::milliseconds_json(self.timed.first),
            "median_ms": self.timed.median().map(format::milliseconds_json),
            "runs": self.timed.more.len(),
            "loss_deviation": self.loss_deviation().map(|d| format::deviation_json(d, json!([d.at]))),
            "grad_deviation": self.grad_deviation()
                .map(|d| format::deviation_json(d, json!(position(shape, d.at)))),
        })
    }
}
