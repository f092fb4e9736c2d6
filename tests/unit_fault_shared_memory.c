/* SPDX-License-Identifier: MIT */
/*
 * Every call into the system, and every allocation, of SharedMemory and
 * ShareableList made to fail once: the n-th, for n = 1, 2 ... until it is not
 * reached. A failure has a sentence, leaves outputs alone, leaks nothing, and
 * leaves no name that was not there before, nor half of one.
 */
#include "support/check.h"
#include "support/named.h"
#include "support/system.h"
#include "support/testing.h"

#include "os.h"
#include "os_fault.h"
#include "pickle.h"

#include <multiproc.h>

enum { SIZE = 5000, MOST_CALLS = 300 };

static const mp_error errors[] = {MP_ENOMEM, MP_EMFILE, MP_EIO, MP_EACCES};

enum { ERRORS = sizeof(errors) / sizeof(errors[0]) };

/* -- What is there --------------------------------------------------------- */

static bool segment_exists(const char *name)
{
    mpos_handle handle;
    mp_error err = mpos_shm_open(name, &handle);

    if (err == MP_OK)
        mpos_close(handle);
    return err == MP_OK;
}

static bool companion_exists(const char *name)
{
    mpos_handle handle;
    mp_error err = mpos_named_open(name, &handle);

    if (err == MP_OK)
        mpos_close(handle);
    return err == MP_OK;
}

typedef mp_error operation(const char *name);

/* -- Operations: each leaves what it found --------------------------------- */

static mp_error create_and_end(const char *name)
{
    mp_shared_memory *memory = NULL;
    mp_error err = mp_shared_memory_create(&memory, name, SIZE);

    cr_assert_eq(memory == NULL, err != MP_OK);
    if (err != MP_OK)
        return err;
    mpi_fault_disarm(NULL, NULL);
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_OK);
    cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
    return MP_OK;
}

static mp_error create_anyhow(const char *name)
{
    (void)name;
    return create_and_end(NULL);
}

static mp_error create_list(const char *name)
{
    mp_shareable_list *list = NULL;
    mp_error err =
        mp_shareable_list_create(&list, MP_LIST(1, "two", MP_NONE), name);

    cr_assert_eq(list == NULL, err != MP_OK);
    if (err != MP_OK)
        return err;
    mpi_fault_disarm(NULL, NULL);
    cr_assert_eq(mp_shareable_list_unlink(list), MP_OK);
    cr_assert_eq(mp_shareable_list_close(list), MP_OK);
    return MP_OK;
}

/* It can be short of a companion, but not of what it is about. */
static mp_error open_and_close(const char *name)
{
    mp_shared_memory *memory = NULL;
    mp_error err = mp_shared_memory_open(&memory, name);

    cr_assert_eq(memory == NULL, err != MP_OK);
    if (err != MP_OK)
        return err;
    cr_assert_geq(mp_shared_memory_size(memory), (size_t)SIZE);
    return mp_shared_memory_close(memory);
}

static mp_error open_list(const char *name)
{
    mp_shareable_list *list = NULL;
    mp_error err = mp_shareable_list_open(&list, name);

    cr_assert_eq(list == NULL, err != MP_OK);
    if (err == MP_OK) {
        cr_assert_eq(mp_shareable_list_length(list), 3U);
        err = mp_shareable_list_close(list);
    }
    return err;
}

static mp_error ask_list(const char *name)
{
    mp_shareable_list *list = NULL;
    mp_error err = mp_shareable_list_open(&list, name);
    char *text = NULL;
    mp_obj *items = NULL;

    if (err != MP_OK)
        return err;
    err = mp_shareable_list_set(list, 1, MP_BOX("new"));
    if (err == MP_OK)
        err = mp_shareable_list_format(list, &text);
    mp_free(text);
    text = NULL;
    if (err == MP_OK)
        err = mp_shareable_list_repr(list, &text);
    mp_free(text);
    if (err == MP_OK) {
        items = mp_shareable_list_items(list);
        err = mp_obj_error(items);
    }
    mp_obj_unref(items);
    mp_shareable_list_close(list);
    return err;
}

static mp_error list_names(const char *name)
{
    mp_named *all = NULL;
    size_t count = 0;
    mp_error err = mp_named_list(&all, &count);

    (void)name;
    mp_free(all);
    return err;
}

static mp_error clean_names(const char *name)
{
    (void)name;
    return mp_named_clean(NULL);
}

static mp_error send_both(const char *name)
{
    mpi_transport transport = {0};
    mpi_buffer bytes = {0};
    mp_shared_memory *memory = NULL;
    mp_obj *obj = NULL, *back = NULL;
    mp_error err = mp_shared_memory_open(&memory, name);

    if (err != MP_OK)
        return err;
    obj = MP_LIST(memory);
    err = mpi_pickle_dump(&bytes, obj, &transport);
    if (err == MP_OK)
        err = mpi_pickle_load(bytes.data, bytes.size, &transport, &back);
    mpi_buffer_free(&bytes);
    mpi_transport_free(&transport);
    mp_obj_unref(obj);
    mp_obj_unref(back);
    mp_shared_memory_close(memory);
    return err;
}

