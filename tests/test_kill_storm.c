/* SPDX-License-Identifier: MIT */
/*
 * Kill storms: workers use a lock, a semaphore, an event ... and one of them is
 * killed every few milliseconds, at any instruction, and replaced. Whoever is
 * left goes on within a second, the data stay whole, each death of an owner is
 * told once, and in the end nothing is left.
 *
 * How many kills there are is for a run of seconds. By hand, for thousands:
 *
 *     STORM_KILLS=10000 test_kill_storm --filter=storm/locks_under_fork \
 *         --timeout=3600 --verbose
 *
 * All that workers and their parent know of each other lies in memory with a
 * name, the board. Who died as the owner of a lock is read from the lock's own
 * word after the death, where its number stays until it is buried.
 */
#include "support/check.h"
#include "support/system.h"
#include "support/testing.h"

#include "arena.h"
#include "internal.h"
#include "state.h"
#include "sync.h"
#include "word.h"

#include <multiproc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLISECONDS(n) ((int64_t)(n)*1000000)

enum {
    MOST_WORKERS = 8,
    FEW_KILLS = 3, /* before what is open is counted */
    CALM_EVERY = 1000,
    ROOM = 3,    /* for items between producers and consumers */
    PERMITS = 4, /* of the semaphore */
    PARTIES = 4, /* of the barrier */
    LONG = 3600, /* a storm that hangs ends by its own watch */
    BOARD_SIZE = 4096,
    KIND_RECORDS = 0x64726372, /* arena.c's */
};

/* Within a second, and what a busy machine adds. */
static const int64_t longest_allowed = MILLISECONDS(2000);
/* Then it hangs. */
static const int64_t patience = MILLISECONDS(8000);

typedef enum worker_step {
    OUTSIDE, /* has not begun, too */
    COMING,
    INSIDE,
    LEAVING,
    PARKED,
} worker_step;

/* A worker's place on the board, also its successor's. */
typedef struct slot {
    mpi_atomic32 number; /* as an owner, see share.h; 0: has not begun */
    mpi_atomic32 step;
    mpi_atomic32 done;     /* so often it has got through; never reset */
    mpi_atomic32 reported; /* the barrier's last epoch that was broken, + 1 */
} slot;

typedef struct board {
    mpi_atomic64 last;    /* when anybody got through last */
    mpi_atomic64 longest; /* between two of those */
    mpi_atomic64 longest_wait;
    mpi_atomic64 holder; /* the pid of who is inside */
    mpi_atomic32 inside; /* one bit for each place */
    mpi_atomic32 told;   /* MP_OWNER_DIED so often */
    mpi_atomic32 must_end;
    mpi_atomic32 must_park;
    mpi_atomic32 epoch;       /* of the barrier */
    mpi_atomic32 is_acting;   /* its action runs */
    mpi_atomic32 failed_line; /* of this file; 0: none */
    mpi_atomic32 failure;     /* an mp_error */
    /* What the lock protects: left and right are equal, and items are those
     * produced and not consumed. */
    uint64_t left, right;
    int64_t items, produced, consumed;
    slot slots[MOST_WORKERS];
} board;

_Static_assert(sizeof(board) <= BOARD_SIZE, "the board fits");

static int64_t look(const mpi_atomic64 *time)
{
    return (int64_t)mpi_atomic64_load(time);
}

static void raise_to(mpi_atomic64 *highest, int64_t value)
{
    uint64_t seen;

    do {
        seen = mpi_atomic64_load(highest);
    } while ((int64_t)seen < value &&
             !mpi_atomic64_change(highest, seen, (uint64_t)value));
}

/* Somebody got through. */
static void arrive(board *on)
{
    int64_t now = mpos_now();
    uint64_t last;

    do {
        last = mpi_atomic64_load(&on->last);
    } while (!mpi_atomic64_change(&on->last, last, (uint64_t)now));
    raise_to(&on->longest, now - (int64_t)last);
}

/* -- What workers have in common ------------------------------------------- */

/* This worker; NULL in the parent. */
static struct {
    board *board;
    slot *slot;
    uint32_t bit;
    uint32_t chance;
} me;

/* The first failure is for the parent to report. */
static void fail_at(int line, mp_error err)
{
    if (mpi_atomic32_change(&me.board->failed_line, 0, (uint32_t)line))
        mpi_atomic32_store(&me.board->failure, (uint32_t)err);
    mp_exit(1);
}

#define EXPECT(condition)             \
    do {                              \
        if (!(condition))             \
            fail_at(__LINE__, MP_OK); \
    } while (0)
#define EXPECT_OK(expression)         \
    do {                              \
        mp_error err_ = (expression); \
        if (err_ != MP_OK)            \
            fail_at(__LINE__, err_);  \
    } while (0)

static void set_step(worker_step now)
{
    mpi_atomic32_store(&me.slot->step, (uint32_t)now);
}

static bool must_end(void)
{
    return mpi_atomic32_load(&me.board->must_end) != 0;
}

static uint32_t chance(uint32_t below)
{
    me.chance = me.chance * 1664525 + 1013904223;
    return (me.chance >> 8) % below;
}

/* A moment of up to so many rounds. */
static void work(uint32_t rounds)
{
    for (uint32_t n = chance(rounds); n > 0; n--)
        mpi_pause();
}

/* The last two arguments: the board's name and this worker's place. */
static void come_to_board(mp_args *args, const void *thing)
{
    size_t count = mp_args_count(args);
    int64_t place = mp_arg_int(args, count - 1);
    mpos_handle memory;
    void *address;

    mp_check(mpos_named_open(mp_arg_str(args, count - 2), &memory));
    mp_check(
        mpos_memory_map(memory, &(mpos_extent){.size = BOARD_SIZE}, &address));
    mpos_close(memory);
    me.board = address;
    me.slot = &me.board->slots[place];
    me.bit = UINT32_C(1) << place;
    me.chance = (uint32_t)mp_getpid() * 2654435761U;
    mpi_atomic32_store(&me.slot->number,
                       mpi_share_self(&((const mpi_sync *)thing)->share));
}

/* -- The parent's side ----------------------------------------------------- */

typedef struct crew crew;

