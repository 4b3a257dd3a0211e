//! `ctc-wgpu bench`: how long losses and gradients take on this machine.

mod bandwidth;
mod decoders;
mod first_use;
#[path = "../../../benches/inputs/mod.rs"]
mod inputs;
mod measure;
mod on_device;
mod report;
#[path = "../../../benches/resident/mod.rs"]
mod resident;
mod shape;
mod stages;
mod stamps;
mod subject;
#[path = "../../../benches/truth/mod.rs"]
mod truth;
mod variant;

use std::num::NonZeroU32;

use clap::{Args, ValueEnum};
use ctc_wgpu::Task;

use crate::fault::Fault;
use crate::format::Outcome;
use crate::progress;
use bandwidth::Bandwidth;
use inputs::SHAPES;
use on_device::Extras;
use report::{Report, Row};
use shape::BenchShape;
use stages::Way;
use subject::Subject;
use variant::Variant;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// What to time: the best adapter or else the CPU backend, or one of them by name
    #[arg(long, value_enum, default_value = "auto")]
    backend: BackendArg,

    /// The GPU adapter whose name contains NAME
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,

    /// How many threads the CPU backend gets [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Frames, items, classes and labels of a batch, instead of the seven that are timed by default; may be repeated
    #[arg(long = "shape", value_name = "T,N,C,L")]
    shapes: Vec<BenchShape>,

    /// Time the losses without the gradient
    #[arg(long)]
    forward_only: bool,

    /// Time alignments and decoders over logits like those of a trained network; with --backend gpu or --adapter only
    /// alignment and greedy decoding, which have kernels
    #[arg(long, conflicts_with = "forward_only")]
    decode: bool,

    /// Time each stage of the kernels as well; without HOW, in the first of these ways that the adapter supports
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true
    )]
    stages: Option<Option<Way>>,

    /// Time N queued steps as well: one submission per step, one wait at the end, the time divided by N
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    queued: Option<u32>,

    /// Time the batch with other kernels than those planned
    #[arg(
        long,
        value_enum,
        value_name = "NAME",
        default_value = "planned",
        conflicts_with = "decode"
    )]
    variant: Variant,

    /// Print a JSON list with an object for each shape
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BackendArg {
    Auto,
    Gpu,
    Cpu,
}

pub(crate) fn run(args: &BenchArgs) -> Result<Outcome, Fault> {
    let shapes = match &args.shapes[..] {
        [] if args.decode => decoders::SHAPES.to_vec(),
        [] => SHAPES.to_vec(),
        given => given.iter().map(|BenchShape(shape)| *shape).collect(),
    };
    let task = match args.forward_only {
        true => Task::Loss,
        false => Task::LossAndGrad,
    };
    let subject = subject(args)?;
    let extras = extras(args, &subject)?;
    if args.decode {
        let bar = progress::working(0);
        let outcome = decoders::run(&subject, &shapes, extras, args.json, |what| {
            bar.set_message(what.to_owned());
        });
        bar.finish_and_clear();
        return outcome;
    }
    let bar = progress::working(shapes.len() as u64 + 1);
    bar.set_message("copying, for the bandwidth");
    let bandwidth = Bandwidth::of(&subject);
    bar.inc(1);
    let measured = |shape: [usize; 4]| {
        bar.set_message(inputs::name(shape));
        let result = measure::measure(&subject, shape, task, extras);
        bar.inc(1);
        Row { shape, result }
    };
    let rows = shapes.into_iter().map(measured).collect();
    bar.finish_and_clear();
    let report = Report {
        subject: &subject,
        task,
        bandwidth: bandwidth.map_err(Fault::Compute)?,
        variant: args.variant,
        rows,
    };
    Ok(report.outcome(args.json))
}

/// What beside single steps is to be timed; only an adapter has any of it.
fn extras(args: &BenchArgs, subject: &Subject) -> Result<Extras, Fault> {
    let Subject::Gpu { gpu, .. } = subject else {
        let reason = match (args.stages, args.queued) {
            (None, None) if args.variant == Variant::Planned => return Ok(Extras::default()),
            (None, None) => {
                "--variant chooses among the kernels of an adapter, and the CPU backend has none: it goes with a GPU (--backend gpu)"
            }
            (Some(_), _) => {
                "--stages times the dispatches of an adapter, and the CPU backend has none: it goes with a GPU (--backend gpu)"
            }
            _ => {
                "--queued queues steps on an adapter, and the CPU backend has no queue: it goes with a GPU (--backend gpu)"
            }
        };
        return Err(Fault::Usage(reason.to_owned()));
    };
    let choose = |way| Way::choose(way, gpu.device.features());
    let stages = args.stages.map(choose).transpose();
    Ok(Extras {
        stages: stages.map_err(|reason| Fault::Usage(format!("--stages: {reason}")))?,
        queued: args.queued.and_then(NonZeroU32::new),
        variant: args.variant,
    })
}

fn subject(args: &BenchArgs) -> Result<Subject, Fault> {
    let misplaced = |reason: &str| Err(Fault::Usage(reason.to_owned()));
    match args.backend {
        BackendArg::Cpu if args.adapter.is_some() => {
            misplaced("--adapter names a GPU: it goes with --backend gpu or auto only")
        }
        BackendArg::Auto | BackendArg::Gpu if args.threads.is_some() => {
            misplaced("--threads is for the CPU backend: it goes with --backend cpu only")
        }
        BackendArg::Cpu => Subject::cpu(args.threads),
        BackendArg::Auto if args.adapter.is_none() && args.decode => Subject::cpu(None),
        BackendArg::Auto if args.adapter.is_none() && ctc_wgpu::adapters().is_empty() => {
            Subject::cpu(None)
        }
        BackendArg::Auto | BackendArg::Gpu => {
            Subject::gpu(args.adapter.as_deref().unwrap_or_default())
        }
    }
}