static mp_error send_list(const char *name)
{
    mpi_transport transport = {0};
    mpi_buffer bytes = {0};
    mp_shareable_list *list = NULL;
    mp_obj *obj = NULL, *back = NULL;
    mp_error err = mp_shareable_list_open(&list, name);

    if (err != MP_OK)
        return err;
    obj = MP_LIST(list);
    err = mpi_pickle_dump(&bytes, obj, &transport);
    if (err == MP_OK)
        err = mpi_pickle_load(bytes.data, bytes.size, &transport, &back);
    mpi_buffer_free(&bytes);
    mpi_transport_free(&transport);
    mp_obj_unref(obj);
    mp_obj_unref(back);
    mp_shareable_list_close(list);
    return err;
}

/* -- Failing --------------------------------------------------------------- */

/* The n-th call; true if it was reached. */
static bool fail_once(long n, mp_error injected, operation *run,
                      const char *name, size_t *failures)
{
    size_t handles = support_open_handles();
    const char *call = NULL;
    mp_error err;
    bool was_hit;

    mpi_fault_arm(n, injected);
    err = run(name);
    was_hit = mpi_fault_disarm(NULL, &call);
    cr_assert(err == MP_OK || was_hit, "failed by itself: %s",
              mp_error_message());
    if (err != MP_OK) {
        cr_assert_str_not_empty(mp_error_message());
        ++*failures;
    }
    cr_assert_eq(support_open_handles(), handles, "call %ld, %s", n, call);
    return was_hit;
}

/* Every call, with every error; how many made it fail. */
static size_t fail_everywhere(operation *run, const char *name, bool is_there)
{
    size_t count = support_scaled(ERRORS);
    size_t failures = 0;

    cr_assert_eq(run(name), MP_OK, "%s", mp_error_message());
    for (size_t which = 0; which < count; which++) {
        long n = 1;

        while (fail_once(n, errors[which], run, name, &failures)) {
            cr_assert_eq(segment_exists(name), is_there, "call %ld", n);
            cr_assert_eq(companion_exists(name), is_there, "call %ld: %s", n,
                         mp_error_message());
            cr_assert_lt(n++, MOST_CALLS);
        }
    }
    return failures;
}

Test(fault_shared_memory, a_creation_that_fails_leaves_nothing, .timeout = 120)
{
    char name[SUPPORT_NAME_SIZE];

    support_name(name);
    cr_assert_gt(fail_everywhere(create_and_end, name, false), 2U);
    cr_assert_gt(fail_everywhere(create_anyhow, name, false), 2U);
    cr_assert_gt(fail_everywhere(create_list, name, false), 2U);
}

Test(fault_shared_memory, what_is_there_survives_who_fails_to_use_it,
     .timeout = 120)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shared_memory *memory = NULL;

    cr_assert_eq(mp_shared_memory_create(&memory, support_name(name), SIZE),
                 MP_OK);
    cr_assert_gt(fail_everywhere(open_and_close, name, true), 2U);
    cr_assert_gt(fail_everywhere(send_both, name, true), 2U);
    cr_assert_gt(fail_everywhere(list_names, name, true), 0U);
    cr_assert_gt(fail_everywhere(clean_names, name, true), 0U);
    cr_assert_eq(mp_shared_memory_unlink(memory), MP_OK);
    cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
}

Test(fault_shared_memory, a_list_survives_who_fails_to_use_it, .timeout = 120)
{
    char name[SUPPORT_NAME_SIZE];
    mp_shareable_list *list = NULL;

    cr_assert_eq(mp_shareable_list_create(&list, MP_LIST(1, "two", MP_NONE),
                                          support_name(name)),
                 MP_OK);
    cr_assert_gt(fail_everywhere(open_list, name, true), 2U);
    cr_assert_gt(fail_everywhere(ask_list, name, true), 2U);
    cr_assert_gt(fail_everywhere(send_list, name, true), 2U);
    cr_assert_eq(mp_shareable_list_unlink(list), MP_OK);
    cr_assert_eq(mp_shareable_list_close(list), MP_OK);
}

/* Whatever fails, it can be unlinked again until it is. */
Test(fault_shared_memory, unlinking_is_done_or_can_be_done_again,
     .timeout = 120)
{
    char name[SUPPORT_NAME_SIZE];

    support_name(name);
    /* But for the last one: of what may not be read there is only the name. */
    for (size_t which = 0; which < ERRORS - 1; which++) {
        for (long n = 1; n < MOST_CALLS; n++) {
            mp_shared_memory *memory = NULL;
            bool was_hit;
            mp_error err;

            cr_assert_eq(mp_shared_memory_create(&memory, name, SIZE), MP_OK,
                         "%s", mp_error_message());
            mpi_fault_arm(n, errors[which]);
            err = n % 2 == 0 ? mp_shared_memory_unlink(memory)
                             : mp_named_unlink(name);
            was_hit = mpi_fault_disarm(NULL, NULL);
            if (err != MP_OK) {
                cr_assert(was_hit);
                cr_assert_str_not_empty(mp_error_message());
                err = mp_named_unlink(name);
                cr_assert(err == MP_OK || err == MP_ENOTFOUND, "%s",
                          mp_error_message());
            }
            cr_assert_eq(mp_shared_memory_close(memory), MP_OK);
            cr_assert_not(segment_exists(name), "call %ld", n);
            cr_assert_not(companion_exists(name), "call %ld", n);
            if (!was_hit)
                break;
        }
    }
}
