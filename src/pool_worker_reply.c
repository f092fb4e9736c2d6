/* SPDX-License-Identifier: MIT */
/*
 * From values and failures to a result on the board. Whatever goes wrong on the
 * way is a failure as well: there is always a result.
 */
#include "payload.h"
#include "pickle.h"
#include "pool_worker.h"

#include <stdio.h>
#include <string.h>

enum {
    /* Of a sentence that has to fit into a slot. */
    SHORT_SENTENCE = 256,
    SHORT_REST = 64,
};

_Static_assert(SHORT_SENTENCE + SHORT_REST < MPI_BOARD_INLINE,
               "a failure of all items always fits");

/* -- Failures -------------------------------------------------------------- */

static mp_obj *describe(size_t index, mp_error code, const char *sentence,
                        const char *where)
{
    mp_obj *items[] = {
        mp_obj_int((int64_t)index),
        mp_obj_int(code),
        mpi_str(sentence, strlen(sentence), true),
        mpi_str(where, strlen(where), true),
    };

    return mp_obj_tuple(items, 4);
}

/* Consumes it. */
static void add_failure(mpi_worker *it, mp_obj *failure)
{
    if (it->failures == NULL) {
        it->failures = mp_obj_list(&failure, 1);
    } else {
        mp_error err = mp_obj_append(it->failures, failure);

        if (err != MP_OK)
            it->trouble = err;
    }
    it->failure_count++;
}

void mpi_worker_note(mpi_worker *it, size_t index)
{
    const mpi_raised *raised = &it->raised;

    add_failure(it,
                describe(index, raised->code, raised->sentence, raised->where));
}

mp_error mpi_worker_raise_last(mpi_worker *it, mp_error err)
{
    it->raised.code = err;
    snprintf(it->raised.sentence, sizeof(it->raised.sentence), "%s",
             mp_error_message());
    mpi_text_mend(it->raised.sentence);
    it->raised.where[0] = 0;
    return err;
}

mp_obj *mpi_list_of_none(size_t count)
{
    mp_obj *list = mpi_container_new(MP_TYPE_LIST, count);

    for (size_t i = 0; i < count && !mpi_is_error(list); i++) {
        mp_obj *none = mp_obj_none();

        (void)mpi_extend(list, &none, 1);
    }
    return list;
}

/* -- All have failed ------------------------------------------------------- */

/* (None, [(0, code, sentence, "")]), pickled. */
static mp_error encode_failure_of_all(mp_error code, const char *sentence,
                                      mpi_buffer *out)
{
    mp_obj *both[2] = {mp_obj_none(), describe(0, code, sentence, "")};
    mp_obj *result;
    mp_error err;

    both[1] = mp_obj_list(&both[1], 1);
    result = mp_obj_tuple(both, 2);
    err = mp_obj_error(result);
    if (err == MP_OK)
        err = mpi_pickle_dump(out, result, NULL);
    mp_obj_unref(result);
    return err;
}

mp_error mpi_worker_prepare(mpi_worker *it)
{
    return encode_failure_of_all(MP_ENOMEM, mp_strerror(MP_ENOMEM),
                                 &it->no_memory);
}

static void fail_all(mpi_worker *it, mp_error code)
{
    mpi_slot_head *head = mpi_board_head(it->board, it->slot);
    char sentence[SHORT_SENTENCE];
    mpi_buffer bytes = {0};
    mpi_buffer *reply = &bytes;
    void *room;

    snprintf(sentence, sizeof(sentence), "%s", mp_error_message());
    mpi_text_mend(sentence);
    if (encode_failure_of_all(code, sentence, &bytes) != MP_OK)
        reply = &it->no_memory;
    /* It needs no span, which is all that could be missing. */
    if (mpi_board_reply(it->board, it->slot, reply->size, &room) != MP_OK) {
        mpi_complain("can't reply: ");
        mpos_exit(1);
    }
    memcpy(room, reply->data, reply->size);
    head->failures = head->kind == MPI_WORK_CALL ? 1 : head->count;
    mpi_board_finish(it->board, it->slot, reply->size);
    mpi_buffer_free(&bytes);
}

