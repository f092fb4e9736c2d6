/* SPDX-License-Identifier: MIT */
/* The parent of a crew: starts, kills, buries, and counts in the end. */
#include "crew.h"

#include <stdio.h>

#define MILLISECONDS(n) ((int64_t)(n)*1000000)

enum {
    BOARD_SIZE = 4096,
    KIND_RECORDS = 0x64726372, /* arena.c's */
};

/* Then it hangs. */
static const int64_t patience = MILLISECONDS(8000);

/* The crew of the round that runs, for explain(). */
static const crew *current;

static int64_t look(const mpi_atomic64 *time)
{
    return (int64_t)mpi_atomic64_load(time);
}

mpi_share *crew_share(const crew *it)
{
    return &((mpi_sync *)it->things[0])->share;
}

/* It is the first thing in it. */
const mpos_word *crew_word(const crew *it)
{
    return ((mpi_sync *)it->things[it->plan->lock])->share.memory;
}

uint32_t crew_step(const crew *it, int place)
{
    return mpi_atomic32_load(&it->board->slots[place].step);
}

/* -- If it fails ----------------------------------------------------------- */

static void explain_slots(const crew *it)
{
    for (int i = 0; i < it->plan->workers; i++) {
        const slot *at = &it->board->slots[i];

        fprintf(stderr, "  worker %d: number %u, step %u, done %u\n", i,
                (unsigned)mpi_atomic32_load(&at->number),
                (unsigned)mpi_atomic32_load(&at->step),
                (unsigned)mpi_atomic32_load(&at->done));
    }
}

static void explain_things(const crew *it)
{
    const mpi_arena *arena = crew_share(it)->arena;

    fprintf(stderr, "  arena: lock %#x\n",
            (unsigned)mpi_atomic32_load(&arena->header->lock.value));
    for (int i = 0; i < 3 && it->things[i] != NULL; i++) {
        const mpi_share *share = &((mpi_sync *)it->things[i])->share;
        const uint32_t *words = share->memory;

        fprintf(stderr, "  thing %d, cell %u:", i, (unsigned)share->cell);
        for (int n = 0; n < 12; n++)
            fprintf(stderr, " %#x", (unsigned)words[n]);
        fprintf(stderr, "\n");
    }
}

static void explain(void)
{
    const crew *it = current;
    const board *on = it->board;

    fprintf(stderr,
            "  after %zu kills: died %u, told %u, uncounted %u, ambiguous %u, "
            "inside %#x, last %lld ms ago\n",
            it->kills, (unsigned)it->died,
            (unsigned)mpi_atomic32_load(&on->told), (unsigned)it->uncounted,
            (unsigned)it->ambiguous, (unsigned)mpi_atomic32_load(&on->inside),
            (long long)((mpos_now() - look(&on->last)) / MILLISECONDS(1)));
    explain_slots(it);
    explain_things(it);
}

void crew_expect_no_failure(const crew *it)
{
    uint32_t line = mpi_atomic32_load(&it->board->failed_line);

    if (line != 0)
        cr_assert_fail(
            "a worker failed in line %u: %s", (unsigned)line,
            mp_error_name((mp_error)mpi_atomic32_load(&it->board->failure)));
}

/* -- What is left in the arena --------------------------------------------- */

typedef struct contents {
    uint32_t things;
    uint32_t references;
    uint32_t processes;
} contents;

static contents contents_of(const mpi_arena *arena)
{
    uint32_t end = mpi_atomic32_load(&arena->header->cell_count);
    uint32_t top = mpi_atomic32_load(&arena->header->top_process);
    contents found = {0};

    for (uint32_t i = 1; i < end;) {
        const mpi_cell *cell = &arena->cells[i];
        uint32_t kind = mpi_atomic32_load(&cell->kind);

        if (kind != 0 && kind != KIND_RECORDS) {
            found.things++;
            found.references += cell->references;
        }
        i += kind == 0 || cell->count == 0 ? 1 : cell->count;
    }
    for (uint32_t i = 0; i < top; i++)
        if (mpi_atomic64_load(&arena->processes[i]) != 0)
            found.processes++;
    return found;
}

/* Those that nobody has looked at yet, too. */
static void bury_all(mpi_share *share)
{
    uint32_t top = mpi_atomic32_load(&share->arena->header->top_process);

    for (uint32_t i = 1; i <= top; i++)
        mpi_share_look_at(share, i);
    /* What they had sent, and nobody has received. */
    ok(mpi_arena_lock(share->arena));
    mpi_arena_bury(share->arena, MPI_NO_SENDER);
    mpi_arena_unlock(share->arena);
}

static void expect_same_contents(const crew *it, const contents *before)
{
    contents after;

    bury_all(crew_share(it));
    after = contents_of(crew_share(it)->arena);
    cr_assert_eq(after.things, before->things, "%u things, not %u",
                 (unsigned)after.things, (unsigned)before->things);
    cr_assert_eq(after.references, before->references, "%u users, not %u",
                 (unsigned)after.references, (unsigned)before->references);
    cr_assert_eq(after.processes, before->processes, "%u processes, not %u",
                 (unsigned)after.processes, (unsigned)before->processes);
}

/* -- Owners ---------------------------------------------------------------- */

/*
 * Whether the dead one had the lock. Either it said so; or its number is still
 * in the word, which then is frozen until somebody buries it; or nobody has
 * buried it since, so that its number never was there. What then is left, and
 * is counted as ambiguous, is one buried between its end and this look.
 *
 * It may also have been told of an earlier death, and killed before it could
 * count that: then one death too few had been told when it got the lock.
 */
