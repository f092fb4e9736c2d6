/* SPDX-License-Identifier: MIT */
/*
 * Value and Array: every call into the system, and every allocation, made to
 * fail once. A failure has a sentence, leaves outputs alone and nothing behind:
 * no handle, no lock that is held, no name that was not there; what was used
 * can be used again.
 */
#include "support/check.h"
#include "support/expect.h"
#include "support/named.h"
#include "support/system.h"

#include "os_fault.h"

#include <multiproc/value.h>

#include <stdio.h>
#include <string.h>

enum { SMALL = 5, LARGE = 3000, MOST_CALLS = 1000 };

static const mp_error errors[] = {MP_ENOMEM, MP_EMFILE, MP_EIO};

/* What an attempt works on; made before, and closed after each of them. */
typedef struct bench {
    size_t length;
    mp_array *array;
    mp_array *growing; /* for one attempt */
    mp_connection *ours, *theirs;
    char folder[SUPPORT_PATH_SIZE];
    char path[SUPPORT_PATH_SIZE];
    char name[SUPPORT_NAME_SIZE];
} bench;

typedef struct attempt {
    const char *what;
    mp_error (*run)(bench *on);
    bool needs_file; /* that exists */
    bool needs_name;
} attempt;

/* -- Attempts: each closes what it has made -------------------------------- */

static mp_error finish(mp_error err, mp_array *array)
{
    mpi_fault_disarm(NULL, NULL);
    cr_assert_eq(array == NULL, err != MP_OK);
    ok(mp_array_close(array));
    return err;
}

static mp_error create(bench *on)
{
    mp_array *array = NULL;
    mp_error err =
        mp_array_create(&array, MP_CTYPE(int), on->length, NULL, NULL);

    return finish(err, array);
}

static mp_error copy(bench *on)
{
    mp_array *array = NULL;
    mp_error err = mp_array_copy(on->array, &array, NULL);

    return finish(err, array);
}

static mp_error open_named(bench *on)
{
    mp_array *array = NULL;
    mp_error err =
        mp_array_open(&array, on->name, MP_CTYPE(int), on->length, NULL, NULL);

    return finish(err, array);
}

static mp_error open_file_as(bench *on, const mp_value_options *options)
{
    mp_array *array = NULL;
    mp_error err = mp_array_open_file(&array, on->path, MP_CTYPE(int),
                                      on->length, NULL, options);

    return finish(err, array);
}

static mp_error open_file(bench *on)
{
    return open_file_as(on, NULL);
}

static mp_error open_file_to_read(bench *on)
{
    return open_file_as(on, &(mp_value_options){.is_read_only = true});
}

static mp_error send_to_itself(bench *on)
{
    mp_obj *obj = NULL;
    mp_error err = mp_connection_send(on->ours, MP_BOX(on->array));
    bool is_sent = err == MP_OK;

    if (err == MP_OK)
        err = mp_connection_recv(on->theirs, &obj);
    mpi_fault_disarm(NULL, NULL);
    /* What is on its way would be in the way of the next. */
    if (is_sent && err != MP_OK) {
        ok(mp_connection_close(on->ours));
        ok(mp_connection_close(on->theirs));
        ok(mp_pipe(&on->ours, &on->theirs, NULL));
    }
    mp_obj_unref(obj);
    return err;
}

static mp_error use_boxed(bench *on)
{
    mp_obj *obj;
    mp_error err = mp_array_set(on->array, 1, MP_BOX(1));

    if (err != MP_OK)
        return err;
    obj = mp_array_get(on->array, 1);
    err = mp_obj_error(obj);
    mp_obj_unref(obj);
    return err;
}

static mp_error use_slices(bench *on)
{
    mp_obj *obj;
    char *text = NULL;
    mp_error err = mp_array_set_slice(on->array, 1, 3, MP_LIST(1, 2));

    if (err != MP_OK)
        return err;
    obj = mp_array_slice(on->array, 0, 2);
    err = mp_obj_error(obj);
    mp_obj_unref(obj);
    if (err == MP_OK)
        err = mp_array_repr(on->array, &text);
    cr_assert_eq(text == NULL, err != MP_OK);
    mp_free(text);
    return err;
}

static mp_error print_value(bench *on)
{
    mp_value *value = NULL;
    char *text = NULL;
    mp_error err = mp_value_create(&value, MP_CTYPE(int), NULL, NULL);

    (void)on;
    if (err == MP_OK)
        err = mp_value_repr(value, &text);
    mpi_fault_disarm(NULL, NULL);
    cr_assert_eq(text == NULL, err != MP_OK);
    mp_free(text);
    ok(mp_value_close(value));
    return err;
}

static mp_error grow(bench *on)
{
    mp_error err = mp_array_grow(on->growing, 50 * LARGE);

    mpi_fault_disarm(NULL, NULL);
    cr_assert_eq(mp_array_length(on->growing),
                 (size_t)(err == MP_OK ? 50 * LARGE : 1));
    ok(mp_array_acquire(on->growing, 0));
    ok(mp_array_release(on->growing));
    return err;
}