/* -- The ordinary result --------------------------------------------------- */

static mp_error send(mpi_worker *it, const mp_obj *result)
{
    mpi_payload payload = {0};
    void *room;
    size_t size;
    mp_error err = mpi_payload_begin(&payload, result);

    if (err == MP_OK)
        err = mpi_board_reply(it->board, it->slot, payload.most, &room);
    if (err == MP_OK)
        err = mpi_payload_write(&payload, room, &size);
    if (err == MP_OK) {
        mpi_board_head(it->board, it->slot)->failures = it->failure_count;
        mpi_board_finish(it->board, it->slot, size);
    }
    mpi_payload_end(&payload);
    return err;
}

static mp_error send_result(mpi_worker *it)
{
    mp_obj *both[2];
    mp_obj *result;
    mp_error err;

    if (it->trouble != MP_OK)
        return it->trouble;
    if (it->failures == NULL)
        return send(it, it->values);
    both[0] = mp_obj_ref(it->values);
    both[1] = mp_obj_ref(it->failures);
    result = mp_obj_tuple(both, 2);
    err = mp_obj_error(result);
    if (err == MP_OK)
        err = send(it, result);
    mp_obj_unref(result);
    return err;
}

/* -- Values that can't be pickled ------------------------------------------ */

static mp_error try_value(const mp_obj *value)
{
    mpi_buffer scratch = {0};
    mp_error err = mpi_pickle_dump(&scratch, value, NULL);

    mpi_buffer_free(&scratch);
    return err;
}

static bool is_about(const mp_obj *failures, size_t at, size_t index)
{
    const mp_obj *failure = NULL;
    const mp_obj *item = NULL;
    int64_t about = -1;

    if (failures == NULL ||
        mp_obj_item(failures, (int64_t)at, &failure) != MP_OK ||
        mp_obj_item(failure, 0, &item) != MP_OK)
        return false;
    return mp_obj_as_int(item, &about) == MP_OK && about == (int64_t)index;
}

/* Such values become failures, among those that are there already. */
static void sort_out(mpi_worker *it, const mp_obj *values, const mp_obj *old)
{
    size_t count = mpi_as_container(values)->size;
    size_t next = 0;

    it->values = mpi_container_new(MP_TYPE_LIST, count);
    it->failures = NULL;
    it->failure_count = 0;
    for (size_t i = 0; i < count && !mpi_is_error(it->values); i++) {
        mp_obj *value = mp_obj_ref(mpi_as_container(values)->items[i]);
        mp_error err = MP_OK;

        if (is_about(old, next, i))
            add_failure(it, mp_obj_ref(mpi_as_container(old)->items[next++]));
        else
            err = try_value(value);
        if (err != MP_OK) {
            mpi_worker_raise_last(it, err);
            mpi_worker_note(it, i);
            mp_obj_unref(value);
            value = mp_obj_none();
        }
        (void)mpi_extend(it->values, &value, 1);
    }
}

static mp_error send_what_can_be(mpi_worker *it)
{
    const mpi_slot_head *head = mpi_board_head(it->board, it->slot);
    mp_obj *values = it->values;
    mp_obj *failures = it->failures;

    if (head->kind == MPI_WORK_CALL) {
        mpi_worker_raise_last(it, MP_EPICKLE);
        mpi_worker_note(it, 0);
        it->values = mpi_list_of_none(1);
    } else {
        sort_out(it, values, failures);
        mp_obj_unref(failures);
    }
    mp_obj_unref(values);
    return send_result(it);
}

void mpi_worker_reply(mpi_worker *it, mp_error err)
{
    if (err == MP_OK)
        err = send_result(it);
    if (err == MP_EPICKLE)
        err = send_what_can_be(it);
    if (err != MP_OK)
        fail_all(it, err);
    mp_obj_unref(it->values);
    mp_obj_unref(it->failures);
    it->values = NULL;
    it->failures = NULL;
    it->failure_count = 0;
    it->trouble = MP_OK;
}