/* What one storm is. */
typedef struct storm_plan {
    const char *name;
    mp_function worker;
    mp_start_method method;
    int workers;
    /* Makes the things, the first of which is the one to look at. */
    void (*create)(crew *it);
    void (*close)(crew *it);
    mp_obj *(*arguments)(crew *it, int place);
    /* One is dead, and not replaced yet. NULL: nothing. */
    void (*bury)(crew *it, int place);
    /* Between kills. NULL: nothing. */
    void (*tend)(crew *it);
    /* Lets those go that wait, once must_end is set. NULL: nothing. */
    void (*end)(crew *it);
    /* When all have ended, what must hold. */
    void (*check)(crew *it);
    /* Which of the things is a lock, whose owners are killed. */
    int lock;
} storm_plan;

struct crew {
    const storm_plan *plan;
    board *board;
    char name[64];
    mpos_handle memory;
    mp_process *processes[MOST_WORKERS];
    mp_connection *letters[MOST_WORKERS];
    mp_connection *theirs; /* to be closed once it is sent; NULL: none */
    void *things[3];
    size_t kills;
    /* Deaths, see bury_owner() and bury_permit(). */
    uint32_t died, uncounted, ambiguous;
    uint32_t lost;   /* permits */
    uint32_t breaks; /* of the barrier */
    uint32_t letters_read;
    int64_t slowest; /* in the parent's eyes: nanoseconds */
};

static mpi_share *share_of(const crew *it)
{
    return &((mpi_sync *)it->things[0])->share;
}

/* The lock's word is the first thing in it. */
static const mpos_word *word_of(const crew *it)
{
    return ((mpi_sync *)it->things[it->plan->lock])->share.memory;
}

/* From 0 up to limit, in seconds. */
static double random_time(double limit)
{
    uint32_t number = 0;

    cr_assert_eq(mpos_random(&number, sizeof(number)), MP_OK);
    return limit * number / 4294967296.0;
}

static int random_place(const crew *it)
{
    return (int)random_time(it->plan->workers);
}

static uint32_t step_of(const crew *it, int place)
{
    return mpi_atomic32_load(&it->board->slots[place].step);
}

/* -- Watching -------------------------------------------------------------- */

/* What this process watches, if anything. */
static struct {
    mpos_thread thread;
    mpi_atomic32 is_on;
    mpi_atomic64 lag; /* the longest that the machine let it wait beside */
    const crew *crew;
} watch;

/* What is too long, on a machine that stood still for so long. */
static bool is_too_long(int64_t time, int64_t limit)
{
    return time > limit + look(&watch.lag);
}

static void dump_slots(const crew *it)
{
    for (int i = 0; i < it->plan->workers; i++) {
        const slot *at = &it->board->slots[i];

        fprintf(stderr, "  worker %d: number %u, step %u, done %u\n", i,
                (unsigned)mpi_atomic32_load(&at->number),
                (unsigned)mpi_atomic32_load(&at->step),
                (unsigned)mpi_atomic32_load(&at->done));
    }
}

