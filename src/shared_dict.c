/* SPDX-License-Identifier: MIT */
/*
 * Shared dict: keys and values, and what is done to one of them. Where an entry
 * is, shared_dict_table.c knows.
 *
 * Values are encoded before the lock is taken. What is got is copied while it
 * is held, and decoded afterwards.
 */
#include "shared_dict.h"

#include "obj.h"

#include <stdlib.h>
#include <string.h>

/* What is got and no longer is copied to the stack. */
enum { COPY_ROOM = 512 };
/* No encoded int is longer. */
enum { INT_ROOM = 64 };
/* Keys up to this many bytes are named in sentences. */
enum { NAMED_KEY_ROOM = 200 };

/* -- Travelling ------------------------------------------------------------ */

const mpi_shared_type mpi_shared_dict_kind = {
    .sync =
        {
            .resource = MPI_SYNC_RESOURCE("SharedDict", mpi_sync_reduce_any,
                                          mpi_shared_rebuild),
            .kind = MPI_SHARED_DICT,
            .size = sizeof(mp_shared_dict),
            .release = mpi_shared_release,
        },
    .table_size = mpi_dict_table_size,
    .check = mpi_dict_table_check,
    .repair = mpi_dict_table_repair,
    .roots = mpi_dict_table_roots,
};

mp_obj *mp_obj_shared_dict(mp_shared_dict *dict)
{
    return mpi_sync_box(&mpi_shared_dict_kind.sync, dict);
}

mp_error mp_obj_as_shared_dict(const mp_obj *obj, mp_shared_dict **out)
{
    mpi_sync *sync;
    mp_error err = mpi_sync_unbox(&mpi_shared_dict_kind.sync, obj, &sync);

    if (err == MP_OK)
        *out = (mp_shared_dict *)sync;
    return err;
}

/* -- Making and closing ---------------------------------------------------- */

mp_error mp_shared_dict_create(mp_shared_dict **out, size_t capacity,
                               const mp_shared_options *options)
{
    mpi_shared *shared;
    mp_error err = mpi_sync_check_out(&mpi_shared_dict_kind.sync, out);

    if (err == MP_OK)
        err = mpi_shared_create(&mpi_shared_dict_kind, capacity, options,
                                &shared);
    if (err == MP_OK)
        *out = (mp_shared_dict *)shared;
    return err;
}

static mp_error open_at(mp_shared_dict **out, mpi_shared_place place,
                        size_t capacity, const mp_shared_options *options)
{
    mpi_shared *shared;
    mp_error err = mpi_sync_check_out(&mpi_shared_dict_kind.sync, out);

    if (err == MP_OK)
        err = mpi_shared_open(&mpi_shared_dict_kind, place, capacity, options,
                              &shared);
    if (err == MP_OK)
        *out = (mp_shared_dict *)shared;
    return err;
}

mp_error mp_shared_dict_open(mp_shared_dict **out, const char *name,
                             size_t capacity, const mp_shared_options *options)
{
    return open_at(out, (mpi_shared_place){name, false}, capacity, options);
}

mp_error mp_shared_dict_open_file(mp_shared_dict **out, const char *path,
                                  size_t capacity,
                                  const mp_shared_options *options)
{
    return open_at(out, (mpi_shared_place){path, true}, capacity, options);
}

mp_error mp_shared_dict_sync(mp_shared_dict *dict)
{
    return mpi_shared_sync(&mpi_shared_dict_kind, dict);
}

mp_error mp_shared_dict_close(mp_shared_dict *dict)
{
    return mpi_sync_close(&mpi_shared_dict_kind.sync, dict);
}

/* -- Keys ------------------------------------------------------------------ */

/* As bytes: those of obj, or *number. */
static mp_error read_key(const mp_obj *obj, int64_t *number, mpi_dict_key *key)
{
    const char *text;

    switch (mp_obj_type(obj)) {
    case MP_TYPE_BOOL:
    case MP_TYPE_INT:
        *key = (mpi_dict_key){MPI_DICT_KEY_INT, number, sizeof(*number)};
        return mp_obj_as_int(obj, number);
    case MP_TYPE_STR:
        key->type = MPI_DICT_KEY_STR;
        (void)mp_obj_as_str(obj, &text, &key->size);
        key->data = text;
        return MP_OK;
    case MP_TYPE_BYTES:
        key->type = MPI_DICT_KEY_BYTES;
        return mp_obj_as_bytes(obj, &key->data, &key->size);
    default:
        return mpi_expected("a str, an int or bytes as the key", obj);
    }
}

/* What another program may have put there against the rules. */
static mp_obj *as_damage(mp_obj *obj)
{
    if (mp_obj_error(obj) != MP_EUNPICKLE && mp_obj_error(obj) != MP_EINVAL)
        return obj;
    return mpi_obj_failed(mpi_context(MP_EPROTO, "the shared dict is damaged"));
}