void crew_bury_owner(crew *it, int place)
{
    const slot *at = &it->board->slots[place];
    uint32_t number = mpi_atomic32_load(&at->number);
    uint32_t step = mpi_atomic32_load(&at->step);
    uint32_t owner = mpi_word_owner(crew_word(it));
    uint32_t told = mpi_atomic32_load(&it->board->told) + it->uncounted;

    if (number == 0 || step == OUTSIDE)
        return;
    if (step == INSIDE) {
        it->died++;
    } else if (owner == number) {
        if (told < it->died)
            it->uncounted++;
        it->died++;
    } else if (mpi_atomic64_load(
                   &crew_share(it)->arena->processes[number - 1]) == 0) {
        it->ambiguous++;
    }
}

/* All have ended, and the last of the dead has been told of. */
void crew_check_told(const crew *it)
{
    uint32_t told = mpi_atomic32_load(&it->board->told) + it->uncounted;

    cr_assert_geq(told, it->died, "told %u of %u", (unsigned)told,
                  (unsigned)it->died);
    cr_assert_leq(told, it->died + it->ambiguous, "told %u of %u and %u",
                  (unsigned)told, (unsigned)it->died, (unsigned)it->ambiguous);
}

/* -- The board ------------------------------------------------------------- */

static void make_board(crew *it)
{
    static const char empty[BOARD_SIZE];
    void *address;

    torture_name(it->name);
    ok(mpos_named_create(it->name, (mpos_bytes){empty, BOARD_SIZE}, 0, 0600,
                         &it->memory));
    ok(mpos_memory_map(it->memory, &(mpos_extent){.size = BOARD_SIZE},
                       &address));
    it->board = address;
    mpi_atomic64_store(&it->board->last, (uint64_t)mpos_now());
}

static void remove_board(crew *it)
{
    ok(mpos_named_unlink(it->name, false));
    mpos_memory_unmap(it->board, BOARD_SIZE);
    mpos_close(it->memory);
}

/* -- Workers --------------------------------------------------------------- */

static void start_worker(crew *it, int place)
{
    slot *at = &it->board->slots[place];

    mpi_atomic32_store(&at->number, 0);
    mpi_atomic32_store(&at->step, OUTSIDE);
    mpi_atomic32_store(&at->reported, 0);
    it->processes[place] = torture_start(it->round->method, it->plan->worker,
                                         it->plan->arguments(it, place));
    if (it->theirs != NULL)
        ok(mp_connection_close(it->theirs));
    it->theirs = NULL;
}

static int finish_worker(crew *it, int place)
{
    int code;

    torture_waits_for("the end of worker %d", place);
    code = support_finish(it->processes[place]);
    it->processes[place] = NULL;
    return code;
}

/* What it was doing. */
static const char *kind_of(uint32_t step)
{
    switch (step) {
    case COMING:
        return "coming";
    case INSIDE:
        return "inside";
    case LEAVING:
        return "leaving";
    default:
        return "outside";
    }
}

static void kill_one(crew *it)
{
    int place = (int)torture_chance((uint32_t)it->plan->workers);
    int code;

    ok(mp_process_kill(it->processes[place]));
    code = finish_worker(it, place);
    crew_expect_no_failure(it);
    cr_assert_eq(code, -9, "exit code %d", code);
    it->kills++;
    torture_killed(kind_of(crew_step(it, place)));
    if (it->plan->bury != NULL)
        it->plan->bury(it, place);
    start_worker(it, place);
}

void crew_await_everybody(crew *it)
{
    uint32_t before[CREW_MOST];
    int64_t began = mpos_now();

    for (int i = 0; i < it->plan->workers; i++)
        before[i] = mpi_atomic32_load(&it->board->slots[i].done);
    for (int i = 0; i < it->plan->workers; i++) {
        torture_waits_for("worker %d, which is to get through", i);
        while (mpi_atomic32_load(&it->board->slots[i].done) == before[i]) {
            crew_expect_no_failure(it);
            cr_assert_not(torture_is_too_long(mpos_now() - began, patience),
                          "worker %d does not get through", i);
            if (it->plan->tend != NULL)
                it->plan->tend(it);
            mp_sleep(0.0005);
        }
    }
}

static void end_crew(crew *it)
{
    mpi_atomic32_store(&it->board->must_end, 1);
    if (it->plan->end != NULL)
        it->plan->end(it);
    for (int i = 0; i < it->plan->workers; i++) {
        int code = finish_worker(it, i);

        crew_expect_no_failure(it);
        cr_assert_eq(code, 0, "exit code %d", code);
    }
}

/* -- The storm ------------------------------------------------------------- */

static void rage(crew *it)
{
    for (int i = 0; i < it->plan->workers; i++)
        start_worker(it, i);
    crew_await_everybody(it);
    while (it->kills < (size_t)it->round->kills) {
        torture_linger(1);
        kill_one(it);
        if (it->plan->tend != NULL)
            it->plan->tend(it);
    }
    crew_await_everybody(it);
    end_crew(it);
}

static void look_at_times(const crew *it)
{
    size_t done = 0;

    for (int i = 0; i < it->plan->workers; i++)
        done += mpi_atomic32_load(&it->board->slots[i].done);
    torture_checked(done);
    torture_recovered(look(&it->board->longest));
    torture_recovered(look(&it->board->longest_wait));
}

void crew_run(const crew_plan *plan, const storm_round *round)
{
    crew it = {.plan = plan, .round = round};
    contents before;

    current = &it;
    make_board(&it);
    plan->create(&it);
    torture_explains(explain);
    before = contents_of(crew_share(&it)->arena);
    rage(&it);
    plan->check(&it);
    look_at_times(&it);
    expect_same_contents(&it, &before);
    torture_explains(NULL);
    plan->close(&it);
    remove_board(&it);
    current = NULL;
}
