/* SPDX-License-Identifier: MIT */
/*
 * What is in shared memory, in a process that a fork() of the system's has
 * made: its first use there says who uses it, and the calls for that are made
 * to fail. Then nothing is used, and nothing is lost for the next try.
 */
#include "support/expect.h"
#include "support/fault.h"

#include "share.h"
#include "state.h"

#include <string.h>

enum { SPAN = 100000, ITEM = 64 };

static mp_lock *lock;
static mp_rlock *rlock;
static mp_semaphore *semaphore;
static mp_event *event;
static mp_condition *condition;
static mp_barrier *barrier;
static mp_value *value;
static mp_array *array;
static mp_shared_dict *dict;
static mp_shared_list *list;

/* The orders are different code, and so is what is on a table at all. */
enum { FIFO, LIFO, PRIORITY, QUEUES };

static mp_queue *queues[QUEUES];

static void make_all(void)
{
    ok(mp_lock_create(&lock));
    ok(mp_rlock_create(&rlock));
    ok(mp_semaphore_create(&semaphore, 1));
    ok(mp_event_create(&event));
    ok(mp_condition_create_with_lock(&condition, lock));
    ok(mp_barrier_create(&barrier, 1, NULL));
    ok(mp_value_create(&value, MP_CTYPE(int), NULL, NULL));
    ok(mp_array_create(&array, MP_CTYPE(int), 10, NULL, NULL));
    ok(mp_shared_dict_create(&dict, 10, NULL));
    ok(mp_shared_list_create(&list, 10, NULL));
    for (int i = 0; i < QUEUES; i++)
        ok(mp_queue_create(&queues[i], 0,
                           &(mp_queue_options){.order = (mp_queue_order)i}));
}

static void close_all(void)
{
    for (int i = 0; i < QUEUES; i++)
        ok(mp_queue_close(queues[i]));
    ok(mp_shared_list_close(list));
    ok(mp_shared_dict_close(dict));
    ok(mp_array_close(array));
    ok(mp_value_close(value));
    ok(mp_barrier_close(barrier));
    ok(mp_condition_close(condition));
    ok(mp_event_close(event));
    ok(mp_semaphore_close(semaphore));
    ok(mp_rlock_close(rlock));
    ok(mp_lock_close(lock));
}

/* As the fork's handlers do it: nothing is known to be in use any more. */
static void become_a_copy(void)
{
    mpi_shares_after_fork();
    mpi_state.start_time = 0;
}

/* -- What is done ---------------------------------------------------------- */

/* One call, which leaves things as they were when it and `after` succeed. */
typedef struct deed {
    const char *name;
    void (*before)(void);
    mp_error (*act)(void);
    void (*after)(void);
} deed;

static mp_error acquire_lock(void)
{
    return mp_lock_acquire(lock, 0);
}

static void must_acquire_lock(void)
{
    ok(mp_lock_acquire(lock, 0));
}

static mp_error release_lock(void)
{
    return mp_lock_release(lock);
}

static void must_release_lock(void)
{
    ok(mp_lock_release(lock));
}

static mp_error acquire_rlock(void)
{
    return mp_rlock_acquire(rlock, 0);
}

static void must_release_rlock(void)
{
    ok(mp_rlock_release(rlock));
}

static mp_error acquire_semaphore(void)
{
    return mp_semaphore_acquire(semaphore, 0);
}

static void must_acquire_semaphore(void)
{
    ok(mp_semaphore_acquire(semaphore, 0));
}

static mp_error release_semaphore(void)
{
    return mp_semaphore_release(semaphore);
}

static void must_release_semaphore(void)
{
    ok(mp_semaphore_release(semaphore));
}

static mp_error set_event(void)
{
    return mp_event_set(event);
}

static void must_set_event(void)
{
    ok(mp_event_set(event));
}

static mp_error clear_event(void)
{
    return mp_event_clear(event);
}

static void must_clear_event(void)
{
    ok(mp_event_clear(event));
}

static mp_error wait_for_event(void)
{
    return mp_event_wait(event, MP_FOREVER);
}

static mp_error wait_for_one_of_two(void)
{
    mp_wait_item items[] = {MP_WAIT(event), MP_WAIT(queues[FIFO])};

    return mp_wait(items, 2, MP_FOREVER);
}

static mp_error acquire_condition(void)
{
    return mp_condition_acquire(condition, 0);
}

static mp_error pass_barrier(void)
{
    uint32_t index;

    return mp_barrier_wait(barrier, MP_FOREVER, &index);
}

static mp_error reset_barrier(void)
{
    return mp_barrier_reset(barrier);
}

static mp_error abort_barrier(void)
{
    return mp_barrier_abort(barrier);
}

static void must_reset_barrier(void)
{
    ok(mp_barrier_reset(barrier));
}

static mp_error set_value(void)
{
    return mp_value_set(value, MP_BOX(1));
}

static mp_error copy_value(void)
{
    mp_value *copy = NULL;
    mp_error err = mp_value_copy(value, &copy, NULL);

    if (err == MP_OK)
        ok(mp_value_close(copy));
    return err;
}

static mp_error read_array(void)
{
    int items[10];

    return mp_array_read(array, 0, items, 10);
}

static mp_error write_array(void)
{
    const int items[10] = {0};

    return mp_array_write(array, 0, items, 10);
}

static mp_error slice_array(void)
{
    return error_of(mp_array_slice(array, 0, 10));
}

static mp_error set_slice_of_array(void)
{
    return mp_array_set_slice(array, 0, 2, MP_LIST(1, 2));
}

static mp_error set_in_dict(void)
{
    return mp_shared_dict_set(dict, MP_BOX("key"), MP_BOX(1));
}

static void must_set_in_dict(void)
{
    ok(set_in_dict());
}

