/* SPDX-License-Identifier: MIT */
/* Producers and consumers, which use a queue in every way there is. */
#include "queue_worker.h"

#include <string.h>

enum {
    BURST = 2000, /* calls */
    ROOM = ROW * (MOST_LARGE + 100),
};

/* -- Chance ---------------------------------------------------------------- */

/* A worker's own. */
static uint64_t state;

static uint32_t chance(uint32_t below)
{
    return torture_draw(&state, below);
}

/* -- Items ----------------------------------------------------------------- */

typedef struct item_head {
    uint32_t who;
    uint32_t number;
    uint32_t size; /* of what follows */
    uint32_t sum;
} item_head;

static uint32_t sum_of(const item_head *head, const unsigned char *bytes)
{
    uint32_t sum = head->who * 31 + head->number * 2654435761U + head->size;

    for (uint32_t i = 0; i < head->size; i++)
        sum = (sum ^ bytes[i]) * 16777619U;
    return sum;
}

static uint32_t choose_size(void)
{
    return chance(200) == 0 ? chance(MOST_LARGE) : chance(MOST_SMALL);
}

/* Returns its size. */
static size_t fill(void *memory, uint32_t who, uint32_t number, uint32_t size)
{
    unsigned char *bytes = (unsigned char *)memory + sizeof(item_head);
    item_head head = {.who = who, .number = number, .size = size};

    for (uint32_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(number + i * 7);
    head.sum = sum_of(&head, bytes);
    memcpy(memory, &head, sizeof(head));
    return sizeof(head) + size;
}

/* It must not be torn. */
static item_head look_at(const void *memory, size_t size)
{
    item_head head = {.who = PRODUCERS};

    if (size >= sizeof(head))
        memcpy(&head, memory, sizeof(head));
    if (head.who >= PRODUCERS || size != sizeof(head) + head.size ||
        head.sum !=
            sum_of(&head, (const unsigned char *)memory + sizeof(head))) {
        cr_assert_fail("an item is torn: %zu bytes", size);
    }
    return head;
}

/* -- Producers ------------------------------------------------------------- */

/* False: nothing was put. What is damaged, or stays locked, is the end. */
static bool was_put(mp_error err)
{
    if (err == MP_FULL || err == MP_ENOSPC)
        return false;
    ok(err);
    return true;
}

static mp_error put_object(worker *it, const void *bytes, size_t size)
{
    mp_obj *item = MP_TUPLE(chance(5), MP_BYTES(bytes, size));

    if (it->order == MP_QUEUE_DEQUE && chance(2) == 0)
        return mp_queue_put_front(it->queue, item, 0.01);
    return mp_queue_put(it->queue, item, 0.01);
}

static mp_error put_in_place(worker *it, const void *bytes, size_t size)
{
    mp_queue_slot slot;
    mp_error err = mp_queue_reserve(it->queue, size, &slot);

    if (err != MP_OK)
        return err;
    memcpy(slot.data, bytes, size);
    err = mp_queue_commit(it->queue, &slot, 0.01);
    if (err != MP_OK)
        ok(mp_queue_abandon(it->queue, &slot));
    return err;
}

static void put_one(worker *it)
{
    static unsigned char bytes[MOST_LARGE + sizeof(item_head)];
    uint32_t number = it->board->producers[it->who].begun;
    size_t size = fill(bytes, it->who, number, choose_size());
    mp_error err;

    mp_atomic_store(&it->board->producers[it->who].begun, number + 1);
    switch (chance(3)) {
    case 0:
        err = put_object(it, bytes, size);
        break;
    case 1:
        err = put_in_place(it, bytes, size);
        break;
    default:
        err = mp_queue_put_bytes(it->queue, bytes, size, 0.01);
        break;
    }
    if (was_put(err))
        mp_atomic_store(put_mark(it->board, it->who, number), IS_PUT);
}

static void put_row(worker *it)
{
    static unsigned char bytes[ROW][MOST_SMALL + sizeof(item_head)];
    uint32_t number = it->board->producers[it->who].begun;
    mp_bytes items[ROW];
    size_t done = 0;

    for (uint32_t i = 0; i < ROW; i++) {
        size_t size = fill(bytes[i], it->who, number + i, chance(MOST_SMALL));

        items[i] = (mp_bytes){bytes[i], size};
    }
    mp_atomic_store(&it->board->producers[it->who].begun, number + ROW);
    (void)was_put(mp_queue_put_many(it->queue, items, ROW, &done, 0.01));
    for (uint32_t i = 0; i < done; i++)
        mp_atomic_store(put_mark(it->board, it->who, number + i), IS_PUT);
}

static void produce(worker *it)
{
    for (uint32_t n = chance(BURST); n > 0; n--) {
        if (it->board->producers[it->who].begun + ROW >= it->board->most)
            return;
        if (chance(10) == 0)
            put_row(it);
        else
            put_one(it);
    }
}

/* -- Consumers ------------------------------------------------------------- */

/* The order is that of put(), for one producer and in one consumer. */
static void expect_order(worker *it, const item_head *head)
{
    if (it->order != MP_QUEUE_FIFO || it->redelivers)
        return;
    if (it->has_last[head->who] && head->number <= it->last[head->who]) {
        cr_assert_fail("%u after %u", (unsigned)head->number,
                       (unsigned)it->last[head->who]);
    }
    it->has_last[head->who] = true;
    it->last[head->who] = head->number;
}

static void note(worker *it, const void *bytes, size_t size)
{
    item_head head = look_at(bytes, size);
    unsigned char *mark;
    unsigned before;

    if (head.number >= it->board->most) {
        cr_assert_fail("an item that nobody put: %u", (unsigned)head.number);
    }
    mark = got_mark(it->board, head.who, head.number);
    before = mp_fetch_add(mark, 1);
    if (before > 0 && (!it->redelivers || mp_queue_deliveries(it->queue) < 2)) {
        cr_assert_fail("an item came twice: %u of %u", (unsigned)head.number,
                       (unsigned)head.who);
    }
    expect_order(it, &head);
}

static void note_object(worker *it, mp_obj *item)
{
    const mp_obj *part = item;
    const void *bytes;
    size_t size;

    if (mp_obj_type(item) == MP_TYPE_TUPLE)
        ok(mp_obj_item(item, 1, &part));
    ok(mp_obj_as_bytes(part, &bytes, &size));
    note(it, bytes, size);
    mp_obj_unref(item);
}

static mp_error get_object(worker *it, double timeout)
{
    mp_obj *item = NULL;
    mp_error err;

    if (it->order == MP_QUEUE_DEQUE && chance(2) == 0)
        err = mp_queue_get_back(it->queue, timeout, &item);
    else
        err = mp_queue_get(it->queue, timeout, &item);
    if (err == MP_OK)
        note_object(it, item);
    return err;
}

static mp_error get_copy(worker *it, double timeout)
{
    void *data = NULL;
    size_t size = 0;
    mp_error err = mp_queue_get_bytes(it->queue, timeout, &data, &size);

    if (err == MP_OK)
        note(it, data, size);
    mp_free(data);
    return err;
}

static mp_error get_in_place(worker *it, double timeout)
{
    mp_queue_slot slot;
    mp_error err = mp_queue_peek(it->queue, timeout, &slot);

    if (err != MP_OK)
        return err;
    note(it, slot.data, slot.size);
    ok(mp_queue_consume(it->queue, &slot));
    return MP_OK;
}

static mp_error get_row(worker *it, double timeout, size_t *done)
{
    static unsigned char room[ROOM];
    mp_bytes items[ROW];
    mp_error err = mp_queue_get_many(it->queue, room, sizeof(room), items, ROW,
                                     done, timeout);

    if (err == MP_OK)
        for (size_t i = 0; i < *done; i++)
            note(it, items[i].data, items[i].size);
    return err;
}

static mp_error get_somehow(worker *it, double timeout, size_t *done)
{
    *done = 1;
    switch (chance(4)) {
    case 0:
        return get_object(it, timeout);
    case 1:
        return get_copy(it, timeout);
    case 2:
        return get_in_place(it, timeout);
    default:
        /* How often the others of the row came is not told. */
        return it->redelivers ? get_object(it, timeout)
                              : get_row(it, timeout, done);
    }
}

/* False: there was nothing. */
bool queue_consume_some(worker *it, double timeout)
{
    size_t done = 0;
    mp_error err = get_somehow(it, timeout, &done);

    if (err == MP_ETYPE) { /* an object */
        done = 1;
        err = get_object(it, timeout);
    }
    if (err == MP_ETYPE || err == MP_EMPTY) /* and another one was faster */
        return false;
    ok(err);
    for (size_t i = 0; i < done; i++)
        ok(mp_queue_task_done(it->queue));
    return true;
}

static void consume(worker *it)
{
    for (uint32_t n = chance(BURST); n > 0; n--) {
        mp_atomic_store(&it->board->consumers[it->who].asked, ROW);
        if (queue_consume_some(it, 0.01))
            mp_fetch_add(&it->board->consumers[it->who].got, 1);
        mp_atomic_store(&it->board->consumers[it->who].asked, 0);
    }
}

/* -- The worker ------------------------------------------------------------ */

mp_error queue_open(mp_queue **out, const kind *what, const char *place)
{
    if (what->where == ANONYMOUS)
        return mp_queue_create(out, what->maxsize, &what->options);
    return what->where == NAMED
               ? mp_queue_open(out, place, what->maxsize, &what->options)
               : mp_queue_open_file(out, place, what->maxsize, &what->options);
}

static void work_on(worker *it, bool is_producer)
{
    for (;;) {
        if (is_producer)
            produce(it);
        else
            consume(it);
        mp_sleep(0.0005); /* or nobody else would get a processor */
    }
}

int queue_work(mp_args *args)
{
    worker it = {
        .board = mp_array_data(mp_arg_array(args, 3)),
        .order = (mp_queue_order)mp_arg_int(args, 5),
        .redelivers = mp_arg_bool(args, 6),
    };
    const kind what = {
        .options = {.order = it.order, .redeliver = it.redelivers},
        .where = mp_arg_bool(args, 2) ? IN_A_FILE : NAMED,
    };
    const char *place = mp_arg_str(args, 1);
    int64_t who = mp_arg_int(args, 4);

    state = (uint64_t)mp_arg_int(args, 7);
    if (*place == 0)
        ok(mp_obj_as_queue(mp_arg_obj(args, 0), &it.queue));
    else
        ok(queue_open(&it.queue, &what, place));
    it.who = (uint32_t)(who < PRODUCERS ? who : who - PRODUCERS);
    work_on(&it, who < PRODUCERS);
    return 0; /* it is killed before */
}
