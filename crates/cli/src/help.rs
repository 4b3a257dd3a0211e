//! The sections below the options in each command's `--help`: input, output, exit status, examples.

/// The arrays of a batch file.
const ARRAYS: &str = "\
Input: BATCH.npz, a numpy archive. N items, T frames, C classes, at most Lmax labels per item:
  logits, log_probs or probs  [N, T, C], or [T, N, C] with --layout tnc; exactly one of the three;
                              float32 (float64 is rounded to float32)
  labels                      [N, Lmax] (padded) or [ΣL] (concatenated), integers
  label_lengths               [N], integers; default: Lmax; required if labels are concatenated
  logit_lengths               [N], integers: the number of valid frames of each item; default: T
  weights                     [N], float32 or float64: the factor of each item in the gradient and
                              in the reduced loss; default: 1
  blank                       one integer: the blank's class; default: 0
  loss_f64                    [N], float: expected losses, with which the command `ctc-wgpu loss`
                              compares its own; optional
  grad_f64                    the shape of the input, float: the expected gradient of the sum of
                              the losses, likewise compared by `ctc-wgpu loss`; optional
";

/// The exit statuses of a command that has nothing to check.
const EXIT_STATUS: &str = "\
Exit status:
  0  success
  1  the computation failed, or the output could not be written to stdout
  2  invalid options or input, a file that cannot be read or written, no matching adapter, or not
     enough memory for the batch
";

pub(crate) fn loss() -> String {
    format!(
        "{ARRAYS}
Output: RESULT.npz, with --out:
  loss     [N], float32
  grad     the shape of the input, float32; absent with --no-grad
  status   [N], uint32: 0 ok, 1 impossible, 2 not finite, 3 bad label, 4 bad length
  reduced  one float32; absent with --reduction none

{EXIT_STATUS}
Environment:
  CTC_WGPU_CACHE_DIR  the folder of compiled kernels, which Vulkan drivers can reuse; an empty value
                      disables the cache; default: ctc-wgpu in the user's cache folder

Example:
  ctc-wgpu loss batch.npz --blank last --reduction mean-batch --out result.npz"
    )
}

pub(crate) fn check() -> String {
    format!(
        "A backend passes if
  each loss is within 1e-6 of the reference, relative to max(1, |loss|);
  each gradient element is within 1e-5 of the reference, relative to max(1, |weight of the item|),
  or with probs to max(1, |weight of the item|, |element|);
  each item has the status of the reference.

{ARRAYS}
Exit status:
  0  every backend passes
  1  a backend fails, or the computation failed
  2  invalid options or input, or not enough memory for the batch

Example:
  ctc-wgpu check batch.npz --layout tnc"
    )
}

pub(crate) fn decode() -> String {
    format!(
        "{ARRAYS}
The labels are optional. If the file has them, they are compared with the decoded labels.

Output: one row per item, or with --top one row per hypothesis:
  decoded   the decoded labels, or in parentheses the status of an item that cannot be decoded
  log_prob  the natural logarithm of the probability of the most probable path; with --beam, of the
            probability of the decoded labels, summed over the paths that the beam kept
  labels    if the file has labels: the labels of the item
  errors    if the file has labels: the sum of substitutions, deletions and insertions in the first
            hypothesis; empty if it is 0

{EXIT_STATUS}
Examples:
  ctc-wgpu decode batch.npz --alphabet alphabet.txt
  ctc-wgpu decode batch.npz --beam 16 --top 3 --json"
    )
}

pub(crate) fn align() -> String {
    format!(
        "{ARRAYS}
Output: one table per item. Its heading contains log_prob, the natural logarithm of the probability
of the path. It has one row per label:
  first frame  the first frame of the label, counted from 0
  end frame    the first frame after the label
  probability  the mean probability of the label over its frames

{EXIT_STATUS}
Examples:
  ctc-wgpu align batch.npz --alphabet alphabet.txt
  ctc-wgpu align batch.npz --format ctm --frame 0.02
  ctc-wgpu align batch.npz --item 3 --plot alignment.svg"
    )
}

pub(crate) const VALIDATE: &str = "\
Each row of the table is one variant: a choice of kernels, a way of splitting a batch, or a way of
passing its buffers. The columns summarise all cases of the variant:
  cases           the number of cases that were run
  gradient error  the largest error of a gradient element, relative to max(1, |element|), and
                  divided by the largest weight of the batch if that is above 1; up to 1e-5 passes
  loss error      the largest error of a loss, relative to max(1, |loss|); up to 1e-6 passes
  determinism     whether repeated runs give the same bits and, where required, the bits of the
                  variant `as planned`
  time            the elapsed time, including that of the reference
  result          pass or FAIL; a variant without cases fails
The line `arithmetic` shows the measured precision of the driver's WGSL operations.

Variants:
  as planned               the kernels that the library selects for the device
  subgroups, barriers      neighbouring states exchanged by subgroup operations, or by workgroup
                           memory and barriers
  one pair per lane        one pair of a blank and a label in the registers of each lane, and the
                           probabilities of the classes read from a table; with `, barriers`, without
                           subgroup operations
  two (four) pairs         the same with two or four pairs, without subgroup operations
  per lane
  states in storage        alpha and beta in storage buffers, not in registers; with `, emission
                           table`, the probabilities of the classes read from a table
  checkpointed             items split into segments of frames, with checkpoints between them
  checkpointed in storage  the same, with states in storage
  gathered                 the input split into slices, and the entries of the labels copied
  batch tiles              the batch split into groups of items
  dispatch ranges          recursions and rows in many short dispatches, as on a slow GPU
  lowest limits            small workgroups, few workgroups per dispatch, little workgroup memory
  other order of row sums  on a GPU the order for software adapters, and vice versa
  caller's buffers         arrays within one buffer of the caller; also malformed labels and lengths
  trusted shaders          the same, without the runtime checks that wgpu adds to shaders
  gradient in place        the gradient written over the logits
  f16                      logits and gradient as 16-bit floats

Exit status:
  0  every case passes
  1  a case fails, or no device could be created on an adapter
  2  invalid options, no matching adapter, or a report that cannot be written

Examples:
  ctc-wgpu validate --quick
  ctc-wgpu validate --adapter NVIDIA --full --report report.html";

pub(crate) const BENCH: &str = "\
The batches are generated from fixed seeds. Results are checked, and no time is printed for a batch
with a wrong result. `GB/s` counts two reads of the logits and one write of the gradient, or one
read with --forward-only. `of copying` is that rate in per cent of the memory bandwidth, which is
measured first by copying a large buffer. On a GPU, rows of logits that are much wider than their
labels are read only once, so it can exceed 100 %.

Exit status:
  0  success
  1  a result is wrong, or the computation failed
  2  invalid options, or no matching adapter

Examples:
  ctc-wgpu bench --stages
  ctc-wgpu bench --backend cpu --threads 4 --shape 150,32,28,40";

pub(crate) const ADAPTERS: &str = "\
Columns:
  binding           the largest size of a storage buffer binding
  workgroup memory  the largest amount of memory that a workgroup can declare
  invocations       the largest number of invocations per workgroup
  subgroup          the subgroup size, or its smallest and largest value
  f16               whether shaders can use 16-bit floats

Exit status: 0, also if there is no adapter.";
