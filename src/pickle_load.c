/* SPDX-License-Identifier: MIT */
/*
 * The pickle reader: protocols 0 to 5. What comes in may have been made to
 * hurt, hence:
 *
 * - No recursion, and no allocation but in proportion to bytes read.
 * - A container that is used a second time (GET, DUP) is complete: one that
 *   grows after that may be on its way into itself, and is refused. CPython
 *   writes such a pickle for cycles only.
 * - Nesting deeper than MPI_MAX_DEPTH is refused where containers grow.
 */
#include "pickle_load.h"

#include "pickle.h"
#include "pickle_opcodes.h"

#include <multiproc/pickle.h>

#include <stdlib.h>
#include <string.h>

enum { NEWEST_PROTOCOL = 5 };

/* -- Input ----------------------------------------------------------------- */

mp_error mpi_load_cut_short(void)
{
    return mpi_fail(MP_EUNPICKLE, "the pickle is cut short");
}

mp_error mpi_load_line(mpi_loader *from, const char **text, size_t *size)
{
    size_t left = (size_t)(from->end - from->at);
    const unsigned char *end = left != 0 ? memchr(from->at, '\n', left) : NULL;

    if (end == NULL)
        return mpi_load_cut_short();
    *text = (const char *)from->at;
    *size = (size_t)(end - from->at);
    from->at = end + 1;
    return MP_OK;
}

/* -- Stack and marks ------------------------------------------------------- */

void *mpi_load_grow(void *array, const void *first, size_t *capacity,
                    size_t item_size)
{
    size_t size = *capacity * 2 * item_size;
    void *grown = mpi_realloc(array == first ? NULL : array, size);

    if (grown == NULL)
        return NULL;
    if (array == first)
        memcpy(grown, first, *capacity * item_size);
    *capacity *= 2;
    return grown;
}

mp_error mpi_load_push_slowly(mpi_loader *from, mp_obj *obj)
{
    mp_obj **stack;

    if (mpi_is_error(obj))
        return mp_obj_error(obj);
    stack = mpi_load_grow(from->stack, from->first_stack, &from->stack_capacity,
                          sizeof(*stack));
    if (stack == NULL) {
        mp_obj_unref(obj);
        return mpi_no_memory();
    }
    from->stack = stack;
    return mpi_load_push(from, obj);
}

mp_error mpi_load_underflow(void)
{
    return mpi_fail(MP_EUNPICKLE, "an opcode of the pickle has no operand");
}

mp_error mpi_load_pop(mpi_loader *from, mp_obj **obj)
{
    if (from->depth <= from->fence)
        return mpi_load_underflow();
    *obj = from->stack[--from->depth];
    return MP_OK;
}

static mp_error load_mark(mpi_loader *from)
{
    if (from->mark_count == from->mark_capacity) {
        size_t *marks = mpi_load_grow(from->marks, from->first_marks,
                                      &from->mark_capacity, sizeof(*marks));

        if (marks == NULL)
            return mpi_no_memory();
        from->marks = marks;
    }
    from->marks[from->mark_count++] = from->depth;
    from->fence = from->depth;
    return MP_OK;
}

mp_error mpi_load_unmark(mpi_loader *from, size_t *first)
{
    if (from->mark_count == 0)
        return mpi_fail(MP_EUNPICKLE, "an opcode of the pickle has no mark");
    *first = from->fence;
    from->mark_count--;
    from->fence = from->mark_count != 0 ? from->marks[from->mark_count - 1] : 0;
    return MP_OK;
}

void mpi_load_drop_to(mpi_loader *from, size_t depth)
{
    while (from->depth > depth)
        mpi_own_unref(from->stack[--from->depth]);
}

static mp_error load_pop(mpi_loader *from)
{
    size_t first = 0;

    if (from->depth <= from->fence)
        return mpi_load_unmark(from, &first);
    mpi_load_drop_to(from, from->depth - 1);
    return MP_OK;
}

static mp_error load_pop_mark(mpi_loader *from)
{
    size_t first = 0;
    mp_error err = mpi_load_unmark(from, &first);

    if (err == MP_OK)
        mpi_load_drop_to(from, first);
    return err;
}

mp_error mpi_load_push_again(mpi_loader *from, mp_obj *obj)
{
    if (mpi_is_heap(obj))
        obj->flags |= MPI_FROZEN;
    return mpi_load_push(from, mpi_own_ref(obj));
}

static mp_error load_dup(mpi_loader *from)
{
    if (from->depth <= from->fence)
        return mpi_load_underflow();
    return mpi_load_push_again(from, from->stack[from->depth - 1]);
}

/* -- The machine ----------------------------------------------------------- */

static mp_error load_proto(mpi_loader *from)
{
    uint64_t protocol;

    if (!mpi_load_little(from, 1, &protocol))
        return mpi_load_cut_short();
    if (protocol > NEWEST_PROTOCOL)
        return mpi_fail(MP_EUNPICKLE, "unsupported pickle protocol: %u",
                        (unsigned)protocol);
    return MP_OK;
}

