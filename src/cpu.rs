//! The CPU backend: the loss and its gradient in f32, with threads and vector instructions.
//!
//! It computes what the shaders compute, by the same recursion in the same scaled arithmetic, and
//! its results agree with a GPU's within the tolerance of the validation suite. They do not have
//! the same bits. The main differences from the shaders:
//!
//! - The order of the stages: each item is swept completely, by one or two threads; then the
//!   softmax statistics and the gradient of each row of the class axis are computed together. The
//!   losses are computed last.
//! - The exponential uses another polynomial (see [`scaled`]).
//! - The reduced loss is summed in float64.
//! - The arrays of a sweep hold one item and are reused for other items. No binding limit applies
//!   to them, so no batch is split into tiles, segments or input slices.
//! - The rows of states are padded to whole vectors. In beta, a blank is in the same lane as the
//!   label before it, not as the label after it (see [`states`]).
//! - Emissions are relative to the most probable of the classes that the item needs, not to the
//!   maximum of the row, so the sweeps read only the classes of the labels and the blank.
//!
//! The loops use the vectors of `fearless_simd` and are compiled for several instruction sets, of
//! which the best one is selected at run time: AVX-512, AVX2 or SSE on x86-64. NEON and the scalar
//! fallback are untested so far. The calling thread computes too, together with threads of rayon's
//! pool. The arrays of a call are kept for the next one, so repeated shapes allocate none.

mod batch_totals;
mod emissions;
mod grad;
mod index;
mod item;
mod item_classes;
mod join;
mod reduce;
mod row_vectors;
mod scaled;
mod share;
mod softmax_stats;
mod states;
mod sweep;

use std::sync::Mutex;

use fearless_simd::{Level, Simd, dispatch};

use crate::batch::CheckedBatch;
use crate::blocking::locked;
use crate::error::Error;
use crate::fork::on_threads;
use crate::idle::Idle;
use crate::options::{Options, Reduction, Status};
use crate::output::RawOutput;
use crate::plan::Task;
use batch_totals::BatchTotals;
use emissions::Emissions;
use index::vec_bytes;
use item::ItemData;
pub(crate) use reduce::reduce;
pub(crate) use row_vectors::RowVectors;
use share::share;
use softmax_stats::RowStats;
use states::Direction;
use sweep::{Checkpoints, Sweeper};

/// The workspaces of finished calls, kept for the next ones.
#[derive(Debug)]
pub(crate) struct CpuBackend {
    idle: Idle<Workspace>,
}

/// The arrays of one call.
#[derive(Debug, Default)]
struct Workspace {
    items: Vec<ItemData>,
    /// The statistics of each row of the class axis, in the order of the input.
    stats: Vec<RowStats>,
    /// The sweep workspaces that no thread is using.
    sweep_workspaces: Mutex<Vec<SweepWorkspace>>,
    /// The factor of each item's loss in the reduced loss.
    scales: Vec<f32>,
}

/// The arrays that only the sweeps of one item need; reused for other items.
#[derive(Debug)]
struct SweepWorkspace {
    /// The index of each class among the classes of the item; see [`item_classes`].
    index_of_class: Vec<u32>,
    emissions: Emissions,
    sweepers: [Sweeper; 2],
    checkpoints: [Checkpoints; 2],
}

impl SweepWorkspace {
    fn bytes(&self) -> usize {
        let sweepers = self.sweepers.iter().map(Sweeper::bytes).sum::<usize>();
        let checkpoints = self.checkpoints.iter().map(vec_bytes).sum::<usize>();
        sweepers + checkpoints + self.emissions.bytes() + vec_bytes(&self.index_of_class)
    }
}

impl Default for SweepWorkspace {
    fn default() -> Self {
        Self {
            index_of_class: Vec::new(),
            emissions: Emissions::default(),
            sweepers: [Direction::Alpha, Direction::Beta].map(Sweeper::new),
            checkpoints: [Checkpoints::new(), Checkpoints::new()],
        }
    }
}

/// The minimum number of input elements that a thread processes at a time.
const MIN_CHUNK_FLOATS: usize = 8192;

