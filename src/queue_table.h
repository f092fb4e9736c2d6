/* SPDX-License-Identifier: MIT */
/*
 * How a queue's items lie in slots, for the files of the table:
 *
 *     queue_table.c           what is put and taken
 *     queue_table_taken.c     what becomes of that: mpi_queue_type
 *     queue_table_parts.c     the bytes of an item, and its key
 *     queue_table_order.c     the index: which item is the next one
 *     queue_table_pool.c      places of one size in units
 *     queue_table_repair.c    all that is derived, made again from the slots
 *
 * What is true: the chain of units that have slots in them, and in each slot
 * its state, one store of which puts an item, takes it or gives it back. A slot
 * that is free means nothing; of any other all is true but the index. The rest
 * (root but for `slots`, what a unit says of its places, the counts) is derived
 * from that, changed with put_lock held, and made again when its owner died, or
 * somebody found that it makes no sense.
 *
 * Others may write anything there at any time: each number is read once and
 * checked before it leads anywhere, and each walk has an end.
 */
#ifndef MULTIPROC_QUEUE_TABLE_H
#define MULTIPROC_QUEUE_TABLE_H

#include "queue.h"

#include "obj.h"

/* A slot: its unit * 256, and which in there. 0: none. */
typedef uint32_t mpi_place;

typedef enum mpi_slot_use {
    MPI_SLOT_FREE,
    MPI_SLOT_QUEUED,
    MPI_SLOT_TAKEN, /* by its owner, who has not acknowledged it yet */
    MPI_SLOT_DONE,  /* acknowledged, but the owner still reads its span */
} mpi_slot_use;

/* A slot's state, in one word. */
typedef struct mpi_slot_state {
    mpi_slot_use use;
    mpi_item_kind kind;
    bool is_read;        /* the owner still reads its span */
    uint32_t owner;      /* of what is TAKEN or DONE */
    uint32_t deliveries; /* how often it was given out */
} mpi_slot_state;

/* Where an item's bytes are, if not in the slot. A block has the key and, if
 * there is no span, the item's bytes behind that. */
typedef struct mpi_slot_parts {
    mpi_span block;
    uint32_t index; /* in that unit's pool, or MPI_WHOLE_UNITS */
    uint32_t key_size;
    mpi_span span;
} mpi_slot_parts;

enum {
    MPI_WHOLE_UNITS = UINT16_MAX, /* the block is units of its own */
    MPI_SLOT_ROOM = 16,           /* bytes in the slot itself */
};

typedef enum mpi_slot_form {
    MPI_FORM_HERE,  /* slot.with.bytes */
    MPI_FORM_PARTS, /* slot.with.parts */
} mpi_slot_form;

typedef struct mpi_table_slot {
    mpi_atomic64 state;
    int64_t order; /* of equal keys, and of all if there are no keys */
    int64_t priority;
    /* Of what is TAKEN: the owner's number may be somebody else's later; and
     * which was taken first. */
    uint32_t taker; /* the owner's mpi_queue_tag() */
    uint32_t taken_at;
    /* The index: neighbours in a list, or left and right below it in a heap. */
    mpi_place before;
    mpi_place after;
    uint32_t size_low;
    uint16_t size_high;
    uint8_t rank; /* the index: of the heap */
    uint8_t form;
    union {
        unsigned char bytes[MPI_SLOT_ROOM];
        mpi_slot_parts parts;
    } with;
} mpi_table_slot;

enum {
    MPI_POOL_SLOTS = 0, /* the others are for blocks */
    MPI_POOL_COUNT = 18,
    MPI_POOL_HEAD = 128, /* bytes, of a unit; then the places */
    MPI_POOL_WORDS = 8,
    MPI_LARGEST_BLOCK = MPI_UNIT_SIZE - MPI_POOL_HEAD,
    MPI_SLOTS_PER_UNIT = MPI_LARGEST_BLOCK / 64,
};

/* What a unit of a pool begins with. */
typedef struct mpi_pool_unit {
    mpi_atomic32 magic; /* tells the pool */
    mpi_atomic32 chain; /* of slots only: the next unit that has some */
    /* Derived: */
    mpi_span chain_before;
    mpi_span before; /* among those of the pool that have room */
    mpi_span after;
    uint32_t used;                 /* places */
    uint64_t round;                /* of repair, when it was seen last */
    uint64_t bits[MPI_POOL_WORDS]; /* set: the place is used */
} mpi_pool_unit;

