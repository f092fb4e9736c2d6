/* SPDX-License-Identifier: MIT */
/*
 * Queues with every call into the system, and every allocation, made to fail
 * once: what fails has a sentence, puts nothing and takes nothing, and leaks
 * nothing. Only what an object is decoded to is memory that is asked for when
 * the item is taken already, as in Python: of that the item is gone.
 */
#include "support/check.h"
#include "support/queue.h"
#include "support/system.h"

#include "os.h"
#include "os_fault.h"

#include <stdio.h>
#include <string.h>

enum { MOST_CALLS = 500, LARGE = 100000 };

static const mp_error errors[] = {MP_ENOMEM, MP_EMFILE, MP_EIO};

/* Ring and table. */
static const mp_queue_options all_options[] = {
    {.order = MP_QUEUE_FIFO},
    {.order = MP_QUEUE_DEQUE},
    {.order = MP_QUEUE_PRIORITY},
    {.order = MP_QUEUE_FIFO, .redeliver = true},
};

enum { ALL = sizeof(all_options) / sizeof(all_options[0]) };

static const char text[LARGE];

/* Bytes, an object, and two that have units of their own. */
static mp_queue *make_filled(const mp_queue_options *options)
{
    mp_queue *queue = make_queue_with(0, *options);

    ok(mp_queue_put_bytes(queue, "bytes", 5, 0));
    put(queue, MP_TUPLE(1, "object"));
    if (options->order == MP_QUEUE_PRIORITY)
        ok(mp_queue_put_bytes_priority(queue, 2, text, LARGE, 0));
    else
        ok(mp_queue_put_bytes(queue, text, LARGE, 0));
    put(queue, MP_TUPLE(3, MP_BYTES(text, LARGE)));
    return queue;
}

/* What is there, a letter each: 'b'ytes or 'o'bject, 'B' and 'O' if large. It
 * is empty then. */
static void drain(mp_queue *queue, char *letters, size_t room)
{
    mp_obj *item = NULL;
    size_t count = 0;

    while (mp_queue_get_nowait(queue, &item) == MP_OK) {
        const mp_obj *part = item;
        bool is_object = mp_obj_type(item) == MP_TYPE_TUPLE;
        size_t size = 0;

        if (is_object)
            ok(mp_obj_item(item, 1, &part));
        ok(mp_obj_len(part, &size));
        cr_assert_lt(count + 1, room);
        letters[count] = is_object ? 'o' : 'b';
        if (size == LARGE)
            letters[count] = is_object ? 'O' : 'B';
        count++;
        mp_obj_unref(item);
        item = NULL;
    }
    letters[count] = 0;
    cr_assert_eq(mp_queue_qsize(queue), 0U);
}

/* -- What is done to one --------------------------------------------------- */

static mp_error put_small(mp_queue *queue)
{
    return mp_queue_put(queue, MP_TUPLE(9, "new"), 0);
}

static mp_error put_large(mp_queue *queue)
{
    return mp_queue_put(queue, MP_TUPLE(9, MP_BYTES(text, LARGE)), 0);
}

static mp_error put_bytes(mp_queue *queue)
{
    return mp_queue_put_bytes(queue, "new", 3, 0);
}

static mp_error put_many(mp_queue *queue)
{
    const mp_bytes items[] = {{"one", 3}, {"two", 3}};
    size_t done = 0;
    mp_error err = mp_queue_put_many(queue, items, 2, &done, 0);

    cr_assert_eq(done, err == MP_OK ? 2U : 0U);
    return err;
}

static mp_error get_one(mp_queue *queue)
{
    mp_obj *item = NULL;
    mp_error err = mp_queue_get(queue, 0, &item);

    cr_assert_eq(item == NULL, err != MP_OK);
    mp_obj_unref(item);
    return err;
}

static mp_error get_bytes(mp_queue *queue)
{
    void *data = NULL;
    size_t size = 0;
    mp_error err = mp_queue_get_bytes(queue, 0, &data, &size);

    cr_assert_eq(data == NULL, err != MP_OK);
    mp_free(data);
    return err;
}

static mp_error get_into(mp_queue *queue)
{
    char room[10];
    size_t size = 0;

    return mp_queue_get_bytes_into(queue, room, sizeof(room), &size, 0);
}

static mp_error get_many(mp_queue *queue)
{
    char room[10];
    mp_bytes items[2];
    size_t done = 0;

    return mp_queue_get_many(queue, room, sizeof(room), items, 2, &done, 0);
}

