/* SPDX-License-Identifier: MIT */
/*
 * The ring's commit protocol, producers' and consumers' deaths included:
 * queue_ring*.c and units.c themselves, run by two or three processes in every
 * order of their steps on shared memory, and killed at every store.
 *
 * Each process is a thread here, of which one runs at a time. Before each
 * atomic access it asks what comes next: it goes on, another one does, or it is
 * killed; and after each atomic store whether it is killed before the ordinary
 * stores that follow. Every sequence of answers is tried. Accesses to what only
 * one process writes and reads are no reason to ask who comes next; which those
 * are is found out on the way, and if there was a mistake all begins again.
 *
 * Of large scenarios only those orders are tried in which nobody is interrupted
 * more than a few times where it could have gone on.
 */
#include "support/testing.h"

#include "internal.h"
#include "sync.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- What the ring sees instead of the system ------------------------------ */

static uint64_t model_load64(const mpi_atomic64 *atomic);
static void model_store64(mpi_atomic64 *atomic, uint64_t value);
static bool model_change64(mpi_atomic64 *atomic, uint64_t from, uint64_t to);
static uint32_t model_load32(const mpi_atomic32 *atomic);
static void model_store32(mpi_atomic32 *atomic, uint32_t value);
static uint32_t model_add32(mpi_atomic32 *atomic, uint32_t change);
static bool model_change32(mpi_atomic32 *atomic, uint32_t from, uint32_t to);
static mp_error model_lock(mpos_word *word, double timeout);
static mp_error model_unlock(mpos_word *word);
static uint32_t model_owner(const mpos_word *word);
static uint32_t model_self(void);
static bool model_is_alive(uint32_t owner);
static mp_error model_map(size_t size, void **address);
static size_t model_data_size(void);

#define mpi_atomic64_load(atomic) model_load64(atomic)
#define mpi_atomic64_store(atomic, value) model_store64(atomic, value)
#define mpi_atomic64_change(atomic, from, to) model_change64(atomic, from, to)
#define mpi_atomic32_load(atomic) model_load32(atomic)
#define mpi_atomic32_store(atomic, value) model_store32(atomic, value)
#define mpi_atomic32_add(atomic, change) model_add32(atomic, change)
#define mpi_atomic32_change(atomic, from, to) model_change32(atomic, from, to)
#define mpi_word_lock(word, share, timeout) \
    ((void)(share), model_lock(word, timeout))
#define mpi_word_unlock(word, share) ((void)(share), model_unlock(word))
#define mpi_word_owner(word) model_owner(word)
#define mpi_share_self(share) ((void)(share), model_self())
#define mpi_share_look_at(share, owner) ((void)(share), model_is_alive(owner))
#define mpi_share_owner_is_alive(share, owner) \
    ((void)(share), model_is_alive(owner))
#define mpi_share_reserve(share, from, to) \
    ((void)(share), (void)(from), (void)(to), MP_OK)
#define mpi_share_return(share, from, to) \
    ((void)(share), (void)(from), (void)(to))
#define mpi_share_map_data(share, size, address) \
    ((void)(share), model_map(size, address))
#define mpi_share_data_size(share) ((void)(share), model_data_size())
#define mpi_share_storage(share) ((void)(share), MPI_STORAGE_PRIVATE)
#define mpos_memory_unmap(address, size) ((void)(address), (void)(size))

/* The library has these as well. */
#define mpi_queue_ring model_queue_ring
#define mpi_queue_alloc_span model_queue_alloc_span
#define mpi_queue_alloc_units model_queue_alloc_units
#define mpi_queue_count_taken model_queue_count_taken
#define mpi_queue_count_lost model_queue_count_lost
#define mpi_ring_begin_read model_ring_begin_read
#define mpi_ring_commit_read model_ring_commit_read
#define mpi_ring_find_next model_ring_find_next
#define mpi_ring_find_place model_ring_find_place
#define mpi_ring_follow_jump model_ring_follow_jump
#define mpi_ring_put model_ring_put
#define mpi_ring_put_many model_ring_put_many
#define mpi_ring_put_quickly model_ring_put_quickly
#define mpi_ring_read_record model_ring_read_record
#define mpi_ring_sweep model_ring_sweep
#define mpi_ring_sweep_locked model_ring_sweep_locked
#define mpi_ring_take model_ring_take
#define mpi_ring_take_many model_ring_take_many
#define mpi_ring_take_quickly model_ring_take_quickly
#define mpi_units_alloc_low model_units_alloc_low
#define mpi_units_has_more model_units_has_more
#define mpi_units_plan model_units_plan
#define mpi_units_open model_units_open
#define mpi_units_open_in model_units_open_in
#define mpi_units_reserve_first model_units_reserve_first
#define mpi_units_close model_units_close
#define mpi_units_alloc model_units_alloc
#define mpi_units_set model_units_set
#define mpi_units_free model_units_free
#define mpi_units_at model_units_at
#define mpi_units_count model_units_count
#define mpi_units_sweep_begin model_units_sweep_begin
#define mpi_units_sweep_mark model_units_sweep_mark
#define mpi_units_sweep_end model_units_sweep_end
#define mpi_units_sweep_cancel model_units_sweep_cancel
#define mpi_units_is_trimmable model_units_is_trimmable
#define mpi_units_trim model_units_trim

