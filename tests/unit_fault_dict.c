/* SPDX-License-Identifier: MIT */
/*
 * Shared dict with every call into the system, and every allocation, made to
 * fail once: what fails has a sentence, changes nothing, and leaks nothing.
 */
#include "support/check.h"
#include "support/dict.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"
#include "os_fault.h"

#include <stdio.h>
#include <string.h>

enum { MOST_CALLS = 500 };

static const mp_error errors[] = {MP_ENOMEM, MP_EMFILE, MP_EIO};
static const char content[] = "{'a': [1, 2], 'b': 7, 5: 'five'}";

static mp_shared_dict *make_filled(void)
{
    mp_shared_dict *dict = make_dict(10);

    ok(mp_shared_dict_update(dict,
                             MP_DICT("a", MP_LIST(1, 2), "b", 7, 5, "five")));
    return dict;
}

/* -- What is done to one --------------------------------------------------- */

static mp_error set_new(mp_shared_dict *dict)
{
    return mp_shared_dict_set(dict, MP_BOX("new"), MP_LIST("x", 3));
}

static mp_error set_old(mp_shared_dict *dict)
{
    return mp_shared_dict_set(dict, MP_BOX("b"), MP_BOX(INT64_MAX));
}

static mp_error get_short(mp_shared_dict *dict)
{
    return error_of(mp_shared_dict_get(dict, MP_BOX(5)));
}

static mp_error get_long(mp_shared_dict *dict)
{
    return error_of(mp_shared_dict_get(dict, MP_BOX("a")));
}

static mp_error get_with_fallback(mp_shared_dict *dict)
{
    return error_of(mp_shared_dict_get_or(dict, MP_BOX("z"), MP_LIST(1)));
}

static mp_error set_default(mp_shared_dict *dict)
{
    return error_of(mp_shared_dict_setdefault(dict, MP_BOX("z"), MP_LIST(1)));
}

static mp_error find_default(mp_shared_dict *dict)
{
    return error_of(mp_shared_dict_setdefault(dict, MP_BOX("a"), MP_LIST(1)));
}

static mp_error pop_short(mp_shared_dict *dict)
{
    return error_of(mp_shared_dict_pop(dict, MP_BOX(5)));
}

static mp_error pop_long(mp_shared_dict *dict)
{
    return error_of(mp_shared_dict_pop(dict, MP_BOX("a")));
}

static mp_error delete_one(mp_shared_dict *dict)
{
    return mp_shared_dict_delete(dict, MP_BOX("a"));
}

static mp_error ask_for_one(mp_shared_dict *dict)
{
    bool is_there = false;
    mp_error err = mp_shared_dict_contains(dict, MP_BOX("a"), &is_there);

    cr_assert_eq(is_there, err == MP_OK);
    return err;
}

static mp_error add_up(mp_shared_dict *dict)
{
    int64_t sum = 0;
    mp_error err = mp_shared_dict_add(dict, MP_BOX("b"), INT64_MAX - 7, &sum);

    cr_assert_eq(sum, err == MP_OK ? INT64_MAX : 0);
    return err;
}

static mp_error update(mp_shared_dict *dict)
{
    return mp_shared_dict_update(dict, MP_DICT("b", MP_LIST(8)));
}

static mp_error clear(mp_shared_dict *dict)
{
    return mp_shared_dict_clear(dict);
}

static mp_error copy_all(mp_shared_dict *dict)
{
    return error_of(mp_shared_dict_snapshot(dict));
}

static mp_error list_keys(mp_shared_dict *dict)
{
    return error_of(mp_shared_dict_keys(dict));
}

static mp_error verify(mp_shared_dict *dict)
{
    return mp_shared_dict_verify(dict);
}

static mp_error miss(mp_shared_dict *dict)
{
    mp_error err = mp_shared_dict_delete(dict, MP_BOX("nothing"));

    return err == MP_EKEY ? MP_OK : err;
}

/* What fails has changed nothing; then it succeeds. */
static size_t try_one(mp_error (*operation)(mp_shared_dict *), size_t which)
{
    size_t failures = 0;
    bool was_hit = true;

    for (long n = 1; was_hit; n++) {
        mp_shared_dict *dict = make_filled();
        mp_error err;

        cr_assert_lt(n, MOST_CALLS);
        mpi_fault_arm(n, errors[which]);
        err = operation(dict);
        was_hit = mpi_fault_disarm(NULL, NULL);
        if (err != MP_OK) {
            cr_assert(was_hit, "failed by itself: %s", mp_error_message());
            cr_assert_str_not_empty(mp_error_message());
            holds(dict, content);
            ok(operation(dict));
            failures++;
        }
        ok(mp_shared_dict_verify(dict));
        ok(mp_shared_dict_close(dict));
    }
    return failures;
}