/// The minimum number of state pairs of an item, over all frames, for which its two directions run
/// on two threads.
const MIN_PARALLEL_PAIRS: usize = 16_384;

impl CpuBackend {
    /// Creates a backend that keeps the workspaces of at most `capacity` calls.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            idle: Idle::new(capacity),
        }
    }

    /// Sets the maximum number of workspaces that are kept.
    pub(crate) fn keep_at_most(&self, capacity: usize) {
        self.idle.keep_at_most(capacity);
    }

    /// Returns the size of the kept workspaces in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.idle.sum(Workspace::bytes)
    }

    /// Computes the losses and, for [`Task::LossAndGrad`], the gradient.
    ///
    /// # Errors
    /// [`Error::Forked`] if a forked process cannot start threads.
    pub(crate) fn run(
        &self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        task: Task,
        output: &mut RawOutput,
    ) -> Result<(), Error> {
        let mut workspace = self.idle.take(|_| true).unwrap_or_default();
        on_threads(|| workspace.run(checked, options, task, output))?;
        self.idle.put(workspace);
        Ok(())
    }
}

impl Workspace {
    fn bytes(&self) -> usize {
        let items = self.items.iter().map(ItemData::bytes).sum::<usize>();
        let sweeps = locked(&self.sweep_workspaces);
        let sweeps = sweeps.iter().map(SweepWorkspace::bytes).sum::<usize>();
        items + sweeps + vec_bytes(&self.items) + vec_bytes(&self.stats) + vec_bytes(&self.scales)
    }

    fn run(
        &mut self,
        checked: &CheckedBatch<'_>,
        options: &Options,
        task: Task,
        output: &mut RawOutput,
    ) {
        let level = Level::new();
        let shape = *checked.shape();
        let totals = BatchTotals::new(checked, options.reduction);
        if self.items.len() < shape.items {
            self.items.resize_with(shape.items, ItemData::default);
        }
        let items = &mut self.items[..shape.items];
        let sweep_workspaces = &self.sweep_workspaces;
        let split = items.len() < rayon::current_num_threads();
        share(items.iter_mut().enumerate(), |(n, item)| {
            let mut workspace = locked(sweep_workspaces).pop().unwrap_or_default();
            dispatch!(level, simd => simd.vectorize(
                #[inline(always)]
                || sweep_item(simd, checked, options, &totals, task, split, n, item, &mut workspace)
            ));
            locked(sweep_workspaces).push(workspace);
        });
        let rows = shape.items * shape.frames;
        if self.stats.len() < rows {
            self.stats.resize(rows, RowStats::default());
        }
        let stats = &mut self.stats[..rows];
        let rows_per_chunk = MIN_CHUNK_FLOATS.div_ceil(shape.classes);
        let swept = &*items;
        let rows_of = |index: usize, stats: &mut [RowStats], grad: Option<&mut [f32]>| {
            dispatch!(level, simd => simd.vectorize(
                #[inline(always)]
                || grad::rows(simd, checked, options, swept, index * rows_per_chunk, stats, grad)
            ));
        };
        let stats_chunks = stats.chunks_mut(rows_per_chunk).enumerate();
        if task == Task::LossAndGrad {
            output.resize_grad(shape.elements());
            let grads = output.grad.chunks_mut(rows_per_chunk * shape.classes);
            share(stats_chunks.zip(grads), |((index, stats), grad)| {
                rows_of(index, stats, Some(grad));
            });
        } else {
            share(stats_chunks, |(index, stats)| rows_of(index, stats, None));
        }
        let stats = &*stats;
        self.scales.clear();
        let row = |n, t| shape.row(n, t) / shape.classes;
        let stride = row(0, 1);
        for (n, item) in items.iter_mut().enumerate() {
            let first = row(n, 0);
            let has_alignment = item.status == Status::Ok;
            let loss = dispatch!(level, simd => simd.vectorize(
                #[inline(always)]
                || join::loss(simd, item, options, |t| stats[first + t * stride])
            ));
            output.loss.push(loss);
            output.status.push(item.status);
            self.scales.push(item.scale);
            // `join::loss` may have changed the status after the gradient was written. Then the
            // gradient is overwritten.
            let value = match item.status {
                Status::NotFinite if item.scale != 0.0 => f32::NAN,
                Status::Impossible if has_alignment => 0.0,
                _ => continue,
            };
            if task == Task::LossAndGrad {
                for t in 0..item.frames {
                    let start = shape.row(n, t);
                    output.grad[start..start + shape.classes].fill(value);
                }
            }
        }
        if options.reduction != Reduction::None {
            output.reduced = Some(reduce(&self.scales, &output.loss));
        }
    }
}

