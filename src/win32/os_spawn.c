/* SPDX-License-Identifier: MIT */
/*
 * Starting a program with CreateProcessW: which file, which command line,
 * which environment, which handles, and in which job.
 *
 * The program is always named by its path and never searched for. A child
 * inherits what the attribute list names and nothing else, whoever else starts
 * processes at the same time. The list demands that the handles be inheritable
 * meanwhile; they are made so under one lock, and are put back. (A foreign
 * CreateProcess without a list, in that instant, would inherit them too.)
 */
#include "os_internal.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#ifndef PROC_THREAD_ATTRIBUTE_JOB_LIST
#define PROC_THREAD_ATTRIBUTE_JOB_LIST \
    ProcThreadAttributeValue(13, FALSE, TRUE, FALSE)
#endif

enum { STANDARD_HANDLES = 3, ATTRIBUTES = 2 };

/* Everything CreateProcessW gets. */
typedef struct spawn_plan {
    wchar_t *program;
    wchar_t *command;
    wchar_t *environment; /* NULL: as it is */
    HANDLE *handles;      /* each once */
    bool *was_inheritable;
    size_t handle_count;
    HANDLE job; /* NULL: none */
    bool has_job_attribute;
    STARTUPINFOEXW startup;
} spawn_plan;

/* -- Program and command line ---------------------------------------------- */

static wchar_t *copy_text(const wchar_t *text)
{
    size_t size = (wcslen(text) + 1) * sizeof(*text);
    wchar_t *copy = mpi_malloc(size);

    if (copy != NULL)
        memcpy(copy, text, size);
    return copy;
}

static mp_error plan_program(spawn_plan *plan, const char *program)
{
    char *own = NULL;
    mp_error err;

    if (program == NULL) {
        err = mpos_program_path(&own);
        if (err != MP_OK)
            return err;
        program = own;
    }
    err = mpi_win32_wide(program, &plan->program);
    free(own);
    return err;
}

/* A path can't contain a quotation mark, so quoting needs no escapes. */
static mp_error plan_command(spawn_plan *plan, bool is_own)
{
    size_t length = wcslen(plan->program);

    if (is_own) {
        plan->command = copy_text(GetCommandLineW());
        return plan->command != NULL ? MP_OK : mpi_no_memory();
    }
    if (wcschr(plan->program, L'"') != NULL)
        return mpi_fail(MP_ENOTFOUND, "no path contains a quotation mark");
    plan->command = mpi_malloc((length + 3) * sizeof(*plan->command));
    if (plan->command == NULL)
        return mpi_no_memory();
    plan->command[0] = L'"';
    memcpy(plan->command + 1, plan->program, length * sizeof(wchar_t));
    plan->command[length + 1] = L'"';
    plan->command[length + 2] = L'\0';
    return MP_OK;
}

/* -- Environment ----------------------------------------------------------- */

/* "=C:=C:\folder" is a variable called "=C:". */
static size_t name_length(const wchar_t *entry)
{
    return 1 + wcscspn(entry + 1, L"=");
}

/* Negative, 0, positive, as names are sorted in an environment. */
static int compare_names(const wchar_t *a, const wchar_t *b)
{
    return CompareStringOrdinal(a, (int)name_length(a), b, (int)name_length(b),
                                TRUE) -
           CSTR_EQUAL;
}

static size_t block_length(const wchar_t *block)
{
    const wchar_t *end = block;

    while (*end != L'\0')
        end += wcslen(end) + 1;
    return (size_t)(end - block) + 1;
}

static wchar_t *append(wchar_t *end, const wchar_t *entry)
{
    size_t length = wcslen(entry) + 1;

    memcpy(end, entry, length * sizeof(*entry));
    return end + length;
}

/* The system wants the entries sorted; it keeps its own ones so. */
static void insert_sorted(wchar_t *out, const wchar_t *block,
                          const wchar_t *variable)
{
    const wchar_t *entry = block;
    bool is_in = false;

    for (; *entry != L'\0'; entry += wcslen(entry) + 1) {
        int order = compare_names(entry, variable);

        if (order >= 0 && !is_in) {
            out = append(out, variable);
            is_in = true;
        }
        if (order != 0)
            out = append(out, entry);
    }
    if (!is_in)
        out = append(out, variable);
    *out = L'\0';
}

static mp_error plan_environment(spawn_plan *plan, const char *variable)
{
    wchar_t *wide;
    wchar_t *block;
    size_t length;
    mp_error err;

    if (variable == NULL)
        return MP_OK;
    err = mpi_win32_wide(variable, &wide);
    if (err != MP_OK)
        return err;

    block = GetEnvironmentStringsW();
    length = block == NULL ? 1 : block_length(block);
    length += wcslen(wide) + 2;
    plan->environment = mpi_malloc(length * sizeof(*plan->environment));
    if (plan->environment == NULL)
        err = mpi_no_memory();
    else
        insert_sorted(plan->environment, block == NULL ? L"" : block, wide);
    if (block != NULL)
        FreeEnvironmentStringsW(block);
    free(wide);
    return err;
}

