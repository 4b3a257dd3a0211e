//! The CPU twin: the stages of the shaders, in f32, with the same names and in the same order, item by item.
//!
//! Items go to the threads of rayon's pool. The loops are written plainly, for the compiler to vectorise; each item
//! runs in a copy of them that was compiled for the best instructions that the machine has, found at run time
//! (`fearless_simd`). On x86-64 that is AVX-512, AVX2 or SSE; elsewhere NEON or plain Rust, untested so far.
//!
//! It differs from the shaders where a CPU does: an item's tables are its own, so nothing is cut; blanks and labels are
//! separate arrays, padded to whole vectors; and beta keeps alpha's order of states (see `states`).

mod chain;
mod emit;
mod grad;
mod index;
mod labels;
mod meet;
mod reduce;
mod scaled;
mod states;
mod sweep;
mod totals;

use fearless_simd::{Level, Simd, dispatch};
use rayon::prelude::*;

use crate::options::{Options, Reduction, Status};
use crate::output::Answer;
use crate::plan::Goal;
use crate::problem::Problem;
use labels::Item;
pub(crate) use reduce::reduce;
use totals::Totals;

/// The tables of one item, kept by a thread for the next.
#[derive(Debug, Default)]
struct Workspace {
    item: Item,
    emissions: emit::Emissions,
    lattice: sweep::Lattice,
    /// Of the labels' states at one frame.
    weights: Vec<f32>,
}

/// Losses and, if wanted, the gradient.
pub(crate) fn run(problem: &Problem<'_>, options: &Options, goal: Goal) -> Answer {
    let level = Level::new();
    let shape = *problem.shape();
    let totals = Totals::new(problem, options.reduction);
    let mut answer = Answer::empty(&shape);
    if goal == Goal::LossAndGrad {
        answer.grad = vec![0.0; shape.elements()];
    }
    let rows = index::rows_by_item(&mut answer.grad, &shape);
    let results: Vec<_> = rows
        .into_par_iter()
        .enumerate()
        .map_init(Workspace::default, |workspace, (n, rows)| {
            dispatch!(level, simd => simd.vectorize(
                #[inline(always)]
                || run_item(problem, options, &totals, n, rows, workspace)
            ))
        })
        .collect();
    let mut scales = Vec::with_capacity(results.len());
    for result in results {
        answer.loss.push(result.loss);
        answer.status.push(result.status);
        scales.push(result.scale);
    }
    if options.reduction != Reduction::None {
        answer.reduced = Some(reduce(&scales, &answer.loss));
    }
    answer
}

/// What the batch is told of an item.
struct ItemResult {
    loss: f32,
    status: Status,
    scale: f32,
}

#[inline(always)]
fn run_item(
    problem: &Problem<'_>,
    options: &Options,
    totals: &Totals,
    n: usize,
    mut rows: Vec<&mut [f32]>,
    workspace: &mut Workspace,
) -> ItemResult {
    let Workspace {
        item,
        emissions,
        lattice,
        weights,
    } = workspace;
    item.fill(problem, options, totals, n);
    if !rows.is_empty() {
        chain::link(item);
    }
    let finite = emit::emit(problem, options, item, n, emissions);
    let mut status = if !finite {
        Status::NotFinite
    } else {
        item.status
    };
    let mut loss = meet::loss_of(status, options.impossible);
    if status == Status::Ok {
        sweep::sweep_in(item, emissions, lattice);
        (loss, status) = meet::meet(item, emissions, lattice, options);
    }
    if !rows.is_empty() {
        if status == Status::Ok && item.scale != 0.0 {
            sweep::sweep_out(item, emissions, lattice);
        }
        grad::grad(
            problem, options, item, n, status, emissions, lattice, weights, &mut rows,
        );
    }
    ItemResult {
        loss,
        status,
        scale: item.scale,
    }
}

/// The factor of each item's loss in the reduced number.
pub(crate) fn scales(problem: &Problem<'_>, reduction: Reduction) -> Vec<f32> {
    let totals = Totals::new(problem, reduction);
    (0..problem.shape().items)
        .map(|n| totals.scale_of(problem.weight(n), problem.label_lengths[n]))
        .collect()
}

/// The vector instructions that [`run`] will use on this machine.
pub(crate) fn simd_name() -> &'static str {
    let name = format!("{:?}", Level::new());
    ["Avx512", "Avx2", "Sse4_2", "Sse2", "Neon", "WasmSimd128"]
        .into_iter()
        .find(|known| name.contains(known))
        .unwrap_or("plain")
}
