/* SPDX-License-Identifier: MIT */
/* Queues by name and in files: who finds what, what is refused, what outlives
 * everybody, what a kill leaves, and what damage does not do. */
#include "support/check.h"
#include "support/queue.h"
#include "support/spot.h"

#include "os.h"

#include <string.h>

enum { WORKERS = 3, EACH = 200, LARGE = 100000, MOST_FILE = 1 << 20 };

static const mp_queue_options existing = {.open = {.mode = MP_OPEN_EXISTING}};
static const mp_queue_options exclusively = {
    .open = {.mode = MP_CREATE_EXCLUSIVELY}};

static mp_error open_at(mp_queue **out, const spot *at, size_t maxsize,
                        const mp_queue_options *options)
{
    return at->is_file ? mp_queue_open_file(out, at->name, maxsize, options)
                       : mp_queue_open(out, at->name, maxsize, options);
}

static mp_queue *must_open(const spot *at, size_t maxsize,
                           const mp_queue_options *options)
{
    mp_queue *queue = NULL;

    ok(open_at(&queue, at, maxsize, options));
    cr_assert_not_null(queue);
    return queue;
}

static void refuse(const spot *at, const mp_queue_options *options,
                   mp_error expected)
{
    mp_queue *queue = NULL;

    fails(open_at(&queue, at, 0, options), expected);
    cr_assert_null(queue);
}

/* What there is lasts without a user. */
static bool lasts(const spot *at)
{
    return at->is_file || support_names_last();
}

/* -- Targets: (is_file, name, ...) ----------------------------------------- */

static spot spot_of(mp_args *args)
{
    spot at = {.is_file = mp_arg_bool(args, 0)};

    snprintf(at.name, sizeof(at.name), "%s", mp_arg_str(args, 1));
    return at;
}

#define SPOT(at) MP_BOX((at).is_file), MP_BOX((at).name)

static mp_queue *open_in_child(mp_args *args)
{
    spot at = spot_of(args);
    mp_queue *queue = NULL;

    must(open_at(&queue, &at, 0, NULL));
    return queue;
}

/* ..., who: (who, 0), (who, 1) ... */
static int produce_there(mp_args *args)
{
    mp_queue *queue = open_in_child(args);

    for (int64_t i = 0; i < EACH; i++)
        must(mp_queue_put(queue, MP_TUPLE(mp_arg_int(args, 2), i),
                          SUPPORT_PATIENCE));
    must(mp_queue_close(queue));
    return 0;
}

/* Puts three small ones and a large one, and dies. */
static int put_and_die(mp_args *args)
{
    static const char text[LARGE];
    mp_queue *queue = open_in_child(args);

    for (int i = 1; i < 4; i++)
        must(mp_queue_put(queue, MP_BOX(i), 0));
    must(mp_queue_put(queue, MP_BYTES(text, LARGE), 0));
    mpos_exit(9);
}

/* ..., order, redelivers: takes one and dies with it. */
static int take_and_die(mp_args *args)
{
    const mp_queue_options options = {
        .order = (mp_queue_order)mp_arg_int(args, 2), .redeliver = true};
    spot at = spot_of(args);
    mp_queue *queue = NULL;
    mp_obj *item = NULL;

    must(open_at(&queue, &at, 0, &options));
    must(mp_queue_get(queue, SUPPORT_PATIENCE, &item));
    mp_obj_unref(item);
    mpos_exit(9);
}

static int reserve_and_die(mp_args *args)
{
    mp_queue *queue = open_in_child(args);
    mp_queue_slot slot;

    must(mp_queue_reserve(queue, LARGE, &slot));
    memset(slot.data, 'x', LARGE);
    mpos_exit(9);
}

/* (queue, is_file): passed, wherever it is. */
static int put_in_passed(mp_args *args)
{
    must(mp_queue_put(mp_arg_queue(args, 0), MP_BOX("passed"), 0));
    return 0;
}

/* -- Finding --------------------------------------------------------------- */

static void find_again(mp_start_method method, bool is_file)
{
    spot at = begin(is_file);
    mp_queue *queue = must_open(&at, 0, NULL);
    mp_queue *again = must_open(&at, 0, NULL);

    put(queue, "of one");
    gets(again, "'of one'");
    cr_assert_eq(support_run(method, produce_there, MP_ARGS(SPOT(at), 7)), 0);
    cr_assert_eq(mp_queue_qsize(queue), (size_t)EACH);
    for (int i = 0; i < EACH; i++) {
        char expected[32];

        snprintf(expected, sizeof(expected), "(7, %d)", i);
        gets(i % 2 == 0 ? queue : again, expected);
    }
    is_drained(queue);
    ok(mp_queue_close(again));
    ok(mp_queue_close(queue));
    end(&at);
}

