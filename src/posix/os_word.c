/* SPDX-License-Identifier: MIT */
/*
 * Sleeping until a word changes: by address, so no port of ours needs a queue.
 *
 * A futex is never refused, hence os_word_futex.c is all there is where it is
 * built. Elsewhere the first mechanism that this very system has is chosen,
 * when the library is loaded: a signal handler that wakes finds the choice
 * made. All processes of a machine choose the same.
 */
#include "os_internal.h"

mp_error mpos_word_queue(const char *key, mpos_handle *queue)
{
    (void)key;
    *queue = MPOS_NONE;
    return MP_OK;
}

#ifdef MULTIPROC_WORD_FUTEX

void mpos_word_loaded(void)
{
}

#else

/* The best first. The last one is never refused. */
static const mpos_word_mechanism *const mechanisms[] = {
#ifdef MULTIPROC_WORD_OSYNC
    &mpos_word_osync,
#endif
    &mpos_word_poll,
};

enum { MECHANISM_COUNT = sizeof(mechanisms) / sizeof(mechanisms[0]) };

/* 0: not chosen yet; else one more than the index. */
static mpi_atomic32 choice;

static const mpos_word_mechanism *chosen(void)
{
    uint32_t number = mpi_atomic32_load(&choice);

    /* Other constructors may come before ours. */
    if (number == 0) {
        mpos_word_loaded();
        number = mpi_atomic32_load(&choice);
    }
    return mechanisms[number - 1];
}

void mpos_word_loaded(void)
{
    uint32_t index = 0;

    while (index + 1 < MECHANISM_COUNT && !mechanisms[index]->probe())
        index++;
    mpi_atomic32_store(&choice, index + 1);
}

bool mpos_word_wait(mpos_word *word, mpos_handle queue, uint32_t expected,
                    int64_t deadline)
{
    (void)queue;
    return chosen()->wait(word, expected, deadline);
}

void mpos_word_wake(mpos_word *word, mpos_handle queue, uint32_t count)
{
    (void)queue;
    if (count > 0)
        chosen()->wake(word, count);
}

#endif
