/* SPDX-License-Identifier: MIT */
/*
 * The arguments of a target. The short accessors end the process as an
 * uncaught TypeError does; they all go through expect().
 */
#include "state.h"
#include "task.h"

#include <multiproc/args.h>

#include <stdio.h>

size_t mp_args_count(const mp_args *args)
{
    size_t count = 0;

    if (mp_obj_len(args->tuple, &count) != MP_OK)
        return 0;
    return count;
}

mp_error mp_args_get(const mp_args *args, size_t index, const mp_obj **out)
{
    if (index >= mp_args_count(args))
        return mpi_fail(MP_EINDEX, "%s() missing argument %zu", args->name,
                        index);
    return mp_obj_item(args->tuple, (int64_t)index, out);
}

mp_error mp_kwargs_get(const mp_args *args, const char *name,
                       const mp_obj **out)
{
    if (mp_obj_get_str(args->dict, name, out) != MP_OK)
        return mpi_fail(MP_EKEY, "%s() missing argument '%s'", args->name,
                        name);
    return MP_OK;
}

const mp_obj *mp_args_tuple(const mp_args *args)
{
    return args->tuple;
}

const mp_obj *mp_args_dict(const mp_args *args)
{
    return args->dict;
}

/* Which argument a message is about. */
typedef struct place {
    const mp_args *args;
    const char *name; /* NULL: by position */
    size_t index;
} place;

static void expect(mp_error err, const place *where)
{
    if (err >= MP_OK)
        return;
    if (where->name != NULL)
        mpi_context(err, "%s() argument '%s'", where->args->name, where->name);
    else if (err != MP_EINDEX)
        mpi_context(err, "%s() argument %zu", where->args->name, where->index);
    mpi_task_escape(err, "");
    mpi_complain("TypeError: ");
    mp_exit(1);
}

static const mp_obj *positional(const place *where)
{
    const mp_obj *obj = NULL;

    expect(mp_args_get(where->args, where->index, &obj), where);
    return obj;
}

/* Converters and the two accessors for each type, all of one shape. */
#define ACCESSORS(word, type, convert)                                         \
    type mp_arg_##word(const mp_args *args, size_t index)                      \
    {                                                                          \
        place where = {args, NULL, index};                                     \
        type found = 0;                                                        \
        expect(convert(positional(&where), &found), &where);                   \
        return found;                                                          \
    }                                                                          \
    type mp_kwarg_##word(const mp_args *args, const char *name, type fallback) \
    {                                                                          \
        place where = {args, name, 0};                                         \
        type found = fallback;                                                 \
        const mp_obj *obj;                                                     \
        if (mp_kwargs_get(args, name, &obj) == MP_OK)                          \
            expect(convert(obj, &found), &where);                              \
        return found;                                                          \
    }

static mp_error as_str(const mp_obj *obj, const char **out)
{
    return mp_obj_as_str(obj, out, NULL);
}

typedef const char *text;
typedef const mp_obj *object;
typedef mp_connection *connection;
typedef mp_lock *lock;
typedef mp_rlock *rlock;
typedef mp_semaphore *semaphore;
typedef mp_event *event;
typedef mp_condition *condition;
typedef mp_barrier *barrier;
typedef mp_value *value;
typedef mp_array *array;
typedef mp_shareable_list *shareable_list;
typedef mp_shared_dict *shared_dict;
typedef mp_shared_list *shared_list;
typedef mp_shared_memory *shared_memory;
typedef mp_queue *queue;

static mp_error as_obj(const mp_obj *obj, const mp_obj **out)
{
    *out = obj;
    return MP_OK;
}

ACCESSORS(int, int64_t, mp_obj_as_int)
ACCESSORS(float, double, mp_obj_as_float)
ACCESSORS(bool, bool, mp_obj_as_bool)
ACCESSORS(str, text, as_str)
ACCESSORS(obj, object, as_obj)
ACCESSORS(function, mp_function, mp_obj_as_function)
ACCESSORS(connection, connection, mp_obj_as_connection)
ACCESSORS(lock, lock, mp_obj_as_lock)
ACCESSORS(rlock, rlock, mp_obj_as_rlock)
ACCESSORS(semaphore, semaphore, mp_obj_as_semaphore)
ACCESSORS(event, event, mp_obj_as_event)
ACCESSORS(condition, condition, mp_obj_as_condition)
ACCESSORS(barrier, barrier, mp_obj_as_barrier)
ACCESSORS(value, value, mp_obj_as_value)
ACCESSORS(array, array, mp_obj_as_array)
ACCESSORS(shareable_list, shareable_list, mp_obj_as_shareable_list)
ACCESSORS(shared_dict, shared_dict, mp_obj_as_shared_dict)
ACCESSORS(shared_list, shared_list, mp_obj_as_shared_list)
ACCESSORS(shared_memory, shared_memory, mp_obj_as_shared_memory)
ACCESSORS(queue, queue, mp_obj_as_queue)

const void *mp_kwarg_bytes(const mp_args *args, const char *name, size_t *size)
{
    place where = {args, name, 0};
    const void *data = NULL;
    const mp_obj *obj;

    if (mp_kwargs_get(args, name, &obj) == MP_OK)
        expect(mp_obj_as_bytes(obj, &data, size), &where);
    return data;
}

const void *mp_arg_bytes(const mp_args *args, size_t index, size_t *size)
{
    place where = {args, NULL, index};
    const void *data = NULL;

    expect(mp_obj_as_bytes(positional(&where), &data, size), &where);
    return data;
}
