/* Tests the rules of the C ABI: which arguments are errors and with which message, that a call that
 * fails writes nothing, and how structs of other versions are read. */

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
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, \
                    ctcw_last_error()); \
            failures = 1; \
        } \
    } while (0)

/* Checks a call that fails: its result, and a part of its message. */
#define FAILS(call, result, text) CHECK((call) == (result) && error_contains(text))

#define COMPUTE(b, o) ctcw_compute(context, b, o, a.loss, a.grad, a.status, NULL)
#define WORKSPACE(c, b, o, bytes) ctcw_workspace_bytes(c, b, L, o, 1, bytes)

/* Each array is allocated with exactly its size, so that valgrind and AddressSanitizer detect an
 * access beyond its end. */
static struct {
    float *logits, *weights, *loss, *grad, *reduced;
    int32_t *labels, *label_lengths, *logit_lengths, *status;
} a;

static const int32_t LABELS[N * L] = {1, 2, 1, -1};
static const int32_t LABEL_LENGTHS[N] = {2, 1}, LOGIT_LENGTHS[N] = {4, 3};

static void *copy(const void *from, size_t bytes)
{
    void *to = malloc(bytes);
    if (to == NULL)
        abort();
    return from == NULL ? memset(to, 0, bytes) : memcpy(to, from, bytes);
}

static void allocate_arrays(void)
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

static void free_arrays(void)
{
    free(a.logits), free(a.weights), free(a.loss), free(a.grad), free(a.reduced);
    free(a.labels), free(a.label_lengths), free(a.logit_lengths), free(a.status);
}

static ctcw_batch valid_batch(void)
{
    ctcw_batch batch = {sizeof batch};
    batch.items = N, batch.frames = T, batch.classes = C;
    batch.logits = a.logits;
    batch.labels = a.labels, batch.label_count = N * L, batch.label_lengths = a.label_lengths;
    batch.logit_lengths = a.logit_lengths;
    return batch;
}

static int error_contains(const char *text)
{
    return strstr(ctcw_last_error(), text) != NULL;
}

static int near(double x, double y) { return fabs(x - y) < 1e-5; }

