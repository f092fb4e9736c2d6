/* SPDX-License-Identifier: MIT */
/*
 * Clients by the thousand, hostile and honest: they leave nothing behind, and
 * while the hostile ones are there an honest one is served within a second.
 */
#include "support/check.h"
#include "support/door.h"
#include "support/system.h"

enum {
    VISITS = 10000,
    BABBLE = 1000 * 1000,
    BABBLE_PIECE = 4096,
    BABBLERS = 4,
    ROOM = 64, /* handshakes at the same time, by default */
    PER_HANDSHAKE = 4096,
};

/* -- Others that come all the time ----------------------------------------- */

typedef struct crowd {
    mp_process *processes[BABBLERS];
    unsigned count;
} crowd;

static void start_crowd(crowd *all, unsigned count, mp_function target,
                        int64_t times)
{
    const mp_process_options options = {.daemon = MP_DAEMON_YES};

    all->count = count;
    for (unsigned i = 0; i < count; i++) {
        mp_obj *place = MP_BYTES(&where, sizeof(where));

        cr_assert_eq(mp_process_create(&all->processes[i], target,
                                       MP_ARGS(place, times), &options),
                     MP_OK);
        cr_assert_eq(mp_process_start(all->processes[i]), MP_OK);
    }
}

static bool crowd_is_here(const crowd *all)
{
    for (unsigned i = 0; i < all->count; i++)
        if (mp_process_is_alive(all->processes[i]))
            return true;
    return false;
}

static void end_crowd(crowd *all)
{
    for (unsigned i = 0; i < all->count; i++) {
        int code = -1;

        cr_assert_eq(mp_process_join(all->processes[i], 20), MP_OK);
        cr_assert_eq(mp_process_exitcode(all->processes[i], &code), MP_OK);
        cr_assert_eq(code, 0);
        cr_assert_eq(mp_process_close(all->processes[i]), MP_OK);
    }
}

static mp_address place_of(mp_args *args)
{
    mp_address address;
    size_t size;

    memcpy(&address, mp_arg_bytes(args, 0, &size), sizeof(address));
    return address;
}

static int babble(mp_args *args)
{
    const mp_address address = place_of(args);
    unsigned char bytes[BABBLE_PIECE];

    for (int64_t left = mp_arg_int(args, 1); left > 0; left -= BABBLE_PIECE) {
        stranger self = stranger_come(&address);

        mp_check(mpos_random(bytes, sizeof(bytes)));
        stranger_write(&self, bytes, sizeof(bytes));
        stranger_leave(&self);
    }
    return 0;
}

static int come_and_leave(mp_args *args)
{
    const mp_address address = place_of(args);

    for (int64_t i = mp_arg_int(args, 1); i > 0; i--) {
        stranger self = stranger_come(&address);

        stranger_leave(&self);
    }
    return 0;
}

/* If they are faster than we are, the system's queue is full now and then: over
 * UNIX an honest one waits for it, but TCP tries again after one second, three
 * and seven. */
static void expect_service_among_them(mp_family family)
{
    double seconds = serve_neighbour();

    cr_assert_lt(seconds, family == MP_FAMILY_INET ? 8 : moment(), "%.3f s",
                 seconds);
}

/* Served now and then while they are here, and nothing is left of them. */
static void endure(mp_family family, unsigned babblers, mp_function target,
                   int64_t times)
{
    crowd all;
    size_t handles, memory, most = 0;

    open_door(family, NULL);
    expect_service();
    handles = support_open_handles();
    memory = support_memory_in_use();
    start_crowd(&all, babblers, target, times);
    while (crowd_is_here(&all)) {
        size_t now = support_memory_in_use();

        for (int i = 0; i < 100; i++)
            serve();
        expect_service_among_them(family);
        most = now > most ? now : most;
    }
    end_crowd(&all);
    expect_service();
    cr_assert_gt(refused, 0U);
    expect_memory(memory, most, ROOM * PER_HANDSHAKE);
    cr_assert_eq(support_open_handles(), handles);
    close_door();
}

static void be_babbled_at(mp_family family)
{
    endure(family, BABBLERS, babble,
           (int64_t)support_scaled(BABBLE) / BABBLERS);
}

Test(hostile, a_million_random_bytes_let_nobody_in, .timeout = 120)
{
    over_each_family(be_babbled_at);
}

static void be_visited(mp_family family)
{
    size_t visits = support_scaled(VISITS);

    /* A port of TCP is not used again for a minute. */
    endure(family, 1, come_and_leave,
           (int64_t)(family == MP_FAMILY_INET ? visits / 5 : visits));
}

Test(hostile, ten_thousand_that_come_and_leave_leave_nothing_behind,
     .timeout = 120)
{
    over_each_family(be_visited);
}

/* -- Honest ones, and nothing grows ---------------------------------------- */

static int come_honestly(mp_args *args)
{
    mp_client_options options = {.auth = MP_AUTHKEY(STRANGER_KEY)};
    const mp_address address = place_of(args);

    for (int64_t i = mp_arg_int(args, 1); i > 0; i--) {
        mp_connection *connection;

        mp_check(mp_client(&connection, address, &options));
        mp_check(mp_connection_close(connection));
    }
    return 0;
}

static void accept_honestly(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mp_connection *connection;

        cr_assert_eq(mp_listener_accept(listener, 20, &connection), MP_OK, "%s",
                     mp_error_message());
        cr_assert_eq(mp_connection_close(connection), MP_OK);
    }
}

static void be_popular(mp_family family)
{
    size_t visits = support_scaled(VISITS), handles, memory;
    crowd all;

    if (family == MP_FAMILY_INET)
        visits /= 5; /* as above */
    open_door(family, NULL);
    start_crowd(&all, 1, come_honestly, 1);
    accept_honestly(1);
    end_crowd(&all);
    handles = support_open_handles();
    memory = support_memory_in_use();
    start_crowd(&all, 1, come_honestly, (int64_t)visits);
    accept_honestly(visits);
    end_crowd(&all);
    expect_memory(memory, support_memory_in_use(), 0);
    cr_assert_eq(support_open_handles(), handles);
    close_door();
}

Test(hostile, ten_thousand_honest_clients_leave_nothing_behind, .timeout = 120)
{
    over_each_family(be_popular);
}
