/* SPDX-License-Identifier: MIT */
/*
 * How functions (and other static addresses) travel: as the module they lie
 * in, its build id, and their offset. That survives address randomisation and
 * needs no registration. A module that differs on the other side is refused,
 * so that nothing ever jumps into code that has been replaced.
 */
#include "internal.h"
#include "resource.h"

#include <stdlib.h>
#include <string.h>

/* The module that nearly every function lies in. No other is kept: a library
 * may be unloaded, and another one take its place. */
static mpos_module program;

mpos_mutex mpi_function_mutex = MPOS_MUTEX_INIT;

static bool is_within(const mpos_module *module, uintptr_t address)
{
    return module->path != NULL && address >= module->base &&
           address - module->base < module->size;
}

static mp_error make_state(const mpos_module *module, uintptr_t address,
                           mp_obj **state)
{
    mp_obj *items[] = {
        module->is_program ? mp_obj_none() : mp_obj_str(module->path),
        mp_obj_bytes(module->build_id, sizeof(module->build_id)),
        mp_obj_int((int64_t)(address - module->base)),
    };
    mp_obj *tuple = mp_obj_tuple(items, 3);

    if (mp_obj_error(tuple) != MP_OK)
        return mp_obj_error(tuple);
    *state = tuple;
    return MP_OK;
}

/* Its path is the caller's to free, unless it is the program's. */
static mp_error find_module(uintptr_t address, mpos_module *module)
{
    mp_error err;

    if (is_within(&program, address)) {
        *module = program;
        return MP_OK;
    }
    err = mpos_module_of((const void *)address, module);
    if (err == MP_OK && module->is_program && program.path == NULL)
        program = *module;
    return err;
}

static mp_error reduce(uintptr_t code, uintptr_t address, mp_obj **state)
{
    mpos_module module = {0};
    mp_error err;

    mpos_mutex_lock(&mpi_function_mutex);
    err = find_module(code, &module);
    if (err == MP_OK && !is_within(&module, address))
        err = MP_ENOTFOUND;
    if (err == MP_OK)
        err = make_state(&module, address, state);
    if (module.path != program.path)
        free(module.path);
    mpos_mutex_unlock(&mpi_function_mutex);
    return err;
}

mp_error mpi_function_reduce(const void *function, mp_obj **state)
{
    uintptr_t address = (uintptr_t)function;
    mp_error err = reduce(address, address, state);

    if (err != MP_ENOTFOUND)
        return err;
    return mpi_fail(MP_EPICKLE,
                    "can't pickle function at %p: it is in no loaded module",
                    function);
}

mp_error mpi_static_reduce(const void *object, const void *code, mp_obj **state)
{
    mp_error err = reduce((uintptr_t)code, (uintptr_t)object, state);

    if (err != MP_ENOTFOUND)
        return err;
    return mpi_fail(MP_EPICKLE,
                    "can't pickle the object at %p: it is no static object of "
                    "the module its functions are in",
                    object);
}

static mp_error find_or_load(const char *path, mpos_module *module)
{
    mp_error err = mpos_module_find(path, module);

    if (err != MP_ENOTFOUND || path == NULL)
        return err;
    err = mpos_module_load(path);
    if (err != MP_OK)
        return err;
    return mpos_module_find(path, module);
}

static mp_error unpack(const mp_obj *state, const char **path,
                       const void **build_id, int64_t *offset)
{
    const mp_obj *item;
    size_t size;

    if (mp_obj_type(state) != MP_TYPE_TUPLE)
        return MP_EUNPICKLE;
    *path = NULL;
    if (mp_obj_item(state, 0, &item) != MP_OK ||
        (!mp_obj_is_none(item) && mp_obj_as_str(item, path, NULL) != MP_OK))
        return MP_EUNPICKLE;
    if (mp_obj_item(state, 1, &item) != MP_OK ||
        mp_obj_as_bytes(item, build_id, &size) != MP_OK ||
        size != MPOS_BUILD_ID_SIZE)
        return MP_EUNPICKLE;
    if (mp_obj_item(state, 2, &item) != MP_OK ||
        mp_obj_as_int(item, offset) != MP_OK || *offset < 0)
        return MP_EUNPICKLE;
    return MP_OK;
}

mp_error mpi_static_rebuild(const mp_obj *state, const void **object)
{
    mpos_module module;
    const char *path;
    const void *build_id;
    int64_t offset;
    mp_error err;

    if (unpack(state, &path, &build_id, &offset) != MP_OK)
        return mpi_fail(MP_EUNPICKLE, "this is no address in a module");
    err = find_or_load(path, &module);
    if (err == MP_ENOMEM)
        return mpi_no_memory();
    if (err != MP_OK)
        return mpi_context(MP_EUNPICKLE, "can't find the module of a function");
    if (memcmp(module.build_id, build_id, MPOS_BUILD_ID_SIZE) != 0)
        err =
            mpi_fail(MP_EVERSION, "the other side runs a different build of %s",
                     module.path);
    else if ((uint64_t)offset >= module.size)
        err = mpi_fail(MP_EUNPICKLE, "a function lies outside of %s",
                       module.path);
    else
        *object = (const void *)(module.base + (uintptr_t)offset);
    free(module.path);
    return err;
}

mp_error mpi_function_rebuild(const mp_obj *state, const void **function)
{
    mpos_module module;
    const void *address;
    mp_error err = mpi_static_rebuild(state, &address);

    if (err != MP_OK)
        return err;
    /* The offset may come from a stranger: it must at least be code. */
    err = mpos_module_of(address, &module);
    if (err == MP_ENOMEM)
        return mpi_no_memory();
    if (err != MP_OK)
        return mpi_context(MP_EUNPICKLE, "a function is no code");
    free(module.path);
    *function = address;
    return MP_OK;
}
