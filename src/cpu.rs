//! The CPU backend: the recursion of the shaders, in f32, with the same names.
//!
//! First the items are swept, each by a thread of rayon's pool, and last the rows of the class axis are read, each once,
//! for their statistics and the gradient together. The loops are written with the vectors of `fearless_simd` and
//! compiled for the best instructions that the machine has, found at run time: on x86-64 AVX-512, AVX2 or SSE; elsewhere
//! NEON or plain Rust, untested so far.
//!
//! It differs from the shaders where a CPU does: an item's tables are its own, so nothing is cut; blanks and labels are
//! separate arrays, padded to whole vectors; beta keeps alpha's order of states (see `states`); and the emissions are
//! relative to the largest that the item needs of a frame, not to the row's, so that the sweeps read only those entries.
//! The tables of a call are kept for the next: once a shape has been seen, nothing is allocated.

mod batch_totals;
mod check_labels;
mod emissions;
mod grad;
mod index;
mod join;
mod label_links;
mod reduce;
mod scaled;
mod softmax_stats;
mod states;
mod sweep;

use std::sync::Mutex;

use fearless_simd::{Level, Simd, dispatch};
use rayon::prelude::*;

use crate::batch::CheckedBatch;
use crate::blocking::locked;
use crate::error::Error;
use crate::fork::on_threads;
use crate::idle::Idle;
use crate::options::{Options, Reduction, Status};
use crate::output::RawOutput;
use crate::plan::Task;
use batch_totals::Totals;
use check_labels::Item;
use emissions::Emissions;
use index::bytes;
pub(crate) use reduce::reduce;
use softmax_stats::Stats;
use states::Direction;
use sweep::{Arm, Kept};

/// The tables of calls that have ended, kept for the next ones.
#[derive(Debug)]
pub(crate) struct CpuBackend {
    idle: Idle<Workspace>,
}

/// The tables of a call.
#[derive(Debug, Default)]
struct Workspace {
    items: Vec<Item>,
    /// Of the rows of the class axis, in the order of the input.
    stats: Vec<Stats>,
    /// One for each item that is being worked on.
    scratch: Mutex<Vec<Scratch>>,
    scales: Vec<f32>,
}

/// The tables of one item that only its sweeps need.
#[derive(Debug)]
struct Scratch {
    /// Of `chain`.
    slot_of: Vec<u32>,
    emissions: Emissions,
    arms: [Arm; 2],
    kept: [Kept; 2],
}

impl Scratch {
    fn bytes(&self) -> usize {
        let arms = self.arms.iter().map(Arm::bytes).sum::<usize>();
        let kept = self.kept.iter().map(bytes).sum::<usize>();
        arms + kept + self.emissions.bytes() + bytes(&self.slot_of)
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self {
            slot_of: Vec::new(),
            emissions: Emissions::default(),
            arms: [Direction::Alpha, Direction::Beta].map(Arm::new),
            kept: [Kept::new(), Kept::new()],
        }
    }
}

/// Floats of the class axis that are worth a thread's while.
const CHUNK: usize = 8192;

/// Places of an item, over all frames, that are.
const PLACES: usize = 16_384;

impl CpuBackend {
    /// Keeps the tables of so many calls.
    pub(crate) fn new(most: usize) -> Self {
        Self {
            idle: Idle::new(most),
        }
    }

    pub(crate) fn keep_at_most(&self, most: usize) {
        self.idle.keep_at_most(most);
    }

    /// The bytes of the tables that are kept.
    pub(crate) fn bytes(&self) -> usize {
        self.idle.sum(Workspace::bytes)
    }

    /// Losses and, if wanted, the gradient.
    ///
    /// # Errors
    /// [`Error::Forked`] if a forked process cannot start threads.
    pub(crate) fn run(
        &self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        task: Task,
        answer: &mut RawOutput,
    ) -> Result<(), Error> {
        let mut workspace = self.idle.take(|_| true).unwrap_or_default();
        on_threads(|| workspace.run(checked, options, task, answer))?;
        self.idle.put(workspace);
        Ok(())
    }
}

impl Workspace {
    fn bytes(&self) -> usize {
        let items = self.items.iter().map(Item::bytes).sum::<usize>();
        let scratch = locked(&self.scratch);
        let scratch = scratch.iter().map(Scratch::bytes).sum::<usize>();
        items + scratch + bytes(&self.items) + bytes(&self.stats) + bytes(&self.scales)
    }

