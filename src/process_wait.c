/* SPDX-License-Identifier: MIT */
/*
 * Process objects once they have been started: waiting for their end, reaping
 * them, signals. A process is reaped once, under its mutex; waiting happens
 * outside of it, so any number of threads may wait.
 */
#include "state.h"

enum { MILLISECOND = 1000000 };

static mp_error check_alive_object(const mp_process *process)
{
    return mpi_lifetime_check(process, MPI_PROCESS);
}

/* For what needs a process that has been started. */
static mp_error check_started(const mp_process *process)
{
    mp_error err = check_alive_object(process);

    if (err != MP_OK || mpi_process_is_parent(process))
        return err;
    if (mpi_process_is_current(process))
        return mpi_fail(MP_ESTATE, "%s is the current process", process->name);
    err = mpi_process_check_mine(process);
    if (err == MP_OK && mpi_run_of(process) < MPI_RUN_STARTED)
        err = mpi_fail(MP_ESTATE, "%s has not been started", process->name);
    return err;
}

/* -- Waiting --------------------------------------------------------------- */

mpos_wait_item mpi_process_wait_item(const mp_process *process)
{
    mpos_wait_item item = {process->os.sentinel, MPOS_WAIT_PROCESS, false};

    if (process->status != MPOS_NONE) {
        item.handle = process->status;
        item.kind = MPOS_WAIT_READ;
    }
    return item;
}

/* The child's own word, for when the system's is lost. */
static mp_error code_from_page(const mp_process *process, int *code)
{
    const mpi_start_page *page = process->block.page;

    if (page == NULL || mpi_atomic32_load(&page->phase) != MP_PHASE_FINISHED)
        return mpi_fail(MP_ENOTFOUND,
                        "%s has ended, but somebody else collected its exit "
                        "code",
                        process->name);
    *code = (int)mpi_atomic32_load(&page->exitcode);
    return MP_OK;
}

/* Under forkserver: what the server says, or end of file when both it and the
 * child are gone; 255 then, as in Python. */
static mp_error reap_status(mp_process *process, int *code)
{
    mpos_wait_item item = mpi_process_wait_item(process);
    int64_t sent;
    size_t got = 0;
    mp_error err = mpos_wait(&item, 1, 0);

    if (err != MP_OK)
        return err;
    err = mpos_read(process->status, &sent, sizeof(sent), &got);
    if (err == MP_OK && got == sizeof(sent)) {
        *code = (int)sent;
        return MP_OK;
    }
    if (code_from_page(process, code) != MP_OK)
        *code = 255;
    return MP_OK;
}

/* The page is the child's to write: believe only what makes sense. */
static mp_phase phase_in_page(const mp_process *process)
{
    uint32_t phase = MP_PHASE_STARTED;

    if (process->block.page != NULL)
        phase = mpi_atomic32_load(&process->block.page->phase);
    if (phase <= MP_PHASE_STARTED)
        return MP_PHASE_STARTED;
    return phase < MP_PHASE_FINISHED ? (mp_phase)phase : MP_PHASE_FINISHED;
}

/* Not before the last thread that waits has seen it. */
static void close_if_done(mp_process *process)
{
    if (mpi_run_of(process) != MPI_RUN_FINISHED || process->waiting > 0 ||
        process->is_sentinel_shown)
        return;
    mpos_close(process->status);
    process->status = MPOS_NONE;
    mpos_process_close(&process->os);
}

/* Under the process's mutex. MP_OK if it had ended before or has now. */
static mp_error reap_if_ended(mp_process *process)
{
    int code = 0;
    mp_error err;

    if (mpi_run_of(process) != MPI_RUN_STARTED)
        return MP_OK;
    if (process->status != MPOS_NONE)
        err = reap_status(process, &code);
    else
        err = mpos_reap(&process->os, 0, &code);
    if (err == MP_ENOTFOUND)
        err = code_from_page(process, &code);
    if (err != MP_OK && err != MP_ENOTFOUND)
        return err;
    process->code_error = err;
    process->exitcode = code;
    process->phase = phase_in_page(process);
    mpi_block_close(&process->block);
    mpi_parcel_cancel(&process->parcel);
    mpi_run_set(process, MPI_RUN_FINISHED);
    return MP_OK;
}

bool mpi_process_poll(mp_process *process)
{
    bool has_ended;

    mpos_mutex_lock(&process->mutex);
    (void)reap_if_ended(process);
    close_if_done(process);
    has_ended = mpi_run_of(process) == MPI_RUN_FINISHED;
    mpos_mutex_unlock(&process->mutex);
    return has_ended;
}