mp_obj *mpi_shared_dict_key(const mpi_dict_key *key)
{
    int64_t number = 0;

    switch (key->type) {
    case MPI_DICT_KEY_STR:
        return as_damage(mpi_str(key->data, key->size, true));
    case MPI_DICT_KEY_BYTES:
        return mp_obj_bytes(key->data, key->size);
    default:
        memcpy(&number, key->data, sizeof(number));
        return mp_obj_int(number);
    }
}

mp_obj *mpi_shared_dict_value(const void *data, size_t size)
{
    return as_damage(mpi_shared_decode(data, size));
}

static mp_error fail_no_key(const mpi_dict_key *key)
{
    mp_obj *obj;
    char *text = NULL;

    if (key->size <= NAMED_KEY_ROOM) {
        obj = mpi_shared_dict_key(key);
        (void)mp_obj_repr(obj, &text);
        mp_obj_unref(obj);
    }
    if (text == NULL)
        return mpi_fail(MP_EKEY, "no such key in the shared dict");
    (void)mpi_fail(MP_EKEY, "no key %s in the shared dict", text);
    mp_free(text);
    return MP_EKEY;
}

/* -- Looking --------------------------------------------------------------- */

/* A value, out of the way of whoever changes it next. */
typedef struct copy {
    unsigned char room[COPY_ROOM];
    unsigned char *data; /* room, or malloc'ed */
    size_t size;
} copy;

static mp_error make_copy(mpos_bytes value, copy *out)
{
    out->data =
        value.size <= sizeof(out->room) ? out->room : mpi_malloc(value.size);
    if (out->data == NULL)
        return mpi_no_memory();
    out->size = value.size;
    if (value.size > 0)
        memcpy(out->data, value.data, value.size);
    return MP_OK;
}

static void free_copy(copy *it)
{
    if (it->data != it->room)
        free(it->data);
}

static mp_obj *decode_copy(copy *it)
{
    mp_obj *obj = mpi_shared_dict_value(it->data, it->size);

    free_copy(it);
    return obj;
}

/* MP_ENOTFOUND, which has no sentence: it is not there. */
static mp_error copy_found(mpi_shared *shared, const mpi_dict_key *key,
                           mpi_dict_place *place, copy *out)
{
    mp_error err = mpi_dict_table_find(shared, key, place);

    if (err == MP_OK && place->word == 0)
        return MP_ENOTFOUND;
    return err == MP_OK ? make_copy(place->entry.value, out) : err;
}

static mp_error look_up(mp_shared_dict *dict, const mpi_dict_key *key,
                        copy *out)
{
    mpi_dict_place place;
    mp_error err = mpi_shared_dict_lock(dict);

    if (err != MP_OK)
        return err;
    err = copy_found(&dict->shared, key, &place, out);
    mpi_shared_dict_unlock(dict);
    return err;
}

mp_obj *mp_shared_dict_get(mp_shared_dict *dict, mp_obj *key)
{
    mpi_dict_key wanted;
    int64_t number;
    copy found;
    mp_error err = read_key(key, &number, &wanted);

    if (err == MP_OK)
        err = look_up(dict, &wanted, &found);
    if (err == MP_ENOTFOUND)
        err = fail_no_key(&wanted);
    mp_obj_unref(key);
    return err == MP_OK ? decode_copy(&found) : mpi_obj_failed(err);
}

mp_obj *mp_shared_dict_get_or(mp_shared_dict *dict, mp_obj *key,
                              mp_obj *fallback)
{
    mpi_dict_key wanted;
    int64_t number;
    copy found;
    mp_error err = read_key(key, &number, &wanted);

    if (err == MP_OK && mpi_is_error(fallback))
        err = mpi_expected("a value", fallback);
    if (err == MP_OK)
        err = look_up(dict, &wanted, &found);
    mp_obj_unref(key);
    if (err == MP_ENOTFOUND)
        return fallback;
    mp_obj_unref(fallback);
    return err == MP_OK ? decode_copy(&found) : mpi_obj_failed(err);
}

mp_error mp_shared_dict_contains(mp_shared_dict *dict, mp_obj *key,
                                 bool *is_there)
{
    mpi_dict_place place;
    mpi_dict_key wanted;
    int64_t number;
    mp_error err = read_key(key, &number, &wanted);

    if (err == MP_OK && is_there == NULL)
        err = mpi_fail(MP_EINVAL, "there is nowhere to put the answer");
    if (err == MP_OK)
        err = mpi_shared_dict_lock(dict);
    if (err == MP_OK) {
        err = mpi_dict_table_find(&dict->shared, &wanted, &place);
        mpi_shared_dict_unlock(dict);
    }
    mp_obj_unref(key);
    if (err == MP_OK)
        *is_there = place.word != 0;
    return err;
}

