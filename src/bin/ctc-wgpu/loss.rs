//! `ctc-wgpu loss`: one batch on one backend.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ctc_wgpu::{BatchShape, CheckedBatch, Ctc, Options, Status};
use serde_json::{Value, json};

use crate::args::{BatchArgs, InputArgs, ReductionArg};
use crate::batch_file::BatchFile;
use crate::compare::{Deviation, largest, loss_deviation, position};
use crate::engine::{Answer, Engine, Timed, checked};
use crate::fault::Fault;
use crate::format::{self, Outcome};
use crate::kept::Kept;
use crate::memory;
use crate::npz::NpzWriter;
use crate::output::Output;
use crate::progress;

#[derive(Debug, Args)]
pub(crate) struct LossArgs {
    #[command(flatten)]
    batch: BatchArgs,

    /// Where to compute: the best adapter or else the CPU, or one of them by name
    #[arg(long, value_enum, default_value = "auto")]
    backend: BackendArg,

    /// The GPU adapter whose name contains NAME
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,

    /// Write loss, grad, status and, where it is asked for, reduced to this file
    #[arg(long, value_name = "RESULT.npz")]
    out: Option<PathBuf>,

    /// Compute the losses only
    #[arg(long)]
    no_grad: bool,

    /// How many times to run again for the timing; none is begun after 10 s
    #[arg(long, value_name = "N", default_value = "5")]
    runs: u32,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BackendArg {
    Auto,
    Gpu,
    Cpu,
    Reference,
}

/// A batch that the library has accepted, and what is needed to speak of it.
pub(crate) struct Accepted {
    pub(crate) file: BatchFile,
    pub(crate) options: Options,
    pub(crate) shape: BatchShape,
    pub(crate) blank: usize,
}

impl Accepted {
    /// Reads and checks the batch, so that what is wrong with it is said before any device is touched.
    pub(crate) fn read(args: &BatchArgs) -> Result<Self, Fault> {
        let accepted = Self::unlabelled(&args.input, |file| args.options(file))?;
        let shape = *accepted.checked()?.shape();
        Ok(Self { shape, ..accepted })
    }

    /// [`read`](Self::read) without a look at the labels, which the file may lack; with the options that `options` has for it.
    pub(crate) fn unlabelled(
        args: &InputArgs,
        options: impl FnOnce(&BatchFile) -> Result<Options, Fault>,
    ) -> Result<Self, Fault> {
        memory::needed_for(&args.file);
        let bar = progress::reading();
        let file = BatchFile::read(&args.file, args.layout(), bar.clone());
        bar.finish_and_clear();
        let file = file?;
        for note in file.notes() {
            format::note(&file.path, &note);
        }
        let options = options(&file)?;
        let none = vec![0; file.items()];
        let shape = *CheckedBatch::new(&file.batch().labels(&[], &none), &options)
            .map_err(|e| Fault::input(&args.file, e))?
            .shape();
        let blank = options.blank.index(shape.classes);
        Ok(Self {
            file,
            options,
            shape,
            blank,
        })
    }

    /// The batch with its labels, checked too.
    /// Notes the first item whose loss or score, which is −ln of a probability, is below 0.
    pub(crate) fn note_below_0(&self, name: &str, mut scores: impl Iterator<Item = (usize, f64)>) {
        if let Some((item, score)) = scores.find(|(_, score)| *score < 0.0) {
            format::note(
                &self.file.path,
                &format!(
                    "item {item} has a {name} of {score:.6}, below 0: its probabilities sum to more than 1; raw scores go in as `logits`"
                ),
            );
        }
    }

    /// The same of scores, from which nothing has taken the rounding: as much as 1e-6 a frame.
    pub(crate) fn note_scores_below_0(&self, scores: impl Iterator<Item = (usize, f64)>) {
        let rounding = |item: usize| 1e-6 * self.file.frames(item) as f64;
        self.note_below_0("score", scores.filter(|(n, score)| *score < -rounding(*n)));
    }

    pub(crate) fn checked(&self) -> Result<CheckedBatch<'_>, Fault> {
        CheckedBatch::new(&self.file.batch(), &self.options)
            .map_err(|e| Fault::input(&self.file.path, e))
    }
}

