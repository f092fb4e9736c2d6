/* SPDX-License-Identifier: MIT */
/*
 * Names: opening, creating, racing for them, listing, unlinking, cleaning.
 * What only POSIX has (files, permissions) is in test_named_posix.c, what other
 * Windows programs see in test_named_win32.c.
 *
 * mp_named_clean() takes away what is unused at that moment, that of other
 * tests too: whoever needs an unused name to stay is in one test with it.
 */
#include "support/check.h"
#include "support/methods.h"
#include "support/named.h"
#include "support/system.h"

#include "os.h"
#include "os_fault.h"

#include <stdlib.h>
#include <string.h>

enum { RACES = 500, LONG_TIME = 20, MOST_CALLS = 300 };

static const support_kind *const a_lock = &support_kinds[0];
static const support_kind *const an_rlock = &support_kinds[1];
static const support_kind *const a_semaphore = &support_kinds[2];
static const support_kind *const an_event = &support_kinds[3];

/* -- Opening and creating -------------------------------------------------- */

static void open_in_every_mode(const support_kind *kind)
{
    char name[SUPPORT_NAME_SIZE];
    void *first, *second, *third;

    support_name(name);
    support_refuse(kind, name, &support_existing, MP_ENOTFOUND);
    cr_assert_not_null(strstr(mp_error_message(), name));
    first = support_open(kind, name, NULL);
    second = support_open(kind, name, NULL);
    third = support_open(kind, name, &support_existing);
    support_refuse(kind, name, &support_exclusively, MP_EEXIST);
    cr_assert_not_null(strstr(mp_error_message(), name));
    support_close(kind, first);
    support_close(kind, second);
    support_end(kind, name, third);

    first = support_open(kind, name, &support_exclusively);
    support_refuse(kind, name, &support_exclusively, MP_EEXIST);
    second = support_open(kind, name, &support_existing);
    support_close(kind, first);
    support_end(kind, name, second);
}

Test(named, what_is_created_by_name_is_opened_by_it)
{
    size_t handles;

    open_in_every_mode(a_lock);
    handles = support_open_handles();
    for (int i = 0; i < SUPPORT_KINDS; i++)
        open_in_every_mode(&support_kinds[i]);
    cr_assert_eq(support_open_handles(), handles);
}

Test(named, a_lock_opened_twice_is_one_lock)
{
    char name[SUPPORT_NAME_SIZE];
    mp_lock *first = support_open(a_lock, support_name(name), NULL);
    mp_lock *second = support_open(a_lock, name, NULL);

    cr_assert_eq(mp_lock_acquire(first, MP_FOREVER), MP_OK);
    cr_assert(mp_lock_is_locked(second));
    cr_assert_eq(mp_lock_acquire(second, 0), MP_TIMED_OUT);
    cr_assert_eq(mp_lock_release(second), MP_OK);
    cr_assert_not(mp_lock_is_locked(first));
    support_close(a_lock, first);
    support_end(a_lock, name, second);
}

Test(named, an_rlock_opened_twice_is_one_rlock)
{
    char name[SUPPORT_NAME_SIZE];
    mp_rlock *first = support_open(an_rlock, support_name(name), NULL);
    mp_rlock *second = support_open(an_rlock, name, NULL);

    cr_assert_eq(mp_rlock_acquire(first, MP_FOREVER), MP_OK);
    cr_assert(mp_rlock_is_locked(second));
    cr_assert_eq(mp_rlock_acquire(second, 0), MP_OK);
    cr_assert_eq(mp_rlock_release(first), MP_OK);
    cr_assert(mp_rlock_is_locked(first));
    cr_assert_eq(mp_rlock_release(second), MP_OK);
    cr_assert_not(mp_rlock_is_locked(first));
    cr_assert_eq(mp_rlock_release(first), MP_ENOTOWNER);
    support_close(an_rlock, first);
    support_end(an_rlock, name, second);
}

