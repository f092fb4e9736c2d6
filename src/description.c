/* SPDX-License-Identifier: MIT */
/*
 * What a child is told about itself: a tuple of fields, the same on both
 * sides, in its start block. Who starts it and how: start.c.
 */
#include "pickle.h"
#include "state.h"

#include <stdlib.h>
#include <string.h>

typedef enum field {
    NAME,
    IDENTITY,
    AUTHKEY,
    IS_DAEMON,
    PARENT_NAME,
    PARENT_PID,
    PARENT_START,
    METHOD,
    EXECUTABLE,
    DIRECTORY, /* None: that of the parent, inherited */
    TYPE,      /* None: a plain target */
    TYPE_STATE,
    TARGET, /* None: the fork server's */
    TARGET_NAME,
    ARGS,
    KWARGS,
    FIELD_COUNT
} field;

/* -- The description ------------------------------------------------------- */

static mp_obj *text_or_none(const char *text)
{
    return text == NULL ? mp_obj_none() : mp_obj_str(text);
}

/* Another thread may be setting it. */
mp_obj *mpi_executable_or_none(void)
{
    mp_obj *text;

    mpos_mutex_lock(&mpi_state.mutex);
    text = text_or_none(mpi_state.executable);
    mpos_mutex_unlock(&mpi_state.mutex);
    return text;
}

/* After a function of the user's, which need not leave a sentence. */
static mp_error fail_of_type(mp_error err, const mp_process_type *type,
                             const char *function)
{
    const char *cause = mp_error_message();

    return mpi_fail(err, "%s of %s: %s", function,
                    type->name == NULL ? "a process type" : type->name,
                    *cause == 0 ? mp_strerror(err) : cause);
}

/* The fields, or why there are none. */
static mp_error put_state(mp_obj **fields, const mp_process *process)
{
    const mp_process_type *type = process->type;

    if (type->get_state == NULL) {
        fields[TYPE_STATE] = mp_obj_bytes(process->fields, type->size);
        return MP_OK;
    }
    mpi_forget_failure();
    fields[TYPE_STATE] = type->get_state(process->fields);
    if (mp_obj_error(fields[TYPE_STATE]) == MP_OK)
        return MP_OK;
    return fail_of_type(mp_obj_error(fields[TYPE_STATE]), type, "get_state");
}

static mp_error put_work(mp_obj **fields, const mp_process *process)
{
    const mp_process_type *type = process->type;
    mp_error err;

    if (type != NULL) {
        const void *run = (const void *)(uintptr_t)type->run;

        err = mpi_static_reduce(type, run, &fields[TYPE]);
        return err == MP_OK ? put_state(fields, process) : err;
    }
    /* The fork server is that of the program that is run, which may be another
     * one. */
    if (process->target != mpi_forkserver_serve)
        fields[TARGET] = mp_obj_function(process->target);
    fields[TARGET_NAME] = mp_obj_str(process->target_name);
    fields[ARGS] = mp_obj_ref(process->args.tuple);
    fields[KWARGS] = mp_obj_ref(process->args.dict);
    return MP_OK;
}

static mp_error put_self(mp_obj **fields, const mp_process *process)
{
    const mp_process *current = mp_current_process();
    uint64_t start_time;
    mp_error err = mpi_own_start_time(&start_time);

    if (err != MP_OK)
        return err;
    fields[NAME] = mp_obj_str(process->name);
    fields[IDENTITY] = mp_obj_str(process->identity);
    fields[AUTHKEY] = mp_obj_bytes(process->authkey, process->authkey_size);
    fields[IS_DAEMON] = mp_obj_bool(process->is_daemon);
    fields[PARENT_NAME] = text_or_none(current->name);
    fields[PARENT_PID] = mp_obj_int(mpos_pid());
    fields[PARENT_START] = mp_obj_int((int64_t)start_time);
    fields[METHOD] = mp_obj_int(mp_get_start_method());
    fields[EXECUTABLE] = mpi_executable_or_none();
    return MP_OK;
}

