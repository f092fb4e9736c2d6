/* SPDX-License-Identifier: MIT */
/*
 * The pickle writer: protocol 4, byte for byte what CPython's C pickler
 * writes, its frames, batches and memo numbers included, as long as no object
 * is shared. (CPython numbers every object it might meet again; we write the
 * same numbers, but remember only what has more than one owner.)
 *
 * Nesting is limited by the objects themselves, so saving recurses.
 */
#include "pickle.h"

#include "pickle_output.h"

#include <multiproc/pickle.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PROTOCOL = 4, BATCH_SIZE = 1000 };

/* -- Values without items -------------------------------------------------- */

/* Beyond 32 bits: as few bytes as hold the sign too. */
static mp_error save_long(dumper *to, int64_t value)
{
    unsigned size = 5;
    unsigned char *at;

    while (size < 8 && value >> (8 * size - 1) != 0 &&
           value >> (8 * size - 1) != -1)
        size++;
    at = put(to, 2 + size);
    if (at == NULL)
        return mpi_no_memory();
    at[0] = OP_LONG1;
    at[1] = (unsigned char)size;
    put_little(at + 2, (uint64_t)value, size);
    return MP_OK;
}

static mp_error save_byte(dumper *to, int64_t value)
{
    unsigned char *at = put(to, 2);

    if (at == NULL)
        return mpi_no_memory();
    at[0] = OP_BININT1;
    at[1] = (unsigned char)value;
    return MP_OK;
}

static mp_error save_int(dumper *to, int64_t value)
{
    bool is_short = value >= 0 && value <= UINT16_MAX;
    enum opcode opcode = is_short ? OP_BININT2 : OP_BININT;
    unsigned size = is_short ? 2 : 4;
    unsigned char *at;

    if (value >= 0 && value <= UINT8_MAX)
        return save_byte(to, value);
    if (value < INT32_MIN || value > INT32_MAX)
        return save_long(to, value);
    at = put(to, 1 + size);
    if (at == NULL)
        return mpi_no_memory();
    at[0] = (unsigned char)opcode;
    put_little(at + 1, (uint64_t)value, size);
    return MP_OK;
}

static mp_error save_float(dumper *to, double value)
{
    unsigned char *at = put(to, 9);
    uint64_t bits;

    if (at == NULL)
        return mpi_no_memory();
    memcpy(&bits, &value, sizeof(bits));
    at[0] = OP_BINFLOAT;
    for (unsigned i = 0; i < 8; i++)
        at[1 + i] = (unsigned char)(bits >> (56 - 8 * i));
    return MP_OK;
}

static mp_error put_string(dumper *to, const mpi_string *string)
{
    bool is_text = string->head.type == MP_TYPE_STR;
    enum opcode opcode = is_text ? OP_SHORT_BINUNICODE : OP_SHORT_BINBYTES;
    unsigned width = 1;
    unsigned char *at;

    if (string->size > UINT32_MAX) {
        opcode = is_text ? OP_BINUNICODE8 : OP_BINBYTES8;
        width = 8;
    } else if (string->size > UINT8_MAX) {
        opcode = is_text ? OP_BINUNICODE : OP_BINBYTES;
        width = 4;
    }
    at = put(to, 1 + width + string->size);
    if (at == NULL)
        return mpi_no_memory();
    at[0] = (unsigned char)opcode;
    put_little(at + 1, string->size, width);
    memcpy(at + 1 + width, string->data, string->size);
    return MP_OK;
}

static mp_error save_string(dumper *to, const mpi_string *string)
{
    mp_error err;

    if (string->size >= frame_target) {
        /* Large ones stand between frames. */
        commit_frame(to);
        to->is_framing = false;
    }
    err = put_string(to, string);
    to->is_framing = true;
    return err == MP_OK ? memoize(to, &string->head) : err;
}

/* -- Containers ------------------------------------------------------------ */

static mp_error save(dumper *to, const mp_obj *obj);

static mp_error save_run(dumper *to, mp_obj *const *items, size_t count)
{
    mp_error err = MP_OK;

    for (size_t i = 0; i < count && err == MP_OK; i++)
        err = save(to, items[i]);
    return err;
}

static mp_error save_batch(dumper *to, mp_obj *const *items, size_t count,
                           enum opcode closing)
{
    mp_error err = put_opcode(to, OP_MARK);

    if (err == MP_OK)
        err = save_run(to, items, count);
    return err == MP_OK ? put_opcode(to, closing) : err;
}

static mp_error save_tuple(dumper *to, const mpi_container *tuple)
{
    static const enum opcode closing[] = {OP_EMPTY_TUPLE, OP_TUPLE1, OP_TUPLE2,
                                          OP_TUPLE3};
    mp_error err;

    if (tuple->size > 3) {
        err = save_batch(to, tuple->items, tuple->size, OP_TUPLE);
    } else {
        err = save_run(to, tuple->items, tuple->size);
        if (err == MP_OK)
            err = put_opcode(to, closing[tuple->size]);
    }
    if (err != MP_OK || tuple->size == 0)
        return err;
    return memoize(to, &tuple->head);
}