Test(named, an_event_and_a_semaphore_are_shared_by_name)
{
    char names[2][SUPPORT_NAME_SIZE];
    mp_event *event = support_open(an_event, support_name(names[0]), NULL);
    mp_event *same = support_open(an_event, names[0], &support_existing);
    mp_semaphore *semaphore =
        support_open(a_semaphore, support_name(names[1]), NULL);
    mp_semaphore *other =
        support_open(a_semaphore, names[1], &support_existing);
    int64_t value;

    cr_assert_not(mp_event_is_set(same));
    cr_assert_eq(mp_event_set(event), MP_OK);
    cr_assert_eq(mp_event_wait(same, 0), MP_OK);
    cr_assert_eq(mp_semaphore_acquire(semaphore, 0), MP_OK);
    cr_assert_eq(mp_semaphore_get_value(other, &value), MP_OK);
    cr_assert_eq(value, SUPPORT_PERMITS - 1);
    support_close(an_event, event);
    support_end(an_event, names[0], same);
    support_close(a_semaphore, semaphore);
    support_end(a_semaphore, names[1], other);
}

/* -- What does not fit ----------------------------------------------------- */

Test(named, opening_it_as_another_kind_says_what_it_is)
{
    char name[SUPPORT_NAME_SIZE];

    for (int i = 0; i < SUPPORT_KINDS; i++) {
        void *thing = support_open(&support_kinds[i], support_name(name), NULL);

        for (int j = 0; j < SUPPORT_KINDS; j++) {
            if (j == i)
                continue;
            support_refuse(&support_kinds[j], name, NULL, MP_ETYPE);
            support_refuse(&support_kinds[j], name, &support_existing,
                           MP_ETYPE);
            cr_assert_not_null(strstr(mp_error_message(), name));
            cr_assert_not_null(
                strstr(mp_error_message(), support_kinds[i].name));
            cr_assert_not_null(
                strstr(mp_error_message(), support_kinds[j].name));
        }
        support_end(&support_kinds[i], name, thing);
    }
}

Test(named, a_semaphore_of_another_value_or_bound_is_refused)
{
    char name[SUPPORT_NAME_SIZE];
    mp_semaphore *thing = support_open(a_semaphore, support_name(name), NULL);
    mp_semaphore *other = NULL;
    size_t handles = support_open_handles();

    cr_assert_eq(mp_semaphore_open(&other, name, 4, NULL), MP_EEXIST);
    cr_assert_not_null(strstr(mp_error_message(), "3"), "%s",
                       mp_error_message());
    cr_assert_eq(mp_bounded_semaphore_open(&other, name, 3, NULL), MP_EEXIST);
    cr_assert_str_not_empty(mp_error_message());
    cr_assert_null(other);
    cr_assert_eq(support_open_handles(), handles);
    /* Not what it holds now counts, but what it was made with. */
    cr_assert_eq(mp_semaphore_acquire(thing, 0), MP_OK);
    cr_assert_eq(mp_semaphore_open(&other, name, 3, NULL), MP_OK);
    support_close(a_semaphore, other);
    cr_assert_eq(mp_semaphore_open(&other, name, 17, &support_existing), MP_OK);
    support_close(a_semaphore, other);
    support_end(a_semaphore, name, thing);
}

Test(named, wrong_options_are_refused)
{
    static const mp_open_options wrong[] = {
        {.mode = (mp_open_mode)3},
        {.mode = (mp_open_mode)-1},
        {.permissions = 01000},
    };
    char name[SUPPORT_NAME_SIZE];

    support_name(name);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        support_refuse(a_lock, name, &wrong[i], MP_EINVAL);
    cr_assert_eq(mp_lock_open(NULL, name, NULL), MP_EINVAL);
    support_refuse(a_lock, name, &support_existing, MP_ENOTFOUND);
}

/* -- Names ----------------------------------------------------------------- */

Test(named, odd_names_are_names)
{
    static const char *const odd[] = {
        "a b",
        ".hidden",
        "dots...",
        "..x",
        "-rf",
        "%s%n",
        "'\"$`",
        "*?[a]",
        "a:b|c<d",
        " ",
        "F\xc3\xbc",
        "\xe6\x97\xa5\xe6\x9c\xac",
        "\xf0\x9f\x98\x80",
    };

    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        char name[SUPPORT_NAME_SIZE];

        snprintf(name, sizeof(name), "%s%lld", odd[i], (long long)mp_getpid());
        support_end(an_event, name, support_open(an_event, name, NULL));
    }
}

