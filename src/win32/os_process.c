/* SPDX-License-Identifier: MIT */
/*
 * Processes that run: waiting for them, signals, and our own end.
 *
 * Windows has no signals: terminate and kill are both TerminateProcess, which
 * gives the victim an exit code of our choice. Python's choice is 0x10000
 * (beyond what a POSIX program can return) and reads it as -15, for both. Here
 * kill has a code of its own, so that it reads as -9, as it does elsewhere. A
 * program that ends with these very codes by itself is misread.
 */
#include "os_internal.h"

#include <tlhelp32.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CODE_TERMINATED 0x10000u
#define CODE_KILLED 0x10001u
/* What the system's own Ctrl-C handler ends a process with. */
#define CODE_INTERRUPTED 0xC000013Au

enum { SIGNAL_INTERRUPT = 2, SIGNAL_KILL = 9, SIGNAL_TERMINATE = 15 };

/* -- Other processes ------------------------------------------------------- */

mp_error mpos_attach(mpos_process *out, int64_t pid, uint64_t start_time)
{
    const DWORD watch = PROCESS_QUERY_LIMITED_INFORMATION;
    HANDLE process;
    uint64_t started;
    mp_error err = mpi_win32_open_process(
        pid, watch | PROCESS_TERMINATE | PROCESS_SUSPEND_RESUME, &process);

    /* Another user's may still be one that we may watch. */
    if (err == MP_EACCES)
        err = mpi_win32_open_process(pid, watch, &process);
    if (err != MP_OK)
        return err;

    started = mpi_win32_start_time(process);
    if (start_time != 0 && started != start_time) {
        CloseHandle(process);
        return mpi_fail(MP_ENOTFOUND, "process %lld is another one now",
                        (long long)pid);
    }
    *out = (mpos_process){
        .pid = pid,
        .sentinel = (mpos_handle)process,
        .start_time = started,
        .is_child = false,
    };
    return MP_OK;
}

static int translate_code(DWORD code)
{
    switch (code) {
    case CODE_TERMINATED:
        return -SIGNAL_TERMINATE;
    case CODE_KILLED:
        return -SIGNAL_KILL;
    case CODE_INTERRUPTED:
        return -SIGNAL_INTERRUPT;
    default:
        return (int)code;
    }
}

static mp_error await_end(HANDLE process, int64_t deadline)
{
    for (;;) {
        DWORD limit = mpi_win32_milliseconds(deadline);
        DWORD outcome = WaitForSingleObject(process, limit);

        if (outcome == WAIT_OBJECT_0)
            return MP_OK;
        if (outcome == WAIT_FAILED)
            return mpi_win32_fail("can't wait for a process");
        if (limit == 0)
            return MP_TIMED_OUT;
    }
}

mp_error mpos_reap(mpos_process *process, int64_t deadline, int *code)
{
    HANDLE handle = (HANDLE)process->sentinel;
    DWORD raw;
    mp_error err = await_end(handle, deadline);

    if (err != MP_OK)
        return err;
    if (!process->is_child)
        return mpi_fail(MP_ENOTFOUND,
                        "process %lld has ended; its exit code is its parent's",
                        (long long)process->pid);
    if (!GetExitCodeProcess(handle, &raw))
        return mpi_win32_fail("can't tell an exit code");
    *code = translate_code(raw);
    return MP_OK;
}

mp_error mpos_look(const mpos_process *process, int *code)
{
    HANDLE handle = (HANDLE)process->sentinel;
    DWORD raw;

    if (!mpi_win32_has_ended(handle))
        return MP_PENDING;
    if (!GetExitCodeProcess(handle, &raw))
        return mpi_win32_fail("can't tell an exit code");
    *code = translate_code(raw);
    return MP_OK;
}

/* -- Signals --------------------------------------------------------------- */

static bool is_ending(HANDLE process)
{
    DWORD code;

    return mpi_win32_has_ended(process) ||
           (GetExitCodeProcess(process, &code) && code != STILL_ACTIVE);
}

static mp_error end_process(HANDLE process, DWORD code)
{
    DWORD cause;

    if (TerminateProcess(process, code))
        return MP_OK;
    /* A process that is just ending answers ERROR_ACCESS_DENIED. */
    cause = GetLastError();
    if (is_ending(process))
        return MP_OK;
    return mpi_win32_fail_code(cause, "can't end the process");
}

typedef LONG(NTAPI *suspend_process)(HANDLE);

static mp_error suspend(HANDLE process)
{
    suspend_process run = (suspend_process)mpi_win32_native("NtSuspendProcess");

    if (run == NULL)
        return mpi_fail(MP_ENOTSUP, "this system can't suspend a process");
    if (run(process) < 0 && !is_ending(process))
        return mpi_fail(MP_EACCES, "can't suspend the process");
    return MP_OK;
}

