/* SPDX-License-Identifier: MIT */
/* The pickle reader's opcodes that make and fill containers. */
#include "pickle_load.h"

/* Small lists and dicts need no second block. */
enum { ROOM = 6 };

mp_error mpi_load_empty_list(mpi_loader *from)
{
    return mpi_load_push(from, mpi_container_new(MP_TYPE_LIST, ROOM));
}

mp_error mpi_load_empty_dict(mpi_loader *from)
{
    return mpi_load_push(from, mpi_container_new(MP_TYPE_DICT, ROOM));
}

mp_error mpi_load_empty_set(mpi_loader *from)
{
    return mpi_load_push(from, mpi_container_new(MP_TYPE_SET, ROOM));
}

mp_error mpi_load_empty_tuple(mpi_loader *from)
{
    return mpi_load_push(from, mpi_container_new(MP_TYPE_TUPLE, 0));
}

/* -- What a container is made of stands above the mark --------------------- */

typedef mp_obj *constructor(mp_obj *const *items, size_t count);

static mp_error make_from(mpi_loader *from, constructor *make, size_t first)
{
    size_t count = from->depth - first;

    from->depth = first;
    return mpi_load_push(from, make(from->stack + first, count));
}

static mp_error make_marked(mpi_loader *from, constructor *make)
{
    size_t first = 0;
    mp_error err = mpi_load_unmark(from, &first);

    return err == MP_OK ? make_from(from, make, first) : err;
}

mp_error mpi_load_list(mpi_loader *from)
{
    return make_marked(from, mp_obj_list);
}

mp_error mpi_load_tuple(mpi_loader *from)
{
    return make_marked(from, mp_obj_tuple);
}

mp_error mpi_load_dict(mpi_loader *from)
{
    return make_marked(from, mp_obj_dict);
}

mp_error mpi_load_frozenset(mpi_loader *from)
{
    return make_marked(from, mp_obj_set);
}

static mp_error load_short_tuple(mpi_loader *from, size_t count)
{
    if (from->depth - from->fence < count)
        return mpi_load_underflow();
    return make_from(from, mp_obj_tuple, from->depth - count);
}

mp_error mpi_load_tuple1(mpi_loader *from)
{
    return load_short_tuple(from, 1);
}

mp_error mpi_load_tuple2(mpi_loader *from)
{
    return load_short_tuple(from, 2);
}

mp_error mpi_load_tuple3(mpi_loader *from)
{
    return load_short_tuple(from, 3);
}

/* -- Filling --------------------------------------------------------------- */

/* Moves items from the stack into a dict or set. */
static mp_error move_entries(mpi_loader *from, mp_obj *target, size_t first)
{
    size_t stride = mpi_heap_type(target) == MP_TYPE_DICT ? 2 : 1;
    mp_error err = MP_OK;

    for (size_t i = first; i < from->depth && err == MP_OK; i += stride) {
        mp_obj *key = from->stack[i];
        mp_obj *value = from->stack[i + stride - 1];

        /* What is consumed must not be dropped again after a failure. */
        from->stack[i] = mp_obj_none();
        from->stack[i + stride - 1] = mp_obj_none();
        err = stride == 2 ? mpi_dict_set(target, key, value)
                          : mpi_set_add(target, key);
    }
    mpi_load_drop_to(from, first);
    return err;
}

/*
 * Puts what is on the stack from first on into the container below it. Items
 * of an unknown class (a deque, a subclass of dict) are dropped.
 */
static mp_error fill(mpi_loader *from, mp_type type, size_t first)
{
    size_t count = from->depth - first;
    mp_obj *target;

    if (first <= from->fence || (type == MP_TYPE_DICT && count % 2 != 0))
        return mpi_load_underflow();
    target = from->stack[first - 1];
    if (mp_obj_type(target) == MP_TYPE_OPAQUE) {
        mpi_load_drop_to(from, first);
        return MP_OK;
    }
    if (mp_obj_type(target) != type)
        return mpi_fail(MP_EUNPICKLE, "a pickle puts items into %s",
                        mp_obj_type_name(target));
    if ((target->flags & MPI_FROZEN) != 0)
        return mpi_fail(MP_EUNPICKLE, "can't unpickle a %s that holds itself",
                        mp_obj_type_name(target));
    if (type != MP_TYPE_LIST)
        return move_entries(from, target, first);
    from->depth = first;
    return mpi_extend(target, from->stack + first, count);
}

static mp_error fill_marked(mpi_loader *from, mp_type type)
{
    size_t first = 0;
    mp_error err = mpi_load_unmark(from, &first);

    return err == MP_OK ? fill(from, type, first) : err;
}

mp_error mpi_load_append(mpi_loader *from)
{
    if (from->depth - from->fence < 2)
        return mpi_load_underflow();
    return fill(from, MP_TYPE_LIST, from->depth - 1);
}

mp_error mpi_load_appends(mpi_loader *from)
{
    return fill_marked(from, MP_TYPE_LIST);
}

mp_error mpi_load_setitem(mpi_loader *from)
{
    if (from->depth - from->fence < 3)
        return mpi_load_underflow();
    return fill(from, MP_TYPE_DICT, from->depth - 2);
}

mp_error mpi_load_setitems(mpi_loader *from)
{
    return fill_marked(from, MP_TYPE_DICT);
}

mp_error mpi_load_additems(mpi_loader *from)
{
    return fill_marked(from, MP_TYPE_SET);
}
