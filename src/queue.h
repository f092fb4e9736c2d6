/* SPDX-License-Identifier: MIT */
/*
 * What a queue is made of.
 *
 *     queue.c          the public interface: objects, bytes, sleeping, the end
 *     queue_ring*.c    first in first out: two locks, variable-sized records
 *     queue_table*.c   all other orders, and redelivery: one lock, slots
 *     units.c          the memory both put items in
 *
 * A core (queue_ring.c, queue_table.c) never sleeps but on its locks, which are
 * held for a moment only, and never while anybody sleeps. queue.c does the
 * rest: it encodes, waits for items and for room, and counts tasks.
 *
 * Whoever is killed does so at any instruction. The rules that follow:
 * - the one store that makes an item visible is that of put_count, the one that
 *   takes it is that of got_count (the ring), or that of a slot's state (the
 *   table); what belongs to a count is found by it: cursor[count % 2];
 * - beside that, all that a dead owner of a lock leaves behind is units that
 *   nobody refers to (must_sweep), and, in the table, an index, which is made
 *   again from the slots;
 * - large items have units of their own, which hold their owner: reserved by
 *   who writes, taken by who reads. Of a dead owner they are free.
 */
#ifndef MULTIPROC_QUEUE_INTERNAL_H
#define MULTIPROC_QUEUE_INTERNAL_H

#include "sync.h"
#include "units.h"

#include <multiproc/queue.h>

enum {
    /* Larger items have units of their own. */
    MPI_ITEM_INLINE = 8192,
    /* Units that no item ever has: where it is written down. In a ring, a
     * segment, and the one behind it; in a table, a root and slots. */
    MPI_QUEUE_BESIDE = 2,
};

typedef enum mpi_item_kind {
    MPI_ITEM_BYTES = 1,
    MPI_ITEM_OBJECT, /* a pickle */
} mpi_item_kind;

/* An item on its way in, or out. */
typedef struct mpi_item {
    mpi_item_kind kind;
    uint32_t deliveries; /* out: 1 is the first time */
    /* The key in a priority queue: an integer; or what key_data has, a pickle,
     * which then is compared as Python compares. */
    int64_t priority;
    const void *key_data; /* NULL: the integer is the key */
    size_t key_size;
    /* In: what is copied, unless span is not 0. Out: where it was copied to
     * (mpi_taken.room), or the span's memory. */
    const void *data;
    size_t size;
    mpi_span span; /* units that hold it; 0: none */
    uint64_t slot; /* out, redelivery: what mpi_queue_type.acknowledge takes */
} mpi_item;

/* In the cells of its share: all zero but for the first line. Each line is
 * written by one side; offsets count from the cell, of which 16 bytes are
 * share.c's. */
typedef struct mpi_queue_thing {
    mpos_word put_lock; /* of the table: the only one. First: see share.h */
    uint32_t order;     /* an mp_queue_order */
    uint32_t redelivers;
    uint64_t maxsize; /* 0: none */
    uint64_t max_units;
    uint64_t spare; /* the ring: its first segment */
    uint64_t spare2;
    /* Those who put. */
    mpi_atomic64 put_count;
    uint64_t put_cursor[2]; /* [put_count % 2] */
    mpi_atomic64 seen_got;  /* got_count is at least this */
    uint64_t put_pad[12];
    /* Those who get. */
    mpos_word get_lock;
    mpi_atomic64 got_count;
    uint64_t get_cursor[2]; /* [got_count % 2] */
    mpi_atomic64 seen_put;  /* put_count is at least this */
    uint64_t get_pad[11];
    /* Written when somebody sleeps, or is to be woken. */
    mpos_word items; /* see mpi_word_alert(): something was put */
    mpos_word room;  /* something was taken, or memory is free */
    mpos_word tasks; /* the last task was done */
    mpi_atomic64 done_count;
    mpi_atomic64 lost_count; /* of these, taken by processes that died */
    mpi_atomic32 is_shut;    /* 1: no more puts */
    mpi_atomic32 must_sweep; /* units may be lost: mpi_units_sweep() */
    uint64_t last_pad[9];
} mpi_queue_thing;

/* The segment at one end of a ring: what this process has checked of it.
 * Guarded by that end's lock. */
typedef struct mpi_ring_end {
    unsigned char *memory;
    mpi_span span; /* 0: none yet */
    uint32_t size;
    uint64_t entry; /* of the units' table: while it is this, all of it is so */
} mpi_ring_end;

/* Of this process. */
struct mp_queue {
    mpi_sync sync; /* first */
    mpi_queue_thing *thing;
    const struct mpi_queue_type *type;
    mpi_units units;
    /* What is fixed, so that nobody reads it from where others write. */
    size_t maxsize;
    mp_queue_order order;
    bool redelivers;
    /* What queue_wait.c and queue_tasks.c know. */
    mpi_atomic32 spins;
    mpi_atomic64 last_look;
    mpi_atomic64 lost_seen;
    /* What the ring knows. */
    mpi_ring_end put_end;
    mpi_ring_end get_end;
};

/* Where take() may put what is at most MPI_ITEM_INLINE bytes. */
typedef struct mpi_taken {
    mpi_item item;
    unsigned char room[MPI_ITEM_INLINE];
} mpi_taken;

/*
 * One of the two cores. All of them attach to nothing and check nothing of the
 * user's: queue.c has. Each may fail with what mpi_word_lock() fails with, and
 * with MP_EPROTO if the memory makes no sense; nothing has happened then.
 */
