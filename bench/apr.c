/* SPDX-License-Identifier: MIT */
/* The Apache Portable Runtime: processes, global mutexes, shared memory. */
#include "peer.h"

#include <apr_general.h>
#include <apr_global_mutex.h>
#include <apr_shm.h>
#include <apr_thread_proc.h>
#include <apr_version.h>

#include <string.h>

static apr_pool_t *lasting; /* until the program ends */
static apr_global_mutex_t *mutex;

/* Once; everything of a row is in a pool of its own. */
static bool is_ready(void)
{
    if (lasting != NULL)
        return true;
    return apr_initialize() == APR_SUCCESS &&
           apr_pool_create(&lasting, NULL) == APR_SUCCESS;
}

static const char *version(void)
{
    return apr_version_string();
}

static int run(apr_pool_t *pool, const char *program, const char *argument)
{
    const char *arguments[] = {program, argument, NULL};
    apr_procattr_t *attributes;
    apr_exit_why_e why;
    apr_proc_t process;
    int code = -1;

    if (apr_procattr_create(&attributes, pool) != APR_SUCCESS ||
        apr_procattr_cmdtype_set(attributes, APR_PROGRAM_ENV) != APR_SUCCESS ||
        apr_proc_create(&process, program, arguments, NULL, attributes, pool) !=
            APR_SUCCESS)
        return -1;
    if (apr_proc_wait(&process, &code, &why, APR_WAIT) != APR_CHILD_DONE ||
        why != APR_PROC_EXIT)
        return -1;
    return code;
}

static int spawn(const char *program, const char *argument)
{
    apr_pool_t *pool;
    int code;

    if (!is_ready() || apr_pool_create(&pool, lasting) != APR_SUCCESS)
        return -1;
    code = run(pool, program, argument);
    apr_pool_destroy(pool);
    return code;
}

/* Of the kind that APR itself chooses. */
static bool lock_open(void)
{
    return is_ready() &&
           apr_global_mutex_create(&mutex, "multiproc-bench-apr-lock",
                                   APR_LOCK_DEFAULT, lasting) == APR_SUCCESS;
}

static void lock_close(void)
{
    apr_global_mutex_destroy(mutex);
}

static bool lock_repeat(int count)
{
    int failures = 0;

    for (int i = 0; i < count; i++) {
        failures |= apr_global_mutex_lock(mutex);
        failures |= apr_global_mutex_unlock(mutex);
    }
    return failures == 0;
}

static bool cycle(apr_pool_t *pool, const char *name, size_t size)
{
    apr_shm_t *made, *attached;
    char *here, *there;
    bool is_right;

    if (apr_shm_create(&made, size, name, pool) != APR_SUCCESS)
        return false;
    if (apr_shm_attach(&attached, name, pool) != APR_SUCCESS) {
        apr_shm_destroy(made);
        return false;
    }
    here = apr_shm_baseaddr_get(made);
    there = apr_shm_baseaddr_get(attached);
    memset(there, 'x', size);
    is_right = here[size - 1] == 'x';
    is_right &= apr_shm_detach(attached) == APR_SUCCESS;
    is_right &= apr_shm_destroy(made) == APR_SUCCESS;
    return is_right;
}

static bool memory_cycle(const char *name, size_t size)
{
    apr_pool_t *pool;
    bool is_right;

    if (!is_ready() || apr_pool_create(&pool, lasting) != APR_SUCCESS)
        return false;
    is_right = cycle(pool, name, size);
    apr_pool_destroy(pool);
    return is_right;
}

const bench_peer peer_apr = {
    .version = version,
    .spawn = spawn,
    .lock_open = lock_open,
    .lock_close = lock_close,
    .lock_repeat = lock_repeat,
    .memory_cycle = memory_cycle,
};
