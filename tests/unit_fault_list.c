/* SPDX-License-Identifier: MIT */
/*
 * Shared list with every call into the system, and every allocation, made to
 * fail once: what fails has a sentence, changes nothing, and leaks nothing.
 */
#include "support/check.h"
#include "support/fault.h"
#include "support/list.h"
#include "support/methods.h"
#include "support/system.h"

#include "os.h"

#include <stdio.h>
#include <string.h>

static const mp_error errors[] = {MP_ENOMEM, MP_EMFILE, MP_EIO};
static const char content[] = "[[3, 4], [1, 'x'], [2]]";

static mp_shared_list *make_filled(void)
{
    return make_list_of(MP_LIST(MP_LIST(3, 4), MP_LIST(1, "x"), MP_LIST(2)));
}

/* -- What is done to one --------------------------------------------------- */

static mp_error append(mp_shared_list *list)
{
    return mp_shared_list_append(list, MP_BOX("new"));
}

static mp_error extend(mp_shared_list *list)
{
    return mp_shared_list_extend(list, MP_LIST("new", MP_LIST(5)));
}

static mp_error insert(mp_shared_list *list)
{
    return mp_shared_list_insert(list, 1, MP_LIST("new"));
}

static mp_error set(mp_shared_list *list)
{
    return mp_shared_list_set(list, 1, MP_BOX(INT64_MAX));
}

static mp_error get(mp_shared_list *list)
{
    return error_of(mp_shared_list_get(list, 1));
}

static mp_error pop(mp_shared_list *list)
{
    return error_of(mp_shared_list_pop(list, 0));
}

static mp_error delete_one(mp_shared_list *list)
{
    return mp_shared_list_delete(list, 0);
}

static mp_error find(mp_shared_list *list)
{
    size_t index = 77;
    mp_error err = mp_shared_list_index(list, MP_LIST(2), &index);

    cr_assert_eq(index, err == MP_OK ? 2U : 77U);
    return err;
}

static mp_error count(mp_shared_list *list)
{
    size_t number = 77;
    mp_error err = mp_shared_list_count(list, MP_LIST(1, "x"), &number);

    cr_assert_eq(number, err == MP_OK ? 1U : 77U);
    return err;
}

static mp_error remove_one(mp_shared_list *list)
{
    return mp_shared_list_remove(list, MP_LIST(1, "x"));
}

static mp_error sort(mp_shared_list *list)
{
    return mp_shared_list_sort(list);
}

static mp_error reverse(mp_shared_list *list)
{
    return mp_shared_list_reverse(list);
}

static mp_error clear(mp_shared_list *list)
{
    return mp_shared_list_clear(list);
}

static mp_error copy_all(mp_shared_list *list)
{
    return error_of(mp_shared_list_snapshot(list));
}

static mp_error verify(mp_shared_list *list)
{
    return mp_shared_list_verify(list);
}

static mp_error miss(mp_shared_list *list)
{
    mp_error err = mp_shared_list_remove(list, MP_BOX("nothing"));

    return err == MP_ENOTFOUND ? MP_OK : err;
}

/* What fails has changed nothing; then it succeeds. */
static size_t try_one(mp_error (*operation)(mp_shared_list *), mp_error error)
{
    fault it = {.error = error};

    while (!it.has_ended) {
        mp_shared_list *list = make_filled();

        fault_arm(&it);
        if (fault_failed(&it, operation(list))) {
            holds(list, content);
            ok(operation(list));
        }
        ok(mp_shared_list_verify(list));
        ok(mp_shared_list_close(list));
    }
    return it.failures;
}

Test(fault_list, what_fails_changes_nothing)
{
    static mp_error (*const operations[])(mp_shared_list *) = {
        append,     extend, insert,  set,   get,      pop,    delete_one, find,
        remove_one, sort,   reverse, clear, copy_all, verify, miss,       count,
    };
    size_t failures = 0, handles;

    ok(mp_shared_list_close(make_filled()));
    handles = support_open_handles();
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++)
        for (size_t which = 0; which < 2; which++)
            failures += try_one(operations[i], errors[which]);
    cr_assert_eq(support_open_handles(), handles);
    cr_assert_gt(failures, 40U, "only %zu", failures);
}

/* -- Making and opening ---------------------------------------------------- */

typedef struct place {
    char path[SUPPORT_PATH_SIZE];
    char name[64];
} place;

static mp_error create(const place *it, mp_shared_list **out)
{
    (void)it;
    return mp_shared_list_create(out, 10, NULL);
}

static mp_error open_name(const place *it, mp_shared_list **out)
{
    return mp_shared_list_open(out, it->name, 10, NULL);
}

static mp_error open_path(const place *it, mp_shared_list **out)
{
    return mp_shared_list_open_file(out, it->path, 10, NULL);
}

