/* SPDX-License-Identifier: MIT */
/* Payloads: room for them is always enough, and never too much; what is written
 * is what the pickle writer writes. */
#include "support/expect.h"
#include "support/fault.h"
#include "support/system.h"

#include "obj.h"
#include "payload.h"
#include "pickle.h"

#include <stdlib.h>
#include <string.h>

enum {
    GUARD = 64, /* bytes behind the room, which must stay what they were */
    MILLION = 1000000,
    TRIES = 3000,
};

/* -- One object ------------------------------------------------------------ */

static mpi_buffer dump(const mp_obj *obj)
{
    mpi_buffer out = {0};

    ok(mpi_pickle_dump(&out, obj, NULL));
    return out;
}

/* The room that was asked for is beyond what is needed by so much at most. */
static size_t slack_of(size_t size)
{
    return 32 + size / 512;
}

static void write_and_compare(mpi_payload *payload, const mpi_buffer *expected)
{
    unsigned char *room = malloc(payload->most + GUARD);
    size_t size = 0;

    cr_assert_not_null(room);
    memset(room, 0xa5, payload->most + GUARD);
    ok(mpi_payload_write(payload, room, &size));
    cr_assert_eq(size, expected->size);
    cr_assert_eq(memcmp(room, expected->data, size), 0);
    for (size_t i = 0; i < GUARD; i++)
        cr_assert_eq(room[payload->most + i], 0xa5);
    free(room);
}

/* Consumes obj. */
#define travels(obj) travels_at((obj), true, __LINE__)
/* The same where much is shared, of which a reference may be short. */
#define travels_roomily(obj) travels_at((obj), false, __LINE__)

static void travels_at(mp_obj *obj, bool is_tight, int line)
{
    mpi_buffer expected = dump(obj);
    mpi_payload payload;

    ok_at(mpi_payload_begin(&payload, obj), "begin", line);
    cr_assert_geq(payload.most, expected.size, "line %d", line);
    if (is_tight)
        cr_assert_leq(payload.most, expected.size + slack_of(expected.size),
                      "line %d: %zu for %zu", line, payload.most,
                      expected.size);
    write_and_compare(&payload, &expected);
    mpi_payload_end(&payload);
    mpi_buffer_free(&expected);
    mp_obj_unref(obj);
}

/* -- Kinds ----------------------------------------------------------------- */

static mp_obj *text_of(size_t size, bool is_bytes)
{
    char *text = malloc(size + 1);
    mp_obj *obj;

    cr_assert_not_null(text);
    memset(text, 'x', size);
    obj = is_bytes ? mp_obj_bytes(text, size) : mp_obj_strn(text, size);
    free(text);
    return obj;
}

Test(payload, constants_and_numbers)
{
    static const int64_t numbers[] = {
        0,          1,          255,         256,         65535,
        65536,      -1,         -256,        INT32_MAX,   INT32_MIN,
        2147483648, 4294967296, -2147483649, INT64_MAX,   INT64_MIN,
        1LL << 39,  1LL << 47,  1LL << 55,   -(1LL << 39)};

    travels(mp_obj_none());
    travels(mp_obj_bool(true));
    travels(mp_obj_bool(false));
    travels(mp_obj_float(1.5));
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        travels(mp_obj_int(numbers[i]));
}

Test(payload, strings_and_bytes_of_any_size)
{
    static const size_t sizes[] = {0,     1,     255,   256,    65534,
                                   65535, 65536, 65537, 131072, 1 << 21};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        travels(text_of(sizes[i], false));
        travels(text_of(sizes[i], true));
        travels(MP_LIST(text_of(sizes[i], true), text_of(sizes[i], true)));
        travels(MP_TUPLE(1, text_of(sizes[i], true), 2,
                         text_of(sizes[i], false), 3));
    }
}

static mp_obj *list_of(size_t count, int64_t step)
{
    mp_obj *list = mp_obj_list(NULL, 0);

    for (size_t i = 0; i < count; i++)
        ok(mp_obj_append(list, mp_obj_int((int64_t)i * step)));
    return list;
}

static mp_obj *dict_of(size_t count)
{
    mp_obj *dict = mp_obj_dict(NULL, 0);

    for (size_t i = 0; i < count; i++)
        ok(mp_obj_set_item(dict, mp_obj_int((int64_t)i), mp_obj_none()));
    return dict;
}

static mp_obj *set_of(size_t count)
{
    mp_obj *set = mp_obj_set(NULL, 0);

    for (size_t i = 0; i < count; i++)
        ok(mp_obj_add(set, mp_obj_int((int64_t)i)));
    return set;
}