#include "queue_ring.c"
#include "queue_ring_quick.c"
#include "queue_ring_read.c"
#include "queue_ring_room.c"
#include "queue_ring_write.c"
#include "units.c"

#undef mpi_atomic64_load
#undef mpi_atomic64_store
#undef mpi_atomic64_change
#undef mpi_atomic32_load
#undef mpi_atomic32_store
#undef mpi_atomic32_add
#undef mpi_atomic32_change

/* -- Scenarios ------------------------------------------------------------- */

enum {
    PEOPLE = 3,
    MOST_ITEMS = 16, /* each puts */
    MOST_TAKEN = 32,
    MOST_CHOICES = 4000,
    MOST_SHARED = 4096,
    UNITS = 8,
    LARGE = 8190,   /* two of them do not fit the first segment */
    OF_SPAN = 24,   /* more would only take longer */
    ALL = 1000,     /* interrupts: every order */
    LATER = PEOPLE, /* who comes before and after all of them */
};

/*
 * A script is letters: 'p' puts a small item, 'P' a large one, 's' one that has
 * a span, 'S' one that has nearly all units, 'd' two small ones at once, 'm'
 * three; 'r' reserves nearly all units, and gives them back; 't' takes one, 'b'
 * up to three at once. 'q' and 'k' put and take one the short way, if there is
 * one.
 */
typedef struct scenario {
    const char *name;
    const char *before; /* done by another one, before all begins */
    const char *scripts[PEOPLE];
    size_t maxsize;
    unsigned kills;      /* of those of the first `mortals` */
    unsigned mortals;    /* people */
    unsigned interrupts; /* at most */
} scenario;

static const scenario *scene;

/* -- One execution --------------------------------------------------------- */

typedef enum status { READY, BLOCKED, DONE, KILLED } status;

typedef struct person {
    status status;
    mp_queue queue;
    mpi_taken taken;
    unsigned char bytes[3][LARGE];
    uint8_t tried; /* items */
    uint8_t put;
    uint8_t taken_count;
    uint8_t taken_ids[MOST_TAKEN];
    uint8_t in_hand; /* as many may be lost if it is killed now */
    jmp_buf end;
} person;

static person people[PEOPLE + 1];
static mpi_queue_thing thing;
static unsigned char *memory;
static unsigned char *memory_before; /* as all begin */
static mpi_queue_thing thing_before;
static size_t memory_size;
static size_t running;
static size_t taken_before; /* all begin, by LATER */
static unsigned kills;
static unsigned interrupts;
static unsigned most_interrupts;
static const char *problem;
static bool must_unwind;

/* -- What is decided ------------------------------------------------------- */

typedef struct choice {
    uint8_t options;
    uint8_t taken;
} choice;

static choice path[MOST_CHOICES];
static size_t path_length;
static size_t depth;

static void fail_model(const char *text)
{
    if (problem == NULL)
        problem = text;
}

static unsigned choose(unsigned options)
{
    if (options <= 1)
        return 0;
    if (depth == MOST_CHOICES) {
        fail_model("an execution has too many steps");
        return 0;
    }
    if (depth == path_length)
        path[path_length++] = (choice){(uint8_t)options, 0};
    else if (path[depth].options != options)
        fail_model("an execution can't be repeated");
    return path[depth++].taken;
}

/* False: all have been tried. */
static bool next_path(void)
{
    while (path_length > 0 &&
           path[path_length - 1].taken + 1 == path[path_length - 1].options)
        path_length--;
    if (path_length == 0)
        return false;
    path[path_length - 1].taken++;
    return true;
}

/* -- Who comes next -------------------------------------------------------- */

static mpos_word baton; /* 1 + whose turn it is */
static mpos_handle baton_queue = MPOS_NONE;

static void give_baton(size_t to)
{
    running = to;
    mpi_atomic32_store(&baton.value, (uint32_t)to + 1);
    mpos_word_wake(&baton, baton_queue, INT32_MAX);
}

