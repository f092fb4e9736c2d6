/* SPDX-License-Identifier: MIT */
/*
 * Kill storms on queues: producers and consumers use one in every way there is,
 * and one of them is killed every few milliseconds, at any instruction, and
 * replaced. Items are numbered and have a checksum. None is torn; none is got
 * twice, unless it was given again; none is lost but what killed consumers held
 * (with redelivery: none at all); whoever is left goes on within a second; and
 * in the end no memory is missing.
 *
 * How many kills there are is for a run of seconds. By hand, for thousands:
 *
 *     STORM_KILLS=10000 test_queue_storm --timeout=3600
 *
 * What has become of each item is written down on the board, an Array: before
 * and after it is put, and when it was got. There a consumer says, too, how
 * many it may be about to take: so many may be lost with it.
 */
#include "support/check.h"
#include "support/queue.h"
#include "support/system.h"

#include "os.h"

enum {
    PRODUCERS = 4,
    CONSUMERS = 4,
    WORKERS = PRODUCERS + CONSUMERS,
    KILLS = 150,
    MAXSIZE = 200,
    MAX_BYTES = 16 << 20,
    BURST = 2000, /* calls */
    ROW = 20,     /* items, for put_many() and get_many() */
    MOST_SMALL = 400,
    MOST_LARGE = 60000,
    FEW = 20000,          /* items of a producer ... */
    MOST_PER_KILL = 4000, /* ... and more for each kill */
    ROOM = ROW * (MOST_LARGE + 100),
    LONG = 3600, /* seconds: the time limit of a test, for runs by hand */
};

/* Within a second, and what a busy machine adds. */
static const double longest_allowed = 2;

typedef enum storage {
    ANONYMOUS,
    NAMED,
    IN_A_FILE,
} storage;

/* -- The board ------------------------------------------------------------- */

enum { IS_PUT = 1 }; /* its put() has returned */

/* Each field is written by one process at a time. */
typedef struct board {
    uint32_t most; /* items of each producer */
    struct {
        uint32_t begun; /* may have been put */
        uint32_t pad[15];
    } producers[PRODUCERS];
    struct {
        uint32_t asked; /* so many may be in its hands */
        uint32_t got;
        uint32_t pad[14];
    } consumers[CONSUMERS];
    unsigned char marks[]; /* most of each: IS_PUT, then how often got */
} board;

static unsigned char *put_mark(board *it, uint32_t who, uint32_t number)
{
    return &it->marks[((size_t)who * it->most + number) * 2];
}

static unsigned char *got_mark(board *it, uint32_t who, uint32_t number)
{
    return put_mark(it, who, number) + 1;
}

/* -- Chance ---------------------------------------------------------------- */

static uint64_t state;

static uint32_t chance(uint32_t below)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407U;
    return (uint32_t)(state >> 33) % below;
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

/* Ends the process if it is torn. */
static item_head look_at(const void *memory, size_t size)
{
    item_head head = {.who = PRODUCERS};

    if (size >= sizeof(head))
        memcpy(&head, memory, sizeof(head));
    if (head.who >= PRODUCERS || size != sizeof(head) + head.size ||
        head.sum !=
            sum_of(&head, (const unsigned char *)memory + sizeof(head))) {
        fprintf(stderr, "an item is torn: %zu bytes\n", size);
        exit(1);
    }
    return head;
}

/* -- Producers ------------------------------------------------------------- */

/* Of a worker, or of the parent. */
typedef struct worker {
    mp_queue *queue;
    board *board;
    uint32_t who;
    mp_queue_order order;
    bool redelivers;
    bool has_last[PRODUCERS];
    uint32_t last[PRODUCERS]; /* number got */
} worker;

/* False: nothing was put. What is damaged, or stays locked, is the end. */
static bool was_put(mp_error err)
{
    if (err == MP_FULL || err == MP_ENOSPC)
        return false;
    must(err);
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
        must(mp_queue_abandon(it->queue, &slot));
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
        fprintf(stderr, "%u after %u\n", (unsigned)head->number,
                (unsigned)it->last[head->who]);
        exit(1);
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
        fprintf(stderr, "an item that nobody put: %u\n", (unsigned)head.number);
        exit(1);
    }
    mark = got_mark(it->board, head.who, head.number);
    before = mp_fetch_add(mark, 1);
    if (before > 0 && (!it->redelivers || mp_queue_deliveries(it->queue) < 2)) {
        fprintf(stderr, "an item came twice: %u of %u\n", (unsigned)head.number,
                (unsigned)head.who);
        exit(1);
    }
    expect_order(it, &head);
}

