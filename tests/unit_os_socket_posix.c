/* SPDX-License-Identifier: MIT */
/*
 * The seam's sockets on POSIX: paths and who may have them, signals, limits,
 * and what a descriptor must be.
 */
#include "os_internal.h"

#include "support/check.h"
#include "support/expect.h"
#include "support/system.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define MILLISECONDS(n) ((int64_t)(n)*1000000)
#define SECONDS(n) MILLISECONDS((n)*1000)

enum { BACKLOG = 16 };

/* -- Folders and paths ----------------------------------------------------- */

static char folder[SUPPORT_PATH_SIZE];

static void make_folder(void)
{
    support_make_folder("mp-socket-", folder);
}

static void remove_folder(void)
{
    support_remove_folder(folder);
}

/* In the folder. */
static mpos_address path_of(const char *name)
{
    mpos_address address = {.family = MPOS_UNIX};

    cr_assert_lt((size_t)snprintf(address.name, sizeof(address.name), "%s/%s",
                                  folder, name),
                 sizeof(address.name));
    return address;
}

static mode_t mode_of(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 ? status.st_mode : 0;
}

static bool is_there(const char *path)
{
    return mode_of(path) != 0;
}

/* Bound, but not listening. */
static int bind_path(const char *path)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    const struct sockaddr *at = (const struct sockaddr *)&place;
    int bound = socket(AF_UNIX, SOCK_STREAM, 0);

    cr_assert_lt(strlen(path), sizeof(place.sun_path));
    memcpy(place.sun_path, path, strlen(path) + 1);
    cr_assert_eq(bind(bound, at, sizeof(place)), 0);
    return bound;
}

/* As a listener leaves it that was killed. */
static void make_dead_path(const char *path)
{
    close(bind_path(path));
}

static void connect_and_accept(const mpos_address *address,
                               mpos_handle listener)
{
    mpos_address peer;
    mpos_handle client;
    mpos_handle server;

    ok(mpos_connect(address, mpos_now() + SECONDS(20), &client));
    ok(mpos_accept(listener, address, &peer, &server));
    mpos_close(client);
    mpos_close(server);
}

static int exit_code_of(pid_t child)
{
    int status = 0;

    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TestSuite(socket_path, .init = make_folder, .fini = remove_folder);

Test(socket_path, is_the_users_only_whatever_the_umask)
{
    static const mode_t masks[] = {0, 022, 077, 0777};

    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        mpos_address address = path_of("private");
        mpos_handle listener;
        mode_t before = umask(masks[i]);
        mp_error error = mpos_listen(&address, BACKLOG, &listener);

        umask(before);
        ok(error);
        cr_assert_eq(mode_of(address.name), S_IFSOCK | 0600);
        mpos_listener_close(listener, &address, true);
    }
}

Test(socket_path, goes_with_its_listener)
{
    mpos_address address = path_of("short-lived");
    mpos_handle listener;

    ok(mpos_listen(&address, BACKLOG, &listener));
    cr_assert(is_there(address.name));
    mpos_listener_close(listener, &address, true);
    cr_assert_not(is_there(address.name));
}

Test(socket_path, of_a_killed_listener_is_taken_over)
{
    mpos_address address = path_of("orphan");
    mpos_handle listener;
    pid_t child = fork();

    if (child == 0) {
        if (mpos_listen(&address, BACKLOG, &listener) == MP_OK)
            raise(SIGKILL);
        _exit(1);
    }
    cr_assert_eq(exit_code_of(child), -SIGKILL);
    cr_assert(is_there(address.name));
    ok(mpos_listen(&address, BACKLOG, &listener));
    connect_and_accept(&address, listener);
    mpos_listener_close(listener, &address, true);
    cr_assert_not(is_there(address.name));
}