/* In a unit of its own, thing->put_cursor[0]. */
typedef struct mpi_table_root {
    uint32_t magic;
    mpi_atomic32 slots; /* the first unit that has some */
    /* Derived: */
    mpi_place front; /* of the list; or the top of the heap */
    mpi_place back;
    uint32_t top_owner; /* no process beyond it has taken anything */
    uint32_t turn;      /* for the next one's taken_at */
    uint64_t round;
    int64_t front_order; /* for the next one that is put there */
    int64_t back_order;
    mpi_span with_room[MPI_POOL_COUNT];
    mpi_span spare[MPI_POOL_COUNT]; /* kept, though nothing in it is used */
} mpi_table_root;

/* Whoever has the lock. */
typedef struct mpi_table {
    mp_queue *queue;
    mpi_queue_thing *thing;
    mpi_units *units;
    mpi_table_root *root; /* NULL: nothing was ever put */
    uint32_t self;
    uint32_t tag;    /* mpi_table_slot.taker of this process */
    uint64_t *taken; /* [owner - 1], see mpi_taken_list */
    /* The key of what is just being put, so that it is decoded once. */
    mpi_place new_place;
    mp_obj *new_key;
} mpi_table;

/* -- The lock (queue_table.c) ---------------------------------------------- */

/* MP_OK, or a failure: all is well then that can be. */
mp_error mpi_table_begin(mp_queue *queue, mpi_table *table);
void mpi_table_end(mpi_table *table);
/* The queue is damaged, and the index to be made again. */
mp_error mpi_table_damaged(mpi_table *table);
/* Gives memory back if it is worth it. */
void mpi_table_trim(mpi_table *table);

static inline void mpi_table_count(mpi_atomic64 *count)
{
    mpi_atomic64_store(count, mpi_atomic64_load(count) + 1);
}

/* -- Units with places of one size (queue_table_pool.c) -------------------- */

typedef struct mpi_pool_place {
    mpi_span unit;
    uint32_t index;
} mpi_pool_place;

/* The pool for blocks of that size; MPI_POOL_COUNT: units of their own. */
unsigned mpi_pool_for(size_t size);
uint32_t mpi_pool_place_size(unsigned pool);
/* NULL: there is no such unit. */
mpi_pool_unit *mpi_pool_unit_at(const mpi_table *table, mpi_span unit,
                                unsigned pool);
/* Whose unit that is; MPI_POOL_COUNT: nobody's. */
unsigned mpi_pool_of(const mpi_table *table, mpi_span unit);
/* NULL: there is no such place. */
void *mpi_pool_at(const mpi_table *table, unsigned pool, mpi_pool_place place);
/* MP_FULL, MP_ENOSPC, MP_ENOMEM, MP_EPROTO. */
mp_error mpi_pool_alloc(mpi_table *table, unsigned pool, mpi_pool_place *place);
/* What does not make sense is noticed, but not freed. */
void mpi_pool_free(mpi_table *table, unsigned pool, mpi_pool_place place);
/* For a repair: a unit is seen for the first time, or a place of it is used.
 * False: that can't be. */
bool mpi_pool_begin_unit(mpi_table *table, unsigned pool, mpi_span span,
                         mpi_pool_unit *unit);
bool mpi_pool_claim(mpi_table *table, unsigned pool, mpi_pool_place place);
/* Those in which nothing is used are given back: all of them, for a repair, or
 * those that were kept. */
void mpi_pool_drop_empty(mpi_table *table);
void mpi_pool_drop_spare(mpi_table *table);

/* -- Slots (queue_table_parts.c) ------------------------------------------- */

static inline mpi_pool_place mpi_place_split(mpi_place place)
{
    return (mpi_pool_place){place >> 8, place & 255};
}

/* NULL: there is no such slot. */
static inline mpi_table_slot *mpi_table_at(const mpi_table *table,
                                           mpi_place place)
{
    return mpi_pool_at(table, MPI_POOL_SLOTS, mpi_place_split(place));
}

/* False: it makes no sense. */
bool mpi_slot_read(const mpi_table_slot *slot, mpi_slot_state *state);
void mpi_slot_write(mpi_table_slot *slot, mpi_slot_state state);