Test(named, a_name_of_200_bytes_is_one_and_of_201_is_none)
{
    char name[SUPPORT_NAME_SIZE];
    void *things[SUPPORT_KINDS];
    size_t size;

    support_name(name);
    size = strlen(name);
    memset(name + size, 'x', MP_NAME_MAX - size);
    name[MP_NAME_MAX] = 0;
    for (int i = 0; i < SUPPORT_KINDS; i++) {
        /* The last byte counts. */
        name[MP_NAME_MAX - 1] = (char)('0' + i);
        things[i] = support_open(&support_kinds[i], name, NULL);
    }
    for (int i = 0; i < SUPPORT_KINDS; i++) {
        name[MP_NAME_MAX - 1] = (char)('0' + i);
        support_end(&support_kinds[i], name, things[i]);
    }
    name[MP_NAME_MAX] = 'x';
    name[MP_NAME_MAX + 1] = 0;
    support_refuse(a_lock, name, NULL, MP_EINVAL);
    cr_assert_not_null(strstr(mp_error_message(), "201"));
}

Test(named, what_is_no_name_is_refused_everywhere)
{
    static const char *const wrong[] = {
        NULL,       "",     ".",       "..",       ".....",
        "a/b",      "/a",   "a\\b",    "a\nb",     "\x01",
        "a\x7f",    "\xff", "a\xc3",   "\xc2\x85", "\xed\xa0\x80",
        "\xc0\xaf", "\t",   "../../x",
    };

    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        for (int j = 0; j < SUPPORT_KINDS; j++)
            support_refuse(&support_kinds[j], wrong[i], NULL, MP_EINVAL);
        cr_assert_eq(mp_named_unlink(wrong[i]), MP_EINVAL);
    }
}

Test(named, whoever_gives_what_is_no_name_is_told_why)
{
    support_refuse(a_lock, "/a", NULL, MP_EINVAL);
    cr_assert_str_eq(mp_error_message(), "'/' can't be in a name");
    support_refuse(a_lock, "a\nb", NULL, MP_EINVAL);
    cr_assert_str_eq(mp_error_message(),
                     "the character U+000A can't be in a name");
}

Test(named, unlinking_what_is_not_there_is_an_error)
{
    char name[SUPPORT_NAME_SIZE];

    support_name(name);
    cr_assert_eq(mp_named_unlink(name), MP_ENOTFOUND);
    cr_assert_not_null(strstr(mp_error_message(), name));
}

Test(named, a_name_unlinked_in_use_is_free_and_its_users_keep_the_thing)
{
    char name[SUPPORT_NAME_SIZE];
    mp_lock *old[2], *new;

    if (!support_names_last())
        cr_skip_test("names go with their last user here");
    old[0] = support_open(a_lock, support_name(name), NULL);
    old[1] = support_open(a_lock, name, NULL);
    cr_assert_eq(mp_named_unlink(name), MP_OK);
    support_refuse(a_lock, name, &support_existing, MP_ENOTFOUND);
    new = support_open(a_lock, name, &support_exclusively);
    cr_assert_eq(mp_lock_acquire(old[0], 0), MP_OK);
    cr_assert(mp_lock_is_locked(old[1]));
    cr_assert_not(mp_lock_is_locked(new));
    cr_assert_eq(mp_lock_release(old[1]), MP_OK);
    support_close(a_lock, old[0]);
    support_close(a_lock, old[1]);
    support_end(a_lock, name, new);
}

/* -- Races ----------------------------------------------------------------- */

/* (name, mode, when): opens it exactly then, gives one permit, says what came
 * of it, and keeps it until the next message. */
