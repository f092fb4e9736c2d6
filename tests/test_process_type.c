/* SPDX-License-Identifier: MIT */
/* Process types: Python's classes derived from Process. */
#include "support/check.h"
#include "support/methods.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- A type whose fields are plain bytes ----------------------------------- */

typedef struct numbers {
    int64_t sum;
    double items[4];
} numbers;

static int add_up(mp_process *self)
{
    const numbers *fields = mp_process_fields(self);
    double sum = 0;

    if (self != mp_current_process())
        return 100;
    for (int i = 0; i < 4; i++)
        sum += fields->items[i];
    return (int)sum == fields->sum ? (int)fields->sum : 101;
}

static const mp_process_type numbers_type = {
    .name = "Numbers", .size = sizeof(numbers), .run = add_up};

/* -- A type whose fields own memory ---------------------------------------- */

typedef struct greeting {
    char *text;
    int64_t times;
} greeting;

/* How many there are, in each process. */
static int made, destroyed;

static char *copy_of(const char *text)
{
    char *copy = malloc(strlen(text) + 1);

    if (copy == NULL)
        abort();
    made++;
    return strcpy(copy, text);
}

static mp_obj *greeting_state(const void *fields)
{
    const greeting *self = fields;

    return MP_TUPLE(self->text, self->times);
}

static mp_error greeting_restore(void *fields, const mp_obj *state)
{
    greeting *self = fields;
    const mp_obj *item;
    const char *text;
    mp_error err = mp_obj_item(state, 0, &item);

    if (err == MP_OK)
        err = mp_obj_as_str(item, &text, NULL);
    if (err == MP_OK)
        err = mp_obj_item(state, 1, &item);
    if (err == MP_OK)
        err = mp_obj_as_int(item, &self->times);
    if (err == MP_OK)
        self->text = copy_of(text);
    return err;
}

static void greeting_destroy(void *fields)
{
    greeting *self = fields;

    if (self->text != NULL)
        destroyed++;
    free(self->text);
}

static int greet(mp_process *self)
{
    const greeting *fields = mp_process_fields(self);

    return strcmp(fields->text, "grüß dich") == 0 ? (int)fields->times : 100;
}

static const mp_process_type greeting_type = {.name = "Greeting",
                                              .size = sizeof(greeting),
                                              .run = greet,
                                              .get_state = greeting_state,
                                              .set_state = greeting_restore,
                                              .destroy = greeting_destroy};

/* -- Types that fail ------------------------------------------------------- */

static mp_obj *state_that_fails(const void *fields)
{
    (void)fields;
    return mp_obj_from_error(MP_ENOSPC);
}

static mp_obj *state_that_cannot_travel(const void *fields)
{
    return mp_obj_pointer(fields);
}

static mp_error restore_that_fails(void *fields, const mp_obj *state)
{
    (void)fields;
    (void)state;
    return MP_ENOSPC;
}

static const mp_process_type failing_type = {.name = "Failing",
                                             .size = sizeof(greeting),
                                             .run = greet,
                                             .get_state = state_that_fails,
                                             .set_state = restore_that_fails,
                                             .destroy = greeting_destroy};

static const mp_process_type pointing_type = {.name = "Pointing",
                                              .size = sizeof(greeting),
                                              .run = greet,
                                              .get_state =
                                                  state_that_cannot_travel,
                                              .set_state = restore_that_fails};

static const mp_process_type unreadable_type = {.name = "Unreadable",
                                                .size = sizeof(greeting),
                                                .run = greet,
                                                .get_state = greeting_state,
                                                .set_state = restore_that_fails,
                                                .destroy = greeting_destroy};

/* -- Helpers --------------------------------------------------------------- */

static mp_process *describe(mp_start_method method, const mp_process_type *type,
                            const void *fields)
{
    mp_process_options options = {.start_method = method};
    mp_process *child = NULL;

    cr_assert_eq(mp_process_create_type(&child, type, fields, &options), MP_OK,
                 "%s", mp_error_message());
    return child;
}

static int run(mp_process *child)
{
    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    return support_finish(child);
}

/* -- Tests ----------------------------------------------------------------- */

METHOD_TEST(process_type, fields_travel_as_they_are)
{
    numbers fields = {.sum = 10, .items = {1, 2, 3, 4}};

    cr_assert_eq(run(describe(method, &numbers_type, &fields)), 10);
}

METHOD_TEST(process_type, fields_are_copied_when_it_is_created)
{
    numbers fields = {.sum = 10, .items = {1, 2, 3, 4}};
    mp_process *child = describe(method, &numbers_type, &fields);

    fields.sum = 11;
    cr_assert_neq(mp_process_fields(child), (void *)&fields);
    cr_assert_eq(run(child), 10);
}

METHOD_TEST(process_type, fields_can_be_changed_until_it_is_started)
{
    mp_process *child = describe(method, &numbers_type, NULL);
    numbers *fields = mp_process_fields(child);

    cr_assert_eq(fields->sum, 0, "not given: all zero");
    fields->sum = 5;
    fields->items[3] = 5;
    cr_assert_eq(run(child), 5);
}