/* What is in a slot, checked. */
typedef struct mpi_contents {
    mpi_slot_state state;
    size_t size;
    const void *data;
    const void *key; /* NULL: the slot's priority is the key */
    size_t key_size;
    mpi_slot_parts parts; /* all 0: everything is in the slot */
} mpi_contents;

/* False: it makes no sense. */
bool mpi_slot_open(const mpi_table *table, const mpi_table_slot *slot,
                   mpi_contents *contents);
/* A slot with that item in it, FREE still. MP_FULL, MP_ENOSPC, MP_ENOMEM. */
mp_error mpi_slot_make(mpi_table *table, const mpi_item *item,
                       mpi_place *place);
/* Its state is FREE: frees it, and its block. Not the span. */
void mpi_slot_free(mpi_table *table, mpi_place place,
                   const mpi_slot_parts *parts);
/* For mp_obj_unref(); an error object: MP_ENOMEM, MP_EPROTO. */
mp_obj *mpi_slot_key(mpi_table *table, mpi_place place);
static inline bool mpi_slot_has_key(const mpi_table_slot *slot)
{
    return slot->form == MPI_FORM_PARTS && slot->with.parts.key_size != 0;
}

/* -- The index (queue_table_order.c) --------------------------------------- */

/* By its order, or key. MP_ETYPE: it can't be compared. MP_ENOMEM. */
mp_error mpi_order_insert(mpi_table *table, mpi_place place);
/* 0: none. */
mpi_place mpi_order_first(const mpi_table *table, bool from_back);
/* What that was. MP_ENOMEM; then it is still there. */
mp_error mpi_order_remove(mpi_table *table, mpi_place place);

/* For a repair: many at once, in any order. */
typedef struct mpi_sorter {
    mpi_place runs[32]; /* [n]: 2^n of them, or none */
} mpi_sorter;
typedef enum mpi_sort_by {
    MPI_BY_ORDER,
    MPI_BY_KEY,   /* a heap */
    MPI_BY_TAKEN, /* the first that was taken comes first */
} mpi_sort_by;
mp_error mpi_sorter_add(mpi_table *table, mpi_sorter *sorter, mpi_sort_by by,
                        mpi_place place);
/* A list, linked forwards only, or the top of a heap. */
mp_error mpi_sorter_end(mpi_table *table, mpi_sorter *sorter, mpi_sort_by by,
                        mpi_place *first);
/* That becomes the index. */
mp_error mpi_order_set(mpi_table *table, mpi_place first);

static inline bool mpi_table_has_heap(const mpi_table *table)
{
    return table->queue->order == MP_QUEUE_PRIORITY;
}

/* -- What processes have taken --------------------------------------------- */

/* With redelivery, what an owner has taken is a list, linked forwards, the
 * first taken first: its ends are in mpi_queue_outstanding(). */
typedef struct mpi_taken_list {
    mpi_place first;
    mpi_place last;
} mpi_taken_list;

static inline mpi_taken_list mpi_taken_get(const mpi_table *table,
                                           uint32_t owner)
{
    uint64_t ends = table->taken[owner - 1];

    return (mpi_taken_list){(mpi_place)ends, (mpi_place)(ends >> 32)};
}

static inline void mpi_taken_set(mpi_table *table, uint32_t owner,
                                 mpi_taken_list list)
{
    table->taken[owner - 1] = (uint64_t)list.last << 32 | list.first;
}

/* False: damaged. */
bool mpi_taken_append(mpi_table *table, uint32_t owner, mpi_place place);

/* As in mpi_queue_type. */
mp_error mpi_table_acknowledge(mp_queue *queue);
void mpi_table_release(mp_queue *queue, mpi_span span);
mp_error mpi_table_bury(mp_queue *queue, uint64_t *count);
mp_error mpi_table_clear(mp_queue *queue, uint64_t *count);

/* -- Repair (queue_table_repair.c) ----------------------------------------- */

enum { MPI_ROOT_MAGIC = 0x746f6f72 };

/* Finds the root, and what is derived made again if that must be: with the
 * lock. MP_EPROTO, MP_ENOMEM. */
mp_error mpi_table_find_root(mpi_table *table);
/* In a unit of its own, with nothing in it. */
mp_error mpi_table_make_root(mpi_table *table);

#endif
