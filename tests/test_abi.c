/* SPDX-License-Identifier: MIT */
/*
 * What programs that were built against an older header rely on, and no linker
 * looks at: the layout of public structs, the numbers behind public names. The
 * exported functions are another list: src/multiproc.exports. Errors' numbers
 * are test_error's.
 */
#include "testing.h"

#include <multiproc.h>

#include <stddef.h>
#include <stdint.h>

typedef struct fact {
    const char *what;
    size_t is;
    size_t was;
} fact;

/* clang-format off */
#define SIZE(type, size) {#type, sizeof(type), (size)}
#define AT(type, field, offset) \
    {#type "." #field, offsetof(type, field), (offset)}
#define IS(name, number) {#name, (size_t)(name), (number)}
/* clang-format on */

#define ARE_AS_THEY_WERE(facts) \
    are_as_they_were((facts), sizeof(facts) / sizeof((facts)[0]))

static void are_as_they_were(const fact *facts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(facts[i].is, facts[i].was, "%s: %zu, was %zu",
                     facts[i].what, facts[i].is, facts[i].was);
}

/* clang-format off */
/* With pointers of eight bytes. A new field goes to the end of its struct, or
 * into what was padding. */
static const fact layout[] = {
    SIZE(mp_barrier_options, 16),
    AT(mp_barrier_options, action, 0),
    AT(mp_barrier_options, timeout, 8),
    SIZE(mp_pipe_options, 2),
    AT(mp_pipe_options, is_simplex, 0),
    AT(mp_pipe_options, is_stream, 1),
    SIZE(mp_ctype, 40),
    AT(mp_ctype, code, 0),
    AT(mp_ctype, size, 8),
    AT(mp_ctype, alignment, 16),
    AT(mp_ctype, name, 24),
    AT(mp_ctype, fields, 32),
    SIZE(mp_failure, 48),
    AT(mp_failure, code, 0),
    AT(mp_failure, sentence, 8),
    AT(mp_failure, where, 16),
    AT(mp_failure, worker, 24),
    AT(mp_failure, exitcode, 32),
    AT(mp_failure, tries, 36),
    AT(mp_failure, index, 40),
    SIZE(mp_address, 268),
    AT(mp_address, family, 0),
    AT(mp_address, port, 4),
    AT(mp_address, is_abstract, 8),
    AT(mp_address, name, 9),
    AT(mp_address, is_cut, 265),
    SIZE(mp_auth, 24),
    AT(mp_auth, key, 0),
    AT(mp_auth, key_size, 8),
    AT(mp_auth, is_none, 16),
    AT(mp_auth, allow_md5, 17),
    SIZE(mp_listener_options, 48),
    AT(mp_listener_options, auth, 0),
    AT(mp_listener_options, handshake_timeout, 24),
    AT(mp_listener_options, backlog, 32),
    AT(mp_listener_options, handshakes, 36),
    AT(mp_listener_options, same_user_only, 40),
    SIZE(mp_client_options, 40),
    AT(mp_client_options, auth, 0),
    AT(mp_client_options, timeout, 24),
    AT(mp_client_options, same_user_only, 32),
    SIZE(mp_open_options, 8),
    AT(mp_open_options, mode, 0),
    AT(mp_open_options, permissions, 4),
    SIZE(mp_named, 32),
    AT(mp_named, name, 0),
    AT(mp_named, kind, 8),
    AT(mp_named, creator_pid, 16),
    AT(mp_named, is_in_use, 24),
    SIZE(mp_bytes, 16),
    AT(mp_bytes, data, 0),
    AT(mp_bytes, size, 8),
    SIZE(mp_iter, 8),
    AT(mp_iter, position, 0),
    SIZE(mp_pool_options, 56),
    AT(mp_pool_options, initializer, 0),
    AT(mp_pool_options, initargs, 8),
    AT(mp_pool_options, max_tasks_per_child, 16),
    AT(mp_pool_options, start_method, 24),
    AT(mp_pool_options, order, 28),
    AT(mp_pool_options, time_limit, 32),
    AT(mp_pool_options, retries, 40),
    AT(mp_pool_options, max_bytes, 48),
    SIZE(mp_task_options, 80),
    AT(mp_task_options, kwargs, 0),
    AT(mp_task_options, callback, 8),
    AT(mp_task_options, error_callback, 16),
    AT(mp_task_options, progress, 24),
    AT(mp_task_options, context, 32),
    AT(mp_task_options, priority, 40),
    AT(mp_task_options, expected, 48),
    AT(mp_task_options, time_limit, 56),
    AT(mp_task_options, retries, 64),
    AT(mp_task_options, in_flight, 72),
    SIZE(mp_worker_stats, 40),
    AT(mp_worker_stats, pid, 0),
    AT(mp_worker_stats, state, 8),
    AT(mp_worker_stats, tasks_done, 16),
    AT(mp_worker_stats, restarts, 24),
    AT(mp_worker_stats, busy_since, 32),
    SIZE(mp_pool_stats, 40),
    AT(mp_pool_stats, workers, 0),
    AT(mp_pool_stats, tasks_done, 8),
    AT(mp_pool_stats, tasks_running, 16),
    AT(mp_pool_stats, tasks_waiting, 24),
    AT(mp_pool_stats, workers_died, 32),
    SIZE(mp_process_options, 24),
    AT(mp_process_options, name, 0),
    AT(mp_process_options, kwargs, 8),
    AT(mp_process_options, daemon, 16),
    AT(mp_process_options, start_method, 20),
    SIZE(mp_process_type, 48),
    AT(mp_process_type, name, 0),
    AT(mp_process_type, size, 8),
    AT(mp_process_type, run, 16),
    AT(mp_process_type, get_state, 24),
    AT(mp_process_type, set_state, 32),
    AT(mp_process_type, destroy, 40),
    SIZE(mp_queue_options, 24),
    AT(mp_queue_options, order, 0),
    AT(mp_queue_options, redeliver, 4),
    AT(mp_queue_options, max_bytes, 8),
    AT(mp_queue_options, open, 16),
    SIZE(mp_queue_slot, 24),
    AT(mp_queue_slot, data, 0),
    AT(mp_queue_slot, size, 8),
    AT(mp_queue_slot, place, 16),
    SIZE(mp_shared_options, 16),
    AT(mp_shared_options, size, 0),
    AT(mp_shared_options, open, 8),
    SIZE(mp_task, 16),
    AT(mp_task, function, 0),
    AT(mp_task, name, 8),
    SIZE(mp_value_options, 48),
    AT(mp_value_options, has_no_lock, 0),
    AT(mp_value_options, lock, 8),
    AT(mp_value_options, rlock, 16),
    AT(mp_value_options, capacity, 24),
    AT(mp_value_options, open, 32),
    AT(mp_value_options, is_read_only, 40),
    SIZE(mp_view, 24),
    AT(mp_view, kind, 0),
    AT(mp_view, has_ended, 4),
    AT(mp_view, next, 8),
    AT(mp_view, items, 16),
    SIZE(mp_wait_item, 32),
    AT(mp_wait_item, kind, 0),
    AT(mp_wait_item, object, 8),
    AT(mp_wait_item, handle, 16),
    AT(mp_wait_item, is_ready, 24),
};

static const fact numbers[] = {
    IS(MP_START_DEFAULT, 0),
    IS(MP_START_SPAWN, 1),
    IS(MP_START_FORK, 2),
    IS(MP_START_FORKSERVER, 3),
    IS(MP_ALL_COMPLETED, 0),
    IS(MP_FIRST_COMPLETED, 1),
    IS(MP_FIRST_EXCEPTION, 2),
    IS(MP_FAMILY_DEFAULT, 0),
    IS(MP_FAMILY_INET, 1),
    IS(MP_FAMILY_INET6, 2),
    IS(MP_FAMILY_UNIX, 3),
    IS(MP_FAMILY_PIPE, 4),
    IS(MP_OPEN_OR_CREATE, 0),
    IS(MP_OPEN_EXISTING, 1),
    IS(MP_CREATE_EXCLUSIVELY, 2),
    IS(MP_TYPE_ERROR, 0),
    IS(MP_TYPE_NONE, 1),
    IS(MP_TYPE_BOOL, 2),
    IS(MP_TYPE_INT, 3),
    IS(MP_TYPE_FLOAT, 4),
    IS(MP_TYPE_STR, 5),
    IS(MP_TYPE_BYTES, 6),
    IS(MP_TYPE_LIST, 7),
    IS(MP_TYPE_TUPLE, 8),
    IS(MP_TYPE_DICT, 9),
    IS(MP_TYPE_SET, 10),
    IS(MP_TYPE_FUNCTION, 11),
    IS(MP_TYPE_POINTER, 12),
    IS(MP_TYPE_HANDLE, 13),
    IS(MP_TYPE_OPAQUE, 14),
    IS(MP_POOL_FIFO, 0),
    IS(MP_POOL_PRIORITY, 1),
    IS(MP_POOL_SHORTEST, 2),
    IS(MP_WORKER_STARTING, 0),
    IS(MP_WORKER_IDLE, 1),
    IS(MP_WORKER_BUSY, 2),
    IS(MP_WORKER_DEAD, 3),
    IS(MP_DAEMON_INHERIT, 0),
    IS(MP_DAEMON_NO, 1),
    IS(MP_DAEMON_YES, 2),
    IS(MP_PHASE_INITIAL, 0),
    IS(MP_PHASE_STARTED, 1),
    IS(MP_PHASE_BOOT, 2),
    IS(MP_PHASE_TARGET, 3),
    IS(MP_PHASE_FINISHED, 4),
    IS(MP_QUEUE_FIFO, 0),
    IS(MP_QUEUE_LIFO, 1),
    IS(MP_QUEUE_PRIORITY, 2),
    IS(MP_QUEUE_DEQUE, 3),
    IS(MP_WAIT_CONNECTION, 1),
    IS(MP_WAIT_LISTENER, 2),
    IS(MP_WAIT_PROCESS, 3),
    IS(MP_WAIT_EVENT, 4),
    IS(MP_WAIT_HANDLE, 5),
    IS(MP_WAIT_SOCKET, 6),
    IS(MP_WAIT_QUEUE, 7),
};
/* clang-format on */

Test(abi, public_structs_keep_their_layout)
{
    if (sizeof(void *) != 8)
        cr_skip_test("written down for pointers of eight bytes");
    ARE_AS_THEY_WERE(layout);
}

Test(abi, names_keep_their_numbers)
{
    ARE_AS_THEY_WERE(numbers);
}
