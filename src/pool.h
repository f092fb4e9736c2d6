/* SPDX-License-Identifier: MIT */
/*
 * A pool in the process that made it.
 *
 *     pool.c           the public interface: making, ending, counts
 *     pool_tasks.c     apply, map and their like make jobs
 *     pool_imap.c      imap makes jobs whose chunks are made on the way
 *     pool_iterator.c  and their results are fetched
 *     pool_order.c     which unit is to be posted next
 *     pool_job.c       jobs, and when they are ready
 *     pool_result.c    what workers have answered
 *     pool_engine.c    between jobs and the board: posting, collecting, waiting
 *     pool_function.c  how functions travel
 *     pool_calls.c     the thread that takes in results and calls callbacks
 *     pool_keeper.c    the thread that looks after the workers
 *     pool_staff.c     how those are started, and what their end means
 *     future.c, future_wait.c   what users hold of jobs
 *     board*.c         the memory shared with workers (pool_worker.c)
 *
 * A job is what one call has asked for. It is cut into units, each of which one
 * worker does: a call, or a chunk of items. Units are posted to the board as it
 * has room; results are collected from it; both are done by whichever thread is
 * there, with the engine's mutex: one that waits for a result, or the caller of
 * callbacks. The mutex is never held while anything waits, nor while anything
 * of the user's is called.
 *
 * An engine lives as long as its pool, its threads, or any job refers to it.
 */
#ifndef MULTIPROC_POOL_INTERNAL_H
#define MULTIPROC_POOL_INTERNAL_H

#include "board.h"
#include "lifetime.h"
#include "pool_order.h"
#include "task.h"

#include <multiproc/event.h>
#include <multiproc/finalizer.h>
#include <multiproc/pool.h>
#include <multiproc/process.h>

typedef struct mpi_engine mpi_engine;

/* -- Jobs ------------------------------------------------------------------ */

typedef enum mpi_job_state {
    MPI_JOB_OPEN,     /* units are to be posted, or with workers */
    MPI_JOB_FINISHED, /* its callbacks have not returned yet */
    MPI_JOB_READY,
} mpi_job_state;

/* Why it has failed; strings are its own. */
typedef struct mpi_job_failure {
    mp_error code; /* MP_OK: it has not */
    char *sentence;
    char *where;
    char *worker;
    int exitcode;
    unsigned tries;
    size_t index;
} mpi_job_failure;

/* What is to be called, by the caller of callbacks. */
enum {
    MPI_CALL_PROGRESS = 1,
    MPI_CALL_FINISH = 2, /* callback, error_callback; then it is ready */
    MPI_CALL_DONE = 4,   /* what mp_future_add_done_callback() has added */
};

typedef struct mpi_done_call {
    void (*function)(void *context, mp_future *future);
    void *context;
} mpi_done_call;

/* Items on their way, and what became of them: of iterators only. */
typedef struct mpi_chunk {
    size_t first; /* of its items */
    size_t count;
    size_t next; /* of the results, which one is fetched next */
    mp_obj *items;
    mp_obj *values;            /* NULL: none, all of it has failed */
    mpi_job_failure *failures; /* in the order of the items */
    size_t failure_count;
    bool is_back;
    struct mpi_chunk *link;
} mpi_chunk;

struct mpi_iteration; /* pool_iterator.c */

typedef struct mpi_job {
    mpi_atomic32 references;
    mpi_engine *engine;
    mpi_work work;
    struct mpi_job *next; /* among those that are not ready */
    struct mpi_job **link;

    /* What it is. */
    mp_task task;
    unsigned char *function; /* pickled, with the name */
    size_t function_size;
    mp_obj *args; /* of a call; of a map, its items */
    size_t count; /* items; 1 */
    size_t chunksize;
    size_t chunk_count;
    struct mpi_iteration *iteration; /* NULL: a call or a map */
    mp_task_options options;         /* without kwargs */
    int64_t limit;                   /* nanoseconds; MPOS_FOREVER: none */
    unsigned retries;
    double key; /* the order of service */

    /* What has become of it. */
    mpi_job_state state;
    size_t next_chunk; /* to be posted */
    size_t open_units; /* not done, posted or not */
    size_t posted_units;
    size_t done;     /* items */
    mp_obj **values; /* of a map, by item; until it is finished */
    mp_obj *value;
    mpi_job_failure failure; /* of the first item that has failed */
    bool is_cancelled;
    mpi_atomic32 is_ready; /* so is state: for who has not the mutex */
    uint64_t completion;   /* the how many-th of all to be ready */

    /* What is to be called. */
    unsigned calls;
    struct mpi_job *next_call;
    int64_t last_progress;
    mpi_done_call *done_calls;
    size_t done_call_count;
} mpi_job;

/* -- The engine ------------------------------------------------------------ */

typedef enum mpi_pool_state {
    MPI_POOL_RUNNING,
    MPI_POOL_CLOSED,
    MPI_POOL_TERMINATED,
    MPI_POOL_BROKEN,
} mpi_pool_state;

