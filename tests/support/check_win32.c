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

bool support_has_children(void)
{
    HANDLE snapshot = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    PROCESSENTRY32W entry = {.dwSize = sizeof(entry)};
    bool has_any = false;

    if (snapshot == INVALID_HANDLE_VALUE)
        return false;
    for (BOOL more = Process32FirstW(snapshot, &entry); more && !has_any;
         more = Process32NextW(snapshot, &entry))
        has_any = entry.th32ParentProcessID == GetCurrentProcessId();
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
