/* SPDX-License-Identifier: MIT */
/* What can be done with a process that exists, and with our own end. */
#include "os_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MILLISECOND = 1000000 };

void mpos_end_unborn(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static mp_error check_start_time(int64_t pid, uint64_t expected,
                                 uint64_t *found)
{
    mp_error error = mpos_start_time(pid, found);

    if (error == MP_ENOTSUP && expected == 0) {
        *found = 0;
        return MP_OK;
    }
    if (error == MP_OK && expected != 0 && *found != expected)
        return mpi_fail(MP_ENOTFOUND,
                        "process %lld has ended; another has its number",
                        (long long)pid);
    return error;
}

mp_error mpos_attach(mpos_process *out, int64_t pid, uint64_t start_time)
{
    uint64_t found = 0;
    int sentinel = -1;
    mp_error error;

    if (pid <= 0 || pid > INT_MAX)
        return mpi_fail(MP_ENOTFOUND, "%lld is no process", (long long)pid);
    /* Also who has no descriptor left is told. */
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        return mpos_fail_errno("kill", ESRCH);
    error = mpos_sentinel_attach(&sentinel, (pid_t)pid);
    if (error != MP_OK)
        return error;
    /* Only now: from here on the sentinel means the process we look at. */
    error = check_start_time(pid, start_time, &found);
    if (error != MP_OK) {
        mpos_sentinel_close(sentinel);
        return error;
    }
    out->pid = pid;
    out->sentinel = sentinel;
    out->start_time = found;
    out->is_child = false;
    return MP_OK;
}

static mp_error fail_gone(const mpos_process *process)
{
    return mpi_fail(MP_ENOTFOUND, "process %lld has ended, its exit code %s",
                    (long long)process->pid,
                    process->is_child ? "was collected by somebody else"
                                      : "is for its parent only");
}

/* MP_PENDING: ended, but the system does not hand it over yet. */
static mp_error collect(mpos_process *process, int *code)
{
    int status = 0;
    pid_t pid = mpos_sentinel_collect(process, &status);

    if (pid == 0 || (pid < 0 && errno == EINTR))
        return MP_PENDING;
    if (pid < 0 && errno == ECHILD)
        return fail_gone(process);
    if (pid < 0)
        return mpos_fail_errno("waitpid", errno);
    *code = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
    return MP_OK;
}

mp_error mpos_reap(mpos_process *process, int64_t deadline, int *code)
{
    mpos_wait_item item = {process->sentinel, MPOS_WAIT_PROCESS, false};
    mp_error error = mpos_wait(&item, 1, deadline);

    if (error != MP_OK)
        return error;
    if (!process->is_child)
        return fail_gone(process);
    for (;;) {
        int64_t now;

        error = collect(process, code);
        if (error != MP_PENDING)
            return error;
        /* A debugger that traces it is told first, and may take its time. */
        now = mpos_now();
        if (now >= deadline)
            return MP_TIMED_OUT;
        mpos_sleep_until(now + MILLISECOND);
    }
}

mp_error mpos_look(const mpos_process *process, int *code)
{
    siginfo_t info = {.si_pid = 0};
    int result;

    do {
        result = waitid(P_PID, (id_t)process->pid, &info,
                        WEXITED | WNOHANG | WNOWAIT);
    } while (result != 0 && errno == EINTR);
    if (result != 0 && errno == ECHILD)
        return fail_gone(process);
    if (result != 0)
        return mpos_fail_errno("waitid", errno);
    if (info.si_pid == 0)
        return MP_PENDING;
    *code = info.si_code == CLD_EXITED ? info.si_status : -info.si_status;
    return MP_OK;
}

mp_error mpos_send_signal(mpos_process *process, mpos_signal signal)
{
    static const int numbers[] = {
        [MPOS_TERMINATE] = SIGTERM, [MPOS_KILL] = SIGKILL,
        [MPOS_INTERRUPT] = SIGINT,  [MPOS_SUSPEND] = SIGSTOP,
        [MPOS_RESUME] = SIGCONT,
    };

    if (mpos_sentinel_kill(process, numbers[signal]) == 0 || errno == ESRCH)
        return MP_OK;
    return mpos_fail_errno("kill", errno);
}

void mpos_process_close(mpos_process *process)
{
    if (process->pid == 0)
        return;
    mpos_sentinel_close((int)process->sentinel);
    memset(process, 0, sizeof(*process));
    process->sentinel = MPOS_NONE;
}

void mpos_ignore_interrupts(bool is_ignored)
{
    static struct sigaction before;
    static bool is_remembered;
    struct sigaction action = {.sa_flags = 0};

    if (is_ignored == is_remembered)
        return;
    action.sa_handler = SIG_IGN;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, is_ignored ? &action : &before,
              is_ignored ? &before : NULL);
    is_remembered = is_ignored;
}

/*
 * Pointers are filled in when the program is loaded. A call would leave it to
 * the dynamic linker to find the function when it is first called: in every
 * forked child anew, which costs it nine page faults. These are what each
 * child calls and its parent does not.
 */
static int (*const volatile copy_to)(int, int) = dup2;
static void (*const volatile end_process)(int) = _exit;

/* freopen() would do, at the price of a quarter of a bare fork. */
void mpos_close_input(void)
{
    int nothing = open(mpos_system.null_device, O_RDONLY | O_CLOEXEC);

    if (nothing < 0)
        close(STDIN_FILENO);
    else if (nothing != STDIN_FILENO) {
        copy_to(nothing, STDIN_FILENO);
        close(nothing);
    } else {
        fcntl(STDIN_FILENO, F_SETFD, 0);
    }
    mpos_system_purge(stdin);
}

void mpos_exit(int code)
{
    end_process(code);
    abort(); /* not reached; the compiler can't know */
}
