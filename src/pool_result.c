/* SPDX-License-Identifier: MIT */
/* Results: what workers have answered, read and put where they belong; and how
 * failures are kept and told. */
#include "obj.h"
#include "pickle.h"
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- Failures -------------------------------------------------------------- */

static char *copy_or_null(const char *text)
{
    return text == NULL || *text == 0 ? NULL : mpi_strdup(text);
}

static const char *or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

void mpi_failure_copy(mpi_job_failure *to, const mpi_job_failure *from)
{
    *to = *from;
    to->sentence = copy_or_null(from->sentence);
    to->where = copy_or_null(from->where);
    to->worker = copy_or_null(from->worker);
}

void mpi_failure_free(mpi_job_failure *failure)
{
    free(failure->sentence);
    free(failure->where);
    free(failure->worker);
    *failure = (mpi_job_failure){0};
}

static const char *sentence_of(const mpi_job_failure *failure)
{
    return failure->sentence != NULL ? failure->sentence
                                     : mp_strerror(failure->code);
}

mp_error mpi_failure_report(const mpi_job_failure *failure)
{
    const char *sentence = sentence_of(failure);

    if (failure->where != NULL)
        return mpi_fail(failure->code, "%s (raised by %s in %s)", sentence,
                        failure->where, or_empty(failure->worker));
    if (failure->worker != NULL)
        return mpi_fail(failure->code, "%s (in %s)", sentence, failure->worker);
    return mpi_fail(failure->code, "%s", sentence);
}

void mpi_failure_show(const mpi_job_failure *failure, mp_failure *shown)
{
    *shown = (mp_failure){
        .code = failure->code,
        .sentence = failure->code == MP_OK ? "" : sentence_of(failure),
        .where = or_empty(failure->where),
        .worker = or_empty(failure->worker),
        .exitcode = failure->exitcode,
        .tries = failure->tries,
        .index = failure->index,
    };
}

/* -- Reading --------------------------------------------------------------- */

/* A worker may have been in any state when it wrote: nothing it says is taken
 * for granted. */
static mp_error fail_senseless(void)
{
    return mpi_fail(MP_EPROTO, "the worker's answer makes no sense");
}

static mp_error read_failure(const mp_obj *obj, const mpi_unit *unit,
                             const char *worker, mpi_job_failure *failure)
{
    const mp_obj *part[4];
    const char *sentence = "", *where = "";
    int64_t index = 0, code = 0;
    size_t length = 0;
    mp_error err = mp_obj_len(obj, &length);

    if (err != MP_OK || length != 4 || mp_obj_type(obj) != MP_TYPE_TUPLE)
        return fail_senseless();
    for (int i = 0; i < 4; i++)
        part[i] = mpi_as_container(obj)->items[i];
    err = mp_obj_as_int(part[0], &index);
    if (err == MP_OK)
        err = mp_obj_as_int(part[1], &code);
    if (err == MP_OK)
        err = mp_obj_as_str(part[2], &sentence, NULL);
    if (err == MP_OK)
        err = mp_obj_as_str(part[3], &where, NULL);
    if (err != MP_OK)
        return err;
    if ((mp_error)code == MP_OK || index < 0 ||
        (uint64_t)index >= mpi_unit_items(unit))
        return fail_senseless();
    *failure = (mpi_job_failure){
        .code = (mp_error)code,
        .sentence = copy_or_null(sentence),
        .where = copy_or_null(where),
        .worker = copy_or_null(worker),
        .tries = unit->tries,
        .index = mpi_unit_first(unit) + (size_t)index,
    };
    return MP_OK;
}

typedef struct outcome {
    mp_obj *values; /* a list; of a call, the value */
    mpi_job_failure *failures;
    size_t count;
} outcome;

