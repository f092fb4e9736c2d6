/* SPDX-License-Identifier: MIT */
/*
 * What wordcount asks of the system: walk_posix.c, walk_win32.c. Paths are
 * UTF-8 on Windows, and any bytes elsewhere.
 */
#ifndef WALK_H
#define WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct wc_file {
    char *path;
    uint64_t size;
} wc_file;

typedef struct wc_file_list {
    wc_file *items;
    size_t count;
    size_t capacity;
    bool has_errors; /* a folder could not be read; reported on stderr */
} wc_file_list;

/**
 * Adds every regular file under a folder, as `find -type f` does: links are
 * not followed.
 */
void walk(wc_file_list *list, const char *folder);

/** As fopen(path, "rb"). */
FILE *walk_open(const char *path);

/** argv in UTF-8, for the life of the program. */
char **walk_arguments(int argc, char **argv);

/** The folder of the system's C headers, or NULL. */
const char *walk_default_folder(void);

bool walk_stderr_is_terminal(void);

/* -- For both: file_list.c ------------------------------------------------- */

/** Adds a copy of "folder/name", or of folder if name is NULL. */
void file_list_add(wc_file_list *list, const char *folder, const char *name,
                   uint64_t size);
/** Takes the last path out; the caller frees it. NULL if there is none. */
char *file_list_pop(wc_file_list *list);
/** By path, so that one folder always gives one order. */
void file_list_sort(wc_file_list *list);
void file_list_free(wc_file_list *list);

#endif
