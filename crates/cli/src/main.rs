//! `ctc-wgpu`: CTC losses, alignments and decoding of batches in numpy's `.npz` format, and checks
//! and timings of GPUs.

mod adapters;
mod align;
mod alphabet;
mod args;
mod bench;
mod check;
mod compare;
mod decode;
mod engine;
mod error;
mod format;
mod help;
mod interrupt;
mod loaded_batch;
mod loss;
mod memory;
mod output;
mod pipeline_cache;
mod plot;
mod progress;
mod timing;
mod validate;

use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use error::CliError;
use format::Outcome;

#[global_allocator]
static ALLOCATOR: memory::ReportingAllocator = memory::ReportingAllocator;

/// Computes CTC losses, gradients, alignments and decodings of batches, on a GPU or on the CPU.
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = "`ctc-wgpu help COMMAND` describes the input, the output and the exit status of a command."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Computes the losses and the gradient of a batch
    #[command(after_long_help = help::loss())]
    Loss(loss::LossArgs),
    /// Compares every GPU adapter and the CPU backend with the float64 reference on one batch
    #[command(after_long_help = help::check())]
    Check(check::CheckArgs),
    /// Runs the conformance suite on every GPU adapter and on the CPU backend
    ///
    /// The suite contains golden values of other libraries, every rule of the documented
    /// semantics, random batches, extreme and subnormal numbers, −∞, long items, many classes,
    /// malformed input, and repeated runs that must give the same bits.
    #[command(verbatim_doc_comment, after_long_help = help::VALIDATE)]
    Validate(validate::ValidateArgs),
    /// Measures the time of losses and gradients, or of alignment and decoding
    #[command(after_long_help = help::BENCH)]
    Bench(bench::BenchArgs),
    /// Decodes a batch, greedily or by beam search, and counts the errors if the file has labels
    #[command(after_long_help = help::decode())]
    Decode(decode::DecodeArgs),
    /// Finds the frames of each label by forced alignment
    #[command(after_long_help = help::align())]
    Align(align::AlignArgs),
    /// Lists the GPU adapters and the limits on which the kernels depend
    #[command(after_long_help = help::ADAPTERS)]
    Adapters(adapters::AdaptersArgs),
}

fn main() -> ExitCode {
    interrupt::report_size_limit();
    let result = match Cli::parse().command {
        Command::Loss(args) => loss::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Validate(args) => validate::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Decode(args) => decode::run(&args),
        Command::Align(args) => align::run(&args),
        Command::Adapters(args) => Ok(adapters::run(&args)),
    };
    match result.and_then(|outcome| print(&outcome)) {
        Ok(status) => status,
        Err(error) => {
            // If stderr is closed, nothing can be reported.
            let _ = writeln!(stderr(), "error: {}", error.one_line());
            ExitCode::from(error.exit_status())
        }
    }
}

fn print(outcome: &Outcome) -> Result<ExitCode, CliError> {
    let mut out = stdout().lock();
    let written = out
        .write_all(outcome.text.as_bytes())
        .and_then(|()| out.flush());
    match written {
        // A reader that stops early, such as `head`, is not an error.
        Err(e) if e.kind() != ErrorKind::BrokenPipe => {
            Err(CliError::Compute(format!("cannot write to stdout: {e}")))
        }
        _ if outcome.passed => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::from(1)),
    }
}