/* Frames help who reads from a file; here they only have to be there. */
static mp_error load_frame(mpi_loader *from)
{
    uint64_t size;

    if (!mpi_load_little(from, 8, &size) ||
        size > (uint64_t)(from->end - from->at))
        return mpi_load_cut_short();
    return MP_OK;
}

static mp_error load_stop(mpi_loader *from)
{
    if (from->depth != 1 || from->mark_count != 0)
        return mpi_fail(MP_EUNPICKLE, "the pickle ends with %lu objects",
                        (unsigned long)from->depth);
    if (from->at != from->end)
        return mpi_fail(MP_EUNPICKLE, "%lu bytes are left after the pickle",
                        (unsigned long)(from->end - from->at));
    from->is_done = true;
    return MP_OK;
}

static mp_error load_persistent(mpi_loader *from)
{
    (void)from;
    return mpi_fail(MP_EUNPICKLE, "the pickle refers to an object by an id");
}

static mp_error load_extension(mpi_loader *from)
{
    (void)from;
    return mpi_fail(MP_EUNPICKLE, "the pickle uses extension codes");
}

static mp_error load_instance(mpi_loader *from)
{
    (void)from;
    return mpi_fail(MP_EUNPICKLE,
                    "the pickle holds an instance of a Python 2 class");
}

static mp_error load_buffer(mpi_loader *from)
{
    (void)from;
    return mpi_fail(MP_EUNPICKLE,
                    "the pickle refers to a buffer beside the bytes");
}

/* Small ints come in runs: one call for all of them. */
static mp_error load_bin_int1(mpi_loader *from)
{
    const unsigned char *at = from->at;
    mp_error err;

    for (;;) {
        if (at == from->end)
            return mpi_load_cut_short();
        err = mpi_load_push(from, mpi_make_inline(*at++));
        if (err != MP_OK || at == from->end || *at != OP_BININT1)
            break;
        at++;
    }
    from->at = at;
    return err;
}

enum { FIRST = OP_MARK, HANDLERS = OP_READONLY_BUFFER - FIRST + 1 };

static mpi_opcode_handler *const handlers[HANDLERS] = {
    [OP_MARK - FIRST] = load_mark,
    [OP_STOP - FIRST] = load_stop,
    [OP_POP - FIRST] = load_pop,
    [OP_POP_MARK - FIRST] = load_pop_mark,
    [OP_DUP - FIRST] = load_dup,
    [OP_FLOAT - FIRST] = mpi_load_float,
    [OP_INT - FIRST] = mpi_load_int,
    [OP_BININT - FIRST] = mpi_load_bin_int,
    [OP_BININT1 - FIRST] = load_bin_int1,
    [OP_LONG - FIRST] = mpi_load_long,
    [OP_BININT2 - FIRST] = mpi_load_bin_int2,
    [OP_NONE - FIRST] = mpi_load_none,
    [OP_PERSID - FIRST] = load_persistent,
    [OP_BINPERSID - FIRST] = load_persistent,
    [OP_REDUCE - FIRST] = mpi_load_reduce,
    [OP_STRING - FIRST] = mpi_load_string,
    [OP_BINSTRING - FIRST] = mpi_load_binstring,
    [OP_SHORT_BINSTRING - FIRST] = mpi_load_short_binstring,
    [OP_UNICODE - FIRST] = mpi_load_unicode,
    [OP_BINUNICODE - FIRST] = mpi_load_binunicode,
    [OP_APPEND - FIRST] = mpi_load_append,
    [OP_BUILD - FIRST] = mpi_load_build,
    [OP_GLOBAL - FIRST] = mpi_load_global,
    [OP_DICT - FIRST] = mpi_load_dict,
    [OP_EMPTY_DICT - FIRST] = mpi_load_empty_dict,
    [OP_APPENDS - FIRST] = mpi_load_appends,
    [OP_GET - FIRST] = mpi_load_get_line,
    [OP_BINGET - FIRST] = mpi_load_binget,
    [OP_INST - FIRST] = load_instance,
    [OP_LONG_BINGET - FIRST] = mpi_load_long_binget,
    [OP_LIST - FIRST] = mpi_load_list,
    [OP_EMPTY_LIST - FIRST] = mpi_load_empty_list,
    [OP_OBJ - FIRST] = load_instance,
    [OP_PUT - FIRST] = mpi_load_put_line,
    [OP_BINPUT - FIRST] = mpi_load_binput,
    [OP_LONG_BINPUT - FIRST] = mpi_load_long_binput,
    [OP_SETITEM - FIRST] = mpi_load_setitem,
    [OP_TUPLE - FIRST] = mpi_load_tuple,
    [OP_EMPTY_TUPLE - FIRST] = mpi_load_empty_tuple,
    [OP_SETITEMS - FIRST] = mpi_load_setitems,
    [OP_BINFLOAT - FIRST] = mpi_load_bin_float,
    [OP_PROTO - FIRST] = load_proto,
    [OP_NEWOBJ - FIRST] = mpi_load_reduce,
    [OP_EXT1 - FIRST] = load_extension,
    [OP_EXT2 - FIRST] = load_extension,
    [OP_EXT4 - FIRST] = load_extension,
    [OP_TUPLE1 - FIRST] = mpi_load_tuple1,
    [OP_TUPLE2 - FIRST] = mpi_load_tuple2,
    [OP_TUPLE3 - FIRST] = mpi_load_tuple3,
    [OP_NEWTRUE - FIRST] = mpi_load_true,
    [OP_NEWFALSE - FIRST] = mpi_load_false,
    [OP_LONG1 - FIRST] = mpi_load_long1,
    [OP_LONG4 - FIRST] = mpi_load_long4,
    [OP_BINBYTES - FIRST] = mpi_load_binbytes,
    [OP_SHORT_BINBYTES - FIRST] = mpi_load_short_binbytes,
    [OP_SHORT_BINUNICODE - FIRST] = mpi_load_short_binunicode,
    [OP_BINUNICODE8 - FIRST] = mpi_load_binunicode8,
    [OP_BINBYTES8 - FIRST] = mpi_load_binbytes8,
    [OP_EMPTY_SET - FIRST] = mpi_load_empty_set,
    [OP_ADDITEMS - FIRST] = mpi_load_additems,
    [OP_FROZENSET - FIRST] = mpi_load_frozenset,
    [OP_NEWOBJ_EX - FIRST] = mpi_load_newobj_ex,
    [OP_STACK_GLOBAL - FIRST] = mpi_load_stack_global,
    [OP_MEMOIZE - FIRST] = mpi_load_memoize,
    [OP_FRAME - FIRST] = load_frame,
    [OP_BYTEARRAY8 - FIRST] = mpi_load_binbytes8,
    [OP_NEXT_BUFFER - FIRST] = load_buffer,
    [OP_READONLY_BUFFER - FIRST] = load_buffer,
};