METHOD_TEST(queue_place, others_find_it_by_name)
{
    find_again(method, false);
}

METHOD_TEST(queue_place, others_find_it_in_a_file)
{
    find_again(method, true);
}

static void open_in_each_mode(bool is_file)
{
    spot at = begin(is_file);
    mp_queue *queue;

    refuse(&at, &existing, MP_ENOTFOUND);
    queue = must_open(&at, 2, &exclusively);
    refuse(&at, &exclusively, MP_EEXIST);
    put(queue, 1);
    ok(mp_queue_close(must_open(&at, 0, &existing)));
    ok(mp_queue_close(must_open(&at, 99, NULL)));
    ok(mp_queue_close(queue));
    if (lasts(&at)) {
        queue = must_open(&at, 99, &existing);
        put(queue, 2);
        /* Its maxsize is what its creator said. */
        comes_to(mp_queue_put_nowait(queue, MP_BOX(3)), MP_FULL);
        gets(queue, "1");
        ok(mp_queue_close(queue));
    }
    end(&at);
}

Test(queue_place, modes_are_obeyed)
{
    open_in_each_mode(false);
    open_in_each_mode(true);
}

static void differ(bool is_file)
{
    static const mp_queue_options lifo = {.order = MP_QUEUE_LIFO};
    static const mp_queue_options again = {.order = MP_QUEUE_PRIORITY,
                                           .redeliver = true};
    static const mp_queue_options priority = {.order = MP_QUEUE_PRIORITY};
    spot at = begin(is_file);
    mp_queue *queue = must_open(&at, 0, &priority), *same;

    refuse(&at, NULL, MP_EEXIST);
    refuse(&at, &lifo, MP_EEXIST);
    refuse(&at, &again, MP_EEXIST);
    /* Whatever it is. */
    same = must_open(&at, 0, &existing);
    put(same, 2);
    put(queue, 1);
    gets(same, "1");
    gets(queue, "2");
    ok(mp_queue_close(same));
    ok(mp_queue_close(queue));
    end(&at);
}

Test(queue_place, another_order_is_told)
{
    differ(false);
    differ(true);
}

Test(queue_place, a_name_of_another_kind_is_refused)
{
    spot at = begin(false);
    mp_queue *queue;
    mp_lock *lock = NULL;

    ok(mp_lock_open(&lock, at.name, NULL));
    refuse(&at, NULL, MP_ETYPE);
    (void)mp_named_unlink(at.name);
    ok(mp_lock_close(lock));
    lock = NULL;
    queue = must_open(&at, 0, &exclusively);
    fails(mp_lock_open(&lock, at.name, NULL), MP_ETYPE);
    ok(mp_queue_close(queue));
    end(&at);
}

Test(queue_place, the_list_of_names_tells_the_kind)
{
    spot at = begin(false);
    mp_queue *queue = must_open(&at, 0, NULL);
    mp_named *names = NULL;
    size_t count = 0;
    bool is_found = false;

    if (!support_names_last()) {
        ok(mp_queue_close(queue));
        cr_skip_test("names can't be listed here");
    }
    ok(mp_named_list(&names, &count));
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i].name, at.name) == 0) {
            is_found = true;
            cr_assert_str_eq(names[i].kind, "Queue");
            cr_assert(names[i].is_in_use);
        }
    cr_assert(is_found);
    mp_free(names);
    ok(mp_queue_close(queue));
    end(&at);
}

METHOD_TEST(queue_place, several_create_it_at_once)
{
    for (int i = 0; i < 2; i++) {
        spot at = begin(i == 1);
        mp_process *children[WORKERS];
        mp_queue *queue = NULL;

        /* Where a name goes with its last user, so do the items. */
        if (!lasts(&at))
            queue = must_open(&at, 0, NULL);
        for (int n = 0; n < WORKERS; n++)
            children[n] =
                support_start(method, produce_there, MP_ARGS(SPOT(at), n));
        if (queue == NULL)
            queue = must_open(&at, 0, NULL);
        for (int n = 0; n < WORKERS; n++)
            cr_assert_eq(support_finish(children[n]), 0);
        cr_assert_eq(mp_queue_qsize(queue), (size_t)WORKERS * EACH);
        ok(mp_queue_close(queue));
        end(&at);
    }
}

METHOD_TEST(queue_place, it_can_be_passed_as_well)
{
    for (int i = 0; i < 2; i++) {
        spot at = begin(i == 1);
        mp_queue *queue = must_open(&at, 0, NULL);

        cr_assert_eq(support_run(method, put_in_passed, MP_ARGS(queue)), 0);
        gets(queue, "'passed'");
        ok(mp_queue_close(queue));
        end(&at);
    }
}