static void note_object(worker *it, mp_obj *item)
{
    const mp_obj *part = item;
    const void *bytes;
    size_t size;

    if (mp_obj_type(item) == MP_TYPE_TUPLE)
        must(mp_obj_item(item, 1, &part));
    must(mp_obj_as_bytes(part, &bytes, &size));
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
    must(mp_queue_consume(it->queue, &slot));
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
static bool consume_some(worker *it, double timeout)
{
    size_t done = 0;
    mp_error err = get_somehow(it, timeout, &done);

    if (err == MP_ETYPE) { /* an object */
        done = 1;
        err = get_object(it, timeout);
    }
    if (err == MP_ETYPE || err == MP_EMPTY) /* and another one was faster */
        return false;
    must(err);
    for (size_t i = 0; i < done; i++)
        must(mp_queue_task_done(it->queue));
    return true;
}

static void consume(worker *it)
{
    for (uint32_t n = chance(BURST); n > 0; n--) {
        mp_atomic_store(&it->board->consumers[it->who].asked, ROW);
        if (consume_some(it, 0.01))
            mp_fetch_add(&it->board->consumers[it->who].got, 1);
        mp_atomic_store(&it->board->consumers[it->who].asked, 0);
    }
}

/* -- Finding it ------------------------------------------------------------ */

typedef struct kind {
    const char *name;
    mp_queue_options options;
    size_t maxsize;
    storage where;
} kind;

static mp_error open_queue(mp_queue **out, const kind *what, const char *place)
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

/* (queue, place or "", is it a file, board, who, order, redelivers, seed) */
static int work(mp_args *args)
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
        must(mp_obj_as_queue(mp_arg_obj(args, 0), &it.queue));
    else
        must(open_queue(&it.queue, &what, place));
    it.who = (uint32_t)(who < PRODUCERS ? who : who - PRODUCERS);
    work_on(&it, who < PRODUCERS);
    return 0; /* it is killed before */
}

/* -- The storm ------------------------------------------------------------- */

typedef struct storm {
    const kind *kind;
    mp_queue *queue;
    mp_array *array;
    board *board;
    mp_start_method method;
    char place[SUPPORT_PATH_SIZE];
    mp_process *workers[WORKERS];
    size_t allowed; /* to be lost */
    double slowest; /* that nothing was got, in seconds */
} storm;

static size_t kills_wanted(void)
{
    const char *text = getenv("STORM_KILLS");
    size_t count = text == NULL ? 0 : (size_t)strtoul(text, NULL, 10);

    return count > 0 ? count : support_scaled(KILLS);
}

static void start_worker(storm *it, int place)
{
    it->workers[place] = support_start_daemon(
        it->method, work,
        MP_ARGS(
            it->kind->where == ANONYMOUS ? MP_BOX(it->queue) : MP_NONE,
            (const char *)it->place, mp_obj_bool(it->kind->where == IN_A_FILE),
            it->array, place, (int)it->kind->options.order,
            mp_obj_bool(it->kind->options.redeliver), (int64_t)(state >> 2)));
    chance(2);
}

static void kill_worker(storm *it, int place)
{
    int code;

    ok(mp_process_kill(it->workers[place]));
    code = support_finish(it->workers[place]);
    cr_assert_eq(code, -9, "a worker ended by itself: %d", code);
    if (place >= PRODUCERS) {
        it->allowed += it->board->consumers[place - PRODUCERS].asked;
        it->board->consumers[place - PRODUCERS].asked = 0;
    }
}

static uint32_t count_got(storm *it)
{
    uint32_t sum = 0;

    for (int i = 0; i < CONSUMERS; i++)
        sum += mp_atomic_load(&it->board->consumers[i].got);
    return sum;
}

static bool is_board_full(storm *it)
{
    for (int i = 0; i < PRODUCERS; i++)
        if (mp_atomic_load(&it->board->producers[i].begun) + ROW <
            it->board->most)
            return false;
    return true;
}

/* Somebody gets something, whoever was killed. */
static void expect_progress(storm *it)
{
    uint32_t before = count_got(it);
    double began = mp_monotonic(), time = 0;

    while (count_got(it) == before && !is_board_full(it)) {
        time = mp_monotonic() - began;
        cr_assert_lt(time, longest_allowed * (support_is_watched() ? 5 : 1),
                     "nothing is got any more; %zu are there",
                     mp_queue_qsize(it->queue));
        mpos_sleep_until(mpos_now() + 100000);
    }
    if (time > it->slowest)
        it->slowest = time;
}

static void begin_storm(storm *it, const kind *what, const char *folder,
                        size_t kills)
{
    uint32_t most = (uint32_t)(FEW + kills * MOST_PER_KILL);

    *it = (storm){.kind = what, .method = MP_START_SPAWN};
    if (mpos_system.has_fork)
        it->method = MP_START_FORK;
    if (what->where == NAMED)
        snprintf(it->place, sizeof(it->place), "mp queue storm %lld",
                 (long long)mp_getpid());
    if (what->where == IN_A_FILE)
        support_join_path(folder, "queue", it->place);
    ok(mpos_random(&state, sizeof(state)));
    ok(mp_array_create(&it->array, MP_CTYPE(char),
                       sizeof(board) + (size_t)most * PRODUCERS * 2, NULL,
                       &(mp_value_options){.has_no_lock = true}));
    it->board = mp_array_data(it->array);
    it->board->most = most;
    ok(open_queue(&it->queue, what, it->place));
    for (int i = 0; i < WORKERS; i++)
        start_worker(it, i);
}

