/* SPDX-License-Identifier: MIT */
/*
 * Starting a process: one description of the child, encoded before anything
 * exists, and three ways to make a process of it. The fork server's way is in
 * forkserver.c.
 */
#include "peer.h"
#include "pickle.h"
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- The start block ------------------------------------------------------- */

/* What we have written comes before what the child writes; and a forked child
 * would write it again. */
static void flush_output(void)
{
    fflush(stdout);
    fflush(stderr);
}

void mpi_start_keep_parcel(mp_process *process, mpi_transport *transport)
{
    process->parcel = transport->parcel;
    transport->parcel = (mpi_parcel){0};
}

mp_error mpi_start_encode(mp_process *process, mpi_transport *transport,
                          bool has_directory)
{
    mpi_buffer pickle = {0};
    mp_obj *fields;
    mp_error err = mpi_describe(process, has_directory, &fields);

    if (err == MP_OK)
        err = mpi_pickle_dump(&pickle, fields, transport);
    if (err == MP_OK)
        err = mpi_block_create(&process->block, transport, &pickle);
    mpi_buffer_free(&pickle);
    mp_obj_unref(fields);
    flush_output();
    return err;
}

/* -- spawn ----------------------------------------------------------------- */

static void write_variable(const mpi_block *block, mpi_buffer *variable)
{
    static const char digits[] = "0123456789abcdef";
    char token[2 * MPI_TOKEN_SIZE + 1] = {0};

    for (size_t i = 0; i < MPI_TOKEN_SIZE; i++) {
        token[2 * i] = digits[block->page->token[i] >> 4];
        token[2 * i + 1] = digits[block->page->token[i] & 15];
    }
    mpi_buffer_printf(variable, "%s=%lld:%s", MPI_START_VARIABLE,
                      (long long)block->memory, token);
}

static mp_error spawn_with(mp_process *process, mpi_transport *transport,
                           const char *variable)
{
    char *no_arguments[] = {"", NULL};
    mp_obj *program = mpi_executable_or_none();
    mpos_spawn_options options = {
        .argv = mpi_state.argv == NULL ? no_arguments : mpi_state.argv,
        .variable = variable,
        .dies_with_parent = process->is_daemon,
    };
    size_t index;
    mp_error err = mpi_transport_add(transport, process->block.memory, &index);

    if (err == MP_OK && !mp_obj_is_none(program))
        err = mp_obj_as_str(program, &options.program, NULL);
    if (err == MP_OK) {
        options.handles = transport->handles;
        options.handle_count = transport->count;
        err = mpos_spawn(&process->os, &options);
    }
    if (err == MP_OK)
        mpi_peer_moved(transport, process->os.pid, process->os.start_time);
    mp_obj_unref(program);
    return err;
}

mp_error mpi_start_spawn(mp_process *process)
{
    mpi_transport transport = {0};
    mpi_buffer variable = {0};
    mp_error err = mpi_guard_check();

    if (err != MP_OK)
        return err;
    err = mpi_start_encode(process, &transport, false);
    if (err != MP_OK)
        goto fail;
    write_variable(&process->block, &variable);
    err = variable.has_failed
              ? mpi_no_memory()
              : spawn_with(process, &transport, (char *)variable.data);
    if (err != MP_OK)
        goto fail;
    mpi_start_keep_parcel(process, &transport);
    mpi_buffer_free(&variable);
    mpi_transport_free(&transport);
    return MP_OK;

fail:
    mpi_block_close(&process->block);
    mpi_buffer_free(&variable);
    mpi_transport_free(&transport);
    return err;
}

/* -- fork ------------------------------------------------------------------ */

static mp_error fork_now(mp_process *process, mpi_transport *handles)
{
    int64_t parent_pid = mpos_pid();
    bool is_child = false;
    mp_error err;

    mpi_fork_prepare();
    err = mpos_fork(&process->os, &is_child);
    if (is_child)
        mpi_child_run_forked(process, parent_pid, handles);
    mpi_fork_parent();
    return err;
}

/*
 * A forked child has the arguments in its memory. They are encoded all the
 * same, so that what can't travel is refused by every start method alike; what
 * would tell the child who it is, is not.
 */
static mp_error check_work(const mp_process *process, mpi_transport *transport)
{
    mpi_buffer pickle = {0};
    mp_obj *fields;
    mp_error err = mpi_describe_work(process, &fields);

    if (err == MP_OK)
        err = mpi_pickle_dump(&pickle, fields, transport);
    mpi_buffer_free(&pickle);
    mp_obj_unref(fields);
    return err;
}

static mp_error start_fork(mp_process *process)
{
    mpi_transport transport = {0};
    mp_error err = check_work(process, &transport);

    if (err == MP_OK)
        err = mpi_block_create_for_fork(&process->block);
    if (err == MP_OK) {
        flush_output();
        err = fork_now(process, &transport);
    }
    if (err == MP_OK)
        mpi_start_keep_parcel(process, &transport);
    mpi_transport_free(&transport);
    if (err != MP_OK)
        mpi_block_close(&process->block);
    return err;
}

/* -- Starting -------------------------------------------------------------- */

static mp_error start_by_method(mp_process *process)
{
    mp_start_method method = process->method;
    mp_error err;

    if (method == MP_START_DEFAULT)
        method = mp_get_start_method();
    err = mpi_start_method_check(method);
    if (err != MP_OK)
        return err;
    switch (method) {
    case MP_START_FORK:
        return start_fork(process);
    case MP_START_FORKSERVER:
        return mpi_start_forkserver(process);
    default:
        return mpi_start_spawn(process);
    }
}

/* Of several threads that start the same object one goes on. */
static mp_error claim(mp_process *process)
{
    mp_error err = mpi_lifetime_check(process, MPI_PROCESS);

    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&process->mutex);
    if (mpi_run_of(process) != MPI_RUN_INITIAL)
        err = mpi_fail(MP_ESTATE, "%s has been started already", process->name);
    else if (process->creator_pid != mpos_pid())
        err = mpi_fail(MP_ENOTCHILD,
                       "%s was created by another process, only that one can "
                       "start it",
                       process->name);
    else
        mpi_run_set(process, MPI_RUN_STARTING);
    mpos_mutex_unlock(&process->mutex);
    return err;
}

mp_error mp_process_start(mp_process *process)
{
    mp_error err = claim(process);

    if (err != MP_OK)
        return err;
    mpi_children_clean();
    mpi_exit_register();
    err = start_by_method(process);
    if (err != MP_OK) {
        mpi_run_set(process, MPI_RUN_INITIAL);
        return mpi_context(err, "can't start %s", process->name);
    }
    mpi_process_drop_work(process);
    /* Failure keeps the block as it is, which only costs memory. */
    (void)mpi_block_keep_for_child(&process->block);
    process->pid = process->os.pid;
    /* Before another thread can join and close it. */
    mpi_children_add(process);
    mpi_run_set(process, MPI_RUN_STARTED);
    return MP_OK;
}