Test(socket_path, is_in_use_as_soon_as_it_is_bound)
{
    mpos_address address = path_of("not-listening-yet");
    int slow = bind_path(address.name);
    mpos_handle listener;

    cr_assert_eq(mpos_listen(&address, BACKLOG, &listener), MP_EADDRINUSE);
    cr_assert_eq(listen(slow, 1), 0);
    cr_assert_eq(mpos_listen(&address, BACKLOG, &listener), MP_EADDRINUSE);
    close(slow);
    ok(mpos_listen(&address, BACKLOG, &listener));
    mpos_listener_close(listener, &address, true);
}

Test(socket_path, of_whatever_is_no_socket_is_left_alone)
{
    static const char *const names[] = {"file", "folder", "link", "pipe"};
    const mpos_address dead = path_of("dead");
    mpos_handle listener;

    make_dead_path(dead.name);
    close(open(path_of("file").name, O_CREAT | O_WRONLY, 0600));
    cr_assert_eq(mkdir(path_of("folder").name, 0700), 0);
    cr_assert_eq(symlink(dead.name, path_of("link").name), 0);
    cr_assert_eq(mkfifo(path_of("pipe").name, 0600), 0);
    for (int i = 0; i < 4; i++) {
        mpos_address address = path_of(names[i]);
        mode_t before = mode_of(address.name);

        cr_assert_eq(mpos_listen(&address, BACKLOG, &listener), MP_EADDRINUSE,
                     "%s", names[i]);
        cr_assert_eq(mode_of(address.name), before);
    }
    rmdir(path_of("folder").name);
}

Test(socket_path, of_somebody_else_by_now_stays)
{
    mpos_address address = path_of("contested");
    mpos_address second = address;
    mpos_handle listeners[2];

    ok(mpos_listen(&address, BACKLOG, &listeners[0]));
    cr_assert_eq(unlink(address.name), 0);
    ok(mpos_listen(&second, BACKLOG, &listeners[1]));
    mpos_listener_close(listeners[0], &address, true);
    connect_and_accept(&second, listeners[1]);
    mpos_listener_close(listeners[1], &second, true);
    cr_assert_not(is_there(address.name));
}

Test(socket_path, stays_when_a_forked_child_closes_its_copy)
{
    mpos_address address = path_of("parent");
    mpos_handle listener;
    pid_t child;

    ok(mpos_listen(&address, BACKLOG, &listener));
    child = fork();
    if (child == 0) {
        mpos_listener_close(listener, &address, false);
        _exit(0);
    }
    cr_assert_eq(exit_code_of(child), 0);
    connect_and_accept(&address, listener);
    mpos_listener_close(listener, &address, true);
}

Test(socket_path, of_one_who_ends_is_listened_at_no_more_by_his_children)
{
    mpos_address address = {.family = MPOS_INET, .name = "127.0.0.1"};
    mpos_handle listener;
    mpos_handle client = MPOS_NONE;
    mpos_handle reader;
    mpos_handle writer;
    pid_t child;

    ok(mpos_listen(&address, BACKLOG, &listener));
    ok(mpos_pipe(&reader, &writer));
    child = fork();
    if (child == 0) {
        char byte;

        close((int)writer);
        _exit(read((int)reader, &byte, 1) == 0 ? 0 : 1);
    }
    mpos_listener_close(listener, &address, true);
    cr_assert_eq(mpos_connect(&address, mpos_now() + SECONDS(20), &client),
                 MP_EREFUSED);
    mpos_close(writer);
    cr_assert_eq(exit_code_of(child), 0);
    mpos_close(reader);
}

typedef struct starting_gate {
    int start[2];   /* closed: run */
    int results[2]; /* one byte of each */
    int end[2];     /* closed: go home */
} starting_gate;

static void run_race(mpos_address address, const starting_gate *gate)
{
    mpos_handle listener;
    char result;
    mp_error error;

    close(gate->start[1]);
    close(gate->end[1]);
    if (read(gate->start[0], &result, 1) != 0)
        _exit(1);
    error = mpos_listen(&address, BACKLOG, &listener);
    result = error == MP_OK ? 'w' : error == MP_EADDRINUSE ? 'l' : '?';
    if (write(gate->results[1], &result, 1) != 1)
        _exit(2);
    _exit(read(gate->end[0], &result, 1) == 0 ? 0 : 3);
}