Test(payload, containers_of_any_length)
{
    static const size_t counts[] = {0,    1,    2,    3,    4,    999,
                                    1000, 1001, 2000, 2001, 30000};

    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        mp_obj *list = list_of(counts[i], 1);
        const mpi_container *items = mpi_as_container(list);

        travels(dict_of(counts[i]));
        travels(set_of(counts[i]));
        for (size_t j = 0; j < items->size; j++)
            (void)mp_obj_ref(items->items[j]);
        travels(mp_obj_tuple(items->items, items->size));
        travels(list);
        travels(list_of(counts[i], 1LL << 40));
    }
}

Test(payload, what_is_deep)
{
    mp_obj *list = MP_LIST(1), *tuple = MP_TUPLE(1);

    for (int i = 0; i < 900; i++) {
        list = MP_LIST(list);
        tuple = MP_TUPLE(tuple);
    }
    travels(list);
    travels(tuple);
}

/* -- What is shared -------------------------------------------------------- */

Test(payload, what_is_there_many_times_takes_room_once)
{
    mp_obj *text = text_of(10000, false);
    mp_obj *list = mp_obj_list(NULL, 0);
    mpi_payload payload;

    for (int i = 0; i < 10000; i++)
        ok(mp_obj_append(list, mp_obj_ref(text)));
    ok(mpi_payload_begin(&payload, list));
    cr_assert_lt(payload.most, (size_t)10000 + 6 * 10000);
    mpi_payload_end(&payload);
    mp_obj_unref(text);
    travels_roomily(list);
}

Test(payload, what_doubles_at_each_level_does_not_take_for_ever)
{
    mp_obj *it = MP_LIST(1);

    for (int i = 0; i < 200; i++)
        it = i % 2 == 0 ? MP_TUPLE(it, mp_obj_ref(it))
                        : MP_LIST(it, mp_obj_ref(it));
    travels_roomily(it);
}

Test(payload, the_object_itself_may_have_other_owners)
{
    mp_obj *list = list_of(1000, 1);
    mp_obj *other = mp_obj_ref(list);

    travels(list);
    mp_obj_unref(other);
}

/* -- What has to be written first ------------------------------------------ */

static int target(mp_args *args)
{
    (void)args;
    return 0;
}

Test(payload, functions_are_written_beforehand)
{
    mp_obj *pair = MP_TUPLE(mp_obj_function(target), "target");
    size_t most = 0;

    cr_assert_eq(mpi_pickle_bound(pair, &most), MP_PENDING);
    travels(pair);
}

Test(payload, what_can_not_be_pickled_is_told_at_once)
{
    mp_obj *list = MP_LIST(1, mp_obj_pointer("x"), 2);
    mpi_payload payload;

    fails(mpi_payload_begin(&payload, list), MP_EPICKLE);
    mpi_payload_end(&payload);
    fails(mpi_payload_begin(&payload, mp_obj_from_error(MP_EKEY)), MP_EKEY);
    mp_obj_unref(list);
}

/* -- Room that is too small ------------------------------------------------ */

Test(payload, too_little_room_is_an_error_and_never_an_overrun)
{
    mp_obj *item = MP_LIST(list_of(300, 1), text_of(300, true), "abc", 1.5,
                           dict_of(3), MP_TUPLE(1, 2, 3, 4));
    mpi_payload payload;
    size_t most, size = 77;

    ok(mpi_payload_begin(&payload, item));
    most = payload.most;
    for (size_t less = most - 1000; less < most; less++) {
        unsigned char *room = malloc(less);
        mp_error err;

        cr_assert_not_null(room);
        payload.most = less;
        size = 77;
        err = mpi_payload_write(&payload, room, &size);
        if (err == MP_OK)
            cr_assert_leq(size, less);
        else
            cr_assert_eq(size, 77U);
        cr_assert(err == MP_OK || err == MP_EPICKLE);
        free(room);
    }
    payload.most = 1;
    fails(mpi_payload_write(&payload, &size, &size), MP_EPICKLE);
    mpi_payload_end(&payload);
    mp_obj_unref(item);
}

Test(payload, a_fixed_buffer_neither_grows_nor_is_freed)
{
    unsigned char room[8];
    mpi_buffer out = {.data = room, .capacity = sizeof(room), .is_fixed = true};

    mpi_buffer_append(&out, "12345678", 8);
    cr_assert_not(out.has_failed);
    mpi_buffer_append(&out, "9", 1);
    cr_assert(out.has_failed);
    cr_assert_eq(out.size, 8U);
    mpi_buffer_free(&out);
    cr_assert_null(out.data);
}

/* -- Anything -------------------------------------------------------------- */

static uint32_t chance(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525 + 1013904223;
    return (*state >> 8) % below;
}

