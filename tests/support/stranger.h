/* SPDX-License-Identifier: MIT */
/*
 * A client that speaks the handshake byte by byte, through the seam only, so
 * that it can stop, or lie, wherever a test wants it to. It knows the key.
 */
#ifndef SUPPORT_STRANGER_H
#define SUPPORT_STRANGER_H

#include "testing.h"

#include "hmac.h"
#include "os.h"

#include <multiproc.h>

#include <string.h>

/* What all honest ones know. */
#define STRANGER_KEY "the key"

enum {
    STRANGER_HEADER = 4,
    STRANGER_CHALLENGE = 11, /* "#CHALLENGE#" */
    STRANGER_MESSAGE = 48,   /* "{sha256}" and 40 bytes */
    STRANGER_ANSWER = 8 + MPI_SHA256_SIZE,
    STRANGER_VERDICT = 9,
    /* What a client sends in all. */
    STRANGER_ALL = 3 * STRANGER_HEADER + STRANGER_ANSWER + STRANGER_CHALLENGE +
                   STRANGER_MESSAGE + STRANGER_VERDICT,
    STRANGER_FRAME_MAX = 256,
};

typedef struct stranger {
    mpos_handle handle;
    mpos_wait_kind kind;
    bool has_messages; /* MPOS_PIPE: without headers */
    size_t left; /* how many bytes more it sends, before it does as it likes */
} stranger;

static inline mpos_address stranger_address(const mp_address *public)
{
    mpos_address address = {.family =
                                public->family == MP_FAMILY_INET   ? MPOS_INET
                                : public->family == MP_FAMILY_PIPE ? MPOS_PIPE
                                                                   : MPOS_UNIX,
                            .port = public->port,
                            .is_abstract = public->is_abstract};

    memcpy(address.name, public->name, sizeof(address.name));
    return address;
}

/* Connected, and nothing said. MP_TIMED_OUT: no room in time. */
static inline mp_error stranger_try(stranger *self, const mp_address *public,
                                    double patience)
{
    const mpos_address address = stranger_address(public);
    int64_t deadline = mpos_now() + (int64_t)(patience * 1e9);

    *self = (stranger){.kind = address.family == MPOS_INET ? MPOS_WAIT_SOCKET
                                                           : MPOS_WAIT_READ,
                       .has_messages = address.family == MPOS_PIPE};
    return mpos_connect(&address, deadline, &self->handle);
}

static inline stranger stranger_come(const mp_address *public)
{
    stranger self;

    cr_assert_eq(stranger_try(&self, public, 10), MP_OK, "%s",
                 mp_error_message());
    return self;
}

static inline void stranger_leave(stranger *self)
{
    mpos_close(self->handle);
    self->handle = MPOS_NONE;
}

/* All of it; false: the other side is gone. */
static inline bool stranger_write(const stranger *self, const void *data,
                                  size_t size)
{
    if (self->has_messages)
        return mpos_send_message(self->handle, data, size) == MP_OK;
    while (size > 0) {
        const mpos_bytes part = {data, size};
        size_t written;

        if (mpos_write(self->handle, &part, 1, &written) != MP_OK)
            return false;
        data = (const char *)data + written;
        size -= written;
    }
    return true;
}

/* A frame, or the message in it, as far as it may; false: no further. */
static inline bool stranger_put(stranger *self, const void *data, size_t size)
{
    unsigned char frame[STRANGER_HEADER + STRANGER_FRAME_MAX] = {
        0, 0, (unsigned char)(size >> 8), (unsigned char)size};
    size_t whole = STRANGER_HEADER + size;
    size_t skipped = self->has_messages ? STRANGER_HEADER : 0;
    bool is_over = self->left < whole;

    memcpy(frame + STRANGER_HEADER, data, size);
    if (is_over)
        whole = self->left;
    self->left -= whole;
    if (whole <= skipped)
        return !is_over;
    return stranger_write(self, frame + skipped, whole - skipped) && !is_over;
}

/* Whether anything is there, or nothing can come; waits a moment. */
static inline bool stranger_hears(const stranger *self)
{
    mpos_wait_item item = {.handle = self->handle, .kind = self->kind};

    return mpos_wait(&item, 1, mpos_now() + 1000000) == MP_OK;
}

static inline bool stranger_read(const stranger *self, void *data, size_t size,
                                 size_t *got)
{
    size_t left = 0;
    mp_error err = self->has_messages
                       ? mpos_recv_message(self->handle, data, size, got, &left)
                       : mpos_read(self->handle, data, size, got);

    return err == MP_OK && *got > 0 && left == 0;
}

/* A frame of that size; meanwhile serve() is called. False: there is none. */
static inline bool stranger_get(const stranger *self, void (*serve)(void),
                                void *data, size_t size)
{
    unsigned char frame[STRANGER_HEADER + STRANGER_FRAME_MAX] = {
        0, 0, (unsigned char)(size >> 8), (unsigned char)size};
    size_t so_far = self->has_messages ? STRANGER_HEADER : 0, got;

    while (so_far < STRANGER_HEADER + size) {
        if (!stranger_hears(self)) {
            serve();
            continue;
        }
        if (!stranger_read(self, frame + so_far,
                           STRANGER_HEADER + size - so_far, &got))
            return false;
        so_far += got;
    }
    memcpy(data, frame + STRANGER_HEADER, size);
    return frame[2] * 256U + frame[3] == size;
}

/* "{sha256}" and the message's HMAC. */
static inline void stranger_answer(const unsigned char *message,
                                   unsigned char answer[STRANGER_ANSWER])
{
    mpi_hmac_key key;

    mpi_hmac_key_init(&key, MPI_DIGEST_SHA256, STRANGER_KEY,
                      strlen(STRANGER_KEY));
    memcpy(answer, "{sha256}", 8);
    mpi_hmac(&key, message, STRANGER_MESSAGE, answer + 8);
}

/* The handshake, as far as it may; true: it came to its end. */
static inline bool stranger_prove(stranger *self, void (*serve)(void))
{
    unsigned char asked[STRANGER_CHALLENGE + STRANGER_MESSAGE];
    unsigned char *message = asked + STRANGER_CHALLENGE;
    unsigned char answer[STRANGER_ANSWER], back[STRANGER_ANSWER];
    char verdict[STRANGER_VERDICT];

    if (!stranger_get(self, serve, asked, sizeof(asked)))
        return false;
    stranger_answer(message, answer);
    if (!stranger_put(self, answer, sizeof(answer)))
        return false;
    if (!stranger_get(self, serve, verdict, sizeof(verdict)) ||
        memcmp(verdict, "#WELCOME#", sizeof(verdict)) != 0)
        return false;
    message[STRANGER_MESSAGE - 1] ^= 1; /* another one */
    if (!stranger_put(self, asked, sizeof(asked)))
        return false;
    stranger_answer(message, answer);
    return stranger_get(self, serve, back, sizeof(back)) &&
           memcmp(back, answer, sizeof(back)) == 0 &&
           stranger_put(self, "#WELCOME#", STRANGER_VERDICT);
}

#endif
