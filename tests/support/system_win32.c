/* SPDX-License-Identifier: MIT */
/* What a test does to the system around it, on Windows. */
#include "system.h"

#include "testing.h"

#include "os.h"

#include <windows.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

static const wchar_t *wide(const char *text, wchar_t out[SUPPORT_PATH_SIZE])
{
    if (MultiByteToWideChar(CP_UTF8, 0, text, -1, out, SUPPORT_PATH_SIZE) == 0)
        out[0] = 0;
    return out;
}

void support_set_variable(const char *name, const char *value)
{
    wchar_t wide_name[SUPPORT_PATH_SIZE], wide_value[SUPPORT_PATH_SIZE];

    SetEnvironmentVariableW(wide(name, wide_name),
                            value == NULL ? NULL : wide(value, wide_value));
}

void support_join_path(const char *folder, const char *name,
                       char path[SUPPORT_PATH_SIZE])
{
    int size = snprintf(path, SUPPORT_PATH_SIZE, "%s\\%s", folder, name);

    cr_assert(size > 0 && size < SUPPORT_PATH_SIZE);
}

void support_program_beside(const char *name, char path[SUPPORT_PATH_SIZE])
{
    char file[SUPPORT_PATH_SIZE];
    char *own;

    cr_assert_eq(mpos_program_path(&own), MP_OK);
    *strrchr(own, '\\') = 0;
    snprintf(file, sizeof(file), "%s.exe", name);
    support_join_path(own, file, path);
    free(own);
}

void support_make_folder(const char *prefix, char path[SUPPORT_PATH_SIZE])
{
    static unsigned counter;
    wchar_t root[SUPPORT_PATH_SIZE], full[SUPPORT_PATH_SIZE];
    char narrow[SUPPORT_PATH_SIZE];

    GetTempPathW(SUPPORT_PATH_SIZE, root);
    WideCharToMultiByte(CP_UTF8, 0, root, -1, narrow, sizeof(narrow), NULL,
                        NULL);
    snprintf(path, SUPPORT_PATH_SIZE, "%s%s-%lu-%u", narrow, prefix,
             (unsigned long)GetCurrentProcessId(), counter++);
    cr_assert(CreateDirectoryW(wide(path, full), NULL));
}

void support_remove_folder(const char *path)
{
    wchar_t folder[SUPPORT_PATH_SIZE], pattern[SUPPORT_PATH_SIZE];
    WIN32_FIND_DATAW entry;
    HANDLE search;

    wide(path, folder);
    swprintf(pattern, SUPPORT_PATH_SIZE, L"%ls\\*", folder);
    search = FindFirstFileW(pattern, &entry);
    while (search != INVALID_HANDLE_VALUE) {
        wchar_t file[2 * SUPPORT_PATH_SIZE];

        swprintf(file, 2 * SUPPORT_PATH_SIZE, L"%ls\\%ls", folder,
                 entry.cFileName);
        DeleteFileW(file);
        if (!FindNextFileW(search, &entry))
            break;
    }
    if (search != INVALID_HANDLE_VALUE)
        FindClose(search);
    RemoveDirectoryW(folder);
}

bool support_copy_program(const char *from, const char *to)
{
    wchar_t source[SUPPORT_PATH_SIZE], target[SUPPORT_PATH_SIZE];

    return CopyFileW(wide(from, source), wide(to, target), TRUE) != 0;
}

void support_remove_file(const char *path)
{
    wchar_t file[SUPPORT_PATH_SIZE];

    DeleteFileW(wide(path, file));
}

bool support_rename_file(const char *from, const char *to)
{
    wchar_t source[SUPPORT_PATH_SIZE], target[SUPPORT_PATH_SIZE];

    return MoveFileW(wide(from, source), wide(to, target)) != 0;
}

bool support_allow_handles(size_t count)
{
    (void)count; /* there is no limit one could meet */
    return true;
}
