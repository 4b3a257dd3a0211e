/* The rules of the border, from the side of C: what is refused and how, what is left alone, and how structs grow. */

#include <ctc_wgpu.h>

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 2, T = 4, C = 3, L = 2 };

static int failures = 0;

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, ctcw_last_error()); \
            failures = 1; \
        } \
    } while (0)

/* Each on the heap and of exactly its size, so that valgrind and the sanitizer see a step too far. */
static struct {
    float *logits, *weights, *loss, *grad, *reduced;
    int32_t *labels, *label_lengths, *logit_lengths, *status;
} a;

static const int32_t LABELS[N * L] = {1, 2, 1, -1}, LABEL_LENGTHS[N] = {2, 1}, LOGIT_LENGTHS[N] = {4, 3};

static void *copy(const void *from, size_t bytes)
{
    void *to = malloc(bytes);
    if (to == NULL)
        abort();
    return from == NULL ? memset(to, 0, bytes) : memcpy(to, from, bytes);
}

static void fill(void)
{
    a.logits = copy(NULL, N * T * C * sizeof(float));
    a.weights = copy(NULL, N * sizeof(float));
    a.weights[0] = 1;
    a.weights[1] = 2;
    a.loss = copy(NULL, N * sizeof(float));
    a.grad = copy(NULL, N * T * C * sizeof(float));
    a.reduced = copy(NULL, sizeof(float));
    a.labels = copy(LABELS, sizeof LABELS);
    a.label_lengths = copy(LABEL_LENGTHS, sizeof LABEL_LENGTHS);
    a.logit_lengths = copy(LOGIT_LENGTHS, sizeof LOGIT_LENGTHS);
    a.status = copy(NULL, N * sizeof(int32_t));
}

static void drain(void)
{
    free(a.logits), free(a.weights), free(a.loss), free(a.grad), free(a.reduced);
    free(a.labels), free(a.label_lengths), free(a.logit_lengths), free(a.status);
}

static ctcw_batch good(void)
{
    ctcw_batch batch = {sizeof batch};
    batch.items = N, batch.frames = T, batch.classes = C;
    batch.logits = a.logits;
    batch.labels = a.labels, batch.label_count = N * L, batch.label_lengths = a.label_lengths;
    batch.logit_lengths = a.logit_lengths;
    return batch;
}

static int says(const char *text) { return strstr(ctcw_last_error(), text) != NULL; }

static int near(double x, double y) { return fabs(x - y) < 1e-5; }

