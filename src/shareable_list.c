/* SPDX-License-Identifier: MIT */
/*
 * ShareableList: a SharedMemory (segment.c) in CPython's layout
 * (shareable_layout.c), as an object of this process.
 */
#include "shareable_list.h"

#include "internal.h"
#include "obj.h"
#include "segment.h"
#include "shareable_layout.h"

#include <multiproc/shareable_list.h>

struct mp_shareable_list {
    mpi_lifetime lifetime;
    mpi_atomic32 references;
    mpi_sync_owner owner;
    mp_shared_memory *memory; /* NULL: it is closed */
    mpi_layout layout;
};

static mp_error check(const mp_shareable_list *list)
{
    mp_error err = mpi_lifetime_check(list, MPI_SHAREABLE_LIST);

    if (err != MP_OK)
        return err;
    /* The memory can be closed by itself, too. */
    if (list->memory == NULL || list->memory->data == NULL)
        return mpi_fail(MP_ECLOSED, "the ShareableList is closed");
    return MP_OK;
}

static mp_error check_out(const void *out)
{
    if (out != NULL)
        return MP_OK;
    return mpi_fail(MP_EINVAL, "there is nowhere to put the result");
}

/* -- References ------------------------------------------------------------ */

static void list_ref(void *self)
{
    mpi_atomic32_add(&((mp_shareable_list *)self)->references, 1);
}

static void close_now(mp_shareable_list *list)
{
    mpi_layout_free(&list->layout);
    if (list->memory != NULL)
        mpi_segment_unref(list->memory);
    list->memory = NULL;
}

static void list_unref(const mpi_resource_type *type, void *self)
{
    mp_shareable_list *list = self;

    (void)type; /* there is only one */
    if (mpi_atomic32_add(&list->references, UINT32_MAX) != 1)
        return;
    close_now(list);
    mpi_lifetime_end(list);
}

/* Takes memory and layout over. */
static mp_error wrap(mp_shared_memory *memory, mpi_layout *layout,
                     mp_shareable_list **out)
{
    mp_shareable_list *list =
        mpi_lifetime_new(MPI_SHAREABLE_LIST, sizeof(*list));

    if (list == NULL) {
        mpi_layout_free(layout);
        mpi_segment_unref(memory);
        return mpi_no_memory();
    }
    mpi_atomic32_store(&list->references, 1);
    list->owner = MPI_SYNC_USER;
    list->memory = memory;
    list->layout = *layout;
    /* It is the list's: closed by the user, it stays until the list is. */
    memory->sync.owner = MPI_SYNC_OBJECTS;
    *out = list;
    return MP_OK;
}

/* -- Travelling ------------------------------------------------------------ */

/* ShareableList(name=name) */
static mp_error list_reduce(void *self, mpi_transport *transport,
                            mp_obj **state)
{
    const mp_shareable_list *list = self;
    mp_obj *items[2];

    (void)transport; /* the name is all it takes */
    if (check(list) != MP_OK)
        return mpi_fail(MP_EPICKLE, "can't pickle a ShareableList that is "
                                    "closed");
    items[0] = mp_obj_str("name");
    items[1] = mp_obj_str(list->memory->name);
    *state = mp_obj_dict(items, 2);
    return mp_obj_error(*state);
}

static mp_error list_rebuild(const mpi_resource_type *type, const mp_obj *state,
                             mpi_transport *transport, void **self)
{
    mp_shareable_list *list;
    const mp_obj *item;
    const char *name;
    mp_error err;

    (void)type;
    (void)transport;
    if (mp_obj_type(state) != MP_TYPE_DICT ||
        mp_obj_get_str(state, "name", &item) != MP_OK ||
        mp_obj_as_str(item, &name, NULL) != MP_OK)
        return mpi_fail(MP_EUNPICKLE, "this is no ShareableList");
    err = mp_shareable_list_open(&list, name);
    if (err != MP_OK)
        return mpi_context(err, "can't unpickle ShareableList");
    list->owner = MPI_SYNC_OBJECTS;
    *self = list;
    return MP_OK;
}

const mpi_resource_type mpi_shareable_list_type = {
    .name = "ShareableList",
    .module = "multiprocessing.shared_memory",
    .ref = list_ref,
    .unref = list_unref,
    .reduce = list_reduce,
    .rebuild = list_rebuild,
};