/* What is in a slot of the board. */
typedef struct mpi_posted {
    mpi_unit unit; /* unit.job NULL: nothing */
    uint64_t ticket;
} mpi_posted;

typedef struct mpi_member {
    mp_process *process; /* NULL: there is none now */
    unsigned restarts;
    bool is_expected; /* to end, as we have killed it */
} mpi_member;

/* A function that was used lately, as it travels. */
typedef struct mpi_known_function {
    mp_task task;
    unsigned char *data;
    size_t size;
} mpi_known_function;

enum { MPI_FUNCTIONS_KEPT = 8 };

struct mpi_engine {
    mpi_atomic32 references;
    int64_t pid;
    uint32_t forks;   /* mpi_share_forks, of the process it belongs to */
    mpos_mutex mutex; /* over all that follows */
    mpi_pool_state state;
    mpi_board *board;

    /* How workers are made. */
    uint32_t worker_count;
    mp_function initializer;
    mp_obj *initargs;
    size_t max_tasks;
    mp_start_method method;
    unsigned next_worker; /* the number in its name */
    mp_pool_options options;

    /* Jobs. */
    mpi_order order;
    mpi_job *jobs;
    size_t job_count;
    bool has_better;    /* something was added that may come before those */
    mpi_posted *posted; /* by slot */
    uint32_t posted_count;
    uint64_t posted_bytes; /* so far */
    uint64_t completions;
    mpi_known_function known[MPI_FUNCTIONS_KEPT];
    unsigned next_known;
    uint32_t waiting; /* threads in mpi_engine_wait() */

    /* The caller of callbacks. */
    mpi_job *first_call;
    mpi_job *last_call;
    bool has_caller;
    bool caller_must_end;
    uint32_t calling;   /* callbacks that have not returned */
    uint64_t caller_id; /* mpos_thread_id() */
    mpos_thread caller;
    mp_event *resume; /* set: it is to look again, whoever waits */
    mpi_atomic32 is_parked;

    /* The keeper. */
    mpi_member *workers;
    mp_connection *wake; /* a message: look again */
    mp_connection *woken;
    mpi_atomic32 is_awake; /* such a message is on its way */
    mpos_thread keeper;
    bool has_keeper;
    bool is_over;    /* all workers have ended, and the keeper is at its end */
    bool are_joined; /* the threads */
    bool is_joining;
    int64_t next_look;  /* for time limits */
    int64_t next_start; /* after a start has failed; 0: none has */
    unsigned failed_starts;
    unsigned early_deaths; /* in a row, before the initializer was through */
    uint64_t died;
    uint64_t tasks_done;
};

struct mp_pool {
    mpi_lifetime lifetime;
    mpi_engine *engine;
    mp_finalizer *finalizer;
};

/* pool_engine.c. *out has one reference. */
mp_error mpi_engine_create(mpi_engine **out, uint32_t workers,
                           const mp_pool_options *options);
void mpi_engine_ref(mpi_engine *engine);
void mpi_engine_unref(mpi_engine *engine);
static inline void mpi_engine_lock(mpi_engine *engine)
{
    mpos_mutex_lock(&engine->mutex);
}
static inline void mpi_engine_unlock(mpi_engine *engine)
{
    mpos_mutex_unlock(&engine->mutex);
}
/* MP_ENOTCHILD: another process made it. */
mp_error mpi_engine_check_mine(const mpi_engine *engine);
/* MP_ESTATE, MP_EBROKEN unless new jobs are taken. With the mutex. */
mp_error mpi_engine_check_open(const mpi_engine *engine);

/* With the mutex: results are taken in, and what there is room for is posted.
 * Whoever has added units calls it, too. */
void mpi_engine_work(mpi_engine *engine);
/* Until is_done, which is asked with the mutex, says so; the calling thread
 * does the work meanwhile. Without the mutex. MP_TIMED_OUT. */
mp_error mpi_engine_wait(mpi_engine *engine, bool (*is_done)(void *context),
                         void *context, int64_t deadline);
/* With the mutex: something has changed that others may wait for. */
void mpi_engine_notify(mpi_engine *engine);
/* With the mutex: a unit that was posted is not any more, whatever becomes of
 * it; releases the slot. */
void mpi_engine_unpost(mpi_engine *engine, uint32_t slot);
/* With the mutex: fails all jobs that are not ready. */
void mpi_engine_fail_all(mpi_engine *engine, mp_error code, const char *why);
/* How the task travels; borrowed until the mutex is released. */
mp_error mpi_engine_function(mpi_engine *engine, mp_task task, mp_bytes *out);
void mpi_engine_forget_functions(mpi_engine *engine);
/* Other engines' threads that wait for this one's futures, see
 * future_wait.c. */
void mpi_engine_ring_others(void);

/* -- pool_job.c: all with the mutex but new, ref and unref ----------------- */

