/* SPDX-License-Identifier: MIT */
/*
 * The pickle reader's names and calls. Python would import the module and call
 * what it finds there; here a fixed list of names means something, and calling
 * any other gives an opaque object that knows its name. Nothing is run.
 */
#include "pickle_load.h"

#include <assert.h>
#include <string.h>

/* What calling a name does; kept in the mask of its opaque object. */
enum call {
    CALL_UNKNOWN,
    CALL_SET,
    CALL_BYTES,
    CALL_ENCODE,
    CALL_FIRST, /* the first argument is the class */
    CALL_FUNCTION,
    CALL_RESOURCE,
    CALL_PARTIAL, /* gives something that can be called */
    CALL_BOUND,   /* which is that */
};

/* NULL: it is no kind of thing that travels. */
static const mpi_resource_type *find_resource(const mpi_string *name)
{
    const char *dot = strrchr(name->data, '.');
    const mpi_resource_type *type;
    const char *module;
    size_t size;

    if (dot == NULL || strlen(name->data) != name->size)
        return NULL;
    type = mpi_resource_find(dot + 1, strlen(dot + 1));
    if (type == NULL)
        return NULL;
    module = type->module != NULL ? type->module : "multiproc";
    size = (size_t)(dot - name->data);
    return strlen(module) == size && memcmp(module, name->data, size) == 0
               ? type
               : NULL;
}

static enum call call_of(const mpi_string *name)
{
    static const struct {
        const char *name;
        enum call call;
    } known[] = {
        {"builtins.set", CALL_SET},
        {"builtins.frozenset", CALL_SET},
        {"builtins.bytes", CALL_BYTES},
        {"builtins.bytearray", CALL_BYTES},
        {"_codecs.encode", CALL_ENCODE},
        {"copyreg._reconstructor", CALL_FIRST},
        {"copyreg.__newobj__", CALL_FIRST},
        {"multiproc.function", CALL_FUNCTION},
        {"functools.partial", CALL_PARTIAL},
    };

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, name->data) == 0)
            return known[i].call;
    }
    return find_resource(name) != NULL ? CALL_RESOURCE : CALL_UNKNOWN;
}

/* Consumes name and, if not NULL, arguments. */
static mp_obj *opaque_new(mp_obj *name, mp_obj *arguments)
{
    mp_obj *obj = mpi_container_new(MP_TYPE_OPAQUE, 3);
    mp_obj *const items[] = {name, arguments};
    mp_error err;

    if (mpi_is_error(obj)) {
        mp_obj_unref(name);
        mp_obj_unref(arguments);
        return obj;
    }
    err = mpi_extend(obj, items, arguments != NULL ? 2 : 1);
    if (err == MP_OK)
        return obj;
    mp_obj_unref(obj);
    return mpi_obj_failed(err);
}

/* Protocols 0 to 2 are written with Python 2's names, by Python 3 too. */
static const char *modern_module(const char *name)
{
    static const char *const renamed[][2] = {
        {"__builtin__", "builtins"},
        {"exceptions", "builtins"},
        {"copy_reg", "copyreg"},
    };

    for (size_t i = 0; i < sizeof(renamed) / sizeof(renamed[0]); i++) {
        if (strcmp(renamed[i][0], name) == 0)
            return renamed[i][1];
    }
    return name;
}

static mp_error push_global(mpi_loader *from, const mpi_string *module,
                            const char *name, size_t size)
{
    const char *modern = modern_module(module->data);
    mpi_buffer text = {0};
    mp_obj *full;
    mp_obj *obj;

    mpi_buffer_append(&text, modern, strlen(modern));
    mpi_buffer_append(&text, ".", 1);
    mpi_buffer_append(&text, name, size);
    if (text.has_failed) {
        mpi_buffer_free(&text);
        return mpi_no_memory();
    }
    full = mpi_str(text.data, text.size, true);
    mpi_buffer_free(&text);
    if (mpi_is_error(full))
        return mp_obj_error(full);
    obj = opaque_new(mp_obj_ref(full), NULL);
    if (!mpi_is_error(obj))
        mpi_mutable(obj)->with.mask = call_of(mpi_as_string(full));
    mp_obj_unref(full);
    return mpi_load_push(from, obj);
}

mp_error mpi_load_global(mpi_loader *from)
{
    const char *text;
    size_t size;
    mp_obj *module;
    mp_error err = mpi_load_line(from, &text, &size);

    if (err != MP_OK)
        return err;
    module = mpi_str(text, size, true);
    if (mpi_is_error(module))
        return mp_obj_error(module);
    err = mpi_load_line(from, &text, &size);
    if (err == MP_OK)
        err = push_global(from, mpi_as_string(module), text, size);
    mp_obj_unref(module);
    return err;
}

