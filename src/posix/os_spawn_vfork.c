/* SPDX-License-Identifier: MIT */
/*
 * Executing a program by vfork(): Linux, FreeBSD. Its cost does not depend on
 * how much memory this process has, and its child reports what went wrong by
 * writing to that same memory.
 *
 * The child borrows our memory until exec: it makes system calls and nothing
 * else, with all signals blocked until no handler of ours is left.
 *
 * Valgrind and ThreadSanitizer make a fork of it: then the report does not
 * arrive, and a program that can't be executed looks like one that ended with
 * exit code 127.
 */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

enum { EXEC_FAILED = 127 };

#ifdef _SIG_MAXSIG
enum { SIGNALS_END = _SIG_MAXSIG }; /* FreeBSD's NSIG leaves out half */
#elif defined(NSIG)
enum { SIGNALS_END = NSIG };
#else
enum { SIGNALS_END = 65 };
#endif

typedef struct child_plan {
    const mpos_program *program;
    sigset_t mask;
    pid_t parent;
    bool parent_is_main_thread;
    const char *volatile call; /* out: what failed in the child, or NULL */
    volatile int cause;        /* out: its errno */
} child_plan;

/*
 * A signal that is handled has its default action after exec anyway; this is
 * for the moment between unblocking and exec. What is ignored stays so, which
 * nohup and a shell's & rely on; but for SIGCHLD: the child could not wait for
 * children of its own.
 */
static void reset_signals(void)
{
    struct sigaction fresh = {.sa_flags = 0};

    fresh.sa_handler = SIG_DFL;
    sigemptyset(&fresh.sa_mask);
    for (int number = 1; number < SIGNALS_END; number++) {
        struct sigaction present;
        bool is_kept;

        if (mpos_system_sigaction(number, NULL, &present) != 0)
            continue;
        is_kept = (present.sa_flags & SA_SIGINFO) == 0 &&
                  (present.sa_handler == SIG_DFL ||
                   (present.sa_handler == SIG_IGN && number != SIGCHLD));
        if (!is_kept)
            mpos_system_sigaction(number, &fresh, NULL);
    }
}

static int keep(int descriptor)
{
    return fcntl(descriptor, F_SETFD, 0) == 0 ? 0 : errno;
}

static int keep_handles(const mpos_program *program)
{
    int cause = 0;

    mpos_system_close_on_exec();
    for (size_t i = 0; cause == 0 && i < program->handle_count; i++)
        cause = keep((int)program->handles[i]);
    if (cause == 0 && program->inherited >= 0)
        cause = keep(program->inherited);
    return cause;
}

/* In the child; returns only if it failed. */
static int become(child_plan *plan)
{
    const mpos_program *program = plan->program;
    int cause = keep_handles(program);

    plan->call = "fcntl(F_SETFD)";
    if (cause != 0)
        return cause;
    plan->call = "dying with the parent";
    if (program->dies_with_parent)
        cause = mpos_system_die_with_parent(plan->parent,
                                            plan->parent_is_main_thread);
    if (cause != 0)
        return cause;
    plan->call = "execve";
    reset_signals();
    mpos_signals_restore(&plan->mask);
    if (program->descriptor >= 0)
        mpos_system_execute(program->descriptor, program->arguments,
                            program->environment);
    else
        execve(program->path, program->arguments, program->environment);
    return errno;
}

/* Nothing but this in the function that returns twice. */
__attribute__((__noinline__)) static pid_t vfork_and_become(child_plan *plan)
{
    pid_t pid = vfork();

    if (pid == 0) {
        plan->cause = become(plan);
        _exit(EXEC_FAILED);
    }
    return pid;
}

mp_error mpos_execute(pid_t *pid, const mpos_program *program)
{
    child_plan plan = {
        .program = program,
        .parent = getpid(),
        .parent_is_main_thread = mpos_system_is_main_thread(),
    };
    sigset_t before;
    pid_t child;
    int cancellation;
    int cause;

    mpos_signals_block(&before);
    plan.mask = before;
    mpos_signals_for_child(&plan.mask);
    /* The child passes cancellation points, and thinks that it is us. */
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancellation);
    child = vfork_and_become(&plan);
    cause = errno;
    pthread_setcancelstate(cancellation, NULL);
    mpos_signals_restore(&before);
    if (child < 0)
        return mpos_fail_errno("vfork", cause);
    if (plan.cause != 0) {
        mpos_end_unborn(child);
        return mpos_fail_errno(plan.call, plan.cause);
    }
    *pid = child;
    return MP_OK;
}
