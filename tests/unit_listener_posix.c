/* SPDX-License-Identifier: MIT */
/*
 * Listening and connecting that take long hold nobody up who forks, and leave
 * nothing to the child: hosts that are looked up slowly, folders that somebody
 * else is busy with, listeners that have no room.
 */
#include "support/check.h"
#include "support/listening.h"
#include "support/methods.h"

#include "connection.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS = 20, MOST_DESCRIPTORS = 1024, MOST_CLIENTS = 600 };

#define PAUSE 0.002
#define SLOW_HOST "slow.host.invalid"

/* -- Slow hosts ------------------------------------------------------------ */

static mpi_atomic32 is_looking_up;
static mpi_atomic32 may_end;

/* Instead of the system's, which asks others: nobody has that host. */
int getaddrinfo(const char *host, const char *port,
                const struct addrinfo *hints, struct addrinfo **found)
{
    int64_t end = mpos_now() + (int64_t)(SOON * 1e9);

    (void)host;
    (void)port;
    (void)hints;
    (void)found;
    mpi_atomic32_store(&is_looking_up, 1);
    while (mpi_atomic32_load(&may_end) == 0 && mpos_now() < end)
        mpos_sleep_until(mpos_now() + 1000000);
    return EAI_NONAME;
}

/* -- What takes long, in a thread ------------------------------------------ */

typedef struct task {
    mp_error (*run)(struct task *self);
    mp_address address;
    mp_listener *listener;
    mp_error err;
    mpos_thread thread;
    mpi_atomic32 has_begun;
    mpi_atomic32 is_done;
} task;

static void run_task(void *argument)
{
    task *self = argument;

    mpi_atomic32_store(&self->has_begun, 1);
    self->err = self->run(self);
    mpi_atomic32_store(&self->is_done, 1);
}

static mp_error run_listen(task *self)
{
    return mp_listener_create(&self->listener, self->address, NULL);
}

static mp_error run_close(task *self)
{
    return mp_listener_close(self->listener);
}

static mp_error run_connect(task *self)
{
    const mp_client_options options = {.auth = MP_NO_AUTH, .timeout = SOON};
    mp_connection *connection = NULL;
    mp_error err = mp_client(&connection, self->address, &options);

    if (err == MP_OK)
        ok(mp_connection_close(connection));
    return err;
}

static void start_task(task *self, mp_error (*run)(task *))
{
    self->run = run;
    ok(mpos_thread_start(run_task, self, &self->thread));
    await(&self->has_begun);
}

static void end_task(task *self)
{
    await(&self->is_done);
    mpos_thread_join(self->thread);
}

/* How often who forks could have had what it needs, before it was done. */
static int count_chances(task *self, int most)
{
    int count = 0;

    while (count < most) {
        mpos_mutex_lock(&mpi_connections_mutex);
        mpos_mutex_unlock(&mpi_connections_mutex);
        if (mpi_atomic32_load(&self->is_done) != 0)
            break;
        count++;
        mp_sleep(PAUSE);
    }
    return count;
}

/* -- Looking up ------------------------------------------------------------ */

static int return_at_once(mp_args *args)
{
    (void)args;
    return 0;
}

static void starts_while_looking_up(mp_start_method method,
                                    mp_error (*run)(task *))
{
    task slow = {.address = mp_inet(SLOW_HOST, 1)};

    mpi_atomic32_store(&is_looking_up, 0);
    mpi_atomic32_store(&may_end, 0);
    start_task(&slow, run);
    await(&is_looking_up);
    cr_assert_eq(support_run(method, return_at_once, NULL), 0);
    cr_assert_eq(mpi_atomic32_load(&slow.is_done), 0);
    mpi_atomic32_store(&may_end, 1);
    end_task(&slow);
    cr_assert_eq(slow.err, MP_ENOTFOUND);
}

METHOD_TEST(look_up, for_a_listener_holds_up_nobody_who_starts)
{
    starts_while_looking_up(method, run_listen);
}

METHOD_TEST(look_up, for_a_client_holds_up_nobody_who_starts)
{
    starts_while_looking_up(method, run_connect);
}

