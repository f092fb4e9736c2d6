/* SPDX-License-Identifier: MIT */
/*
 * A queue's table, with each call killed before every store of it: the sources
 * are in here, and before and after each store that others rely on is a step,
 * at which the memory is copied. That copy is what a kill would have left;
 * somebody else goes on from there, and must find what was before the call, or
 * what comes after it, and not a unit that is nobody's.
 *
 * So no process is killed, and a seed replays exactly: calls, sizes and
 * priorities of the items all come from it.
 */
#include "torture.h"

#include "support/slots.h"

static void step(void);

/* After it, too: what is only assigned may have come too late. */
#define mpi_atomic64_store(atomic, value) \
    (step(), (mpi_atomic64_store)((atomic), (value)), step())
#define mpi_atomic32_store(atomic, value) \
    (step(), (mpi_atomic32_store)((atomic), (value)), step())
#define mpi_units_set(units, span, use) \
    (step(), (mpi_units_set)((units), (span), (use)), step())
#define mpi_units_free(units, span) \
    (step(), (mpi_units_free)((units), (span)), step())
#define mpi_units_sweep_end(units) \
    (step(), (mpi_units_sweep_end)((units)), step())
#define mpi_fence() (step(), (mpi_fence)())
#define mpi_word_unlock(word, share) \
    (step(), (mpi_word_unlock)((word), (share)))

#include "queue_table.c"
#include "queue_table_order.c"
#include "queue_table_parts.c"
#include "queue_table_pool.c"
#include "queue_table_repair.c"
#include "queue_table_taken.c"

#undef mpi_atomic64_store
#undef mpi_atomic32_store
#undef mpi_units_set
#undef mpi_units_free
#undef mpi_units_sweep_end
#undef mpi_fence
#undef mpi_word_unlock

enum {
    FIRST_ITEMS = 250, /* a little less than a unit has slots */
    MOST_ITEMS = 262,
    UNITS = 400,
    TABLE_SIZE = 4096, /* bytes: more than UNITS entries */
    FIRST_FEW = 3,
    LAST_STEPS = 30,
    /* Owners: whoever is killed, and who had taken items before. */
    SELF = 1,
    DEAD = 2,
    BURIER = 3,
};

/* -- Copies ---------------------------------------------------------------- */

typedef struct copy {
    mpi_queue_thing thing;
    slots_model model;
    uint32_t next_id;
    uint32_t chance;
    size_t head_size; /* all before the units */
    size_t size;
    unsigned char *bytes;
} copy;

static slots subject;
static copy before, middle, after;
static size_t steps;
static size_t stop_at; /* 0: never */

static size_t head_size(const mpi_units *units)
{
    return (size_t)((unsigned char *)units->table -
                    (unsigned char *)units->data) +
           TABLE_SIZE;
}

/* As far as there is memory. */
static size_t units_size(const mpi_units *units)
{
    size_t begin =
        (size_t)(units->memory + MPI_UNIT_SIZE - (unsigned char *)units->data);
    size_t size = mpi_share_data_size(units->share);
    size_t most = (size_t)UNITS * MPI_UNIT_SIZE;

    if (size < begin)
        return 0;
    return size - begin < most ? size - begin : most;
}

static void save(slots *it, copy *to)
{
    const mpi_units *units = &it->queue->units;

    to->thing = *it->queue->thing;
    to->model = it->model;
    to->next_id = it->next_id;
    to->chance = it->chance;
    to->head_size = head_size(units);
    to->size = units_size(units);
    if (to->bytes == NULL)
        to->bytes = malloc(to->head_size + (size_t)UNITS * MPI_UNIT_SIZE);
    cr_assert_not_null(to->bytes);
    cr_assert_leq(to->size, (size_t)UNITS * MPI_UNIT_SIZE);
    memcpy(to->bytes, units->data, to->head_size);
    if (to->size > 0)
        memcpy(to->bytes + to->head_size, units->memory + MPI_UNIT_SIZE,
               to->size);
}

static void restore(slots *it, const copy *from)
{
    const mpi_units *units = &it->queue->units;

    *it->queue->thing = from->thing;
    it->model = from->model;
    it->next_id = from->next_id;
    it->chance = from->chance;
    memcpy(units->data, from->bytes, from->head_size);
    if (from->size > 0)
        memcpy(units->memory + MPI_UNIT_SIZE, from->bytes + from->head_size,
               from->size);
}

/* Other storms' queues go through here, too, with nothing to stop at. */
static void step(void)
{
    if (stop_at != 0 && ++steps == stop_at)
        save(&subject, &middle);
}

/* -- What is called -------------------------------------------------------- */

typedef void call(slots *it);

static void put_back(slots *it)
{
    ok(slots_put(it, false));
}

static void put_front(slots *it)
{
    ok(slots_put(it, true));
}