/* -- Changing -------------------------------------------------------------- */

static mp_error put(mp_shared_dict *dict, const mpi_dict_key *key,
                    const mpi_buffer *value)
{
    const mpos_bytes bytes = {value->data, value->size};
    mpi_dict_place place;
    mp_error err = mpi_shared_dict_lock(dict);

    if (err != MP_OK)
        return err;
    err = mpi_dict_table_find(&dict->shared, key, &place);
    if (err == MP_OK)
        err = mpi_dict_table_put(&dict->shared, key, &place, bytes);
    mpi_shared_dict_unlock(dict);
    return err;
}

mp_error mpi_shared_dict_set(mp_shared_dict *dict, const mp_obj *key,
                             const mp_obj *value)
{
    mpi_buffer bytes = {0};
    mpi_dict_key wanted;
    int64_t number;
    mp_error err = read_key(key, &number, &wanted);

    if (err == MP_OK)
        err = mpi_shared_encode(value, &bytes);
    if (err == MP_OK)
        err = put(dict, &wanted, &bytes);
    mpi_buffer_free(&bytes);
    return err;
}

mp_error mp_shared_dict_set(mp_shared_dict *dict, mp_obj *key, mp_obj *value)
{
    mp_error err = mpi_shared_dict_set(dict, key, value);

    mp_obj_unref(key);
    mp_obj_unref(value);
    return err;
}

/* With the lock: MP_ENOTFOUND if it has put it there. */
static mp_error find_or_put(mpi_shared *shared, const mpi_dict_key *key,
                            const mpi_buffer *value, copy *found)
{
    const mpos_bytes bytes = {value->data, value->size};
    mpi_dict_place place;
    mp_error err = copy_found(shared, key, &place, found);

    if (err != MP_ENOTFOUND)
        return err;
    err = mpi_dict_table_put(shared, key, &place, bytes);
    return err == MP_OK ? MP_ENOTFOUND : err;
}

mp_obj *mp_shared_dict_setdefault(mp_shared_dict *dict, mp_obj *key,
                                  mp_obj *value)
{
    mpi_buffer bytes = {0};
    mpi_dict_key wanted;
    int64_t number;
    copy found;
    mp_error err = read_key(key, &number, &wanted);

    if (err == MP_OK)
        err = mpi_shared_encode(value, &bytes);
    if (err == MP_OK)
        err = mpi_shared_dict_lock(dict);
    if (err == MP_OK) {
        err = find_or_put(&dict->shared, &wanted, &bytes, &found);
        mpi_shared_dict_unlock(dict);
    }
    mpi_buffer_free(&bytes);
    mp_obj_unref(key);
    if (err == MP_ENOTFOUND)
        return value;
    mp_obj_unref(value);
    return err == MP_OK ? decode_copy(&found) : mpi_obj_failed(err);
}

/* With the lock. *value NULL: it is for the caller to decode without it. */
static mp_error take_short(mpi_shared *shared, const mpi_dict_key *key,
                           copy *found, mp_obj **value)
{
    mpi_dict_place place;
    mp_error err = copy_found(shared, key, &place, found);

    *value = NULL;
    if (err != MP_OK || !mpi_shared_is_short(found->data, found->size))
        return err;
    /* What can't be decoded is not lost. */
    *value = mpi_shared_dict_value(found->data, found->size);
    if (!mpi_is_error(*value))
        mpi_dict_table_remove(shared, &place);
    return MP_OK;
}

static mp_error take_same(mp_shared_dict *dict, const mpi_dict_key *key,
                          const copy *expected, bool *is_taken)
{
    const mpos_bytes *value;
    mpi_dict_place place;
    mp_error err = mpi_shared_dict_lock(dict);

    *is_taken = false;
    if (err != MP_OK)
        return err;
    err = mpi_dict_table_find(&dict->shared, key, &place);
    value = &place.entry.value;
    if (err == MP_OK && place.word != 0 && value->size == expected->size &&
        memcmp(value->data, expected->data, value->size) == 0) {
        mpi_dict_table_remove(&dict->shared, &place);
        *is_taken = true;
    }
    mpi_shared_dict_unlock(dict);
    return err;
}

/* MP_PENDING: it was changed while it was decoded. */
static mp_error take_long(mp_shared_dict *dict, const mpi_dict_key *key,
                          const copy *found, mp_obj **value)
{
    bool is_taken;
    mp_error err;

    *value = mpi_shared_dict_value(found->data, found->size);
    if (mpi_is_error(*value))
        return MP_OK;
    err = take_same(dict, key, found, &is_taken);
    if (err == MP_OK && is_taken)
        return MP_OK;
    mp_obj_unref(*value);
    return err == MP_OK ? MP_PENDING : err;
}