static mp_error commit_slot(mp_queue *queue, size_t size)
{
    mp_queue_slot slot;
    mp_error err = mp_queue_reserve(queue, size, &slot);

    if (err != MP_OK)
        return err;
    memset(slot.data, 0, size);
    err = mp_queue_commit(queue, &slot, 0);
    if (err != MP_OK)
        ok(mp_queue_abandon(queue, &slot));
    return err;
}

static mp_error peek(mp_queue *queue)
{
    mp_queue_slot slot;
    mp_error err = mp_queue_peek(queue, 0, &slot);

    return err != MP_OK ? err : mp_queue_consume(queue, &slot);
}

static mp_error look(mp_queue *queue)
{
    mp_wait_item item = MP_WAIT(queue);

    (void)mp_queue_qsize(queue);
    return mp_wait(&item, 1, 0);
}

static mp_error commit_small(mp_queue *queue)
{
    return commit_slot(queue, 10);
}

static mp_error commit_large(mp_queue *queue)
{
    return commit_slot(queue, LARGE);
}

static mp_error join(mp_queue *queue)
{
    mp_error err = mp_queue_join(queue, 0);

    return err == MP_TIMED_OUT ? MP_OK : err;
}

/* -- One at a time --------------------------------------------------------- */

typedef struct operation {
    mp_error (*call)(mp_queue *queue);
    const char *after;          /* what is there when it has succeeded ... */
    const char *after_priority; /* ... its bytes' key being 0 */
    bool decodes;
} operation;

static const operation operations[] = {
    {put_small, "boBOo", "boBOo", false},
    {put_large, "boBOO", "boBOO", false},
    {put_bytes, "boBOb", "bboBO", false},
    {put_many, "boBObb", "bbboBO", false},
    {commit_small, "boBOb", "bboBO", false},
    {commit_large, "boBOB", "bBoBO", false},
    {get_one, "oBO", "oBO", true},
    {get_bytes, "oBO", "oBO", false},
    {get_into, "oBO", "oBO", false},
    {get_many, "oBO", "oBO", false},
    {peek, "oBO", "oBO", false},
    {look, "boBO", "boBO", false},
    {join, "boBO", "boBO", false},
};

enum { OPERATIONS = sizeof(operations) / sizeof(operations[0]) };

/* It has failed: nothing has changed, unless there was no memory to decode what
 * it had taken. Then it succeeds. */
static void try_again(mp_queue *queue, const operation *what, mp_error err,
                      long n)
{
    size_t size = mp_queue_qsize(queue);

    if (what->decodes && err == MP_ENOMEM && size == 3)
        return;
    cr_assert_eq(size, 4U, "operation %d, call %ld", (int)(what - operations),
                 n);
    ok(what->call(queue));
}

static size_t try_one(const mp_queue_options *options, const operation *what,
                      mp_error error)
{
    const char *after = options->order == MP_QUEUE_PRIORITY
                            ? what->after_priority
                            : what->after;
    size_t failures = 0;
    bool was_hit = true;

    for (long n = 1; was_hit; n++) {
        mp_queue *queue = make_filled(options);
        char letters[16];
        mp_error err;

        cr_assert_lt(n, MOST_CALLS);
        mpi_fault_arm(n, error);
        err = what->call(queue);
        was_hit = mpi_fault_disarm(NULL, NULL);
        if (err != MP_OK) {
            cr_assert(was_hit, "failed by itself: %s", mp_error_message());
            cr_assert_str_not_empty(mp_error_message());
            try_again(queue, what, err, n);
            failures++;
        }
        drain(queue, letters, sizeof(letters));
        cr_assert_str_eq(letters, after, "call %ld: %s", n, letters);
        ok(mp_queue_close(queue));
    }
    return failures;
}

Test(fault_queue, what_fails_changes_nothing, .timeout = 120)
{
    size_t failures = 0, handles;

    ok(mp_queue_close(make_filled(&all_options[0])));
    handles = support_open_handles();
    for (int i = 0; i < ALL; i++)
        for (int n = 0; n < OPERATIONS; n++)
            for (int which = 0; which < 2; which++)
                failures +=
                    try_one(&all_options[i], &operations[n], errors[which]);
    cr_assert_eq(support_open_handles(), handles);
    cr_assert_gt(failures, 40U, "only %zu", failures);
}