static void take_front(slots *it)
{
    (void)slots_take(it, false);
}

static void take_back(slots *it)
{
    (void)slots_take(it, true);
}

static void say_done(slots *it)
{
    (void)slots_acknowledge(it);
}

static void give_dead_back(slots *it)
{
    slots_act_as(it, BURIER);
    ok(slots_bury(it));
}

static void throw_away(slots *it)
{
    uint64_t count = 0;

    ok(mpi_queue_table.clear(it->queue, &count));
    for (size_t i = it->model.count; i-- > 0;)
        if (it->model.items[i].taken == 0)
            slots_forget(it, &it->model.items[i]);
}

static void mend_all(slots *it)
{
    ok(slots_repair(it));
}

static void put_several(slots *it)
{
    uint32_t ids[FIRST_FEW];
    mpi_item items[FIRST_FEW];
    mpi_buffer keys[FIRST_FEW] = {{0}};
    size_t done = 0;

    for (size_t i = 0; i < FIRST_FEW; i++) {
        while (slots_size(it->next_id) != sizeof(ids[0]))
            it->next_id++;
        ids[i] = it->next_id++;
        items[i] = (mpi_item){
            .kind = MPI_ITEM_BYTES, .data = &ids[i], .size = sizeof(ids[i])};
        slots_make_key(it, ids[i], &items[i], &keys[i]);
    }
    ok(mpi_queue_table.put_many(it->queue, items, FIRST_FEW, &done));
    for (size_t i = 0; i < FIRST_FEW; i++) {
        mpi_buffer_free(&keys[i]);
        it->model.items[it->model.count++] =
            (slots_item){.id = ids[i], .order = it->model.back++};
    }
}

static void take_several(slots *it)
{
    mp_bytes found[FIRST_FEW];
    size_t done = 0;

    (void)mpi_queue_table.take_many(it->queue, it->bytes, sizeof(it->bytes),
                                    found, FIRST_FEW, &done);
    for (size_t i = 0; i < done; i++) {
        slots_item *first = slots_first(it, false);

        cr_assert_eq(slots_id(found[i].data, found[i].size), first->id);
        if (it->kind->redelivers)
            first->taken = ++it->model.takes;
        else
            slots_forget(it, first);
    }
}

/* -- What is left ---------------------------------------------------------- */

static bool has(const slots_model *model, uint32_t id)
{
    for (size_t i = 0; i < model->count; i++)
        if (model->items[i].id == id)
            return true;
    return false;
}

static const slots_item *find(const slots_model *model, uint32_t id)
{
    for (size_t i = 0; i < model->count; i++)
        if (model->items[i].id == id)
            return &model->items[i];
    return NULL;
}

/* Each item that was there before and after, those of one of them perhaps, and
 * in their order. */
static void expect_items(slots *it, const slots_model *drained)
{
    for (size_t i = 0; i < drained->count; i++) {
        const slots_item *item = &drained->items[i];
        const slots_item *known = find(&before.model, item->id);

        if (known == NULL)
            known = find(&after.model, item->id);
        cr_assert_not_null(known, "%s: item %u is nobody's", it->kind->name,
                           (unsigned)item->id);
        ((slots_model *)drained)->items[i].order = known->order;
        if (i > 0)
            cr_assert_eq(slots_compare(it, item - 1, item) < 0,
                         it->kind->order != MP_QUEUE_LIFO,
                         "%s: %u and %u are not in order", it->kind->name,
                         (unsigned)item[-1].id, (unsigned)item->id);
    }
    for (size_t i = 0; i < before.model.count; i++) {
        uint32_t id = before.model.items[i].id;

        cr_assert(!has(&after.model, id) || has(drained, id),
                  "%s: item %u is lost at step %zu", it->kind->name,
                  (unsigned)id, stop_at);
    }
}

static void drain(slots *it, slots_model *drained)
{
    drained->count = 0;
    while (mpi_queue_table.take(it->queue, false, 0, SIZE_MAX, &it->taken) ==
           MP_OK) {
        uint32_t id = slots_id(it->taken.item.data, it->taken.item.size);

        cr_assert_lt(drained->count, (size_t)SLOTS_MOST);
        drained->items[drained->count++].id = id;
        if (it->taken.item.span != 0)
            mpi_queue_release(it->queue, it->taken.item.span);
        if (it->kind->redelivers)
            ok(mpi_queue_table.acknowledge(it->queue));
    }
}

/* What dead owners had is used for something else, as it may be at any time:
 * see units.c. */
static void reuse_units(const slots *it)
{
    mpi_units *units = &it->queue->units;

    for (mpi_span span = 1; span <= units->max_units; span++) {
        uint32_t count = mpi_units_count(units, span);
        uint64_t use = mpi_atomic64_load(&units->table[span]) & 7;

        if (count == 0 || use == MPI_UNIT_QUEUED)
            continue;
        memset(mpi_units_at(units, span), 0xee, (size_t)count * MPI_UNIT_SIZE);
        mpi_units_free(units, span);
    }
}