typedef struct mpi_queue_type {
    /* Never waits. MP_OK; MP_FULL: there are maxsize items, or no units for one
     * more (queue.c tells MP_ENOSPC from that); MP_ETYPE: see mp_queue_put();
     * MP_ENOSPC: the system has no memory; MP_ESHUTDOWN: is_shut, which is
     * set with put_lock held, so that nothing is put behind the last look of
     * who gets. A span is the queue's from MP_OK on. */
    mp_error (*put)(mp_queue *queue, const mpi_item *item, bool at_front);
    /* Never waits. MP_OK, or MP_EMPTY. Up to MPI_ITEM_INLINE bytes are copied
     * into taken->room; if they are more than `most`: MP_EOVERFLOW, with the
     * item's size, and the item stays. wanted: the kind it must be, 0 for any;
     * else MP_ETYPE, and it stays. A span belongs to this process from MP_OK
     * on: mpi_queue_release(). */
    mp_error (*take)(mp_queue *queue, bool from_back, mpi_item_kind wanted,
                     size_t most, mpi_taken *taken);
    /* Several of them with the lock taken once: *done of count items were put,
     * MP_OK if that is all. */
    mp_error (*put_many)(mp_queue *queue, const mpi_item *items, size_t count,
                         size_t *done);
    /* Bytes of up to count items, as they fit: mp_queue_get_many(). Those that
     * have a span end it. MP_EMPTY, MP_EOVERFLOW if there is not even one;
     * MP_ETYPE: the first is no bytes; MP_OK and *done 0: it has a span, which
     * is for take(). */
    mp_error (*take_many)(mp_queue *queue, void *data, size_t capacity,
                          mp_bytes *items, size_t count, size_t *done);
    /* Only with redelivery: this process's oldest that it has not acknowledged
     * is done, and counted in done_count. MP_ESTATE: there is none. */
    mp_error (*acknowledge)(mp_queue *queue);
    /* A span that take() gave is not read any more. NULL: its units are free,
     * and that is all. Called by mpi_queue_release(). */
    void (*release)(mp_queue *queue, mpi_span span);
    /* Looks for what dead processes had taken. Redelivery: gives it back and
     * tells how many. Otherwise: how many items are neither done nor taken by
     * somebody alive (which queue.c counts as done, lost). */
    mp_error (*bury)(mp_queue *queue, uint64_t *count);
    /* Everything is thrown away; *count: how many. With redelivery they are in
     * done_count then. */
    mp_error (*clear)(mp_queue *queue, uint64_t *count);
    /* Of damage: MP_EPROTO. Called once, when it is opened. */
    mp_error (*check)(mp_queue *queue);
    size_t (*length)(mp_queue *queue);
    /* With put_lock held, and nothing else: if must_sweep is set, or get_lock's
     * owner has died, units that nobody refers to are free. NULL: nothing to
     * do. */
    mp_error (*sweep)(mp_queue *queue);
    /* The short ways, for up to MPI_ITEM_INLINE bytes while nobody has the lock
     * and nothing is out of the ordinary. False: nothing has happened, and it
     * has to be done, or be told, by put() or take(). NULL: there are none. */
    bool (*put_quickly)(mp_queue *queue, const mpi_item *item);
    /* in: item->kind is what it must be, 0 for any, item->size what data has
     * room for. out: kind and size. */
    bool (*take_quickly)(mp_queue *queue, mpi_item *item, void *data);
} mpi_queue_type;

extern const mpi_queue_type mpi_queue_ring;
extern const mpi_queue_type mpi_queue_table;
extern const mpi_sync_type mpi_queue_kind;

/* Which process a number's is now: another one that gets it later has another
 * tag, as good as always. */
uint32_t mpi_queue_tag(const mp_queue *queue, uint32_t owner);
/* Of each process, [owner - 1], how many items it has taken and not
 * acknowledged, and in the upper half its tag: of another one that had the
 * number, they are lost. With redelivery, see queue_table.h. Changed with the
 * lock of those who take held. */
uint64_t *mpi_queue_outstanding(const mp_queue *queue);
/* With that lock held: so many more of this process. Before they are taken: an
 * item may be counted that is in the queue still, but none is missing. */
void mpi_queue_count_taken(mp_queue *queue, uint64_t count);
/* With that lock held: how many are neither done nor somebody's who lives. */
uint64_t mpi_queue_count_lost(mp_queue *queue);
/* With put_lock held: mpi_units_alloc(), after what the dead have left. */
mp_error mpi_queue_alloc_units(mp_queue *queue, uint32_t count,
                               mpi_unit_use use, mpi_span *span);
/* With put_lock held: units for an item, RESERVED. A queue that is empty, of
 * which nobody has an item or has reserved one, has them all but for
 * MPI_QUEUE_BESIDE, in one piece; and of a ring that is empty they leave what a
 * record needs, so that whoever has units can put what is in them. */
mp_error mpi_queue_alloc_span(mp_queue *queue, uint32_t count, mpi_span *span);
/* The units of a span that this process has: free again. */
void mpi_queue_release(mp_queue *queue, mpi_span span);

/* -- For mp_wait() --------------------------------------------------------- */

/* As event.h: ready means that get() will not wait. */
mp_error mpi_queue_check(mp_queue *queue);
bool mpi_queue_is_ready(mp_queue *queue);
mp_error mpi_queue_watch(mp_queue *queue, const mpi_atomic32 *flag);
void mpi_queue_nudge(mp_queue *queue);

#endif