/* How many have won; they leave the path as if killed. */
static int race(const mpos_address *address)
{
    enum { RACERS = 4 };
    starting_gate gate;
    int winners = 0;

    cr_assert(pipe(gate.start) == 0 && pipe(gate.results) == 0 &&
              pipe(gate.end) == 0);
    for (int i = 0; i < RACERS; i++) {
        if (fork() == 0)
            run_race(*address, &gate);
    }
    close(gate.start[1]);
    for (int i = 0; i < RACERS; i++) {
        char result = 0;

        cr_assert_eq(read(gate.results[0], &result, 1), 1);
        cr_assert(result == 'w' || result == 'l', "%c", result);
        winners += result == 'w';
    }
    close(gate.end[1]);
    for (int i = 0; i < RACERS; i++)
        cr_assert_eq(exit_code_of(-1), 0);
    close(gate.start[0]);
    close(gate.results[0]);
    close(gate.results[1]);
    close(gate.end[0]);
    return winners;
}

Test(socket_path, is_taken_over_by_one_of_many, .timeout = 120)
{
    mpos_address address = path_of("prize");

    for (size_t i = support_scaled(50); i > 0; i--) {
        if (!is_there(address.name))
            make_dead_path(address.name);
        cr_assert_eq(race(&address), 1);
    }
}

Test(socket_path, that_is_free_is_had_though_its_folder_is_locked)
{
    mpos_address address = path_of("free");
    mpos_address dead = path_of("dead");
    mpos_handle listener;
    int lock = open(folder, O_RDONLY);

    make_dead_path(dead.name);
    cr_assert_eq(flock(lock, LOCK_EX), 0);
    ok(mpos_listen(&address, BACKLOG, &listener));
    connect_and_accept(&address, listener);
    cr_assert_eq(mpos_listen(&dead, BACKLOG, &listener), MP_EADDRINUSE);
    cr_assert(is_there(dead.name));
    flock(lock, LOCK_UN);
    mpos_listener_close(listener, &address, true);
    cr_assert_not(is_there(address.name));
    ok(mpos_listen(&dead, BACKLOG, &listener));
    mpos_listener_close(listener, &dead, true);
    close(lock);
}

Test(socket_path, in_no_folder_is_not_found)
{
    mpos_address address = path_of("nowhere/socket");
    mpos_handle none = MPOS_NONE;

    cr_assert_eq(mpos_listen(&address, BACKLOG, &none), MP_ENOTFOUND);
    cr_assert_eq(mpos_connect(&address, MPOS_FOREVER, &none), MP_ENOTFOUND);
    cr_assert_eq(none, MPOS_NONE);
}

Test(socket_path, in_the_working_directory_needs_no_slash)
{
    mpos_address address = {.family = MPOS_UNIX, .name = "plain"};
    mpos_handle listener;

    cr_assert_eq(chdir(folder), 0);
    make_dead_path("plain");
    ok(mpos_listen(&address, BACKLOG, &listener));
    connect_and_accept(&address, listener);
    mpos_listener_close(listener, &address, true);
    cr_assert_not(is_there("plain"));
    cr_assert_eq(chdir("/"), 0);
}

Test(socket_path, that_is_dead_or_no_socket_refuses_clients)
{
    mpos_address dead = path_of("dead");
    mpos_address file = path_of("file");
    mpos_handle none = MPOS_NONE;

    make_dead_path(dead.name);
    close(open(file.name, O_CREAT | O_WRONLY, 0600));
    cr_assert_eq(mpos_connect(&dead, MPOS_FOREVER, &none), MP_EREFUSED);
    cr_assert_eq(mpos_connect(&file, MPOS_FOREVER, &none), MP_EREFUSED);
}

/* -- Paths of the library's own -------------------------------------------- */

static void own_folder(char path[SUPPORT_PATH_SIZE])
{
    char name[64];

    snprintf(name, sizeof(name), "multiproc-%lu", (unsigned long)geteuid());
    support_join_path(folder, name, path);
}