/* -- Folders --------------------------------------------------------------- */

static char folder[SUPPORT_PATH_SIZE];

static mp_address make_busy_folder(int *lock)
{
    char path[SUPPORT_PATH_SIZE];

    support_make_folder("mp-busy-", folder);
    support_join_path(folder, "it", path);
    *lock = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    cr_assert_geq(*lock, 0);
    return mp_unix(path);
}

static void remove_busy_folder(int lock)
{
    close(lock);
    support_remove_folder(folder);
}

Test(folder, that_is_busy_delays_only_who_listens_in_it)
{
    size_t before = support_open_handles();
    task slow = {0};
    int lock;

    slow.address = make_busy_folder(&lock);
    cr_assert_eq(flock(lock, LOCK_EX), 0);
    start_task(&slow, run_listen);
    while (support_open_handles() < before + 4 && slow.listener == NULL)
        mp_sleep(0.0001);
    cr_assert_geq(count_chances(&slow, ROUNDS), ROUNDS);
    cr_assert_eq(flock(lock, LOCK_UN), 0);
    end_task(&slow);
    cr_assert_eq(slow.err, MP_OK);
    ok(mp_listener_close(slow.listener));
    cr_assert_neq(access(slow.address.name, F_OK), 0);
    remove_busy_folder(lock);
}

Test(folder, that_is_busy_delays_only_who_closes_his_listener)
{
    task slow = {0};
    int lock;

    slow.address = make_busy_folder(&lock);
    slow.listener = listen_at(slow.address, MP_NO_AUTH);
    cr_assert_eq(flock(lock, LOCK_EX), 0);
    start_task(&slow, run_close);
    cr_assert_geq(count_chances(&slow, ROUNDS), ROUNDS);
    cr_assert_eq(flock(lock, LOCK_UN), 0);
    end_task(&slow);
    cr_assert_eq(slow.err, MP_OK);
    cr_assert_neq(access(slow.address.name, F_OK), 0);
    remove_busy_folder(lock);
}

/* -- No room --------------------------------------------------------------- */

static int count_sockets(mp_args *args)
{
    struct stat status;
    int count = 0;

    (void)args;
    for (int i = 0; i < MOST_DESCRIPTORS; i++)
        count += fstat(i, &status) == 0 && S_ISSOCK(status.st_mode);
    return count;
}

typedef struct crowd {
    mpos_address address;
    mpos_handle listener;
    mpos_handle clients[MOST_CLIENTS];
    size_t count;
} crowd;

/* Where the line is full, some systems say no at once: then it is false. */
static bool fill_line(crowd *all)
{
    mp_error err;

    ok(mpos_listen(&all->address, 1, &all->listener));
    do {
        err = mpos_connect(&all->address, mpos_now() + 50000000,
                           &all->clients[all->count]);
        all->count += err == MP_OK;
    } while (err == MP_OK && all->count < MOST_CLIENTS);
    return err == MP_TIMED_OUT;
}

static void empty_line(crowd *all)
{
    mpos_listener_close(all->listener, &all->address, true);
    while (all->count > 0)
        mpos_close(all->clients[--all->count]);
}

METHOD_TEST(client, that_connects_leaves_no_descriptor_to_a_child)
{
    static crowd all = {.address = {.family = MPOS_UNIX}};
    task slow = {0};
    size_t handles;
    int sockets;

    if (!fill_line(&all)) {
        empty_line(&all);
        cr_skip_test("this system refuses who would have to wait");
    }
    sockets = support_run(method, count_sockets, NULL);
    handles = support_open_handles();
    slow.address = mp_unix(all.address.name);
    start_task(&slow, run_connect);
    while (support_open_handles() == handles)
        mp_sleep(0.001);
    cr_assert_eq(support_run(method, count_sockets, NULL), sockets);
    cr_assert_eq(mpi_atomic32_load(&slow.is_done), 0);
    empty_line(&all);
    end_task(&slow);
    cr_assert_neq(slow.err, MP_OK);
}
