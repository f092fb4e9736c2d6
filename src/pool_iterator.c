/* SPDX-License-Identifier: MIT */
/*
 * Pool: what imap() has begun. The items of a list are cut into chunks as these
 * are posted, all that there is room for. With a bound on what is in flight, or
 * if the items are made on the way, chunks are made by the thread that asks for
 * results, each time as many as were fetched.
 *
 * Chunks are in a list in the order in which their results are to be fetched:
 * that of the items; or, unordered, that in which they came back.
 */
#include "pool_iterator.h"

#include "obj.h"

#include <stdlib.h>

/* -- Chunks ---------------------------------------------------------------- */

static void free_chunk(mpi_chunk *chunk)
{
    mp_obj_unref(chunk->items);
    mp_obj_unref(chunk->values);
    for (size_t i = 0; i < chunk->failure_count; i++)
        mpi_failure_free(&chunk->failures[i]);
    free(chunk->failures);
    free(chunk);
}

static void free_chunks(mpi_chunk *chunk)
{
    while (chunk != NULL) {
        mpi_chunk *next = chunk->link;

        free_chunk(chunk);
        chunk = next;
    }
}

void mpi_iteration_free(struct mpi_iteration *iteration)
{
    free_chunks(iteration->first);
    free_chunks(iteration->away);
    mpi_failure_free(&iteration->broken_off);
    free(iteration);
}

static void append(mpi_iteration *it, mpi_chunk *chunk)
{
    chunk->link = NULL;
    if (it->last != NULL)
        it->last->link = chunk;
    else
        it->first = chunk;
    it->last = chunk;
}

/* items are consumed. */
static mp_error begin_chunk(mpi_iteration *it, mp_obj *items, size_t count,
                            mpi_chunk **out)
{
    mpi_chunk *chunk = mpi_calloc(1, sizeof(*chunk));

    if (chunk == NULL) {
        mp_obj_unref(items);
        return mpi_no_memory();
    }
    chunk->items = items;
    chunk->count = count;
    chunk->first = it->begun;
    it->begun += count;
    if (it->is_ordered) {
        append(it, chunk);
    } else {
        chunk->link = it->away;
        it->away = chunk;
    }
    *out = chunk;
    return MP_OK;
}

/* It has come back. */
static void move_back(mpi_iteration *it, mpi_chunk *chunk)
{
    mpi_chunk **link = &it->away;

    if (it->is_ordered)
        return;
    while (*link != chunk)
        link = &(*link)->link;
    *link = chunk->link;
    append(it, chunk);
}

mp_error mpi_iteration_begin(mpi_unit *unit)
{
    mp_obj *items = mpi_job_payload(unit);
    mp_error err = mp_obj_error(items);
    size_t count = 0;

    if (err != MP_OK)
        return err;
    (void)mp_obj_len(items, &count);
    return begin_chunk(unit->job->iteration, items, count, &unit->chunk);
}

void mpi_iteration_take(mpi_unit *unit, mp_obj *values,
                        mpi_job_failure *failures, size_t count)
{
    mpi_chunk *chunk = unit->chunk;

    mp_obj_unref(chunk->items);
    chunk->items = NULL;
    chunk->values = values;
    chunk->failures = failures;
    chunk->failure_count = count;
    chunk->is_back = true;
    move_back(unit->job->iteration, chunk);
    mpi_engine_notify(unit->job->engine);
}

bool mpi_iteration_is_fed(const struct mpi_iteration *iteration)
{
    return iteration->items != NULL;
}

/* -- Feeding --------------------------------------------------------------- */

/* With the mutex. */
static void break_off(mpi_job *job, mp_error err, const char *sentence)
{
    mpi_iteration *it = job->iteration;

    if (it->is_exhausted)
        return;
    it->is_exhausted = true;
    if (err != MP_EEOF) {
        char *text = mpi_strdup(sentence);
        const mpi_job_failure failure = {.code = err, .sentence = text};

        mpi_failure_copy(&it->broken_off, &failure);
        it->broken_off.index = it->begun;
        free(text);
    }
    if (job->state == MPI_JOB_OPEN && --job->open_units == 0)
        mpi_job_conclude(job);
}