    fn run(
        &mut self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        task: Task,
        answer: &mut RawOutput,
    ) {
        let level = Level::new();
        let shape = *checked.shape();
        let totals = Totals::new(checked, options.reduction);
        if self.items.len() < shape.items {
            self.items.resize_with(shape.items, Item::default);
        }
        let items = &mut self.items[..shape.items];
        let scratch = &self.scratch;
        let split = items.len() < rayon::current_num_threads();
        items.par_iter_mut().enumerate().for_each(|(n, item)| {
            let mut mine = locked(scratch).pop().unwrap_or_default();
            dispatch!(level, simd => simd.vectorize(
                #[inline(always)]
                || sweeps(simd, checked, options, &totals, task, split, n, item, &mut mine)
            ));
            locked(scratch).push(mine);
        });
        let rows = shape.items * shape.frames;
        if self.stats.len() < rows {
            self.stats.resize(rows, Stats::default());
        }
        let stats = &mut self.stats[..rows];
        let chunk = CHUNK.div_ceil(shape.classes);
        let swept = &*items;
        let rows_of = |index: usize, stats: &mut [Stats], grad: Option<&mut [f32]>| {
            dispatch!(level, simd => simd.vectorize(
                #[inline(always)]
                || grad::rows(simd, checked, options, swept, index * chunk, stats, grad)
            ));
        };
        let stats_chunks = stats.par_chunks_mut(chunk).enumerate();
        if task == Task::LossAndGrad {
            answer.resize_grad(shape.elements());
            let grads = answer.grad.par_chunks_mut(chunk * shape.classes);
            stats_chunks
                .zip(grads)
                .for_each(|((index, stats), grad)| rows_of(index, stats, Some(grad)));
        } else {
            stats_chunks.for_each(|(index, stats)| rows_of(index, stats, None));
        }
        let stats = &*stats;
        self.scales.clear();
        for (n, item) in items.iter_mut().enumerate() {
            let swept = item.status == Status::Ok;
            let loss = dispatch!(level, simd => simd.vectorize(
                #[inline(always)]
                || join::loss(simd, item, options, |t| stats[shape.row(n, t) / shape.classes])
            ));
            answer.loss.push(loss);
            answer.status.push(item.status);
            self.scales.push(item.scale);
            // The gradient of what turned out last to have none.
            let nothing = match item.status {
                Status::NotFinite if item.scale != 0.0 => f32::NAN,
                Status::Impossible if swept => 0.0,
                _ => continue,
            };
            if task == Task::LossAndGrad {
                for t in 0..item.frames {
                    let start = shape.row(n, t);
                    answer.grad[start..start + shape.classes].fill(nothing);
                }
            }
        }
        if options.reduction != Reduction::None {
            answer.reduced = Some(reduce(&self.scales, &answer.loss));
        }
    }
}

/// All that is made of an item before the rows of the class axis are read whole.
#[inline(always)]
#[allow(
    clippy::too_many_arguments,
    reason = "an item of a batch, what was asked of that, and room"
)]
fn sweeps<S: Simd>(
    simd: S,
    checked: &CheckedBatch<'_>,
    options: &Options,
    totals: &Totals,
    task: Task,
    split: bool,
    n: usize,
    item: &mut Item,
    scratch: &mut Scratch,
) {
    item.fill(checked, options, totals, n);
    let split = split && item.frames * item.places() >= PLACES;
    if item.status != Status::Ok {
        return;
    }
    let Scratch {
        slot_of,
        emissions,
        arms: [alpha, beta],
        kept: [alphas, betas],
    } = scratch;
    label_links::link(item, checked.blank, checked.shape().classes, slot_of);
    emissions::emit(simd, checked, options, item, n, emissions);
    both(
        split,
        || {
            simd.vectorize(
                #[inline(always)]
                || alpha.sweep_in(simd, item, emissions, alphas),
            )
        },
        || {
            simd.vectorize(
                #[inline(always)]
                || beta.sweep_in(simd, item, emissions, betas),
            )
        },
    );
    join::meet(simd, item, &alpha.newest_of(item), &beta.newest_of(item));
    if task == Task::Loss || item.status != Status::Ok || item.scale == 0.0 {
        return;
    }
    let mut occupancies = std::mem::take(&mut item.occupancies);
    occupancies.resize(item.frames * item.classes.len(), 0.0);
    let middle = index::half(Direction::Alpha, item.frames) * item.classes.len();
    let (first, second) = occupancies.split_at_mut(middle);
    both(
        split,
        || {
            simd.vectorize(
                #[inline(always)]
                || alpha.sweep_out(simd, item, emissions, betas, second),
            )
        },
        || {
            simd.vectorize(
                #[inline(always)]
                || beta.sweep_out(simd, item, emissions, alphas, first),
            )
        },
    );
    item.occupancies = occupancies;
}

/// The two directions, on two threads where there are more of those than items.
fn both(split: bool, alpha: impl FnOnce() + Send, beta: impl FnOnce() + Send) {
    if split {
        rayon::join(alpha, beta);
    } else {
        alpha();
        beta();
    }
}

/// The factor of each item's loss in the reduced number.
pub(crate) fn scales(checked: &CheckedBatch<'_>, reduction: Reduction) -> Vec<f32> {
    let totals = Totals::new(checked, reduction);
    (0..checked.shape().items)
        .map(|n| totals.scale_of(checked.weight(n), checked.label_lengths[n]))
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