/* It has ended, but whoever traces it (a debugger, a sanitizer) is told first:
 * a moment without the mutex. */
static mp_error await_tracer(mp_process *process)
{
    mpos_mutex_unlock(&process->mutex);
    mpos_sleep_until(mpos_now() + MILLISECOND);
    mpos_mutex_lock(&process->mutex);
    return MP_OK;
}

mp_error mpi_process_wait(mp_process *process, int64_t deadline)
{
    mp_error err = MP_OK;

    mpos_mutex_lock(&process->mutex);
    process->waiting++;
    while (err == MP_OK && mpi_run_of(process) == MPI_RUN_STARTED) {
        mpos_wait_item item = mpi_process_wait_item(process);

        mpos_mutex_unlock(&process->mutex);
        err = mpos_wait(&item, 1, deadline);
        mpos_mutex_lock(&process->mutex);
        if (err == MP_OK)
            err = reap_if_ended(process);
        if (err == MP_TIMED_OUT && mpos_now() < deadline)
            err = await_tracer(process);
    }
    if (mpi_run_of(process) == MPI_RUN_FINISHED)
        err = MP_OK;
    process->waiting--;
    close_if_done(process);
    mpos_mutex_unlock(&process->mutex);
    if (err == MP_OK)
        mpi_children_remove(process);
    return err;
}

/* The parent is looked up late, as few ask for it. Under its mutex. */
static mp_error look_up_parent(mp_process *parent)
{
    mp_error err = MP_OK;

    if (mpi_run_of(parent) == MPI_RUN_STARTED &&
        parent->os.sentinel == MPOS_NONE) {
        err = mpos_attach(&parent->os, parent->os.pid, parent->os.start_time);
        if (err == MP_ENOTFOUND)
            mpi_run_set(parent, MPI_RUN_FINISHED);
    }
    return err;
}

/* It is no child: there is nothing to reap. */
static mp_error wait_for_parent(mp_process *parent, int64_t deadline)
{
    mpos_wait_item item;
    mp_error err;

    mpos_mutex_lock(&parent->mutex);
    err = look_up_parent(parent);
    item = mpi_process_wait_item(parent);
    mpos_mutex_unlock(&parent->mutex);
    if (mpi_run_of(parent) == MPI_RUN_FINISHED)
        return MP_OK;
    return err == MP_OK ? mpos_wait(&item, 1, deadline) : err;
}

mp_error mpi_process_wait_begin(mp_process *process)
{
    mp_error err = check_started(process);

    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&process->mutex);
    if (mpi_process_is_parent(process))
        err = look_up_parent(process);
    if (mpi_run_of(process) == MPI_RUN_FINISHED)
        err = MP_OK;
    if (err == MP_OK)
        process->waiting++;
    mpos_mutex_unlock(&process->mutex);
    return err;
}

bool mpi_process_wait_look(mp_process *process, mpos_wait_item *item)
{
    bool has_ended;

    mpos_mutex_lock(&process->mutex);
    has_ended = mpi_run_of(process) == MPI_RUN_FINISHED;
    *item = mpi_process_wait_item(process);
    mpos_mutex_unlock(&process->mutex);
    return has_ended;
}

void mpi_process_wait_end(mp_process *process)
{
    mpos_mutex_lock(&process->mutex);
    process->waiting--;
    if (!mpi_process_is_parent(process))
        close_if_done(process);
    mpos_mutex_unlock(&process->mutex);
}

mp_error mp_process_join(mp_process *process, double timeout)
{
    mp_error err = check_started(process);

    if (err != MP_OK)
        return err;
    if (mpi_process_is_parent(process))
        return wait_for_parent(process, mpi_deadline(timeout));
    return mpi_process_wait(process, mpi_deadline(timeout));
}

bool mp_process_is_alive(mp_process *process)
{
    if (check_alive_object(process) != MP_OK)
        return false;
    if (mpi_process_is_current(process))
        return true;
    if (mpi_process_is_parent(process))
        return wait_for_parent(process, 0) == MP_TIMED_OUT;
    if (mpi_process_check_mine(process) != MP_OK ||
        mpi_run_of(process) < MPI_RUN_STARTED)
        return false;
    return mpi_process_wait(process, 0) != MP_OK;
}

