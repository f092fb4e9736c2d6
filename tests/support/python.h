/* SPDX-License-Identifier: MIT */
/*
 * The Pythons of this machine, to talk to. MULTIPROC_PYTHONS names the programs
 * (separated by spaces); else it is python3.
 */
#ifndef SUPPORT_PYTHON_H
#define SUPPORT_PYTHON_H

#include "system.h"
#include "testing.h"

#include "internal.h"
#include "os.h"

#include <multiproc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct python {
    const char *program;
    int minor; /* 12: it is Python 3.12 */
    const char *script;
} python;

/* Beside the source of the test; skips it where that is elsewhere by now. */
#define python_script(name, path) python_script_at(__FILE__, (name), (path))

static inline void python_script_at(const char *source, const char *name,
                                    char path[SUPPORT_PATH_SIZE])
{
    size_t folder = strlen(source);
    FILE *file;

    while (folder != 0 && strchr("/\\", source[folder - 1]) == NULL)
        folder--;
    snprintf(path, SUPPORT_PATH_SIZE, "%.*s%s", (int)folder, source, name);
    file = fopen(path, "rb");
    if (file == NULL)
        cr_skip_test("%s is not there", path);
    else
        fclose(file);
}

/* The exit code of a line of the shell. */
static inline int python_run(const char *command)
{
    int code = system(command);

    /* POSIX has it in the second byte, Windows as it is. */
    return code > 255 ? code >> 8 : code;
}

/* 0: there is no Python 3 of that name. */
static inline int python_minor(const char *program)
{
    /* What no shell says of a program that it can't run. */
    enum { OFFSET = 100, END = 126 };
    char command[SUPPORT_PATH_SIZE];
    int code;

    snprintf(command, sizeof(command),
             "%s -c \"import sys; sys.exit(%d + sys.version_info[1] "
             "if sys.version_info[0] == 3 else 0)\" > %s 2>&1",
             program, OFFSET, mpos_system.null_device);
    code = python_run(command);
    return code > OFFSET && code < END ? code - OFFSET : 0;
}

/* Calls talk() with each from Python 3.<least> on; skips the test if there is
 * none. */
static inline void python_for_each(const char *script, int least,
                                   void (*talk)(const python *with))
{
    const char *named = getenv("MULTIPROC_PYTHONS");
    char *programs = mpi_strdup(named != NULL ? named : "python3");
    unsigned count = 0;

    cr_assert_not_null(programs);
    for (char *program = strtok(programs, " "); program != NULL;
         program = strtok(NULL, " ")) {
        python with = {
            .program = program,
            .minor = python_minor(program),
            .script = script,
        };

        if (with.minor < least)
            continue;
        talk(&with);
        count++;
    }
    free(programs);
    if (count == 0)
        cr_skip_test("no Python 3.%d or newer to talk to: see "
                     "MULTIPROC_PYTHONS",
                     least);
}

/* As many bytes as that, each of another kind than its neighbours, go to a
 * Python that sends them back. */
static inline void python_expect_bytes_echo(mp_connection *connection,
                                            size_t size)
{
    unsigned char *data = malloc(size + 1);
    void *back = NULL;
    size_t back_size;

    cr_assert_not_null(data);
    for (size_t i = 0; i < size; i++)
        data[i] = (unsigned char)(i ^ i >> 8);
    cr_assert_eq(mp_connection_send_bytes(connection, data, size), MP_OK);
    cr_assert_eq(mp_connection_recv_bytes(connection, &back, &back_size),
                 MP_OK);
    cr_assert_eq(back_size, size);
    cr_assert_eq(memcmp(back, data, size), 0);
    mp_free(back);
    free(data);
}

#endif