static void await_baton(size_t who)
{
    for (;;) {
        uint32_t value = mpi_atomic32_load(&baton.value);

        if (value == (uint32_t)who + 1)
            return;
        mpos_word_wait(&baton, baton_queue, value, MPOS_FOREVER);
    }
}

static size_t ready_people(size_t but, size_t out[PEOPLE])
{
    size_t count = 0;

    for (size_t i = 0; i < PEOPLE; i++)
        if (i != but && people[i].status == READY)
            out[count++] = i;
    return count;
}

/* Somebody else goes on; back when it is this one's turn again. */
static void let_go_on(size_t who, size_t next)
{
    give_baton(next);
    await_baton(who);
    if (must_unwind)
        longjmp(people[who].end, 1);
}

/* This one can't go on. */
static void let_others_go_on(size_t who)
{
    size_t others[PEOPLE];
    size_t count = ready_people(who, others);

    if (count == 0) {
        fail_model("all wait for each other");
        let_go_on(who, LATER);
    } else {
        let_go_on(who, others[choose((unsigned)count)]);
    }
}

static void be_killed(size_t who)
{
    people[who].status = KILLED;
    kills++;
    for (size_t i = 0; i < PEOPLE; i++)
        if (people[i].status == BLOCKED)
            people[i].status = READY;
    longjmp(people[who].end, 1);
}

static bool may_be_killed(size_t who)
{
    return who < scene->mortals && kills < scene->kills;
}

/* -- What several use ------------------------------------------------------ */

typedef struct use {
    const void *address; /* NULL: free */
    uint8_t users;       /* bits */
    bool is_written;
} use;

static use uses[MOST_SHARED];
static bool has_learned;

/* Whether the order of accesses to it may matter. */
static bool is_shared(const void *address, bool is_store)
{
    size_t i = ((uintptr_t)address >> 2) * 2654435761U % MOST_SHARED;
    use *it;
    bool before;

    while (uses[i].address != NULL && uses[i].address != address)
        i = (i + 1) % MOST_SHARED;
    it = &uses[i];
    before = it->is_written && (it->users & (it->users - 1)) != 0;
    it->address = address;
    it->users |= (uint8_t)(1U << running);
    it->is_written = it->is_written || is_store;
    if (!before && it->is_written && (it->users & (it->users - 1)) != 0)
        has_learned = true;
    return before;
}

/* -- Steps ----------------------------------------------------------------- */

/* Before an access. */
static void ask(const void *address, bool is_store)
{
    size_t who = running;
    size_t others[PEOPLE];
    unsigned count = 0;
    unsigned chosen;

    if (who == LATER)
        return;
    if (is_shared(address, is_store) && interrupts < most_interrupts)
        count = (unsigned)ready_people(who, others);
    chosen = choose(1 + count + may_be_killed(who));
    if (chosen == 0)
        return;
    if (chosen == 1 + count)
        be_killed(who);
    interrupts++;
    let_go_on(who, others[chosen - 1]);
}

/* After a store, and before anything else. */
static void has_stored(void)
{
    uint64_t put_count = mpi_atomic64_load(&thing.put_count);

    if (scene->maxsize != 0 &&
        put_count - mpi_atomic64_load(&thing.got_count) > scene->maxsize)
        fail_model("there are more than maxsize");
    if (running != LATER && may_be_killed(running) && choose(2) == 1)
        be_killed(running);
}

static uint64_t model_load64(const mpi_atomic64 *atomic)
{
    ask(atomic, false);
    return mpi_atomic64_load(atomic);
}

static void model_store64(mpi_atomic64 *atomic, uint64_t value)
{
    ask(atomic, true);
    mpi_atomic64_store(atomic, value);
    has_stored();
}

static bool model_change64(mpi_atomic64 *atomic, uint64_t from, uint64_t to)
{
    bool is_done;

    ask(atomic, true);
    is_done = mpi_atomic64_change(atomic, from, to);
    has_stored();
    return is_done;
}

static uint32_t model_load32(const mpi_atomic32 *atomic)
{
    ask(atomic, false);
    return mpi_atomic32_load(atomic);
}

static void model_store32(mpi_atomic32 *atomic, uint32_t value)
{
    ask(atomic, true);
    mpi_atomic32_store(atomic, value);
    has_stored();
}

static uint32_t model_add32(mpi_atomic32 *atomic, uint32_t change)
{
    uint32_t before;

    ask(atomic, true);
    before = mpi_atomic32_add(atomic, change);
    has_stored();
    return before;
}