static mp_error read_failures(const mp_obj *list, const mpi_unit *unit,
                              const char *worker, outcome *out)
{
    size_t count = 0;
    mp_error err = mp_obj_len(list, &count);

    if (err != MP_OK || count == 0 || mp_obj_type(list) != MP_TYPE_LIST)
        return fail_senseless();
    out->failures = mpi_calloc(count, sizeof(*out->failures));
    if (out->failures == NULL)
        return mpi_no_memory();
    for (; out->count < count && err == MP_OK; out->count++)
        err = read_failure(mpi_as_container(list)->items[out->count], unit,
                           worker, &out->failures[out->count]);
    return err;
}

static void forget_outcome(outcome *out)
{
    mp_obj_unref(out->values);
    for (size_t i = 0; i < out->count; i++)
        mpi_failure_free(&out->failures[i]);
    free(out->failures);
    *out = (outcome){NULL, NULL, 0};
}

/* (values, failures) to the two. */
static mp_error part(const mpi_unit *unit, const char *worker, outcome *out)
{
    mp_obj *both = out->values;
    size_t length = 0;
    mp_error err = mp_obj_len(both, &length);

    if (err != MP_OK || length != 2 || mp_obj_type(both) != MP_TYPE_TUPLE)
        return fail_senseless();
    out->values = mp_obj_ref(mpi_as_container(both)->items[0]);
    err = read_failures(mpi_as_container(both)->items[1], unit, worker, out);
    mp_obj_unref(both);
    return err;
}

static mp_error decode(const mpi_unit *unit, mp_bytes result, bool has_failures,
                       const char *worker, outcome *out)
{
    size_t length = 0;
    mp_error err =
        mpi_pickle_load(result.data, result.size, NULL, &out->values);

    if (err == MP_OK && has_failures)
        err = part(unit, worker, out);
    if (err != MP_OK || (unit->job->work == MPI_WORK_CALL && !has_failures))
        return err;
    if (has_failures && mp_obj_is_none(out->values))
        return MP_OK; /* all have failed alike */
    if (mp_obj_len(out->values, &length) != MP_OK ||
        length != mpi_unit_items(unit) ||
        mp_obj_type(out->values) != MP_TYPE_LIST)
        return fail_senseless();
    return MP_OK;
}

static void take_values(mpi_unit *unit, outcome *out)
{
    mpi_job *job = unit->job;
    mpi_container *list;

    if (out->count > 0)
        mpi_job_keep_failure(job, &out->failures[0]);
    if (job->failure.code != MP_OK)
        return;
    if (job->work == MPI_WORK_CALL) {
        job->value = out->values;
        out->values = NULL;
        return;
    }
    /* Nobody else has it, but for what a list of failures came with. */
    list = mpi_mutable(out->values);
    memcpy((void *)(job->values + mpi_unit_first(unit)),
           (const void *)list->items, list->size * sizeof(*list->items));
    list->size = 0;
}

void mpi_job_take_result(mpi_unit *unit, mp_bytes result, bool has_failures,
                         const char *worker)
{
    outcome out = {NULL, NULL, 0};
    mp_error err;

    if (unit->job->state != MPI_JOB_OPEN) {
        mpi_unit_is_done(unit);
        return;
    }
    err = decode(unit, result, has_failures, worker, &out);
    if (err != MP_OK) {
        char sentence[MPI_SENTENCE_SIZE];
        mpi_job_failure failure = {.code = err, .sentence = sentence};

        snprintf(sentence, sizeof(sentence), "the result can't be read: %s",
                 mp_error_message());
        forget_outcome(&out);
        mpi_job_fail_unit(unit, &failure);
        return;
    }
    if (out.count > 0 && mp_obj_is_none(out.values)) {
        mpi_job_fail_unit(unit, &out.failures[0]);
        forget_outcome(&out);
        return;
    }
    if (unit->chunk != NULL) {
        mpi_iteration_take(unit, out.values, out.failures, out.count);
        out = (outcome){NULL, NULL, 0};
    } else {
        take_values(unit, &out);
    }
    forget_outcome(&out);
    mpi_unit_is_done(unit);
}
