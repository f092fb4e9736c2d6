/* SPDX-License-Identifier: MIT */
/* Listeners when there are no descriptors left, and after a fork() of the
 * user's own. */
#include "support/check.h"
#include "support/listening.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY MP_AUTHKEY("secret")

enum { MOST = 256 };

static size_t take_all(mpos_handle *copies, intptr_t handle)
{
    const struct rlimit limit = {.rlim_cur = MOST, .rlim_max = MOST};
    size_t count = 0;

    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    while (count < MOST && mpos_duplicate(handle, &copies[count]) == MP_OK)
        count++;
    cr_assert_lt(count, MOST);
    return count;
}

Test(room, that_is_short_loses_no_client)
{
    mp_listener *listener = listen_at(mp_unix(NULL), KEY);
    mp_connection *begun, *waiting, *accepted = NULL;
    mpos_handle copies[MOST];
    support_client client;
    intptr_t handle;
    size_t count;

    if (support_has_valgrind())
        cr_skip_test("valgrind has descriptors of its own");
    begun = stall(listener);
    cr_assert_eq(mp_listener_accept(listener, 0.05, &accepted), MP_TIMED_OUT);
    waiting = stall(listener);
    start_client(&client, listener, KEY);
    mp_sleep(0.1);
    ok(mp_connection_fileno(waiting, &handle));
    count = take_all(copies, handle);
    fails(mp_listener_accept(listener, SOON, &accepted), MP_EMFILE);
    fails(mp_listener_accept(listener, SOON, &accepted), MP_EMFILE);
    cr_assert_null(accepted);
    while (count > 0)
        mpos_close(copies[--count]);
    ok(mp_listener_accept(listener, SOON, &accepted));
    ok(mp_connection_close(accepted));
    end_client(&client, MP_OK);
    /* The other two are still there. */
    ok(mp_connection_close(begun));
    ok(mp_connection_close(waiting));
    fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
    fails(mp_listener_accept(listener, SOON, &accepted), MP_EAUTH);
    cr_assert_eq(mp_listener_accept(listener, 0, &accepted), MP_TIMED_OUT);
    ok(mp_listener_close(listener));
}

/* In a child that the library has not made. */
static int look_around(mp_listener *listener)
{
    mp_connection *accepted = NULL;

    if (mp_listener_accept(listener, 0, &accepted) != MP_ECLOSED)
        return 1;
    if (mp_listener_address(listener)->name[0] != 0)
        return 2;
    return mp_listener_close(listener) == MP_ECLOSED ? 0 : 3;
}

Test(fork, of_the_users_own_leaves_listeners_to_the_parent)
{
    mp_listener *listener = listen_at(mp_unix(NULL), KEY);
    mp_connection *accepted = NULL;
    support_client client;
    int status = -1;
    pid_t child = fork();

    if (child == 0)
        _exit(look_around(listener));
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(access(mp_listener_address(listener)->name, F_OK), 0);
    start_client(&client, listener, KEY);
    ok(mp_listener_accept(listener, SOON, &accepted));
    ok(mp_connection_close(accepted));
    end_client(&client, MP_OK);
    ok(mp_listener_close(listener));
}
