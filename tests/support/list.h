/* SPDX-License-Identifier: MIT */
/* Shared lists as tests write them down: by their repr. */
#ifndef SUPPORT_LIST_H
#define SUPPORT_LIST_H

#include "expect.h"

static inline mp_shared_list *make_list(size_t capacity)
{
    mp_shared_list *list = NULL;

    ok(mp_shared_list_create(&list, capacity, NULL));
    return list;
}

/* All of it, and that it is whole. */
#define holds(list, expected) holds_at((list), (expected), __LINE__)

static inline void holds_at(mp_shared_list *list, const char *expected,
                            int line)
{
    mp_obj *all = mp_shared_list_snapshot(list);
    size_t size = 0;

    ok_at(mp_obj_len(all, &size), "len", line);
    cr_assert_eq(mp_shared_list_length(list), size, "line %d", line);
    is_repr_at(all, expected, line);
    ok_at(mp_shared_list_verify(list), "verify", line);
}

/* Consumes items. */
static inline mp_shared_list *make_list_of(mp_obj *items)
{
    mp_shared_list *list = make_list(100);

    ok(mp_shared_list_extend(list, items));
    return list;
}

#endif