static void race_on(mp_connection *connection, const mp_obj *message,
                    mp_semaphore **semaphore)
{
    const mp_obj *items[3];
    mp_open_options options;
    const char *name;
    int64_t mode;
    double when;
    mp_error err;

    for (int i = 0; i < 3; i++)
        mp_check(mp_obj_item(message, i, &items[i]));
    mp_check(mp_obj_as_str(items[0], &name, NULL));
    mp_check(mp_obj_as_int(items[1], &mode));
    mp_check(mp_obj_as_float(items[2], &when));
    options = (mp_open_options){.mode = (mp_open_mode)mode};
    while (mp_monotonic() < when)
        continue;
    err = mp_semaphore_open(semaphore, name, 0, &options);
    if (err == MP_OK)
        mp_check(mp_semaphore_release(*semaphore));
    mp_check(mp_connection_send(connection, MP_BOX((int)err)));
}

static int race(mp_args *args)
{
    mp_connection *connection = mp_arg_connection(args, 0);
    mp_obj *message;

    while (mp_connection_recv(connection, &message) == MP_OK) {
        mp_semaphore *semaphore = NULL;
        mp_obj *go_on;

        race_on(connection, message, &semaphore);
        mp_obj_unref(message);
        if (mp_connection_recv(connection, &go_on) != MP_OK)
            return 1;
        mp_obj_unref(go_on);
        mp_check(mp_semaphore_close(semaphore));
        mp_check(mp_connection_send(connection, MP_NONE));
    }
    return 0;
}

typedef struct racer {
    mp_connection *connection;
    mp_process *process;
} racer;

static void start_racers(racer racers[2])
{
    for (int i = 0; i < 2; i++) {
        mp_connection *end;

        cr_assert_eq(mp_pipe(&racers[i].connection, &end, NULL), MP_OK);
        racers[i].process = support_start(MP_START_SPAWN, race, MP_ARGS(end));
        cr_assert_eq(mp_connection_close(end), MP_OK);
    }
}

static void stop_racers(racer racers[2])
{
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(mp_connection_close(racers[i].connection), MP_OK);
        cr_assert_eq(support_finish(racers[i].process), 0);
    }
}

static mp_error hear_error(mp_connection *connection)
{
    int64_t number;
    mp_obj *obj;

    cr_assert_eq(mp_connection_recv(connection, &obj), MP_OK);
    cr_assert_eq(mp_obj_as_int(obj, &number), MP_OK);
    mp_obj_unref(obj);
    return (mp_error)number;
}

static void send_off(racer racers[2], const char *name, mp_open_mode mode)
{
    double when = mp_monotonic() + 0.0004;

    for (int i = 0; i < 2; i++)
        cr_assert_eq(mp_connection_send(racers[i].connection,
                                        MP_LIST(name, (int)mode, when)),
                     MP_OK);
}

/* Both close what they have. */
static void call_back(racer racers[2])
{
    mp_obj *obj;

    for (int i = 0; i < 2; i++)
        cr_assert_eq(mp_connection_send(racers[i].connection, MP_NONE), MP_OK);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(mp_connection_recv(racers[i].connection, &obj), MP_OK);
        mp_obj_unref(obj);
    }
}

/* What the racers have in common holds so many permits; then it goes. */
static void expect_permits(const char *name, int64_t expected)
{
    mp_semaphore *semaphore = NULL;
    int64_t value = -1;
    mp_error err = mp_semaphore_open(&semaphore, name, 0, &support_existing);

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    cr_assert_eq(mp_semaphore_get_value(semaphore, &value), MP_OK);
    cr_assert_eq(value, expected);
    cr_assert_eq(mp_semaphore_close(semaphore), MP_OK);
}

Test(named, two_that_create_a_name_at_once_get_the_same, .timeout = 100)
{
    char name[SUPPORT_NAME_SIZE];
    racer racers[2];

    start_racers(racers);
    support_name(name);
    for (size_t i = 0; i < support_scaled(RACES); i++) {
        send_off(racers, name, MP_OPEN_OR_CREATE);
        cr_assert_eq(hear_error(racers[0].connection), MP_OK);
        cr_assert_eq(hear_error(racers[1].connection), MP_OK);
        expect_permits(name, 2);
        cr_assert_eq(mp_named_unlink(name), MP_OK);
        call_back(racers);
    }
    stop_racers(racers);
}