static bool model_change32(mpi_atomic32 *atomic, uint32_t from, uint32_t to)
{
    bool is_done;

    ask(atomic, true);
    is_done = mpi_atomic32_change(atomic, from, to);
    has_stored();
    return is_done;
}

static uint32_t model_self(void)
{
    return (uint32_t)running + 1;
}

static bool model_is_alive(uint32_t owner)
{
    return owner == 0 || owner > PEOPLE + 1 ||
           people[owner - 1].status != KILLED;
}

static mp_error model_lock(mpos_word *word, double timeout)
{
    size_t who = running;
    uint32_t owner;

    ask(word, true);
    for (;;) {
        owner = mpi_atomic32_load(&word->value);
        if (owner == 0 || !model_is_alive(owner))
            break;
        if (timeout <= 0)
            return MP_TIMED_OUT;
        if (who == LATER) {
            fail_model("a lock is left with somebody who is done");
            return MP_ESTATE;
        }
        people[who].status = BLOCKED;
        let_others_go_on(who);
    }
    mpi_atomic32_store(&word->value, model_self());
    has_stored();
    return owner == 0 ? MP_OK : MP_OWNER_DIED;
}

static mp_error model_unlock(mpos_word *word)
{
    ask(word, true);
    if (mpi_atomic32_load(&word->value) != model_self())
        fail_model("a lock is released by somebody else");
    mpi_atomic32_store(&word->value, 0);
    for (size_t i = 0; i < PEOPLE; i++)
        if (people[i].status == BLOCKED)
            people[i].status = READY;
    has_stored();
    return MP_OK;
}

static uint32_t model_owner(const mpos_word *word)
{
    ask(word, false);
    return mpi_atomic32_load(&word->value);
}

static mp_error model_map(size_t size, void **address)
{
    if (size > memory_size)
        return MP_EPROTO;
    *address = memory;
    return MP_OK;
}

static size_t model_data_size(void)
{
    return memory_size;
}

/* queue_tasks.c is not part of this. */
void mpi_queue_count_taken(mp_queue *queue, uint64_t count)
{
    (void)queue;
    (void)count;
}

uint64_t mpi_queue_count_lost(mp_queue *queue)
{
    (void)queue;
    return 0;
}

/* -- What people do -------------------------------------------------------- */

/* An item is its number, over and over. */
static void put_items(person *who, uint32_t size, unsigned count)
{
    mpi_item items[3];
    size_t done = 0;
    mp_error err;

    for (unsigned i = 0; i < count; i++) {
        uint8_t id = (uint8_t)((who - people) * MOST_ITEMS + who->tried++);

        memset(who->bytes[i], id, size);
        items[i] = (mpi_item){
            .kind = MPI_ITEM_BYTES, .data = who->bytes[i], .size = size};
    }
    err = mpi_ring_put_many(&who->queue, items, count, &done);
    who->put = (uint8_t)(who->put + done);
    if (err == MP_FULL)
        who->tried = who->put; /* nobody tries again */
    else if (err != MP_OK)
        fail_model("a put failed");
}

/* What queue.c does. */
static void put_span(person *who, uint32_t units)
{
    uint8_t id = (uint8_t)((who - people) * MOST_ITEMS + who->tried++);
    mpi_item item = {.kind = MPI_ITEM_BYTES, .size = OF_SPAN};
    mp_error err;

    if (mpi_ring_lock(&who->queue, &thing.put_lock, MP_FOREVER) != MP_OK)
        return;
    err = mpi_queue_alloc_span(&who->queue, units, &item.span);
    mpi_ring_unlock(&who->queue, &thing.put_lock);
    if (err == MP_OK) {
        memset(mpi_units_at(&who->queue.units, item.span), id, OF_SPAN);
        err = mpi_ring_put(&who->queue, &item, false);
    }
    if (err == MP_OK)
        who->put++;
    else if (err != MP_FULL)
        fail_model("a put of a span failed");
    else
        who->tried--;
    if (err == MP_FULL && item.span != 0)
        mpi_units_free(&who->queue.units, item.span);
}

static void note(person *who, const void *data, size_t size)
{
    const uint8_t *bytes = data;

    for (size_t i = 0; i < size; i++)
        if (bytes[i] != bytes[0])
            fail_model("an item is torn");
    if (who->taken_count == MOST_TAKEN)
        fail_model("there are too many items");
    else
        who->taken_ids[who->taken_count++] = bytes[0];
}