/* What was done is counted, or it is not. */
static void expect_between(const mpi_atomic64 *count, const mpi_atomic64 *one,
                           const mpi_atomic64 *other)
{
    uint64_t found = mpi_atomic64_load(count);
    uint64_t least = mpi_atomic64_load(one);
    uint64_t most = mpi_atomic64_load(other);

    if (least > most) { /* some were given back */
        least = most;
        most = mpi_atomic64_load(one);
    }
    cr_assert(least <= found && found <= most, "%lld at step %zu, not %lld",
              (long long)found, stop_at, (long long)most);
}

static void expect_counts(const mpi_queue_thing *thing)
{
    const mpi_queue_thing *one = &before.thing, *other = &after.thing;

    expect_between(&thing->put_count, &one->put_count, &other->put_count);
    expect_between(&thing->got_count, &one->got_count, &other->got_count);
    expect_between(&thing->done_count, &one->done_count, &other->done_count);
}

/* The next one comes. */
static void go_on(slots *it)
{
    static slots_model drained;
    mpi_queue_thing *thing = it->queue->thing;
    uint64_t count = 0;
    uint64_t put;
    size_t length;

    slots_act_as(it, SELF);
    if (mpi_word_owner(&thing->put_lock) != MPI_NOBODY)
        slots_kill_holder(it);
    reuse_units(it);
    ok(mpi_queue_table.check(it->queue));
    expect_counts(thing);
    if (it->kind->redelivers)
        ok(mpi_queue_table.bury(it->queue, &count));
    length = mpi_queue_table.length(it->queue);
    drain(it, &drained);
    cr_assert_eq(drained.count, length, "%s: %zu items, not %zu, at step %zu",
                 it->kind->name, drained.count, length, stop_at);
    expect_items(it, &drained);
    put = mpi_atomic64_load(&thing->put_count);
    cr_assert_eq(put, mpi_atomic64_load(&thing->got_count));
    if (it->kind->redelivers)
        cr_assert_eq(put, mpi_atomic64_load(&thing->done_count));
    ok(slots_repair(it));
    cr_assert_leq(slots_units(it, true), 1U, "%s: units are lost at step %zu",
                  it->kind->name, stop_at);
}

/* Once for each step of it, from that one on; and in the end all of it. */
static size_t kill_from(slots *it, call *what, size_t first)
{
    size_t killed = 0;

    save(it, &before);
    for (stop_at = first;; stop_at++) {
        slots_act_as(it, DEAD);
        steps = 0;
        what(it);
        if (steps < stop_at)
            break;
        save(it, &after);
        restore(it, &middle);
        go_on(it);
        killed++;
        restore(it, &before);
    }
    stop_at = 0;
    slots_act_as(it, DEAD);
    slots_expect_counts(it);
    torture_checked(killed);
    return killed;
}

static size_t kill_everywhere(slots *it, call *what)
{
    return kill_from(it, what, 1);
}

/* At its last steps only: there are many that are all the same. */
static size_t kill_at_end(slots *it, call *what)
{
    save(it, &before);
    slots_act_as(it, DEAD);
    steps = 0;
    stop_at = SIZE_MAX;
    what(it);
    restore(it, &before);
    return kill_from(it, what, steps > LAST_STEPS ? steps - LAST_STEPS : 1);
}

/* -- The storms ------------------------------------------------------------ */

static call *any_call(slots *it)
{
    static call *const calls[] = {
        put_back,   put_back, put_front,   take_front,    take_back,
        take_front, mend_all, put_several, take_several,  say_done,
        say_done,   say_done, say_done,    give_dead_back};
    size_t most = it->kind->redelivers ? 14 : 9;
    size_t queued = slots_queued(it);

    if (it->model.count > MOST_ITEMS)
        return it->kind->redelivers && queued < it->model.count ? say_done
                                                                : take_back;
    if (it->model.count < FIRST_ITEMS)
        return put_back;
    return calls[slots_chance(it, (uint32_t)most)];
}

static void put_small(slots *it)
{
    while (slots_size(it->next_id) > 64)
        it->next_id++;
    ok(slots_put(it, false));
}

static void begin(slots *it, size_t kind)
{
    slots_begin(it, &slots_kinds[kind], (size_t)UNITS * MPI_UNIT_SIZE, 0);
    it->next_id = 1 + torture_chance(1 << 20);
    it->chance = torture_chance(UINT32_MAX);
    torture_waits_for("%s, from item %u", it->kind->name,
                      (unsigned)it->next_id);
    slots_act_as(it, DEAD);
}

static void forget(copy *it)
{
    free(it->bytes);
    it->bytes = NULL;
}

