/* SPDX-License-Identifier: MIT */
/*
 * Shared dict with every call into the system, and every allocation, made to
 * fail once: what fails has a sentence, changes nothing, and leaks nothing.
 */
#include "support/check.h"
#include "support/dict.h"
#include "support/fault.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"

#include <stdio.h>
#include <string.h>

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
static size_t try_one(mp_error (*operation)(mp_shared_dict *), mp_error error)
{
    fault it = {.error = error};

    while (!it.has_ended) {
        mp_shared_dict *dict = make_filled();

        fault_arm(&it);
        if (fault_failed(&it, operation(dict))) {
            holds(dict, content);
            ok(operation(dict));
        }
        ok(mp_shared_dict_verify(dict));
        ok(mp_shared_dict_close(dict));
    }
    return it.failures;
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
            failures += try_one(operations[i], errors[which]);
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

/* It is as new, and gone then. */
static void drop_new(const place *it, mp_shared_dict *dict)
{
    if (dict != NULL) {
        holds(dict, "{}");
        ok(mp_shared_dict_close(dict));
    }
    (void)mp_named_unlink(it->name);
    support_remove_file(it->path);
}

static void make_with_faults(mp_error (*make)(const place *, mp_shared_dict **),
                             const place *it, mp_error error)
{
    fault round = {.error = error};
    mp_shared_dict *dict = NULL;
    size_t handles;

    /* The first time, the system may keep something. */
    ok(make(it, &dict));
    drop_new(it, dict);
    handles = support_open_handles();
    while (!round.has_ended) {
        bool has_failed;

        dict = NULL;
        fault_arm(&round);
        has_failed = fault_failed(&round, make(it, &dict));
        cr_assert_eq(dict == NULL, has_failed);
        drop_new(it, dict);
        cr_assert_eq(support_open_handles(), handles, "call %ld", round.n);
    }
    cr_assert_gt(round.failures, 3U, "only %zu", round.failures);
}

Test(fault_dict, what_can_not_be_made_leaves_nothing)
{
    place it;

    support_make_folder("mp-fault-", it.folder);
    support_join_path(it.folder, "dict", it.path);
    snprintf(it.name, sizeof(it.name), "mp fault %lld", (long long)mp_getpid());
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        make_with_faults(create, &it, errors[i]);
        make_with_faults(open_name, &it, errors[i]);
        make_with_faults(open_path, &it, errors[i]);
    }
    support_remove_folder(it.folder);
}

/* -- Travelling ------------------------------------------------------------ */

typedef struct ends {
    mp_connection *left, *right;
} ends;

static void open_ends(ends *it)
{
    ok(mp_pipe(&it->left, &it->right, NULL));
}

static void close_ends(ends *it)
{
    ok(mp_connection_close(it->left));
    ok(mp_connection_close(it->right));
}

static void expect_arrival(const ends *it)
{
    mp_shared_dict *copy = NULL;
    mp_obj *obj = NULL;

    ok(mp_connection_recv(it->right, &obj));
    ok(mp_obj_as_shared_dict(obj, &copy));
    holds(copy, content);
    mp_obj_unref(obj);
}

Test(fault_dict, sending_it_can_be_tried_again)
{
    mp_shared_dict *dict = make_filled();
    fault it = {.error = MP_ENOMEM};
    size_t handles;
    ends pipe;

    open_ends(&pipe);
    handles = support_open_handles();
    while (!it.has_ended) {
        fault_arm(&it);
        if (fault_failed(&it, mp_connection_send(pipe.left, MP_BOX(dict))))
            ok(mp_connection_send(pipe.left, MP_BOX(dict)));
        expect_arrival(&pipe);
        cr_assert_eq(support_open_handles(), handles, "call %ld", it.n);
    }
    close_ends(&pipe);
    holds(dict, content);
    ok(mp_shared_dict_close(dict));
}

Test(fault_dict, receiving_it_can_be_tried_again)
{
    mp_shared_dict *dict = make_filled();
    fault it = {.error = MP_EMFILE};
    size_t handles;
    ends pipe;

    open_ends(&pipe);
    handles = support_open_handles();
    while (!it.has_ended) {
        mp_obj *obj = NULL;

        ok(mp_connection_send(pipe.left, MP_BOX(dict)));
        fault_arm(&it);
        if (fault_failed(&it, mp_connection_recv(pipe.right, &obj))) {
            /* A message that was not read is still there. */
            close_ends(&pipe);
            open_ends(&pipe);
        } else {
            mp_obj_unref(obj);
        }
        cr_assert_eq(support_open_handles(), handles, "call %ld", it.n);
    }
    close_ends(&pipe);
    holds(dict, content);
    ok(mp_shared_dict_close(dict));
}
