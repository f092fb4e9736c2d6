/* SPDX-License-Identifier: MIT */
/* walk.h for Windows, which has no paths in UTF-8 of its own. */
#include "walk.h"

#include "memory.h"

#include <windows.h>

#include <shellapi.h>
#include <string.h>

static wchar_t *to_wide(const char *text)
{
    int size = MultiByteToWideChar(CP_UTF8, 0, text, -1, NULL, 0);
    wchar_t *wide = allocate(NULL, (size_t)size * sizeof(*wide));

    MultiByteToWideChar(CP_UTF8, 0, text, -1, wide, size);
    return wide;
}

static char *from_wide(const wchar_t *wide)
{
    int size = WideCharToMultiByte(CP_UTF8, 0, wide, -1, NULL, 0, NULL, NULL);
    char *text = allocate(NULL, (size_t)size);

    WideCharToMultiByte(CP_UTF8, 0, wide, -1, text, size, NULL, NULL);
    return text;
}

/* Files go to one list, folders to another. */
static void sort_in(wc_file_list *list, wc_file_list *folders,
                    const char *folder, const WIN32_FIND_DATAW *entry)
{
    char *name = from_wide(entry->cFileName);

    if (entry->dwFileAttributes & FILE_ATTRIBUTE_REPARSE_POINT)
        ; /* a link, or something like it */
    else if (!(entry->dwFileAttributes & FILE_ATTRIBUTE_DIRECTORY))
        file_list_add(list, folder, name,
                      (uint64_t)entry->nFileSizeHigh << 32 |
                          entry->nFileSizeLow);
    else if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
        file_list_add(folders, folder, name, 0);
    free(name);
}

void walk_folder(wc_file_list *list, wc_file_list *folders, const char *folder)
{
    wc_file_list pattern = {0};
    WIN32_FIND_DATAW entry;
    wchar_t *wide;
    HANDLE search;

    file_list_add(&pattern, folder, "*", 0);
    wide = to_wide(pattern.items[0].path);
    search = FindFirstFileW(wide, &entry);
    free(wide);
    file_list_free(&pattern);
    if (search == INVALID_HANDLE_VALUE) {
        fprintf(stderr, "%s: %s: error %lu\n", walk_program, folder,
                GetLastError());
        list->has_errors = true;
        return;
    }
    do
        sort_in(list, folders, folder, &entry);
    while (FindNextFileW(search, &entry));
    FindClose(search);
}

FILE *walk_open(const char *path)
{
    wchar_t *wide = to_wide(path);
    FILE *stream = _wfopen(wide, L"rb");

    free(wide);
    return stream;
}

/* main() gets them in the system's code page, with question marks. */
char **walk_arguments(int argc, char **argv)
{
    int count;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **copies;

    if (wide == NULL || count != argc)
        return argv;
    copies = allocate(NULL, ((size_t)count + 1) * sizeof(*copies));
    for (int i = 0; i < count; i++)
        copies[i] = from_wide(wide[i]);
    copies[count] = NULL;
    LocalFree(wide);
    return copies;
}

const char *walk_default_folder(void)
{
    return NULL;
}