/* A directory that has been deleted has no path; the child stays where it
 * is. As bytes, for it need not be UTF-8. */
static void put_directory(mp_obj **fields)
{
    char *path = NULL;

    if (mpos_working_directory(&path) == MP_OK)
        fields[DIRECTORY] = mp_obj_bytes(path, strlen(path) + 1);
    free(path);
}

mp_error mpi_describe_work(const mp_process *process, mp_obj **out)
{
    mp_obj *fields[FIELD_COUNT];
    mp_error err;

    for (int i = 0; i < FIELD_COUNT; i++)
        fields[i] = mp_obj_none();
    err = put_work(fields, process);
    *out = mp_obj_tuple(fields, FIELD_COUNT);
    return err == MP_OK ? mp_obj_error(*out) : err;
}

mp_error mpi_describe(const mp_process *process, bool has_directory,
                      mp_obj **out)
{
    mp_obj *fields[FIELD_COUNT];
    mp_error err;

    for (int i = 0; i < FIELD_COUNT; i++)
        fields[i] = mp_obj_none();
    err = put_self(fields, process);
    if (err == MP_OK)
        err = put_work(fields, process);
    if (err == MP_OK && has_directory)
        put_directory(fields);
    *out = mp_obj_tuple(fields, FIELD_COUNT);
    return err == MP_OK ? mp_obj_error(*out) : err;
}

/* -- And back -------------------------------------------------------------- */

static mp_error take_text(const mp_obj *fields, field key, char **out)
{
    const mp_obj *value;
    const char *text;
    mp_error err = mp_obj_item(fields, key, &value);

    if (err == MP_OK)
        err = mp_obj_as_str(value, &text, NULL);
    if (err != MP_OK)
        return err;
    free(*out);
    *out = mpi_strdup(text);
    return *out == NULL ? mpi_no_memory() : MP_OK;
}

static mp_error take_int(const mp_obj *fields, field key, int64_t *out)
{
    const mp_obj *value;
    mp_error err = mp_obj_item(fields, key, &value);

    return err == MP_OK ? mp_obj_as_int(value, out) : err;
}

static mp_error take_bytes(const mp_obj *fields, field key, const void **data,
                           size_t *size)
{
    const mp_obj *value;
    mp_error err = mp_obj_item(fields, key, &value);

    return err == MP_OK ? mp_obj_as_bytes(value, data, size) : err;
}

static mp_error take_fields(const mp_obj *fields, mp_process *process)
{
    const mp_process_type *type = process->type;
    const mp_obj *state;
    const void *data;
    size_t size;
    mp_error err = mp_obj_item(fields, TYPE_STATE, &state);

    if (err != MP_OK)
        return err;
    process->fields = mpi_calloc(1, type->size);
    if (process->fields == NULL)
        return mpi_no_memory();
    if (type->set_state != NULL) {
        mpi_forget_failure();
        err = type->set_state(process->fields, state);
        return err == MP_OK ? err : fail_of_type(err, type, "set_state");
    }
    err = mp_obj_as_bytes(state, &data, &size);
    if (err != MP_OK)
        return err;
    if (size != type->size)
        return mpi_fail(MP_EUNPICKLE, "%s has %zu bytes of fields, not %zu",
                        type->name == NULL ? "a process type" : type->name,
                        type->size, size);
    if (size > 0)
        memcpy(process->fields, data, size);
    return MP_OK;
}

static mp_error take_type(const mp_obj *fields, const mp_obj *where,
                          mp_process *process)
{
    const void *type;
    mp_error err = mpi_static_rebuild(where, &type);

    if (err != MP_OK)
        return err;
    process->type = type;
    return take_fields(fields, process);
}

