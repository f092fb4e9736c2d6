/* SPDX-License-Identifier: MIT */
/*
 * What becomes of children whose fork server is killed, and of who waits for
 * it. What kills at any instant is in torture/storm_start.c.
 */
#include "support/check.h"
#include "support/killer.h"
#include "support/waiting.h"

#include "os.h"
#include "state.h"

enum { LONG_TIME = 20 };

/* How long a daemon may outlive its parent: seconds. */
static const double soon = 1;

/* A child that waits, and the pid of the fork server that it is of. */
static mp_process *start_served(mp_daemon daemon, mp_connection **ours,
                                int64_t *server)
{
    const mp_process_options options = {.start_method = MP_START_FORKSERVER,
                                        .daemon = daemon};

    return start_waiting_with(options, ours, server);
}

Test(orphans, child_of_a_killed_fork_server_lives_on)
{
    mp_connection *ours[2];
    mp_process *child[2];
    int64_t server[2];

    support_method(MP_START_FORKSERVER);
    child[0] = start_served(MP_DAEMON_NO, &ours[0], &server[0]);
    kill_pid(server[0]);
    child[1] = start_served(MP_DAEMON_NO, &ours[1], &server[1]);
    cr_assert_neq(server[0], server[1]);
    cr_assert(mp_process_is_alive(child[0]));
    cr_assert_eq(mp_process_join(child[0], 0.05), MP_TIMED_OUT);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(mp_connection_close(ours[i]), MP_OK);
        cr_assert_eq(support_finish(child[i]), 3, "its own word counts");
    }
    mpi_forkserver_stop();
    cr_assert_not(support_has_children());
}

/* It dies with the server, or, where it has to watch for itself, only with us:
 * then it has to be killed. */
Test(orphans, daemon_of_a_killed_fork_server_ends_with_code_255)
{
    mp_connection *ours;
    mp_process *child;
    int64_t server;

    support_method(MP_START_FORKSERVER);
    child = start_served(MP_DAEMON_YES, &ours, &server);
    kill_pid(server);
    if (mp_process_join(child, soon) == MP_TIMED_OUT)
        cr_assert_eq(mp_process_kill(child), MP_OK);
    cr_assert_eq(mp_process_join(child, LONG_TIME), MP_OK);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_TARGET);
    cr_assert_eq(support_finish(child), 255);
    mp_connection_close(ours);
}

Test(orphans, child_of_a_killed_fork_server_can_still_be_killed)
{
    mp_connection *ours;
    mp_process *child;
    int64_t server;

    support_method(MP_START_FORKSERVER);
    child = start_served(MP_DAEMON_NO, &ours, &server);
    kill_pid(server);
    cr_assert_eq(mp_process_kill(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(support_finish(child), 255);
    mp_connection_close(ours);
}

/* It has the request, but will never read it. */
Test(orphans, start_survives_a_fork_server_that_died_with_the_request_unread)
{
    mpos_process server;
    mp_connection *ours;
    mp_process *witness, *child;
    int64_t pid;
    killer it;

    support_method(MP_START_FORKSERVER);
    witness = start_served(MP_DAEMON_NO, &ours, &pid);
    cr_assert_eq(mpos_attach(&server, pid, 0), MP_OK);
    cr_assert_eq(mpos_send_signal(&server, MPOS_SUSPEND), MP_OK);
    begin_killing(&it, pid, 0.02);
    child = support_start(MP_START_FORKSERVER, return_zero, NULL);
    cr_assert_eq(support_finish(child), 0);
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    cr_assert_eq(support_finish(witness), 3);
    end_killing(&it);
    mpos_process_close(&server);
}