mp_obj *mp_obj_shareable_list(mp_shareable_list *list)
{
    mp_error err;

    if (list == NULL)
        return mp_obj_none();
    err = mpi_lifetime_check(list, MPI_SHAREABLE_LIST);
    if (err != MP_OK)
        return mp_obj_from_error(err);
    return mpi_obj_resource(&mpi_shareable_list_type, list);
}

mp_error mp_obj_as_shareable_list(const mp_obj *obj, mp_shareable_list **out)
{
    mp_shareable_list *list =
        mpi_obj_resource_self(obj, &mpi_shareable_list_type);

    if (list == NULL)
        return mpi_fail(MP_ETYPE, "expected ShareableList, got %s",
                        mp_obj_type_name(obj));
    *out = list;
    return MP_OK;
}

/* -- Making ---------------------------------------------------------------- */

static mp_error create(const mp_obj *sequence, const char *name,
                       mp_shareable_list **out)
{
    mp_shared_memory *memory;
    mpi_layout layout;
    mp_error err = mpi_layout_plan(sequence, &layout);

    if (err != MP_OK)
        return err;
    err = mp_shared_memory_create(&memory, name, layout.size);
    if (err != MP_OK) {
        mpi_layout_free(&layout);
        return err;
    }
    mpi_layout_write(&layout, sequence, memory->data);
    /* Closed without a list, it would be a name that nobody knows. */
    mpi_atomic32_add(&memory->sync.references, 1);
    err = wrap(memory, &layout, out);
    if (err != MP_OK)
        (void)mpi_segment_unlink(memory);
    mpi_segment_unref(memory);
    return err;
}

mp_error mp_shareable_list_create(mp_shareable_list **out, mp_obj *sequence,
                                  const char *name)
{
    mp_error err = check_out(out);

    if (err == MP_OK)
        err = create(sequence, name, out);
    if (err != MP_OK)
        err = mpi_context(err, "can't create a ShareableList");
    mp_obj_unref(sequence);
    return err;
}

mp_error mp_shareable_list_open(mp_shareable_list **out, const char *name)
{
    mp_shared_memory *memory;
    mpi_layout layout;
    mp_error err = check_out(out);

    if (err == MP_OK)
        err = mp_shared_memory_open(&memory, name);
    if (err != MP_OK)
        return err;
    err = mpi_layout_read(memory->data, memory->size, &layout);
    if (err != MP_OK) {
        err = mpi_context(err, "can't open '%s'", memory->name);
        mpi_segment_unref(memory);
        return err;
    }
    return wrap(memory, &layout, out);
}

/* -- Items ----------------------------------------------------------------- */

size_t mp_shareable_list_length(const mp_shareable_list *list)
{
    return check(list) == MP_OK ? list->layout.count : 0;
}

static mp_error find_place(const mp_shareable_list *list, int64_t index,
                           size_t *place)
{
    mp_error err = check(list);
    int64_t count;

    if (err != MP_OK)
        return err;
    count = (int64_t)list->layout.count;
    if (index < -count || index >= count)
        return mpi_fail(MP_EINDEX,
                        "index %lld is out of range: the ShareableList has %zu "
                        "items",
                        (long long)index, list->layout.count);
    *place = (size_t)(index < 0 ? index + count : index);
    return MP_OK;
}

mp_obj *mp_shareable_list_get(const mp_shareable_list *list, int64_t index)
{
    size_t place = 0;
    mp_error err = find_place(list, index, &place);

    if (err != MP_OK)
        return mpi_obj_failed(err);
    return mpi_layout_get(&list->layout, list->memory->data, place);
}

mp_error mp_shareable_list_set(mp_shareable_list *list, int64_t index,
                               mp_obj *obj)
{
    size_t place = 0;
    mp_error err = find_place(list, index, &place);

    if (err == MP_OK)
        err = mpi_layout_set(&list->layout, list->memory->data, place, obj);
    mp_obj_unref(obj);
    return err;
}

/* Counts what equals obj, or ends with the first: its place. */
static mp_error compare_all(const mp_shareable_list *list, const mp_obj *obj,
                            size_t *count, size_t *first)
{
    mp_error err = check(list);

    if (err == MP_OK && mpi_is_error(obj))
        err = mpi_expected("a value", obj);
    for (size_t i = 0; err == MP_OK && i < list->layout.count; i++) {
        mp_obj *item = mpi_layout_get(&list->layout, list->memory->data, i);
        bool is_equal = mp_obj_equal(item, obj);

        err = mp_obj_error(item);
        mp_obj_unref(item);
        if (!is_equal)
            continue;
        ++*count;
        if (first != NULL) {
            *first = i;
            return MP_OK;
        }
    }
    return err;
}