static void make_once(mp_error (*make)(const place *, mp_shared_list **),
                      const place *it, fault *round)
{
    mp_shared_list *list = NULL;
    bool has_failed = fault_failed(round, make(it, &list));

    cr_assert_eq(list == NULL, has_failed);
    if (has_failed) {
        cr_assert_eq(mp_named_unlink(it->name), MP_ENOTFOUND,
                     "call %ld has left a name", round->n);
    } else {
        holds(list, "[]");
        ok(mp_shared_list_close(list));
        (void)mp_named_unlink(it->name);
    }
    support_remove_file(it->path);
}

static void make_with_faults(mp_error (*make)(const place *, mp_shared_list **),
                             const place *it, mp_error error)
{
    fault round = {.error = error};
    size_t handles;

    /* The first time, the system may keep something. */
    make_once(make, it, &(fault){.error = error});
    handles = support_open_handles();
    while (!round.has_ended) {
        fault_arm(&round);
        make_once(make, it, &round);
        cr_assert_eq(support_open_handles(), handles, "call %ld", round.n);
    }
    cr_assert_gt(round.failures, 3U, "only %zu", round.failures);
}

Test(fault_list, making_one_fails_cleanly)
{
    char folder[SUPPORT_PATH_SIZE];
    place it;

    support_make_folder("mp-fault-", folder);
    support_join_path(folder, "list", it.path);
    snprintf(it.name, sizeof(it.name), "mp fault list %lld",
             (long long)mp_getpid());
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        make_with_faults(create, &it, errors[i]);
        make_with_faults(open_name, &it, errors[i]);
        make_with_faults(open_path, &it, errors[i]);
    }
    support_remove_folder(folder);
}

/* One that exists stays, and stays as it is. */
Test(fault_list, opening_one_fails_cleanly)
{
    char folder[SUPPORT_PATH_SIZE];
    mp_shared_list *kept = NULL, *list = NULL;
    fault round = {.error = MP_ENOMEM};
    place it;

    support_make_folder("mp-fault-", folder);
    support_join_path(folder, "list", it.path);
    ok(open_path(&it, &kept));
    ok(mp_shared_list_append(kept, MP_BOX(1)));
    while (!round.has_ended) {
        fault_arm(&round);
        if (!fault_failed(&round, open_path(&it, &list)))
            ok(mp_shared_list_close(list));
        holds(kept, "[1]");
    }
    ok(mp_shared_list_close(kept));
    support_remove_folder(folder);
}

/* -- Travelling ------------------------------------------------------------ */

static int check_it(mp_args *args)
{
    mpi_fault_disarm(NULL, NULL); /* a forked child has inherited it */
    return mp_shared_list_length(mp_arg_shared_list(args, 0)) == 3 ? 7 : 1;
}

/* What arrives is rebuilt in this process. */
Test(fault_list, one_that_arrives_fails_cleanly)
{
    mp_connection *ends[2] = {NULL, NULL};
    mp_shared_list *list = make_filled(), *same = NULL;
    fault round = {.error = MP_ENOMEM};
    size_t handles;

    ok(mp_pipe(&ends[0], &ends[1], NULL));
    handles = support_open_handles();
    while (!round.has_ended) {
        mp_obj *obj = NULL;

        ok(mp_connection_send(ends[0], MP_BOX(list)));
        fault_arm(&round);
        if (fault_failed(&round, mp_connection_recv(ends[1], &obj))) {
            /* A message that was not read is still there. */
            ok(mp_connection_close(ends[0]));
            ok(mp_connection_close(ends[1]));
            ok(mp_pipe(&ends[0], &ends[1], NULL));
        } else {
            ok(mp_obj_as_shared_list(obj, &same));
            holds(same, content);
            mp_obj_unref(obj);
        }
        cr_assert_eq(support_open_handles(), handles, "call %ld", round.n);
    }
    holds(list, content);
    ok(mp_connection_close(ends[0]));
    ok(mp_connection_close(ends[1]));
    ok(mp_shared_list_close(list));
}

METHOD_TEST(fault_list, passing_one_fails_cleanly)
{
    mp_process_options options = {.start_method = method};
    mp_shared_list *list = make_filled();
    fault round = {.error = MP_ENOMEM};

    while (!round.has_ended) {
        mp_process *child = NULL;

        ok(mp_process_create(&child, check_it, MP_ARGS(list), &options));
        fault_arm(&round);
        round.n += 2; /* every third is enough */
        if (fault_failed(&round, mp_process_start(child)))
            ok(mp_process_start(child));
        cr_assert_eq(support_finish(child), 7);
        holds(list, content);
    }
    ok(mp_shared_list_close(list));
}