Test(named, of_two_that_create_a_name_exclusively_one_does, .timeout = 100)
{
    char name[SUPPORT_NAME_SIZE];
    racer racers[2];
    size_t wins[2] = {0};

    start_racers(racers);
    support_name(name);
    for (size_t i = 0; i < support_scaled(RACES); i++) {
        mp_error first, second;

        send_off(racers, name, MP_CREATE_EXCLUSIVELY);
        first = hear_error(racers[0].connection);
        second = hear_error(racers[1].connection);
        wins[0] += first == MP_OK;
        wins[1] += second == MP_OK;
        cr_assert((first == MP_OK && second == MP_EEXIST) ||
                      (first == MP_EEXIST && second == MP_OK),
                  "%d and %d", (int)first, (int)second);
        expect_permits(name, 1);
        cr_assert_eq(mp_named_unlink(name), MP_OK);
        call_back(racers);
    }
    cr_assert_eq(wins[0] + wins[1], support_scaled(RACES));
    stop_racers(racers);
}

Test(named, opening_succeeds_while_somebody_unlinks_again_and_again,
     .timeout = 100)
{
    char name[SUPPORT_NAME_SIZE];
    racer racers[2];

    start_racers(racers);
    support_name(name);
    for (size_t i = 0; i < support_scaled(RACES); i++) {
        double end = mp_monotonic() + 0.0008;

        send_off(racers, name, MP_OPEN_OR_CREATE);
        while (mp_monotonic() < end) {
            mp_error err = mp_named_unlink(name);

            cr_assert(err == MP_OK || err == MP_ENOTFOUND, "%s",
                      mp_error_message());
        }
        cr_assert_eq(hear_error(racers[0].connection), MP_OK);
        cr_assert_eq(hear_error(racers[1].connection), MP_OK);
        call_back(racers);
    }
    (void)mp_named_unlink(name);
    stop_racers(racers);
    support_refuse(a_semaphore, name, &support_existing, MP_ENOTFOUND);
}

/* -- Killed ---------------------------------------------------------------- */

static mp_process *start_at_name(mp_function target, const char *name)
{
    mp_connection *connection, *end;
    mp_process *process;
    mp_obj *obj;

    cr_assert_eq(mp_pipe(&connection, &end, NULL), MP_OK);
    process = support_start(MP_START_SPAWN, target, MP_ARGS(end, name));
    cr_assert_eq(mp_connection_close(end), MP_OK);
    cr_assert_eq(mp_connection_recv(connection, &obj), MP_OK);
    mp_obj_unref(obj);
    cr_assert_eq(mp_connection_close(connection), MP_OK);
    return process;
}

static void kill_one(mp_process *process)
{
    cr_assert_eq(mp_process_kill(process), MP_OK);
    cr_assert_eq(support_finish(process), -9);
}

static int open_and_wait(mp_args *args)
{
    mp_lock *lock;

    mp_check(mp_lock_open(&lock, mp_arg_str(args, 1), NULL));
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_NONE));
    mp_sleep(LONG_TIME);
    return 1;
}

static int acquire_and_wait(mp_args *args)
{
    mp_lock *lock;

    mp_check(mp_lock_open(&lock, mp_arg_str(args, 1), NULL));
    mp_check(mp_lock_acquire(lock, MP_FOREVER));
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_NONE));
    mp_sleep(LONG_TIME);
    return 1;
}

static int acquire_rlock_and_wait(mp_args *args)
{
    mp_rlock *lock;

    mp_check(mp_rlock_open(&lock, mp_arg_str(args, 1), NULL));
    mp_check(mp_rlock_acquire(lock, MP_FOREVER));
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_NONE));
    mp_sleep(LONG_TIME);
    return 1;
}

/* The exit code is what acquiring gave. */
static int acquire_by_name(mp_args *args)
{
    mp_lock *lock;

    mp_check(mp_lock_open(&lock, mp_arg_str(args, 0), &support_existing));
    return (int)mp_lock_acquire(lock, LONG_TIME);
}

