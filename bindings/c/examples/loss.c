/* Computes the losses and the gradient of two items. The README describes how to build it. */

#include <ctc_wgpu.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 2, T = 4, C = 3, L = 2 };

static int fail(const char *what, ctcw_result result)
{
    fprintf(stderr, "%s: %s: %s\n", what, ctcw_result_string(result), ctcw_last_error());
    return 1;
}

int main(int argc, char **argv)
{
    /* Usage: loss [cpu|gpu]. Default: the best GPU, or the CPU if no GPU is available. */
    int32_t backend = CTCW_BACKEND_AUTO;
    if (argc > 1)
        backend = strcmp(argv[1], "cpu") == 0 ? CTCW_BACKEND_CPU : CTCW_BACKEND_GPU;
    ctcw_context *context = NULL;
    ctcw_result result = ctcw_create(backend, NULL, &context);
    if (result != CTCW_OK)
        return fail("ctcw_create", result);
    printf("ctc-wgpu %s on %s\n", ctcw_version(), ctcw_backend_name(context));

    /* Equal logits: all classes are equally probable. Class 0 is the blank. */
    static const float logits[N * T * C] = {0};
    const int32_t labels[N * L] = {1, 2, /* item 1: */ 1, -1};
    const int32_t label_lengths[N] = {2, 1};
    const int32_t logit_lengths[N] = {4, 3};

    ctcw_batch batch = {sizeof batch};
    batch.items = N;
    batch.frames = T;
    batch.classes = C;
    batch.logits = logits;
    batch.labels = labels;
    batch.label_count = N * L;
    batch.label_lengths = label_lengths;
    batch.logit_lengths = logit_lengths;

    ctcw_options options = {sizeof options}; /* zero is the default of every other field */
    options.reduction = CTCW_REDUCTION_MEAN_BATCH;

    uint64_t bytes = 0;
    result = ctcw_workspace_bytes(context, &batch, L, &options, 1, &bytes);
    if (result != CTCW_OK)
        return fail("ctcw_workspace_bytes", result);
    printf("workspace %llu bytes\n", (unsigned long long)bytes);

    float loss[N], mean, grad[N * T * C];
    int32_t status[N];
    result = ctcw_compute(context, &batch, &options, loss, grad, status, &mean);
    if (result != CTCW_OK)
        return fail("ctcw_compute", result);

    /* Item 0 has 3^4 = 81 equally probable paths, of which 15 collapse to "1 2". The last frame of
     * item 1 is padding: 6 of its 3^3 = 27 paths collapse to "1". */
    const double expected[N] = {log(81.0 / 15.0), log(27.0 / 6.0)};
    int wrong = 0;
    for (int n = 0; n < N; ++n) {
        printf("item %d: loss %.6f, expected %.6f, status %d\n", n, loss[n], expected[n],
               (int)status[n]);
        wrong |= fabs(loss[n] - expected[n]) > 1e-5 || status[n] != CTCW_STATUS_OK;
    }
    wrong |= fabs(mean - (expected[0] + expected[1]) / 2) > 1e-5;
    for (int c = 0; c < C; ++c)
        wrong |= grad[(1 * T + 3) * C + c] != 0; /* the padding frame */

    /* The error message contains the item, the value and the rule. */
    const int32_t invalid_labels[N * L] = {1, 2, 7, -1};
    batch.labels = invalid_labels;
    result = ctcw_compute(context, &batch, &options, loss, NULL, NULL, NULL);
    printf("label 7: %s: %s\n", ctcw_result_string(result), ctcw_last_error());
    wrong |= result != CTCW_INVALID_BATCH;

    ctcw_destroy(context);
    return wrong;
}