Test(queue_place, what_makes_no_sense_is_refused)
{
    mp_queue *queue = NULL;

    fails(mp_queue_open(&queue, NULL, 0, NULL), MP_EINVAL);
    fails(mp_queue_open(&queue, "", 0, NULL), MP_EINVAL);
    fails(mp_queue_open(&queue, "a/b", 0, NULL), MP_EINVAL);
    fails(mp_queue_open_file(&queue, NULL, 0, NULL), MP_EINVAL);
    fails(mp_queue_open_file(&queue, "no such folder/queue", 0, NULL),
          MP_ENOTFOUND);
    cr_assert_null(queue);
}

Test(queue_place, only_what_is_in_a_file_can_be_synced)
{
    spot at = begin(true);
    mp_queue *queue = make_queue(0);

    fails(mp_queue_sync(queue), MP_ENOTSUP);
    ok(mp_queue_close(queue));
    queue = must_open(&at, 0, NULL);
    put(queue, 1);
    ok(mp_queue_sync(queue));
    ok(mp_queue_close(queue));
    end(&at);
}

/* -- What outlives everybody ----------------------------------------------- */

static const mp_queue_options all_options[] = {
    {.order = MP_QUEUE_FIFO},
    {.order = MP_QUEUE_LIFO},
    {.order = MP_QUEUE_PRIORITY},
    {.order = MP_QUEUE_DEQUE},
    {.order = MP_QUEUE_FIFO, .redeliver = true},
};

enum { ALL = sizeof(all_options) / sizeof(all_options[0]) };

/* Small, large, and a row of middle ones that need room. */
static mp_obj *make_item(int key)
{
    static const char text[LARGE];
    static const size_t sizes[] = {0, 10, 500, 8000, 9000, LARGE};

    return MP_TUPLE(key, MP_BYTES(text, sizes[key % 6]));
}

Test(queue_place, a_file_keeps_items_and_their_order)
{
    enum { COUNT = 60 };

    for (int i = 0; i < ALL; i++) {
        spot at = begin(true);
        mp_queue *queue = must_open(&at, 0, &all_options[i]);

        for (int n = 0; n < COUNT; n++)
            put(queue, make_item(n));
        for (int n = 0; n < COUNT; n++) {
            bool is_lifo = all_options[i].order == MP_QUEUE_LIFO;
            mp_obj *expected = make_item(is_lifo ? COUNT - 1 - n : n);
            mp_obj *item = NULL;

            if (n % 7 == 0) { /* a restart of everything */
                ok(mp_queue_close(queue));
                queue = must_open(&at, 0, &all_options[i]);
                cr_assert_eq(mp_queue_qsize(queue), (size_t)(COUNT - n));
            }
            ok(mp_queue_get_nowait(queue, &item));
            cr_assert(mp_obj_equal(item, expected), "item %d", n);
            mp_obj_unref(item);
            mp_obj_unref(expected);
            if (all_options[i].redeliver)
                ok(mp_queue_task_done(queue));
        }
        is_drained(queue);
        ok(mp_queue_close(queue));
        end(&at);
    }
}

METHOD_TEST(queue_place, what_was_put_survives_who_put_it)
{
    for (int i = 0; i < 2; i++) {
        spot at = begin(i == 1);
        mp_queue *queue = NULL;

        if (!lasts(&at))
            queue = must_open(&at, 0, NULL);
        cr_assert_eq(support_run(method, put_and_die, MP_ARGS(SPOT(at))), 9);
        if (queue == NULL)
            queue = must_open(&at, 0, &existing);
        cr_assert_eq(mp_queue_qsize(queue), 4U);
        gets(queue, "1");
        gets(queue, "2");
        gets(queue, "3");
        put(queue, 5);
        cr_assert_eq(mp_queue_qsize(queue), 2U);
        ok(mp_queue_close(queue));
        end(&at);
    }
}

METHOD_TEST(queue_place, what_the_dead_had_taken_is_in_the_file_again)
{
    for (int order = MP_QUEUE_FIFO; order <= MP_QUEUE_DEQUE; order++) {
        const mp_queue_options options = {.order = (mp_queue_order)order,
                                          .redeliver = true};
        spot at = begin(true);
        mp_queue *queue = must_open(&at, 0, &options);

        put(queue, MP_TUPLE(1, "kept"));
        ok(mp_queue_close(queue));
        for (int i = 0; i < 2; i++)
            cr_assert_eq(
                support_run(method, take_and_die, MP_ARGS(SPOT(at), order)), 9);
        queue = must_open(&at, 0, &options);
        gets_in_time(queue, "(1, 'kept')");
        cr_assert_eq(mp_queue_deliveries(queue), 3U);
        ok(mp_queue_task_done(queue));
        ok(mp_queue_join(queue, 0));
        ok(mp_queue_close(queue));
        queue = must_open(&at, 0, &options);
        is_drained(queue);
        ok(mp_queue_close(queue));
        end(&at);
    }
}