static void answers(ctcw_context *context)
{
    ctcw_batch batch = good();
    ctcw_options options = {sizeof options};
    CHECK(ctcw_compute(context, &batch, NULL, a.loss, a.grad, a.status, NULL) == CTCW_OK);
    CHECK(near(a.loss[0], log(81.0 / 15)) && near(a.loss[1], log(27.0 / 6)));
    CHECK(a.status[0] == CTCW_STATUS_OK && a.status[1] == CTCW_STATUS_OK);
    /* A frame's gradient sums to 0; in the padding all of it is exactly 0. */
    for (int row = 0; row < N * T; ++row)
        CHECK(near(a.grad[row * C] + a.grad[row * C + 1] + a.grad[row * C + 2], 0));
    CHECK(a.grad[N * T * C - 1] == 0 && a.grad[1] != 0);

    /* Losses only are the same. */
    float before = a.loss[0];
    a.loss[0] = 0;
    CHECK(ctcw_compute(context, &batch, &options, a.loss, NULL, NULL, NULL) == CTCW_OK && a.loss[0] == before);

    /* Weights and a reduction. */
    batch.weights = a.weights;
    options.reduction = CTCW_REDUCTION_SUM;
    CHECK(ctcw_compute(context, &batch, &options, a.loss, a.grad, NULL, a.reduced) == CTCW_OK);
    CHECK(near(*a.reduced, log(81.0 / 15) + 2 * log(27.0 / 6)));

    /* The gradient in the logits' place. */
    CHECK(ctcw_compute(context, &batch, &options, a.loss, a.logits, NULL, NULL) == CTCW_OK);
    CHECK(memcmp(a.logits, a.grad, N * T * C * sizeof(float)) == 0);
    memset(a.logits, 0, N * T * C * sizeof(float));

    /* Concatenated labels, the blank last, time-major: all logits are equal, so the losses are too. */
    const int32_t concatenated[] = {0, 1, 0};
    batch.labels = concatenated, batch.label_count = 3;
    options = (ctcw_options){sizeof options};
    options.labels = CTCW_LABELS_CONCATENATED, options.layout = CTCW_LAYOUT_TIME_MAJOR, options.blank = -1;
    CHECK(ctcw_compute(context, &batch, &options, a.loss, a.grad, NULL, NULL) == CTCW_OK);
    CHECK(near(a.loss[0], log(81.0 / 15)) && near(a.loss[1], log(27.0 / 6)));

    /* What cannot be: two equal labels need three frames. */
    a.logit_lengths[0] = 2, a.labels[0] = a.labels[1] = 1;
    batch = good();
    CHECK(ctcw_compute(context, &batch, NULL, a.loss, a.grad, a.status, NULL) == CTCW_OK);
    CHECK(isinf(a.loss[0]) && a.grad[0] == 0 && a.status[0] == CTCW_STATUS_IMPOSSIBLE && near(a.loss[1], log(27.0 / 6)));
    options = (ctcw_options){sizeof options};
    options.impossible = CTCW_IMPOSSIBLE_ZERO;
    CHECK(ctcw_compute(context, &batch, &options, a.loss, a.grad, NULL, NULL) == CTCW_OK && a.loss[0] == 0);
    options.impossible = CTCW_IMPOSSIBLE_ERROR;
    CHECK(ctcw_compute(context, &batch, &options, a.loss, a.grad, NULL, NULL) == CTCW_IMPOSSIBLE && says("item 0"));
    memcpy(a.logit_lengths, LOGIT_LENGTHS, sizeof LOGIT_LENGTHS), memcpy(a.labels, LABELS, sizeof LABELS);

    /* Nothing at all is a batch, and needs no memory. */
    ctcw_batch none = {sizeof none};
    none.classes = 1;
    CHECK(ctcw_compute(context, &none, NULL, NULL, NULL, NULL, NULL) == CTCW_OK);

    uint64_t bytes = 0;
    CHECK(ctcw_workspace_bytes(context, N, T, C, L, NULL, 1, &bytes) == CTCW_OK && bytes > 0);
}

