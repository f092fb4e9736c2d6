/* SPDX-License-Identifier: MIT */
/* A storm on the arena: things are made, sent while they are held, closed. */
#include "crew.h"

/* A lock and a thing of several cells; the lock is sent while it is held. */
static void make_and_send(mp_connection *letters)
{
    mp_lock *lock;
    mp_barrier *barrier;

    EXPECT_OK(mp_barrier_create(&barrier, 1 + crew_chance(100), NULL));
    EXPECT_OK(mp_lock_create(&lock));
    EXPECT_OK(mp_lock_acquire(lock, 0));
    EXPECT_OK(mp_barrier_close(barrier));
    if (crew_chance(4) == 0)
        EXPECT_OK(mp_connection_send(letters, MP_BOX(lock)));
    EXPECT_OK(mp_lock_release(lock));
    EXPECT_OK(mp_lock_close(lock));
    crew_arrive(crew_me.board);
    mpi_atomic32_add(&crew_me.slot->done, 1);
}

static int use_arena(mp_args *args)
{
    crew_come(args, mp_arg_lock(args, 0));
    while (!crew_must_end())
        make_and_send(mp_arg_connection(args, 1));
    return 0;
}

static mp_obj *arena_arguments(crew *it, int place)
{
    mp_pipe_options options = {.is_simplex = true};

    ok(mp_pipe(&it->letters[place], &it->theirs, &options));
    return MP_ARGS((mp_lock *)it->things[0], it->theirs, CREW_ARGS(it, place));
}

/* It is free, or will be, or its owner is dead. */
static void use_letter(const mp_obj *letter)
{
    mp_lock *lock = NULL;
    mp_error err;

    ok(mp_obj_as_lock(letter, &lock));
    err = mp_lock_acquire(lock, 5);
    cr_assert(err == MP_OK || err == MP_OWNER_DIED, "%s", mp_error_name(err));
    ok(mp_lock_release(lock));
}

/* False: nobody writes any more, or what was written is not whole. */
static bool read_letter(crew *it, int place)
{
    mp_obj *letter = NULL;

    if (mp_connection_recv(it->letters[place], &letter) != MP_OK)
        return false;
    use_letter(letter);
    mp_obj_unref(letter);
    torture_checked(1);
    return true;
}

static bool has_letter(const crew *it, int place)
{
    mpos_wait_item item = {.kind = MPOS_WAIT_READ};

    ok(mp_connection_fileno(it->letters[place], &item.handle));
    return mpos_wait(&item, 1, 0) == MP_OK;
}

static void read_letters(crew *it)
{
    enum { AT_ONCE = 20 };

    for (int i = 0; i < it->plan->workers; i++)
        for (int n = 0; n < AT_ONCE && has_letter(it, i); n++)
            if (!read_letter(it, i))
                break;
}

static void read_the_last(crew *it, int place)
{
    while (read_letter(it, place))
        ;
    ok(mp_connection_close(it->letters[place]));
    it->letters[place] = NULL;
}

static void end_arena(crew *it)
{
    for (int i = 0; i < it->plan->workers; i++)
        while (read_letter(it, i))
            ;
}

static void check_arena(crew *it)
{
    for (int i = 0; i < it->plan->workers; i++)
        ok(mp_connection_close(it->letters[i]));
}

static void create_lock(crew *it)
{
    ok(mp_lock_create((mp_lock **)&it->things[0]));
}

static void close_lock(crew *it)
{
    ok(mp_lock_close(it->things[0]));
}

static void storm_arena(const storm_round *round)
{
    const crew_plan plan = {
        .worker = use_arena,
        .workers = 6,
        .create = create_lock,
        .close = close_lock,
        .arguments = arena_arguments,
        .bury = read_the_last,
        .tend = read_letters,
        .end = end_arena,
        .check = check_arena,
    };

    crew_run(&plan, round);
}

const storm torture_arenas[] = {
    {"arena",
     "makers and senders of locks: all that they made is given back, what "
     "arrives works",
     25, NULL, storm_arena},
    {.name = NULL},
};