pub(crate) fn run(args: &LossArgs) -> Result<Outcome, Fault> {
    let path = &args.batch.input.file;
    let out = args.out.as_deref();
    let out = out.map(|out| Output::create("--out", out, &[("the batch", path)]));
    let out = out.transpose()?;
    let accepted = Accepted::read(&args.batch)?;
    let (engine, kept) = engine(args)?;
    let bar = progress::working(u64::from(args.runs) + 1);
    let timed = Timed::run(
        &engine,
        &accepted.file.batch(),
        &accepted.options,
        !args.no_grad,
        args.runs,
        |run| {
            bar.set_position(run);
            bar.set_message(engine.name());
        },
    );
    bar.finish_and_clear();
    let timed = timed.map_err(|e| Fault::library(path, e))?;
    if let Some(kept) = &kept {
        kept.save();
    }
    let timed = checked(timed, &accepted.shape, &engine)?;
    let losses = timed.answer.loss.iter().copied().enumerate();
    accepted.note_below_0("loss", losses);
    let written = out.as_ref().map(ToString::to_string);
    if let Some(out) = out {
        out.write(|file| write(file, &accepted.file.shape, &timed.answer))?;
    }
    let report = Report {
        accepted: &accepted,
        engine: &engine,
        timed: &timed,
        reduction: args.batch.reduction,
        fell_back: args.backend == BackendArg::Auto && args.adapter.is_none() && !engine.is_gpu(),
    };
    if args.json {
        return Ok(Outcome::json(&report.json(), true));
    }
    let mut text = report.human();
    if let Some(path) = written {
        text += &format::line("written", &path);
    }
    Ok(Outcome { text, passed: true })
}

fn engine(args: &LossArgs) -> Result<(Engine, Option<Kept>), Fault> {
    let path = &args.batch.input.file;
    let ctc = match (args.backend, &args.adapter) {
        (BackendArg::Auto | BackendArg::Gpu, Some(name)) => Ctc::gpu_named(name),
        (BackendArg::Auto, None) => Ctc::new(),
        (BackendArg::Gpu, None) => Ctc::gpu(),
        (BackendArg::Cpu | BackendArg::Reference, Some(_)) => {
            let reason = "--adapter names a GPU: it goes with --backend gpu or auto only";
            return Err(Fault::Usage(reason.to_owned()));
        }
        (BackendArg::Cpu, None) => Ok(Ctc::cpu()),
        (BackendArg::Reference, None) => return Ok((Engine::Reference, None)),
    };
    let ctc = ctc.map_err(|e| Fault::library(path, e))?;
    let kept = Kept::of(&ctc);
    let ctc = match &kept {
        Some(kept) => ctc.with_cache(kept.cache()),
        None => ctc,
    };
    Ok((Engine::Ctc(Box::new(ctc)), kept))
}

