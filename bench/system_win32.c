/* SPDX-License-Identifier: MIT */
/*
 * system.h by the Windows API. There is no fork; and the peers that need
 * pipes into another program are absent.
 */
#include "system.h"

#include <windows.h>

#include <psapi.h>

#include <stdlib.h>
#include <string.h>

double system_now(void)
{
    LARGE_INTEGER ticks, frequency;

    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&frequency);
    return (double)ticks.QuadPart / (double)frequency.QuadPart;
}

/* CreateProcess is told by the system itself what the program is. */
void system_set_program(const char *path)
{
    (void)path;
}

const char *system_program(void)
{
    return "";
}

/* -- Bare processes -------------------------------------------------------- */

static HANDLE start(const wchar_t *option)
{
    wchar_t path[MAX_PATH];
    wchar_t line[64] = L"bench ";
    STARTUPINFOW startup = {.cb = sizeof(startup)};
    PROCESS_INFORMATION started;
    DWORD size = GetModuleFileNameW(NULL, path, MAX_PATH);

    if (size == 0 || size == MAX_PATH)
        return NULL;
    wcscat(line, option);
    if (!CreateProcessW(path, line, NULL, NULL, FALSE, 0, NULL, NULL, &startup,
                        &started))
        return NULL;
    CloseHandle(started.hThread);
    return started.hProcess;
}

int system_spawn_bare(const char *argument)
{
    HANDLE process;
    DWORD code = 1;

    if (strcmp(argument, SYSTEM_EXIT) != 0)
        return -1;
    process = start(L"--exit");
    if (process == NULL)
        return -1;
    WaitForSingleObject(process, INFINITE);
    GetExitCodeProcess(process, &code);
    CloseHandle(process);
    return (int)code;
}

int system_fork_bare(void)
{
    return -1;
}

/* -- What is not there ----------------------------------------------------- */

int system_start_together(int count)
{
    (void)count;
    return -1;
}

bool system_allow_many(int count)
{
    (void)count;
    return false;
}

int system_run_wait(void)
{
    return 1;
}

int system_run_echo(void)
{
    return 1;
}

bool system_open_echo(void)
{
    return false;
}

bool system_exchange(const void *message, void *answer, size_t size)
{
    (void)message;
    (void)answer;
    (void)size;
    return false;
}

void system_close_echo(void)
{
}

bool system_start_peer(const char *program, const char *argument,
                       FILE **commands, FILE **answers)
{
    (void)program;
    (void)argument;
    (void)commands;
    (void)answers;
    return false;
}

void system_stop_peer(void)
{
}

/* -- What this process holds ----------------------------------------------- */

size_t system_count_handles(void)
{
    DWORD count = 0;

    GetProcessHandleCount(GetCurrentProcess(), &count);
    return count;
}

size_t system_count_memory(void)
{
    PROCESS_MEMORY_COUNTERS counters = {.cb = sizeof(counters)};

    if (!GetProcessMemoryInfo(GetCurrentProcess(), &counters, sizeof(counters)))
        return 0;
    return counters.WorkingSetSize;
}

/* There is no such thing. */
bool system_has_zombies(void)
{
    return false;
}

bool system_has_memory(size_t size)
{
    MEMORYSTATUSEX memory = {.dwLength = sizeof(memory)};

    return GlobalMemoryStatusEx(&memory) &&
           memory.ullAvailPhys > (unsigned long long)size * 2;
}

void *system_touch_memory(size_t size)
{
    const size_t page = 4096;
    char *memory =
        VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);

    for (size_t i = 0; memory != NULL && i < size; i += page)
        memory[i] = 1;
    return memory;
}

void system_drop_memory(void *memory, size_t size)
{
    (void)size;
    VirtualFree(memory, 0, MEM_RELEASE);
}
