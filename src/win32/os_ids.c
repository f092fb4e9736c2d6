/* SPDX-License-Identifier: MIT */
/*
 * Facts about the system and about this process: its numbers, start times,
 * processors, environment and working directory.
 */
#include "os_internal.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

enum {
    /* The longest environment variable, and the longest path. */
    WIDE_LIMIT = 32768,
    MOST_GROUPS = 64,
    PROCESS_BASIC_INFORMATION_CLASS = 0,
    SYSTEM_PROCESSES_CLASS = 5,
    /* For the list of all processes with their threads, in bytes. */
    FIRST_LIST = 1 << 18,
    LARGEST_LIST = 1 << 28,
    USUAL_COLUMNS = 80,
};

#define STATUS_MISSING ((LONG)0xC0000002)   /* STATUS_NOT_IMPLEMENTED */
#define STATUS_TOO_SHORT ((LONG)0xC0000004) /* STATUS_INFO_LENGTH_MISMATCH */

/* PROCESS_BASIC_INFORMATION; the SDK's winternl.h hides the last name. */
typedef struct basic_information {
    void *unused[4];
    ULONG_PTR pid;
    ULONG_PTR parent_pid;
} basic_information;

typedef LONG(NTAPI *query_process)(HANDLE, ULONG, void *, ULONG, ULONG *);

/* SYSTEM_PROCESS_INFORMATION, of which winternl.h hides the times. */
typedef struct process_entry {
    ULONG next; /* from here; 0: it is the last one */
    ULONG thread_count;
    LARGE_INTEGER unused[3];
    LARGE_INTEGER created;
    LARGE_INTEGER used[2];
    USHORT name_size;
    USHORT name_capacity;
    wchar_t *name;
    LONG priority;
    HANDLE pid;
} process_entry;

typedef LONG(NTAPI *query_system)(ULONG, void *, ULONG, ULONG *);

const mpos_facts mpos_system = {
    .system = "windows",
    .null_device = "NUL",
    .has_fork = false,
    .has_objects = true,
    .has_message_pipes = true,
    .loses_wakes = true,
    .memory_grows = true,
    .named_grows = false,
    .exit_code_mask = UINT32_MAX,
};

/* -- Processes ------------------------------------------------------------- */

void (*mpi_win32_native(const char *name))(void)
{
    HMODULE module = GetModuleHandleW(L"ntdll.dll");

    return module == NULL ? NULL : (void (*)(void))GetProcAddress(module, name);
}

uint64_t mpi_win32_start_time(HANDLE process)
{
    FILETIME creation;
    FILETIME unused[3];

    if (!GetProcessTimes(process, &creation, &unused[0], &unused[1],
                         &unused[2]))
        return 0;
    return (uint64_t)creation.dwHighDateTime << 32 | creation.dwLowDateTime;
}

bool mpi_win32_has_ended(HANDLE process)
{
    return WaitForSingleObject(process, 0) == WAIT_OBJECT_0;
}

static mp_error no_such_process(int64_t pid)
{
    return mpi_fail(MP_ENOTFOUND, "there is no process %lld", (long long)pid);
}

mp_error mpi_win32_open_process(int64_t pid, DWORD access, HANDLE *process)
{
    HANDLE found;

    if (pid <= 0 || pid > UINT32_MAX)
        return no_such_process(pid);
    found =
        OpenProcess(access | SYNCHRONIZE | PROCESS_QUERY_LIMITED_INFORMATION,
                    FALSE, (DWORD)pid);
    if (found == NULL && GetLastError() == ERROR_INVALID_PARAMETER)
        return no_such_process(pid);
    if (found == NULL)
        return mpi_win32_fail("can't open the process");
    /* OpenProcess ignores the two lowest bits: 4711 would be 4708. */
    if (GetProcessId(found) != (DWORD)pid || mpi_win32_has_ended(found)) {
        CloseHandle(found);
        return no_such_process(pid);
    }
    *process = found;
    return MP_OK;
}

int64_t mpos_pid(void)
{
    return GetCurrentProcessId();
}

int64_t mpos_parent_pid(void)
{
    basic_information information = {0};
    query_process query =
        (query_process)mpi_win32_native("NtQueryInformationProcess");

    /* A snapshot of all processes would tell too, a hundred times slower. */
    if (query == NULL ||
        query(GetCurrentProcess(), PROCESS_BASIC_INFORMATION_CLASS,
              &information, sizeof(information), NULL) < 0)
        return 0;
    return (int64_t)information.parent_pid;
}

uint64_t mpos_thread_id(void)
{
    return GetCurrentThreadId();
}

uint64_t mpos_pid_space(void)
{
    return 0;
}

/* malloc'ed. */
static mp_error list_processes(process_entry **list)
{
    query_system query =
        (query_system)mpi_win32_native("NtQuerySystemInformation");
    LONG status = query == NULL ? STATUS_MISSING : STATUS_TOO_SHORT;

    for (ULONG size = FIRST_LIST;
         status == STATUS_TOO_SHORT && size <= LARGEST_LIST; size *= 2) {
        *list = mpi_malloc(size);
        if (*list == NULL)
            return mpi_no_memory();
        status = query(SYSTEM_PROCESSES_CLASS, *list, size, NULL);
        if (status < 0)
            free(*list);
    }
    if (status < 0)
        return mpi_fail(MP_EACCES, "can't list processes: status 0x%lx",
                        (unsigned long)status);
    return MP_OK;
}

/* Also of a process that is none of our business, as those of other users: a
 * number that was ours before the system was started again may be its. */