mp_error mpi_load_stack_global(mpi_loader *from)
{
    mp_obj *module = NULL;
    mp_obj *name = NULL;
    mp_error err = mpi_load_pop(from, &name);

    if (err == MP_OK)
        err = mpi_load_pop(from, &module);
    if (err == MP_OK && (mp_obj_type(name) != MP_TYPE_STR ||
                         mp_obj_type(module) != MP_TYPE_STR))
        err = mpi_fail(MP_EUNPICKLE, "the name of a global is no str");
    if (err == MP_OK)
        err = push_global(from, mpi_as_string(module),
                          mpi_as_string(name)->data, mpi_as_string(name)->size);
    mp_obj_unref(module);
    mp_obj_unref(name);
    return err;
}

/* -- Calls ----------------------------------------------------------------- */

static mp_obj *bad_call(const mp_obj *callable)
{
    return mpi_obj_failed(
        mpi_fail(MP_EUNPICKLE, "can't unpickle %s: unexpected arguments",
                 mpi_as_string(mpi_as_container(callable)->items[0])->data));
}

static mp_obj *call_set(const mp_obj *callable, const mpi_container *arguments)
{
    mp_obj *set = mpi_container_new(MP_TYPE_SET, 0);
    mp_error err = MP_OK;
    mp_iter it = {0};
    const mp_obj *item;

    if (arguments->size > 1 ||
        (arguments->size == 1 &&
         mp_obj_type(arguments->items[0]) != MP_TYPE_LIST &&
         mp_obj_type(arguments->items[0]) != MP_TYPE_TUPLE)) {
        mp_obj_unref(set);
        return bad_call(callable);
    }
    if (mpi_is_error(set) || arguments->size == 0)
        return set;
    while (err == MP_OK && mp_obj_next(arguments->items[0], &it, &item, NULL))
        err = mpi_set_add(set, mp_obj_ref(item));
    if (err == MP_OK)
        return set;
    mp_obj_unref(set);
    return mpi_obj_failed(err);
}

/* str to bytes; every code point below 256. */
static mp_obj *encode_latin1(const mp_obj *callable, const mpi_string *text)
{
    const char *at = text->data;
    const char *end = at + text->size;
    mpi_buffer bytes = {0};
    mp_obj *obj = NULL;

    if (!mpi_buffer_reserve(&bytes, text->length))
        return mpi_obj_failed(mpi_no_memory());
    while (at < end && obj == NULL) {
        uint32_t code = mpi_text_next(&at);

        if (code > 0xFF)
            obj = bad_call(callable);
        else
            bytes.data[bytes.size++] = (unsigned char)code;
    }
    if (obj == NULL)
        obj = mp_obj_bytes(bytes.data, bytes.size);
    mpi_buffer_free(&bytes);
    return obj;
}

static bool is_latin1(const mp_obj *encoding)
{
    const mpi_string *name = mpi_as_string(encoding);

    return mp_obj_type(encoding) == MP_TYPE_STR &&
           (strcmp(name->data, "latin1") == 0 ||
            strcmp(name->data, "latin-1") == 0);
}

/* bytes(), bytes(b'...'), bytearray('...', 'latin-1') ... */
static mp_obj *call_bytes(const mp_obj *callable,
                          const mpi_container *arguments)
{
    if (arguments->size == 0)
        return mp_obj_bytes(NULL, 0);
    if (arguments->size == 1 &&
        mp_obj_type(arguments->items[0]) == MP_TYPE_BYTES)
        return mp_obj_ref(arguments->items[0]);
    if (arguments->size == 2 &&
        mp_obj_type(arguments->items[0]) == MP_TYPE_STR &&
        is_latin1(arguments->items[1]))
        return encode_latin1(callable, mpi_as_string(arguments->items[0]));
    return bad_call(callable);
}

static mp_obj *call_function(const mp_obj *arguments)
{
    mpi_address address;
    mp_error err = mpi_function_rebuild(arguments, &address.to.pointer);

    if (err != MP_OK)
        return mpi_obj_failed(err);
    return mp_obj_function(address.to.function);
}

static mp_obj *call_resource(mpi_loader *from, const mp_obj *callable,
                             const mp_obj *arguments)
{
    mp_obj *name = mpi_as_container(callable)->items[0];
    const mpi_resource_type *type = find_resource(mpi_as_string(name));
    void *self = NULL;
    mp_obj *obj;
    mp_error err;

    assert(type != NULL); /* or it would be no CALL_RESOURCE */
    /* Bytes that came from anywhere open nothing. */
    if (from->transport == NULL && type->module != NULL)
        return opaque_new(mp_obj_ref(name), mp_obj_ref(arguments));
    if (from->transport == NULL)
        return mpi_obj_failed(mpi_fail(
            MP_EUNPICKLE, "can't unpickle %s: no handles came with the pickle",
            type->name));
    if (mp_obj_type(arguments) != MP_TYPE_TUPLE && type->module == NULL)
        return bad_call(callable);
    err = type->rebuild(type, arguments, from->transport, &self);
    if (err != MP_OK)
        return mpi_obj_failed(err);
    obj = mpi_obj_resource(type, self);
    type->unref(type, self);
    return obj;
}

/* partial(callable), whose state is to follow. */
static mp_obj *call_partial(const mp_obj *callable, const mp_obj *arguments)
{
    mp_obj *name = mpi_as_container(callable)->items[0];
    mp_obj *obj = opaque_new(mp_obj_ref(name), mp_obj_ref(arguments));

    if (!mpi_is_error(obj))
        mpi_mutable(obj)->with.mask = CALL_BOUND;
    return obj;
}