/* NULL: there is no such opcode. */
static mpi_opcode_handler *handler_of(unsigned char opcode)
{
    int index = opcode - FIRST;

    return index >= 0 && index < HANDLERS ? handlers[index] : NULL;
}

static mp_error run(mpi_loader *from)
{
    mpi_opcode_handler *handle;
    mp_error err = MP_OK;

    while (err == MP_OK && !from->is_done) {
        unsigned char opcode;

        if (from->at == from->end)
            return mpi_load_cut_short();
        opcode = *from->at++;
        /* The most frequent one is spared the call. */
        if (opcode == OP_MEMOIZE)
            err = mpi_load_memoize(from);
        else if ((handle = handler_of(opcode)) != NULL)
            err = handle(from);
        else
            return mpi_fail(MP_EUNPICKLE,
                            "no pickle: there is no opcode 0x%02x", opcode);
    }
    return err;
}

static void loader_fini(mpi_loader *from)
{
    mpi_load_drop_to(from, 0);
    for (size_t i = 0; i < from->memo_size; i++) {
        if (from->memo[i] != NULL)
            mpi_own_unref(from->memo[i]);
    }
    if (from->stack != from->first_stack)
        free(from->stack);
    if (from->marks != from->first_marks)
        free(from->marks);
    if (from->memo != from->first_memo)
        free(from->memo);
}

mp_error mpi_pickle_load(const void *data, size_t size,
                         mpi_transport *transport, mp_obj **out)
{
    mpi_loader from; /* its arrays begin unset: they are large */
    mp_obj *obj = NULL;
    mp_error err;

    from.at = data;
    from.end = from.at + size;
    from.size = size;
    from.transport = transport;
    from.is_done = false;
    from.stack = from.first_stack;
    from.depth = 0;
    from.stack_capacity = MPI_STACK_FIRST;
    from.fence = 0;
    from.marks = from.first_marks;
    from.mark_count = 0;
    from.mark_capacity = MPI_MARKS_FIRST;
    from.memo = from.first_memo;
    from.memo_count = 0;
    from.memo_size = 0;
    from.memo_capacity = MPI_MEMO_FIRST;
    err = run(&from);
    if (err == MP_OK)
        obj = from.stack[--from.depth];
    loader_fini(&from);
    if (err == MP_OK)
        *out = obj;
    /* A key that is no key, a str that is no text: a fault of the pickle. */
    if (err == MP_ETYPE || err == MP_EINVAL)
        return mpi_context(MP_EUNPICKLE, "can't unpickle");
    return err;
}

mp_error mp_pickle_loads(const void *data, size_t size, mp_obj **out)
{
    if (out == NULL || (data == NULL && size != 0))
        return mpi_fail(MP_EINVAL, "no pickle");
    return mpi_pickle_load(data != NULL ? data : "", size, NULL, out);
}
