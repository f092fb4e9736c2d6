/* SPDX-License-Identifier: MIT */
/* MP_VALUE() and MP_ARRAY() in a debug build: the pointer, or the end of the
 * program with a sentence. */
#include "ctype_layout.h"
#include "internal.h"
#include "typed.h"

#include <stdio.h>
#include <string.h>

#define SAME_PLACE(member)                             \
    _Static_assert(offsetof(mp_view, member) ==        \
                       offsetof(mpi_lifetime, member), \
                   "mp_view is what the header shows of mpi_lifetime")

SAME_PLACE(kind);
SAME_PLACE(has_ended);
SAME_PLACE(next);
SAME_PLACE(items);
_Static_assert(offsetof(mpi_typed, sync.lifetime) == 0, "it comes first");

/* The codes with which numbers of one kind, whatever their size, are written;
 * NULL: no number. */
static const char *kind_of(char code)
{
    static const char *const kinds[] = {"bhilq", "BHILQ", "fd", "c", "?"};

    for (size_t i = 0; code != 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (strchr(kinds[i], code) != NULL)
            return kinds[i];
    return NULL;
}

static bool is_same(const mp_ctype *left, const mp_ctype *right)
{
    const char *kind = kind_of(left->code);

    if (left->size != right->size || kind != kind_of(right->code))
        return false;
    return kind != NULL || strcmp(mpi_ctype_plain_name(left->name),
                                  mpi_ctype_plain_name(right->name)) == 0;
}

static mp_error check_view(const mpi_typed *typed, const mp_ctype *type)
{
    const mpi_lifetime *lifetime = (const mpi_lifetime *)typed;

    if (typed == NULL)
        return mpi_fail(MP_EINVAL, "the Value or Array is NULL");
    if (lifetime->kind != MPI_VALUE && lifetime->kind != MPI_ARRAY)
        return mpi_fail(MP_EINVAL, "%p is no Value and no Array",
                        (const void *)typed);
    if (lifetime->items == NULL)
        return mpi_fail(MP_ECLOSED, "the %s is closed",
                        mpi_share_kind_name((mpi_kind)lifetime->kind));
    if (!is_same(&typed->type, type))
        return mpi_fail(MP_ETYPE, "the %s is of %s, not of %s",
                        mpi_share_kind_name((mpi_kind)lifetime->kind),
                        typed->type.name, type->name);
    return MP_OK;
}

void *mp_view_check(const void *thing, mp_ctype type, const char *file,
                    int line)
{
    mp_error err = check_view(thing, &type);

    if (err != MP_OK)
        mp_check_failed(err, "MP_VALUE or MP_ARRAY", file, line);
    return ((const mpi_typed *)thing)->sync.lifetime.items;
}