static void test_results(ctcw_context *context)
{
    ctcw_batch batch = valid_batch();
    ctcw_options options = {sizeof options};
    CHECK(COMPUTE(&batch, NULL) == CTCW_OK);
    CHECK(near(a.loss[0], log(81.0 / 15)) && near(a.loss[1], log(27.0 / 6)));
    CHECK(a.status[0] == CTCW_STATUS_OK && a.status[1] == CTCW_STATUS_OK);
    /* The gradient of a frame sums to 0; in the padding every element is exactly 0. */
    for (int row = 0; row < N * T; ++row)
        CHECK(near(a.grad[row * C] + a.grad[row * C + 1] + a.grad[row * C + 2], 0));
    CHECK(a.grad[N * T * C - 1] == 0 && a.grad[1] != 0);

    /* Without a gradient the losses are the same. */
    float before = a.loss[0];
    a.loss[0] = 0;
    CHECK(ctcw_compute(context, &batch, &options, a.loss, NULL, NULL, NULL) == CTCW_OK);
    CHECK(a.loss[0] == before);

    /* Weights and a reduction */
    batch.weights = a.weights;
    options.reduction = CTCW_REDUCTION_SUM;
    CHECK(ctcw_compute(context, &batch, &options, a.loss, a.grad, NULL, a.reduced) == CTCW_OK);
    CHECK(near(*a.reduced, log(81.0 / 15) + 2 * log(27.0 / 6)));

    /* The gradient in the memory of the logits */
    CHECK(ctcw_compute(context, &batch, &options, a.loss, a.logits, NULL, NULL) == CTCW_OK);
    CHECK(memcmp(a.logits, a.grad, N * T * C * sizeof(float)) == 0);
    memset(a.logits, 0, N * T * C * sizeof(float));

    /* Concatenated labels, time-major logits and the last class as the blank: all logits are equal,
     * so the losses do not change. */
    const int32_t concatenated[] = {0, 1, 0};
    batch.labels = concatenated, batch.label_count = 3;
    batch.layout = CTCW_LAYOUT_TIME_MAJOR, batch.label_layout = CTCW_LABELS_CONCATENATED;
    options = (ctcw_options){sizeof options};
    options.blank = -1;
    CHECK(ctcw_compute(context, &batch, &options, a.loss, a.grad, NULL, NULL) == CTCW_OK);
    CHECK(near(a.loss[0], log(81.0 / 15)) && near(a.loss[1], log(27.0 / 6)));

    /* No valid alignment: two equal labels need three frames. */
    a.logit_lengths[0] = 2, a.labels[0] = a.labels[1] = 1;
    batch = valid_batch();
    CHECK(COMPUTE(&batch, NULL) == CTCW_OK);
    CHECK(isinf(a.loss[0]) && a.grad[0] == 0 && a.status[0] == CTCW_STATUS_IMPOSSIBLE);
    CHECK(near(a.loss[1], log(27.0 / 6)));
    options = (ctcw_options){sizeof options};
    options.impossible = CTCW_IMPOSSIBLE_ZERO;
    CHECK(ctcw_compute(context, &batch, &options, a.loss, a.grad, NULL, NULL) == CTCW_OK);
    CHECK(a.loss[0] == 0);
    options.impossible = CTCW_IMPOSSIBLE_ERROR;
    FAILS(COMPUTE(&batch, &options), CTCW_IMPOSSIBLE, "item 0");
    memcpy(a.logit_lengths, LOGIT_LENGTHS, sizeof LOGIT_LENGTHS);
    memcpy(a.labels, LABELS, sizeof LABELS);

    /* An empty batch is valid and needs no arrays. */
    ctcw_batch empty = {sizeof empty};
    empty.classes = 1;
    CHECK(ctcw_compute(context, &empty, NULL, NULL, NULL, NULL, NULL) == CTCW_OK);

    /* For the workspace only the shape of the batch is read. */
    uint64_t bytes = 0, bytes_without_arrays = 0;
    CHECK(WORKSPACE(context, &batch, NULL, &bytes) == CTCW_OK && bytes > 0);
    batch.logits = NULL, batch.labels = NULL, batch.label_lengths = NULL;
    CHECK(WORKSPACE(context, &batch, NULL, &bytes_without_arrays) == CTCW_OK);
    CHECK(bytes_without_arrays == bytes);
}

