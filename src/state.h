/* SPDX-License-Identifier: MIT */
/*
 * What one process knows about processes: itself, its parent, its children,
 * and how it starts them. state.c owns it; start.c, child.c, process.c, exit.c
 * and forkserver.c work on it.
 *
 * Locking: mpi_state.mutex guards the list of children and the settings. A
 * process object's own mutex guards what changes after its start; it may be
 * taken while holding mpi_state.mutex, never the other way round. Neither is
 * held while anything waits.
 */
#ifndef MULTIPROC_STATE_H
#define MULTIPROC_STATE_H

#include "block.h"
#include "lifetime.h"
#include "os.h"
#include "share.h"

#include <multiproc/context.h>
#include <multiproc/process.h>

typedef enum mpi_run {
    MPI_RUN_INITIAL,
    MPI_RUN_STARTING,
    MPI_RUN_STARTED,
    MPI_RUN_FINISHED,
} mpi_run;

struct mp_args {
    const char *name; /* of the target, for messages */
    mp_obj *tuple;
    mp_obj *dict;
};

struct mp_process {
    mpi_lifetime lifetime;

    /* What it is to be. */
    char *name;
    char *identity; /* "1:2": the second child of the main process's first */
    mp_function target;
    struct mp_args args;
    char *target_name;
    const mp_process_type *type;
    void *fields;
    mp_start_method method;
    bool is_daemon;
    unsigned char *authkey;
    size_t authkey_size;
    int64_t creator_pid;

    /* What has become of it. */
    mpos_mutex mutex;
    mpi_atomic32 run;    /* an mpi_run */
    mp_error code_error; /* MP_OK: exitcode is known */
    int exitcode;
    mp_phase phase; /* how far it had come when it ended */
    int64_t pid;    /* of a child, for ever; os is forgotten in the end */
    mpos_process os;
    /* Under forkserver: where its end is told, see forkserver.c. */
    mpos_handle status;
    bool is_sentinel_shown;
    unsigned waiting; /* threads that use what must be closed at the end */
    mpi_block block;
    mpi_parcel parcel; /* what it has not taken of its arguments */
    mp_process *next;  /* among the children, or those that have ended */
    bool is_forgotten; /* has ended, but nobody has closed it yet */
};

typedef enum mpi_role {
    MPI_ROLE_MAIN,    /* nobody's child */
    MPI_ROLE_SPAWNED, /* a new program: ends by exit() */
    MPI_ROLE_FORKED,  /* a copy: must not run the original's exit handlers */
} mpi_role;

typedef struct mpi_process_state {
    mpos_mutex mutex;
    int64_t pid; /* whose state this is; another one after a foreign fork() */
    mpi_role role;
    mp_process *current;
    mp_process *parent; /* NULL in the main process */
    mp_process *children;
    /* Ended, not closed: nobody may point at them any more but we. */
    mp_process *forgotten;
    size_t children_count;
    size_t children_limit; /* look for ended ones above this many */
    unsigned last_child;   /* the number in Process-N */
    uint64_t start_time;   /* ours; 0: not asked for yet */

    mp_start_method method;
    char *executable;
    int argc;
    char **argv;
    bool is_guard_passed;
    /* Handles that a forked child must not keep. */
    mpos_handle status; /* ours, under forkserver */
} mpi_process_state;

extern mpi_process_state mpi_state;

/* -- state.c --------------------------------------------------------------- */

/* Makes mpi_state.current; to be called before it is used. After a fork() that
 * is not ours it makes the state this process's own. */
mp_error mpi_state_init(void);
/* Of this process, cached. */
mp_error mpi_own_start_time(uint64_t *ticks);
void mpi_children_add(mp_process *process);
void mpi_children_remove(mp_process *process);
/* Has been awaited at exit. */
void mpi_children_forget(mp_process *process);
/* Reaps those that have ended if there may be many. */
void mpi_children_clean(void);
/* In a forked child: the parent's children, locks and finalizers are not
 * ours, nor are its connections, except for those in kept (NULL: all). */
void mpi_state_after_fork(const mpi_transport *kept);

/* Every mutex of the library that a thread may hold when another one forks:
 * all are taken before, so that the child finds nothing half done. */
void mpi_fork_prepare(void);
void mpi_fork_parent(void);

/* -- process.c ------------------------------------------------------------- */

static inline mpi_run mpi_run_of(const mp_process *process)
{
    return (mpi_run)mpi_atomic32_load(&process->run);
}

static inline void mpi_run_set(mp_process *process, mpi_run run)
{
    mpi_atomic32_store(&process->run, (uint32_t)run);
}