/* Units for two such items at most: those of what is gone are free again. */
static mp_queue *make_small(const mp_queue_options *options)
{
    mp_queue_options small = *options;

    small.max_bytes = 3 * LARGE;
    return make_queue_with(0, small);
}

static void put_large_object(mp_queue *queue)
{
    ok(mp_queue_put(queue, MP_TUPLE(3, MP_BYTES(text, LARGE)), 0));
}

static void put_large_bytes(mp_queue *queue)
{
    ok(mp_queue_put_bytes(queue, text, LARGE, 0));
}

/* How often getting that has failed; left: how many are there then. */
static int starve(mp_queue *queue, void (*put_it)(mp_queue *queue),
                  mp_error (*get_it)(mp_queue *queue), size_t left)
{
    bool was_hit = true;
    int failures = 0;

    for (long n = 1; was_hit; n++) {
        mp_error err;

        cr_assert_lt(n, MOST_CALLS);
        if (mp_queue_empty(queue))
            put_it(queue);
        mpi_fault_arm(n, MP_ENOMEM);
        err = get_it(queue);
        was_hit = mpi_fault_disarm(NULL, NULL);
        if (err != MP_OK) {
            comes_to(err, MP_ENOMEM);
            cr_assert_eq(mp_queue_qsize(queue), left, "call %ld", n);
            failures++;
        }
        if (mp_queue_empty(queue))
            ok(mp_queue_task_done(queue));
    }
    cr_assert(mp_queue_empty(queue));
    ok(mp_queue_join(queue, 0));
    return failures;
}

Test(fault_queue, an_object_that_memory_is_short_for_is_gone)
{
    for (int i = 0; i < ALL; i++) {
        mp_queue *queue = make_small(&all_options[i]);

        cr_assert_gt(starve(queue, put_large_object, get_one, 0), 2);
        ok(mp_queue_close(queue));
    }
}

Test(fault_queue, bytes_that_memory_is_short_for_stay)
{
    for (int i = 0; i < ALL; i++) {
        mp_queue *queue = make_small(&all_options[i]);

        /* Room for a small one, then for what it is. */
        cr_assert_eq(starve(queue, put_large_bytes, get_bytes, 1), 2);
        cr_assert_eq(starve(queue, put_large_bytes, peek, 1), 1);
        /* get() makes an object of them, and then they are gone. */
        cr_assert_eq(starve(queue, put_large_bytes, get_one, 0), 1);
        ok(mp_queue_close(queue));
    }
}

/* -- Making and opening ---------------------------------------------------- */

typedef struct place {
    char path[SUPPORT_PATH_SIZE];
    char name[64];
} place;

static mp_error create(const place *it, mp_queue **out)
{
    (void)it;
    return mp_queue_create(out, 0, NULL);
}

static mp_error create_table(const place *it, mp_queue **out)
{
    (void)it;
    return mp_queue_create(out, 0, &all_options[2]);
}

static mp_error open_name(const place *it, mp_queue **out)
{
    return mp_queue_open(out, it->name, 0, NULL);
}

static mp_error open_path(const place *it, mp_queue **out)
{
    return mp_queue_open_file(out, it->path, 0, NULL);
}

/* False: it has not come to the call that fails. */
static bool make_once(mp_error (*make)(const place *, mp_queue **),
                      const place *it, long n, mp_error error)
{
    mp_queue *queue = NULL;
    bool was_hit;
    mp_error err;

    mpi_fault_arm(n, error);
    err = make(it, &queue);
    was_hit = mpi_fault_disarm(NULL, NULL);
    cr_assert_eq(queue == NULL, err != MP_OK);
    if (err != MP_OK) {
        cr_assert(was_hit, "failed by itself: %s", mp_error_message());
        cr_assert_str_not_empty(mp_error_message());
        cr_assert_eq(mp_named_unlink(it->name), MP_ENOTFOUND,
                     "call %ld has left a name", n);
    } else {
        put(queue, 1);
        gets(queue, "1");
        ok(mp_queue_close(queue));
        (void)mp_named_unlink(it->name);
    }
    support_remove_file(it->path);
    return was_hit;
}