static void test_errors(ctcw_context *context)
{
    ctcw_batch batch = valid_batch(), invalid = batch;
    ctcw_options options = {sizeof options};
    uint64_t bytes;
    ctcw_context *unchanged = context;
    a.loss[0] = a.grad[0] = 42, a.status[0] = 42;
    FAILS(ctcw_create(CTCW_BACKEND_CPU, NULL, NULL), CTCW_INVALID_ARGUMENT, "context is NULL");
    FAILS(ctcw_create(17, NULL, &unchanged), CTCW_INVALID_ARGUMENT, "backend = 17");
    FAILS(ctcw_create(CTCW_BACKEND_CPU, "\xff", &unchanged), CTCW_INVALID_ARGUMENT, "UTF-8");
    FAILS(ctcw_compute(NULL, &batch, NULL, a.loss, NULL, NULL, NULL), CTCW_INVALID_ARGUMENT,
          "context is NULL");
    FAILS(COMPUTE(NULL, NULL), CTCW_INVALID_ARGUMENT, "batch is NULL");
    FAILS(ctcw_compute(context, &batch, NULL, NULL, NULL, NULL, NULL), CTCW_INVALID_ARGUMENT,
          "loss is NULL");
    FAILS(ctcw_compute(context, &batch, NULL, a.loss, NULL, NULL, a.reduced), CTCW_INVALID_ARGUMENT,
          "no reduction");
    FAILS(WORKSPACE(context, &batch, NULL, NULL), CTCW_INVALID_ARGUMENT, "bytes is NULL");
    FAILS(WORKSPACE(context, NULL, NULL, &bytes), CTCW_INVALID_ARGUMENT, "batch is NULL");
    FAILS(WORKSPACE(NULL, &batch, NULL, &bytes), CTCW_INVALID_ARGUMENT, "context is NULL");
    if (ctcw_is_gpu(context)) {
        /* Only on a GPU, because searching for an adapter loads the drivers, which leak memory. */
        const char *adapter = "no such adapter";
        FAILS(ctcw_create(CTCW_BACKEND_GPU, adapter, &unchanged), CTCW_NO_GPU, adapter);
        invalid.classes = 0;
        FAILS(WORKSPACE(context, &invalid, NULL, &bytes), CTCW_LIMIT, "classes");
    }

#define INVALID(field, value, result, text) \
    do { \
        invalid = batch; \
        invalid.field = value; \
        FAILS(COMPUTE(&invalid, NULL), result, text); \
    } while (0)
    const float *misaligned = (const float *)((const char *)a.logits + 1);
    INVALID(logits, NULL, CTCW_INVALID_ARGUMENT, "logits is NULL");
    INVALID(labels, NULL, CTCW_INVALID_ARGUMENT, "labels is NULL");
    INVALID(label_lengths, NULL, CTCW_INVALID_ARGUMENT, "label_lengths is NULL");
    INVALID(logits, misaligned, CTCW_INVALID_ARGUMENT, "logits is not aligned");
    INVALID(items, SIZE_MAX / 2, CTCW_INVALID_ARGUMENT, "memory");
    INVALID(label_count, SIZE_MAX / 2, CTCW_INVALID_ARGUMENT, "memory");
    INVALID(layout, 2, CTCW_INVALID_ARGUMENT, "layout = 2");
    INVALID(label_layout, 2, CTCW_INVALID_ARGUMENT, "label_layout = 2");
    INVALID(label_count, 3, CTCW_INVALID_BATCH, "multiple");
    INVALID(classes, 0, CTCW_INVALID_BATCH, "classes");
    INVALID(size, 0, CTCW_INVALID_ARGUMENT, "sizeof");
    INVALID(size, SIZE_MAX, CTCW_INVALID_ARGUMENT, "sizeof");
    a.labels[2] = 3;
    FAILS(COMPUTE(&batch, NULL), CTCW_INVALID_BATCH, "item 1: label 3 at position 0");
    a.labels[2] = 0;
    FAILS(COMPUTE(&batch, NULL), CTCW_INVALID_BATCH, "is the blank");
    a.labels[2] = 1, a.label_lengths[1] = 3;
    FAILS(COMPUTE(&batch, NULL), CTCW_INVALID_BATCH, "item 1: label length 3");
    a.label_lengths[1] = 1, a.logit_lengths[0] = -1;
    FAILS(COMPUTE(&batch, NULL), CTCW_INVALID_BATCH, "item 0: logit length -1");
    a.logit_lengths[0] = T;

#define INVALID_OPTION(field, value, result, text) \
    do { \
        options = (ctcw_options){sizeof options}; \
        options.field = value; \
        FAILS(COMPUTE(&batch, &options), result, text); \
    } while (0)
    INVALID_OPTION(blank, -2, CTCW_INVALID_ARGUMENT, "blank = -2");
    INVALID_OPTION(blank, C, CTCW_INVALID_BATCH, "blank 3");
    INVALID_OPTION(input, 4, CTCW_INVALID_ARGUMENT, "input = 4");
    INVALID_OPTION(reduction, 6, CTCW_INVALID_ARGUMENT, "reduction = 6");
    INVALID_OPTION(impossible, 3, CTCW_INVALID_ARGUMENT, "impossible = 3");
    INVALID_OPTION(blank_in_labels, 2, CTCW_INVALID_ARGUMENT, "blank_in_labels = 2");
    INVALID_OPTION(collapse_labels, 2, CTCW_INVALID_ARGUMENT, "collapse_labels = 2");
    INVALID_OPTION(distinct_outputs, 2, CTCW_INVALID_ARGUMENT, "distinct_outputs = 2");
    /* None of these calls wrote anything. */
    CHECK(unchanged == context);
    CHECK(a.loss[0] == 42 && a.grad[0] == 42 && a.status[0] == 42);
}

