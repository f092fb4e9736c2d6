/* SPDX-License-Identifier: MIT */
/*
 * Storms on queues: producers and consumers use one in every way there is.
 * Items are numbered and have a checksum. None is torn; none is got twice,
 * unless it was given again; none is lost but what killed consumers held (with
 * redelivery: none at all); whoever is left goes on within a second; and in the
 * end no memory is missing.
 */
#include "queue_worker.h"

enum {
    WORKERS = PRODUCERS + CONSUMERS,
    MAXSIZE = 200,
    MAX_BYTES = 16 << 20,
    FEW = 20000,          /* items of a producer ... */
    MOST_PER_KILL = 4000, /* ... and more for each kill */
};

/* -- The storm ------------------------------------------------------------- */

typedef struct tempest {
    const kind *kind;
    mp_queue *queue;
    mp_array *array;
    board *board;
    const storm_round *round;
    char place[SUPPORT_PATH_SIZE];
    mp_process *workers[WORKERS];
    size_t allowed; /* to be lost */
} tempest;

static void start_worker(tempest *it, int place)
{
    it->workers[place] = torture_start(
        it->round->method, queue_work,
        MP_ARGS(it->kind->where == ANONYMOUS ? MP_BOX(it->queue) : MP_NONE,
                (const char *)it->place,
                mp_obj_bool(it->kind->where == IN_A_FILE), it->array, place,
                (int)it->kind->options.order,
                mp_obj_bool(it->kind->options.redeliver), torture_seed()));
}

static void kill_worker(tempest *it, int place)
{
    bool is_producer = place < PRODUCERS;

    torture_kill(it->workers[place], is_producer ? "producer" : "consumer");
    if (!is_producer) {
        it->allowed += it->board->consumers[place - PRODUCERS].asked;
        it->board->consumers[place - PRODUCERS].asked = 0;
    }
}

static uint32_t count_got(tempest *it)
{
    uint32_t sum = 0;

    for (int i = 0; i < CONSUMERS; i++)
        sum += mp_atomic_load(&it->board->consumers[i].got);
    return sum;
}

static bool is_board_full(tempest *it)
{
    for (int i = 0; i < PRODUCERS; i++)
        if (mp_atomic_load(&it->board->producers[i].begun) + ROW <
            it->board->most)
            return false;
    return true;
}

/* Somebody gets something, whoever was killed. */
static void expect_progress(tempest *it)
{
    uint32_t before = count_got(it);
    int64_t began = mpos_now();

    torture_waits_for("anybody who gets something; %zu items are there",
                      mp_queue_qsize(it->queue));
    while (count_got(it) == before && !is_board_full(it)) {
        torture_recovered(mpos_now() - began);
        mpos_sleep_until(mpos_now() + 100000);
    }
    torture_recovered(mpos_now() - began);
}

static void begin_storm(tempest *it, const char *folder)
{
    const kind *what = it->kind;
    uint32_t most = FEW + (uint32_t)it->round->kills * MOST_PER_KILL;

    if (what->where == NAMED)
        torture_name(it->place);
    if (what->where == IN_A_FILE)
        support_join_path(folder, "queue", it->place);
    ok(mp_array_create(&it->array, MP_CTYPE(char),
                       sizeof(board) + (size_t)most * PRODUCERS * 2, NULL,
                       &(mp_value_options){.has_no_lock = true}));
    it->board = mp_array_data(it->array);
    it->board->most = most;
    ok(queue_open(&it->queue, what, it->place));
    for (int i = 0; i < WORKERS; i++)
        start_worker(it, i);
}

/* What is left is got here; then all is counted. */
static void drain(tempest *it)
{
    worker self = {
        .queue = it->queue,
        .board = it->board,
        .order = MP_QUEUE_LIFO, /* in any */
        .redelivers = it->kind->options.redeliver,
    };
    mp_error joined;

    while (queue_consume_some(&self, self.redelivers ? 0.2 : 0))
        continue;
    cr_assert_eq(mp_queue_qsize(it->queue), 0U);
    joined = mp_queue_join(it->queue, TORTURE_PATIENCE);
    cr_assert(joined == MP_OK || (joined == MP_OWNER_DIED && !self.redelivers),
              "join: %s: %s", mp_error_name(joined), mp_error_message());
}

static void count_lost(tempest *it)
{
    size_t total = 0, lost = 0;

    for (uint32_t who = 0; who < PRODUCERS; who++)
        for (uint32_t i = 0; i < it->board->producers[who].begun; i++) {
            unsigned got = *got_mark(it->board, who, i);

            total += got > 0;
            lost += *put_mark(it->board, who, i) == IS_PUT && got == 0;
        }
    torture_checked(total);
    if (it->kind->options.redeliver)
        cr_assert_eq(lost, 0U, "%zu are lost", lost);
    cr_assert_leq(lost, it->allowed, "%zu are lost", lost);
}