static void dump_things(const crew *it)
{
    const mpi_arena *arena = share_of(it)->arena;

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

static void dump(const crew *it)
{
    const board *on = it->board;

    fprintf(stderr,
            "%s, after %zu kills: died %u, told %u, uncounted %u, ambiguous "
            "%u, inside %#x, last %lld ms ago\n",
            it->plan->name, it->kills, (unsigned)it->died,
            (unsigned)mpi_atomic32_load(&on->told), (unsigned)it->uncounted,
            (unsigned)it->ambiguous, (unsigned)mpi_atomic32_load(&on->inside),
            (long long)((mpos_now() - look(&on->last)) / MILLISECONDS(1)));
    dump_slots(it);
    dump_things(it);
}

/* Whatever hangs, here or there, ends the test. The time is counted in looks,
 * so that it is not the machine that hangs. */
static void watch_crew(void *unused)
{
    const int64_t interval = MILLISECONDS(20);
    int64_t seen = 0, idle = 0;

    (void)unused;
    while (mpi_atomic32_load(&watch.is_on) != 0) {
        int64_t began = mpos_now();
        int64_t last = look(&watch.crew->board->last);

        idle = last == seen ? idle + interval : 0;
        seen = last;
        if (idle > patience) {
            dump(watch.crew);
            abort();
        }
        mpos_sleep_until(began + interval);
        raise_to(&watch.lag, mpos_now() - began - interval);
    }
}

static void begin_watch(const crew *it)
{
    watch.crew = it;
    mpi_atomic64_store(&watch.lag, 0);
    mpi_atomic32_store(&watch.is_on, 1);
    cr_assert_eq(mpos_thread_start(watch_crew, NULL, &watch.thread), MP_OK);
}

static void end_watch(void)
{
    mpi_atomic32_store(&watch.is_on, 0);
    mpos_thread_join(watch.thread);
}

static void expect_no_failure(const crew *it)
{
    uint32_t line = mpi_atomic32_load(&it->board->failed_line);

    if (line == 0)
        return;
    dump(it);
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
    cr_assert_eq(mpi_arena_lock(share->arena), MP_OK);
    mpi_arena_bury(share->arena, MPI_NO_SENDER);
    mpi_arena_unlock(share->arena);
}

static void expect_same_contents(const crew *it, const contents *before)
{
    contents after;

    bury_all(share_of(it));
    after = contents_of(share_of(it)->arena);
    cr_assert_eq(after.things, before->things, "%u things, not %u",
                 (unsigned)after.things, (unsigned)before->things);
    cr_assert_eq(after.references, before->references, "%u users, not %u",
                 (unsigned)after.references, (unsigned)before->references);
    cr_assert_eq(after.processes, before->processes, "%u processes, not %u",
                 (unsigned)after.processes, (unsigned)before->processes);
}

/* -- The storm ------------------------------------------------------------- */

static void make_board(crew *it)
{
    static unsigned count;
    static const char empty[BOARD_SIZE];
    void *address;

    snprintf(it->name, sizeof(it->name), "mp storm %lld-%u",
             (long long)mp_getpid(), count++);
    cr_assert_eq(mpos_named_create(it->name, (mpos_bytes){empty, BOARD_SIZE}, 0,
                                   0600, &it->memory),
                 MP_OK, "%s", mp_error_message());
    cr_assert_eq(mpos_memory_map(it->memory, &(mpos_extent){.size = BOARD_SIZE},
                                 &address),
                 MP_OK);
    it->board = address;
    mpi_atomic64_store(&it->board->last, (uint64_t)mpos_now());
}

static void remove_board(crew *it)
{
    cr_assert_eq(mpos_named_unlink(it->name, false), MP_OK, "%s",
                 mp_error_message());
    mpos_memory_unmap(it->board, BOARD_SIZE);
    mpos_close(it->memory);
}

/* Workers are daemons, lest they outlive a test that failed. */
static void start_worker(crew *it, int place)
{
    mp_process_options options = {.start_method = it->plan->method,
                                  .daemon = MP_DAEMON_YES};
    slot *at = &it->board->slots[place];
    mp_process *process;

    mpi_atomic32_store(&at->number, 0);
    mpi_atomic32_store(&at->step, OUTSIDE);
    mpi_atomic32_store(&at->reported, 0);
    cr_assert_eq(mp_process_create(&process, it->plan->worker,
                                   it->plan->arguments(it, place), &options),
                 MP_OK, "%s", mp_error_message());
    cr_assert_eq(mp_process_start(process), MP_OK, "%s", mp_error_message());
    it->processes[place] = process;
    if (it->theirs != NULL)
        cr_assert_eq(mp_connection_close(it->theirs), MP_OK);
    it->theirs = NULL;
}

static int finish_worker(crew *it, int place)
{
    int code = -1000;

    cr_assert_eq(mp_process_join(it->processes[place], 20), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(mp_process_exitcode(it->processes[place], &code), MP_OK);
    cr_assert_eq(mp_process_close(it->processes[place]), MP_OK);
    it->processes[place] = NULL;
    return code;
}

static void kill_one(crew *it)
{
    int place = random_place(it);
    int code;

    cr_assert_eq(mp_process_kill(it->processes[place]), MP_OK, "%s",
                 mp_error_message());
    code = finish_worker(it, place);
    expect_no_failure(it);
    cr_assert_eq(code, -9, "exit code %d", code);
    it->kills++;
    if (it->plan->bury != NULL)
        it->plan->bury(it, place);
    start_worker(it, place);
}

/* Nobody is killed until each has got through. */
static void await_everybody(crew *it)
{
    uint32_t before[MOST_WORKERS];
    int64_t began = mpos_now();

    for (int i = 0; i < it->plan->workers; i++)
        before[i] = mpi_atomic32_load(&it->board->slots[i].done);
    for (int i = 0; i < it->plan->workers; i++)
        while (mpi_atomic32_load(&it->board->slots[i].done) == before[i]) {
            expect_no_failure(it);
            cr_assert_not(is_too_long(mpos_now() - began, patience),
                          "worker %d", i);
            if (it->plan->tend != NULL)
                it->plan->tend(it);
            mp_sleep(0.0005);
        }
    if (mpos_now() - began > it->slowest)
        it->slowest = mpos_now() - began;
}

static void end_crew(crew *it)
{
    mpi_atomic32_store(&it->board->must_end, 1);
    if (it->plan->end != NULL)
        it->plan->end(it);
    for (int i = 0; i < it->plan->workers; i++) {
        int code = finish_worker(it, i);

        expect_no_failure(it);
        cr_assert_eq(code, 0, "exit code %d", code);
    }
}

static void rage(crew *it, size_t kills)
{
    for (int i = 0; i < it->plan->workers; i++)
        start_worker(it, i);
    begin_watch(it);
    await_everybody(it);
    while (it->kills < kills) {
        mp_sleep(random_time(0.004));
        kill_one(it);
        if (it->plan->tend != NULL)
            it->plan->tend(it);
        if (it->kills % CALM_EVERY == 0)
            await_everybody(it);
    }
    await_everybody(it);
    end_watch();
    end_crew(it);
}

static void report(const crew *it, double seconds)
{
    cr_log_info("%s: %zu kills in %.1f s; %u died inside, %u told, %u killed "
                "while told, %u ambiguous, %u lost, %u breaks, %u letters; "
                "stall %lld ms, wait %lld ms, everybody %lld ms, lag %lld ms",
                it->plan->name, it->kills, seconds, (unsigned)it->died,
                (unsigned)mpi_atomic32_load(&it->board->told),
                (unsigned)it->uncounted, (unsigned)it->ambiguous,
                (unsigned)it->lost, (unsigned)it->breaks,
                (unsigned)it->letters_read,
                (long long)(look(&it->board->longest) / MILLISECONDS(1)),
                (long long)(look(&it->board->longest_wait) / MILLISECONDS(1)),
                (long long)(it->slowest / MILLISECONDS(1)),
                (long long)(look(&watch.lag) / MILLISECONDS(1)));
}

static void run_storm(const storm_plan *plan, size_t kills)
{
    crew it = {.plan = plan};
    double began = mp_monotonic();
    contents before;

    make_board(&it);
    plan->create(&it);
    before = contents_of(share_of(&it)->arena);
    rage(&it, kills);
    plan->check(&it);
    report(&it, mp_monotonic() - began);
    cr_assert_not(is_too_long(look(&it.board->longest), longest_allowed),
                  "%lld ms",
                  (long long)(look(&it.board->longest) / MILLISECONDS(1)));
    cr_assert_not(is_too_long(look(&it.board->longest_wait), longest_allowed),
                  "%lld ms",
                  (long long)(look(&it.board->longest_wait) / MILLISECONDS(1)));
    expect_same_contents(&it, &before);
    plan->close(&it);
    remove_board(&it);
}

static size_t kills_of(size_t usual)
{
    const char *wanted = getenv("STORM_KILLS");

    return wanted != NULL ? (size_t)atoi(wanted) : support_scaled(usual);
}

/* Twice, the first time for what is opened once. */
static void storm(const storm_plan *plan, size_t kills)
{
    size_t handles;
    char prefix[96];

    run_storm(plan, FEW_KILLS);
    handles = support_open_handles();
    run_storm(plan, kills_of(kills));
    cr_assert_eq(support_open_handles(), handles, "%zu handles, not %zu",
                 support_open_handles(), handles);
    snprintf(prefix, sizeof(prefix), "multiproc.mp storm %lld",
             (long long)mp_getpid());
    cr_assert_eq(support_shared_names(prefix), 0);
    if (mpos_system.has_fork)
        mpi_forkserver_stop();
    cr_assert_not(support_has_children());
}

static mp_start_method method_or_skip(mp_start_method method)
{
    size_t count;
    const mp_start_method *all = mp_get_all_start_methods(&count);

    for (size_t i = 0; i < count; i++)
        if (all[i] == method)
            return method;
    cr_skip_test("this system has no such start method");
    return method;
}

/* -- Lock and RLock -------------------------------------------------------- */

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
    uint64_t before = mpi_atomic64_load(&me.board->holder);

    EXPECT(before == 0 || (was_told && is_gone(before)));
    EXPECT(mpi_atomic64_change(&me.board->holder, before, pid));
}

static void go_outside(void)
{
    EXPECT(mpi_atomic64_change(&me.board->holder, (uint64_t)mp_getpid(), 0));
}

/* One store without the other is what a death leaves. */
static void change_both(bool was_told)
{
    volatile uint64_t *left = &me.board->left, *right = &me.board->right;

    if (was_told)
        *right = *left;
    EXPECT(*left == *right);
    *left = *left + 1;
    work(200);
    *right = *right + 1;
}

/* An RLock once more. */
static void go_deeper(const gate *it)
{
    if (it->rlock == NULL)
        return;
    EXPECT_OK(acquire(it));
    work(20);
    EXPECT_OK(release(it));
}

static void pass_gate(const gate *it)
{
    mp_error err;

    set_step(COMING);
    err = acquire(it);
    if (err == MP_OWNER_DIED)
        mpi_atomic32_add(&me.board->told, 1);
    set_step(INSIDE);
    if (err != MP_OWNER_DIED)
        EXPECT_OK(err);
    go_inside(err == MP_OWNER_DIED);
    go_deeper(it);
    change_both(err == MP_OWNER_DIED);
    go_outside();
    arrive(me.board);
    set_step(LEAVING);
    EXPECT_OK(release(it));
    set_step(OUTSIDE);
    mpi_atomic32_add(&me.slot->done, 1);
}

static int use_lock(mp_args *args)
{
    gate it = {.lock = mp_arg_lock(args, 0)};

    come_to_board(args, it.lock);
    while (!must_end()) {
        pass_gate(&it);
        work(200);
    }
    return 0;
}

static int use_rlock(mp_args *args)
{
    gate it = {.rlock = mp_arg_rlock(args, 0)};

    come_to_board(args, it.rlock);
    while (!must_end()) {
        pass_gate(&it);
        work(200);
    }
    return 0;
}

/* Opens it by its name. */
static int use_named_lock(mp_args *args)
{
    mp_open_options existing = {.mode = MP_OPEN_EXISTING};
    gate it = {0};

    mp_check(mp_lock_open(&it.lock, mp_arg_str(args, 0), &existing));
    come_to_board(args, it.lock);
    while (!must_end()) {
        pass_gate(&it);
        work(200);
    }
    mp_check(mp_lock_close(it.lock));
    return 0;
}

static void create_lock(crew *it)
{
    cr_assert_eq(mp_lock_create((mp_lock **)&it->things[0]), MP_OK);
}

static void create_rlock(crew *it)
{
    cr_assert_eq(mp_rlock_create((mp_rlock **)&it->things[0]), MP_OK);
}

static void name_of_lock(const crew *it, char name[96])
{
    snprintf(name, 96, "%s lock", it->name);
}

static void create_named_lock(crew *it)
{
    char name[96];

    name_of_lock(it, name);
    cr_assert_eq(mp_lock_open((mp_lock **)&it->things[0], name, NULL), MP_OK,
                 "%s", mp_error_message());
}

static void close_lock(crew *it)
{
    cr_assert_eq(mp_lock_close(it->things[0]), MP_OK);
}

static void close_rlock(crew *it)
{
    cr_assert_eq(mp_rlock_close(it->things[0]), MP_OK);
}

static void close_named_lock(crew *it)
{
    char name[96];

    name_of_lock(it, name);
    cr_assert_eq(mp_named_unlink(name), MP_OK, "%s", mp_error_message());
    close_lock(it);
}

static mp_obj *lock_arguments(crew *it, int place)
{
    return MP_ARGS((mp_lock *)it->things[0], it->name, place);
}

static mp_obj *rlock_arguments(crew *it, int place)
{
    return MP_ARGS((mp_rlock *)it->things[0], it->name, place);
}

static mp_obj *named_lock_arguments(crew *it, int place)
{
    char name[96];

    name_of_lock(it, name);
    return MP_ARGS(name, it->name, place);
}

/*
 * Whether the dead one had the lock. Either it said so; or its number is still
 * in the word, which then is frozen until somebody buries it; or nobody has
 * buried it since, so that its number never was there. What then is left, and
 * is counted as ambiguous, is one buried between its end and this look.
 *
 * It may also have been told of an earlier death, and killed before it could
 * count that: then one death too few had been told when it got the lock.
 */
static void bury_owner(crew *it, int place)
{
    const slot *at = &it->board->slots[place];
    uint32_t number = mpi_atomic32_load(&at->number);
    uint32_t step = mpi_atomic32_load(&at->step);
    uint32_t owner = mpi_word_owner(word_of(it));
    uint32_t told = mpi_atomic32_load(&it->board->told) + it->uncounted;

    if (number == 0 || step == OUTSIDE)
        return;
    if (step == INSIDE) {
        it->died++;
    } else if (owner == number) {
        if (told < it->died)
            it->uncounted++;
        it->died++;
    } else if (mpi_atomic64_load(&share_of(it)->arena->processes[number - 1]) ==
               0) {
        it->ambiguous++;
    }
}

/* All have ended, and the last of the dead has been told of. */
static void check_told(const crew *it)
{
    uint32_t told = mpi_atomic32_load(&it->board->told) + it->uncounted;

    if (told < it->died || told > it->died + it->ambiguous)
        dump(it);
    cr_assert_geq(told, it->died, "told %u of %u", (unsigned)told,
                  (unsigned)it->died);
    cr_assert_leq(told, it->died + it->ambiguous, "told %u of %u and %u",
                  (unsigned)told, (unsigned)it->died, (unsigned)it->ambiguous);
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
    cr_assert_eq(release(&its), MP_OK);
    check_told(it);
}

static void storm_of_locks(mp_start_method method, size_t kills)
{
    const storm_plan plan = {
        .name = mp_start_method_name(method),
        .worker = use_lock,
        .method = method_or_skip(method),
        .workers = MOST_WORKERS,
        .create = create_lock,
        .close = close_lock,
        .arguments = lock_arguments,
        .bury = bury_owner,
        .check = check_lock,
    };

    storm(&plan, kills);
}

Test(storm, locks_under_fork, .timeout = LONG)
{
    storm_of_locks(MP_START_FORK, 400);
}

Test(storm, locks_under_spawn, .timeout = LONG)
{
    storm_of_locks(MP_START_SPAWN, 100);
}

Test(storm, locks_under_forkserver, .timeout = LONG)
{
    storm_of_locks(MP_START_FORKSERVER, 100);
}

/* Fork where there is one: it is the fastest. */
static mp_start_method fastest(void)
{
    return mpos_system.has_fork ? MP_START_FORK : MP_START_SPAWN;
}

Test(storm, recursive_locks, .timeout = LONG)
{
    const storm_plan plan = {
        .name = "RLock",
        .worker = use_rlock,
        .method = fastest(),
        .workers = MOST_WORKERS,
        .create = create_rlock,
        .close = close_rlock,
        .arguments = rlock_arguments,
        .bury = bury_owner,
        .check = check_lock,
    };

    storm(&plan, 150);
}

Test(storm, named_locks, .timeout = LONG)
{
    const storm_plan plan = {
        .name = "named Lock",
        .worker = use_named_lock,
        .method = fastest(),
        .workers = MOST_WORKERS,
        .create = create_named_lock,
        .close = close_named_lock,
        .arguments = named_lock_arguments,
        .bury = bury_owner,
        .check = check_lock,
    };

    storm(&plan, 150);
}

/* -- Semaphore ------------------------------------------------------------- */

static uint32_t change_bits(mpi_atomic32 *bits, uint32_t set, uint32_t clear)
{
    uint32_t value, next;

    do {
        value = mpi_atomic32_load(bits);
        next = (value | set) & ~clear;
    } while (!mpi_atomic32_change(bits, value, next));
    return next;
}

static int count_bits(uint32_t bits)
{
    int count = 0;

    for (; bits != 0; bits &= bits - 1)
        count++;
    return count;
}

/* A bit is set by who has a permit, and no longer than it has it. */
static void use_permit(mp_semaphore *semaphore)
{
    double timeout = me.bit == 1 || me.bit == 4 ? 0.02 : MP_FOREVER;
    uint32_t inside;
    mp_error err;

    set_step(COMING);
    err = mp_semaphore_acquire(semaphore, timeout);
    if (err != MP_TIMED_OUT) {
        EXPECT_OK(err);
        inside = change_bits(&me.board->inside, me.bit, 0);
        EXPECT(count_bits(inside) <= PERMITS || must_end());
        arrive(me.board);
        work(2000);
        set_step(LEAVING);
        change_bits(&me.board->inside, 0, me.bit);
        EXPECT_OK(mp_semaphore_release(semaphore));
    }
    set_step(OUTSIDE);
    mpi_atomic32_add(&me.slot->done, 1);
}

static int use_semaphore(mp_args *args)
{
    mp_semaphore *semaphore = mp_arg_semaphore(args, 0);

    come_to_board(args, semaphore);
    while (!must_end()) {
        if (mpi_atomic32_load(&me.board->must_park) != 0) {
            set_step(PARKED);
            mp_sleep(0.0005);
            continue;
        }
        use_permit(semaphore);
        work(1000);
    }
    return 0;
}

static void create_semaphore(crew *it)
{
    cr_assert_eq(mp_semaphore_create((mp_semaphore **)&it->things[0], PERMITS),
                 MP_OK);
}

static void close_semaphore(crew *it)
{
    cr_assert_eq(mp_semaphore_close(it->things[0]), MP_OK);
}

static mp_obj *semaphore_arguments(crew *it, int place)
{
    return MP_ARGS((mp_semaphore *)it->things[0], it->name, place);
}

/* What it said it had is given back. Killed within acquire or release, it may
 * have had one more: see audit(). */
static void bury_permit(crew *it, int place)
{
    uint32_t bit = UINT32_C(1) << place;
    uint32_t step = step_of(it, place);

    if ((mpi_atomic32_load(&it->board->inside) & bit) != 0) {
        change_bits(&it->board->inside, 0, bit);
        it->died++;
        cr_assert_eq(mp_semaphore_release(it->things[0]), MP_OK);
    } else if (step == COMING || step == LEAVING) {
        it->ambiguous++;
    }
}

static bool all_are_parked(const crew *it)
{
    for (int i = 0; i < it->plan->workers; i++)
        if (step_of(it, i) != PARKED)
            return false;
    return true;
}

/* Who waits for the last permit can't park; that all are lost shows, too. */
static bool all_are_lost(const crew *it, int64_t began)
{
    int64_t value = -1;

    cr_assert_eq(mp_semaphore_get_value(it->things[0], &value), MP_OK);
    return value == 0 && mpi_atomic32_load(&it->board->inside) == 0 &&
           mpos_now() - began > longest_allowed;
}

/* Nobody has any: what is missing went with those that were killed within
 * acquire or release since the last time, and is given back. */
static void audit(crew *it, uint32_t ambiguous)
{
    int64_t began = mpos_now();
    int64_t value = -1;

    mpi_atomic32_store(&it->board->must_park, 1);
    while (!all_are_parked(it) && !all_are_lost(it, began)) {
        expect_no_failure(it);
        mp_sleep(0.0002);
    }
    cr_assert_eq(mp_semaphore_get_value(it->things[0], &value), MP_OK);
    cr_assert_leq(value, PERMITS);
    cr_assert_leq(PERMITS - value, (int64_t)ambiguous);
    if (value < PERMITS)
        cr_assert_eq(mp_semaphore_release_many(it->things[0],
                                               (uint32_t)(PERMITS - value)),
                     MP_OK);
    it->lost += (uint32_t)(PERMITS - value);
    mpi_atomic64_store(&it->board->last, (uint64_t)mpos_now());
    mpi_atomic32_store(&it->board->must_park, 0);
}

/* Often, lest all are lost between two. */
static void tend_permits(crew *it)
{
    enum { EVERY = 10 };
    static size_t audited_kills;
    static uint32_t audited_deaths;

    if (it->kills == audited_kills || it->kills % EVERY != 0)
        return;
    if (it->kills < audited_kills)
        audited_deaths = 0;
    audit(it, it->ambiguous - audited_deaths);
    audited_kills = it->kills;
    audited_deaths = it->ambiguous;
}

/* More than there should be: nobody counts any more. */
static void free_permits(crew *it)
{
    cr_assert_eq(mp_semaphore_release_many(it->things[0], MOST_WORKERS), MP_OK);
}

static void check_semaphore(crew *it)
{
    int64_t value = -1;

    cr_assert_eq(mp_semaphore_get_value(it->things[0], &value), MP_OK);
    value -= MOST_WORKERS;
    cr_assert_leq(value, PERMITS);
    cr_assert_leq(PERMITS - value, (int64_t)(it->ambiguous - it->lost));
    it->lost += (uint32_t)(PERMITS - value);
    cr_assert_eq(mpi_atomic32_load(&it->board->inside), 0);
}

Test(storm, semaphores, .timeout = LONG)
{
    const storm_plan plan = {
        .name = "Semaphore",
        .worker = use_semaphore,
        .method = fastest(),
        .workers = MOST_WORKERS,
        .create = create_semaphore,
        .close = close_semaphore,
        .arguments = semaphore_arguments,
        .bury = bury_permit,
        .tend = tend_permits,
        .end = free_permits,
        .check = check_semaphore,
    };

    storm(&plan, 150);
}

/* -- Event ----------------------------------------------------------------- */

static void set_and_clear(mp_event *event)
{
    EXPECT_OK(mp_event_set(event));
    mpi_atomic32_add(&me.slot->done, 1);
    mp_sleep(chance(2) * 0.0005);
    EXPECT_OK(mp_event_clear(event));
    mp_sleep(chance(3) * 0.0005);
}

static void wait_for_event(mp_event *event)
{
    int64_t began = mpos_now();

    set_step(COMING);
    EXPECT_OK(mp_event_wait(event, MP_FOREVER));
    set_step(OUTSIDE);
    raise_to(&me.board->longest_wait, mpos_now() - began);
    arrive(me.board);
    mpi_atomic32_add(&me.slot->done, 1);
    while (mp_event_is_set(event) && !must_end())
        mp_sleep(0.0002);
}

/* The first two set, the others wait. */
static int use_event(mp_args *args)
{
    mp_event *event = mp_arg_event(args, 0);

    come_to_board(args, event);
    while (!must_end()) {
        if (me.bit <= 2)
            set_and_clear(event);
        else
            wait_for_event(event);
    }
    return 0;
}

static void create_event(crew *it)
{
    cr_assert_eq(mp_event_create((mp_event **)&it->things[0]), MP_OK);
}

static void close_event(crew *it)
{
    cr_assert_eq(mp_event_close(it->things[0]), MP_OK);
}

static mp_obj *event_arguments(crew *it, int place)
{
    return MP_ARGS((mp_event *)it->things[0], it->name, place);
}

/* The setters clear it once more. */
static void end_waits(crew *it)
{
    for (int i = 0; i < 2; i++)
        cr_assert_eq(mp_process_join(it->processes[i], 20), MP_OK);
    cr_assert_eq(mp_event_set(it->things[0]), MP_OK);
}

static void check_event(crew *it)
{
    cr_assert(mp_event_is_set(it->things[0]));
}

Test(storm, events, .timeout = LONG)
{
    const storm_plan plan = {
        .name = "Event",
        .worker = use_event,
        .method = fastest(),
        .workers = MOST_WORKERS,
        .create = create_event,
        .close = close_event,
        .arguments = event_arguments,
        .end = end_waits,
        .check = check_event,
    };

    storm(&plan, 150);
}

/* -- Condition ------------------------------------------------------------- */

/* Two over one lock. */
typedef struct market {
    mp_condition *not_full;
    mp_condition *not_empty;
} market;

static bool has_room(void *unused)
{
    (void)unused;
    return me.board->items < ROOM || must_end();
}

static bool has_items(void *unused)
{
    (void)unused;
    return me.board->items > 0 || must_end();
}

/* The owner died: it may have notified nobody, too. */
static void mend_market(const market *it)
{
    board *on = me.board;

    mpi_atomic32_add(&on->told, 1);
    on->items = on->produced - on->consumed;
    EXPECT_OK(mp_condition_notify_all(it->not_full));
    EXPECT_OK(mp_condition_notify_all(it->not_empty));
}

static void mend_if_told(const market *it, mp_error err)
{
    if (err == MP_OWNER_DIED)
        mend_market(it);
    else
        EXPECT_OK(err);
}

/* Returns with the lock held and what it waits for true. */
static void await_turn(const market *it, mp_condition *condition,
                       bool (*predicate)(void *))
{
    set_step(COMING);
    mend_if_told(it, mp_condition_acquire(condition, MP_FOREVER));
    while (!predicate(NULL))
        mend_if_told(
            it, mp_condition_wait_for(condition, predicate, NULL, MP_FOREVER));
    set_step(INSIDE);
    EXPECT(me.board->items == me.board->produced - me.board->consumed);
    EXPECT(me.board->items >= 0 && me.board->items <= ROOM);
}

static void trade(const market *it, bool is_producer)
{
    mp_condition *mine = is_producer ? it->not_full : it->not_empty;
    mp_condition *theirs = is_producer ? it->not_empty : it->not_full;
    int64_t *count = is_producer ? &me.board->produced : &me.board->consumed;

    await_turn(it, mine, is_producer ? has_room : has_items);
    if (!must_end()) {
        *(volatile int64_t *)count += 1;
        work(100);
        *(volatile int64_t *)&me.board->items += is_producer ? 1 : -1;
        mpi_atomic32_add(&me.slot->done, 1);
        EXPECT_OK(mp_condition_notify(theirs, 1));
        arrive(me.board);
    }
    set_step(LEAVING);
    EXPECT_OK(mp_condition_release(mine));
    set_step(OUTSIDE);
}

static int use_market(mp_args *args)
{
    market it = {mp_arg_condition(args, 0), mp_arg_condition(args, 1)};

    come_to_board(args, it.not_full);
    while (!must_end()) {
        trade(&it, (me.bit & 0x55) != 0);
        work(500);
    }
    return 0;
}

static void create_market(crew *it)
{
    mp_rlock *lock;

    cr_assert_eq(mp_rlock_create(&lock), MP_OK);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(mp_condition_create_with_rlock(
                         (mp_condition **)&it->things[i], lock),
                     MP_OK);
    it->things[2] = lock;
}

static void create_market_with_lock(crew *it)
{
    mp_lock *lock;

    cr_assert_eq(mp_lock_create(&lock), MP_OK);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(mp_condition_create_with_lock(
                         (mp_condition **)&it->things[i], lock),
                     MP_OK);
    it->things[2] = lock;
}

static void close_conditions(crew *it)
{
    for (int i = 0; i < 2; i++)
        cr_assert_eq(mp_condition_close(it->things[i]), MP_OK);
}

static void close_market(crew *it)
{
    close_conditions(it);
    cr_assert_eq(mp_rlock_close(it->things[2]), MP_OK);
}

static void close_market_with_lock(crew *it)
{
    close_conditions(it);
    cr_assert_eq(mp_lock_close(it->things[2]), MP_OK);
}

static mp_obj *market_arguments(crew *it, int place)
{
    return MP_ARGS((mp_condition *)it->things[0], (mp_condition *)it->things[1],
                   it->name, place);
}

static void end_market(crew *it)
{
    board *on = it->board;
    mp_error err = mp_condition_acquire(it->things[0], MP_FOREVER);

    if (err == MP_OWNER_DIED) {
        mpi_atomic32_add(&on->told, 1);
        on->items = on->produced - on->consumed;
    } else {
        cr_assert_eq(err, MP_OK);
    }
    cr_assert_eq(mp_condition_notify_all(it->things[0]), MP_OK);
    cr_assert_eq(mp_condition_notify_all(it->things[1]), MP_OK);
    cr_assert_eq(mp_condition_release(it->things[0]), MP_OK);
}

/* What each said it did, against the books: who was killed between the two
 * had the lock. */
static void check_market(crew *it)
{
    const board *on = it->board;
    int64_t counts[2] = {0};

    for (int i = 0; i < it->plan->workers; i++)
        counts[i % 2] += mpi_atomic32_load(&on->slots[i].done);
    cr_assert_leq(counts[0], on->produced);
    cr_assert_leq(counts[1], on->consumed);
    cr_assert_leq(on->produced - counts[0] + on->consumed - counts[1],
                  (int64_t)it->died + it->ambiguous);
    cr_assert_eq(on->items, on->produced - on->consumed);
    check_told(it);
}

static void storm_of_conditions(bool has_rlock, size_t kills)
{
    const storm_plan plan = {
        .name = has_rlock ? "Condition, RLock" : "Condition, Lock",
        .worker = use_market,
        .method = fastest(),
        .workers = MOST_WORKERS,
        .create = has_rlock ? create_market : create_market_with_lock,
        .close = has_rlock ? close_market : close_market_with_lock,
        .arguments = market_arguments,
        .bury = bury_owner,
        .end = end_market,
        .check = check_market,
        .lock = 2,
    };

    storm(&plan, kills);
}

Test(storm, conditions_over_locks, .timeout = LONG)
{
    storm_of_conditions(false, 150);
}

Test(storm, conditions_over_recursive_locks, .timeout = LONG)
{
    storm_of_conditions(true, 150);
}

/* -- Barrier --------------------------------------------------------------- */

/* One at a time; a dead one's mark is taken away before the reset. */
static int act(void)
{
    EXPECT(mpi_atomic32_change(&me.board->is_acting, 0, 1));
    work(5000);
    EXPECT(mpi_atomic32_change(&me.board->is_acting, 1, 0));
    return 0;
}

/* Until the parent has mended it. */
static void report_break(uint32_t epoch)
{
    mpi_atomic32_store(&me.slot->reported, epoch + 1);
    while (mpi_atomic32_load(&me.board->epoch) == epoch && !must_end())
        mp_sleep(0.0002);
}

static void meet(mp_barrier *barrier)
{
    uint32_t epoch = mpi_atomic32_load(&me.board->epoch);
    uint32_t index = UINT32_MAX;
    mp_error err;

    set_step(COMING);
    err = mp_barrier_wait(barrier, MP_FOREVER, &index);
    set_step(OUTSIDE);
    if (err == MP_EBROKEN) {
        report_break(epoch);
        return;
    }
    EXPECT_OK(err);
    EXPECT(index < mp_barrier_parties(barrier));
    mpi_atomic32_add(&me.slot->done, 1);
    arrive(me.board);
    work(2000);
}

static int use_barrier(mp_args *args)
{
    mp_barrier *barrier = mp_arg_barrier(args, 0);

    come_to_board(args, barrier);
    while (!must_end())
        meet(barrier);
    return 0;
}

static void create_barrier(crew *it)
{
    mp_barrier_options options = {.action = act};

    cr_assert_eq(
        mp_barrier_create((mp_barrier **)&it->things[0], PARTIES, &options),
        MP_OK);
}

static void close_barrier(crew *it)
{
    cr_assert_eq(mp_barrier_close(it->things[0]), MP_OK);
}

static mp_obj *barrier_arguments(crew *it, int place)
{
    return MP_ARGS((mp_barrier *)it->things[0], it->name, place);
}

static bool all_have_reported(const crew *it, uint32_t epoch)
{
    for (int i = 0; i < it->plan->workers; i++)
        if (mpi_atomic32_load(&it->board->slots[i].reported) != epoch + 1)
            return false;
    return true;
}

/* All who are there learn of a break; then it is mended, and all go on. */
static void mend_barrier(crew *it)
{
    uint32_t epoch = mpi_atomic32_load(&it->board->epoch);
    int64_t began = mpos_now();

    if (!mp_barrier_is_broken(it->things[0]))
        return;
    while (!all_have_reported(it, epoch)) {
        expect_no_failure(it);
        if (is_too_long(mpos_now() - began, patience))
            dump(it);
        cr_assert_not(is_too_long(mpos_now() - began, patience));
        mp_sleep(0.0002);
    }
    raise_to(&it->board->longest_wait, mpos_now() - began);
    mpi_atomic32_store(&it->board->is_acting, 0);
    cr_assert_eq(mp_barrier_reset(it->things[0]), MP_OK);
    mpi_atomic32_add(&it->board->epoch, 1);
    it->breaks++;
}

/* The next kill comes when all have gone on after this one. */
static void tend_barrier(crew *it)
{
    static size_t tended;

    if (it->kills != tended) {
        tended = it->kills;
        await_everybody(it);
    }
    mend_barrier(it);
}

static void end_barrier(crew *it)
{
    cr_assert_eq(mp_barrier_abort(it->things[0]), MP_OK);
}

static void check_barrier(crew *it)
{
    cr_assert_eq(mp_barrier_n_waiting(it->things[0]), 0);
    cr_assert(mp_barrier_is_broken(it->things[0]));
}

Test(storm, barriers, .timeout = LONG)
{
    const storm_plan plan = {
        .name = "Barrier",
        .worker = use_barrier,
        .method = fastest(),
        .workers = PARTIES,
        .create = create_barrier,
        .close = close_barrier,
        .arguments = barrier_arguments,
        .tend = tend_barrier,
        .end = end_barrier,
        .check = check_barrier,
    };

    storm(&plan, 60);
}

/*
 * The parent is a party, too, and does not come while one of the others is
 * dead, so that no round can end without anybody's noticing. If the dead one
 * had come, there are as many waiting as there are workers, and the survivors
 * must get to know.
 */
static bool had_come(const crew *it)
{
    int64_t began = mpos_now();

    while (mpos_now() - began < MILLISECONDS(300)) {
        if (mp_barrier_is_broken(it->things[0]) ||
            mp_barrier_n_waiting(it->things[0]) == PARTIES)
            return true;
        mp_sleep(0.0002);
    }
    return false;
}

static bool survivors_have_reported(const crew *it, int dead, uint32_t epoch)
{
    for (int i = 0; i < it->plan->workers; i++)
        if (i != dead &&
            mpi_atomic32_load(&it->board->slots[i].reported) != epoch + 1)
            return false;
    return true;
}

static void await_break(crew *it, int dead)
{
    uint32_t epoch = mpi_atomic32_load(&it->board->epoch);
    int64_t began = mpos_now();

    if (!had_come(it))
        return;
    it->died++;
    while (!survivors_have_reported(it, dead, epoch)) {
        expect_no_failure(it);
        if (is_too_long(mpos_now() - began, patience))
            dump(it);
        cr_assert_not(is_too_long(mpos_now() - began, patience));
        mp_sleep(0.0002);
    }
    raise_to(&it->board->longest_wait, mpos_now() - began);
    cr_assert_eq(mp_barrier_reset(it->things[0]), MP_OK);
    mpi_atomic32_add(&it->board->epoch, 1);
    it->breaks++;
}

static void meet_workers(crew *it)
{
    mp_error err;

    me.board = it->board; /* for act() */
    err = mp_barrier_wait(it->things[0], MP_FOREVER, NULL);
    expect_no_failure(it);
    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
}

static void create_barrier_for_all(crew *it)
{
    mp_barrier_options options = {.action = act};

    cr_assert_eq(
        mp_barrier_create((mp_barrier **)&it->things[0], PARTIES + 1, &options),
        MP_OK);
}

Test(storm, barriers_whose_parties_are_not_replaced_at_once, .timeout = LONG)
{
    const storm_plan plan = {
        .name = "Barrier, late replacement",
        .worker = use_barrier,
        .method = fastest(),
        .workers = PARTIES,
        .create = create_barrier_for_all,
        .close = close_barrier,
        .arguments = barrier_arguments,
        .bury = await_break,
        .tend = meet_workers,
        .end = end_barrier,
        .check = check_barrier,
    };

    storm(&plan, 10);
}

/* -- Arenas ---------------------------------------------------------------- */

/* A lock and a thing of several cells; the lock is sent while it is held. */
static void make_and_send(mp_connection *letters)
{
    mp_lock *lock;
    mp_barrier *barrier;

    EXPECT_OK(mp_barrier_create(&barrier, 1 + chance(100), NULL));
    EXPECT_OK(mp_lock_create(&lock));
    EXPECT_OK(mp_lock_acquire(lock, 0));
    EXPECT_OK(mp_barrier_close(barrier));
    if (chance(4) == 0)
        EXPECT_OK(mp_connection_send(letters, MP_BOX(lock)));
    EXPECT_OK(mp_lock_release(lock));
    EXPECT_OK(mp_lock_close(lock));
    arrive(me.board);
    mpi_atomic32_add(&me.slot->done, 1);
}

static int use_arena(mp_args *args)
{
    come_to_board(args, mp_arg_lock(args, 0));
    while (!must_end())
        make_and_send(mp_arg_connection(args, 1));
    return 0;
}

static mp_obj *arena_arguments(crew *it, int place)
{
    mp_pipe_options options = {.is_simplex = true};

    cr_assert_eq(mp_pipe(&it->letters[place], &it->theirs, &options), MP_OK);
    return MP_ARGS((mp_lock *)it->things[0], it->theirs, it->name, place);
}

/* It is free, or will be, or its owner is dead. */
static void use_letter(const mp_obj *letter)
{
    mp_lock *lock = NULL;
    mp_error err;

    cr_assert_eq(mp_obj_as_lock(letter, &lock), MP_OK);
    err = mp_lock_acquire(lock, 5);
    cr_assert(err == MP_OK || err == MP_OWNER_DIED, "%s", mp_error_name(err));
    cr_assert_eq(mp_lock_release(lock), MP_OK);
}

/* False: nobody writes any more, or what was written is not whole. */
static bool read_letter(crew *it, int place)
{
    mp_obj *letter = NULL;

    if (mp_connection_recv(it->letters[place], &letter) != MP_OK)
        return false;
    use_letter(letter);
    mp_obj_unref(letter);
    it->letters_read++;
    return true;
}

static bool has_letter(const crew *it, int place)
{
    mpos_wait_item item = {.kind = MPOS_WAIT_READ};

    cr_assert_eq(mp_connection_fileno(it->letters[place], &item.handle), MP_OK);
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
    cr_assert_eq(mp_connection_close(it->letters[place]), MP_OK);
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
        cr_assert_eq(mp_connection_close(it->letters[i]), MP_OK);
}

Test(storm, arenas, .timeout = LONG)
{
    const storm_plan plan = {
        .name = "arena",
        .worker = use_arena,
        .method = fastest(),
        .workers = 6,
        .create = create_lock,
        .close = close_lock,
        .arguments = arena_arguments,
        .bury = read_the_last,
        .tend = read_letters,
        .end = end_arena,
        .check = check_arena,
    };

    storm(&plan, 150);
}