/* What is left is got here; then all is counted. */
static void drain(storm *it)
{
    worker self = {
        .queue = it->queue,
        .board = it->board,
        .order = MP_QUEUE_LIFO, /* in any */
        .redelivers = it->kind->options.redeliver,
    };
    mp_error joined;

    while (consume_some(&self, self.redelivers ? 0.2 : 0))
        continue;
    cr_assert_eq(mp_queue_qsize(it->queue), 0U);
    joined = mp_queue_join(it->queue, SUPPORT_PATIENCE);
    cr_assert(joined == MP_OK || (joined == MP_OWNER_DIED && !self.redelivers),
              "join: %s: %s", mp_error_name(joined), mp_error_message());
}

static void count_lost(storm *it, size_t kills)
{
    size_t total = 0, lost = 0, again = 0;

    for (uint32_t who = 0; who < PRODUCERS; who++)
        for (uint32_t i = 0; i < it->board->producers[who].begun; i++) {
            unsigned got = *got_mark(it->board, who, i);

            total += got > 0;
            again += got > 1;
            lost += *put_mark(it->board, who, i) == IS_PUT && got == 0;
        }
    fprintf(stderr,
            "%s: %zu kills, %zu items, %zu again, %zu lost with their "
            "consumers, none waited longer than %.0f ms\n",
            it->kind->name, kills, total, again, lost, it->slowest * 1e3);
    if (it->kind->options.redeliver)
        cr_assert_eq(lost, 0U, "%zu are lost", lost);
    cr_assert_leq(lost, it->allowed, "%zu are lost", lost);
}

/* But for what the queue itself has in use. */
static void expect_room(storm *it)
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

static void end_storm(storm *it, size_t kills)
{
    for (int i = 0; i < WORKERS; i++)
        kill_worker(it, i);
    if (it->kind->where == IN_A_FILE) {
        ok(mp_queue_close(it->queue));
        ok(open_queue(&it->queue, it->kind, it->place));
    }
    drain(it);
    count_lost(it, kills);
    expect_room(it);
    if (it->kind->where == NAMED)
        (void)mp_named_unlink(it->place);
    ok(mp_queue_close(it->queue));
    ok(mp_array_close(it->array));
}

static void run_storm(const kind *what)
{
    char folder[SUPPORT_PATH_SIZE];
    size_t kills = kills_wanted();
    storm it;

    support_make_folder("mp-storm-", folder);
    begin_storm(&it, what, folder, kills);
    for (size_t i = 0; i < kills; i++) {
        int place = (int)chance(WORKERS);

        mpos_sleep_until(mpos_now() + (int64_t)chance(4000) * 1000);
        kill_worker(&it, place);
        expect_progress(&it);
        start_worker(&it, place);
    }
    end_storm(&it, kills);
    support_remove_folder(folder);
}

Test(queue_storm, first_in_first_out, .timeout = LONG)
{
    run_storm(&(kind){"fifo", {.max_bytes = MAX_BYTES}, MAXSIZE, ANONYMOUS});
}

Test(queue_storm, without_a_maxsize, .timeout = LONG)
{
    run_storm(
        &(kind){"fifo, unbounded", {.max_bytes = MAX_BYTES}, 0, ANONYMOUS});
}

Test(queue_storm, with_a_name, .timeout = LONG)
{
    run_storm(
        &(kind){"fifo with a name", {.max_bytes = MAX_BYTES}, MAXSIZE, NAMED});
}

Test(queue_storm, in_a_file, .timeout = LONG)
{
    run_storm(&(kind){
        "fifo in a file", {.max_bytes = MAX_BYTES}, MAXSIZE, IN_A_FILE});
}

Test(queue_storm, last_in_first_out, .timeout = LONG)
{
    run_storm(&(kind){"lifo",
                      {.order = MP_QUEUE_LIFO, .max_bytes = MAX_BYTES},
                      MAXSIZE,
                      ANONYMOUS});
}

Test(queue_storm, by_priority, .timeout = LONG)
{
    run_storm(&(kind){"priority",
                      {.order = MP_QUEUE_PRIORITY, .max_bytes = MAX_BYTES},
                      MAXSIZE,
                      ANONYMOUS});
}

Test(queue_storm, with_two_ends, .timeout = LONG)
{
    run_storm(&(kind){"deque, unbounded",
                      {.order = MP_QUEUE_DEQUE, .max_bytes = MAX_BYTES},
                      0,
                      ANONYMOUS});
}

Test(queue_storm, with_redelivery, .timeout = LONG)
{
    run_storm(&(kind){"fifo, redelivered",
                      {.redeliver = true, .max_bytes = MAX_BYTES},
                      MAXSIZE,
                      ANONYMOUS});
}

Test(queue_storm, by_priority_with_redelivery_in_a_file, .timeout = LONG)
{
    run_storm(&(kind){
        "priority, redelivered, in a file",
        {.order = MP_QUEUE_PRIORITY, .redeliver = true, .max_bytes = MAX_BYTES},
        MAXSIZE,
        IN_A_FILE});
}
