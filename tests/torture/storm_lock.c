/* SPDX-License-Identifier: MIT */
/* Storms on Lock and RLock: one at a time, and each death of an owner is told
 * once. */
#include "crew.h"

#include <stdio.h>

/* One of the two. */
typedef struct gate {
    mp_lock *lock;
    mp_rlock *rlock;
} gate;

static mp_error acquire(const gate *it)
{
    return it->rlock != NULL ? mp_rlock_acquire(it->rlock, MP_FOREVER)
                             : mp_lock_acquire(it->lock, MP_FOREVER);
}

static mp_error release(const gate *it)
{
    return it->rlock != NULL ? mp_rlock_release(it->rlock)
                             : mp_lock_release(it->lock);
}

static bool is_gone(uint64_t pid)
{
    uint64_t start_time;

    return mpos_start_time((int64_t)pid, &start_time) == MP_ENOTFOUND;
}

/* Only who was killed may still be inside, and only if that was told. */
static void go_inside(bool was_told)
{
    uint64_t pid = (uint64_t)mp_getpid();
    uint64_t before = mpi_atomic64_load(&crew_me.board->holder);

    EXPECT(before == 0 || (was_told && is_gone(before)));
    EXPECT(mpi_atomic64_change(&crew_me.board->holder, before, pid));
}

static void go_outside(void)
{
    EXPECT(
        mpi_atomic64_change(&crew_me.board->holder, (uint64_t)mp_getpid(), 0));
}

/* One store without the other is what a death leaves. */
static void change_both(bool was_told)
{
    volatile uint64_t *left = &crew_me.board->left,
                      *right = &crew_me.board->right;

    if (was_told)
        *right = *left;
    EXPECT(*left == *right);
    *left = *left + 1;
    crew_work(200);
    *right = *right + 1;
}

/* An RLock once more. */
static void go_deeper(const gate *it)
{
    if (it->rlock == NULL)
        return;
    EXPECT_OK(acquire(it));
    crew_work(20);
    EXPECT_OK(release(it));
}

static void pass_gate(const gate *it)
{
    mp_error err;

    crew_set_step(COMING);
    err = acquire(it);
    if (err == MP_OWNER_DIED)
        mpi_atomic32_add(&crew_me.board->told, 1);
    crew_set_step(INSIDE);
    if (err != MP_OWNER_DIED)
        EXPECT_OK(err);
    go_inside(err == MP_OWNER_DIED);
    go_deeper(it);
    change_both(err == MP_OWNER_DIED);
    go_outside();
    crew_arrive(crew_me.board);
    crew_set_step(LEAVING);
    EXPECT_OK(release(it));
    crew_set_step(OUTSIDE);
    mpi_atomic32_add(&crew_me.slot->done, 1);
}

static int use_lock(mp_args *args)
{
    gate it = {.lock = mp_arg_lock(args, 0)};

    crew_come(args, it.lock);
    while (!crew_must_end()) {
        pass_gate(&it);
        crew_work(200);
    }
    return 0;
}

static int use_rlock(mp_args *args)
{
    gate it = {.rlock = mp_arg_rlock(args, 0)};

    crew_come(args, it.rlock);
    while (!crew_must_end()) {
        pass_gate(&it);
        crew_work(200);
    }
    return 0;
}

/* Opens it by its name. */
static int use_named_lock(mp_args *args)
{
    mp_open_options existing = {.mode = MP_OPEN_EXISTING};
    gate it = {0};

    mp_check(mp_lock_open(&it.lock, mp_arg_str(args, 0), &existing));
    crew_come(args, it.lock);
    while (!crew_must_end()) {
        pass_gate(&it);
        crew_work(200);
    }
    mp_check(mp_lock_close(it.lock));
    return 0;
}

static void create_lock(crew *it)
{
    ok(mp_lock_create((mp_lock **)&it->things[0]));
}

static void create_rlock(crew *it)
{
    ok(mp_rlock_create((mp_rlock **)&it->things[0]));
}

static void name_of_lock(const crew *it, char name[96])
{
    snprintf(name, 96, "%s lock", it->name);
}

static void create_named_lock(crew *it)
{
    char name[96];

    name_of_lock(it, name);
    ok(mp_lock_open((mp_lock **)&it->things[0], name, NULL));
}

static void close_lock(crew *it)
{
    ok(mp_lock_close(it->things[0]));
}

static void close_rlock(crew *it)
{
    ok(mp_rlock_close(it->things[0]));
}

static void close_named_lock(crew *it)
{
    char name[96];

    name_of_lock(it, name);
    ok(mp_named_unlink(name));
    close_lock(it);
}

static mp_obj *lock_arguments(crew *it, int place)
{
    return MP_ARGS((mp_lock *)it->things[0], CREW_ARGS(it, place));
}

static mp_obj *rlock_arguments(crew *it, int place)
{
    return MP_ARGS((mp_rlock *)it->things[0], CREW_ARGS(it, place));
}

static mp_obj *named_lock_arguments(crew *it, int place)
{
    char name[96];

    name_of_lock(it, name);
    return MP_ARGS(name, CREW_ARGS(it, place));
}

static void check_lock(crew *it)
{
    gate its = {0};
    mp_error err;

    if (it->plan->worker == use_rlock)
        its.rlock = it->things[0];
    else
        its.lock = it->things[0];
    err = acquire(&its);
    if (err == MP_OWNER_DIED)
        mpi_atomic32_add(&it->board->told, 1);
    else
        cr_assert_eq(it->board->left, it->board->right);
    cr_assert(err == MP_OK || err == MP_OWNER_DIED, "%d", (int)err);
    ok(release(&its));
    crew_check_told(it);
}

static void storm_locks(const storm_round *round)
{
    const crew_plan plan = {
        .worker = use_lock,
        .workers = CREW_MOST,
        .create = create_lock,
        .close = close_lock,
        .arguments = lock_arguments,
        .bury = crew_bury_owner,
        .check = check_lock,
    };

    crew_run(&plan, round);
}

static void storm_rlocks(const storm_round *round)
{
    const crew_plan plan = {
        .worker = use_rlock,
        .workers = CREW_MOST,
        .create = create_rlock,
        .close = close_rlock,
        .arguments = rlock_arguments,
        .bury = crew_bury_owner,
        .check = check_lock,
    };

    crew_run(&plan, round);
}

static void storm_named_locks(const storm_round *round)
{
    const crew_plan plan = {
        .worker = use_named_lock,
        .workers = CREW_MOST,
        .create = create_named_lock,
        .close = close_named_lock,
        .arguments = named_lock_arguments,
        .bury = crew_bury_owner,
        .check = check_lock,
    };

    crew_run(&plan, round);
}

#define LOCK_HOLDS                                                        \
    "users of a lock: one at a time inside; each holder's death is told " \
    "once; the others go on"

const storm torture_locks[] = {
    {"lock/lock", LOCK_HOLDS, 25, NULL, storm_locks},
    {"lock/rlock", LOCK_HOLDS " (an RLock)", 25, NULL, storm_rlocks},
    {"lock/named", LOCK_HOLDS " (a Lock with a name)", 25, NULL,
     storm_named_locks},
    {.name = NULL},
};
