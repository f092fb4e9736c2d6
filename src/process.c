/* SPDX-License-Identifier: MIT */
/*
 * Process objects: describing, asking, waiting, ending. How a process comes to
 * be is start.c's and forkserver.c's, what it does first is child.c's.
 */
#include "state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -- Making ---------------------------------------------------------------- */

mp_process *mpi_process_new(const char *name, const char *identity)
{
    static const mpos_mutex free_mutex = MPOS_MUTEX_INIT;
    mp_process *process = mpi_lifetime_new(MPI_PROCESS, sizeof(*process));

    if (process == NULL)
        return NULL;
    process->mutex = free_mutex;
    process->status = MPOS_NONE;
    process->block.memory = MPOS_NONE;
    process->os.sentinel = MPOS_NONE;
    process->creator_pid = mpos_pid();
    process->name = mpi_strdup(name);
    process->identity = mpi_strdup(identity);
    if (process->name == NULL || process->identity == NULL) {
        mpi_process_free(process);
        return NULL;
    }
    return process;
}

void mpi_process_drop_work(mp_process *process)
{
    mp_obj_unref(process->args.tuple);
    mp_obj_unref(process->args.dict);
    process->args.tuple = NULL;
    process->args.dict = NULL;
}

static void release(mp_process *process)
{
    mpi_process_drop_work(process);
    mpi_parcel_cancel(&process->parcel);
    if (process->fields != NULL && process->type->destroy != NULL)
        process->type->destroy(process->fields);
    free(process->fields);
    free(process->target_name);
    free(process->name);
    free(process->identity);
    free(process->authkey);
    process->fields = NULL;
    process->target_name = NULL;
    process->name = NULL;
    process->identity = NULL;
    process->authkey = NULL;
    mpos_close(process->status);
    process->status = MPOS_NONE;
    mpos_process_close(&process->os);
    mpi_block_close(&process->block);
}

void mpi_process_free(mp_process *process)
{
    if (process == NULL)
        return;
    release(process);
    free(process);
}

/* "Process", "SpawnProcess" ...: as Python's context classes are called. */
static const char *default_prefix(mp_start_method method)
{
    static const char *const prefixes[] = {
        [MP_START_DEFAULT] = "Process",
        [MP_START_SPAWN] = "SpawnProcess",
        [MP_START_FORK] = "ForkProcess",
        [MP_START_FORKSERVER] = "ForkServerProcess",
    };
    return prefixes[method];
}

static mp_process *new_child(const char *prefix,
                             const mp_process_options *options)
{
    mp_process *current = mp_current_process();
    const char *parent = current->identity == NULL ? "" : current->identity;
    mpi_buffer identity = {0};
    mpi_buffer name = {0};
    mp_process *process = NULL;
    unsigned number;

    mpos_mutex_lock(&mpi_state.mutex);
    number = ++mpi_state.last_child;
    mpos_mutex_unlock(&mpi_state.mutex);
    mpi_buffer_printf(&identity, "%s%s%u", parent, *parent != 0 ? ":" : "",
                      number);
    if (!identity.has_failed && options->name != NULL)
        mpi_buffer_printf(&name, "%s", options->name);
    else if (!identity.has_failed)
        mpi_buffer_printf(&name, "%s-%s", prefix, (char *)identity.data);
    if (!identity.has_failed && !name.has_failed)
        process = mpi_process_new((char *)name.data, (char *)identity.data);
    mpi_buffer_free(&identity);
    mpi_buffer_free(&name);
    return process;
}

static mp_error inherit(mp_process *process, const mp_process_options *options)
{
    mp_process *current = mp_current_process();
    const void *key;
    size_t size;
    mp_error err = mp_process_authkey(current, &key, &size);

    if (err == MP_OK)
        err = mp_process_set_authkey(process, key, size);
    process->method = options->start_method;
    process->is_daemon =
        options->daemon == MP_DAEMON_YES ||
        (options->daemon == MP_DAEMON_INHERIT && current->is_daemon);
    return err;
}