/* With one reference. args and options->kwargs are consumed in any case. */
mp_error mpi_job_new(mpi_engine *engine, mpi_work work, mp_task task,
                     mp_obj *args, const mp_task_options *options,
                     mpi_job **out);
void mpi_job_ref(mpi_job *job);
void mpi_job_unref(mpi_job *job);
/* Among the engine's jobs, which hold a reference. */
void mpi_job_enter(mpi_job *job);
size_t mpi_unit_first(const mpi_unit *unit); /* of its items */
size_t mpi_unit_items(const mpi_unit *unit); /* how many */
/* Lets go of the job. */
void mpi_unit_is_done(mpi_unit *unit);
/* The job has failed, at the latest when all is done; of several failures that
 * of the first item counts. */
void mpi_job_keep_failure(mpi_job *job, const mpi_job_failure *failure);
/* What a unit's bytes are made of; a new reference, or an error object. */
mp_obj *mpi_job_payload(const mpi_unit *unit);
/* A unit's result: what it holds, or that it has failed as a whole. */
void mpi_job_take_result(mpi_unit *unit, mp_bytes result, bool has_failures,
                         const char *worker);
void mpi_job_fail_unit(mpi_unit *unit, const mpi_job_failure *failure);
/* All of it fails now, what workers still do for it is of no use. */
void mpi_job_fail(mpi_job *job, const mpi_job_failure *failure);
/* A copy, as far as memory reaches; strings may be NULL. */
void mpi_failure_copy(mpi_job_failure *to, const mpi_job_failure *from);
void mpi_failure_free(mpi_job_failure *failure);
/* Sets this thread's sentence and returns the code. */
mp_error mpi_failure_report(const mpi_job_failure *failure);
void mpi_failure_show(const mpi_job_failure *failure, mp_failure *shown);
/* Nothing of it is left to be done. */
void mpi_job_conclude(mpi_job *job);
/* Its callbacks have returned, or there are none. */
void mpi_job_set_ready(mpi_job *job);

/* -- pool_tasks.c ---------------------------------------------------------- */

/* Without the mutex: the engine takes it on. wants_caller: whoever has made it
 * may not be waiting for it. */
mp_error mpi_job_start(mpi_job *job, bool wants_caller);

/* -- pool_calls.c ---------------------------------------------------------- */

/* With the mutex: begins the thread if there is none yet. */
mp_error mpi_calls_start(mpi_engine *engine);
/* With the mutex: it shall call these. */
void mpi_calls_add(mpi_job *job, unsigned calls);
/* With the mutex, which is released meanwhile: calls what is to be called, if
 * this is that thread. True: something was. */
bool mpi_calls_run(mpi_engine *engine);
bool mpi_calls_is_mine(const mpi_engine *engine);
/* With the mutex: it has something to do, though nothing rings. */
void mpi_calls_resume(mpi_engine *engine);

/* -- pool_keeper.c --------------------------------------------------------- */

/* Starts the first workers, in this thread, and the keeper. */
mp_error mpi_keeper_start(mpi_engine *engine);
/* With the mutex or without: it shall look again. */
void mpi_keeper_wake(mpi_engine *engine);
/* Until all workers have ended and all that is to be called was; joins the
 * threads. MP_TIMED_OUT. */
mp_error mpi_keeper_join(mpi_engine *engine, int64_t deadline);

/* -- pool_staff.c: with the mutex ------------------------------------------ */

/* Only the keeper does this, or who makes the pool before there is one; the
 * mutex is released meanwhile. */
mp_error mpi_staff_start(mpi_engine *engine, uint32_t seat);
/* It has ended: what it had is failed or begun again. */
void mpi_staff_bury(mpi_engine *engine, uint32_t seat, int code);
/* Workers are killed as they are. */
void mpi_staff_kill(mpi_engine *engine, uint32_t seat);
void mpi_staff_kill_all(mpi_engine *engine);
/* For ever: nothing will come of it. */
void mpi_staff_break(mpi_engine *engine, const char *why);

/* -- pool_iterator.c: with the mutex --------------------------------------- */

/* The chunk that the unit, by its index, is of; MP_EMPTY: not now. */
mp_error mpi_iteration_begin(mpi_unit *unit);

void mpi_iteration_take(mpi_unit *unit, mp_obj *values,
                        mpi_job_failure *failures, size_t count);
void mpi_iteration_free(struct mpi_iteration *iteration);
/* Whether its chunks are made on the way, by who asks for results. */
bool mpi_iteration_is_fed(const struct mpi_iteration *iteration);

/* -- future.c -------------------------------------------------------------- */

/* What the user holds of the job; takes its reference over, on failure, too. */
mp_error mpi_future_new(mpi_job *job, mp_future **out);
/* Of another file: MP_EINVAL, MP_ECLOSED, MP_ENOTCHILD. */
mp_error mpi_future_job(mp_future *future, mpi_job **job);

#endif
