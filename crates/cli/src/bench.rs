//! `ctc-wgpu bench`: measures the time of losses and gradients, or of alignment and decoding.

mod backend;
mod bandwidth;
mod batch_times;
mod decoders;
mod first_use;
mod measure;
mod report;
mod shape;
mod stages;
mod timestamps;
mod variant;

use std::num::NonZeroU32;

use clap::{Args, ValueEnum};
use ctc_wgpu::Task;

use crate::error::CliError;
use crate::format::Outcome;
use crate::progress;
use backend::BenchBackend;
use bandwidth::Bandwidth;
use batch_times::MeasureOptions;
use ctc_wgpu_bench_support::seeded::SHAPES;
use report::{BenchReport, BenchRow};
use shape::BenchShape;
use stages::StageTiming;
use variant::Variant;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    /// The backend to time
    #[arg(long, value_enum, default_value = "auto")]
    backend: BackendArg,

    /// The GPU adapter whose name contains NAME [default: the best adapter]
    #[arg(long, value_name = "NAME")]
    adapter: Option<String>,

    /// With --backend cpu: the number of threads [default: one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,

    /// Frames, items, classes and labels per item of a batch; may be repeated [default: seven
    /// shapes, or three with --decode]
    #[arg(verbatim_doc_comment, long = "shape", value_name = "T,N,C,L")]
    shapes: Vec<BenchShape>,

    /// Time the losses without the gradient
    #[arg(long)]
    forward_only: bool,

    /// Time alignment and the decoders instead, on logits like those of a trained network
    ///
    /// The default backend is then the CPU. With --backend gpu or --adapter, only alignment and
    /// greedy decoding are timed, because beam search has no kernel.
    #[arg(verbatim_doc_comment, long, conflicts_with = "forward_only")]
    decode: bool,

    /// Also time each stage of the kernels [default of HOW: the first that the adapter supports]
    #[arg(
        long,
        value_enum,
        value_name = "HOW",
        num_args = 0..=1,
        require_equals = true
    )]
    stages: Option<Option<StageTiming>>,

    /// Also time N steps, 1 to 1000, that are queued before a single wait, and print the time
    /// per step
    #[arg(verbatim_doc_comment, long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    queued: Option<u32>,

    /// The choice of kernels
    #[arg(
        long,
        value_enum,
        value_name = "NAME",
        default_value = "planned",
        conflicts_with = "decode"
    )]
    variant: Variant,

    /// Print the results as a JSON list with one object per shape
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BackendArg {
    /// The best GPU adapter, or the CPU backend if there is no adapter
    Auto,
    /// A GPU adapter
    Gpu,
    /// The CPU backend
    Cpu,
}

pub(crate) fn run(args: &BenchArgs) -> Result<Outcome, CliError> {
    let shapes = match &args.shapes[..] {
        [] if args.decode => decoders::SHAPES.to_vec(),
        [] => SHAPES.to_vec(),
        shapes => shapes.iter().map(|BenchShape(shape)| *shape).collect(),
    };
    let task = match args.forward_only {
        true => Task::Loss,
        false => Task::LossAndGrad,
    };
    let backend = backend(args)?;
    let options = measure_options(args, &backend)?;
    if args.decode {
        let bar = progress::working(0);
        let outcome = decoders::run(&backend, &shapes, options, args.json, |what| {
            bar.set_message(what.to_owned());
        });
        bar.finish_and_clear();
        return outcome;
    }
    let bar = progress::working(shapes.len() as u64 + 1);
    bar.set_message("memory bandwidth");
    let bandwidth = Bandwidth::of(&backend);
    bar.inc(1);
    let measured = |shape: [usize; 4]| {
        bar.set_message(ctc_wgpu_bench_support::inputs::name(shape));
        let result = measure::measure(&backend, shape, task, options);
        bar.inc(1);
        BenchRow { shape, result }
    };
    let rows = shapes.into_iter().map(measured).collect();
    bar.finish_and_clear();
    let report = BenchReport {
        backend: &backend,
        task,
        bandwidth: bandwidth.map_err(CliError::Compute)?,
        variant: args.variant,
        rows,
    };
    Ok(report.outcome(args.json))
}

/// Returns what to measure in addition to single steps. The CPU backend supports only single steps,
/// so any other choice is an error.
fn measure_options(args: &BenchArgs, backend: &BenchBackend) -> Result<MeasureOptions, CliError> {
    let BenchBackend::Gpu { gpu, .. } = backend else {
        let reason = match (args.stages, args.queued) {
            (None, None) if args.variant == Variant::Planned => {
                return Ok(MeasureOptions::default());
            }
            (None, None) => {
                "--variant selects kernels, which the CPU backend does not have: it requires \
                 --backend gpu"
            }
            (Some(_), _) => {
                "--stages times dispatches, which the CPU backend does not have: it requires \
                 --backend gpu"
            }
            _ => {
                "--queued times a queue of steps, which the CPU backend does not have: it requires \
                 --backend gpu"
            }
        };
        return Err(CliError::Usage(reason.to_owned()));
    };
    let choose = |way| StageTiming::choose(way, gpu.device.features());
    let stages = args.stages.map(choose).transpose();
    Ok(MeasureOptions {
        stages: stages.map_err(|reason| CliError::Usage(format!("--stages: {reason}")))?,
        queued: args.queued.and_then(NonZeroU32::new),
        variant: args.variant,
    })
}

fn backend(args: &BenchArgs) -> Result<BenchBackend, CliError> {
    let usage = |reason: &str| Err(CliError::Usage(reason.to_owned()));
    match args.backend {
        BackendArg::Cpu if args.adapter.is_some() => {
            usage("--adapter selects a GPU: it requires --backend gpu or auto")
        }
        BackendArg::Auto | BackendArg::Gpu if args.threads.is_some() => {
            usage("--threads sets the threads of the CPU backend: it requires --backend cpu")
        }
        BackendArg::Cpu => BenchBackend::cpu(args.threads),
        BackendArg::Auto if args.adapter.is_none() && args.decode => BenchBackend::cpu(None),
        BackendArg::Auto if args.adapter.is_none() && ctc_wgpu::adapters().is_empty() => {
            BenchBackend::cpu(None)
        }
        BackendArg::Auto | BackendArg::Gpu => {
            BenchBackend::gpu(args.adapter.as_deref().unwrap_or_default())
        }
    }
}
