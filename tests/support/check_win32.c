/* SPDX-License-Identifier: MIT */
/* What is open or running, on Windows. */
#include "check.h"

#include <windows.h>

#include <psapi.h>
#include <tlhelp32.h>

size_t support_open_handles(void)
{
    DWORD count = 0;

    GetProcessHandleCount(GetCurrentProcess(), &count);
    return count;
}

static bool creation_time(HANDLE process, ULONGLONG *time)
{
    FILETIME created, unused;

    if (!GetProcessTimes(process, &created, &unused, &unused, &unused))
        return false;
    *time = (ULONGLONG)created.dwHighDateTime << 32 | created.dwLowDateTime;
    return true;
}

/* The number of a process's parent outlives the parent: one that is older than
 * we are is the child of whoever had our number before. */
static bool is_child(const PROCESSENTRY32W *entry)
{
    ULONGLONG its = 0, ours = 0;
    HANDLE process;

    if (entry->th32ParentProcessID != GetCurrentProcessId())
        return false;
    process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE,
                          entry->th32ProcessID);
    if (process == NULL)
        return false; /* it has ended meanwhile */
    if (!creation_time(process, &its) ||
        !creation_time(GetCurrentProcess(), &ours))
        its = ours;
    CloseHandle(process);
    return its >= ours;
}

bool support_has_children(void)
{
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    PROCESSENTRY32W entry = {.dwSize = sizeof(entry)};
    bool has_any = false;

    if (snapshot == INVALID_HANDLE_VALUE)
        return false;
    for (BOOL more = Process32FirstW(snapshot, &entry); more && !has_any;
         more = Process32NextW(snapshot, &entry))
        has_any = is_child(&entry);
    CloseHandle(snapshot);
    return has_any;
}

size_t support_shared_names(const char *prefix)
{
    (void)prefix; /* sections live exactly as long as their handles */
    return 0;
}

size_t support_memory_in_use(void)
{
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof(counters)};

    if (!K32GetProcessMemoryInfo(GetCurrentProcess(), &counters,
                                 sizeof(counters)))
        return 0;
    return counters.PagefileUsage;
}

bool support_has_no_vfork(void)
{
    return false;
}

bool support_has_valgrind(void)
{
    return false;
}