static void use_folder(void)
{
    make_folder();
    setenv("TMPDIR", folder, 1);
}

static void leave_folder(void)
{
    char path[SUPPORT_PATH_SIZE];

    own_folder(path);
    if (is_there(path) && !S_ISLNK(mode_of(path)))
        support_remove_folder(path);
    remove_folder();
}

TestSuite(socket_own_path, .init = use_folder, .fini = leave_folder);

Test(socket_own_path, is_in_a_folder_of_this_users_only)
{
    mpos_address address = {.family = MPOS_UNIX};
    mpos_handle listener;
    char path[SUPPORT_PATH_SIZE];

    own_folder(path);
    ok(mpos_listen(&address, BACKLOG, &listener));
    cr_assert_eq(strncmp(address.name, path, strlen(path)), 0);
    cr_assert_eq(mode_of(path), S_IFDIR | 0700);
    cr_assert_eq(mode_of(address.name), S_IFSOCK | 0600);
    mpos_listener_close(listener, &address, true);
}

Test(socket_own_path, leaves_nothing)
{
    mpos_address one = {.family = MPOS_UNIX};
    mpos_address other = one;
    mpos_handle listeners[2];
    char path[SUPPORT_PATH_SIZE];

    own_folder(path);
    ok(mpos_listen(&one, BACKLOG, &listeners[0]));
    ok(mpos_listen(&other, BACKLOG, &listeners[1]));
    mpos_listener_close(listeners[0], &one, true);
    cr_assert_not(is_there(one.name));
    cr_assert(is_there(other.name));
    mpos_listener_close(listeners[1], &other, true);
    cr_assert_not(is_there(path));
}

Test(socket_own_path, can_be_had_again)
{
    mpos_address address = {.family = MPOS_UNIX};
    mpos_handle listener;

    ok(mpos_listen(&address, BACKLOG, &listener));
    for (int i = 0; i < 2; i++) {
        mpos_listener_close(listener, &address, true);
        ok(mpos_listen(&address, BACKLOG, &listener));
    }
    connect_and_accept(&address, listener);
    mpos_listener_close(listener, &address, true);
}

Test(socket_own_path, of_the_killed_is_removed_by_the_next_one)
{
    mpos_address dead[3];
    mpos_address living = {.family = MPOS_UNIX};
    mpos_address next = living;
    mpos_handle listeners[2];
    char name[64];

    ok(mpos_listen(&living, BACKLOG, &listeners[0]));
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "multiproc-%lu/listener-%d",
                 (unsigned long)geteuid(), i);
        dead[i] = path_of(name);
        make_dead_path(dead[i].name);
    }
    ok(mpos_listen(&next, BACKLOG, &listeners[1]));
    for (int i = 0; i < 3; i++)
        cr_assert_not(is_there(dead[i].name));
    connect_and_accept(&living, listeners[0]);
    mpos_listener_close(listeners[0], &living, true);
    mpos_listener_close(listeners[1], &next, true);
}

Test(socket_own_path, is_not_made_in_a_folder_that_others_can_enter)
{
    mpos_address address = {.family = MPOS_UNIX};
    mpos_handle none = MPOS_NONE;
    char path[SUPPORT_PATH_SIZE];

    own_folder(path);
    cr_assert(mkdir(path, 0700) == 0 && chmod(path, 0755) == 0);
    cr_assert_eq(mpos_listen(&address, BACKLOG, &none), MP_EACCES);
    cr_assert_eq(rmdir(path), 0);
    cr_assert_eq(symlink("/", path), 0);
    cr_assert_eq(mpos_listen(&address, BACKLOG, &none), MP_EACCES);
    cr_assert_eq(unlink(path), 0);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    cr_assert_eq(mpos_listen(&address, BACKLOG, &none), MP_EACCES);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(none, MPOS_NONE);
}

