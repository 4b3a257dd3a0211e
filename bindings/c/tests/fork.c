/* Forks: in a child each call works or is an error, and none waits for what stayed in the parent. */

#define _DEFAULT_SOURCE

#include <ctc_wgpu.h>

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Work enough for all threads: more items than cores, and frames enough to be split. */
enum { N = 8, T = 200, C = 20, L = 20, PATIENCE = 120 };

static float logits[N * T * C], expected[N];
static int32_t labels[N * L], lengths[N];
static int gpu;

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, ctcw_last_error()); \
            return 1; \
        } \
    } while (0)

static ctcw_result compute(const ctcw_context *context, float *loss)
{
    static _Thread_local float grad[N * T * C];
    ctcw_batch batch = {sizeof batch};
    batch.items = N, batch.frames = T, batch.classes = C;
    batch.logits = logits, batch.labels = labels, batch.label_count = N * L, batch.label_lengths = lengths;
    return ctcw_compute(context, &batch, NULL, loss, grad, NULL, NULL);
}

/* The losses that the parent had before; on a GPU exactly, for it is the same one. */
static int right(const ctcw_context *context)
{
    float loss[N];
    MUST(compute(context, loss) == CTCW_OK);
    MUST(memcmp(loss, expected, sizeof loss) == 0);
    return 0;
}

static ctcw_result make(ctcw_context **context)
{
    return ctcw_create(gpu ? CTCW_BACKEND_GPU : CTCW_BACKEND_CPU, NULL, context);
}

/* A context of the parent, in the child. */
static int inherited(ctcw_context *context)
{
    float loss[N] = {42};
    MUST(ctcw_backend_name(context) != NULL && ctcw_is_gpu(context) == gpu);
    if (!gpu)
        return right(context);
    MUST(compute(context, loss) == CTCW_FORKED && loss[0] == 42 && strstr(ctcw_last_error(), "forked") != NULL);
    MUST(ctcw_set_cache_limits(context, 0, 0) == CTCW_OK);
    return 0;
}

/* A context of the child's own. While the parent's threads compute, a GPU may be refused. */
static int own(int busy)
{
    ctcw_context *context = NULL;
    ctcw_result result = make(&context);
    if (busy && gpu && result == CTCW_FORKED)
        return 0;
    MUST(result == CTCW_OK);
    int failed = right(context);
    ctcw_destroy(context);
    return failed;
}

/* Runs `child` in a child, which must end in time. */
static int in_child(int (*child)(ctcw_context *), ctcw_context *context)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        /* Ends a child that hangs, by a signal. */
        alarm(PATIENCE);
        /* Not by exit, in which Mesa joins its threads that stayed in the parent and crashes, and leaks are counted. */
        _exit(child(context));
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    if (WIFSIGNALED(status))
        fprintf(stderr, "a child ended by signal %d\n", WTERMSIG(status));
    return status != 0;
}

static int uses_and_destroys(ctcw_context *context)
{
    if (inherited(context) || inherited(context))
        return 1;
    ctcw_destroy(context);
    return 0;
}

static int destroys(ctcw_context *context)
{
    ctcw_destroy(context);
    return own(0);
}

static int makes_its_own(ctcw_context *context) { return own(0) || inherited(context); }

/* The context of the child is a parent's in the grandchild. */
static int forks_again(ctcw_context *context)
{
    ctcw_context *mine = NULL;
    MUST(make(&mine) == CTCW_OK && right(mine) == 0);
    MUST(in_child(uses_and_destroys, mine) == 0);
    MUST(in_child(makes_its_own, context) == 0);
    MUST(right(mine) == 0);
    ctcw_destroy(mine);
    return 0;
}

#ifndef __SANITIZE_ADDRESS__
static atomic_int done;

static void *computes(void *context)
{
    while (!done)
        if (right(context))
            return context;
    return NULL;
}

static int uses_and_makes_while_busy(ctcw_context *context) { return inherited(context) || own(1); }

/* Forks at whatever moment of other threads' calls. */
static int while_others_compute(ctcw_context *context)
{
    pthread_t thread[3];
    int failed = 0;
    for (int i = 0; i < 3; ++i)
        MUST(pthread_create(&thread[i], NULL, computes, context) == 0);
    for (int round = 0; round < 10; ++round) {
        usleep(1000 * (unsigned)(round + 1));
        failed |= in_child(uses_and_makes_while_busy, context);
        failed |= in_child(uses_and_destroys, context);
    }
    done = 1;
    for (int i = 0; i < 3; ++i) {
        void *answer = context;
        failed |= pthread_join(thread[i], &answer) != 0 || answer != NULL;
    }
    return failed;
}
#endif

int main(int argc, char **argv)
{
    gpu = argc > 1 && strcmp(argv[1], "gpu") == 0;
    for (int i = 0; i < N * T * C; ++i)
        logits[i] = (float)(i * 7 % 13) / 5;
    for (int i = 0; i < N * L; ++i)
        labels[i] = 1 + i % (C - 1);
    for (int i = 0; i < N; ++i)
        lengths[i] = L - i;
    ctcw_context *context = NULL;
    MUST(make(&context) == CTCW_OK);
    MUST(compute(context, expected) == CTCW_OK);
    MUST(in_child(uses_and_destroys, context) == 0);
    MUST(in_child(destroys, context) == 0);
    MUST(in_child(makes_its_own, context) == 0);
    MUST(in_child(forks_again, context) == 0);
#ifdef __SANITIZE_ADDRESS__
    puts("without forks of a busy process: gcc 12's AddressSanitizer leaves its allocator's locks held in the child");
#else
    MUST(while_others_compute(context) == 0);
#endif
    /* The parent goes on as before. */
    MUST(right(context) == 0);
    ctcw_destroy(context);
    puts("no child waits");
    return 0;
}