/* With the mutex, which is released while items are asked for. *end: what those
 * ended with. */
static mp_obj *ask_for_items(mpi_job *job, size_t *count, mp_error *end)
{
    mpi_iteration *it = job->iteration;
    mp_obj *list = mp_obj_list(NULL, 0);

    *count = 0;
    *end = mp_obj_error(list);
    mpi_engine_unlock(job->engine);
    while (*end == MP_OK && *count < job->chunksize) {
        mp_obj *item = NULL;

        mpi_forget_failure();
        *end = it->items(it->context, &item);
        if (*end > 0)
            *end = mpi_fail(MP_EINVAL, "the items' function returned %d", *end);
        if (*end == MP_OK)
            *end = mp_obj_append(list, item);
        if (*end == MP_OK)
            ++*count;
    }
    mpi_engine_lock(job->engine);
    return list;
}

static mp_error feed_chunk(mpi_job *job)
{
    mpi_unit unit = {.job = job, .key = job->key};
    size_t count;
    mp_error end;
    mp_obj *items = ask_for_items(job, &count, &end);
    mp_error err = MP_OK;

    if (count == 0 || job->state != MPI_JOB_OPEN) {
        if (!mpi_is_error(items))
            mp_obj_unref(items);
    } else {
        err = begin_chunk(job->iteration, items, count, &unit.chunk);
        if (err == MP_OK)
            err = mpi_order_add(&job->engine->order, &unit);
        if (err == MP_OK) {
            mpi_job_ref(job);
            job->open_units++;
            job->engine->has_better = job->engine->order.has_keys;
        }
    }
    if (err != MP_OK || end != MP_OK)
        break_off(job, err != MP_OK ? err : end, mp_error_message());
    return err;
}

/* For a whole chunk; and for one of any size if there is none. */
static bool has_room(const mpi_job *job)
{
    const mpi_iteration *it = job->iteration;
    size_t away = it->begun - it->fetched;

    return away == 0 || away + job->chunksize <= it->in_flight;
}

/* With the mutex: as many as there is room for. */
void mpi_iteration_feed(mpi_job *job)
{
    mpi_iteration *it = job->iteration;

    if (it->is_feeding)
        return;
    it->is_feeding = true;
    while (!it->is_exhausted && job->state == MPI_JOB_OPEN && has_room(job)) {
        (void)feed_chunk(job);
        mpi_engine_work(job->engine);
    }
    it->is_feeding = false;
    mpi_engine_notify(job->engine);
}

/* -- Fetching -------------------------------------------------------------- */

/* With the mutex. There is something to be said. */
static bool has_next(void *context)
{
    const mpi_job *job = context;
    const mpi_iteration *it = job->iteration;

    if (it->first != NULL && it->first->is_back)
        return true;
    if (job->state != MPI_JOB_OPEN)
        return true;
    return !it->is_feeding && !it->is_exhausted && has_room(job);
}

static const mpi_job_failure *failure_of(const mpi_chunk *chunk, size_t item)
{
    /* A chunk that has failed as a whole has one failure for all. */
    if (chunk->values == NULL)
        return chunk->failure_count > 0 ? &chunk->failures[0] : NULL;
    for (size_t i = 0; i < chunk->failure_count; i++)
        if (chunk->failures[i].index == chunk->first + item)
            return &chunk->failures[i];
    return NULL;
}

static mp_error tell(mp_iterator *iterator, const mpi_job_failure *failure,
                     size_t index)
{
    mpi_failure_free(&iterator->failure);
    mpi_failure_copy(&iterator->failure, failure);
    iterator->failure.index = index;
    return mpi_failure_report(&iterator->failure);
}