static bool take_one(person *who)
{
    mpi_taken *it = &who->taken;
    mp_error err;

    who->in_hand = 1;
    err = mpi_ring_take(&who->queue, false, 0, SIZE_MAX, it);
    who->in_hand = 0;
    if (err != MP_OK && err != MP_EMPTY)
        fail_model("a take failed");
    if (err != MP_OK)
        return false;
    note(who, it->item.data, it->item.size);
    if (it->item.span != 0)
        release(&who->queue, it->item.span);
    return true;
}

static void take_several(person *who)
{
    mp_bytes items[3];
    size_t done;
    mp_error err;

    who->in_hand = 3;
    err = mpi_ring_take_many(&who->queue, who->taken.room,
                             sizeof(who->taken.room), items, 3, &done);
    who->in_hand = 0;
    if (err != MP_OK && err != MP_EMPTY)
        fail_model("a take of several failed");
    for (size_t i = 0; i < done; i++)
        note(who, items[i].data, items[i].size);
}

static void reserve_most(person *who)
{
    mpi_span span;
    mp_error err;

    if (mpi_ring_lock(&who->queue, &thing.put_lock, MP_FOREVER) != MP_OK)
        return;
    err = mpi_queue_alloc_span(&who->queue, UNITS - MPI_QUEUE_BESIDE, &span);
    mpi_ring_unlock(&who->queue, &thing.put_lock);
    if (err == MP_OK)
        mpi_units_free(&who->queue.units, span);
}

static void put_soon(person *who)
{
    mpi_item item = {.kind = MPI_ITEM_BYTES, .data = who->bytes[0], .size = 8};
    uint8_t id = (uint8_t)((who - people) * MOST_ITEMS + who->tried++);

    memset(who->bytes[0], id, 8);
    if (mpi_ring_put_quickly(&who->queue, &item)) {
        who->put++;
        return;
    }
    who->tried--;
    put_items(who, 8, 1);
}

static void take_soon(person *who)
{
    mpi_item item = {.size = sizeof(who->taken.room)};
    bool is_done;

    who->in_hand = 1;
    is_done = mpi_ring_take_quickly(&who->queue, &item, who->taken.room);
    who->in_hand = 0;
    if (is_done)
        note(who, who->taken.room, item.size);
    else
        (void)take_one(who);
}

static void act(person *who, const char *script)
{
    for (; *script != '\0'; script++) {
        switch (*script) {
        case 'p':
            put_items(who, 8, 1);
            break;
        case 'P':
            put_items(who, LARGE, 1);
            break;
        case 'd':
            put_items(who, 8, 2);
            break;
        case 'm':
            put_items(who, 8, 3);
            break;
        case 's':
            put_span(who, 1);
            break;
        case 'S':
            put_span(who, UNITS - MPI_QUEUE_BESIDE);
            break;
        case 'r':
            reserve_most(who);
            break;
        case 'q':
            put_soon(who);
            break;
        case 'k':
            take_soon(who);
            break;
        case 't':
            (void)take_one(who);
            break;
        default:
            take_several(who);
        }
    }
}

/* A thread: lives as long as the program. */
static void run_person(void *argument)
{
    size_t who = *(const size_t *)argument;

    for (;;) {
        size_t others[PEOPLE];
        size_t count;

        await_baton(who);
        if (setjmp(people[who].end) == 0) {
            act(&people[who], scene->scripts[who]);
            people[who].status = DONE;
        }
        if (must_unwind) {
            people[who].status = DONE;
            give_baton(LATER);
            continue;
        }
        count = ready_people(who, others);
        if (count == 0 && problem == NULL)
            for (size_t i = 0; i < PEOPLE; i++)
                if (people[i].status == BLOCKED)
                    fail_model("somebody waits for ever");
        give_baton(count == 0 ? (size_t)LATER
                              : others[choose((unsigned)count)]);
    }
}

/* -- What must hold at the end --------------------------------------------- */

typedef struct census {
    unsigned times[(PEOPLE + 1) * MOST_ITEMS];
    int last[PEOPLE + 1]; /* of each who puts */
} census;

static void count_one(census *all, const person *by)
{
    int last[PEOPLE + 1];

    for (size_t i = 0; i <= PEOPLE; i++)
        last[i] = -1;
    for (size_t i = 0; i < by->taken_count; i++) {
        uint8_t id = by->taken_ids[i];
        size_t whose = id / MOST_ITEMS;

        if (by == &people[LATER] && i == taken_before)
            memcpy(last, all->last, sizeof(last));
        if (whose > PEOPLE) {
            fail_model("an item is nobody's");
            return;
        }
        all->times[id]++;
        if (id <= last[whose])
            fail_model("an item came out of order");
        last[whose] = id;
        if (id > all->last[whose])
            all->last[whose] = id;
    }
}

/* Who was killed may have put what it tried, in order, and may have taken what
 * nobody has seen. */
