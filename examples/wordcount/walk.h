/* SPDX-License-Identifier: MIT */
/*
 * What wordcount and sha256_tree ask of the system: walk_posix.c, walk_win32.c.
 * Paths are UTF-8 on Windows, and any bytes elsewhere.
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

/** Stands before what went wrong; the program's own. */
extern const char walk_program[];

/** Adds the regular files of a folder to one list, and its folders to another.
 *  Links are not followed. */
void walk_folder(wc_file_list *list, wc_file_list *folders, const char *folder);

/** As fopen(path, "rb"). */
FILE *walk_open(const char *path);

/** argv in UTF-8, for the life of the program. */
char **walk_arguments(int argc, char **argv);

/** The folder of the system's C headers, or NULL. */
const char *walk_default_folder(void);

/* -- On every system: file_list.c ------------------------------------------ */

/** Adds a copy of "folder/name", or of folder if name is NULL. */
void file_list_add(wc_file_list *list, const char *folder, const char *name,
                   uint64_t size);
/** Adds a file, whose path is the list's then. */
void file_list_put(wc_file_list *list, const wc_file *file);
/** Takes the last one out: its path is the caller's. False: there is none. */
bool file_list_pop(wc_file_list *list, wc_file *out);
void file_list_free(wc_file_list *list);

/** The next walk_next() begin with what is in that folder. */
void walk_begin(wc_file_list *stack, const char *folder);
/**
 * The next of all regular files under it, by path, as `find -type f | sort` has
 * them in the C locale. Folders are read when it is their turn.
 * @param[out] out  its path is the caller's. False: there are no more.
 */
bool walk_next(wc_file_list *stack, wc_file *out);

#endif