mp_error mpi_win32_list_start_time(int64_t pid, uint64_t *ticks)
{
    process_entry *list;
    const process_entry *entry;
    mp_error err = list_processes(&list);

    if (err != MP_OK)
        return err;
    entry = list;
    while ((int64_t)(intptr_t)entry->pid != pid && entry->next != 0)
        entry = (const void *)((const char *)entry + entry->next);
    if ((int64_t)(intptr_t)entry->pid == pid)
        *ticks = (uint64_t)entry->created.QuadPart;
    else
        err = no_such_process(pid);
    free(list);
    return err;
}

mp_error mpos_start_time(int64_t pid, uint64_t *ticks)
{
    HANDLE process;
    uint64_t time;
    mp_error err = mpi_win32_open_process(
        pid, PROCESS_QUERY_LIMITED_INFORMATION, &process);

    if (err == MP_EACCES)
        return mpi_win32_list_start_time(pid, ticks);
    if (err != MP_OK)
        return err;
    time = mpi_win32_start_time(process);
    if (time == 0)
        err = mpi_win32_fail("can't tell when the process was started");
    else
        *ticks = time;
    CloseHandle(process);
    return err;
}

/* More than 64 processors come in groups; a mask is for one group only. */
static bool has_several_groups(void)
{
    USHORT groups[MOST_GROUPS];
    USHORT count = MOST_GROUPS;

    return GetProcessGroupAffinity(GetCurrentProcess(), &count, groups) &&
           count > 1;
}

unsigned mpos_cpu_count(void)
{
    DWORD_PTR mask = 0;
    DWORD_PTR system_mask;
    unsigned count = 0;

    if (has_several_groups() ||
        !GetProcessAffinityMask(GetCurrentProcess(), &mask, &system_mask) ||
        mask == 0)
        count = GetActiveProcessorCount(ALL_PROCESSOR_GROUPS);
    for (; mask != 0; mask &= mask - 1)
        count++;
    return count > 0 ? count : 1;
}

/* Of the handle, not of the C library's stderr: what is no console may still be
 * a character device, as NUL is. */
unsigned mpos_terminal_columns(void)
{
    HANDLE errors = GetStdHandle(STD_ERROR_HANDLE);
    CONSOLE_SCREEN_BUFFER_INFO info;
    DWORD mode;

    if (errors == NULL || errors == INVALID_HANDLE_VALUE ||
        !GetConsoleMode(errors, &mode))
        return 0;
    if (!GetConsoleScreenBufferInfo(errors, &info) ||
        info.srWindow.Right < info.srWindow.Left)
        return USUAL_COLUMNS;
    return (unsigned)(info.srWindow.Right - info.srWindow.Left) + 1;
}

/* -- Environment ----------------------------------------------------------- */

/* At most size - 1 bytes, never half a character. */
static void copy_cut(char *value, size_t size, const char *text)
{
    size_t length = strlen(text);

    if (size == 0)
        return;
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)text[length] & 0xC0) == 0x80)
            length--;
    }
    memcpy(value, text, length);
    value[length] = '\0';
}

/* MP_ENOTFOUND without a sentence: it is no failure that anybody reports. */
static mp_error read_variable(const wchar_t *name, char **text)
{
    wchar_t *value = mpi_malloc(WIDE_LIMIT * sizeof(*value));
    mp_error err;

    if (value == NULL)
        return mpi_no_memory();
    value[0] = L'\0';
    SetLastError(ERROR_SUCCESS); /* an empty value has length 0 as well */
    if (GetEnvironmentVariableW(name, value, WIDE_LIMIT) == 0 &&
        GetLastError() != ERROR_SUCCESS)
        err = MP_ENOTFOUND;
    else
        err = mpi_win32_narrow(value, text);
    free(value);
    return err;
}

/* From the process and from the C library's copy, which getenv() reads. */
static mp_error remove_variable(const wchar_t *name)
{
    size_t length = wcslen(name);
    wchar_t *assignment = mpi_malloc((length + 2) * sizeof(*assignment));

    if (assignment == NULL)
        return mpi_no_memory();
    memcpy(assignment, name, length * sizeof(*assignment));
    assignment[length] = L'=';
    assignment[length + 1] = L'\0';
    _wputenv(assignment);
    SetEnvironmentVariableW(name, NULL);
    free(assignment);
    return MP_OK;
}

mp_error mpos_take_variable(const char *name, char *value, size_t size)
{
    wchar_t *wide_name = NULL;
    char *text = NULL;
    mp_error err = mpi_win32_wide(name, &wide_name);

    if (err == MP_OK)
        err = read_variable(wide_name, &text);
    if (err == MP_OK)
        err = remove_variable(wide_name);
    if (err == MP_OK)
        copy_cut(value, size, text);
    if (err == MP_ENOTFOUND)
        mpi_fail(err, "%s is not in the environment", name);
    free(text);
    free(wide_name);
    return err;
}

/* -- Working directory ----------------------------------------------------- */

mp_error mpos_working_directory(char **path)
{
    wchar_t *wide = mpi_malloc(WIDE_LIMIT * sizeof(*wide));
    DWORD length;
    mp_error err;

    if (wide == NULL)
        return mpi_no_memory();
    length = GetCurrentDirectoryW(WIDE_LIMIT, wide);
    if (length == 0 || length >= WIDE_LIMIT)
        err = mpi_win32_fail("can't tell the working directory");
    else
        err = mpi_win32_narrow(wide, path);
    free(wide);
    return err;
}

mp_error mpos_change_directory(const char *path)
{
    wchar_t *wide;
    mp_error err = mpi_win32_wide(path, &wide);

    if (err != MP_OK)
        return err;
    if (!SetCurrentDirectoryW(wide))
        err = mpi_context(mpi_win32_fail("can't change to this directory"),
                          "%s", path);
    free(wide);
    return err;
}