static void check_items(void)
{
    census all = {{0}, {-1, -1, -1, -1}};
    unsigned lost = 0;
    unsigned may_be_lost = 0;

    for (size_t i = 0; i <= PEOPLE; i++) {
        count_one(&all, &people[i]);
        if (people[i].status == KILLED)
            may_be_lost += people[i].in_hand;
    }
    for (size_t i = 0; i <= PEOPLE; i++) {
        bool is_behind = false; /* something that came out */

        for (size_t n = MOST_ITEMS; n-- > 0;) {
            unsigned times = all.times[i * MOST_ITEMS + n];

            is_behind = is_behind || times > 0;
            if (times > 1)
                fail_model("an item was taken twice");
            if (times > 0 && n >= people[i].tried)
                fail_model("an item was taken that nobody had put");
            lost += times == 0 && (n < people[i].put || is_behind);
        }
    }
    if (lost > may_be_lost)
        fail_model("an item was lost");
}

/* In an empty queue there is room for whatever can fit at all. */
static void check_room(person *who)
{
    uint8_t before = who->put;

    act(who, "S");
    if (who->put == before)
        fail_model("a large item does not fit an empty queue");
    if (!take_one(who))
        fail_model("a large item is gone");
}

/* Nothing is used but where the cursors are; what the dead had is found when it
 * is needed. */
static void check_units(mp_queue *queue)
{
    mpi_span span;
    uint32_t count = 0;
    uint32_t used;

    if (kills == 0 && mpi_atomic32_load(&thing.must_sweep) != 0)
        fail_model("nobody was killed, and there is something to sweep");
    used = mpi_units_count(
        &queue->units, (mpi_span)(thing.put_cursor[thing.put_count.value % 2] >>
                                  MPI_RING_CURSOR_SHIFT));
    while (count <= UNITS &&
           mpi_queue_alloc_units(queue, 1, MPI_UNIT_QUEUED, &span) == MP_OK)
        count++;
    if (count + used != UNITS)
        fail_model("units were lost");
}

static void check_end(void)
{
    person *who = &people[LATER];
    bool is_there;

    act(who, "p"); /* where the dead would have put theirs */
    do {
        is_there = take_one(who);
    } while (is_there && problem == NULL);
    if (thing.put_count.value != thing.got_count.value ||
        length(&who->queue) != 0)
        fail_model("it is not empty");
    check_room(who);
    check_items();
    if (mpi_ring_lock(&who->queue, &thing.put_lock, MP_FOREVER) != MP_OK)
        fail_model("put_lock can't be had");
    check_units(&who->queue);
    mpi_ring_unlock(&who->queue, &thing.put_lock);
}

/* -- The search ------------------------------------------------------------ */

static unsigned long executions;

/* For hours: by hand, with MULTIPROC_MODEL_ALL in the environment, and one test
 * at a time, by --run-test=model_ring/<name>: then it has no time limit. */
static unsigned interrupts_of(const scenario *it)
{
    bool has_time = getenv("MULTIPROC_MODEL_ALL") != NULL;

    return it->interrupts + (has_time && it->interrupts > 0);
}

static void open_person(size_t who)
{
    person *it = &people[who];

    free(it->queue.units.marks);
    memset(it, 0, sizeof(*it));
    it->status = who == LATER || scene->scripts[who] != NULL ? READY : DONE;
    it->queue.thing = &thing;
    it->queue.type = &mpi_queue_ring;
    it->queue.maxsize = scene->maxsize;
    if (mpi_units_open(&it->queue.units, &it->queue.sync.share, UNITS) != MP_OK)
        fail_model("the units can't be opened");
}

/* Everything as it is when all begin. */
static void prepare(void)
{
    size_t initial, full;
    uint32_t max_units;

    cr_assert_eq(mpi_units_plan((size_t)UNITS * MPI_UNIT_SIZE, &initial, &full,
                                &max_units),
                 MP_OK);
    cr_assert_eq(max_units, (uint32_t)UNITS);
    memory_size = full;
    memory = calloc(1, full);
    memory_before = calloc(1, full);
    cr_assert_not_null(memory);
    cr_assert_not_null(memory_before);
    memset(&thing, 0, sizeof(thing));
    running = LATER;
    open_person(LATER);
    if (scene->before != NULL)
        act(&people[LATER], scene->before);
    memcpy(memory_before, memory, full);
    thing_before = thing;
}

static void end_those_who_are_left(void)
{
    must_unwind = true;
    for (size_t i = 0; i < PEOPLE; i++)
        if (people[i].status == BLOCKED ||
            (people[i].status == READY && problem != NULL)) {
            give_baton(i);
            await_baton(LATER);
        }
    must_unwind = false;
}