Test(socket_own_path, is_elsewhere_where_it_would_be_too_long)
{
    char far[200];
    mpos_address address = {.family = MPOS_UNIX};
    mpos_handle listener;

    memset(far, 'x', sizeof(far));
    far[0] = '/';
    far[sizeof(far) - 1] = '\0';
    setenv("TMPDIR", far, 1);
    ok(mpos_listen(&address, BACKLOG, &listener));
    cr_assert_eq(strncmp(address.name, "/tmp/multiproc-", 15), 0);
    mpos_listener_close(listener, &address, true);
}

static int listen_often(void)
{
    for (size_t i = support_scaled(100); i > 0; i--) {
        mpos_address address = {.family = MPOS_UNIX};
        mpos_handle listener;

        if (mpos_listen(&address, BACKLOG, &listener) != MP_OK) {
            fprintf(stderr, "%s\n", mp_error_message());
            return 1;
        }
        mpos_listener_close(listener, &address, true);
    }
    return 0;
}

Test(socket_own_path, is_found_by_many_at_once, .timeout = 120)
{
    enum { LISTENERS = 4 };
    pid_t children[LISTENERS];
    char path[SUPPORT_PATH_SIZE];

    for (int i = 0; i < LISTENERS; i++) {
        children[i] = fork();
        if (children[i] == 0)
            _exit(listen_often());
    }
    for (int i = 0; i < LISTENERS; i++)
        cr_assert_eq(exit_code_of(children[i]), 0);
    own_folder(path);
    cr_assert_not(is_there(path));
}

/* -- Descriptors ----------------------------------------------------------- */