static mp_error take_work(const mp_obj *fields, mp_process *process)
{
    const mp_obj *type, *target, *args, *kwargs;
    mp_error err;

    err = mp_obj_item(fields, TYPE, &type);
    if (err == MP_OK && !mp_obj_is_none(type))
        return take_type(fields, type, process);
    if (err == MP_OK)
        err = mp_obj_item(fields, TARGET, &target);
    process->target = mpi_forkserver_serve;
    if (err == MP_OK && !mp_obj_is_none(target))
        err = mp_obj_as_function(target, &process->target);
    if (err == MP_OK)
        err = take_text(fields, TARGET_NAME, &process->target_name);
    if (err == MP_OK)
        err = mp_obj_item(fields, ARGS, &args);
    if (err == MP_OK)
        err = mp_obj_item(fields, KWARGS, &kwargs);
    if (err != MP_OK)
        return err;
    process->args.tuple = mp_obj_ref(args);
    process->args.dict = mp_obj_ref(kwargs);
    return MP_OK;
}

static mp_error take_parent(const mp_obj *fields, mp_process **out)
{
    mp_process *parent = mpi_process_new("parent", "");
    int64_t start_time;
    mp_error err;

    if (parent == NULL)
        return mpi_no_memory();
    mpi_run_set(parent, MPI_RUN_STARTED);
    err = take_text(fields, PARENT_NAME, &parent->name);
    if (err == MP_OK)
        err = take_int(fields, PARENT_PID, &parent->os.pid);
    if (err == MP_OK)
        err = take_int(fields, PARENT_START, &start_time);
    if (err != MP_OK) {
        mpi_process_free(parent);
        return err;
    }
    parent->os.start_time = (uint64_t)start_time;
    *out = parent;
    return MP_OK;
}

static mp_error take_self(const mp_obj *fields, mp_process *process)
{
    const mp_obj *daemon, *executable;
    const void *key;
    size_t size;
    mp_error err = take_text(fields, NAME, &process->name);

    if (err == MP_OK)
        err = take_text(fields, IDENTITY, &process->identity);
    if (err == MP_OK)
        err = take_bytes(fields, AUTHKEY, &key, &size);
    if (err == MP_OK)
        err = mp_process_set_authkey(process, key, size);
    if (err == MP_OK)
        err = mp_obj_item(fields, IS_DAEMON, &daemon);
    if (err == MP_OK)
        err = mp_obj_as_bool(daemon, &process->is_daemon);
    if (err == MP_OK)
        err = mp_obj_item(fields, EXECUTABLE, &executable);
    if (err == MP_OK && !mp_obj_is_none(executable))
        err = take_text(fields, EXECUTABLE, &mpi_state.executable);
    return err;
}

static void take_directory(const mp_obj *fields)
{
    const mp_obj *value;
    const void *path;
    size_t size;

    if (mp_obj_item(fields, DIRECTORY, &value) == MP_OK &&
        !mp_obj_is_none(value) &&
        mp_obj_as_bytes(value, &path, &size) == MP_OK && size > 0 &&
        ((const char *)path)[size - 1] == 0)
        (void)mpos_change_directory(path);
}

static mp_error take_all(const mp_obj *fields, mpi_start *start)
{
    int64_t method;
    mp_error err = take_self(fields, start->process);

    if (err == MP_OK)
        err = take_int(fields, METHOD, &method);
    if (err == MP_OK)
        err = take_parent(fields, &start->parent);
    if (err == MP_OK)
        err = take_work(fields, start->process);
    if (err != MP_OK)
        return err; /* its sentence is the one to be told */
    start->default_method = (mp_start_method)method;
    take_directory(fields);
    return MP_OK;
}

mp_error mpi_start_decode(const mpi_block *block, mpi_transport *transport,
                          mpi_start *start)
{
    size_t size;
    const void *pickle = mpi_block_pickle(block, &size);
    mp_obj *fields;
    mp_error err;

    /* First, so that whatever fails later can be said in its name. */
    *start = (mpi_start){.process = mpi_process_new("child", "")};
    if (start->process == NULL)
        return mpi_no_memory();
    err = mpi_pickle_load(pickle, size, transport, &fields);
    if (err != MP_OK)
        return err;
    err = take_all(fields, start);
    mp_obj_unref(fields);
    return err;
}