static void execute(void)
{
    uint8_t before[4] = {people[LATER].tried, people[LATER].put,
                         people[LATER].taken_count};
    uint8_t ids[MOST_TAKEN];
    size_t others[PEOPLE];
    size_t count;

    memcpy(ids, people[LATER].taken_ids, sizeof(ids));
    memcpy(memory, memory_before, memory_size);
    thing = thing_before;
    running = LATER;
    for (size_t i = 0; i <= PEOPLE; i++)
        open_person(i);
    people[LATER].status = DONE;
    people[LATER].tried = before[0];
    people[LATER].put = before[1];
    people[LATER].taken_count = before[2];
    taken_before = before[2];
    memcpy(people[LATER].taken_ids, ids, sizeof(ids));
    depth = 0;
    kills = interrupts = 0;
    executions++;
    count = ready_people(LATER, others);
    give_baton(others[choose((unsigned)count)]);
    await_baton(LATER);
    if (problem == NULL)
        check_end();
    /* For the next one. */
    people[LATER].tried = before[0];
    people[LATER].put = before[1];
    people[LATER].taken_count = before[2];
}

static void show_path(void)
{
    fprintf(stderr, "%s: %s\n ", scene->name, problem);
    for (size_t i = 0; i < depth; i++)
        fprintf(stderr, " %u/%u", path[i].taken, path[i].options);
    fprintf(stderr, "\n");
}

/* Once for all scenarios: between them they wait for the baton, for good in
 * the end. What they use of a test's is its static data. */
static void start_people(void)
{
    static size_t numbers[PEOPLE];
    static bool is_started;

    if (is_started)
        return;
    is_started = true;
    cr_assert_eq(mpos_word_queue("multiproc-model-ring", &baton_queue), MP_OK);
    give_baton(LATER);
    for (size_t i = 0; i < PEOPLE; i++) {
        numbers[i] = i;
        cr_assert_eq(mpos_thread_start(run_person, &numbers[i], NULL), MP_OK);
    }
}

/* NULL: everything holds. */
static const char *search(const scenario *it)
{
    scene = it;
    most_interrupts = interrupts_of(it);
    problem = NULL;
    executions = 0;
    memset(uses, 0, sizeof(uses));
    start_people();
    prepare();
    do {
        has_learned = false;
        path_length = 0;
        do {
            execute();
        } while (problem == NULL && !has_learned && next_path());
    } while (problem == NULL && has_learned);
    if (problem != NULL) {
        show_path();
        end_those_who_are_left();
    }
    printf("%-50s %9lu executions\n", it->name, executions);
    fflush(stdout);
    free(memory);
    free(memory_before);
    return problem;
}

/* -- Tests ----------------------------------------------------------------- */

/* How many do not hold; of each it says what is wrong. */
static size_t count_broken(const scenario *scenarios, size_t count)
{
    size_t broken = 0;

    for (size_t i = 0; i < count; i++) {
        if (search(&scenarios[i]) == NULL)
            continue;
        fprintf(stderr, "%s: %s\n", scenarios[i].name, problem);
        broken++;
    }
    return broken;
}

#define BROKEN_OF(scenarios) \
    count_broken(scenarios, sizeof(scenarios) / sizeof((scenarios)[0]))

Test(model_ring, items_come_out_once_in_order_whoever_comes_when,
     .timeout = 300)
{
    static const scenario those[] = {
        {.name = "one puts one, one takes two",
         .scripts = {"p", "tt"},
         .interrupts = ALL},
        {.name = "one puts two, one takes two",
         .scripts = {"pp", "tt"},
         .interrupts = 4},
        {.name = "one puts two large ones, one takes two",
         .before = "P",
         .scripts = {"PP", "tt"},
         .interrupts = 4},
        {.name = "one puts one with a span, one takes two",
         .before = "p",
         .scripts = {"s", "tt"},
         .interrupts = 4},
        {.name = "two put, one takes two",
         .before = "P",
         .scripts = {"P", "p", "tt"},
         .interrupts = 3},
        {.name = "one puts, two take two",
         .before = "P",
         .scripts = {"P", "tt", "tt"},
         .interrupts = 2},
        {.name = "several at once",
         .before = "p",
         .scripts = {"mm", "bb"},
         .interrupts = 4},
        {.name = "one at a time is there",
         .maxsize = 1,
         .scripts = {"pp", "ttt"},
         .interrupts = 4},
    };

    cr_assert_eq(BROKEN_OF(those), 0);
}

