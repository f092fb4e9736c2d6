/* SPDX-License-Identifier: MIT */
/*
 * Storms on the owner of a Lock or RLock, one death after another, each with
 * its own lock: whoever acquires next is told, once, however it came to wait;
 * those behind it are not, nor does it matter that one of them was killed.
 */
#include "torture.h"

enum { MOST_WAITERS = 4, MOST_DEPTH = 3 };

/* Shared by all of one death, in an Array. */
typedef struct slip {
    uint32_t is_held;
    uint32_t came[MOST_WAITERS]; /* is about to acquire */
    uint32_t next;
    struct {
        int32_t err;
        int64_t time; /* mpos_now() */
    } got[MOST_WAITERS];
} slip;

typedef struct gate {
    mp_lock *lock; /* one of them */
    mp_rlock *rlock;
} gate;

static gate gate_of(const mp_obj *obj)
{
    gate it = {NULL, NULL};

    if (mp_obj_as_lock(obj, &it.lock) != MP_OK)
        mp_check(mp_obj_as_rlock(obj, &it.rlock));
    return it;
}

static mp_error acquire(const gate *it, double timeout)
{
    return it->lock != NULL ? mp_lock_acquire(it->lock, timeout)
                            : mp_rlock_acquire(it->rlock, timeout);
}

static mp_error release(const gate *it)
{
    return it->lock != NULL ? mp_lock_release(it->lock)
                            : mp_rlock_release(it->rlock);
}

/* -- Targets --------------------------------------------------------------- */

/* (lock, slip, how often it acquires) */
static int own(mp_args *args)
{
    gate it = gate_of(mp_arg_obj(args, 0));
    slip *on = mp_array_data(mp_arg_array(args, 1));

    for (int64_t i = 0; i < mp_arg_int(args, 2); i++)
        mp_check(acquire(&it, 0));
    mp_atomic_store(&on->is_held, 1);
    for (;;)
        mp_sleep(1);
}

/* (lock, slip, place, whether it only tries): acquires once, and says how that
 * came out. */
static int follow(mp_args *args)
{
    gate it = gate_of(mp_arg_obj(args, 0));
    slip *on = mp_array_data(mp_arg_array(args, 1));
    bool only_tries = mp_arg_bool(args, 3);
    uint32_t place;
    mp_error err;

    mp_atomic_store(&on->came[mp_arg_int(args, 2)], 1);
    do {
        err = acquire(&it, only_tries ? 0 : MP_FOREVER);
    } while (err == MP_TIMED_OUT);
    place = mp_fetch_add(&on->next, 1);
    on->got[place].err = (int32_t)err;
    on->got[place].time = mpos_now();
    mp_check(release(&it));
    return 0;
}

/* -- One death ------------------------------------------------------------- */

typedef struct death {
    const storm_round *round;
    gate gate;
    mp_array *array;
    slip *slip;
    mp_process *owner;
    mp_process *waiters[MOST_WAITERS];
    uint32_t waiter_count;
    int64_t killed; /* when */
} death;

static mp_obj *box(const gate *it)
{
    return it->lock != NULL ? mp_obj_lock(it->lock) : mp_obj_rlock(it->rlock);
}

static void await(uint32_t *flag, const char *what)
{
    int64_t began = mpos_now();

    torture_waits_for("%s", what);
    while (mp_atomic_load(flag) == 0) {
        cr_assert_lt(mpos_now() - began, (int64_t)(TORTURE_PATIENCE * 1e9));
        mpos_sleep_until(mpos_now() + 200000);
    }
}

static void begin(death *it)
{
    uint32_t depth = 1;

    if (torture_chance(2) == 0) {
        ok(mp_lock_create(&it->gate.lock));
    } else {
        ok(mp_rlock_create(&it->gate.rlock));
        depth += torture_chance(MOST_DEPTH);
    }
    ok(mp_array_create(&it->array, MP_CTYPE(char), sizeof(slip), NULL,
                       &(mp_value_options){.has_no_lock = true}));
    it->slip = mp_array_data(it->array);
    it->owner = torture_start(it->round->method, own,
                              MP_ARGS(box(&it->gate), it->array, (int)depth));
    await(&it->slip->is_held, "an owner that acquires");
}

static void start_waiters(death *it)
{
    it->waiter_count = torture_chance(MOST_WAITERS + 1);
    for (uint32_t i = 0; i < it->waiter_count; i++)
        it->waiters[i] =
            torture_start(it->round->method, follow,
                          MP_ARGS(box(&it->gate), it->array, (int)i,
                                  mp_obj_bool(torture_chance(4) == 0)));
    for (uint32_t i = 0; i < it->waiter_count; i++)
        await(&it->slip->came[i], "a waiter that comes");
    torture_linger(torture_chance(8) == 0 ? 40 : 2); /* they spin, or sleep */
}

/* It had nothing: nobody else is concerned. */
static void kill_a_waiter(death *it)
{
    if (it->waiter_count < 2 || torture_chance(3) > 0)
        return;
    torture_kill(it->waiters[--it->waiter_count], "waiter");
}

/* Reaped at once or only in the end: a zombie is dead, too. */
static void kill_owner(death *it)
{
    it->killed = mpos_now();
    if (torture_chance(2) == 0) {
        torture_kill(it->owner, "holder");
        it->owner = NULL;
    } else {
        ok(mp_process_kill(it->owner));
        torture_killed("holder");
    }
}

static void expect_told_once(death *it)
{
    for (uint32_t i = 0; i < it->waiter_count; i++) {
        torture_waits_for("%u waiters of a dead owner", it->waiter_count);
        cr_assert_eq(support_finish(it->waiters[i]), 0);
    }
    cr_assert_eq(it->slip->next, it->waiter_count);
    for (uint32_t i = 0; i < it->waiter_count; i++)
        cr_assert_eq(it->slip->got[i].err,
                     (int32_t)(i == 0 ? MP_OWNER_DIED : MP_OK), "waiter %u: %s",
                     (unsigned)i,
                     mp_error_name((mp_error)it->slip->got[i].err));
    if (it->waiter_count > 0)
        torture_recovered(it->slip->got[0].time - it->killed);
}

/* Nobody waited: this process is the next one. */
static void expect_told_here(death *it)
{
    torture_waits_for("being told of an owner's death");
    cr_assert_eq(acquire(&it->gate, TORTURE_PATIENCE), MP_OWNER_DIED);
    torture_recovered(mpos_now() - it->killed);
    ok(release(&it->gate));
}

static void end(death *it)
{
    if (it->owner != NULL)
        cr_assert_eq(support_finish(it->owner), -9);
    ok(acquire(&it->gate, 0));
    ok(release(&it->gate));
    if (it->gate.lock != NULL)
        ok(mp_lock_close(it->gate.lock));
    else
        ok(mp_rlock_close(it->gate.rlock));
    ok(mp_array_close(it->array));
    torture_checked(1 + it->waiter_count);
}

static void storm_owners(const storm_round *round)
{
    for (int i = 0; i < round->kills; i++) {
        death it = {.round = round};

        begin(&it);
        start_waiters(&it);
        kill_a_waiter(&it);
        kill_owner(&it);
        if (it.waiter_count > 0)
            expect_told_once(&it);
        else
            expect_told_here(&it);
        end(&it);
    }
}

const storm torture_owners[] = {
    {"owner",
     "who has a Lock or RLock, while others sleep, spin or try: the next one "
     "is told, once",
     8, NULL, storm_owners},
    {.name = NULL},
};