static mp_error check_name(const char *name)
{
    mp_obj *text;
    mp_error err;

    if (name == NULL || *name == 0)
        return mpi_fail(MP_EINVAL, "a process can't have an empty name");
    text = mp_obj_str(name);
    err = mp_obj_error(text);
    mp_obj_unref(text);
    if (err == MP_EINVAL)
        return mpi_fail(MP_EINVAL, "a process's name must be UTF-8");
    return err;
}

static mp_error check_options(const mp_process_options *options)
{
    if (options->start_method < MP_START_DEFAULT ||
        options->start_method > MP_START_FORKSERVER)
        return mpi_fail(MP_EINVAL, "there is no start method %d",
                        (int)options->start_method);
    if (options->daemon < MP_DAEMON_INHERIT || options->daemon > MP_DAEMON_YES)
        return mpi_fail(MP_EINVAL, "daemon is %d, which is no mp_daemon",
                        (int)options->daemon);
    return options->name == NULL ? MP_OK : check_name(options->name);
}

static mp_error check_args(const mp_obj *args, const mp_obj *kwargs)
{
    const mp_obj *key;
    mp_iter it = {0};

    if (mp_obj_error(args) != MP_OK)
        return mp_obj_error(args);
    if (mp_obj_error(kwargs) != MP_OK)
        return mp_obj_error(kwargs);
    if (mp_obj_type(args) != MP_TYPE_TUPLE)
        return mpi_fail(MP_EINVAL, "args must be a tuple, MP_ARGS(...), not %s",
                        mp_obj_type_name(args));
    if (mp_obj_type(kwargs) != MP_TYPE_DICT)
        return mpi_fail(MP_EINVAL,
                        "kwargs must be a dict, MP_KWARGS(...), not %s",
                        mp_obj_type_name(kwargs));
    while (mp_obj_next(kwargs, &it, &key, NULL))
        if (mp_obj_type(key) != MP_TYPE_STR)
            return mpi_fail(MP_EINVAL, "kwargs has a key that is no str");
    return MP_OK;
}

static mp_error create(mp_process **out, const char *type_name,
                       const mp_process_options *options)
{
    mp_process *process;
    mp_error err;

    if (out == NULL)
        return mpi_fail(MP_EINVAL, "there is nowhere to put the process");
    err = check_options(options);
    if (err == MP_OK)
        err = mpi_state_init();
    if (err != MP_OK)
        return err;
    process = new_child(
        type_name != NULL ? type_name : default_prefix(options->start_method),
        options);
    if (process == NULL)
        return mpi_no_memory();
    err = inherit(process, options);
    if (err != MP_OK) {
        mpi_process_free(process);
        return err;
    }
    *out = process;
    return MP_OK;
}

