/* SPDX-License-Identifier: MIT */
/*
 * A storm on a ShareableList with a Lock beside it: an item is what was set
 * last, or None if its writer was killed while it set it; and then whoever
 * acquires the lock next is told.
 */
#include "torture.h"

#include <stdio.h>
#include <string.h>

enum { WORKERS = 6, ITEMS = 12, MOST_TEXT = 40 };

/* Whose all is told by its number: a text of so many letters, or an int. */
static mp_obj *make_item(uint32_t number)
{
    char text[MOST_TEXT + 12];
    size_t size;

    if (number % 2 == 0)
        return mp_obj_int((int64_t)number << 32 | (number ^ 0x5a5a5a5a));
    size = (size_t)snprintf(text, sizeof(text), "%u:", (unsigned)number);
    memset(text + size, 'a' + (int)(number % 26), number % MOST_TEXT);
    text[size + number % MOST_TEXT] = 0;
    return mp_obj_str(text);
}

static bool is_whole(const mp_obj *item)
{
    const char *text = NULL;
    unsigned number = 0;
    int64_t value = 0;
    mp_obj *expected;
    bool it_is;

    if (mp_obj_as_int(item, &value) == MP_OK)
        number = (unsigned)(value >> 32);
    else if (mp_obj_as_str(item, &text, NULL) != MP_OK ||
             sscanf(text, "%u:", &number) != 1)
        return false;
    expected = make_item(number);
    it_is = mp_obj_equal(item, expected);
    mp_obj_unref(expected);
    return it_is;
}

/* With the lock held, which was acquired with err. */
static void look_at(mp_shareable_list *list, mp_error err)
{
    mp_obj *all = mp_shareable_list_items(list);
    int broken = 0;

    ok(mp_obj_error(all));
    for (int64_t i = 0; i < ITEMS; i++) {
        const mp_obj *item;

        ok(mp_obj_item(all, i, &item));
        if (mp_obj_type(item) == MP_TYPE_NONE) {
            broken++;
            ok(mp_shareable_list_set(list, i, make_item((uint32_t)i)));
        } else {
            cr_assert(is_whole(item), "item %d is torn", (int)i);
        }
    }
    mp_obj_unref(all);
    cr_assert_leq(broken, err == MP_OWNER_DIED ? 1 : 0,
                  "%d items are None, and %s", broken,
                  err == MP_OWNER_DIED ? "only one was set" : "nobody died");
}

static mp_error acquire(mp_lock *lock)
{
    mp_error err = mp_lock_acquire(lock, TORTURE_PATIENCE);

    if (err != MP_OWNER_DIED)
        ok(err);
    return err;
}

/* (list, lock, seed) */
static int set_items(mp_args *args)
{
    mp_shareable_list *list = NULL;
    mp_lock *lock = mp_arg_lock(args, 1);
    uint64_t state = (uint64_t)mp_arg_int(args, 2);

    mp_check(mp_shareable_list_open(&list, mp_arg_str(args, 0)));
    for (;;) {
        look_at(list, acquire(lock));
        for (int i = 0; i < 3; i++)
            ok(mp_shareable_list_set(list, torture_draw(&state, ITEMS),
                                     make_item(torture_draw(&state, 1 << 30))));
        ok(mp_lock_release(lock));
    }
}

/* Room for the longest text each. */
static mp_obj *first_items(void)
{
    mp_obj *list = MP_LIST();

    for (int i = 0; i < ITEMS; i++)
        ok(mp_obj_append(list, mp_obj_str("0123456789012345678901234567890123"
                                          "01234567890123456789")));
    return list;
}

static mp_process *start(const storm_round *round, const char *name,
                         mp_lock *lock)
{
    return torture_start(round->method, set_items,
                         MP_ARGS(name, lock, torture_seed()));
}

static void check(mp_shareable_list *list, mp_lock *lock)
{
    int64_t began = mpos_now();

    look_at(list, acquire(lock));
    ok(mp_lock_release(lock));
    torture_recovered(mpos_now() - began);
    torture_checked(ITEMS);
}

static void storm_shareable(const storm_round *round)
{
    mp_process *workers[WORKERS];
    mp_shareable_list *list = NULL;
    mp_shared_memory *memory = NULL;
    char name[TORTURE_NAME_SIZE];
    mp_lock *lock = NULL;

    torture_name(name);
    ok(mp_lock_create(&lock));
    ok(mp_shareable_list_create(&list, first_items(), name));
    for (int64_t i = 0; i < ITEMS; i++)
        ok(mp_shareable_list_set(list, i, make_item((uint32_t)i)));
    for (int i = 0; i < WORKERS; i++)
        workers[i] = start(round, name, lock);
    for (int i = 0; i < round->kills; i++) {
        uint32_t place = torture_chance(WORKERS);

        torture_linger(1);
        torture_kill(workers[place], "writer");
        check(list, lock);
        workers[place] = start(round, name, lock);
    }
    for (int i = 0; i < WORKERS; i++)
        torture_kill(workers[i], "writer");
    check(list, lock);
    ok(mp_shared_memory_open(&memory, name));
    ok(mp_shared_memory_unlink(memory));
    ok(mp_shared_memory_close(memory));
    ok(mp_shareable_list_close(list));
    ok(mp_lock_close(lock));
}

const storm torture_shareable[] = {
    {"shareable",
     "writers of a ShareableList with a Lock: an item is whole, or None and "
     "the next owner told",
     15, NULL, storm_shareable},
    {.name = NULL},
};