Test(named, a_stranger_hears_that_the_owner_of_a_lock_was_killed)
{
    char name[SUPPORT_NAME_SIZE];
    mp_lock *lock = support_open(a_lock, support_name(name), NULL);
    mp_process *owner = start_at_name(acquire_and_wait, name);

    cr_assert_eq(mp_lock_acquire(lock, 0), MP_TIMED_OUT);
    kill_one(owner);
    cr_assert_eq(support_run(MP_START_SPAWN, acquire_by_name, MP_ARGS(name)),
                 MP_OWNER_DIED);
    /* That one ended with the lock. */
    cr_assert_eq(mp_lock_acquire(lock, 1), MP_OWNER_DIED);
    cr_assert_eq(mp_lock_release(lock), MP_OK);
    cr_assert_eq(mp_lock_acquire(lock, 1), MP_OK);
    support_end(a_lock, name, lock);
}

Test(named, a_stranger_hears_that_the_owner_of_an_rlock_was_killed)
{
    char name[SUPPORT_NAME_SIZE];
    mp_rlock *lock = support_open(an_rlock, support_name(name), NULL);
    mp_process *owner = start_at_name(acquire_rlock_and_wait, name);

    cr_assert_eq(mp_rlock_acquire(lock, 0), MP_TIMED_OUT);
    kill_one(owner);
    cr_assert_eq(mp_rlock_acquire(lock, 1), MP_OWNER_DIED);
    cr_assert_eq(mp_rlock_release(lock), MP_OK);
    cr_assert_eq(mp_rlock_acquire(lock, 1), MP_OK);
    support_end(an_rlock, name, lock);
}

/* -- Looking --------------------------------------------------------------- */

/* A copy without the strings; kind NULL: it is not in the list. */
static mp_named find_listed(const char *name)
{
    mp_named found = {0};
    mp_named *all = NULL;
    size_t count = 0;
    mp_error err = mp_named_list(&all, &count);

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    cr_assert_eq(all == NULL, count == 0);
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            cr_assert_lt(strcmp(all[i - 1].name, all[i].name), 0);
        if (strcmp(all[i].name, name) == 0)
            found = all[i];
    }
    mp_free(all);
    found.name = NULL;
    return found;
}

/* -- Making calls fail ----------------------------------------------------- */

static const mp_error errors[] = {MP_ENOMEM, MP_EMFILE, MP_EIO, MP_EACCES};

enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };

/* Makes the n-th call of an operation fail; true if that made it fail. */
static bool fails(long n, mp_error injected,
                  mp_error (*operation)(const char *name), const char *name,
                  bool *was_hit)
{
    mp_error err;

    mpi_fault_arm(n, injected);
    err = operation(name);
    *was_hit = mpi_fault_disarm(NULL, NULL);
    cr_assert(err == MP_OK || *was_hit, "failed by itself: %s",
              mp_error_message());
    if (err != MP_OK)
        cr_assert_str_not_empty(mp_error_message());
    return err != MP_OK;
}

static mp_error create_and_close(const char *name)
{
    mp_semaphore *semaphore = NULL;
    mp_error err = mp_semaphore_open(&semaphore, name, 1, &support_exclusively);

    if (err != MP_OK) {
        cr_assert_null(semaphore);
        return err;
    }
    mpi_fault_disarm(NULL, NULL);
    support_end(a_semaphore, name, semaphore);
    return MP_OK;
}

static mp_error open_and_close(const char *name)
{
    mp_lock *lock = NULL;
    mp_error err = mp_lock_open(&lock, name, NULL);

    if (err != MP_OK) {
        cr_assert_null(lock);
        return err;
    }
    return mp_lock_close(lock);
}

static mp_error list_all(const char *name)
{
    mp_named *all = NULL;
    size_t count = 77;
    mp_error err = mp_named_list(&all, &count);

    (void)name;
    if (err != MP_OK) {
        cr_assert_null(all);
        cr_assert_eq(count, 77U);
    }
    mp_free(all);
    return err;
}

static mp_error clean_all(const char *name)
{
    size_t removed = 77;
    mp_error err = mp_named_clean(&removed);

    (void)name;
    if (err != MP_OK)
        cr_assert_eq(removed, 77U);
    return err;
}