Test(fault_queue, making_one_fails_cleanly, .timeout = 120)
{
    static mp_error (*const makers[])(const place *, mp_queue **) = {
        create, create_table, open_name, open_path};
    char folder[SUPPORT_PATH_SIZE];
    size_t handles;
    place it;

    support_make_folder("mp-fault-", folder);
    support_join_path(folder, "queue", it.path);
    snprintf(it.name, sizeof(it.name), "mp fault queue %lld",
             (long long)mp_getpid());
    for (size_t i = 0; i < sizeof(makers) / sizeof(makers[0]); i++) {
        cr_assert_not(make_once(makers[i], &it, MOST_CALLS, MP_EIO));
        handles = support_open_handles();
        for (int which = 0; which < 3; which++) {
            long n = 1;

            while (make_once(makers[i], &it, n, errors[which])) {
                cr_assert_eq(support_open_handles(), handles, "call %ld", n);
                n++;
            }
            cr_assert_gt(n, 5);
        }
        cr_assert_eq(support_open_handles(), handles);
    }
    support_remove_folder(folder);
}

/* One that exists stays, and stays as it is. */
Test(fault_queue, opening_one_fails_cleanly)
{
    char folder[SUPPORT_PATH_SIZE];
    mp_queue *kept = NULL, *queue = NULL;
    bool was_hit = true;
    place it;

    support_make_folder("mp-fault-", folder);
    support_join_path(folder, "queue", it.path);
    ok(open_path(&it, &kept));
    put(kept, 1);
    for (long n = 1; was_hit; n++) {
        mp_error err;

        mpi_fault_arm(n, MP_ENOMEM);
        err = open_path(&it, &queue);
        was_hit = mpi_fault_disarm(NULL, NULL);
        if (err == MP_OK)
            ok(mp_queue_close(queue));
        cr_assert_eq(mp_queue_qsize(kept), 1U);
    }
    gets(kept, "1");
    ok(mp_queue_close(kept));
    support_remove_folder(folder);
}

/* -- Travelling ------------------------------------------------------------ */

static int check_it(mp_args *args)
{
    mpi_fault_disarm(NULL, NULL); /* a forked child has inherited it */
    return mp_queue_qsize(mp_arg_queue(args, 0)) == 4 ? 7 : 1;
}

/* What arrives is rebuilt in this process. */
Test(fault_queue, one_that_arrives_fails_cleanly)
{
    mp_connection *ends[2] = {NULL, NULL};
    mp_queue *queue = make_filled(&all_options[0]), *same = NULL;
    bool was_hit = true;
    size_t handles;

    ok(mp_pipe(&ends[0], &ends[1], NULL));
    handles = support_open_handles();
    for (long n = 1; was_hit; n++) {
        mp_obj *obj = NULL;
        mp_error err;

        cr_assert_lt(n, MOST_CALLS);
        ok(mp_connection_send(ends[0], MP_BOX(queue)));
        mpi_fault_arm(n, MP_ENOMEM);
        err = mp_connection_recv(ends[1], &obj);
        was_hit = mpi_fault_disarm(NULL, NULL);
        cr_assert(was_hit || err == MP_OK, "%s", mp_error_message());
        if (err == MP_OK) {
            ok(mp_obj_as_queue(obj, &same));
            cr_assert_eq(mp_queue_qsize(same), 4U);
            mp_obj_unref(obj);
        } else { /* a message that was not read is still there */
            ok(mp_connection_close(ends[0]));
            ok(mp_connection_close(ends[1]));
            ok(mp_pipe(&ends[0], &ends[1], NULL));
        }
        cr_assert_eq(support_open_handles(), handles, "call %ld", n);
    }
    cr_assert_eq(mp_queue_qsize(queue), 4U);
    ok(mp_connection_close(ends[0]));
    ok(mp_connection_close(ends[1]));
    ok(mp_queue_close(queue));
}

METHOD_TEST(fault_queue, passing_one_fails_cleanly)
{
    mp_process_options options = {.start_method = method};
    mp_queue *queue = make_filled(&all_options[0]);
    bool was_hit = true;

    for (long n = 1; was_hit; n += 3) {
        mp_process *child = NULL;
        mp_error err;

        cr_assert_lt(n, MOST_CALLS);
        ok(mp_process_create(&child, check_it, MP_ARGS(queue), &options));
        mpi_fault_arm(n, MP_ENOMEM);
        err = mp_process_start(child);
        was_hit = mpi_fault_disarm(NULL, NULL);
        if (err != MP_OK) {
            cr_assert(was_hit, "failed by itself: %s", mp_error_message());
            ok(mp_process_start(child));
        }
        cr_assert_eq(support_finish(child), 7);
    }
    ok(mp_queue_close(queue));
}