/* A process object with nothing but a name and an identity, both copied. */
mp_process *mpi_process_new(const char *name, const char *identity);
void mpi_process_free(mp_process *process);
int mpi_process_call_target(mp_process *process);
/* The arguments are not needed any more. */
void mpi_process_drop_work(mp_process *process);
/* Whether it is the process that calls, or the one that started it. */
bool mpi_process_is_current(const mp_process *process);
bool mpi_process_is_parent(const mp_process *process);
/* For what only the creating process may do: MP_ENOTCHILD. */
mp_error mpi_process_check_mine(const mp_process *process);

/* -- process_wait.c -------------------------------------------------------- */

/* Looks whether it has ended and keeps the exit code; true if it has. */
bool mpi_process_poll(mp_process *process);
/* What to wait for. */
mpos_wait_item mpi_process_wait_item(const mp_process *process);
/* From begin to end, what is to be waited for stays open. MP_EINVAL,
 * MP_ECLOSED, MP_ESTATE, MP_ENOTCHILD. look: true if it is known to have ended;
 * else *item is to be waited for. */
mp_error mpi_process_wait_begin(mp_process *process);
bool mpi_process_wait_look(mp_process *process, mpos_wait_item *item);
void mpi_process_wait_end(mp_process *process);
/* Joins without asking whose child it is. */
mp_error mpi_process_wait(mp_process *process, int64_t deadline);
mp_error mpi_process_send_signal(mp_process *process, mpos_signal signal);

/* -- description.c --------------------------------------------------------- */

/* Everything about the process, for its child. *out is to be given back on
 * failure, too. has_directory: it has to be told where it is to be, since it
 * does not inherit that. */
mp_error mpi_describe(const mp_process *process, bool has_directory,
                      mp_obj **out);
/* Only what it shall do, not who it is. */
mp_error mpi_describe_work(const mp_process *process, mp_obj **out);
/* What mp_set_executable() chose. */
mp_obj *mpi_executable_or_none(void);

typedef struct mpi_start {
    mp_process *process;
    mp_process *parent;
    mp_start_method default_method;
} mpi_start;

/* From a start block that holds what mpi_describe() gave. On failure
 * start->process may be there already, with its name. */
mp_error mpi_start_decode(const mpi_block *block, mpi_transport *transport,
                          mpi_start *start);

/* -- start.c --------------------------------------------------------------- */

/* "MULTIPROC_START=<handle of the start block>:<token in hexadecimal>" */
#define MPI_START_VARIABLE "MULTIPROC_START"

/* MP_ENOTSUP, MP_EINVAL (context.c). */
mp_error mpi_start_method_check(mp_start_method method);
mp_error mpi_start_spawn(mp_process *process);
/* What is on its way with the arguments is the child's to take from now on. */
void mpi_start_keep_parcel(mp_process *process, mpi_transport *transport);
/* The start block, in process->block; the handles to pass are in transport and
 * stay their owners'. */
mp_error mpi_start_encode(mp_process *process, mpi_transport *transport,
                          bool has_directory);

/* -- child.c --------------------------------------------------------------- */

/* From the start block to the end of the process. handles empty: those that
 * the block names. creator_pid: who made it; 0: its parent. */
MP_NORETURN void mpi_child_run(mpi_block *block, mpi_transport *handles,
                               mpi_role role, int64_t creator_pid);
/* In a child made by fork: process is what it shall be, handles are those it
 * was given. */
MP_NORETURN void mpi_child_run_forked(mp_process *process, int64_t parent_pid,
                                      mpi_transport *handles);
/* The end of a child: exit order, flushing, telling the parent. */
MP_NORETURN void mpi_child_finish(int code);
/* "Process NAME: sentence" on stderr. */
void mpi_complain(const char *kind);

/* -- bootstrap.c ----------------------------------------------------------- */

/* MP_EGUARD with the sentence that fits, unless children may be started. */
mp_error mpi_guard_check(void);

/* -- forkserver.c ---------------------------------------------------------- */

mp_error mpi_start_forkserver(mp_process *process);
/* The server's target. */
int mpi_forkserver_serve(mp_args *args);
void mpi_forkserver_stop(void);
void mpi_forkserver_after_fork(void);
extern mpos_mutex mpi_forkserver_mutex;

/* -- exit.c ---------------------------------------------------------------- */

/* Finalizers, daemons, children, finalizers: once. */
void mpi_exit_in_order(void);
/* Has it done when the process ends by exit() or by returning from main. */
void mpi_exit_register(void);
void mpi_exit_after_fork(void);
/* Whether that has begun: exit() must not be called any more. */
bool mpi_exit_has_begun(void);
/* The first thread that ends a child says how; the others never return. True:
 * this very thread has begun it before. */
bool mpi_exit_claim(void);

/* -- finalizer.c ----------------------------------------------------------- */

/* Calls those with minimum <= priority, highest first. */
void mpi_finalizers_run(int minimum);
void mpi_finalizers_after_fork(void);
extern mpos_mutex mpi_finalizers_mutex;

#endif