Test(fault_dict, what_fails_changes_nothing)
{
    static mp_error (*const operations[])(mp_shared_dict *) = {
        set_new,     set_old,   get_short, get_long,   get_with_fallback,
        set_default, pop_short, pop_long,  delete_one, find_default,
        ask_for_one, add_up,    update,    clear,      copy_all,
        list_keys,   verify,    miss,
    };
    size_t failures = 0, handles;

    ok(mp_shared_dict_close(make_filled()));
    handles = support_open_handles();
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        for (size_t which = 0; which < 2; which++)
            failures += try_one(operations[i], which);
    cr_assert_eq(support_open_handles(), handles);
    cr_assert_gt(failures, 40U, "only %zu", failures);
}

/* -- Making and opening ---------------------------------------------------- */

typedef struct place {
    char folder[SUPPORT_PATH_SIZE];
    char path[SUPPORT_PATH_SIZE];
    char name[64];
} place;

static mp_error create(const place *it, mp_shared_dict **out)
{
    (void)it;
    return mp_shared_dict_create(out, 10, NULL);
}

static mp_error open_name(const place *it, mp_shared_dict **out)
{
    return mp_shared_dict_open(out, it->name, 10, NULL);
}

static mp_error open_path(const place *it, mp_shared_dict **out)
{
    return mp_shared_dict_open_file(out, it->path, 10, NULL);
}

static void make_with_faults(mp_error (*make)(const place *, mp_shared_dict **),
                             place *it, size_t which)
{
    size_t handles = support_open_handles(), failures = 0;
    bool was_hit = true;

    for (long n = 1; was_hit; n++) {
        mp_shared_dict *dict = NULL;
        mp_error err;

        cr_assert_lt(n, MOST_CALLS);
        snprintf(it->name, sizeof(it->name), "mp fault %lld",
                 (long long)mp_getpid());
        mpi_fault_arm(n, errors[which]);
        err = make(it, &dict);
        was_hit = mpi_fault_disarm(NULL, NULL);
        cr_assert_eq(dict == NULL, err != MP_OK);
        if (err != MP_OK) {
            cr_assert(was_hit, "failed by itself: %s", mp_error_message());
            cr_assert_str_not_empty(mp_error_message());
            failures++;
        } else {
            holds(dict, "{}");
            ok(mp_shared_dict_close(dict));
        }
        (void)mp_named_unlink(it->name);
        support_remove_file(it->path);
        cr_assert_eq(support_open_handles(), handles, "call %ld", n);
    }
    cr_assert_gt(failures, 3U, "only %zu", failures);
}

Test(fault_dict, what_can_not_be_made_leaves_nothing)
{
    place it;
    mp_shared_dict *dict = NULL;

    support_make_folder("mp-fault-", it.folder);
    support_join_path(it.folder, "dict", it.path);
    ok(open_path(&it, &dict));
    ok(mp_shared_dict_close(dict));
    support_remove_file(it.path);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        make_with_faults(create, &it, i);
        make_with_faults(open_name, &it, i);
        make_with_faults(open_path, &it, i);
    }
    support_remove_folder(it.folder);
}

/* -- Travelling ------------------------------------------------------------ */

Test(fault_dict, sending_and_receiving_it_can_be_tried_again)
{
    mp_shared_dict *dict = make_filled(), *copy = NULL;
    mp_connection *left, *right;
    bool was_hit = true;
    size_t handles;

    ok(mp_pipe(&left, &right, NULL));
    handles = support_open_handles();
    for (long n = 1; was_hit; n++) {
        mp_obj *obj = NULL;
        mp_error err;

        cr_assert_lt(n, MOST_CALLS);
        mpi_fault_arm(n, MP_ENOMEM);
        err = mp_connection_send(left, MP_BOX(dict));
        was_hit = mpi_fault_disarm(NULL, NULL);
        if (err != MP_OK) {
            cr_assert(was_hit, "failed by itself: %s", mp_error_message());
            ok(mp_connection_send(left, MP_BOX(dict)));
        }
        ok(mp_connection_recv(right, &obj));
        ok(mp_obj_as_shared_dict(obj, &copy));
        holds(copy, content);
        mp_obj_unref(obj);
        cr_assert_eq(support_open_handles(), handles, "call %ld", n);
    }
    was_hit = true;
    for (long n = 1; was_hit; n++) {
        mp_obj *obj = NULL;
        mp_error err;

        ok(mp_connection_send(left, MP_BOX(dict)));
        mpi_fault_arm(n, MP_EMFILE);
        err = mp_connection_recv(right, &obj);
        was_hit = mpi_fault_disarm(NULL, NULL);
        cr_assert(was_hit || err == MP_OK, "%s", mp_error_message());
        if (err == MP_OK)
            mp_obj_unref(obj);
        if (err != MP_OK) { /* a message that was not read is still there */
            ok(mp_connection_close(left));
            ok(mp_connection_close(right));
            ok(mp_pipe(&left, &right, NULL));
        }
        cr_assert_eq(support_open_handles(), handles, "call %ld", n);
    }
    ok(mp_connection_close(left));
    ok(mp_connection_close(right));
    holds(dict, content);
    ok(mp_shared_dict_close(dict));
}
