/* SPDX-License-Identifier: MIT */
/*
 * Storms on names: processes are killed while they make things under a name,
 * open them and take the names away. Whoever comes next finds it whole or makes
 * it; what the dead have left is listed, unused, and can be removed.
 */
#include "torture.h"

#include "support/named.h"

enum { WORKERS = 4, NAMES = 3, MEMORY_SIZE = 100000 };

typedef struct tempest {
    const storm_round *round;
    char names[NAMES][TORTURE_NAME_SIZE];
    mp_process *workers[WORKERS];
} tempest;

/* -- Workers --------------------------------------------------------------- */

/* Somebody else may have taken it away, or be about to. */
static void expect(mp_error err)
{
    if (err != MP_ENOTFOUND)
        ok(err);
}

/* (seed, names...): semaphores. */
static int make_and_unlink(mp_args *args)
{
    uint64_t state = (uint64_t)mp_arg_int(args, 0);

    for (;;) {
        const char *name = mp_arg_str(args, 1 + torture_draw(&state, NAMES));
        mp_semaphore *it = NULL;
        int64_t value = -1;

        ok(mp_semaphore_open(&it, name, SUPPORT_PERMITS, NULL));
        ok(mp_semaphore_get_value(it, &value));
        cr_assert_eq(value, SUPPORT_PERMITS);
        if (torture_draw(&state, 2) == 0)
            expect(mp_named_unlink(name));
        ok(mp_semaphore_close(it));
    }
    return 0; /* it is killed before */
}

/* (seed, names...): SharedMemory, which one makes and all the others find. */
static int make_memory(mp_args *args)
{
    uint64_t state = (uint64_t)mp_arg_int(args, 0);

    for (;;) {
        const char *name = mp_arg_str(args, 1 + torture_draw(&state, NAMES));
        mp_shared_memory *it = NULL;
        mp_error err = mp_shared_memory_create(&it, name, MEMORY_SIZE);

        if (err == MP_EEXIST)
            err = mp_shared_memory_open(&it, name);
        if (err == MP_ENOTFOUND)
            continue;
        ok(err);
        cr_assert_geq(mp_shared_memory_size(it), (size_t)MEMORY_SIZE);
        memset(mp_shared_memory_data(it), 1, MEMORY_SIZE);
        if (torture_draw(&state, 2) == 0)
            expect(mp_shared_memory_unlink(it));
        ok(mp_shared_memory_close(it));
    }
    return 0; /* it is killed before */
}

/* -- What is found --------------------------------------------------------- */

static void check_semaphore(const char *name)
{
    mp_semaphore *it = NULL;
    int64_t began = mpos_now();
    int64_t value = -1;

    ok(mp_semaphore_open(&it, name, SUPPORT_PERMITS, NULL));
    ok(mp_semaphore_get_value(it, &value));
    cr_assert_eq(value, SUPPORT_PERMITS);
    ok(mp_semaphore_close(it));
    torture_recovered(mpos_now() - began);
    torture_checked(1);
}

static void check_memory(const char *name)
{
    mp_shared_memory *it = NULL;
    int64_t began = mpos_now();
    mp_error err = mp_shared_memory_open(&it, name);

    torture_checked(1);
    if (err == MP_ENOTFOUND)
        return;
    ok(err);
    cr_assert_geq(mp_shared_memory_size(it), (size_t)MEMORY_SIZE);
    ok(mp_shared_memory_close(it));
    torture_recovered(mpos_now() - began);
}

/* All its users are dead. */
static void expect_unused(const char *name, bool must_be_there)
{
    mp_named *all = NULL;
    size_t count = 0;
    bool is_there = false;

    ok(mp_named_list(&all, &count));
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0) {
            is_there = true;
            cr_assert_not(all[i].is_in_use, "%s is in use", name);
        }
    mp_free(all);
    cr_assert(is_there || !must_be_there, "%s is not there", name);
}

/* What the dead have left goes; nobody misses what they have not. */
static void remove_memory(const char *name)
{
    mp_shared_memory *it = NULL;
    mp_error err = mp_shared_memory_create(&it, name, MEMORY_SIZE);

    if (err == MP_EEXIST)
        err = mp_shared_memory_open(&it, name);
    ok(err);
    ok(mp_shared_memory_unlink(it));
    ok(mp_shared_memory_close(it));
}

static void remove_semaphore(const char *name)
{
    mp_semaphore *it = NULL;

    check_semaphore(name);
    ok(mp_semaphore_open(&it, name, SUPPORT_PERMITS, NULL));
    ok(mp_semaphore_acquire(it, 0));
    ok(mp_semaphore_release(it));
    ok(mp_semaphore_close(it));
    if (support_names_last()) {
        expect_unused(name, true);
        ok(mp_named_unlink(name));
    }
    expect_unused(name, false);
}

/* -- The storm ------------------------------------------------------------- */

static void start_worker(tempest *it, uint32_t place, mp_function work)
{
    it->workers[place] = torture_start(
        it->round->method, work,
        MP_ARGS(torture_seed(), (const char *)it->names[0],
                (const char *)it->names[1], (const char *)it->names[2]));
}

static void rage(const storm_round *round, mp_function work,
                 void (*check)(const char *name),
                 void (*remove)(const char *name))
{
    tempest it = {.round = round};

    for (int i = 0; i < NAMES; i++)
        torture_name(it.names[i]);
    for (uint32_t i = 0; i < WORKERS; i++)
        start_worker(&it, i, work);
    for (int i = 0; i < round->kills; i++) {
        uint32_t place = torture_chance(WORKERS);

        torture_linger(1);
        torture_kill(it.workers[place], "creator");
        check(it.names[torture_chance(NAMES)]);
        start_worker(&it, place, work);
    }
    for (uint32_t i = 0; i < WORKERS; i++)
        torture_kill(it.workers[i], "creator");
    for (int i = 0; i < NAMES; i++)
        remove(it.names[i]);
}

static void storm_semaphores(const storm_round *round)
{
    rage(round, make_and_unlink, check_semaphore, remove_semaphore);
}

static void storm_memory(const storm_round *round)
{
    rage(round, make_memory, check_memory, remove_memory);
}

const storm torture_names[] = {
    {"name/semaphore",
     "creators and removers of Semaphores with names: whole or not there; what "
     "is left is unused and goes",
     20, NULL, storm_semaphores},
    {"name/memory",
     "creators and removers of SharedMemory: whole or not there; what is left "
     "goes",
     20, NULL, storm_memory},
    {.name = NULL},
};
