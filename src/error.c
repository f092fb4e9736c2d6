/* SPDX-License-Identifier: MIT */
/*
 * Error codes, the thread's last sentence, and allocation that can fail on
 * demand. Ending a process is not done here: see exit.c.
 */
#include "internal.h"

#include <multiproc/object.h>

#include "os.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SENTENCE_SIZE = 512 };

static MPI_THREAD_LOCAL char sentence[SENTENCE_SIZE];

const char *mp_error_name(mp_error error)
{
    switch (error) {
#define NAME_CASE(name, number, text) \
    case name:                        \
        return #name;
        MP_ERROR_TABLE(NAME_CASE)
#undef NAME_CASE
    }
    return "MP_E?";
}

const char *mp_strerror(mp_error error)
{
    switch (error) {
#define TEXT_CASE(name, number, text) \
    case name:                        \
        return text;
        MP_ERROR_TABLE(TEXT_CASE)
#undef TEXT_CASE
    }
    return "unknown error";
}

const char *mp_error_message(void)
{
    return sentence;
}

mp_error mpi_fail(mp_error error, const char *format, ...)
{
    char text[SENTENCE_SIZE]; /* an argument may be the sentence itself */
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    memcpy(sentence, text, sizeof(text));
    return error;
}

mp_error mpi_context(mp_error error, const char *format, ...)
{
    char what[SENTENCE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    return mpi_fail(error, "%s: %s", what, sentence);
}

mp_error mpi_no_memory(void)
{
    return mpi_fail(MP_ENOMEM, "out of memory");
}

void mpi_forget_failure(void)
{
    sentence[0] = 0;
}

#ifdef MULTIPROC_FAULTS
#define MEMORY_IS_SHORT() (mpi_fault_hits("malloc") != MP_OK)
#else
#define MEMORY_IS_SHORT() false
#endif

void *mpi_malloc(size_t size)
{
    /* Never NULL for want of bytes to give: NULL means failure only. */
    return MEMORY_IS_SHORT() ? NULL : malloc(size == 0 ? 1 : size);
}

void *mpi_calloc(size_t count, size_t size)
{
    if (MEMORY_IS_SHORT())
        return NULL;
    return count == 0 || size == 0 ? calloc(1, 1) : calloc(count, size);
}

void *mpi_realloc(void *memory, size_t size)
{
    return MEMORY_IS_SHORT() ? NULL : realloc(memory, size == 0 ? 1 : size);
}

char *mpi_strdup(const char *text)
{
    char *copy;

    if (text == NULL)
        return NULL;
    copy = mpi_malloc(strlen(text) + 1);
    if (copy != NULL)
        memcpy(copy, text, strlen(text) + 1);
    return copy;
}

void mp_free(void *memory)
{
    free(memory);
}