static mp_error take(mp_shared_dict *dict, const mpi_dict_key *key,
                     mp_obj **value)
{
    copy found;
    mp_error err = mpi_shared_dict_lock(dict);

    if (err != MP_OK)
        return err;
    err = take_short(&dict->shared, key, &found, value);
    mpi_shared_dict_unlock(dict);
    if (err != MP_OK)
        return err;
    if (*value == NULL)
        err = take_long(dict, key, &found, value);
    free_copy(&found);
    return err;
}

mp_obj *mp_shared_dict_pop(mp_shared_dict *dict, mp_obj *key)
{
    mp_obj *value = NULL;
    mpi_dict_key wanted;
    int64_t number;
    mp_error err = read_key(key, &number, &wanted);

    if (err == MP_OK) {
        do {
            err = take(dict, &wanted, &value);
        } while (err == MP_PENDING);
    }
    if (err == MP_ENOTFOUND)
        err = fail_no_key(&wanted);
    mp_obj_unref(key);
    return err == MP_OK ? value : mpi_obj_failed(err);
}

static mp_error drop(mp_shared_dict *dict, const mpi_dict_key *key)
{
    mpi_dict_place place;
    mp_error err = mpi_shared_dict_lock(dict);

    if (err != MP_OK)
        return err;
    err = mpi_dict_table_find(&dict->shared, key, &place);
    if (err == MP_OK && place.word != 0)
        mpi_dict_table_remove(&dict->shared, &place);
    mpi_shared_dict_unlock(dict);
    return err == MP_OK && place.word == 0 ? fail_no_key(key) : err;
}

mp_error mp_shared_dict_delete(mp_shared_dict *dict, mp_obj *key)
{
    mpi_dict_key wanted;
    int64_t number;
    mp_error err = read_key(key, &number, &wanted);

    if (err == MP_OK)
        err = drop(dict, &wanted);
    mp_obj_unref(key);
    return err;
}

/* -- Adding ---------------------------------------------------------------- */

static mp_error read_int(const mpi_dict_place *place, int64_t *out)
{
    unsigned char bytes[INT_ROOM];
    size_t size = place->entry.value.size;
    mp_obj *obj;
    mp_error err;

    if (place->word == 0) {
        *out = 0;
        return MP_OK;
    }
    if (size <= sizeof(bytes))
        memcpy(bytes, place->entry.value.data, size);
    if (size > sizeof(bytes) || !mpi_shared_is_short(bytes, size))
        return mpi_fail(MP_ETYPE, "what is there is no int");
    obj = mpi_shared_dict_value(bytes, size);
    err = mp_obj_as_int(obj, out);
    mp_obj_unref(obj);
    return err;
}

static mp_error add_up(int64_t number, int64_t delta, int64_t *sum)
{
    if (delta > 0 ? number > INT64_MAX - delta : number < INT64_MIN - delta)
        return mpi_fail(MP_EOVERFLOW, "%lld + %lld is no int of 64 bits",
                        (long long)number, (long long)delta);
    *sum = number + delta;
    return MP_OK;
}

static mp_error put_int(mpi_shared *shared, const mpi_dict_key *key,
                        mpi_dict_place *place, int64_t number)
{
    mp_obj *obj = mp_obj_int(number);
    mpi_buffer bytes = {0};
    mp_error err = mpi_shared_encode(obj, &bytes);

    if (err == MP_OK)
        err = mpi_dict_table_put(shared, key, place,
                                 (mpos_bytes){bytes.data, bytes.size});
    mpi_buffer_free(&bytes);
    mp_obj_unref(obj);
    return err;
}

static mp_error add(mpi_shared *shared, const mpi_dict_key *key, int64_t delta,
                    int64_t *sum)
{
    mpi_dict_place place;
    int64_t number;
    mp_error err = mpi_dict_table_find(shared, key, &place);

    if (err == MP_OK)
        err = read_int(&place, &number);
    if (err == MP_OK)
        err = add_up(number, delta, &number);
    if (err == MP_OK)
        err = put_int(shared, key, &place, number);
    if (err == MP_OK && sum != NULL)
        *sum = number;
    return err;
}

mp_error mp_shared_dict_add(mp_shared_dict *dict, mp_obj *key, int64_t delta,
                            int64_t *sum)
{
    mpi_dict_key wanted;
    int64_t number;
    mp_error err = read_key(key, &number, &wanted);

    if (err == MP_OK)
        err = mpi_shared_dict_lock(dict);
    if (err == MP_OK) {
        err = add(&dict->shared, &wanted, delta, sum);
        mpi_shared_dict_unlock(dict);
    }
    mp_obj_unref(key);
    return err;
}