mp_error mp_shareable_list_count(const mp_shareable_list *list, mp_obj *obj,
                                 size_t *count)
{
    size_t found = 0;
    mp_error err = check_out(count);

    if (err == MP_OK)
        err = compare_all(list, obj, &found, NULL);
    mp_obj_unref(obj);
    if (err == MP_OK)
        *count = found;
    return err;
}

mp_error mp_shareable_list_index(const mp_shareable_list *list, mp_obj *obj,
                                 size_t *index)
{
    size_t found = 0;
    mp_error err = check_out(index);

    if (err == MP_OK)
        err = compare_all(list, obj, &found, index);
    mp_obj_unref(obj);
    if (err == MP_OK && found == 0)
        return mpi_fail(MP_ENOTFOUND, "it is not in the ShareableList");
    return err;
}

mp_obj *mp_shareable_list_items(const mp_shareable_list *list)
{
    mp_error err = check(list);
    mp_obj *all;

    if (err != MP_OK)
        return mpi_obj_failed(err);
    all = mp_obj_list(NULL, 0);
    err = mp_obj_error(all);
    for (size_t i = 0; err == MP_OK && i < list->layout.count; i++)
        err = mp_obj_append(
            all, mpi_layout_get(&list->layout, list->memory->data, i));
    if (err == MP_OK)
        return all;
    mp_obj_unref(all);
    return mpi_obj_failed(err);
}

/* -- As text --------------------------------------------------------------- */

/* Terminated, and given away. */
static mp_error finish(mpi_buffer *text, mp_error err, char **out)
{
    mpi_buffer_append(text, "", 1);
    if (err == MP_OK && text->has_failed)
        err = mpi_no_memory();
    if (err != MP_OK) {
        mpi_buffer_free(text);
        return err;
    }
    *out = (char *)text->data;
    return MP_OK;
}

mp_error mp_shareable_list_format(const mp_shareable_list *list, char **out)
{
    mpi_buffer text = {0};
    mp_error err = check_out(out);

    if (err == MP_OK)
        err = check(list);
    if (err == MP_OK)
        err = mpi_layout_format(&list->layout, list->memory->data, &text);
    return finish(&text, err, out);
}

static mp_error append_repr(mpi_buffer *text, mp_obj *obj)
{
    char *repr;
    mp_error err = mp_obj_repr(obj, &repr);

    mp_obj_unref(obj);
    if (err != MP_OK)
        return err;
    mpi_buffer_printf(text, "%s", repr);
    mp_free(repr);
    return MP_OK;
}

mp_error mp_shareable_list_repr(const mp_shareable_list *list, char **out)
{
    mpi_buffer text = {0};
    mp_error err = check_out(out);

    if (err == MP_OK)
        err = check(list);
    if (err == MP_OK) {
        mpi_buffer_printf(&text, "ShareableList(");
        err = append_repr(&text, mp_shareable_list_items(list));
    }
    if (err == MP_OK) {
        mpi_buffer_printf(&text, ", name=");
        err = append_repr(&text, mp_obj_str(list->memory->name));
    }
    mpi_buffer_printf(&text, ")");
    return finish(&text, err, out);
}

/* -- The memory, and the end ----------------------------------------------- */

mp_shared_memory *mp_shareable_list_memory(const mp_shareable_list *list)
{
    return check(list) == MP_OK ? list->memory : NULL;
}

mp_error mp_shareable_list_unlink(mp_shareable_list *list)
{
    mp_error err = check(list);

    return err == MP_OK ? mpi_segment_unlink(list->memory) : err;
}

/* As mpi_sync_close(). */
mp_error mp_shareable_list_close(mp_shareable_list *list)
{
    mpi_sync_owner owner;
    mp_error err;

    if (list == NULL)
        return MP_OK;
    err = mpi_lifetime_check(list, MPI_SHAREABLE_LIST);
    if (err != MP_OK)
        return err;
    owner = list->owner;
    if (owner == MPI_SYNC_CLOSED)
        return mpi_fail(MP_ECLOSED, "the ShareableList is closed");
    list->owner = MPI_SYNC_CLOSED;
    if (owner == MPI_SYNC_USER)
        list_unref(&mpi_shareable_list_type, list);
    else if (mpi_atomic32_load(&list->references) == 1)
        close_now(list);
    return MP_OK;
}