static void resume_thread(DWORD id)
{
    HANDLE thread = OpenThread(THREAD_SUSPEND_RESUME, FALSE, id);
    DWORD depth;

    if (thread == NULL)
        return; /* it has ended */
    do {
        depth = ResumeThread(thread);
    } while (depth != (DWORD)-1 && depth > 1);
    CloseHandle(thread);
}

/*
 * Suspending counts, in each thread, and NtResumeProcess takes back one. A
 * stopped process elsewhere goes on at the first SIGCONT, so this goes down
 * to zero.
 */
static mp_error resume(HANDLE process)
{
    DWORD pid = GetProcessId(process);
    THREADENTRY32 entry = {.dwSize = sizeof(entry)};
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPTHREAD, 0);

    if (snapshot == INVALID_HANDLE_VALUE)
        return mpi_win32_fail("can't list the threads of the process");
    for (BOOL more = Thread32First(snapshot, &entry); more;
         more = Thread32Next(snapshot, &entry)) {
        if (entry.th32OwnerProcessID == pid)
            resume_thread(entry.th32ThreadID);
    }
    CloseHandle(snapshot);
    return MP_OK;
}

/*
 * Ctrl-C goes to a whole console, or to a process group that ignores it from
 * birth (CREATE_NEW_PROCESS_GROUP), and then the user's own Ctrl-C would miss
 * our children.
 */
static mp_error no_interrupt(void)
{
    return mpi_fail(MP_ENOTSUP,
                    "Windows can't send Ctrl-C to one process: it goes to all "
                    "of a console");
}

mp_error mpos_send_signal(mpos_process *process, mpos_signal signal)
{
    HANDLE handle = (HANDLE)process->sentinel;

    /* The handle keeps the pid from being given to anybody else. */
    if (mpi_win32_has_ended(handle))
        return MP_OK;
    switch (signal) {
    case MPOS_TERMINATE:
        return end_process(handle, CODE_TERMINATED);
    case MPOS_KILL:
        return end_process(handle, CODE_KILLED);
    case MPOS_SUSPEND:
        return suspend(handle);
    case MPOS_RESUME:
        return resume(handle);
    case MPOS_INTERRUPT:
        return no_interrupt();
    }
    return mpi_fail(MP_EINVAL, "no such signal");
}

void mpos_process_close(mpos_process *process)
{
    if (process->sentinel != 0)
        mpos_close(process->sentinel);
    memset(process, 0, sizeof(*process));
    process->sentinel = MPOS_NONE;
}

/* -- This process ---------------------------------------------------------- */

/*
 * mpos_spawn puts a child that shall die with us into a job before it runs, so
 * there is nothing left to do but to see whether that worked. Asking with NULL
 * answers for the innermost job, and the parent's is the innermost: it was the
 * last one to be added. Silent breakaway tells it from most other people's
 * jobs. (Wine 8 answers that there are no limits at all; the job works there,
 * and the caller watches the parent beside it.)
 */
static bool is_in_closing_job(void)
{
    const DWORD wanted = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE |
                         JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limit = {0};
    BOOL is_in_job = FALSE;

    if (!IsProcessInJob(GetCurrentProcess(), NULL, &is_in_job) || !is_in_job)
        return false;
    return QueryInformationJobObject(NULL, JobObjectExtendedLimitInformation,
                                     &limit, sizeof(limit), NULL) &&
           (limit.BasicLimitInformation.LimitFlags & wanted) == wanted;
}

mp_error mpos_die_with_parent(int64_t parent_pid)
{
    HANDLE parent;
    mp_error err = mpi_win32_open_process(parent_pid, 0, &parent);

    if (err == MP_ENOTFOUND)
        return err;
    if (err == MP_OK)
        CloseHandle(parent);
    if (is_in_closing_job())
        return MP_OK;
    return mpi_fail(MP_ENOTSUP,
                    "this process is in no job that ends with its parent");
}

void mpos_ignore_interrupts(bool is_ignored)
{
    SetConsoleCtrlHandler(NULL, is_ignored);
}

void mpos_close_input(void)
{
    if (freopen(mpos_system.null_device, "r", stdin) == NULL)
        clearerr(stdin);
}

MP_NORETURN void mpos_exit(int code)
{
    /* ExitProcess would run the exit code of every DLL, which may wait for a
     * lock that a thread held when it was killed. */
    TerminateProcess(GetCurrentProcess(), (UINT)code);
    abort(); /* not reached; the compiler can't know */
}