static void refusals(ctcw_context *context)
{
    ctcw_batch batch = good(), bad = batch;
    ctcw_options options = {sizeof options};
    uint64_t bytes;
    ctcw_context *none = context;
#define REFUSED(call, result, text) CHECK((call) == (result) && says(text))
#define COMPUTE(b, o) ctcw_compute(context, b, o, a.loss, a.grad, a.status, NULL)
    a.loss[0] = a.grad[0] = 42, a.status[0] = 42;
    REFUSED(ctcw_create(CTCW_BACKEND_CPU, NULL, NULL), CTCW_INVALID_ARGUMENT, "context is NULL");
    REFUSED(ctcw_create(17, NULL, &none), CTCW_INVALID_ARGUMENT, "backend = 17");
    REFUSED(ctcw_create(CTCW_BACKEND_CPU, "\xff", &none), CTCW_INVALID_ARGUMENT, "UTF-8");
    REFUSED(ctcw_compute(NULL, &batch, NULL, a.loss, NULL, NULL, NULL), CTCW_INVALID_ARGUMENT, "context is NULL");
    REFUSED(COMPUTE(NULL, NULL), CTCW_INVALID_ARGUMENT, "batch is NULL");
    REFUSED(ctcw_compute(context, &batch, NULL, NULL, NULL, NULL, NULL), CTCW_INVALID_ARGUMENT, "loss is NULL");
    REFUSED(ctcw_compute(context, &batch, NULL, a.loss, NULL, NULL, a.reduced), CTCW_INVALID_ARGUMENT, "no reduction");
    REFUSED(ctcw_workspace_bytes(context, N, T, C, L, NULL, 1, NULL), CTCW_INVALID_ARGUMENT, "bytes is NULL");
    REFUSED(ctcw_workspace_bytes(NULL, N, T, C, L, NULL, 1, &bytes), CTCW_INVALID_ARGUMENT, "context is NULL");
    if (ctcw_is_gpu(context)) {
        /* To look for an adapter is to load the drivers, which lose memory of their own. */
        REFUSED(ctcw_create(CTCW_BACKEND_GPU, "no such adapter", &none), CTCW_NO_GPU, "no such adapter");
        REFUSED(ctcw_workspace_bytes(context, N, T, 0, L, NULL, 1, &bytes), CTCW_LIMIT, "classes");
    }

#define BAD(field, value, result, text) \
    do { \
        bad = batch; \
        bad.field = value; \
        REFUSED(COMPUTE(&bad, NULL), result, text); \
    } while (0)
    BAD(logits, NULL, CTCW_INVALID_ARGUMENT, "logits is NULL");
    BAD(labels, NULL, CTCW_INVALID_ARGUMENT, "labels is NULL");
    BAD(label_lengths, NULL, CTCW_INVALID_ARGUMENT, "label_lengths is NULL");
    BAD(logits, (const float *)((const char *)a.logits + 1), CTCW_INVALID_ARGUMENT, "logits is not aligned");
    BAD(items, SIZE_MAX / 2, CTCW_INVALID_ARGUMENT, "memory");
    BAD(label_count, SIZE_MAX / 2, CTCW_INVALID_ARGUMENT, "memory");
    BAD(label_count, 3, CTCW_INVALID_BATCH, "multiple");
    BAD(classes, 0, CTCW_INVALID_BATCH, "classes");
    BAD(size, 0, CTCW_INVALID_ARGUMENT, "sizeof");
    BAD(size, SIZE_MAX, CTCW_INVALID_ARGUMENT, "sizeof");
    a.labels[2] = 3;
    REFUSED(COMPUTE(&batch, NULL), CTCW_INVALID_BATCH, "item 1: label 3 at position 0");
    a.labels[2] = 0;
    REFUSED(COMPUTE(&batch, NULL), CTCW_INVALID_BATCH, "is the blank");
    a.labels[2] = 1, a.label_lengths[1] = 3;
    REFUSED(COMPUTE(&batch, NULL), CTCW_INVALID_BATCH, "item 1: label length 3");
    a.label_lengths[1] = 1, a.logit_lengths[0] = -1;
    REFUSED(COMPUTE(&batch, NULL), CTCW_INVALID_BATCH, "item 0: logit length -1");
    a.logit_lengths[0] = T;

#define BAD_OPTION(field, value, result, text) \
    do { \
        options = (ctcw_options){sizeof options}; \
        options.field = value; \
        REFUSED(COMPUTE(&batch, &options), result, text); \
    } while (0)
    BAD_OPTION(blank, -2, CTCW_INVALID_ARGUMENT, "blank = -2");
    BAD_OPTION(blank, C, CTCW_INVALID_BATCH, "blank 3");
    BAD_OPTION(input, 4, CTCW_INVALID_ARGUMENT, "input = 4");
    BAD_OPTION(reduction, 6, CTCW_INVALID_ARGUMENT, "reduction = 6");
    BAD_OPTION(impossible, 3, CTCW_INVALID_ARGUMENT, "impossible = 3");
    BAD_OPTION(blank_in_labels, 2, CTCW_INVALID_ARGUMENT, "blank_in_labels = 2");
    BAD_OPTION(collapse_labels, 2, CTCW_INVALID_ARGUMENT, "collapse_labels = 2");
    BAD_OPTION(distinct_outputs, 2, CTCW_INVALID_ARGUMENT, "distinct_outputs = 2");
    BAD_OPTION(layout, 2, CTCW_INVALID_ARGUMENT, "layout = 2");
    BAD_OPTION(labels, 2, CTCW_INVALID_ARGUMENT, "labels = 2");
    /* Nothing was written by any of these. */
    CHECK(none == context);
    CHECK(a.loss[0] == 42 && a.grad[0] == 42 && a.status[0] == 42);
}

