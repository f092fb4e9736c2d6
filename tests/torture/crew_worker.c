/* SPDX-License-Identifier: MIT */
/* What the workers of a crew have in common. */
#include "crew.h"

crew_self crew_me;

_Static_assert(sizeof(board) <= 4096, "the board fits into what crew.c makes");

void crew_arrive(board *on)
{
    int64_t now = mpos_now();
    uint64_t last;

    do {
        last = mpi_atomic64_load(&on->last);
    } while (!mpi_atomic64_change(&on->last, last, (uint64_t)now));
    torture_raise(&on->longest, now - (int64_t)last);
}

void crew_fail(int line, mp_error err)
{
    if (mpi_atomic32_change(&crew_me.board->failed_line, 0, (uint32_t)line))
        mpi_atomic32_store(&crew_me.board->failure, (uint32_t)err);
    mp_exit(1);
}

void crew_set_step(worker_step now)
{
    mpi_atomic32_store(&crew_me.slot->step, (uint32_t)now);
}

bool crew_must_end(void)
{
    return mpi_atomic32_load(&crew_me.board->must_end) != 0;
}

uint32_t crew_chance(uint32_t below)
{
    return torture_draw(&crew_me.chance, below);
}

void crew_work(uint32_t rounds)
{
    for (uint32_t n = crew_chance(rounds); n > 0; n--)
        mpi_pause();
}

void crew_come(mp_args *args, const void *thing)
{
    size_t count = mp_args_count(args);
    int64_t place = mp_arg_int(args, count - 2);
    mpos_handle memory;
    void *address;

    mp_check(mpos_named_open(mp_arg_str(args, count - 3), &memory));
    mp_check(mpos_memory_map(memory, &(mpos_extent){.size = sizeof(board)},
                             &address));
    mpos_close(memory);
    crew_me.board = address;
    crew_me.slot = &crew_me.board->slots[place];
    crew_me.bit = UINT32_C(1) << place;
    crew_me.chance = (uint64_t)mp_arg_int(args, count - 1);
    mpi_atomic32_store(&crew_me.slot->number,
                       mpi_share_self(&((const mpi_sync *)thing)->share));
}