/* Every call, with every error; how many made the operation fail. */
static size_t fail_everywhere(mp_error (*operation)(const char *name),
                              const char *name, bool is_there)
{
    size_t failures = 0;

    for (size_t which = 0; which < ERRORS; which++) {
        bool was_hit = true;

        for (long n = 1; was_hit; n++) {
            size_t handles = support_open_handles();

            cr_assert_lt(n, MOST_CALLS);
            if (fails(n, errors[which], operation, name, &was_hit))
                failures++;
            cr_assert_eq(support_open_handles(), handles, "call %ld", n);
            cr_assert_eq(find_listed(name).kind != NULL, is_there,
                         "call %ld, %s", n, mp_error_message());
        }
    }
    return failures;
}

/* -- Listing and cleaning up ----------------------------------------------- */

Test(named, the_list_tells_kind_and_creator)
{
    char names[SUPPORT_KINDS][SUPPORT_NAME_SIZE];
    void *things[SUPPORT_KINDS];

    for (int i = SUPPORT_KINDS - 1; i >= 0; i--)
        things[i] =
            support_open(&support_kinds[i], support_name(names[i]), NULL);
    for (int i = 0; i < SUPPORT_KINDS; i++) {
        mp_named found = find_listed(names[i]);

        cr_assert_not_null(found.kind, "%s", names[i]);
        cr_assert_str_eq(found.kind, support_kinds[i].name);
        cr_assert_eq(found.creator_pid, mp_getpid());
        cr_assert(found.is_in_use);
        support_end(&support_kinds[i], names[i], things[i]);
        cr_assert_null(find_listed(names[i]).kind);
    }
    cr_assert_eq(mp_named_list(NULL, NULL), MP_EINVAL);
}

static void keep_unused_name(void)
{
    char name[SUPPORT_NAME_SIZE];
    mp_semaphore *semaphore =
        support_open(a_semaphore, support_name(name), NULL);
    int64_t value = -1;

    cr_assert_eq(mp_semaphore_acquire(semaphore, 0), MP_OK);
    support_close(a_semaphore, semaphore);
    cr_assert_not(find_listed(name).is_in_use);
    /* Who has opened it in vain does not use it. */
    cr_assert_eq(mp_semaphore_open(&semaphore, name, 9, NULL), MP_EEXIST);
    support_refuse(an_event, name, NULL, MP_ETYPE);
    cr_assert_not(find_listed(name).is_in_use);
    semaphore = support_open(a_semaphore, name, &support_existing);
    cr_assert_eq(mp_semaphore_get_value(semaphore, &value), MP_OK);
    cr_assert_eq(value, SUPPORT_PERMITS - 1);
    support_end(a_semaphore, name, semaphore);
}

static void clean_after_kill(void)
{
    char names[2][SUPPORT_NAME_SIZE];
    mp_lock *kept = support_open(a_lock, support_name(names[0]), NULL);
    mp_process *user = start_at_name(open_and_wait, support_name(names[1]));
    int64_t pid = mp_process_pid(user);
    size_t removed = 1000;
    mp_named found;

    cr_assert_eq(mp_named_clean(&removed), MP_OK);
    found = find_listed(names[1]);
    cr_assert_str_eq(found.kind, "Lock");
    cr_assert(found.is_in_use);
    cr_assert_eq(found.creator_pid, pid);
    kill_one(user);
    found = find_listed(names[1]);
    cr_assert_str_eq(found.kind, "Lock");
    cr_assert_not(found.is_in_use);
    cr_assert_eq(found.creator_pid, pid);
    cr_assert_eq(mp_named_clean(&removed), MP_OK);
    cr_assert_geq(removed, 1U); /* and what others have left */
    cr_assert_lt(removed, 1000U);
    cr_assert_null(find_listed(names[1]).kind);
    cr_assert(find_listed(names[0]).is_in_use);
    support_end(a_lock, names[0], kept);
    cr_assert_eq(mp_named_clean(NULL), MP_OK);
}

