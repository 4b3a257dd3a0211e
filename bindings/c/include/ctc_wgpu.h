/* ctc-wgpu: CTC loss and its gradient, on the GPU through wgpu or on the CPU.
 *
 * Made by cbindgen from the crate ctc-wgpu-c: do not edit. SPDX-License-Identifier: MIT OR Apache-2.0
 *
 * A call answers with a `ctcw_result`; `ctcw_last_error` has the details. Threads may share a context. No call throws,
 * unwinds or exits. After fork(), a context of the parent computes in the child if it is on the CPU, and is refused with
 * CTCW_FORKED if it is on a GPU; either may be destroyed there, and new ones may be created: on a GPU not if a thread was
 * using it when the process was forked, which is CTCW_FORKED too, and such a child ends by _exit(): some drivers
 * crash in what they do at exit(). No call waits for what stayed in the parent. Numbers that the signatures take as int32_t are those of the enums that their texts name. */

#ifndef CTC_WGPU_H
#define CTC_WGPU_H

#include <stddef.h>
#include <stdint.h>

/*
 How a call went.
 */
enum ctcw_result
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   All is well.
   */
  CTCW_OK = 0,
  /*
   A pointer is NULL or not aligned, a size is not possible, or an option's number is not known.
   */
  CTCW_INVALID_ARGUMENT = 1,
  /*
   The batch breaks a rule: a label, a length, a weight.
   */
  CTCW_INVALID_BATCH = 2,
  /*
   An item has no alignment, and the options ask for an error then.
   */
  CTCW_IMPOSSIBLE = 3,
  /*
   No GPU was found.
   */
  CTCW_NO_GPU = 4,
  /*
   The batch does not fit the GPU's limits.
   */
  CTCW_LIMIT = 5,
  /*
   The GPU has no memory left.
   */
  CTCW_OUT_OF_MEMORY = 6,
  /*
   The GPU was lost. Destroy the context and create another.
   */
  CTCW_GPU_LOST = 7,
  /*
   The GPU's driver refused a call.
   */
  CTCW_GPU_REFUSED = 8,
  /*
   A bug of this library: it panicked. The context may be used on.
   */
  CTCW_BUG = 9,
  /*
   The process was forked, and the GPU stayed in the parent. Destroy the context, and create another or use the CPU.
   */
  CTCW_FORKED = 10,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ctcw_result ctcw_result;
#else
typedef int32_t ctcw_result;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 Where to compute.
 */
enum ctcw_backend
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   The best GPU, or the CPU where there is none.
   */
  CTCW_BACKEND_AUTO = 0,
  /*
   A GPU, or an error.
   */
  CTCW_BACKEND_GPU = 1,
  /*
   The CPU.
   */
  CTCW_BACKEND_CPU = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ctcw_backend ctcw_backend;
#else
typedef int32_t ctcw_backend;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 What became of an item.
 */
enum ctcw_status
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   All is well.
   */
  CTCW_STATUS_OK = 0,
  /*
   No alignment: too few frames, or a needed probability is 0, as which e^(-2^28) and less count.
   The gradient is 0.
   */
  CTCW_STATUS_IMPOSSIBLE = 1,
  /*
   A NaN or +inf in a frame that counts, or a frame of -inf only. Loss and gradient are NaN.
   */
  CTCW_STATUS_NOT_FINITE = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ctcw_status ctcw_status;
#else
typedef int32_t ctcw_status;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 What the logits hold, and with respect to what the gradient is taken.
 */
enum ctcw_input
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   Any scores; the softmax is taken inside.
   */
  CTCW_INPUT_LOGITS = 0,
  /*
   Log-probabilities, with PyTorch's gradient: right after a log-softmax.
   */
  CTCW_INPUT_LOG_PROBS = 1,
  /*
   Log-probabilities, with the true derivative.
   */
  CTCW_INPUT_LOG_PROBS_EXACT = 2,
  /*
   Probabilities, to each of which `epsilon` is added (Keras: 1e-7).
   */
  CTCW_INPUT_PROBS = 3,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ctcw_input ctcw_input;
#else
typedef int32_t ctcw_input;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 How the losses become one number, of which the gradient is taken. w is the item's weight, L its label length.
 */
