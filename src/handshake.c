/* SPDX-License-Identifier: MIT */
/*
 * Reading and writing for a handshake. All that is written in it is less than
 * 256 bytes, on a stream that is empty: it never blocks.
 */
#include "handshake.h"

#include <multiproc/process.h>

#include <stdio.h>

enum { SENTENCE_SIZE = 256 };

mp_error mpi_handshake_keys(mpi_auth_keys *keys, const mp_auth *auth)
{
    const void *key = auth->key;
    size_t size = auth->key_size;

    if (key == NULL && size > 0)
        return mpi_fail(MP_EINVAL, "the key is NULL");
    if (key == NULL) {
        mp_error err = mp_process_authkey(mp_current_process(), &key, &size);

        if (err != MP_OK)
            return err;
    }
    mpi_auth_keys_init(keys, key, size, auth->allow_md5);
    return MP_OK;
}

/* A peer that is gone is no broken pipe to whoever makes a connection. */
static mp_error hung_up(mp_error err)
{
    if (err != MP_EPIPE)
        return err;
    return mpi_fail(MP_EEOF, "the other side has hung up in the handshake");
}

static mp_error write_all(mpos_handle stream, const unsigned char *data,
                          size_t size)
{
    while (size > 0) {
        const mpos_bytes part = {data, size};
        size_t written = 0;
        mp_error err = mpos_write(stream, &part, 1, &written);

        if (err != MP_OK)
            return err;
        data += written;
        size -= written;
    }
    return MP_OK;
}

/* Frames, each of which becomes a message. */
static mp_error send_messages(mpos_handle pipe, const unsigned char *data,
                              size_t size)
{
    while (size > 0) {
        size_t payload = data[MPI_AUTH_HEADER - 1];
        mp_error err = mpos_send_message(pipe, data + MPI_AUTH_HEADER, payload);

        if (err != MP_OK)
            return err;
        data += MPI_AUTH_HEADER + payload;
        size -= MPI_AUTH_HEADER + payload;
    }
    return MP_OK;
}

static mp_error flush(mpi_handshake *handshake)
{
    size_t size = handshake->auth.out_size;
    mp_error err;

    handshake->auth.out_size = 0;
    if (handshake->kind == MPI_STREAM_MESSAGES)
        err = send_messages(handshake->stream, handshake->auth.out, size);
    else
        err = write_all(handshake->stream, handshake->auth.out, size);
    return hung_up(err);
}

/* A message becomes a frame; one that is too long, a frame too long. */
static mp_error recv_message(mpi_handshake *handshake, size_t *got)
{
    unsigned char *place;
    size_t payload = 0, left = 0;
    mp_error err;

    (void)mpi_auth_room(&handshake->auth, &place);
    err = mpos_recv_message(handshake->stream, place + MPI_AUTH_HEADER,
                            MPI_AUTH_FRAME_MAX, &payload, &left);
    if (err != MP_OK)
        return err;
    place[0] = left > 0 ? 0xff : 0;
    place[1] = 0;
    place[2] = (unsigned char)(payload >> 8);
    place[3] = (unsigned char)(payload & 0xff);
    *got = MPI_AUTH_HEADER + payload;
    return MP_OK;
}

static mp_error read_once(mpi_handshake *handshake, size_t *got)
{
    unsigned char *place;
    size_t room = mpi_auth_room(&handshake->auth, &place);

    return mpos_read(handshake->stream, place, room, got);
}

mp_error mpi_handshake_begin(mpi_handshake *handshake, mpi_auth_role role,
                             const mpi_auth_keys *keys)
{
    unsigned char chance[MPI_AUTH_CHANCE];
    mp_error err = mpos_random(chance, sizeof(chance));

    if (err != MP_OK)
        return err;
    mpi_auth_begin(&handshake->auth, role, keys, chance);
    return flush(handshake);
}

/* What is said last, heard or not; the reason stays. */
static mp_error flush_after(mpi_handshake *handshake, mp_error reason)
{
    char sentence[SENTENCE_SIZE];

    snprintf(sentence, sizeof(sentence), "%s", mp_error_message());
    if (flush(handshake) != MP_OK)
        return mpi_fail(reason, "%s", sentence);
    return reason;
}

/* Who has closed his end has perhaps said before that he refuses us. */
static mp_error hear_last_words(const mpi_handshake *handshake)
{
    mpos_wait_item item = mpi_handshake_wait_item(handshake);

    return mpos_wait(&item, 1, 0) == MP_OK ? MP_PENDING : hung_up(MP_EPIPE);
}

mp_error mpi_handshake_step(mpi_handshake *handshake)
{
    size_t got = 0;
    mp_error err, sent;

    if (handshake->kind == MPI_STREAM_MESSAGES)
        err = recv_message(handshake, &got);
    else
        err = read_once(handshake, &got);
    if (err != MP_OK)
        return err;
    err = mpi_auth_feed(&handshake->auth, got);
    if (handshake->auth.out_size == 0)
        return err;
    if (err != MP_OK && err != MP_PENDING)
        return flush_after(handshake, err);
    sent = flush(handshake);
    if (sent == MP_EEOF && err == MP_PENDING)
        return hear_last_words(handshake);
    return sent == MP_OK ? err : sent;
}

mpos_wait_item mpi_handshake_wait_item(const mpi_handshake *handshake)
{
    return (mpos_wait_item){
        .kind = handshake->kind == MPI_STREAM_SOCKET ? MPOS_WAIT_SOCKET
                                                     : MPOS_WAIT_READ,
        .handle = handshake->stream,
    };
}

mpi_stream_kind mpi_stream_kind_of(mpos_family family)
{
    switch (family) {
    case MPOS_UNIX:
        return MPI_STREAM_LOCAL;
    case MPOS_PIPE:
        return MPI_STREAM_MESSAGES;
    default:
        return MPI_STREAM_SOCKET;
    }
}