Test(model_ring, who_is_killed_loses_what_it_was_putting_or_taking,
     .timeout = 300)
{
    static const scenario those[] = {
        {.name = "who puts is killed",
         .before = "P",
         .scripts = {"PP"},
         .kills = 1,
         .mortals = 1},
        {.name = "who puts spans is killed",
         .before = "P",
         .scripts = {"sPs"},
         .kills = 1,
         .mortals = 1},
        {.name = "who puts several is killed",
         .before = "p",
         .scripts = {"mm"},
         .kills = 1,
         .mortals = 1},
        {.name = "who puts two is killed",
         .before = "p",
         .scripts = {"dd"},
         .kills = 1,
         .mortals = 1},
        {.name = "who takes two is killed",
         .before = "dp",
         .scripts = {"tb"},
         .kills = 1,
         .mortals = 1},
        {.name = "who takes is killed",
         .before = "PPs",
         .scripts = {"ttt"},
         .kills = 1,
         .mortals = 1},
        {.name = "who takes several is killed",
         .before = "mPm",
         .scripts = {"bbb"},
         .kills = 1,
         .mortals = 1},
        {.name = "two put, both are killed, one after the other",
         .before = "P",
         .scripts = {"Ps", "sP"},
         .kills = 2,
         .mortals = 2},
        {.name = "two take, both are killed, one after the other",
         .before = "PsP",
         .scripts = {"tt", "tt"},
         .kills = 2,
         .mortals = 2},
        {.name = "who sweeps after the dead is killed, too",
         .before = "P",
         .scripts = {"P", "PP", "t"},
         .kills = 2,
         .mortals = 2},
    };

    cr_assert_eq(BROKEN_OF(those), 0);
}

/* It is moved: what is to be put needs all the rest in one piece. */
Test(model_ring, an_empty_segment_is_in_nobodys_way, .timeout = 300)
{
    static const scenario those[] = {
        {.name = "the segment is moved while another takes the last",
         .before = "PPt",
         .scripts = {"S", "tt"},
         .interrupts = 3},
        {.name = "the segment is moved while another puts",
         .before = "PPtt",
         .scripts = {"S", "p", "tt"},
         .interrupts = 2},
        {.name = "the segment is moved while others are quick",
         .before = "PPttqk",
         .scripts = {"S", "q", "k"},
         .interrupts = 2},
    };

    cr_assert_eq(BROKEN_OF(those), 0);
}

Test(model_ring, who_is_killed_moving_the_segment_is_in_nobodys_way,
     .timeout = 300)
{
    static const scenario those[] = {
        {.name = "who moves the segment is killed",
         .before = "PPtt",
         .scripts = {"S"},
         .kills = 1,
         .mortals = 1},
        {.name = "who moves the segment twice is killed",
         .before = "PPPPttttPPPtttPt",
         .scripts = {"S"},
         .kills = 1,
         .mortals = 1},
        {.name = "two move the segment, both are killed",
         .before = "PPtt",
         .scripts = {"r", "r"},
         .kills = 2,
         .mortals = 2},
        {.name = "the segment is moved by who is killed, another takes",
         .before = "PPt",
         .scripts = {"r", "t"},
         .kills = 1,
         .mortals = 1,
         .interrupts = 1},
        {.name = "the segment is moved by who is killed, another is quick",
         .before = "PPttqk",
         .scripts = {"r", "qk"},
         .kills = 1,
         .mortals = 1,
         .interrupts = 1},
    };

    cr_assert_eq(BROKEN_OF(those), 0);
}

Test(model_ring, who_is_killed_among_others_leaves_them_alone, .timeout = 300)
{
    static const scenario those[] = {
        {.name = "who puts is killed while another takes",
         .before = "P",
         .scripts = {"P", "tt"},
         .kills = 1,
         .mortals = 1,
         .interrupts = 2},
        {.name = "who puts a span is killed while another takes",
         .scripts = {"s", "t"},
         .kills = 1,
         .mortals = 1,
         .interrupts = 2},
        {.name = "who takes is killed while another puts",
         .before = "Ps",
         .scripts = {"tt", "P"},
         .kills = 1,
         .mortals = 1,
         .interrupts = 2},
        {.name = "one of two who put is killed while another takes",
         .before = "P",
         .scripts = {"P", "P", "t"},
         .kills = 1,
         .mortals = 1,
         .interrupts = 1},
        {.name = "one of two who take is killed while another puts",
         .before = "PP",
         .scripts = {"t", "t", "P"},
         .kills = 1,
         .mortals = 1,
         .interrupts = 1},
    };

    cr_assert_eq(BROKEN_OF(those), 0);
}