static void end(slots *it)
{
    forget(&before);
    forget(&middle);
    forget(&after);
    slots_act_as(it, SELF);
    slots_end(it);
}

static void kill_any_call(slots *it, size_t kind, int calls)
{
    size_t killed = 0;

    begin(it, kind);
    for (size_t n = 0; n < FIRST_ITEMS; n++)
        put_small(it);
    /* Not every call has something to do. */
    for (int n = 0; n < calls || killed == 0; n++)
        killed += kill_everywhere(it, any_call(it));
    end(it);
}

/* The very first item makes what there is only once. */
static void kill_the_first(slots *it, size_t kind)
{
    begin(it, kind);
    for (int n = 0; n < 4; n++)
        cr_assert_gt(kill_everywhere(it, put_back), 2U);
    for (int n = 0; n < 5; n++)
        (void)kill_everywhere(it, take_front);
    for (int n = 0; n < 5 && it->kind->redelivers; n++)
        (void)kill_everywhere(it, say_done);
    end(it);
}

static void kill_while_clearing(slots *it, size_t kind)
{
    begin(it, kind);
    for (int n = 0; n < 30; n++)
        ok(slots_put(it, n % 2 == 0));
    for (int n = 0; n < 3; n++)
        take_front(it);
    cr_assert_gt(kill_everywhere(it, throw_away), 27U);
    end(it);
}

/* Of two units with slots one is given back, which others refer to. */
static void kill_while_clearing_units(slots *it, size_t kind)
{
    begin(it, kind);
    for (int n = 0; n < MPI_SLOTS_PER_UNIT + 2; n++)
        put_small(it);
    (void)kill_at_end(it, throw_away);
    end(it);
}

/* What was dead has been repaired by one that is killed, too. */
static void kill_while_mending(slots *it, size_t kind)
{
    begin(it, kind);
    for (int n = 0; n < 30; n++)
        ok(slots_put(it, n % 2 == 0));
    for (int n = 0; n < 9; n++)
        take_front(it);
    (void)kill_everywhere(it, mend_all);
    for (int n = 0; n < 3 && it->kind->redelivers; n++)
        say_done(it); /* in the order in which they were taken */
    if (it->kind->redelivers)
        cr_assert_gt(kill_everywhere(it, give_dead_back), 9U);
    (void)kill_everywhere(it, mend_all);
    end(it);
}

static void kill_all_ways(const storm_round *round, size_t kind)
{
    kill_any_call(&subject, kind, round->kills);
    kill_the_first(&subject, kind);
    kill_while_clearing(&subject, kind);
    kill_while_clearing_units(&subject, kind);
    kill_while_mending(&subject, kind);
}

/* No process takes part. */
static bool is_spawn(mp_start_method method)
{
    return method == MP_START_SPAWN;
}

/* In the order of slots_kinds. */
static void lifo(const storm_round *round)
{
    kill_all_ways(round, 0);
}

static void priority(const storm_round *round)
{
    kill_all_ways(round, 1);
}

static void priority_text(const storm_round *round)
{
    kill_all_ways(round, 2);
}

static void deque(const storm_round *round)
{
    kill_all_ways(round, 3);
}

static void fifo_redeliver(const storm_round *round)
{
    kill_all_ways(round, 4);
}

static void lifo_redeliver(const storm_round *round)
{
    kill_all_ways(round, 5);
}

static void priority_redeliver(const storm_round *round)
{
    kill_all_ways(round, 6);
}

static void priority_text_redeliver(const storm_round *round)
{
    kill_all_ways(round, 7);
}

static void deque_redeliver(const storm_round *round)
{
    kill_all_ways(round, 8);
}

_Static_assert(SLOTS_KINDS == 9, "each kind has a storm");

#define TABLE_HOLDS                                                            \
    "any call to a queue's table, before every store (exact): what was under " \
    "way is lost, nothing else"

const storm torture_tables[] = {
    {"table/lifo", TABLE_HOLDS, 8, is_spawn, lifo},
    {"table/priority", TABLE_HOLDS, 8, is_spawn, priority},
    {"table/priority-text", TABLE_HOLDS, 8, is_spawn, priority_text},
    {"table/deque", TABLE_HOLDS, 8, is_spawn, deque},
    {"table/fifo-redeliver", TABLE_HOLDS, 8, is_spawn, fifo_redeliver},
    {"table/lifo-redeliver", TABLE_HOLDS, 8, is_spawn, lifo_redeliver},
    {"table/priority-redeliver", TABLE_HOLDS, 8, is_spawn, priority_redeliver},
    {"table/priority-text-redeliver", TABLE_HOLDS, 8, is_spawn,
     priority_text_redeliver},
    {"table/deque-redeliver", TABLE_HOLDS, 8, is_spawn, deque_redeliver},
    {.name = NULL},
};
