/* SPDX-License-Identifier: MIT */
/* From what a slot of the board holds to a value or a failure for each item. */
#include "pickle.h"
#include "pool_worker.h"

#include <stdlib.h>
#include <string.h>

/* -- Functions ------------------------------------------------------------- */

static mp_error unpack_function(mpi_known *it)
{
    const mp_obj *item = NULL;
    mp_function function = NULL;
    mp_error err = mp_obj_item(it->pair, 0, &item);

    if (err == MP_OK)
        err = mp_obj_as_function(item, &function);
    if (err == MP_OK)
        err = mp_obj_item(it->pair, 1, &item);
    if (err == MP_OK)
        err = mp_obj_as_str(item, &it->name, NULL);
    /* The type it has in a program; the other one is how functions travel. */
    it->function = (mp_task_function)(void (*)(void))function;
    if (err != MP_OK)
        return mpi_context(MP_EUNPICKLE, "this is no function of a task");
    return MP_OK;
}

static void forget_function(mpi_known *it)
{
    free(it->bytes);
    mp_obj_unref(it->pair);
    *it = (mpi_known){0};
}

static mp_error learn_function(mpi_known *it, const void *bytes, size_t size)
{
    mp_error err;

    forget_function(it);
    err = mpi_pickle_load(bytes, size, NULL, &it->pair);
    if (err == MP_OK)
        err = unpack_function(it);
    if (err != MP_OK)
        goto fail;
    it->bytes = mpi_malloc(size);
    if (it->bytes == NULL) {
        err = mpi_no_memory();
        goto fail;
    }
    memcpy(it->bytes, bytes, size);
    it->size = size;
    return MP_OK;

fail:
    forget_function(it);
    return err;
}

static bool is_known(const mpi_known *it, const void *bytes, size_t size)
{
    return it->size == size && size != 0 && memcmp(it->bytes, bytes, size) == 0;
}

static mp_error find_function(mpi_worker *it, const void *bytes, size_t size)
{
    const mpi_known *found;

    if (!is_known(&it->functions[it->last], bytes, size)) {
        unsigned i = 0;

        while (i < MPI_KNOWN_FUNCTIONS &&
               !is_known(&it->functions[i], bytes, size))
            i++;
        if (i == MPI_KNOWN_FUNCTIONS) {
            mp_error err =
                learn_function(&it->functions[it->oldest], bytes, size);

            if (err != MP_OK)
                return err;
            i = it->oldest;
            it->oldest = (i + 1) % MPI_KNOWN_FUNCTIONS;
        }
        it->last = i;
    }
    found = &it->functions[it->last];
    it->function = found->function;
    it->args.name = found->name;
    return MP_OK;
}

/* -- Calling --------------------------------------------------------------- */

/* In args.tuple are its arguments. */
static mp_error call(mpi_worker *it, mp_obj **value)
{
    mp_error err = mpi_task_call(it->function, &it->args, value, &it->raised);

    if (err != MP_OK || mpi_depth(*value) <= MPI_VALUE_DEPTH)
        return err;
    mp_obj_unref(*value);
    return mpi_worker_raise_last(
        it, mpi_fail(MP_EOVERFLOW, "the result is nested deeper than %d levels",
                     (int)MPI_VALUE_DEPTH));
}

/* A task that has kept its arguments has them for itself from now on. */
static void take_out(mpi_worker *it, mp_obj *item)
{
    mp_obj *single = it->single;

    if (!mpi_has_one_owner(single)) {
        it->single = NULL;
        mp_obj_unref(single);
        return;
    }
    mpi_mutable(single)->items[0] = mp_obj_none();
    if (mpi_atomic32_load(&single->hash) != 0)
        mpi_atomic32_store(&single->hash, 0);
    mp_obj_unref(item);
}

/* Consumes the item. The tuple around it is the same for all of them. */
static mp_error call_with_item(mpi_worker *it, mp_obj *item, mp_obj **value)
{
    mp_error err;

    if (it->single == NULL) {
        mp_obj *none = mp_obj_none();
        mp_obj *single = mp_obj_tuple(&none, 1);

        err = mp_obj_error(single);
        if (err != MP_OK) {
            mp_obj_unref(item);
            return mpi_worker_raise_last(it, err);
        }
        it->single = single;
    }
    mpi_mutable(it->single)->items[0] = item;
    it->single->depth = (uint16_t)(mpi_depth(item) + 1);
    it->args.tuple = it->single;
    err = call(it, value);
    take_out(it, item);
    return err;
}