/* -- Handles --------------------------------------------------------------- */

static void add_handle(spawn_plan *plan, HANDLE handle)
{
    for (size_t i = 0; i < plan->handle_count; i++) {
        if (plan->handles[i] == handle)
            return; /* CreateProcessW refuses what is named twice */
    }
    plan->handles[plan->handle_count++] = handle;
}

/* NULL if there is none, if it is closed, or if it is no real handle: consoles
 * had some with both low bits set, which are inherited by other means. */
static HANDLE standard_handle(DWORD which)
{
    HANDLE handle = GetStdHandle(which);
    DWORD flags;

    if (handle == NULL || handle == INVALID_HANDLE_VALUE)
        return NULL;
    if (((uintptr_t)handle & 3) == 3)
        return handle;
    return GetHandleInformation(handle, &flags) ? handle : NULL;
}

static HANDLE add_standard(spawn_plan *plan, DWORD which)
{
    HANDLE handle = standard_handle(which);

    if (handle != NULL && ((uintptr_t)handle & 3) != 3)
        add_handle(plan, handle);
    return handle;
}

static mp_error plan_handles(spawn_plan *plan,
                             const mpos_spawn_options *options)
{
    STARTUPINFOW *startup = &plan->startup.StartupInfo;
    size_t most = options->handle_count + STANDARD_HANDLES;

    plan->handles = mpi_calloc(most, sizeof(*plan->handles));
    plan->was_inheritable = mpi_calloc(most, sizeof(*plan->was_inheritable));
    if (plan->handles == NULL || plan->was_inheritable == NULL)
        return mpi_no_memory();
    startup->dwFlags = STARTF_USESTDHANDLES;
    startup->hStdInput = add_standard(plan, STD_INPUT_HANDLE);
    startup->hStdOutput = add_standard(plan, STD_OUTPUT_HANDLE);
    startup->hStdError = add_standard(plan, STD_ERROR_HANDLE);
    for (size_t i = 0; i < options->handle_count; i++)
        add_handle(plan, (HANDLE)options->handles[i]);
    return MP_OK;
}

static mp_error make_inheritable(spawn_plan *plan, size_t *changed)
{
    for (*changed = 0; *changed < plan->handle_count; ++*changed) {
        HANDLE handle = plan->handles[*changed];
        DWORD flags;

        if (!GetHandleInformation(handle, &flags) ||
            !SetHandleInformation(handle, HANDLE_FLAG_INHERIT,
                                  HANDLE_FLAG_INHERIT))
            return mpi_win32_fail("can't pass on a handle");
        plan->was_inheritable[*changed] = (flags & HANDLE_FLAG_INHERIT) != 0;
    }
    return MP_OK;
}

static void restore_inheritable(spawn_plan *plan, size_t changed)
{
    for (size_t i = 0; i < changed; i++) {
        if (!plan->was_inheritable[i])
            SetHandleInformation(plan->handles[i], HANDLE_FLAG_INHERIT, 0);
    }
}

/* -- The job --------------------------------------------------------------- */

/*
 * One job for the whole process. Its handle is never closed: the system does
 * that when this process ends, in whatever way, and with the last handle the
 * job ends all that is in it. Children of those are not in it (silent
 * breakaway): they die with their own parent if they have asked for that.
 */
static BOOL CALLBACK create_job(INIT_ONCE *once, void *job, void **context)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limit = {0};
    HANDLE created = CreateJobObjectW(NULL, NULL);

    (void)once;
    (void)context;
    limit.BasicLimitInformation.LimitFlags =
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE |
        JOB_OBJECT_LIMIT_SILENT_BREAKAWAY_OK;
    if (created == NULL)
        return FALSE;
    if (!SetInformationJobObject(created, JobObjectExtendedLimitInformation,
                                 &limit, sizeof(limit))) {
        DWORD cause = GetLastError();

        CloseHandle(created);
        SetLastError(cause);
        return FALSE;
    }
    *(HANDLE *)job = created;
    return TRUE;
}

static mp_error plan_job(spawn_plan *plan)
{
    static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
    static HANDLE job;

    if (!InitOnceExecuteOnce(&once, create_job, &job, NULL))
        return mpi_win32_fail("can't create a job");
    plan->job = job;
    return MP_OK;
}

/* -- Attributes ------------------------------------------------------------ */