METHOD_TEST(process_type, state_stands_for_fields_with_pointers)
{
    greeting fields = {copy_of("grüß dich"), 7};

    cr_assert_eq(run(describe(method, &greeting_type, &fields)), 7);
    cr_assert_eq(made, 1);
    cr_assert_eq(destroyed, 1, "%d", destroyed);
}

METHOD_TEST(process_type, fields_are_destroyed_once_if_never_started)
{
    greeting fields = {copy_of("grüß dich"), 7};
    mp_process *child = describe(method, &greeting_type, &fields);

    cr_assert_eq(destroyed, 0);
    cr_assert_eq(mp_process_close(child), MP_OK);
    cr_assert_eq(destroyed, 1);
    cr_assert_eq(mp_process_close(child), MP_ECLOSED);
    cr_assert_eq(destroyed, 1);
}

METHOD_TEST(process_type, state_that_fails_leaves_no_process)
{
    greeting fields = {copy_of("grüß dich"), 7};
    mp_process *child = describe(method, &failing_type, &fields);

    cr_assert_eq(mp_process_start(child), MP_ENOSPC, "%s", mp_error_message());
    cr_assert_not_null(
        strstr(mp_error_message(), "get_state of Failing: no space left"), "%s",
        mp_error_message());
    cr_assert_eq(mp_process_phase(child), MP_PHASE_INITIAL);
    cr_assert_eq(mp_process_close(child), MP_OK);
    cr_assert_eq(destroyed, 1);
    cr_assert_not(support_has_children());
}

METHOD_TEST(process_type, state_that_cannot_travel_leaves_no_process)
{
    mp_process *child = describe(method, &pointing_type, NULL);

    cr_assert_eq(mp_process_start(child), MP_EPICKLE);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_INITIAL);
    cr_assert_eq(mp_process_close(child), MP_OK);
    cr_assert_not(support_has_children());
}

/* Only in a new program is the state read. */
static void expect_death_on_the_way(mp_start_method method)
{
    greeting fields = {copy_of("grüß dich"), 7};
    mp_process *child = describe(method, &unreadable_type, &fields);

    cr_assert_eq(mp_process_start(child), MP_OK, "%s", mp_error_message());
    cr_assert_eq(mp_process_join(child, 20), MP_OK);
    cr_assert_eq(mp_process_phase(child), MP_PHASE_BOOT, "%d",
                 (int)mp_process_phase(child));
    cr_assert_eq(support_finish(child), 1);
    cr_assert_eq(destroyed, 1);
}

Test(process_type, state_that_cannot_be_restored_ends_the_child)
{
    expect_death_on_the_way(MP_START_SPAWN);
    destroyed = 0;
    expect_death_on_the_way(support_method(MP_START_FORKSERVER));
}

Test(process_type, type_must_be_a_static_object)
{
    mp_process_type local = numbers_type;
    mp_process *child = describe(MP_START_SPAWN, &local, NULL);

    cr_assert_eq(mp_process_start(child), MP_EPICKLE, "%s", mp_error_message());
    cr_assert_not_null(strstr(mp_error_message(), "static object"));
    cr_assert_eq(mp_process_close(child), MP_OK);
}

Test(process_type, half_a_type_is_refused)
{
    mp_process_type no_run = {.size = 4};
    mp_process_type half = numbers_type;
    mp_process *untouched = (mp_process *)(uintptr_t)&half;
    mp_process *child = untouched;
    mp_process_options options = {.kwargs = MP_KWARGS("a", 1)};

    half.get_state = greeting_state;
    cr_assert_eq(mp_process_create_type(&child, NULL, NULL, NULL), MP_EINVAL);
    cr_assert_eq(mp_process_create_type(&child, &no_run, NULL, NULL),
                 MP_EINVAL);
    cr_assert_eq(mp_process_create_type(&child, &half, NULL, NULL), MP_EINVAL);
    cr_assert_eq(mp_process_create_type(&child, &numbers_type, NULL, &options),
                 MP_EINVAL);
    cr_assert_eq(mp_process_create_type(NULL, &numbers_type, NULL, NULL),
                 MP_EINVAL);
    cr_assert_eq(child, untouched);
}

Test(process_type, run_calls_it_here)
{
    numbers fields = {.sum = 10, .items = {1, 2, 3, 4}};
    mp_process *child = describe(MP_START_SPAWN, &numbers_type, &fields);
    int code = -1;

    cr_assert_eq(mp_process_run(child, &code), MP_OK);
    cr_assert_eq(code, 100, "it is not the current process here");
    cr_assert_eq(mp_process_close(child), MP_OK);
}

static int has_no_fields(mp_args *args)
{
    (void)args;
    return mp_process_fields(mp_current_process()) == NULL ? 0 : 1;
}

METHOD_TEST(process_type, plain_process_has_no_fields)
{
    cr_assert_eq(support_run(method, has_no_fields, NULL), 0);
}