/* What such an object calls, with keywords only; NULL: that is not it. Its
 * state: (callable, (), keywords, attributes). */
static const mp_obj *find_keywords(const mpi_container *partial,
                                   const mp_obj **callable)
{
    const mpi_container *state;
    size_t count;

    if (partial->size < 3 || mp_obj_type(partial->items[2]) != MP_TYPE_TUPLE)
        return NULL;
    state = mpi_as_container(partial->items[2]);
    if (state->size != 4 || mp_obj_type(state->items[0]) != MP_TYPE_OPAQUE ||
        mp_obj_type(state->items[1]) != MP_TYPE_TUPLE ||
        mp_obj_len(state->items[1], &count) != MP_OK || count != 0 ||
        mp_obj_type(state->items[2]) != MP_TYPE_DICT)
        return NULL;
    *callable = state->items[0];
    return state->items[2];
}

/* What Python calls so is a ShareableList; anything else stays opaque. */
static mp_obj *call_bound(mpi_loader *from, const mp_obj *partial,
                          const mp_obj *arguments)
{
    const mpi_container *what = mpi_as_container(partial);
    const mp_obj *callable;
    const mp_obj *keywords = find_keywords(what, &callable);

    if (keywords != NULL && mpi_as_container(arguments)->size == 0 &&
        mpi_as_container(callable)->with.mask == CALL_RESOURCE)
        return call_resource(from, callable, keywords);
    return opaque_new(mp_obj_ref(what->items[0]), mp_obj_ref(arguments));
}

/* callable(*arguments), where callable is any opaque object. */
static mp_obj *call(mpi_loader *from, const mp_obj *callable,
                    const mp_obj *arguments)
{
    const mpi_container *what = mpi_as_container(callable);
    const mpi_container *with = mpi_as_container(arguments);

    switch ((enum call)what->with.mask) {
    case CALL_SET:
        return call_set(callable, with);
    case CALL_BYTES:
        return call_bytes(callable, with);
    case CALL_ENCODE:
        return with->size == 2 ? call_bytes(callable, with)
                               : bad_call(callable);
    case CALL_FUNCTION:
        return call_function(arguments);
    case CALL_RESOURCE:
        return call_resource(from, callable, arguments);
    case CALL_PARTIAL:
        return call_partial(callable, arguments);
    case CALL_BOUND:
        return call_bound(from, callable, arguments);
    case CALL_FIRST:
        if (with->size != 0 && mp_obj_type(with->items[0]) == MP_TYPE_OPAQUE)
            what = mpi_as_container(with->items[0]);
        break;
    case CALL_UNKNOWN:
        break;
    }
    return opaque_new(mp_obj_ref(what->items[0]), mp_obj_ref(arguments));
}

static mp_error call_and_push(mpi_loader *from, const mp_obj *callable,
                              const mp_obj *arguments)
{
    if (mp_obj_type(callable) != MP_TYPE_OPAQUE ||
        mp_obj_type(arguments) != MP_TYPE_TUPLE)
        return mpi_fail(MP_EUNPICKLE, "a pickle calls %s with %s",
                        mp_obj_type_name(callable),
                        mp_obj_type_name(arguments));
    return mpi_load_push(from, call(from, callable, arguments));
}

/* NEWOBJ too: a class made without __init__ is the same to us. */
mp_error mpi_load_reduce(mpi_loader *from)
{
    mp_obj *arguments = NULL;
    mp_obj *callable = NULL;
    mp_error err = mpi_load_pop(from, &arguments);

    if (err == MP_OK)
        err = mpi_load_pop(from, &callable);
    if (err == MP_OK)
        err = call_and_push(from, callable, arguments);
    mp_obj_unref(arguments);
    mp_obj_unref(callable);
    return err;
}

mp_error mpi_load_newobj_ex(mpi_loader *from)
{
    mp_obj *keywords = NULL;
    mp_error err = mpi_load_pop(from, &keywords);

    mp_obj_unref(keywords);
    return err == MP_OK ? mpi_load_reduce(from) : err;
}

/*
 * The state of an object. One that is in use already has a state that leads
 * back to itself, which we have no way to hold, nor need.
 */
mp_error mpi_load_build(mpi_loader *from)
{
    mp_obj *state;
    mp_obj *obj;
    mp_error err = mpi_load_pop(from, &state);

    if (err != MP_OK)
        return err;
    obj = from->depth > from->fence ? from->stack[from->depth - 1] : NULL;
    if (obj == NULL || mp_obj_type(obj) != MP_TYPE_OPAQUE) {
        mp_obj_unref(state);
        return mpi_fail(MP_EUNPICKLE, "a pickle gives %s a state",
                        obj != NULL ? mp_obj_type_name(obj) : "nothing");
    }
    if ((obj->flags & MPI_FROZEN) == 0)
        return mpi_extend(obj, &state, 1);
    mp_obj_unref(state);
    return MP_OK;
}