typedef struct container_codes {
    enum opcode empty;
    enum opcode one; /* adds a single entry; STOP: there is no such opcode */
    enum opcode many;
    size_t stride;
    /* CPython looks for the end of a list before a batch, but for that of a
     * dict or set after it: 1000 entries are followed by an empty batch. */
    bool has_empty_batch;
} container_codes;

static mp_error save_container(dumper *to, const mpi_container *container,
                               const container_codes *codes)
{
    const size_t batch = BATCH_SIZE * codes->stride;
    mp_error err = put_opcode(to, codes->empty);
    size_t done = 0;

    if (err == MP_OK)
        err = memoize(to, &container->head);
    if (err != MP_OK || container->size == 0)
        return err;
    if (container->size == codes->stride && codes->one != OP_STOP) {
        err = save_run(to, container->items, codes->stride);
        return err == MP_OK ? put_opcode(to, codes->one) : err;
    }
    while (err == MP_OK && done < container->size) {
        size_t left = container->size - done;
        size_t count = left < batch ? left : batch;

        err = save_batch(to, container->items + done, count, codes->many);
        done += count;
    }
    if (err == MP_OK && codes->has_empty_batch && container->size % batch == 0)
        err = save_batch(to, NULL, 0, codes->many);
    return err;
}

/* -- What travels as a call ------------------------------------------------ */

static mp_error keep(dumper *to, mp_obj *state)
{
    if (to->kept == NULL)
        to->kept = mp_obj_list(NULL, 0);
    if (!mpi_is_error(to->kept))
        return mpi_extend(to->kept, &state, 1);
    mp_obj_unref(state);
    return mp_obj_error(to->kept);
}

static const char own_module[] = "multiproc";

/* What is called. */
typedef struct global {
    const char *module;
    const char *name;
} global;

static mp_error put_global(dumper *to, const global *callable)
{
    size_t module_size = strlen(callable->module);
    size_t name_size = strlen(callable->name);
    unsigned char *at = put(to, 1 + module_size + 1 + name_size + 1);

    if (at == NULL)
        return mpi_no_memory();
    *at++ = OP_GLOBAL;
    memcpy(at, callable->module, module_size);
    at += module_size;
    *at++ = '\n';
    memcpy(at, callable->name, name_size);
    at[name_size] = '\n';
    return MP_OK;
}

static mp_error put_opcodes(dumper *to, const enum opcode *codes, size_t count)
{
    mp_error err = MP_OK;

    for (size_t i = 0; i < count && err == MP_OK; i++)
        err = put_opcode(to, codes[i]);
    return err;
}

/* callable(*state) */
static mp_error put_call(dumper *to, const global *callable,
                         const mp_obj *state)
{
    mp_error err = put_global(to, callable);

    if (err == MP_OK)
        err = save(to, state);
    return err == MP_OK ? put_opcode(to, OP_REDUCE) : err;
}

/* callable(**state). No opcode calls with names; CPython writes
 * partial(callable, **state)(): partial(callable), its state, a call. */
static mp_error put_named_call(dumper *to, const global *callable,
                               const mp_obj *state)
{
    static const global partial = {"functools", "partial"};
    static const enum opcode bind[] = {OP_TUPLE1, OP_REDUCE, OP_MARK};
    static const enum opcode call[] = {OP_NONE, OP_TUPLE, OP_BUILD,
                                       OP_EMPTY_TUPLE, OP_REDUCE};
    mp_error err = put_global(to, &partial);

    if (err == MP_OK)
        err = put_global(to, callable);
    if (err == MP_OK)
        err = put_opcodes(to, bind, sizeof(bind) / sizeof(bind[0]));
    if (err == MP_OK)
        err = put_global(to, callable);
    if (err == MP_OK)
        err = put_opcode(to, OP_EMPTY_TUPLE);
    if (err == MP_OK)
        err = save(to, state);
    if (err == MP_OK)
        err = put_opcodes(to, call, sizeof(call) / sizeof(call[0]));
    return err;
}

/* Consumes state: a tuple, or a dict of what is passed by name. */
static mp_error save_call(dumper *to, const mp_obj *obj, const global *callable,
                          mp_obj *state)
{
    mp_error err = keep(to, state);

    if (err != MP_OK)
        return err;
    err = mp_obj_type(state) == MP_TYPE_DICT
              ? put_named_call(to, callable, state)
              : put_call(to, callable, state);
    if (err != MP_OK || mpi_has_one_owner(obj))
        return err;
    return memoize(to, obj);
}

static mp_error save_function(dumper *to, const mp_obj *obj)
{
    const mpi_address *address = (const mpi_address *)(const void *)obj;
    static const global callable = {own_module, "function"};
    mp_obj *state;
    mp_error err = mpi_function_reduce(address->to.pointer, &state);

    return err == MP_OK ? save_call(to, obj, &callable, state) : err;
}