static mp_obj *as_tuple(const mp_obj *list)
{
    const mpi_container *from = mpi_as_container(list);
    mp_obj *tuple = mpi_container_new(MP_TYPE_TUPLE, from->size);
    mp_error err = mp_obj_error(tuple);

    if (err != MP_OK)
        return tuple;
    for (size_t i = 0; i < from->size; i++)
        (void)mp_obj_ref(from->items[i]);
    err = mpi_extend(tuple, from->items, from->size);
    if (err == MP_OK)
        return tuple;
    mp_obj_unref(tuple);
    return mpi_obj_failed(err);
}

/* Consumes the item. */
static mp_error call_with_items(mpi_worker *it, mp_obj *item, mp_obj **value)
{
    mp_obj *tuple = NULL;
    mp_error err;

    if (mp_obj_type(item) == MP_TYPE_TUPLE)
        tuple = mp_obj_ref(item);
    else if (mp_obj_type(item) == MP_TYPE_LIST)
        tuple = as_tuple(item);
    else
        tuple = mpi_obj_failed(
            mpi_fail(MP_ETYPE, "%s() is to be given a tuple or a list, not %s",
                     it->args.name, mp_obj_type_name(item)));
    mp_obj_unref(item);
    err = mp_obj_error(tuple);
    if (err != MP_OK)
        return mpi_worker_raise_last(it, err);
    it->args.tuple = tuple;
    err = call(it, value);
    mp_obj_unref(tuple);
    return err;
}

static mp_error misshapen(void)
{
    return mpi_fail(MP_EUNPICKLE, "these are no arguments of a task");
}

/* There is room for it, and it is not too deep. */
static inline void add_value(mpi_container *values, mp_obj *value)
{
    uint32_t depth = mpi_depth(value) + 1;

    values->items[values->size++] = value;
    if (values->head.depth < depth)
        values->head.depth = (uint16_t)depth;
}

/* Each item leaves the list when its turn has come. */
static mp_error run_chunk(mpi_worker *it, mpi_work kind, uint32_t count,
                          mp_obj *items)
{
    mpi_container *list = mpi_mutable(items);

    if (mp_obj_type(items) != MP_TYPE_LIST || list->size != count)
        return misshapen();
    it->values = mpi_container_new(MP_TYPE_LIST, count);
    it->args.dict = it->no_names;
    for (size_t i = 0; i < count && !mpi_is_error(it->values); i++) {
        mp_obj *item = list->items[i];
        mp_obj *value = NULL;
        mp_error err;

        list->items[i] = mp_obj_none();
        err = kind == MPI_WORK_MAP ? call_with_item(it, item, &value)
                                   : call_with_items(it, item, &value);
        if (err != MP_OK) {
            mpi_worker_note(it, i);
            value = mp_obj_none();
        }
        add_value(mpi_mutable(it->values), value);
    }
    return mp_obj_error(it->values);
}

static mp_error run_call(mpi_worker *it, const mp_obj *arguments)
{
    const mpi_container *pair = mpi_as_container(arguments);
    mp_error err;

    if (mp_obj_type(arguments) != MP_TYPE_TUPLE || pair->size != 2 ||
        mp_obj_type(pair->items[0]) != MP_TYPE_TUPLE)
        return misshapen();
    it->args.tuple = pair->items[0];
    it->args.dict = pair->items[1];
    if (mp_obj_is_none(it->args.dict))
        it->args.dict = it->no_names;
    if (mp_obj_type(it->args.dict) != MP_TYPE_DICT)
        return misshapen();
    err = mpi_task_call(it->function, &it->args, &it->values, &it->raised);
    if (err == MP_OK)
        return MP_OK;
    mpi_worker_note(it, 0);
    it->values = mpi_list_of_none(1);
    return mp_obj_error(it->values);
}

mp_error mpi_worker_run(mpi_worker *it)
{
    const mpi_slot_head *head = mpi_board_head(it->board, it->slot);
    mp_bytes payload = mpi_board_payload(it->board, it->slot);
    size_t size = head->function_size;
    mp_obj *arguments;
    mp_error err;

    if (size > payload.size)
        return misshapen();
    err = find_function(it, payload.data, size);
    if (err == MP_OK)
        err = mpi_pickle_load((const char *)payload.data + size,
                              payload.size - size, NULL, &arguments);
    if (err != MP_OK)
        return err;
    if (head->kind == MPI_WORK_CALL)
        err = run_call(it, arguments);
    else
        err = run_chunk(it, (mpi_work)head->kind, head->count, arguments);
    mp_obj_unref(arguments);
    return err;
}

void mpi_worker_forget_functions(mpi_worker *it)
{
    for (unsigned i = 0; i < MPI_KNOWN_FUNCTIONS; i++)
        forget_function(&it->functions[i]);
}