/* Programs that were compiled with an older or a newer version of the header */
static void test_struct_versions(ctcw_context *context)
{
    ctcw_batch batch = valid_batch();
    uint64_t needed;
    /* There has been one version, so every smaller size is an error, whether it ends within a field
     * or between two. */
    a.loss[0] = 42;
    for (size_t bytes = 0; bytes < sizeof(ctcw_options); ++bytes) {
        ctcw_options truncated = {bytes};
        FAILS(COMPUTE(&batch, &truncated), CTCW_INVALID_ARGUMENT, "options: size = ");
        CHECK(error_contains("not the size of any version"));
        CHECK(error_contains("sizeof(ctcw_options)"));
        CHECK(WORKSPACE(context, &batch, &truncated, &needed) == CTCW_INVALID_ARGUMENT);
    }
    for (size_t bytes = 0; bytes < sizeof(ctcw_batch); ++bytes) {
        ctcw_batch truncated = valid_batch();
        truncated.size = bytes;
        FAILS(COMPUTE(&truncated, NULL), CTCW_INVALID_ARGUMENT, "batch: size = ");
        CHECK(error_contains("not the size of any version"));
        CHECK(error_contains("sizeof(ctcw_batch)"));
        CHECK(WORKSPACE(context, &truncated, NULL, &needed) == CTCW_INVALID_ARGUMENT);
    }
    CHECK(a.loss[0] == 42);

    struct {
        ctcw_options options;
        int64_t later;
    } newer = {{sizeof newer}, 0};
    CHECK(COMPUTE(&batch, &newer.options) == CTCW_OK);
    /* No version has a size that ends within a word. */
    for (size_t bytes = sizeof(ctcw_options) + 1; bytes < sizeof newer; ++bytes) {
        newer.options.size = bytes;
        CHECK(COMPUTE(&batch, &newer.options) == CTCW_INVALID_ARGUMENT);
    }
    newer.options.size = sizeof newer;
    newer.later = 1;
    FAILS(COMPUTE(&batch, &newer.options), CTCW_INVALID_ARGUMENT, "does not support");
}

/* Cache limits do not change the results. */
static void test_cache_limits(ctcw_context *context)
{
    FAILS(ctcw_set_cache_limits(NULL, 1, 1), CTCW_INVALID_ARGUMENT, "context is NULL");
    for (size_t limit = 0; limit < 3; ++limit) {
        CHECK(ctcw_set_cache_limits(context, limit, limit) == CTCW_OK);
        for (int call = 0; call < 3; ++call) {
            ctcw_batch batch = valid_batch();
            CHECK(ctcw_compute(context, &batch, NULL, a.loss, a.grad, NULL, NULL) == CTCW_OK);
            CHECK(near(a.loss[0], log(81.0 / 15)));
        }
    }
}

/* Returns NULL if every call succeeds. */
static void *compute_repeatedly(void *context)
{
    ctcw_batch batch = valid_batch();
    for (int call = 0; call < 20; ++call) {
        float loss[N], grad[N * T * C];
        if (ctcw_compute(context, &batch, NULL, loss, grad, NULL, NULL) != CTCW_OK)
            return context;
        if (!near(loss[0], log(81.0 / 15)))
            return context;
    }
    /* No call of this thread has failed; the errors of other threads are not visible here. */
    return ctcw_last_error()[0] == '\0' ? NULL : context;
}

static void test_threads(ctcw_context *context)
{
    pthread_t thread[4];
    for (int i = 0; i < 4; ++i)
        CHECK(pthread_create(&thread[i], NULL, compute_repeatedly, context) == 0);
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
    for (int32_t result = -1; result <= 11; ++result) {
        int unknown = strcmp(ctcw_result_string(result), "unknown result code") == 0;
        CHECK(unknown == (result < 0 || result > 10));
    }
    ctcw_destroy(NULL);
    CHECK(ctcw_backend_name(NULL) == NULL && ctcw_is_gpu(NULL) == 0);

    ctcw_context *context = NULL;
    CHECK(ctcw_create(gpu ? CTCW_BACKEND_GPU : CTCW_BACKEND_CPU, NULL, &context) == CTCW_OK);
    if (context == NULL)
        return 1;
    CHECK(ctcw_is_gpu(context) == gpu && strlen(ctcw_backend_name(context)) > 0);
    allocate_arrays();
    test_results(context);
    test_errors(context);
    test_struct_versions(context);
    test_cache_limits(context);
    test_threads(context);
    free_arrays();
    ctcw_destroy(context);
    puts(failures ? "failed" : "all checks passed");
    return failures;
}
