/* SPDX-License-Identifier: MIT */
/*
 * What the files of a queue's public interface share:
 *
 *     queue.c          making and closing; objects; counts
 *     queue_bytes.c    bytes, one or many
 *     queue_slot.c     without copying
 *     queue_tasks.c    tasks, the dead, the end
 *     queue_wait.c     one attempt, or as many as it takes; mp_wait()
 */
#ifndef MULTIPROC_QUEUE_USE_H
#define MULTIPROC_QUEUE_USE_H

#include "queue.h"

/* -- The locks (queue.c) --------------------------------------------------- */

/* One of the two words. If its last owner died, must_sweep tells the next one
 * that uses the core, which alone knows what to mend. */
mp_error mpi_queue_lock(mp_queue *queue, mpos_word *word);
void mpi_queue_unlock(mp_queue *queue, mpos_word *word);

/* For mp_queue_deliveries(), in this thread. */
void mpi_queue_note(const mp_queue *queue, uint32_t deliveries);

/* -- Attempts (queue_wait.c) ----------------------------------------------- */

/* What is to be put. */
typedef struct mpi_queue_offer {
    /* data is copied to a span, if it is too large to be inline. */
    mpi_item item;
    bool at_front;
} mpi_queue_offer;

/* MP_OK; MP_FULL; MP_ENOSPC; MP_ESHUTDOWN ... On failure, offer->item.span is
 * still the caller's, if it was before. */
mp_error mpi_queue_put_item(mp_queue *queue, mpi_queue_offer *offer,
                            double timeout);

/* What is to be got: see mpi_queue_type.take. */
typedef struct mpi_queue_wish {
    mpi_item_kind kind; /* 0: any */
    bool from_back;
    size_t most;
} mpi_queue_wish;

/* MP_OK; MP_EMPTY; MP_ETYPE; MP_EOVERFLOW; MP_ESHUTDOWN ... */
mp_error mpi_queue_take_item(mp_queue *queue, const mpi_queue_wish *wish,
                             double timeout, mpi_taken *taken);

/* The same for what is attempted in another way. attempt() gives MP_FULL or
 * MP_EMPTY if it is worth waiting. */
typedef struct mpi_queue_turn {
    mp_error (*attempt)(mp_queue *queue, void *context);
    void *context;
    bool is_put;
} mpi_queue_turn;
mp_error mpi_queue_attempt(mp_queue *queue, const mpi_queue_turn *turn,
                           double timeout);

/* Room that nobody else sees: MP_FULL: there is none now. MP_ENOSPC: there
 * never will be. */
mp_error mpi_queue_alloc(mp_queue *queue, size_t size, mpi_span *span);
/* The same for an item, which is copied there. Of a queue that is full already
 * no memory is asked for. */
mp_error mpi_queue_fill_span(mp_queue *queue, mpi_item *item);
/* What was not put after all; 0: nothing. */
void mpi_queue_give_back(mp_queue *queue, mpi_span span);
/* MP_FULL of a queue that is shut down is MP_ESHUTDOWN. */
mp_error mpi_queue_unless_shut(const mp_queue *queue, mp_error err);
/* MP_FULL of a queue that nobody waits for is MP_ENOSPC; with a sentence. */
mp_error mpi_queue_put_result(const mp_queue *queue, mp_error err);

/* After putting so many: wakes those who wait for them. */
void mpi_queue_has_put(mp_queue *queue, size_t count);
/* After taking so many, or giving memory back. */
void mpi_queue_has_room(mp_queue *queue, size_t count);
bool mpi_queue_is_shut(const mp_queue *queue);
mp_error mpi_queue_fail_shut(void);
mp_error mpi_queue_fail_object(void);

/* The short ways; false: they don't lead there. */
static inline bool mpi_queue_put_quickly(mp_queue *queue, const mpi_item *item)
{
    if (queue->type->put_quickly == NULL || item->size > MPI_ITEM_INLINE ||
        !queue->type->put_quickly(queue, item))
        return false;
    mpi_queue_has_put(queue, 1);
    return true;
}

static inline bool mpi_queue_take_quickly(mp_queue *queue, mpi_item *item,
                                          void *data)
{
    if (queue->type->take_quickly == NULL ||
        !queue->type->take_quickly(queue, item, data))
        return false;
    mpi_queue_has_room(queue, 1);
    return true;
}

/* Until get() will not wait: MP_OK, MP_TIMED_OUT. */
mp_error mpi_queue_wait(mp_queue *queue, double timeout);

/* -- The dead (queue_tasks.c) ---------------------------------------------- */

/* What they had taken is given back, or is done; unless somebody has looked
 * just now. */
mp_error mpi_queue_look(mp_queue *queue);

#endif
