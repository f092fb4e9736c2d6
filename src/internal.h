/* SPDX-License-Identifier: MIT */
/*
 * What the files of src/ share with each other: failing with a sentence,
 * allocation, byte buffers, and deadlines. Nothing here is public.
 */
#ifndef MULTIPROC_INTERNAL_H
#define MULTIPROC_INTERNAL_H

#include <multiproc/error.h>

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* -- Failing (error.c) ----------------------------------------------------- */

/* Sets this thread's sentence and returns error, so that a guard is one line:
 * return mpi_fail(MP_EINVAL, "..."). No full stop, no newline. */
mp_error mpi_fail(mp_error error, const char *format, ...) MP_PRINTF(2, 3);
/* Puts "what: " in front of the sentence that is there already. */
mp_error mpi_context(mp_error error, const char *format, ...) MP_PRINTF(2, 3);
/* The usual one. */
mp_error mpi_no_memory(void);
/* As if nothing had failed in this thread yet: an old sentence would lie about
 * whatever the user's code fails with. */
void mpi_forget_failure(void);

/* -- Allocation (error.c) -------------------------------------------------- */

/* malloc and friends; a test build can make the n-th call return NULL. */
void *mpi_malloc(size_t size);
void *mpi_calloc(size_t count, size_t size);
void *mpi_realloc(void *memory, size_t size);
/* NULL if text is NULL or memory is short. */
char *mpi_strdup(const char *text);

/* -- A growing run of bytes (buffer.c) ------------------------------------- */

typedef struct mpi_buffer {
    unsigned char *data;
    size_t size;
    size_t capacity;
    bool has_failed; /* memory ran out; what was appended since is lost */
    bool is_fixed;   /* data is somebody else's, and never moves nor grows */
} mpi_buffer;

/* Room for size more bytes at data + this->size, or false (has_failed). */
bool mpi_buffer_reserve(mpi_buffer *buffer, size_t size);
void mpi_buffer_append(mpi_buffer *buffer, const void *data, size_t size);
void mpi_buffer_printf(mpi_buffer *buffer, const char *format, ...)
    MP_PRINTF(2, 3);
/* Frees what is there and makes it empty again. */
void mpi_buffer_free(mpi_buffer *buffer);

/* -- Time (deadline.c) ----------------------------------------------------- */

/* Seconds from now as mpos_now() nanoseconds: MP_FOREVER, NaN and whatever
 * lies beyond the clock give MPOS_FOREVER; zero and less give the past. */
int64_t mpi_deadline(double timeout);

#endif
