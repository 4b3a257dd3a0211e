/* Tests forked processes: in a child each call succeeds or returns an error, and none waits for a
 * thread or a GPU that exists only in the parent. */

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

/* Enough work for all threads: several items, with enough frames to be split. A child may take
 * TIMEOUT seconds. */
enum { N = 8, T = 200, C = 20, L = 20, TIMEOUT = 120 };

static float logits[N * T * C], expected[N];
static int32_t labels[N * L], lengths[N];
static int gpu;

#define MUST(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #condition, \
                    ctcw_last_error()); \
            return 1; \
        } \
    } while (0)

static ctcw_result compute(const ctcw_context *context, float *loss)
{
    static _Thread_local float grad[N * T * C];
    ctcw_batch batch = {sizeof batch};
    batch.items = N, batch.frames = T, batch.classes = C;
    batch.logits = logits;
    batch.labels = labels, batch.label_count = N * L, batch.label_lengths = lengths;
    return ctcw_compute(context, &batch, NULL, loss, grad, NULL, NULL);
}

/* Checks that the losses have the same bits as those that the parent computed first. */
static int check_losses(const ctcw_context *context)
{
    float loss[N];
    MUST(compute(context, loss) == CTCW_OK);
    MUST(memcmp(loss, expected, sizeof loss) == 0);
    return 0;
}

static ctcw_result create(ctcw_context **context)
{
    return ctcw_create(gpu ? CTCW_BACKEND_GPU : CTCW_BACKEND_CPU, NULL, context);
}

/* Uses a context of the parent in the child. */
static int use_inherited(ctcw_context *context)
{
    float loss[N] = {42};
    MUST(ctcw_backend_name(context) != NULL && ctcw_is_gpu(context) == gpu);
    if (!gpu)
        return check_losses(context);
    MUST(compute(context, loss) == CTCW_FORKED && loss[0] == 42);
    MUST(strstr(ctcw_last_error(), "forked") != NULL);
    MUST(ctcw_set_cache_limits(context, 0, 0) == CTCW_OK);
    return 0;
}

/* Creates and uses a new context in the child. If threads of the parent were using a GPU (`busy`),
 * the creation may return CTCW_FORKED. */
static int use_own(int busy)
{
    ctcw_context *context = NULL;
    ctcw_result result = create(&context);
    if (busy && gpu && result == CTCW_FORKED)
        return 0;
    MUST(result == CTCW_OK);
    int failed = check_losses(context);
    ctcw_destroy(context);
    return failed;
}

/* Runs `child` in a forked process, which must end within TIMEOUT seconds. */
static int in_child(int (*child)(ctcw_context *), ctcw_context *context)
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        /* A signal ends a child that hangs. */
        alarm(TIMEOUT);
        /* Not exit(): there Mesa joins threads that exist only in the parent and crashes, and the
         * sanitizer counts leaks. */
        _exit(child(context));
    }
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) != pid)
        return 1;
    if (WIFSIGNALED(status))
        fprintf(stderr, "a child ended by signal %d\n", WTERMSIG(status));
    return status != 0;
}

static int use_and_destroy(ctcw_context *context)
{
    if (use_inherited(context) || use_inherited(context))
        return 1;
    ctcw_destroy(context);
    return 0;
}

static int destroy(ctcw_context *context)
{
    ctcw_destroy(context);
    return use_own(0);
}

static int create_own(ctcw_context *context)
{
    return use_own(0) || use_inherited(context);
}

/* Forks in the child, whose own context is then inherited by the grandchild. */
static int fork_again(ctcw_context *context)
{
    ctcw_context *mine = NULL;
    MUST(create(&mine) == CTCW_OK && check_losses(mine) == 0);
    MUST(in_child(use_and_destroy, mine) == 0);
    MUST(in_child(create_own, context) == 0);
    MUST(check_losses(mine) == 0);
    ctcw_destroy(mine);
    return 0;
}

#ifndef __SANITIZE_ADDRESS__
static atomic_int done;

static void *compute_until_done(void *context)
{
    while (!done)
        if (check_losses(context))
            return context;
    return NULL;
}

static int use_and_create_while_busy(ctcw_context *context)
{
    return use_inherited(context) || use_own(1);
}

/* Forks at arbitrary moments of other threads' calls. */
static int fork_while_busy(ctcw_context *context)
{
    pthread_t thread[3];
    int failed = 0;
    for (int i = 0; i < 3; ++i)
        MUST(pthread_create(&thread[i], NULL, compute_until_done, context) == 0);
    for (int i = 0; i < 10; ++i) {
        usleep(1000 * (unsigned)(i + 1));
        failed |= in_child(use_and_create_while_busy, context);
        failed |= in_child(use_and_destroy, context);
    }
    done = 1;
    for (int i = 0; i < 3; ++i) {
        void *result = context;
        failed |= pthread_join(thread[i], &result) != 0 || result != NULL;
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
    MUST(create(&context) == CTCW_OK);
    MUST(compute(context, expected) == CTCW_OK);
    MUST(in_child(use_and_destroy, context) == 0);
    MUST(in_child(destroy, context) == 0);
    MUST(in_child(create_own, context) == 0);
    MUST(in_child(fork_again, context) == 0);
#ifdef __SANITIZE_ADDRESS__
    /* gcc 12's AddressSanitizer leaves the locks of its allocator held in the child. */
    puts("forks of a busy process are not tested under AddressSanitizer");
#else
    MUST(fork_while_busy(context) == 0);
#endif
    /* The parent can continue to use its context. */
    MUST(check_losses(context) == 0);
    ctcw_destroy(context);
    puts("all checks passed");
    return 0;
}
