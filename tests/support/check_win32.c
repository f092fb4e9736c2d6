/* SPDX-License-Identifier: MIT */
/* What is open or running, on Windows. */
#include "check.h"

#include "os.h"

#include <windows.h>

#include <psapi.h>
#include <tlhelp32.h>

/* Wine 8 does not count them. It gives the lowest number that is free, so that
 * there is no large gap between them. */
static size_t try_all_handles(void)
{
    enum { STEP = 4, LARGEST_GAP = 1024 };
    size_t count = 0;
    intptr_t last = 0;

    for (intptr_t it = STEP; it - last < LARGEST_GAP; it += STEP) {
        DWORD flags;

        if (!GetHandleInformation((HANDLE)it, &flags))
            continue;
        count++;
        last = it;
    }
    return count;
}

/* The port keeps the event that its first read has needed. */
static void read_something(void)
{
    const mpos_bytes byte = {"", 1};
    mpos_handle reader, writer;
    char text[1];
    size_t size;

    if (mpos_pipe(&reader, &writer) != MP_OK)
        return;
    if (mpos_write(writer, &byte, 1, &size) == MP_OK)
        (void)mpos_read(reader, text, sizeof(text), &size);
    mpos_close(reader);
    mpos_close(writer);
}

/* The system keeps the folder of such names that the first one has needed. */
static void name_something(void)
{
    HANDLE event = CreateEventW(NULL, TRUE, FALSE, L"multiproc first name");

    if (event != NULL)
        CloseHandle(event);
}

size_t support_open_handles(void)
{
    static bool has_begun;
    DWORD count = 0;

    if (!has_begun) {
        read_something();
        name_something();
    }
    has_begun = true;
    GetProcessHandleCount(GetCurrentProcess(), &count);
    return count > 0 ? count : try_all_handles();
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

bool support_keeps_sockets(void)
{
    HMODULE ntdll = GetModuleHandleA("ntdll.dll");

    return ntdll != NULL && GetProcAddress(ntdll, "wine_get_version") != NULL;
}