mp_error mp_process_exitcode(mp_process *process, int *code)
{
    mp_error err = check_alive_object(process);

    if (err != MP_OK)
        return err;
    if (mpi_process_is_current(process) || mpi_process_is_parent(process))
        return MP_PENDING;
    err = mpi_process_check_mine(process);
    if (err != MP_OK)
        return err;
    if (mpi_run_of(process) < MPI_RUN_STARTED ||
        mpi_process_wait(process, 0) != MP_OK)
        return MP_PENDING;
    if (process->code_error != MP_OK)
        return mpi_fail(process->code_error,
                        "%s has ended, but somebody else collected its exit "
                        "code",
                        process->name);
    if (code != NULL)
        *code = process->exitcode;
    return MP_OK;
}

mp_phase mp_process_phase(mp_process *process)
{
    mp_phase phase;

    if (check_alive_object(process) != MP_OK)
        return MP_PHASE_INITIAL;
    if (mpi_process_is_current(process) || mpi_process_is_parent(process))
        return MP_PHASE_TARGET;
    if (mpi_run_of(process) < MPI_RUN_STARTED)
        return MP_PHASE_INITIAL;
    mpos_mutex_lock(&process->mutex);
    phase = process->phase != MP_PHASE_INITIAL ? process->phase
                                               : phase_in_page(process);
    mpos_mutex_unlock(&process->mutex);
    return phase;
}

/* -- Ending ---------------------------------------------------------------- */

/*
 * Under forkserver the child is the server's; it is looked up when needed. Its
 * start time would cost every start more than the rest of the server's work:
 * that nothing is known of its end yet, after it has been looked up, says as
 * well that its number has not become another's.
 */
static mp_error attach_if_needed(mp_process *process)
{
    mpos_wait_item item = mpi_process_wait_item(process);
    mpos_process found = {0};
    mp_error err;

    if (process->status == MPOS_NONE || process->os.sentinel != MPOS_NONE)
        return MP_OK;
    err = mpos_attach(&found, process->os.pid, 0);
    if (err != MP_OK)
        return err;
    err = mpos_wait(&item, 1, 0);
    if (err == MP_TIMED_OUT) {
        process->os = found;
        return MP_OK;
    }
    mpos_process_close(&found);
    return err == MP_OK ? MP_ENOTFOUND : err;
}

mp_error mpi_process_send_signal(mp_process *process, mpos_signal signal)
{
    mp_error err = check_started(process);

    if (err == MP_OK && mpi_process_is_parent(process))
        err = mpi_fail(MP_ENOTCHILD, "the parent is not a child");
    if (err != MP_OK || mpi_process_poll(process))
        return err;
    mpos_mutex_lock(&process->mutex);
    if (mpi_run_of(process) == MPI_RUN_STARTED) {
        err = attach_if_needed(process);
        if (err == MP_OK)
            err = mpos_send_signal(&process->os, signal);
        else if (err == MP_ENOTFOUND)
            err = MP_OK; /* it has ended in the meantime */
    }
    mpos_mutex_unlock(&process->mutex);
    return err;
}

mp_error mp_process_terminate(mp_process *process)
{
    return mpi_process_send_signal(process, MPOS_TERMINATE);
}

mp_error mp_process_kill(mp_process *process)
{
    return mpi_process_send_signal(process, MPOS_KILL);
}

mp_error mp_process_interrupt(mp_process *process)
{
    return mpi_process_send_signal(process, MPOS_INTERRUPT);
}

mp_error mp_process_suspend(mp_process *process)
{
    return mpi_process_send_signal(process, MPOS_SUSPEND);
}

mp_error mp_process_resume(mp_process *process)
{
    return mpi_process_send_signal(process, MPOS_RESUME);
}

mp_error mp_process_sentinel(mp_process *process, mp_handle *out)
{
    mp_error err = check_started(process);
    mpos_handle handle;

    if (err == MP_OK && out == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the sentinel");
    if (err == MP_OK && mpi_process_is_parent(process))
        err = wait_for_parent(process, 0) < MP_OK ? MP_ENOTFOUND : MP_OK;
    if (err != MP_OK)
        return err;
    mpos_mutex_lock(&process->mutex);
    handle = mpi_process_wait_item(process).handle;
    process->is_sentinel_shown = handle != MPOS_NONE;
    mpos_mutex_unlock(&process->mutex);
    if (handle == MPOS_NONE)
        return mpi_fail(MP_ESTATE, "%s has ended and been joined",
                        process->name);
    *out = handle;
    return MP_OK;
}