METHOD_TEST(queue_place, room_of_the_dead_in_a_file_comes_back)
{
    const mp_queue_options small = {.max_bytes = 1 << 20};
    static char text[5 * LARGE];
    spot at = begin(true);
    mp_queue *queue = must_open(&at, 0, &small);

    ok(mp_queue_close(queue));
    for (int i = 0; i < 12; i++)
        cr_assert_eq(support_run(method, reserve_and_die, MP_ARGS(SPOT(at))),
                     9);
    queue = must_open(&at, 0, &small);
    is_drained(queue);
    ok(mp_queue_put_bytes(queue, text, sizeof(text), 0));
    ok(mp_queue_close(queue));
    end(&at);
}

Test(queue_place, a_shut_down_file_stays_so)
{
    spot at = begin(true);
    mp_queue *queue = must_open(&at, 0, NULL);
    mp_obj *item = NULL;

    put(queue, 1);
    ok(mp_queue_shutdown(queue, false));
    ok(mp_queue_close(queue));
    queue = must_open(&at, 0, NULL);
    fails(mp_queue_put(queue, MP_BOX(2), 0), MP_ESHUTDOWN);
    gets(queue, "1");
    fails(mp_queue_get(queue, 0, &item), MP_ESHUTDOWN);
    ok(mp_queue_close(queue));
    end(&at);
}

/* -- Damage ---------------------------------------------------------------- */

static unsigned char whole[MOST_FILE];

static size_t read_whole(const char *path)
{
    FILE *file = fopen(path, "rb");
    size_t size;

    cr_assert_not_null(file);
    size = fread(whole, 1, sizeof(whole), file);
    fclose(file);
    cr_assert_gt(size, 0U);
    return size;
}

static void write_whole(const char *path, size_t size)
{
    FILE *file = fopen(path, "wb");

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(whole, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

static void answered(mp_error err)
{
    if (err < 0)
        cr_assert_str_not_empty(mp_error_message());
}

/* It is refused, or can be used somehow; all returns. */
static void use_damaged(const char *path, mp_queue_options options)
{
    mp_queue *queue = NULL;
    mp_error err = mp_queue_open_file(&queue, path, 0, &options);
    mp_obj *item = NULL;

    answered(err);
    cr_assert_eq(queue != NULL, err == MP_OK);
    if (err != MP_OK)
        return;
    (void)mp_queue_qsize(queue);
    answered(mp_queue_put(queue, make_item(1), 0));
    answered(mp_queue_put(queue, make_item(5), 0));
    for (int i = 0; i < 12; i++) {
        err = mp_queue_get(queue, 0, &item);
        answered(err);
        if (err == MP_OK)
            mp_obj_unref(item);
    }
    answered(mp_queue_task_done(queue));
    answered(mp_queue_join(queue, 0));
    answered(mp_queue_shutdown(queue, true));
    ok(mp_queue_close(queue));
}

static void damage(mp_queue_options options)
{
    /* The head, the thing, its data, the table of units, units. */
    static const size_t begins[] = {0, 1024, 64 << 10, (64 << 10) + 8192,
                                    (64 << 10) + 16384};
    const size_t step = support_is_watched() ? 61 : 13;
    spot at = begin(true);
    mp_queue *queue;
    size_t size;

    options.max_bytes = 256 << 10;
    queue = must_open(&at, 0, &options);
    for (int i = 0; i < 6; i++)
        put(queue, make_item(i % 5));
    ok(mp_queue_close(queue));
    size = read_whole(at.name);
    for (size_t place = 0; place < 5 * 512; place += step) {
        size_t offset = begins[place / 512] + place % 512;

        if (offset >= size)
            continue;
        whole[offset] ^= 0x41;
        write_whole(at.name, size);
        use_damaged(at.name, options);
        whole[offset] ^= 0x41;
    }
    for (size_t less = 0; less < size; less += size / 37 + 1) {
        write_whole(at.name, less);
        use_damaged(at.name, options);
    }
    end(&at);
}

Test(queue_place, damaged_files_are_answered, .timeout = 300)
{
    for (int i = 0; i < ALL; i++)
        damage(all_options[i]);
}

Test(queue_place, what_is_no_queue_is_refused)
{
    spot at = begin(true);
    mp_shared_list *list = NULL;

    memset(whole, 'x', 200000);
    write_whole(at.name, 200000);
    refuse(&at, NULL, MP_EPROTO);
    support_remove_file(at.name);
    ok(mp_shared_list_open_file(&list, at.name, 10, NULL));
    ok(mp_shared_list_close(list));
    refuse(&at, NULL, MP_ETYPE);
    end(&at);
}