static mp_error create_plain(mp_process **out, mp_function target,
                             const char *name, const mp_args *args,
                             const mp_process_options *options)
{
    mp_process *process;
    mp_error err;

    if (target == NULL)
        return mpi_fail(MP_EINVAL, "the target is NULL");
    err = check_args(args->tuple, args->dict);
    if (err == MP_OK && out == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the process");
    if (err == MP_OK)
        err = create(&process, NULL, options);
    if (err != MP_OK)
        return err;
    process->target_name = mpi_strdup(name == NULL ? "target" : name);
    if (process->target_name == NULL) {
        mpi_process_free(process);
        return mpi_no_memory();
    }
    process->target = target;
    process->args.tuple = mp_obj_ref(args->tuple);
    process->args.dict = mp_obj_ref(args->dict);
    *out = process;
    return MP_OK;
}

mp_error mp_process_create_named(mp_process **out, mp_function target,
                                 const char *target_name, mp_obj *args,
                                 const mp_process_options *options)
{
    mp_process_options defaults = {0};
    const mp_process_options *chosen = options == NULL ? &defaults : options;
    mp_obj *kwargs = chosen->kwargs;
    mp_args given = {
        .tuple = args == NULL ? mp_obj_tuple(NULL, 0) : args,
        .dict = kwargs == NULL ? mp_obj_dict(NULL, 0) : kwargs,
    };
    mp_error err = create_plain(out, target, target_name, &given, chosen);

    mp_obj_unref(given.tuple);
    mp_obj_unref(given.dict);
    return err;
}

mp_error(mp_process_create)(mp_process **out, mp_function target, mp_obj *args,
                            const mp_process_options *options)
{
    return mp_process_create_named(out, target, NULL, args, options);
}

static mp_error check_type(const mp_process_type *type)
{
    if (type == NULL || type->run == NULL)
        return mpi_fail(MP_EINVAL, "a process type needs a run function");
    if ((type->get_state == NULL) != (type->set_state == NULL))
        return mpi_fail(MP_EINVAL, "a process type needs both get_state and "
                                   "set_state, or neither");
    return MP_OK;
}

mp_error mp_process_create_type(mp_process **out, const mp_process_type *type,
                                const void *fields,
                                const mp_process_options *options)
{
    mp_process_options defaults = {0};
    const mp_process_options *chosen = options == NULL ? &defaults : options;
    mp_process *process;
    mp_error err = check_type(type);

    if (err == MP_OK && chosen->kwargs != NULL)
        err = mpi_fail(MP_EINVAL, "a process type takes fields, not kwargs");
    if (err == MP_OK && out == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the process");
    if (err == MP_OK)
        err = create(&process, type->name, chosen);
    mp_obj_unref(chosen->kwargs);
    if (err != MP_OK)
        return err;
    process->fields = mpi_calloc(1, type->size);
    if (process->fields == NULL) {
        mpi_process_free(process);
        return mpi_no_memory();
    }
    process->type = type;
    if (fields != NULL)
        memcpy(process->fields, fields, type->size);
    *out = process;
    return MP_OK;
}

/* -- Checking -------------------------------------------------------------- */

bool mpi_process_is_current(const mp_process *process)
{
    return process == mpi_state.current;
}

bool mpi_process_is_parent(const mp_process *process)
{
    return process != NULL && process == mpi_state.parent;
}

static mp_error check_alive_object(const mp_process *process)
{
    return mpi_lifetime_check(process, MPI_PROCESS);
}

/* For what only the creating process may do. */
mp_error mpi_process_check_mine(const mp_process *process)
{
    mp_error err = check_alive_object(process);

    if (err != MP_OK)
        return err;
    if (mpi_process_is_current(process) || process->creator_pid != mpos_pid())
        return mpi_fail(MP_ENOTCHILD, "%s is not a child of this process",
                        process->name);
    return MP_OK;
}

mp_error mp_process_close(mp_process *process)
{
    mp_error err;

    if (process == NULL)
        return MP_OK;
    err = check_alive_object(process);
    if (err != MP_OK)
        return err;
    if (mpi_process_is_current(process) || mpi_process_is_parent(process))
        return mpi_fail(MP_ESTATE, "%s can't be closed from here",
                        process->name);
    if (process->creator_pid == mpos_pid() &&
        mpi_run_of(process) != MPI_RUN_INITIAL && !mpi_process_poll(process))
        return mpi_fail(MP_ESTATE,
                        "can't close %s while it is running; join() or "
                        "terminate() it first",
                        process->name);
    mpi_children_remove(process);
    release(process);
    mpi_lifetime_end(process);
    return MP_OK;
}

/* -- Asking ---------------------------------------------------------------- */

const char *mp_process_name(mp_process *process)
{
    if (check_alive_object(process) != MP_OK || process->name == NULL)
        return "";
    return process->name;
}

mp_error mp_process_set_name(mp_process *process, const char *name)
{
    mp_error err = check_alive_object(process);
    char *copy;

    if (err == MP_OK)
        err = check_name(name);
    if (err != MP_OK)
        return err;
    copy = mpi_strdup(name);
    if (copy == NULL)
        return mpi_no_memory();
    free(process->name);
    process->name = copy;
    return MP_OK;
}

int64_t mp_process_pid(mp_process *process)
{
    if (check_alive_object(process) != MP_OK ||
        mpi_run_of(process) < MPI_RUN_STARTED)
        return 0;
    return process->pid != 0 ? process->pid : process->os.pid;
}

bool mp_process_is_daemon(mp_process *process)
{
    return check_alive_object(process) == MP_OK && process->is_daemon;
}

mp_error mp_process_set_daemon(mp_process *process, bool is_daemon)
{
    mp_error err = mpi_process_check_mine(process);

    if (err == MP_OK && mpi_run_of(process) != MPI_RUN_INITIAL)
        err = mpi_fail(MP_ESTATE, "%s has been started already", process->name);
    if (err == MP_OK)
        process->is_daemon = is_daemon;
    return err;
}

void *mp_process_fields(mp_process *process)
{
    return check_alive_object(process) == MP_OK ? process->fields : NULL;
}

static mp_error store_authkey(mp_process *process, const void *key, size_t size,
                              bool is_replaced)
{
    unsigned char *copy = mpi_malloc(size);
    unsigned char *unused = copy;

    if (copy == NULL)
        return mpi_no_memory();
    if (size > 0)
        memcpy(copy, key, size);
    mpos_mutex_lock(&process->mutex);
    if (process->authkey == NULL || is_replaced) {
        unused = process->authkey;
        process->authkey = copy;
        process->authkey_size = size;
    }
    mpos_mutex_unlock(&process->mutex);
    free(unused);
    return MP_OK;
}

static bool has_authkey(mp_process *process)
{
    bool has_one;

    mpos_mutex_lock(&process->mutex);
    has_one = process->authkey != NULL;
    mpos_mutex_unlock(&process->mutex);
    return has_one;
}

/* The main process gets its key when somebody first needs it; if several
 * threads do at once, the first one's stays. */
static mp_error make_authkey(mp_process *process)
{
    unsigned char key[32];
    mp_error err = mpos_random(key, sizeof(key));

    return err == MP_OK ? store_authkey(process, key, sizeof(key), false) : err;
}

mp_error mp_process_authkey(mp_process *process, const void **key, size_t *size)
{
    mp_error err = check_alive_object(process);

    if (err == MP_OK && (key == NULL || size == NULL))
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the key");
    if (err == MP_OK && !has_authkey(process))
        err = make_authkey(process);
    if (err != MP_OK)
        return err;
    *key = process->authkey;
    *size = process->authkey_size;
    return MP_OK;
}

mp_error mp_process_set_authkey(mp_process *process, const void *key,
                                size_t size)
{
    mp_error err = check_alive_object(process);

    if (err != MP_OK)
        return err;
    if (key == NULL && size > 0)
        return mpi_fail(MP_EINVAL, "the key is NULL");
    return store_authkey(process, key, size, true);
}

/* -- Running --------------------------------------------------------------- */

int mpi_process_call_target(mp_process *process)
{
    if (process->type != NULL)
        return process->type->run(process);
    process->args.name = process->target_name;
    return process->target(&process->args);
}

mp_error mp_process_run(mp_process *process, int *code)
{
    mp_error err = mpi_process_check_mine(process);
    int result;

    if (err == MP_OK && mpi_run_of(process) != MPI_RUN_INITIAL)
        err = mpi_fail(MP_ESTATE, "%s has been started already", process->name);
    if (err != MP_OK)
        return err;
    result = mpi_process_call_target(process);
    if (code != NULL)
        *code = result;
    return MP_OK;
}
