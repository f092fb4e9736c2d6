/* SPDX-License-Identifier: MIT */
/* Shared dicts as tests write them down: by their repr. */
#ifndef SUPPORT_DICT_H
#define SUPPORT_DICT_H

#include "expect.h"

static inline mp_shared_dict *make_dict(size_t capacity)
{
    mp_shared_dict *dict = NULL;

    ok(mp_shared_dict_create(&dict, capacity, NULL));
    return dict;
}

/* All of it, and that it is whole. */
#define holds(dict, expected) holds_at((dict), (expected), __LINE__)

static inline void holds_at(mp_shared_dict *dict, const char *expected,
                            int line)
{
    mp_obj *all = mp_shared_dict_snapshot(dict);
    size_t size = 0;

    ok_at(mp_obj_len(all, &size), "len", line);
    cr_assert_eq(mp_shared_dict_length(dict), size, "line %d", line);
    is_repr_at(all, expected, line);
    ok_at(mp_shared_dict_verify(dict), "verify", line);
}

#endif