static void is_well_born(mpos_handle handle, bool must_block)
{
    cr_assert_gt(handle, STDERR_FILENO);
    cr_assert_eq(fcntl((int)handle, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    cr_assert_eq((fcntl((int)handle, F_GETFL) & O_NONBLOCK) == 0, must_block);
}

static const mpos_family families[] = {MPOS_INET, MPOS_UNIX};

static mpos_address near(mpos_family family)
{
    mpos_address address = {.family = family};

    if (family == MPOS_INET)
        snprintf(address.name, sizeof(address.name), "127.0.0.1");
    return address;
}

/* Descriptors 0 to 2 are free: nothing of ours takes their place. */
Test(socket_descriptor, is_closed_on_exec_above_two_and_blocks_if_a_stream)
{
    int kept[3];

    for (int i = 0; i < 3; i++) {
        kept[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
        close(i);
    }
    for (int i = 0; i < 2; i++) {
        mpos_address address = near(families[i]);
        mpos_address peer;
        mpos_handle listener = MPOS_NONE;
        mpos_handle client = MPOS_NONE;
        mpos_handle server = MPOS_NONE;

        ok(mpos_listen(&address, BACKLOG, &listener));
        ok(mpos_connect(&address, mpos_now() + SECONDS(20), &client));
        ok(mpos_accept(listener, &address, &peer, &server));
        is_well_born(listener, false);
        is_well_born(client, true);
        is_well_born(server, true);
        mpos_close(client);
        mpos_close(server);
        mpos_listener_close(listener, &address, true);
    }
    for (int i = 0; i < 3; i++)
        dup2(kept[i], i);
}

Test(socket_descriptor, whose_other_end_is_closed_is_a_broken_pipe)
{
    signal(SIGPIPE, SIG_DFL);
    for (int i = 0; i < 2; i++) {
        const mpos_bytes part = {"x", 1};
        mpos_address address = near(families[i]);
        mpos_address peer;
        mpos_handle listener;
        mpos_handle client;
        mpos_handle server;
        size_t written;
        int64_t deadline = mpos_now() + SECONDS(20);
        mp_error error;

        ok(mpos_listen(&address, BACKLOG, &listener));
        ok(mpos_connect(&address, deadline, &client));
        ok(mpos_accept(listener, &address, &peer, &server));
        mpos_close(server);
        do { /* TCP learns it by and by */
            error = mpos_write(client, &part, 1, &written);
        } while (error == MP_OK && mpos_now() < deadline);
        cr_assert_eq(error, MP_EPIPE);
        mpos_close(client);
        mpos_listener_close(listener, &address, true);
    }
}

Test(socket_descriptor, travels_over_a_unix_stream)
{
    const mpos_bytes parts[2] = {{"x", 1}, {NULL, 0}};
    mpos_address address = near(MPOS_UNIX);
    mpos_address peer;
    mpos_arrivals arrived;
    mpos_handle listener;
    mpos_handle client;
    mpos_handle server;
    char byte;
    size_t size;

    ok(mpos_listen(&address, BACKLOG, &listener));
    ok(mpos_connect(&address, mpos_now() + SECONDS(20), &client));
    ok(mpos_accept(listener, &address, &peer, &server));
    ok(mpos_send_handles(client, parts, &listener, 1, &size));
    ok(mpos_recv_handles(server, &(mpos_room){&byte, 1}, 1, &size, &arrived));
    cr_assert_eq(arrived.count, 1);
    cr_assert_eq(arrived.handles[0] == listener, false);
    connect_and_accept(&address, arrived.handles[0]);
    mpos_close(arrived.handles[0]);
    mpos_close(client);
    mpos_close(server);
    mpos_listener_close(listener, &address, true);
}

/* -- Limits and signals ---------------------------------------------------- */

static void allow(rlim_t count)
{
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = count;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

/* The lowest number that is free: as many as that, and none is. */
static rlim_t full(void)
{
    int lowest = dup(2);

    close(lowest);
    return (rlim_t)lowest;
}

Test(socket_limit, a_client_waits_until_there_is_room_for_him)
{
    for (int i = 0; i < 2; i++) {
        mpos_address address = near(families[i]);
        mpos_address peer;
        mpos_address second = near(families[i]);
        struct rlimit limit;
        mpos_handle listener;
        mpos_handle client;
        mpos_handle none = MPOS_NONE;

        getrlimit(RLIMIT_NOFILE, &limit);
        ok(mpos_listen(&address, BACKLOG, &listener));
        ok(mpos_connect(&address, mpos_now() + SECONDS(20), &client));
        allow(full());
        cr_assert_eq(mpos_accept(listener, &address, &peer, &none), MP_EMFILE);
        cr_assert_eq(mpos_connect(&address, MPOS_FOREVER, &none), MP_EMFILE);
        cr_assert_eq(mpos_listen(&second, BACKLOG, &none), MP_EMFILE);
        allow(limit.rlim_cur);
        cr_assert_eq(none, MPOS_NONE);
        ok(mpos_accept(listener, &address, &peer, &none));
        mpos_close(none);
        mpos_close(client);
        mpos_listener_close(listener, &address, true);
    }
}

/* As if the system had chosen the very port where nobody listens. */
Test(socket_descriptor, that_could_only_connect_to_itself_is_refused)
{
    struct sockaddr_in place = {.sin_family = AF_INET};
    socklen_t size = sizeof(place);
    mpos_handle stream = MPOS_NONE;

    place.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ok(mpos_socket_create(AF_INET, &stream));
    cr_assert_eq(bind((int)stream, (const struct sockaddr *)&place, size), 0);
    cr_assert_eq(getsockname((int)stream, (struct sockaddr *)&place, &size), 0);
    cr_assert_eq(mpos_inet_connect_socket((int)stream,
                                          (const struct sockaddr *)&place, size,
                                          mpos_now() + SECONDS(20)),
                 ECONNREFUSED);
    cr_assert_eq(mpos_socket_fail("connect", ECONNREFUSED), MP_EREFUSED);
    mpos_socket_discard(&stream);
    cr_assert_eq(stream, MPOS_NONE);
}

static void interrupt(int number)
{
    (void)number;
}

static void rain(suseconds_t interval)
{
    const struct sigaction action = {.sa_handler = interrupt};
    const struct itimerval timer = {{0, interval}, {0, interval}};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &timer, NULL);
}

Test(socket_limit, signals_neither_end_nor_prolong_anything)
{
    mpos_address address = near(MPOS_UNIX);
    mpos_handle clients[64];
    mpos_handle listener;
    mpos_wait_item item;
    size_t count = 0;
    int64_t before;
    mp_error error = MP_OK;

    rain(700);
    ok(mpos_listen(&address, 1, &listener));
    item = (mpos_wait_item){listener, MPOS_WAIT_LISTENER, false};
    before = mpos_now();
    cr_assert_eq(mpos_wait(&item, 1, before + MILLISECONDS(100)), MP_TIMED_OUT);
    cr_assert_geq(mpos_now(), before + MILLISECONDS(100));
    cr_assert_lt(mpos_now(), before + SECONDS(10));
    while (error == MP_OK && count < 64) {
        before = mpos_now();
        error =
            mpos_connect(&address, before + MILLISECONDS(100), &clients[count]);
        count += error == MP_OK;
    }
    cr_assert(error == MP_TIMED_OUT || error == MP_EREFUSED);
    cr_assert_lt(mpos_now(), before + SECONDS(10));
    if (error == MP_TIMED_OUT)
        cr_assert_geq(mpos_now(), before + MILLISECONDS(100));
    rain(0);
    while (count > 0)
        mpos_close(clients[--count]);
    mpos_listener_close(listener, &address, true);
}

static bool accept_some(mpos_address *address, mpos_handle listener, int count)
{
    for (int i = 0; i < count; i++) {
        mpos_wait_item item = {listener, MPOS_WAIT_LISTENER, false};
        mpos_handle stream;
        mp_error error = mpos_wait(&item, 1, mpos_now() + SECONDS(20));

        if (error == MP_OK)
            error = mpos_accept(listener, address, address, &stream);
        if (error != MP_OK)
            return false;
        mpos_close(stream);
    }
    return true;
}

/* One to wait for in a line of one is told when there is room. */
Test(socket_limit, clients_of_a_slow_listener_are_served_by_and_by)
{
    enum { CLIENTS = 50 };

    for (int i = 0; i < 2; i++) {
        mpos_address address = near(families[i]);
        mpos_handle listener;
        pid_t child;

        ok(mpos_listen(&address, CLIENTS, &listener));
        child = fork();
        if (child == 0) {
            rain(700);
            _exit(accept_some(&address, listener, CLIENTS) ? 0 : 1);
        }
        rain(700);
        for (int k = 0; k < CLIENTS; k++) {
            mpos_handle stream;

            ok(mpos_connect(&address, mpos_now() + SECONDS(20), &stream));
            mpos_close(stream);
        }
        rain(0);
        cr_assert_eq(exit_code_of(child), 0);
        mpos_listener_close(listener, &address, true);
    }
}

/* -- Who is there ---------------------------------------------------------- */

Test(socket_peer, has_the_number_of_its_process)
{
    mpos_address address = near(MPOS_UNIX);
    mpos_address who;
    mpos_peer peer = {0, false};
    mpos_handle listener;
    mpos_handle server;
    mpos_wait_item item;
    char byte;
    size_t got;
    pid_t child;

    ok(mpos_listen(&address, BACKLOG, &listener));
    child = fork();
    if (child == 0) {
        mpos_handle client;

        if (mpos_connect(&address, mpos_now() + SECONDS(20), &client) != MP_OK)
            _exit(1);
        _exit(mpos_read(client, &byte, 1, &got) == MP_OK ? 0 : 2);
    }
    item = (mpos_wait_item){listener, MPOS_WAIT_LISTENER, false};
    ok(mpos_wait(&item, 1, mpos_now() + SECONDS(20)));
    ok(mpos_accept(listener, &address, &who, &server));
    ok(mpos_peer_of(server, &peer));
    cr_assert(peer.is_same_user);
    cr_assert(peer.pid == child || peer.pid == 0);
    mpos_close(server);
    cr_assert_eq(exit_code_of(child), 0);
    mpos_listener_close(listener, &address, true);
}

/* Whoever made it, both ends may be anywhere by now. */
Test(socket_peer, of_a_channel_has_a_user_but_no_number)
{
    mpos_peer peer = {77, false};
    mpos_handle left;
    mpos_handle right;
    mp_error error;

    ok(mpos_channel(&left, &right, NULL));
    error = mpos_peer_of(left, &peer);
    if (error != MP_ENOTSUP) {
        ok(error);
        cr_assert_eq(peer.pid, 0);
        cr_assert(peer.is_same_user);
    }
    mpos_close(left);
    mpos_close(right);
}

Test(socket_peer, of_what_is_no_socket_is_unknown)
{
    mpos_peer peer;
    int file = open("/dev/null", O_RDONLY);

    cr_assert_eq(mpos_peer_of(file, &peer), MP_ENOTSUP);
    close(file);
}

/* -- Waiting --------------------------------------------------------------- */

Test(socket_wait, a_descriptor_that_is_closed_is_refused)
{
    mpos_wait_item items[2];
    mpos_handle reader;
    mpos_handle writer;
    int closed;

    ok(mpos_pipe(&reader, &writer));
    closed = (int)writer;
    mpos_close(writer);
    items[0] = (mpos_wait_item){reader, MPOS_WAIT_READ, false};
    items[1] = (mpos_wait_item){closed, MPOS_WAIT_HANDLE, false};
    cr_assert_eq(mpos_wait(items, 2, MPOS_FOREVER), MP_EINVAL);
    cr_assert_not(items[0].is_ready);
    items[1].kind = MPOS_WAIT_SOCKET;
    cr_assert_eq(mpos_wait(items, 2, 0), MP_EINVAL);
    mpos_close(reader);
}

Test(socket_wait, there_may_be_more_items_than_descriptors)
{
    enum { ITEMS = 10000 };
    static mpos_wait_item items[ITEMS];
    mpos_handle readers[2];
    mpos_handle writers[2];
    const mpos_bytes part = {"x", 1};
    size_t written;

    allow(128);
    for (int i = 0; i < 2; i++)
        ok(mpos_pipe(&readers[i], &writers[i]));
    for (int i = 0; i < ITEMS; i++)
        items[i] = (mpos_wait_item){readers[i % 2], MPOS_WAIT_READ, false};
    cr_assert_eq(mpos_wait(items, ITEMS, 0), MP_TIMED_OUT);
    cr_assert_eq(mpos_wait(items, ITEMS, mpos_now() + MILLISECONDS(20)),
                 MP_TIMED_OUT);
    ok(mpos_write(writers[1], &part, 1, &written));
    ok(mpos_wait(items, ITEMS, MPOS_FOREVER));
    for (int i = 0; i < ITEMS; i++)
        cr_assert_eq(items[i].is_ready, i % 2 == 1);
    for (int i = 0; i < 2; i++) {
        mpos_close(readers[i]);
        mpos_close(writers[i]);
    }
}

Test(socket_wait, ten_thousand_descriptors_are_no_limit)
{
    enum { ITEMS = 10000 };
    static mpos_wait_item items[ITEMS];
    const mpos_bytes part = {"x", 1};
    mpos_handle reader;
    mpos_handle writer;
    size_t written;

    if (support_has_valgrind() || !support_allow_handles(ITEMS + 100))
        return;
    ok(mpos_pipe(&reader, &writer));
    for (int i = 0; i < ITEMS; i++) {
        mpos_handle copy;

        ok(mpos_duplicate(reader, &copy));
        items[i] = (mpos_wait_item){copy, MPOS_WAIT_HANDLE, false};
    }
    cr_assert_eq(mpos_wait(items, ITEMS, 0), MP_TIMED_OUT);
    ok(mpos_write(writer, &part, 1, &written));
    ok(mpos_wait(items, ITEMS, MPOS_FOREVER));
    for (int i = 0; i < ITEMS; i++) {
        cr_assert(items[i].is_ready);
        mpos_close(items[i].handle);
    }
    mpos_close(reader);
    mpos_close(writer);
}