enum ctcw_reduction
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   No number; the gradient is that of the sum of w * loss.
   */
  CTCW_REDUCTION_NONE = 0,
  /*
   The sum of w * loss.
   */
  CTCW_REDUCTION_SUM = 1,
  /*
   The sum of w * loss / N.
   */
  CTCW_REDUCTION_MEAN_BATCH = 2,
  /*
   The sum of w * loss / max(L, 1) / N, as PyTorch.
   */
  CTCW_REDUCTION_MEAN_LABEL = 3,
  /*
   The sum of w * loss over the number of labels.
   */
  CTCW_REDUCTION_MEAN_VOLUME = 4,
  /*
   The sum of w * loss over the sum of w.
   */
  CTCW_REDUCTION_MEAN_WEIGHTED = 5,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ctcw_reduction ctcw_reduction;
#else
typedef int32_t ctcw_reduction;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 What an item without an alignment is given.
 */
enum ctcw_impossible
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   Loss +inf, gradient 0.
   */
  CTCW_IMPOSSIBLE_INFINITY = 0,
  /*
   Loss 0, gradient 0: PyTorch's `zero_infinity`.
   */
  CTCW_IMPOSSIBLE_ZERO = 1,
  /*
   The call fails with `CTCW_IMPOSSIBLE`.
   */
  CTCW_IMPOSSIBLE_ERROR = 2,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ctcw_impossible ctcw_impossible;
#else
typedef int32_t ctcw_impossible;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 In which order the logits and the gradient lie.
 */
enum ctcw_layout
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   `[N, T, C]`
   */
  CTCW_LAYOUT_BATCH_MAJOR = 0,
  /*
   `[T, N, C]`, as PyTorch and warp-ctc have it.
   */
  CTCW_LAYOUT_TIME_MAJOR = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ctcw_layout ctcw_layout;
#else
typedef int32_t ctcw_layout;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 How the labels lie.
 */
enum ctcw_labels
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  /*
   `[N, Lmax]`; what stands past an item's length is never looked at.
   */
  CTCW_LABELS_PADDED = 0,
  /*
   One item's after the other's, as warp-ctc has them.
   */
  CTCW_LABELS_CONCATENATED = 1,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum ctcw_labels ctcw_labels;
#else
typedef int32_t ctcw_labels;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

/*
 A device, or the CPU backend, with its compiled kernels and its memory for shapes that come again. Threads may share it.
 */
typedef struct ctcw_context ctcw_context;

/*
 All choices of a loss. Zero is the default of each but `size`: `ctcw_options options = {sizeof options};`

 Later versions may append fields. A program and a library of different versions work together: what the program does not
 have is 0, and what the library does not know must be 0. A size at which no version ended is refused.
 */
typedef struct ctcw_options {
  /*
   `sizeof(ctcw_options)`
   */
  size_t size;
  /*
   The blank's class; -1 for the last.
   */
  int32_t blank;
  /*
   A `ctcw_input`.
   */
  int32_t input;
  /*
   For `CTCW_INPUT_PROBS`.
   */
  float epsilon;
  /*
   A `ctcw_reduction`.
   */
  int32_t reduction;
  /*
   A `ctcw_impossible`.
   */
  int32_t impossible;
  /*
   1: the blank may stand among the labels, as PyTorch has it. 0: that is an error.
   */
  int32_t blank_in_labels;
  /*
   1: equal neighbours among the labels are first made one.
   */
  int32_t collapse_labels;
  /*
   1: each output is a label of its own, and equal labels need no blank between them.
   */
  int32_t distinct_outputs;
  /*
   A `ctcw_layout`.
   */
  int32_t layout;
  /*
   A `ctcw_labels`.
   */
  int32_t labels;
} ctcw_options;

/*
 A batch in the host's memory. `ctcw_batch batch = {sizeof batch};`, then its fields.
 */
typedef struct ctcw_batch {
  /*
   `sizeof(ctcw_batch)`
   */
  size_t size;
  /*
   N
   */
  size_t items;
  /*
   T
   */
  size_t frames;
  /*
   C, the blank among them.
   */
  size_t classes;
  /*
   `[N, T, C]` or `[T, N, C]`: what the options' `input` says.
   */
  const float *logits;
  /*
   Padded or concatenated.
   */
  const int32_t *labels;
  /*
   How many numbers are at `labels`: N * Lmax, or those of all items together.
   */
  size_t label_count;
  /*
   `[N]`
   */
  const int32_t *label_lengths;
  /*
   `[N]`, or NULL: all frames count.
   */
  const int32_t *logit_lengths;
  /*
   `[N]`, or NULL: each is 1.
   */
  const float *weights;
} ctcw_batch;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/*
 The version of the library, as "0.1.0". Never NULL.
 */