/* But for what the queue itself has in use. */
static void expect_room(tempest *it)
{
    static const char bytes[MOST_LARGE];
    size_t count = MAX_BYTES / 4 * 3 / sizeof(bytes);
    size_t size = it->kind->maxsize;

    if (size > 0 && size < count)
        count = size;
    for (size_t i = 0; i < count; i++)
        ok(mp_queue_put_bytes(it->queue, bytes, sizeof(bytes), 0));
    for (size_t i = 0; i < count; i++) {
        void *data = NULL;

        ok(mp_queue_get_bytes(it->queue, 0, &data, &size));
        cr_assert_eq(size, sizeof(bytes));
        mp_free(data);
        ok(mp_queue_task_done(it->queue));
    }
}

static void end_storm(tempest *it)
{
    for (int i = 0; i < WORKERS; i++)
        kill_worker(it, i);
    if (it->kind->where == IN_A_FILE) {
        ok(mp_queue_close(it->queue));
        ok(queue_open(&it->queue, it->kind, it->place));
    }
    drain(it);
    count_lost(it);
    expect_room(it);
    if (it->kind->where == NAMED)
        (void)mp_named_unlink(it->place);
    ok(mp_queue_close(it->queue));
    ok(mp_array_close(it->array));
}

static void run_storm(const storm_round *round, const kind *what)
{
    tempest it = {.kind = what, .round = round};
    char folder[SUPPORT_PATH_SIZE];

    support_make_folder("mp-storm-", folder);
    begin_storm(&it, folder);
    for (int i = 0; i < round->kills; i++) {
        int place = (int)torture_chance(WORKERS);

        torture_linger(1);
        kill_worker(&it, place);
        expect_progress(&it);
        start_worker(&it, place);
    }
    end_storm(&it);
    support_remove_folder(folder);
}

static void fifo(const storm_round *round)
{
    static const kind what = {{.max_bytes = MAX_BYTES}, MAXSIZE, ANONYMOUS};

    run_storm(round, &what);
}

static void fifo_unbounded(const storm_round *round)
{
    static const kind what = {{.max_bytes = MAX_BYTES}, 0, ANONYMOUS};

    run_storm(round, &what);
}

static void fifo_named(const storm_round *round)
{
    static const kind what = {{.max_bytes = MAX_BYTES}, MAXSIZE, NAMED};

    run_storm(round, &what);
}

static void fifo_in_file(const storm_round *round)
{
    static const kind what = {{.max_bytes = MAX_BYTES}, MAXSIZE, IN_A_FILE};

    run_storm(round, &what);
}

static void lifo(const storm_round *round)
{
    static const kind what = {
        {.order = MP_QUEUE_LIFO, .max_bytes = MAX_BYTES}, MAXSIZE, ANONYMOUS};

    run_storm(round, &what);
}

static void priority(const storm_round *round)
{
    static const kind what = {
        {.order = MP_QUEUE_PRIORITY, .max_bytes = MAX_BYTES},
        MAXSIZE,
        ANONYMOUS};

    run_storm(round, &what);
}

static void deque(const storm_round *round)
{
    static const kind what = {
        {.order = MP_QUEUE_DEQUE, .max_bytes = MAX_BYTES}, 0, ANONYMOUS};

    run_storm(round, &what);
}

static void redelivered(const storm_round *round)
{
    static const kind what = {
        {.redeliver = true, .max_bytes = MAX_BYTES}, MAXSIZE, ANONYMOUS};

    run_storm(round, &what);
}

static void redelivered_in_file(const storm_round *round)
{
    static const kind what = {
        {.order = MP_QUEUE_PRIORITY, .redeliver = true, .max_bytes = MAX_BYTES},
        MAXSIZE,
        IN_A_FILE};

    run_storm(round, &what);
}

#define QUEUE_HOLDS                                                          \
    "producers and consumers: each item whole and once, none lost but what " \
    "the dead held, no memory missing"
#define NONE_LOST                                                           \
    "producers and consumers: each item whole, none lost, none twice that " \
    "was not given again"

const storm torture_queues[] = {
    {"queue/fifo", QUEUE_HOLDS, 15, NULL, fifo},
    {"queue/unbounded", QUEUE_HOLDS " (no maxsize)", 15, NULL, fifo_unbounded},
    {"queue/name", QUEUE_HOLDS " (with a name)", 15, NULL, fifo_named},
    {"queue/file", QUEUE_HOLDS " (in a file)", 15, NULL, fifo_in_file},
    {"queue/lifo", QUEUE_HOLDS " (last in first out)", 15, NULL, lifo},
    {"queue/priority", QUEUE_HOLDS " (by priority)", 15, NULL, priority},
    {"queue/deque", QUEUE_HOLDS " (two ends)", 15, NULL, deque},
    {"queue/redeliver", NONE_LOST, 15, NULL, redelivered},
    {"queue/redeliver-file", NONE_LOST " (by priority, in a file)", 15, NULL,
     redelivered_in_file},
    {.name = NULL},
};
