/* SPDX-License-Identifier: MIT */
/* What a test does to the system around it, the same on every one. */
#ifndef SUPPORT_SYSTEM_H
#define SUPPORT_SYSTEM_H

#include <stdbool.h>
#include <stddef.h>

enum { SUPPORT_PATH_SIZE = 1024 };

/* In the environment of programs started from now on; value NULL: not there. */
void support_set_variable(const char *name, const char *value);

/* "<folder of the test program>/<name>", with .exe where that is the habit. */
void support_program_beside(const char *name, char path[SUPPORT_PATH_SIZE]);
/* A new, empty folder for temporary files; prefix may be any UTF-8. */
void support_make_folder(const char *prefix, char path[SUPPORT_PATH_SIZE]);
/* With what it contains, one level deep. */
void support_remove_folder(const char *path);
/* "<folder>/<name>" as the system writes it. */
void support_join_path(const char *folder, const char *name,
                       char path[SUPPORT_PATH_SIZE]);
/* A copy that can be executed. */
bool support_copy_program(const char *from, const char *to);
void support_remove_file(const char *path);
bool support_rename_file(const char *from, const char *to);
/* What is in a file, cut to fit and terminated; "" if there is none. */
void support_read_file(const char *path, char *text, size_t size);

/* As many handles as that may be open at once, if the system can be asked. */
bool support_allow_handles(size_t count);
/* A sanitizer looks on, or coverage is counted: memory is given back late,
 * starts and ends are slow. */
bool support_is_watched(void);
/* How often to repeat what is to be done count times: fewer where
 * MULTIPROC_TEST_SCALE (a divisor) or what watches the program says so. */
size_t support_scaled(size_t count);

#endif