/// Sweeps one item: computes its likelihood and, for the gradient, the occupancies of its classes.
/// Runs the two directions on two threads if `split` is true and the item is long.
#[inline(always)]
#[allow(
    clippy::too_many_arguments,
    reason = "the batch and its options, one item, and the workspace"
)]
fn sweep_item<S: Simd>(
    simd: S,
    checked: &CheckedBatch<'_>,
    options: &Options,
    totals: &BatchTotals,
    task: Task,
    split: bool,
    n: usize,
    item: &mut ItemData,
    workspace: &mut SweepWorkspace,
) {
    item.fill(checked, options, totals, n);
    let split = split && item.frames * item.pairs() >= MIN_PARALLEL_PAIRS;
    if item.status != Status::Ok {
        return;
    }
    let SweepWorkspace {
        index_of_class,
        emissions,
        sweepers: [alpha, beta],
        checkpoints: [alpha_checkpoints, beta_checkpoints],
    } = workspace;
    item_classes::index_classes(item, checked.blank, checked.shape().classes, index_of_class);
    emissions::compute(simd, checked, options, item, n, emissions);
    run_both(
        split,
        || {
            simd.vectorize(
                #[inline(always)]
                || alpha.sweep_inward(simd, item, emissions, alpha_checkpoints),
            )
        },
        || {
            simd.vectorize(
                #[inline(always)]
                || beta.sweep_inward(simd, item, emissions, beta_checkpoints),
            )
        },
    );
    join::join(simd, item, &alpha.latest_row(item), &beta.latest_row(item));
    if task == Task::Loss || item.status != Status::Ok || item.scale == 0.0 {
        return;
    }
    let mut occupancies = std::mem::take(&mut item.occupancies);
    occupancies.resize(item.frames * item.classes.len(), 0.0);
    let middle = index::steps_to_middle(Direction::Alpha, item.frames) * item.classes.len();
    let (first, second) = occupancies.split_at_mut(middle);
    run_both(
        split,
        || {
            simd.vectorize(
                #[inline(always)]
                || alpha.sweep_outward(simd, item, emissions, beta_checkpoints, second),
            )
        },
        || {
            simd.vectorize(
                #[inline(always)]
                || beta.sweep_outward(simd, item, emissions, alpha_checkpoints, first),
            )
        },
    );
    item.occupancies = occupancies;
}

/// Runs both directions, on two threads if `split` is true, which is faster if there are more
/// threads than items.
fn run_both(split: bool, alpha: impl FnOnce() + Send, beta: impl FnOnce() + Send) {
    if split {
        rayon::join(alpha, beta);
    } else {
        alpha();
        beta();
    }
}

/// Returns the factor of each item's loss in the reduced loss.
pub(crate) fn scales(checked: &CheckedBatch<'_>, reduction: Reduction) -> Vec<f32> {
    let totals = BatchTotals::new(checked, reduction);
    (0..checked.shape().items)
        .map(|n| totals.scale_of(checked.weight(n), checked.label_lengths[n]))
        .collect()
}

/// Returns the name of the vector instructions that [`CpuBackend::run`] uses on this machine.
pub(crate) fn simd_name() -> &'static str {
    let name = format!("{:?}", Level::new());
    ["Avx512", "Avx2", "Sse4_2", "Sse2", "Neon", "WasmSimd128"]
        .into_iter()
        .find(|known| name.contains(known))
        .unwrap_or("plain")
}