const char *ctcw_version(void);

/*
 What a result means in general, in English. Never NULL. `ctcw_last_error` tells what was wrong in particular.
 */
const char *ctcw_result_string(int32_t result);

/*
 What went wrong in the latest call of this thread that failed, in English: item, value and rule. Never NULL; empty if
 nothing has. It holds until the thread's next call that fails.
 */
const char *ctcw_last_error(void);

/*
 Opens a context and puts it at `context`; `ctcw_destroy` frees it.

 `backend` is a `ctcw_backend`. `adapter` is NULL, or a part of the name of the GPU that is wanted, whatever its case;
 the CPU backend has no use for it.

 # Safety
 `adapter`, if not NULL, ends with a zero byte. `context` may be written.
 */
ctcw_result ctcw_create(int32_t backend,
                        const char *adapter,
                        struct ctcw_context **context);

/*
 Frees a context. NULL is fine.

 # Safety
 `context` is NULL, or comes from `ctcw_create`, was not destroyed before, and no thread uses it any more.
 */
void ctcw_destroy(struct ctcw_context *context);

/*
 Bounds what the context keeps for later batches, from now on. What is beyond the bound goes at once, the least recently
 used first.

 - `pipelines`: compiled kernels, 128 by default, about 0.3 MiB each on a software driver. Of the CPU there are none.
 - `sessions`: buffers and workspaces, one for each recent shape and for each call at the same time; on the CPU the tables
   of a call. 4 by default.

 # Safety
 `context` is NULL or a living context.
 */
ctcw_result ctcw_set_cache_limits(const struct ctcw_context *context,
                                  size_t pipelines,
                                  size_t sessions);

/*
 Where the context computes: the GPU with its driver, or the CPU backend with its instructions. NULL for NULL; else it holds
 until the context is destroyed.

 # Safety
 `context` is NULL or a living context.
 */
const char *ctcw_backend_name(const struct ctcw_context *context);

/*
 Whether the context computes on a GPU: 1 or 0, and 0 for NULL.

 # Safety
 `context` is NULL or a living context.
 */
int32_t ctcw_is_gpu(const struct ctcw_context *context);

/*
 The workspace of a batch of N = `items`, T = `frames`, C = `classes` and at most `max_labels` labels an item, in bytes
 at `bytes`. The library allocates it, the caller need not.

 On a GPU this is exact, and known before anything runs: device memory beside the arrays themselves. The tables of the CPU
 twin depend on the lengths: there it is what the context keeps from its calls so far, whatever the shape.

 `options` may be NULL: the defaults. `with_grad` is 0 for losses only.

 # Safety
 `context` is NULL or a living context; `options` is NULL or points to `options->size` bytes; `bytes` may be written.
 */
ctcw_result ctcw_workspace_bytes(const struct ctcw_context *context,
                                 size_t items,
                                 size_t frames,
                                 size_t classes,
                                 size_t max_labels,
                                 const struct ctcw_options *options,
                                 int32_t with_grad,
                                 uint64_t *bytes);

/*
 The losses of a batch and, where `grad` is not NULL, their gradient. It returns when they are there.

 - `options` may be NULL: the defaults.
 - `loss` is `[N]`, in nats.
 - `grad` is NULL, or has the shape and layout of the logits; every element is written. It may be the logits' own
   memory. Without it the call takes about half the work.
 - `status` is NULL, or `[N]`: a `ctcw_status` each.
 - `reduced` is NULL, or one number: what the options' reduction makes of the losses.

 A call that fails writes nothing.

 # Safety
 `context` is NULL or a living context. `batch` and `options` are NULL or point to as many bytes as their `size` says.
 The arrays of `batch` have the elements that its numbers say, and nobody writes them during the call. The outputs, where
 not NULL, may be written in the lengths above, and overlap neither each other nor, but for `grad` on the logits, an array
 of `batch`.
 */
ctcw_result ctcw_compute(const struct ctcw_context *context,
                         const struct ctcw_batch *batch,
                         const struct ctcw_options *options,
                         float *loss,
                         float *grad,
                         int32_t *status,
                         float *reduced);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* CTC_WGPU_H */