static mp_obj *random_leaf(uint32_t *state)
{
    switch (chance(state, 8)) {
    case 0:
        return mp_obj_none();
    case 1:
        return mp_obj_bool(chance(state, 2) == 0);
    case 2:
        return mp_obj_float(chance(state, 1000) / 8.0);
    case 3:
        return text_of(chance(state, 50) == 0 ? chance(state, 100000)
                                              : chance(state, 300),
                       chance(state, 2) == 0);
    default:
        return mp_obj_int(
            ((int64_t)chance(state, 1 << 20) << 20 | chance(state, 1 << 20)) *
                (chance(state, 2) == 0 ? 1 : -1) >>
            chance(state, 40));
    }
}

static mp_obj *random_object(uint32_t *state, uint32_t depth);

/* Some of them once more. */
static mp_obj *random_sequence(uint32_t *state, uint32_t depth)
{
    uint32_t count = chance(state, chance(state, 200) == 0 ? 1200 : 6);
    mp_obj *list = mp_obj_list(NULL, 0);
    const mpi_container *items = mpi_as_container(list);
    mp_obj *tuple;

    for (uint32_t i = 0; i < count; i++) {
        mp_obj *item = random_object(state, depth);

        if (chance(state, 4) == 0)
            ok(mp_obj_append(list, mp_obj_ref(item)));
        ok(mp_obj_append(list, item));
    }
    if (chance(state, 2) == 0)
        return list;
    for (size_t i = 0; i < items->size; i++)
        (void)mp_obj_ref(items->items[i]);
    tuple = mp_obj_tuple(items->items, items->size);
    mp_obj_unref(list);
    return tuple;
}

static mp_obj *random_table(uint32_t *state, uint32_t depth)
{
    uint32_t count = chance(state, chance(state, 200) == 0 ? 1200 : 6);
    bool is_dict = chance(state, 2) == 0;
    mp_obj *table = is_dict ? mp_obj_dict(NULL, 0) : mp_obj_set(NULL, 0);

    for (uint32_t i = 0; i < count; i++) {
        mp_obj *key = random_leaf(state);

        if (is_dict)
            ok(mp_obj_set_item(table, key, random_object(state, depth)));
        else
            ok(mp_obj_add(table, key));
    }
    return table;
}

static mp_obj *random_object(uint32_t *state, uint32_t depth)
{
    uint32_t kind = depth == 0 ? 0 : chance(state, 6);

    if (kind < 3)
        return random_leaf(state);
    return kind < 5 ? random_sequence(state, depth - 1)
                    : random_table(state, depth - 1);
}

Test(payload, whatever_there_is)
{
    uint32_t state = 1;
    size_t tries = support_scaled(TRIES);

    for (size_t i = 0; i < tries; i++)
        travels_roomily(random_object(&state, 4));
}

/* -- Memory, time ---------------------------------------------------------- */

static mp_error begin_and_write(const mp_obj *obj)
{
    static unsigned char room[4096];
    mpi_payload payload;
    size_t size = 0;
    mp_error err = mpi_payload_begin(&payload, obj);

    if (err == MP_OK && payload.most <= sizeof(room))
        err = mpi_payload_write(&payload, room, &size);
    mpi_payload_end(&payload);
    return err;
}

Test(payload, without_memory_it_fails_and_leaves_nothing)
{
    mp_obj *text = text_of(10, false);
    mp_obj *item =
        MP_TUPLE(mp_obj_ref(text), mp_obj_ref(text), mp_obj_function(target));
    mp_obj *shared = MP_TUPLE(mp_obj_ref(text), mp_obj_ref(text));
    fault it = {.error = MP_ENOMEM}, other = {.error = MP_ENOMEM};

    while (!it.has_ended) {
        fault_arm(&it);
        (void)fault_failed(&it, begin_and_write(item));
    }
    cr_assert_gt(it.failures, 0U);
    while (!other.has_ended) {
        fault_arm(&other);
        (void)fault_failed(&other, begin_and_write(shared));
    }
    cr_assert_geq(other.failures, 2U, "the bound's memo, and the pickle's");
    mp_obj_unref(text);
    mp_obj_unref(item);
    mp_obj_unref(shared);
}

Test(payload, a_million_small_numbers_are_measured_in_a_moment)
{
    mp_obj *list = list_of(MILLION, 1);
    int64_t best = INT64_MAX;
    size_t most = 0;

    for (int i = 0; i < 5; i++) {
        int64_t begun = mpos_now(), took;

        ok(mpi_pickle_bound(list, &most));
        took = mpos_now() - begun;
        best = took < best ? took : best;
    }
    cr_log_info("%.2f ms", (double)best / 1e6);
    if (!support_is_watched() && support_scaled(MILLION) == MILLION)
        cr_assert_lt(best, 50000000, "%.2f ms", (double)best / 1e6);
    travels(list);
}