fn write(file: &mut File, shape: &[usize; 3], answer: &Answer) -> std::io::Result<()> {
    let items = [answer.loss.len()];
    let mut npz = NpzWriter::new(file);
    npz.array("loss", &items, answer.loss.iter().copied().map(narrow))?;
    if let Some(grad) = &answer.grad {
        npz.array("grad", shape, grad.iter().copied().map(narrow))?;
    }
    npz.array("status", &items, answer.status.iter().map(|s| *s as u32))?;
    if let Some(reduced) = answer.reduced {
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

struct Report<'a> {
    accepted: &'a Accepted,
    engine: &'a Engine,
    timed: &'a Timed,
    reduction: ReductionArg,
    /// Whether the CPU backend runs because no adapter was found.
    fell_back: bool,
}

/// How many losses are printed; `--json` and `--out` have them all.
const SHOWN: usize = 6;

impl Report<'_> {
    /// The mean loss of the items that went well, and their number.
    fn mean(&self) -> (f64, usize) {
        let answer = &self.timed.answer;
        let pairs = answer.loss.iter().zip(&answer.status);
        let fine: Vec<f64> = pairs
            .filter(|(_, status)| **status == Status::Ok)
            .map(|(loss, _)| *loss)
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "a count of items")]
        let mean = fine.iter().sum::<f64>() / fine.len().max(1) as f64;
        (mean, fine.len())
    }

    /// Whether the file's truth was computed for the blank in use.
    fn comparable(&self) -> bool {
        let Accepted { file, blank, .. } = self.accepted;
        file.blank.is_none_or(|stored| stored as usize == *blank)
    }

    fn loss_deviation(&self) -> Option<Deviation> {
        let truth = self
            .accepted
            .file
            .true_loss
            .as_ref()
            .filter(|_| self.comparable())?;
        Some(loss_deviation(&self.timed.answer.loss, truth))
    }

    /// The gradient's deviation; the stored one belongs to the sum and says nothing about the mean.
    fn grad_deviation(&self) -> Option<Deviation> {
        let truth = self
            .accepted
            .file
            .true_grad
            .as_ref()
            .filter(|_| self.comparable())?;
        let grad = self.timed.answer.grad.as_ref()?;
        matches!(self.reduction, ReductionArg::None | ReductionArg::Sum)
            .then(|| largest(grad, truth, |_, _| 1.0))
    }

    fn human(&self) -> String {
        let Accepted {
            file, shape, blank, ..
        } = self.accepted;
        let answer = &self.timed.answer;
        let mut text = String::new();
        let mut backend = self.engine.name();
        if self.fell_back {
            backend += "; no GPU adapter was found";
        }
        text += &format::line("backend", &backend);
        text += &format::line("batch", &format::shape(shape, *blank, file.kind.name()));
        text += &format::line("loss", &self.losses());
        if let Some(told) = format::statuses(&answer.status) {
            text += &format::line("status", &told);
        }
        if let Some(reduced) = answer.reduced {
            let told = format!("{} ({})", format::loss(reduced), self.reduction.name());
            text += &format::line("reduced", &told);
        }
        let mut time = format!("{} the first run", format::milliseconds(self.timed.first));
        if let Some(median) = self.timed.median() {
            let runs = self.timed.more.len();
            let _ = write!(
                time,
                ", {} the median of {runs} more",
                format::milliseconds(median)
            );
        }
        text += &format::line("time", &time);
        if let Some(told) = self.deviations() {
            text += &format::line("deviation", &told);
        }
        text
    }

    fn losses(&self) -> String {
        let losses = &self.timed.answer.loss;
        let first: Vec<String> = losses
            .iter()
            .take(SHOWN)
            .map(|l| format::loss(*l))
            .collect();
        let mut told = first.join("  ");
        if losses.len() > SHOWN {
            told += "  …";
        }
        match self.mean() {
            _ if losses.is_empty() => "no items".to_owned(),
            (_, 0) => told,
            (mean, count) if count == losses.len() => {
                told + &format!("  mean {}", format::loss(mean))
            }
            (mean, count) => {
                told + &format!("  mean {} of the {count} that are ok", format::loss(mean))
            }
        }
    }

    /// What the file's own float64 values say.
    fn deviations(&self) -> Option<String> {
        let mut told = Vec::new();
        if let Some(Deviation { worst, at }) = self.loss_deviation() {
            told.push(format!("loss {} (item {at})", format::small(worst)));
        }
        if let Some(Deviation { worst, at }) = self.grad_deviation() {
            let [item, frame, class] = position(&self.accepted.shape, at);
            let place = format!("(item {item}, frame {frame}, class {class})");
            told.push(format!("gradient {} {place}", format::small(worst)));
        }
        (!told.is_empty()).then(|| format!("{} from the file's float64", told.join(", ")))
    }

    fn json(&self) -> Value {
        let Accepted {
            file, shape, blank, ..
        } = self.accepted;
        let answer = &self.timed.answer;
        let (mean, fine) = self.mean();
        let names = answer.status.iter().map(|s| s.name());
        json!({
            "backend": self.engine.name(),
            "gpu": self.engine.is_gpu(),
            "shape": format::shape_json(shape, *blank, file.kind.name()),
            "loss": answer.loss.iter().map(|l| format::number(*l)).collect::<Vec<_>>(),
            "mean": (fine > 0).then(|| format::number(mean)),
            "status": names.collect::<Vec<_>>(),
            "reduction": self.reduction.name(),
            "reduced": answer.reduced.map(format::number),
            "first_ms": format::milliseconds_json(self.timed.first),
            "median_ms": self.timed.median().map(format::milliseconds_json),
            "runs": self.timed.more.len(),
            "loss_deviation": self.loss_deviation().map(|d| format::deviation_json(d, json!([d.at]))),
            "grad_deviation": self.grad_deviation()
                .map(|d| format::deviation_json(d, json!(position(shape, d.at)))),
        })
    }
}