/* A program of an older and of a newer version of the header. */
static void growth(ctcw_context *context)
{
    ctcw_batch batch = good();
    /* There has been one version: no size below ends one, whether within a field or between two. */
    a.loss[0] = 42;
    for (size_t bytes = 0; bytes < sizeof(ctcw_options); ++bytes) {
        ctcw_options cut = {bytes};
        CHECK(ctcw_compute(context, &batch, &cut, a.loss, NULL, NULL, NULL) == CTCW_INVALID_ARGUMENT);
        CHECK(says("options: no version") && says("sizeof(ctcw_options)"));
        uint64_t needed;
        CHECK(ctcw_workspace_bytes(context, N, T, C, L, &cut, 1, &needed) == CTCW_INVALID_ARGUMENT);
    }
    for (size_t bytes = 0; bytes < sizeof(ctcw_batch); ++bytes) {
        ctcw_batch cut = good();
        cut.size = bytes;
        CHECK(ctcw_compute(context, &cut, NULL, a.loss, NULL, NULL, NULL) == CTCW_INVALID_ARGUMENT);
        CHECK(says("batch: no version") && says("sizeof(ctcw_batch)"));
    }
    CHECK(a.loss[0] == 42);

    struct {
        ctcw_options options;
        int64_t later;
    } newer = {{sizeof newer}, 0};
    CHECK(ctcw_compute(context, &batch, &newer.options, a.loss, NULL, NULL, NULL) == CTCW_OK);
    /* No struct ends within a word. */
    for (size_t bytes = sizeof(ctcw_options) + 1; bytes < sizeof newer; ++bytes) {
        newer.options.size = bytes;
        CHECK(ctcw_compute(context, &batch, &newer.options, a.loss, NULL, NULL, NULL) == CTCW_INVALID_ARGUMENT);
    }
    newer.options.size = sizeof newer;
    newer.later = 1;
    CHECK(ctcw_compute(context, &batch, &newer.options, a.loss, NULL, NULL, NULL) == CTCW_INVALID_ARGUMENT && says("does not know"));
}

/* Bounds on what is kept change no answer. */
static void caches(ctcw_context *context)
{
    CHECK(ctcw_set_cache_limits(NULL, 1, 1) == CTCW_INVALID_ARGUMENT && says("context is NULL"));
    for (size_t most = 0; most < 3; ++most) {
        CHECK(ctcw_set_cache_limits(context, most, most) == CTCW_OK);
        for (int round = 0; round < 3; ++round) {
            ctcw_batch batch = good();
            CHECK(ctcw_compute(context, &batch, NULL, a.loss, a.grad, NULL, NULL) == CTCW_OK);
            CHECK(near(a.loss[0], log(81.0 / 15)));
        }
    }
}

static void *computes(void *context)
{
    ctcw_batch batch = good();
    for (int round = 0; round < 20; ++round) {
        float loss[N], grad[N * T * C];
        if (ctcw_compute(context, &batch, NULL, loss, grad, NULL, NULL) != CTCW_OK || !near(loss[0], log(81.0 / 15)))
            return context;
    }
    /* This thread has had no error, whatever others had. */
    return ctcw_last_error()[0] == '\0' ? NULL : context;
}

static void threads(ctcw_context *context)
{
    pthread_t thread[4];
    for (int i = 0; i < 4; ++i)
        CHECK(pthread_create(&thread[i], NULL, computes, context) == 0);
    for (int i = 0; i < 4; ++i) {
        void *failed = context;
        CHECK(pthread_join(thread[i], &failed) == 0 && failed == NULL);
    }
}

int main(int argc, char **argv)
{
    int gpu = argc > 1 && strcmp(argv[1], "gpu") == 0;
    CHECK(ctcw_last_error()[0] == '\0');
    CHECK(strcmp(ctcw_version(), "0.1.0") == 0);
    for (int32_t result = -1; result <= 11; ++result)
        CHECK((strcmp(ctcw_result_string(result), "not a result of this library") == 0) == (result < 0 || result > 10));
    ctcw_destroy(NULL);
    CHECK(ctcw_backend_name(NULL) == NULL && ctcw_is_gpu(NULL) == 0);

    ctcw_context *context = NULL;
    CHECK(ctcw_create(gpu ? CTCW_BACKEND_GPU : CTCW_BACKEND_CPU, NULL, &context) == CTCW_OK);
    if (context == NULL)
        return 1;
    CHECK(ctcw_is_gpu(context) == gpu && strlen(ctcw_backend_name(context)) > 0);
    fill();
    answers(context);
    refusals(context);
    growth(context);
    caches(context);
    threads(context);
    drain();
    ctcw_destroy(context);
    puts(failures ? "failed" : "the rules hold");
    return failures;
}
