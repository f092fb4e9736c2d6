/* SPDX-License-Identifier: MIT */
/* Running this program again for one test, on Windows. */
#include "testing.h"

#ifdef MULTIPROC_HAVE_CRITERION

typedef int support_uses_criterion;

#else

#include "testing_internal.h"

#include <windows.h>

#include <signal.h>
#include <stdlib.h>
#include <wchar.h>

enum {
    PATH_SIZE = 32768,
    EXCEPTION_CODES = 0xC0, /* the top byte of NTSTATUS errors */
};

/* What newer C libraries end a process with in abort(); older ones say 3. */
#define CODE_ABORTED 0xC0000409u

/* Whatever the test starts falls into the job, and ends with it. */
static HANDLE create_job(void)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limit = {0};
    HANDLE job = CreateJobObjectW(NULL, NULL);

    limit.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    if (job != NULL)
        SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limit,
                                sizeof(limit));
    return job;
}

static bool start(const char *argument, HANDLE job,
                  PROCESS_INFORMATION *process)
{
    static wchar_t program[PATH_SIZE];
    static wchar_t line[PATH_SIZE + 1024];
    STARTUPINFOW startup = {.cb = sizeof(startup)};

    GetModuleFileNameW(NULL, program, PATH_SIZE);
    swprintf(line, PATH_SIZE + 1024, L"\"%ls\" %hs", program, argument);
    if (!CreateProcessW(program, line, NULL, NULL, TRUE, CREATE_SUSPENDED, NULL,
                        NULL, &startup, process))
        return false;
    if (job != NULL)
        AssignProcessToJobObject(job, process->hProcess);
    ResumeThread(process->hThread);
    CloseHandle(process->hThread);
    return true;
}

bool support_run_again(const char *program, const char *argument,
                       double seconds, support_outcome *outcome)
{
    PROCESS_INFORMATION process = {0};
    HANDLE job = create_job();
    DWORD limit = seconds > 0 ? (DWORD)(seconds * 1000) : INFINITE;
    DWORD code = 0;

    (void)program; /* the system knows our path better */
    if (!start(argument, job, &process)) {
        if (job != NULL)
            CloseHandle(job);
        return false;
    }
    outcome->has_timed_out =
        WaitForSingleObject(process.hProcess, limit) == WAIT_TIMEOUT;
    if (outcome->has_timed_out)
        TerminateProcess(process.hProcess, 1);
    if (job != NULL)
        TerminateJobObject(job, 1);
    WaitForSingleObject(process.hProcess, INFINITE);
    GetExitCodeProcess(process.hProcess, &code);
    outcome->exit_code = (int)code;
    if (code >> 24 == EXCEPTION_CODES)
        outcome->signal = code == CODE_ABORTED ? SIGABRT : SIGSEGV;
    CloseHandle(process.hProcess);
    if (job != NULL)
        CloseHandle(job);
    return true;
}

static void end_by_abort(int number)
{
    (void)number;
    TerminateProcess(GetCurrentProcess(), CODE_ABORTED);
}

static LONG WINAPI end_by_exception(EXCEPTION_POINTERS *exception)
{
    TerminateProcess(GetCurrentProcess(),
                     exception->ExceptionRecord->ExceptionCode);
    return EXCEPTION_EXECUTE_HANDLER;
}

void support_prepare_to_crash(void)
{
    /* The error mode is for our children too; Wine asks only the filter. */
    SetUnhandledExceptionFilter(end_by_exception);
    SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX);
    signal(SIGABRT, end_by_abort);
}

uint64_t support_thread_id(void)
{
    return GetCurrentThreadId();
}

double support_seconds(void)
{
    LARGE_INTEGER ticks;
    LARGE_INTEGER frequency;

    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&frequency);
    return (double)ticks.QuadPart / (double)frequency.QuadPart;
}

#endif