static void clean_what_is_in_use(void)
{
    char name[SUPPORT_NAME_SIZE];
    mp_event *event = support_open(an_event, support_name(name), NULL);

    cr_assert_eq(mp_named_clean(NULL), MP_OK);
    support_close(an_event, support_open(an_event, name, &support_existing));
    cr_assert_gt(fail_everywhere(clean_all, name, true), 1U * ERRORS);
    support_end(an_event, name, event);
}

/* All in one: see above. */
Test(named, unused_names_stay_until_they_are_cleaned_up)
{
    clean_what_is_in_use();
    if (!support_names_last())
        return; /* they go with their last user */
    keep_unused_name();
    clean_after_kill();
}

/* -- Travelling ------------------------------------------------------------ */

static int use_all(mp_args *args)
{
    mp_lock *lock = mp_arg_lock(args, 0);
    mp_rlock *rlock = mp_arg_rlock(args, 1);

    mp_check(mp_event_wait(mp_arg_event(args, 3), LONG_TIME));
    mp_check(mp_semaphore_acquire(mp_arg_semaphore(args, 2), LONG_TIME));
    mp_check(mp_lock_acquire(lock, LONG_TIME));
    mp_check(mp_lock_release(lock));
    mp_check(mp_rlock_acquire(rlock, LONG_TIME));
    mp_check(mp_rlock_release(rlock));
    return 0;
}

METHOD_TEST(named, travel_as_arguments)
{
    char names[SUPPORT_KINDS][SUPPORT_NAME_SIZE];
    void *things[SUPPORT_KINDS];
    mp_process *process;
    int64_t value = -1;

    for (int i = 0; i < SUPPORT_KINDS; i++)
        things[i] =
            support_open(&support_kinds[i], support_name(names[i]), NULL);
    process = support_start(method, use_all,
                            MP_ARGS((mp_lock *)things[0], (mp_rlock *)things[1],
                                    (mp_semaphore *)things[2],
                                    (mp_event *)things[3]));
    cr_assert_eq(mp_event_set(things[3]), MP_OK);
    cr_assert_eq(support_finish(process), 0);
    cr_assert_eq(mp_semaphore_get_value(things[2], &value), MP_OK);
    cr_assert_eq(value, SUPPORT_PERMITS - 1);
    for (int i = 0; i < SUPPORT_KINDS; i++)
        support_end(&support_kinds[i], names[i], things[i]);
}

METHOD_TEST(named, travel_though_the_parent_unlinks_and_closes_at_once)
{
    char names[SUPPORT_KINDS][SUPPORT_NAME_SIZE];
    void *things[SUPPORT_KINDS];
    mp_process *process;

    for (int i = 0; i < SUPPORT_KINDS; i++)
        things[i] =
            support_open(&support_kinds[i], support_name(names[i]), NULL);
    cr_assert_eq(mp_event_set(things[3]), MP_OK);
    process = support_start(method, use_all,
                            MP_ARGS((mp_lock *)things[0], (mp_rlock *)things[1],
                                    (mp_semaphore *)things[2],
                                    (mp_event *)things[3]));
    if (!support_names_last()) /* nor do its objects wait for the child */
        cr_assert_eq(mp_process_join(process, LONG_TIME), MP_OK);
    for (int i = 0; i < SUPPORT_KINDS; i++) {
        cr_assert_eq(mp_named_unlink(names[i]), MP_OK);
        support_close(&support_kinds[i], things[i]);
    }
    cr_assert_eq(support_finish(process), 0);
}

/* -- Failures -------------------------------------------------------------- */

Test(named, a_failure_leaves_neither_names_nor_handles, .timeout = 60)
{
    char name[SUPPORT_NAME_SIZE];
    mp_lock *lock;
    void *warm;

    support_name(name);
    warm = support_open(a_lock, name, NULL);
    support_end(a_lock, name, warm);
    cr_assert_gt(fail_everywhere(create_and_close, name, false), 4U * ERRORS);
    lock = support_open(a_lock, name, NULL);
    cr_assert_gt(fail_everywhere(open_and_close, name, true), 2U * ERRORS);
    cr_assert_gt(fail_everywhere(list_all, name, true), 2U * ERRORS);
    support_end(a_lock, name, lock);
}
