/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's entry: any bytes are what a worker has answered, or make no
 * sense. A call or a part of a map then has all its values, or a failure with a
 * code that is none of success; never less, and never anything outside. The
 * first byte says what was asked for, and whether the worker says it failed.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... fuzz/fuzz_result.c
 *     ./fuzz_result fuzz/corpus/result
 */
#include "input.h"
#include "pool.h"

#include <multiproc.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { ITEMS = 3, CHUNK = 2, OTHERS = 2 };

/* All it holds, and itself, are the caller's: it never comes to its end. */
static void check(mpi_job *job, size_t first, size_t count, bool must_fail)
{
    bool has_failed = job->failure.code != MP_OK;

    require(has_failed || !must_fail);
    require(mpi_atomic32_load(&job->references) == 1);
    require(job->open_units == OTHERS - 1 && job->done == count);
    if (job->work == MPI_WORK_CALL)
        require((job->value == NULL) == has_failed);
    for (size_t i = 0; job->work == MPI_WORK_MAP && i < ITEMS; i++) {
        bool is_asked = i >= first && i < first + count;

        require((job->values[i] != NULL) == (is_asked && !has_failed));
    }
    if (has_failed)
        require(job->failure.index >= first &&
                job->failure.index < first + count);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, data + size};
    uint8_t what = take(&from);
    mp_obj *values[ITEMS] = {NULL};
    mpi_job job = {.references = {2},
                   .work = what & 1 ? MPI_WORK_MAP : MPI_WORK_CALL,
                   .count = what & 1 ? ITEMS : 1,
                   .chunksize = what & 1 ? CHUNK : 1,
                   .state = MPI_JOB_OPEN,
                   .open_units = OTHERS,
                   .values = values};
    mpi_unit unit = {.job = &job, .index = what & 1 ? what / 4 % 2 : 0};
    size_t first = mpi_unit_first(&unit), count = mpi_unit_items(&unit);
    mp_bytes result = {from.at, (size_t)(from.end - from.at)};

    mpi_job_take_result(&unit, result, (what & 2) != 0, "a worker");
    require(unit.job == NULL);
    check(&job, first, count, (what & 2) != 0);
    for (size_t i = 0; i < ITEMS; i++)
        mp_obj_unref(values[i]);
    mp_obj_unref(job.value);
    mpi_failure_free(&job.failure);
    return 0;
}