static mp_error take_item(mp_iterator *iterator, mp_obj **out)
{
    static const mpi_job_failure no_memory = {.code = MP_ENOMEM};
    mpi_iteration *it = iterator->job->iteration;
    mpi_chunk *chunk = it->first;
    size_t item = chunk->next++;
    const mpi_job_failure *failure = failure_of(chunk, item);
    mp_error err = MP_OK;

    if (failure == NULL && chunk->values == NULL)
        failure = &no_memory;
    if (failure != NULL)
        err = tell(iterator, failure, chunk->first + item);
    else
        *out = mp_obj_ref(mpi_as_container(chunk->values)->items[item]);
    it->fetched++;
    if (chunk->next == chunk->count) {
        it->first = chunk->link;
        if (it->first == NULL)
            it->last = NULL;
        free_chunk(chunk);
    }
    return err;
}

/* No chunk is there to be fetched. */
static mp_error tell_end(mp_iterator *iterator)
{
    mpi_job *job = iterator->job;
    mpi_iteration *it = job->iteration;
    const mpi_job_failure *end = NULL;

    if (it->broken_off.code != MP_OK)
        end = &it->broken_off;
    else if (job->failure.code != MP_OK)
        end = &job->failure;
    if (end == NULL || it->has_been_told)
        return mpi_fail(MP_EEOF, "there are no more results");
    it->has_been_told = true;
    return tell(iterator, end, it->fetched);
}

/* With the mutex. */
static mp_error fetch(mp_iterator *iterator, mp_obj **out)
{
    mpi_iteration *it = iterator->job->iteration;
    bool has_chunk = it->first != NULL && it->first->is_back;

    if (has_chunk)
        return take_item(iterator, out);
    /* Another thread may have been faster. */
    return iterator->job->state == MPI_JOB_OPEN ? MP_PENDING
                                                : tell_end(iterator);
}

static mp_error check_iterator(const mp_iterator *iterator)
{
    mp_error err = mpi_lifetime_check(iterator, MPI_ITERATOR);

    return err == MP_OK ? mpi_engine_check_mine(iterator->job->engine) : err;
}

mp_error mp_iterator_next(mp_iterator *iterator, double timeout, mp_obj **out)
{
    int64_t deadline = mpi_deadline(timeout);
    mp_error err = check_iterator(iterator);
    mpi_job *job;

    if (err == MP_OK && out == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the result");
    if (err != MP_OK)
        return err;
    job = iterator->job;
    do {
        err = mpi_engine_wait(job->engine, has_next, job, deadline);
        if (err != MP_OK)
            return err;
        mpi_engine_lock(job->engine);
        err = fetch(iterator, out);
        mpi_iteration_feed(job);
        mpi_engine_unlock(job->engine);
    } while (err == MP_PENDING);
    return err;
}

mp_error mp_iterator_failure(mp_iterator *iterator, mp_failure *failure)
{
    mp_error err = check_iterator(iterator);

    if (err == MP_OK && failure == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the failure");
    if (err == MP_OK && iterator->failure.code == MP_OK)
        err = mpi_fail(MP_ESTATE, "no item has failed yet");
    if (err == MP_OK)
        mpi_failure_show(&iterator->failure, failure);
    return err;
}

mp_error mp_iterator_close(mp_iterator *iterator)
{
    static const mpi_job_failure cancelled = {.code = MP_ECANCELLED};
    mp_error err = iterator == NULL ? MP_OK : check_iterator(iterator);

    if (iterator == NULL || err != MP_OK)
        return err;
    mpi_engine_lock(iterator->job->engine);
    iterator->job->iteration->is_exhausted = true;
    mpi_job_fail(iterator->job, &cancelled);
    mpi_engine_unlock(iterator->job->engine);
    mpi_failure_free(&iterator->failure);
    mpi_job_unref(iterator->job);
    mpi_lifetime_end(iterator);
    return MP_OK;
}