static mp_error create_attributes(spawn_plan *plan)
{
    LPPROC_THREAD_ATTRIBUTE_LIST list;
    SIZE_T size = 0;

    InitializeProcThreadAttributeList(NULL, ATTRIBUTES, 0, &size);
    list = mpi_malloc(size);
    if (list == NULL)
        return mpi_no_memory();
    if (!InitializeProcThreadAttributeList(list, ATTRIBUTES, 0, &size)) {
        mp_error err = mpi_win32_fail("can't prepare a process");

        free(list);
        return err;
    }
    plan->startup.lpAttributeList = list;
    return MP_OK;
}

static mp_error plan_attributes(spawn_plan *plan)
{
    mp_error err = create_attributes(plan);

    if (err != MP_OK)
        return err;
    if (plan->handle_count > 0 &&
        !UpdateProcThreadAttribute(
            plan->startup.lpAttributeList, 0, PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
            plan->handles, plan->handle_count * sizeof(HANDLE), NULL, NULL))
        return mpi_win32_fail("can't list what a process inherits");
    /* Older Wine does not know it; see put_into_job. */
    plan->has_job_attribute =
        plan->job != NULL &&
        UpdateProcThreadAttribute(plan->startup.lpAttributeList, 0,
                                  PROC_THREAD_ATTRIBUTE_JOB_LIST, &plan->job,
                                  sizeof(plan->job), NULL, NULL);
    return MP_OK;
}

/* -- The plan as a whole --------------------------------------------------- */

static mp_error make_plan(spawn_plan *plan, const mpos_spawn_options *options)
{
    mp_error err = plan_program(plan, options->program);

    plan->startup.StartupInfo.cb = sizeof(plan->startup);
    if (err == MP_OK)
        err = plan_command(plan, options->program == NULL);
    if (err == MP_OK)
        err = plan_environment(plan, options->variable);
    if (err == MP_OK)
        err = plan_handles(plan, options);
    if (err == MP_OK && options->dies_with_parent)
        err = plan_job(plan);
    if (err == MP_OK)
        err = plan_attributes(plan);
    return err;
}

static void free_plan(spawn_plan *plan)
{
    if (plan->startup.lpAttributeList != NULL)
        DeleteProcThreadAttributeList(plan->startup.lpAttributeList);
    free(plan->startup.lpAttributeList);
    free(plan->was_inheritable);
    free(plan->handles);
    free(plan->environment);
    free(plan->command);
    free(plan->program);
}

static bool must_join_later(const spawn_plan *plan)
{
    return plan->job != NULL && !plan->has_job_attribute;
}

static mp_error create_process(spawn_plan *plan, PROCESS_INFORMATION *process)
{
    DWORD flags = CREATE_UNICODE_ENVIRONMENT | EXTENDED_STARTUPINFO_PRESENT;

    if (must_join_later(plan))
        flags |= CREATE_SUSPENDED;
    if (!CreateProcessW(plan->program, plan->command, NULL, NULL,
                        plan->handle_count > 0, flags, plan->environment, NULL,
                        &plan->startup.StartupInfo, process))
        return mpi_win32_fail("can't start the program");
    return MP_OK;
}

/* The handles are inheritable in here only. */
static mp_error create_with_handles(spawn_plan *plan,
                                    PROCESS_INFORMATION *process)
{
    static mpos_mutex mutex = MPOS_MUTEX_INIT;
    size_t changed;
    mp_error err;

    mpos_mutex_lock(&mutex);
    err = make_inheritable(plan, &changed);
    if (err == MP_OK)
        err = create_process(plan, process);
    restore_inheritable(plan, changed);
    mpos_mutex_unlock(&mutex);
    return err;
}

/* Should it fail, the child finds that it is in no job, and watches us. */
static void put_into_job(const spawn_plan *plan,
                         const PROCESS_INFORMATION *process)
{
    AssignProcessToJobObject(plan->job, process->hProcess);
    ResumeThread(process->hThread);
}

mp_error mpos_spawn(mpos_process *out, const mpos_spawn_options *options)
{
    spawn_plan plan = {0};
    PROCESS_INFORMATION process = {0};
    mp_error err = make_plan(&plan, options);

    if (err == MP_OK)
        err = create_with_handles(&plan, &process);
    if (err != MP_OK && options->program != NULL)
        mpi_context(err, "%s", options->program);
    if (err == MP_OK && must_join_later(&plan))
        put_into_job(&plan, &process);
    free_plan(&plan);
    if (err != MP_OK)
        return err;

    CloseHandle(process.hThread);
    *out = (mpos_process){
        .pid = process.dwProcessId,
        .sentinel = (mpos_handle)process.hProcess,
        .start_time = mpi_win32_start_time(process.hProcess),
        .is_child = true,
    };
    return MP_OK;
}
