//! `ctc-wgpu`: CTC losses of batches in numpy's format, on any GPU, and a check of the GPU by the float64 reference,
//! and of its speed.

mod adapters;
mod align;
mod alphabet;
mod args;
mod batch_file;
mod bench;
mod check;
mod compare;
mod decode;
mod engine;
mod fault;
mod format;
mod interrupt;
mod kept;
mod loss;
mod memory;
mod npz;
mod output;
mod plot;
mod progress;
mod timing;
mod validate;

use std::io::{ErrorKind, Write, stderr, stdout};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use fault::Fault;
use format::Outcome;

#[global_allocator]
static ALLOCATOR: memory::Reporting = memory::Reporting;

/// CTC loss and gradient on any GPU that wgpu reaches, or on the CPU.
///
/// Exit status: 0; 1 if a check or the computation failed; 2 for bad usage, bad input, or a batch
/// that memory cannot hold.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Compute the losses and the gradient of a batch
    ///
    /// Compiled kernels are kept in the user's cache folder where the driver allows it (Vulkan). CTC_WGPU_CACHE_DIR names
    /// another folder; with an empty value nothing is kept.
    Loss(loss::LossArgs),
    /// Run a batch on every backend there is, and compare each with the float64 reference
    ///
    /// A backend fails if a loss is off by more than 1e-6 (of its size, from 1 on) or an element of the gradient by
    /// more than 1e-5 (times the item's weight, from 1 on; with probs of its size, from 1 on).
    Check(check::CheckArgs),
    /// Run the conformance suite on every adapter, through every variant of the kernels, and on the CPU backend
    ///
    /// Other libraries' numbers, the table of semantics, random batches, extreme and subnormal numbers, long and wide items,
    /// garbage in every buffer, determinism: each answer is held against the truth, to 1e-6 of a loss and 1e-5 in a gradient.
    /// What the driver makes of arithmetic is told too, since it explains most failures.
    Validate(validate::ValidateArgs),
    /// Time batches of seeded logits, each checked first, and say how near to the machine's memory bandwidth they come
    Bench(bench::BenchArgs),
    /// Read a batch: by the likeliest path, or by a beam over all paths; and count the errors where the file has labels
    Decode(decode::DecodeArgs),
    /// Find where in time each label stands, by the likeliest path through the labels
    Align(align::AlignArgs),
    /// List the GPU adapters and those of their limits that matter here
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
    match result.and_then(|outcome| say(&outcome)) {
        Ok(status) => status,
        Err(fault) => {
            // Nothing is left to tell a person whose stderr is closed.
            let _ = writeln!(stderr(), "error: {}", fault.line());
            ExitCode::from(fault.exit_status())
        }
    }
}

fn say(outcome: &Outcome) -> Result<ExitCode, Fault> {
    let mut out = stdout().lock();
    let written = out
        .write_all(outcome.text.as_bytes())
        .and_then(|()| out.flush());
    match written {
        // A reader that has seen enough, such as `head`, is no failure.
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(Fault::Compute(format!("stdout: {e}"))),
        _ if outcome.passed => Ok(ExitCode::SUCCESS),
        _ => Ok(ExitCode::from(1)),
    }
}