static mp_error save_resource(dumper *to, const mp_obj *obj)
{
    const mpi_resource *resource = (const mpi_resource *)(const void *)obj;
    const mpi_resource_type *type = resource->type;
    global callable = {own_module, type->name};
    mp_obj *state;
    mp_error err;

    if (to->transport == NULL)
        return mpi_fail(MP_EPICKLE,
                        "can't pickle %s: it can only travel as an argument "
                        "of a process or of a pool's initializer, or over a "
                        "pipe",
                        type->name);
    if (type->module != NULL)
        callable.module = type->module;
    err = type->reduce(resource->self, to->transport, &state);
    if (err != MP_OK)
        return err;
    return save_call(to, obj, &callable, state);
}

static mp_error refuse(const mp_obj *obj)
{
    if (mpi_is_error(obj))
        return mpi_expected("a value", obj);
    if (obj->type == MP_TYPE_OPAQUE)
        return mpi_fail(MP_EPICKLE, "can't pickle %s: it is known by name only",
                        mpi_as_string(mpi_as_container(obj)->items[0])->data);
    return mpi_fail(
        MP_EPICKLE,
        "can't pickle pointer 0x%" PRIxPTR
        ": it means nothing in another process",
        (uintptr_t)((const mpi_address *)(const void *)obj)->to.pointer);
}

/* -- Any value ------------------------------------------------------------- */

static mp_error save_heap(dumper *to, const mp_obj *obj)
{
    static const container_codes list = {OP_EMPTY_LIST, OP_APPEND, OP_APPENDS,
                                         1, false};
    static const container_codes dict = {OP_EMPTY_DICT, OP_SETITEM, OP_SETITEMS,
                                         2, true};
    static const container_codes set = {OP_EMPTY_SET, OP_STOP, OP_ADDITEMS, 1,
                                        true};

    switch (mpi_heap_type(obj)) {
    case MP_TYPE_INT:
        return save_int(to, ((const mpi_int *)(const void *)obj)->value);
    case MP_TYPE_FLOAT:
        return save_float(to, ((const mpi_float *)(const void *)obj)->value);
    case MP_TYPE_STR:
    case MP_TYPE_BYTES:
        return save_string(to, mpi_as_string(obj));
    case MP_TYPE_LIST:
        return save_container(to, mpi_as_container(obj), &list);
    case MP_TYPE_TUPLE:
        return save_tuple(to, mpi_as_container(obj));
    case MP_TYPE_DICT:
        return save_container(to, mpi_as_container(obj), &dict);
    case MP_TYPE_SET:
        return save_container(to, mpi_as_container(obj), &set);
    case MP_TYPE_FUNCTION:
        return save_function(to, obj);
    case MP_TYPE_HANDLE:
        return save_resource(to, obj);
    default:
        return refuse(obj);
    }
}

static mp_error save_constant(dumper *to, const mp_obj *obj)
{
    switch ((uintptr_t)obj) {
    case MPI_TAG_NONE:
        return put_opcode(to, OP_NONE);
    case MPI_TAG_FALSE:
        return put_opcode(to, OP_NEWFALSE);
    case MPI_TAG_TRUE:
        return put_opcode(to, OP_NEWTRUE);
    default:
        return refuse(obj);
    }
}

static mp_error save(dumper *to, const mp_obj *obj)
{
    bool is_found;
    mp_error err;

    end_full_frame(to);
    if (mpi_is_inline_int(obj))
        return save_int(to, mpi_inline_int(obj));
    if (obj == NULL || !mpi_is_heap(obj))
        return save_constant(to, obj);
    if (to->memo != NULL && !mpi_has_one_owner(obj)) {
        err = get_memoized(to, obj, &is_found);
        if (err != MP_OK || is_found)
            return err;
    }
    return save_heap(to, obj);
}

mp_error mpi_pickle_dump(mpi_buffer *out, const mp_obj *obj,
                         mpi_transport *transport)
{
    dumper to = {.out = out, .frame = no_frame, .transport = transport};
    const size_t size = out->size;
    unsigned char *head = put(&to, 2);
    mp_error err;

    if (head == NULL)
        return mpi_no_memory();
    head[0] = OP_PROTO;
    head[1] = PROTOCOL;
    to.is_framing = true;
    err = save(&to, obj);
    if (err == MP_OK)
        err = put_opcode(&to, OP_STOP);
    if (err == MP_OK)
        commit_frame(&to);
    else
        out->size = size;
    free(to.memo);
    mp_obj_unref(to.kept);
    return err;
}

mp_error mp_pickle_dumps(const mp_obj *obj, void **data, size_t *size)
{
    mpi_buffer out = {0};
    mp_error err;

    if (data == NULL || size == NULL)
        return mpi_fail(MP_EINVAL, "nowhere to put the bytes");
    err = mpi_pickle_dump(&out, obj, NULL);
    if (err != MP_OK) {
        mpi_buffer_free(&out);
        return err;
    }
    *data = out.data;
    *size = out.size;
    return MP_OK;
}