static mp_error get_from_dict(void)
{
    return error_of(mp_shared_dict_get(dict, MP_BOX("key")));
}

static mp_error clear_dict(void)
{
    return mp_shared_dict_clear(dict);
}

static mp_error verify_dict(void)
{
    return mp_shared_dict_verify(dict);
}

static mp_error append_to_list(void)
{
    return mp_shared_list_append(list, MP_BOX(1));
}

static mp_error clear_list(void)
{
    return mp_shared_list_clear(list);
}

static mp_error verify_list(void)
{
    return mp_shared_list_verify(list);
}

/* -- The same for queues --------------------------------------------------- */

static char bytes[SPAN];
static mp_queue *queue; /* one of them */

static mp_error put_item(void)
{
    return mp_queue_put_bytes(queue, bytes, ITEM, 0);
}

static void must_put_item(void)
{
    ok(put_item());
}

static mp_error put_span(void)
{
    return mp_queue_put_bytes(queue, bytes, SPAN, 0);
}

static mp_error put_many(void)
{
    const mp_bytes items[] = {{bytes, ITEM}};
    size_t done;

    return mp_queue_put_many(queue, items, 1, &done, 0);
}

static mp_error get_item(void)
{
    size_t size;

    return mp_queue_get_bytes_into(queue, bytes, sizeof(bytes), &size, 0);
}

static void must_get_item(void)
{
    ok(get_item());
}

static mp_error get_many(void)
{
    mp_bytes items[1];
    size_t done;

    return mp_queue_get_many(queue, bytes, sizeof(bytes), items, 1, &done, 0);
}

static mp_error reserve_span(void)
{
    mp_queue_slot slot;
    mp_error err = mp_queue_reserve(queue, SPAN, &slot);

    if (err == MP_OK)
        ok(mp_queue_abandon(queue, &slot));
    return err;
}

static void must_finish_tasks(void)
{
    while (mp_queue_task_done(queue) == MP_OK)
        continue;
}

static mp_error join_tasks(void)
{
    return mp_queue_join(queue, 0);
}

/* -- All of it, failing ---------------------------------------------------- */

static const deed deeds[] = {
    {"acquire a Lock", NULL, acquire_lock, must_release_lock},
    {"release a Lock", must_acquire_lock, release_lock, NULL},
    {"acquire an RLock", NULL, acquire_rlock, must_release_rlock},
    {"acquire a Semaphore", NULL, acquire_semaphore, must_release_semaphore},
    {"release a Semaphore", must_acquire_semaphore, release_semaphore, NULL},
    {"set an Event", NULL, set_event, must_clear_event},
    {"clear an Event", must_set_event, clear_event, NULL},
    {"wait for an Event", must_set_event, wait_for_event, must_clear_event},
    {"wait", must_set_event, wait_for_one_of_two, must_clear_event},
    {"acquire a Condition", NULL, acquire_condition, must_release_lock},
    {"pass a Barrier", NULL, pass_barrier, NULL},
    {"reset a Barrier", NULL, reset_barrier, NULL},
    {"abort a Barrier", NULL, abort_barrier, must_reset_barrier},
    {"set a Value", NULL, set_value, NULL},
    {"copy a Value", NULL, copy_value, NULL},
    {"read an Array", NULL, read_array, NULL},
    {"write an Array", NULL, write_array, NULL},
    {"slice an Array", NULL, slice_array, NULL},
    {"set a slice", NULL, set_slice_of_array, NULL},
    {"set in a dict", NULL, set_in_dict, NULL},
    {"get from a dict", must_set_in_dict, get_from_dict, NULL},
    {"clear a dict", NULL, clear_dict, NULL},
    {"verify a dict", NULL, verify_dict, NULL},
    {"append to a list", NULL, append_to_list, NULL},
    {"clear a list", NULL, clear_list, NULL},
    {"verify a list", NULL, verify_list, NULL},
};

static const deed queue_deeds[] = {
    {"put", NULL, put_item, must_get_item},
    {"put much", NULL, put_span, must_get_item},
    {"put many", NULL, put_many, must_get_item},
    {"get", must_put_item, get_item, NULL},
    {"get many", must_put_item, get_many, NULL},
    {"reserve", NULL, reserve_span, NULL},
    {"join", must_finish_tasks, join_tasks, NULL},
};

/* Each call that says who this is fails once; the next try gets through. */
static void do_failing(const deed *it)
{
    fault round = {.error = MP_ENOMEM};

    while (!round.has_ended) {
        mp_error err;

        if (it->before != NULL)
            it->before();
        become_a_copy();
        fault_arm(&round);
        err = it->act();
        if (fault_failed(&round, err)) {
            cr_assert_eq(err, MP_ENOMEM, "%s: %s", it->name,
                         mp_error_name(err));
            err = it->act();
        }
        cr_assert_eq(err, MP_OK, "%s: %s: %s", it->name, mp_error_name(err),
                     mp_error_message());
        if (it->after != NULL)
            it->after();
    }
    cr_assert_geq(round.failures, 1U, "%s", it->name);
}

Test(fault_forked, nothing_shared_is_used_by_who_can_not_say_who_it_is)
{
    make_all();
    for (size_t i = 0; i < sizeof(deeds) / sizeof(deeds[0]); i++)
        do_failing(&deeds[i]);
    close_all();
}

Test(fault_forked, no_queue_is_used_by_who_can_not_say_who_it_is)
{
    make_all();
    for (int i = 0; i < QUEUES; i++) {
        queue = queues[i];
        for (size_t j = 0; j < sizeof(queue_deeds) / sizeof(queue_deeds[0]);
             j++)
            do_failing(&queue_deeds[j]);
        cr_assert_eq(mp_queue_qsize(queue), 0U);
    }
    close_all();
}
