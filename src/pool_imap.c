/* SPDX-License-Identifier: MIT */
/* Pool: imap and its like make jobs whose results are fetched one by one. */
#include "pool_iterator.h"

#include "obj.h"

#include <stdlib.h>

#undef mp_pool_imap
#undef mp_pool_imap_unordered
#undef mp_pool_imap_from
#undef mp_pool_imap_unordered_from

enum { CHUNKS_PER_WORKER = 4 };

typedef struct source {
    mp_task task;
    mp_obj *list; /* or */
    mp_items_function items;
    void *context;
    size_t chunksize;
    const mp_task_options *options;
    bool is_ordered;
} source;

/* Items of a list, of which only so many are to be in flight. */
static mp_error next_of_list(void *context, mp_obj **item)
{
    mpi_job *job = context;
    const mpi_container *list = mpi_as_container(job->args);

    if (job->next_chunk >= list->size)
        return MP_EEOF;
    *item = mp_obj_ref(list->items[job->next_chunk++]);
    return MP_OK;
}

static void set_source(mpi_job *job, const source *from, size_t bound)
{
    mpi_iteration *it = job->iteration;

    job->chunksize = from->chunksize != 0 ? from->chunksize : 1;
    it->is_ordered = from->is_ordered;
    it->items = from->items;
    it->context = from->context;
    it->in_flight = bound;
    if (from->list != NULL) {
        job->count = mpi_as_container(job->args)->size;
        job->chunk_count =
            job->count / job->chunksize + (job->count % job->chunksize != 0);
        job->open_units = job->chunk_count;
    }
    if (from->list != NULL && bound != 0) {
        it->items = next_of_list;
        it->context = job;
    }
    if (it->items == NULL) {
        it->is_exhausted = true;
        return;
    }
    job->open_units = 1; /* that there may be more */
    if (bound == 0)
        it->in_flight = (size_t)job->engine->worker_count * CHUNKS_PER_WORKER *
                        job->chunksize;
}

static mp_error make_job(mp_pool *pool, const source *from, mpi_job **out)
{
    size_t bound = from->options != NULL ? from->options->in_flight : 0;
    mp_obj *list = from->list != NULL ? from->list : mp_obj_list(NULL, 0);
    mpi_job *job = NULL;
    mp_error err = mpi_job_new(pool->engine, MPI_WORK_MAP, from->task, list,
                               from->options, &job);

    if (err != MP_OK)
        return err;
    if (from->chunksize > UINT32_MAX)
        err = mpi_fail(MP_EINVAL, "chunks of %zu items", from->chunksize);
    if (err == MP_OK) {
        job->iteration = mpi_calloc(1, sizeof(*job->iteration));
        if (job->iteration == NULL)
            err = mpi_no_memory();
    }
    if (err != MP_OK) {
        mpi_job_unref(job);
        return err;
    }
    set_source(job, from, bound);
    *out = job;
    return MP_OK;
}

static mp_error check(mp_pool *pool, const source *from)
{
    mp_error err = mpi_lifetime_check(pool, MPI_POOL);

    if (err == MP_OK)
        err = mpi_engine_check_mine(pool->engine);
    if (err == MP_OK && from->list == NULL && from->items == NULL)
        err = mpi_fail(MP_EINVAL, "the items are NULL");
    if (err == MP_OK && from->options != NULL &&
        (from->options->callback != NULL ||
         from->options->error_callback != NULL))
        err = mpi_fail(MP_EINVAL, "imap has no callbacks");
    return err;
}

static mp_error start(mp_pool *pool, const source *from, mp_iterator **out)
{
    mp_iterator *iterator = NULL;
    mpi_job *job = NULL;
    mp_error err = check(pool, from);

    if (err == MP_OK && out == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the iterator");
    if (err != MP_OK) {
        mp_obj_unref(from->list);
        if (from->options != NULL)
            mp_obj_unref(from->options->kwargs);
        return err;
    }
    err = make_job(pool, from, &job);
    if (err != MP_OK)
        return err;
    iterator = mpi_lifetime_new(MPI_ITERATOR, sizeof(*iterator));
    err = iterator == NULL ? mpi_no_memory() : mpi_job_start(job, true);
    if (err != MP_OK) {
        free(iterator);
        mpi_job_unref(job);
        return err;
    }
    iterator->job = job;
    mpi_engine_lock(job->engine);
    mpi_iteration_feed(job);
    mpi_engine_unlock(job->engine);
    *out = iterator;
    return MP_OK;
}

mp_error mp_pool_imap(mp_pool *pool, mp_task task, mp_obj *items,
                      size_t chunksize, const mp_task_options *options,
                      mp_iterator **out)
{
    const source from = {task, items, NULL, NULL, chunksize, options, true};

    return start(pool, &from, out);
}

mp_error mp_pool_imap_unordered(mp_pool *pool, mp_task task, mp_obj *items,
                                size_t chunksize,
                                const mp_task_options *options,
                                mp_iterator **out)
{
    const source from = {task, items, NULL, NULL, chunksize, options, false};

    return start(pool, &from, out);
}

mp_error mp_pool_imap_from(mp_pool *pool, mp_task task, mp_items_function items,
                           void *context, size_t chunksize,
                           const mp_task_options *options, mp_iterator **out)
{
    const source from = {task, NULL, items, context, chunksize, options, true};

    return start(pool, &from, out);
}

mp_error mp_pool_imap_unordered_from(mp_pool *pool, mp_task task,
                                     mp_items_function items, void *context,
                                     size_t chunksize,
                                     const mp_task_options *options,
                                     mp_iterator **out)
{
    const source from = {task, NULL, items, context, chunksize, options, false};

    return start(pool, &from, out);
}