static mp_error sync_file(bench *on)
{
    mp_array *array = NULL;
    mp_error err = mp_array_open_file(&array, on->path, MP_CTYPE(int),
                                      on->length, NULL, NULL);

    if (err == MP_OK)
        err = mp_array_sync(array);
    mpi_fault_disarm(NULL, NULL);
    ok(mp_array_close(array));
    return err;
}

static const attempt attempts[] = {
    {"create", create, false, false},
    {"copy", copy, false, false},
    {"create a name", open_named, false, false},
    {"open a name", open_named, false, true},
    {"create a file", open_file, false, false},
    {"open a file", open_file, true, false},
    {"open a file to read", open_file_to_read, true, false},
    {"send", send_to_itself, false, false},
    {"set and get", use_boxed, false, false},
    {"slices", use_slices, false, false},
    {"repr", print_value, false, false},
    {"grow", grow, false, false},
    {"sync", sync_file, true, false},
};

/* -- The loop -------------------------------------------------------------- */

static void set_up(bench *on, const attempt *what)
{
    const mp_value_options options = {.capacity = 100 * LARGE};
    mp_array *array = NULL;

    ok(mp_array_close(on->growing));
    ok(mp_array_create(&on->growing, MP_CTYPE(int), 1, NULL, &options));
    support_name(on->name);
    if (!what->needs_file)
        support_remove_file(on->path);
    if (what->needs_file) {
        ok(mp_array_open_file(&array, on->path, MP_CTYPE(int), on->length, NULL,
                              NULL));
        ok(mp_array_close(array));
    }
    if (what->needs_name)
        ok(mp_array_open(&array, on->name, MP_CTYPE(int), on->length, NULL,
                         NULL));
    if (what->needs_name && support_names_last())
        ok(mp_array_close(array));
}

/* A name that its creator could not use is not there. */
static void expect_no_name(const bench *on, const attempt *what, mp_error err)
{
    mp_array *array = NULL;

    if (err == MP_OK || what->needs_name)
        return;
    cr_assert_eq(
        mp_array_open(&array, on->name, MP_CTYPE(int), on->length, NULL,
                      &(mp_value_options){.open = {.mode = MP_OPEN_EXISTING}}),
        MP_ENOTFOUND, "%s", what->what);
}

/* False: the call was not reached. */
static bool fail_once(bench *on, const attempt *what, long n, mp_error error)
{
    const char *name = NULL;
    size_t before = support_open_handles();
    mp_error err;

    mpi_fault_arm(n, error);
    err = what->run(on);
    (void)mpi_fault_disarm(NULL, &name);
    if (err == MP_OK)
        return false;
    cr_assert_str_not_empty(mp_error_message(), "%s", what->what);
    cr_assert_lt(err, MP_OK);
    cr_assert_leq(support_open_handles(), before, "%s, call %ld", what->what,
                  n);
    ok(mp_array_acquire(on->array, 0));
    ok(mp_array_release(on->array));
    return true;
}

static void fail_everywhere(bench *on, const attempt *what, mp_error error)
{
    long misses = 0;

    /* Some failures are made up for, and it succeeds all the same. */
    for (long n = 1; misses < 20; n++) {
        bool has_failed;

        cr_assert_lt(n, MOST_CALLS);
        set_up(on, what);
        has_failed = fail_once(on, what, n, error);
        misses = has_failed ? 0 : misses + 1;
        expect_no_name(on, what, has_failed ? MP_EIO : MP_OK);
        if (support_names_last())
            (void)mp_named_unlink(on->name);
    }
    set_up(on, what);
    ok(what->run(on));
    if (support_names_last())
        (void)mp_named_unlink(on->name);
}

static void fail_all(size_t length)
{
    bench on = {.length = length};

    support_make_folder("mp-fault-", on.folder);
    support_join_path(on.folder, "file", on.path);
    ok(mp_array_create(&on.array, MP_CTYPE(int), length, NULL, NULL));
    ok(mp_pipe(&on.ours, &on.theirs, NULL));
    for (size_t i = 0; i < sizeof(attempts) / sizeof(attempts[0]); i++) {
        set_up(&on, &attempts[i]);
        ok(attempts[i].run(&on));
        if (support_names_last())
            (void)mp_named_unlink(on.name);
        for (size_t n = 0; n < sizeof(errors) / sizeof(errors[0]); n++)
            fail_everywhere(&on, &attempts[i], errors[n]);
    }
    ok(mp_connection_close(on.ours));
    ok(mp_connection_close(on.theirs));
    ok(mp_array_close(on.array));
    ok(mp_array_close(on.growing));
    support_remove_folder(on.folder);
}

Test(fault_value, small_ones_fail_cleanly, .timeout = 120)
{
    fail_all(SMALL);
}

Test(fault_value, large_ones_fail_cleanly, .timeout = 120)
{
    fail_all(LARGE);
}
