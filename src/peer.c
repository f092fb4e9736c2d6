/* SPDX-License-Identifier: MIT */
/* Who is at the other end of a connection, and handles given to it. */
#include "peer.h"

#include "state.h"

#include <stdlib.h>
#include <string.h>

/* The fields of the state that travels. */
enum { STATE_PAIR, STATE_SIDE, STATE_SIZE };

/* Messages with handles that are on their way and can be noted. Those beyond
 * arrive as well; they only are not found if nobody receives them. */
enum { NOTES = 16 };

/*
 * In the arena, for each side. A holder is a pid and the lower half of its
 * start time. A note is the number of a manifest there and the pid of whom it
 * was given to, until it is taken; 0: none.
 */
typedef struct pair {
    mpi_atomic64 holders[2];
    mpi_atomic64 notes[2][NOTES];
} pair;

/* Ends of pipes that a pickle takes along: where to write who holds them. The
 * parcel of the same transport keeps that memory mapped. */
typedef struct mpi_moves {
    size_t count;
    mpi_atomic64 *holders[MPOS_HANDLES_MAX];
} mpi_moves;

/* What the trailer names: in memory of its own, given along. */
typedef struct manifest {
    unsigned char magic[16];
    mpi_atomic32 is_taken;
    uint32_t count;
    uint64_t self; /* its own number */
    uint64_t numbers[MPOS_HANDLES_MAX];
} manifest;

/* Behind the pickle. It never leaves the machine, so its numbers are as the
 * processor has them. */
typedef struct trailer {
    uint64_t number; /* of the manifest */
    uint64_t pid;    /* for whom */
    unsigned char magic[16];
} trailer;

_Static_assert(sizeof(trailer) <= MPI_PEER_TRAILER, "say how much it is");

static const unsigned char manifest_magic[16] = {
    0x6d, 0x70, 0x69, 0x1f, 0x8e, 0x03, 0xc5, 0x7a,
    0x21, 0xd9, 0x90, 0x4b, 0xe6, 0x5c, 0xb2, 0x01};
static const unsigned char trailer_magic[16] = {
    0x6d, 0x70, 0x69, 0x2f, 0x13, 0xf8, 0x66, 0xa9,
    0xd0, 0x4e, 0x87, 0x3b, 0x5a, 0xc1, 0x9c, 0x01};

static uint64_t make_holder(int64_t pid, uint64_t start_time)
{
    return (uint64_t)pid << 32 | (start_time & UINT32_MAX);
}

static uint64_t make_note(uint64_t number, int64_t pid)
{
    return number << 32 | (uint64_t)pid;
}

static pair *pair_of(const mpi_peer *peer)
{
    return peer->pair.memory;
}

/* -- Those of this process ------------------------------------------------- */

static mpos_mutex peers_mutex = MPOS_MUTEX_INIT;
static mpi_peer *peers;

static void list_add(mpi_peer *peer)
{
    mpos_mutex_lock(&peers_mutex);
    peer->next = peers;
    peer->link = &peers;
    if (peers != NULL)
        peers->link = &peer->next;
    peers = peer;
    mpos_mutex_unlock(&peers_mutex);
}

/* True: it was the only one at this end. */
static bool list_remove(mpi_peer *peer)
{
    bool is_last = true;

    mpos_mutex_lock(&peers_mutex);
    *peer->link = peer->next;
    if (peer->next != NULL)
        peer->next->link = peer->link;
    for (const mpi_peer *it = peers; it != NULL; it = it->next)
        if (pair_of(it) == pair_of(peer) && it->side == peer->side)
            is_last = false;
    mpos_mutex_unlock(&peers_mutex);
    return is_last;
}

/* -- Pairs ----------------------------------------------------------------- */

static mp_error know_self(mpi_peer *peer)
{
    uint64_t start_time;
    mp_error err = mpi_own_start_time(&start_time);

    if (err == MP_OK)
        peer->self = make_holder(mpos_pid(), start_time);
    return err;
}

void mpi_peer_arrive(mpi_peer *peer)
{
    mpi_atomic64 *holder;

    if (pair_of(peer) == NULL)
        return;
    holder = &pair_of(peer)->holders[peer->side];
    if (mpi_atomic64_load(holder) != peer->self)
        mpi_atomic64_store(holder, peer->self);
}

/* The other end counts as a user of its own: it may go elsewhere. What it takes
 * to have two is to send one to oneself. */
static mp_error hold_twice(mpi_share *first, mpi_share *second)
{
    mpi_transport transport = {.has_no_handles = true};
    mp_obj *state = NULL;
    mp_error err = mpi_share_reduce(first, &transport, &state);

    if (err == MP_OK)
        err = mpi_share_rebuild(second, MPI_CONNECTION_PAIR, state, &transport);
    if (err == MP_OK)
        mpi_parcel_forget(&transport.parcel);
    mp_obj_unref(state);
    mpi_transport_free(&transport);
    return err;
}

mp_error mpi_peer_create(mpi_peer *left, mpi_peer *right)
{
    const mpi_share_plan plan = {
        .storage = MPI_STORAGE_COMMON,
        .kind = MPI_CONNECTION_PAIR,
        .size = sizeof(pair),
    };
    mp_error err;

    if (mpos_system.has_fork)
        return MP_OK;
    err = know_self(left);
    if (err == MP_OK)
        err = mpi_share_create(&left->pair, &plan);
    if (err == MP_OK)
        err = hold_twice(&left->pair, &right->pair);
    if (err != MP_OK) {
        mpi_share_close(&left->pair);
        return err;
    }
    right->self = left->self;
    right->side = 1;
    list_add(left);
    list_add(right);
    mpi_peer_arrive(left);
    mpi_peer_arrive(right);
    return MP_OK;
}

void mpi_peer_ask(mpi_peer *peer, mpos_handle stream)
{
    mpos_peer found = {0};

    if (mpos_system.has_fork || mpos_peer_of(stream, &found) != MP_OK ||
        !found.is_same_user ||
        mpos_start_time(found.pid, &peer->start_time) != MP_OK)
        return;
    peer->pid = found.pid;
}

/* -- Travelling ------------------------------------------------------------ */

static mp_error add_move(mpi_peer *peer, mpi_transport *transport)
{
    mpi_moves *moves = transport->moves;

    if (moves == NULL)
        moves = transport->moves = mpi_calloc(1, sizeof(*moves));
    if (moves == NULL)
        return mpi_no_memory();
    /* More don't fit into a message anyway; and all this is for is that the
     * next message for that end goes to the right place at once. */
    if (moves->count < MPOS_HANDLES_MAX)
        moves->holders[moves->count++] = &pair_of(peer)->holders[peer->side];
    return MP_OK;
}

mp_error mpi_peer_reduce(mpi_peer *peer, mpi_transport *transport,
                         mp_obj **state)
{
    mp_obj *items[STATE_SIZE];
    mp_error err;

    if (pair_of(peer) == NULL) {
        *state = peer->pid == 0 ? mp_obj_none() : mp_obj_bool(true);
        return mp_obj_error(*state);
    }
    err = mpi_share_reduce(&peer->pair, transport, &items[STATE_PAIR]);
    if (err != MP_OK)
        return err;
    items[STATE_SIDE] = mp_obj_int(peer->side);
    *state = mp_obj_tuple(items, STATE_SIZE);
    err = mp_obj_error(*state);
    if (err == MP_OK)
        err = add_move(peer, transport);
    if (err != MP_OK)
        mp_obj_unref(*state);
    return err;
}

static mp_error rebuild_pair(mpi_peer *peer, const mp_obj *state,
                             mpi_transport *transport)
{
    const mp_obj *share;
    const mp_obj *side;
    int64_t number;
    mp_error err;

    if (mp_obj_item(state, STATE_PAIR, &share) != MP_OK ||
        mp_obj_item(state, STATE_SIDE, &side) != MP_OK ||
        mp_obj_as_int(side, &number) != MP_OK || number < 0 || number > 1)
        return mpi_fail(MP_EUNPICKLE, "this is no end of a pipe");
    err = know_self(peer);
    if (err == MP_OK)
        err = mpi_share_rebuild(&peer->pair, MPI_CONNECTION_PAIR, share,
                                transport);
    if (err != MP_OK)
        return err;
    peer->side = (uint32_t)number;
    list_add(peer);
    mpi_peer_arrive(peer);
    return MP_OK;
}

mp_error mpi_peer_rebuild(mpi_peer *peer, const mp_obj *state,
                          mpi_transport *transport, mpos_handle stream)
{
    if (mp_obj_is_none(state))
        return MP_OK;
    if (mp_obj_type(state) == MP_TYPE_TUPLE)
        return rebuild_pair(peer, state, transport);
    mpi_peer_ask(peer, stream);
    return MP_OK;
}

void mpi_peer_moved(mpi_transport *transport, int64_t pid, uint64_t start_time)
{
    mpi_moves *moves = transport->moves;

    for (size_t i = 0; moves != NULL && i < moves->count; i++)
        mpi_atomic64_store(moves->holders[i], make_holder(pid, start_time));
}

/* -- Who is there ---------------------------------------------------------- */

static mp_error fail_gone(int64_t pid)
{
    return mpi_fail(MP_EPIPE,
                    "process %lld, which had the other end of the connection, "
                    "has ended",
                    (long long)pid);
}

mp_error mpi_peer_who(mpi_peer *peer, int64_t *pid, uint64_t *start_time)
{
    uint64_t holder;
    uint64_t found;
    mp_error err;

    if (!mpi_peer_is_known(peer))
        return mpi_fail(MP_ENOTSUP, "it is not known which process has the "
                                    "other end of the connection");
    if (pair_of(peer) == NULL) {
        *pid = peer->pid;
        *start_time = peer->start_time;
        return MP_OK;
    }
    holder = mpi_atomic64_load(&pair_of(peer)->holders[1 - peer->side]);
    err = mpos_start_time((int64_t)(holder >> 32), &found);
    if (err == MP_ENOTFOUND ||
        (err == MP_OK && (found & UINT32_MAX) != (holder & UINT32_MAX)))
        return fail_gone((int64_t)(holder >> 32));
    if (err != MP_OK)
        return err;
    *pid = (int64_t)(holder >> 32);
    *start_time = found;
    return MP_OK;
}

/* -- Giving ---------------------------------------------------------------- */

void mpi_gift_forget(mpi_gift *gift)
{
    free(gift->numbers);
    *gift = (mpi_gift){0};
}

void mpi_gift_revoke(mpi_gift *gift)
{
    if (gift->note != NULL)
        (void)mpi_atomic64_change(
            gift->note, make_note(gift->numbers[gift->count - 1], gift->pid),
            0);
    for (size_t i = 0; i < gift->count; i++)
        mpos_handle_revoke(gift->pid, gift->start_time, gift->numbers[i]);
    mpi_gift_forget(gift);
}

static mp_error give_one(mpi_gift *gift, mpos_handle handle)
{
    mp_error err = mpos_handle_give(gift->pid, gift->start_time, handle,
                                    &gift->numbers[gift->count]);

    if (err == MP_ENOTFOUND)
        return fail_gone(gift->pid);
    if (err != MP_OK)
        return mpi_context(err, "can't give a handle to process %lld",
                           (long long)gift->pid);
    gift->count++;
    return MP_OK;
}

/* It goes last, and what is in it is written when its number is known. */
static mp_error give_manifest(mpi_gift *gift)
{
    mpos_handle memory;
    void *address = NULL;
    manifest *list;
    mp_error err = mpos_memory_create(sizeof(*list), 0, &memory);

    if (err != MP_OK)
        return err;
    err = mpos_memory_map(memory, &(mpos_extent){.size = sizeof(*list)},
                          &address);
    if (err == MP_OK)
        err = give_one(gift, memory);
    if (err == MP_OK) {
        list = address;
        memcpy(list->magic, manifest_magic, sizeof(list->magic));
        list->count = (uint32_t)(gift->count - 1);
        list->self = gift->numbers[gift->count - 1];
        memcpy(list->numbers, gift->numbers,
               list->count * sizeof(list->numbers[0]));
    }
    mpos_memory_unmap(address, sizeof(*list));
    mpos_close(memory);
    return err;
}

static mp_error give_all(mpi_gift *gift, const mpi_transport *from,
                         mpi_buffer *pickle)
{
    trailer end = {.pid = (uint64_t)gift->pid};
    mp_error err = MP_OK;

    gift->numbers = mpi_malloc((from->count + 1) * sizeof(gift->numbers[0]));
    if (gift->numbers == NULL)
        return mpi_no_memory();
    for (size_t i = 0; i < from->count && err == MP_OK; i++)
        err = give_one(gift, from->handles[i]);
    if (err == MP_OK)
        err = give_manifest(gift);
    if (err != MP_OK)
        return err;
    end.number = gift->numbers[gift->count - 1];
    memcpy(end.magic, trailer_magic, sizeof(end.magic));
    mpi_buffer_append(pickle, &end, sizeof(end));
    return pickle->has_failed ? mpi_no_memory() : MP_OK;
}

/* For when that end is closed. */
static void note_gift(const mpi_peer *peer, mpi_gift *gift)
{
    uint64_t value = make_note(gift->numbers[gift->count - 1], gift->pid);

    for (size_t i = 0; pair_of(peer) != NULL && i < NOTES; i++) {
        mpi_atomic64 *note = &pair_of(peer)->notes[1 - peer->side][i];

        if (mpi_atomic64_change(note, 0, value)) {
            gift->note = note;
            return;
        }
    }
}

mp_error mpi_peer_give(mpi_peer *peer, mpi_transport *from, mpi_buffer *pickle,
                       mpi_gift *gift)
{
    mp_error err;

    *gift = (mpi_gift){0};
    if (from->count == 0)
        return MP_OK;
    if (from->count > MPOS_HANDLES_MAX)
        return mpi_fail(MP_EOVERFLOW,
                        "%zu handles are too many for one message, which takes "
                        "%d",
                        from->count, MPOS_HANDLES_MAX);
    err = mpi_peer_who(peer, &gift->pid, &gift->start_time);
    if (err == MP_OK)
        err = give_all(gift, from, pickle);
    if (err != MP_OK) {
        mpi_gift_revoke(gift);
        return err;
    }
    note_gift(peer, gift);
    mpi_peer_moved(from, gift->pid, gift->start_time);
    return MP_OK;
}

/* -- Taking ---------------------------------------------------------------- */

/* Any number may be in a message: so it is only looked at, as memory, until it
 * has turned out to be what it says. */
static bool is_genuine(manifest *list, uint64_t number)
{
    return memcmp(list->magic, manifest_magic, sizeof(list->magic)) == 0 &&
           list->self == number && list->count > 0 &&
           list->count <= MPOS_HANDLES_MAX &&
           mpi_atomic32_change(&list->is_taken, 0, 1);
}

static void forget_note(const mpi_peer *peer, uint64_t number)
{
    uint64_t value = make_note(number, mpos_pid());

    for (size_t i = 0; pair_of(peer) != NULL && i < NOTES; i++)
        if (mpi_atomic64_change(&pair_of(peer)->notes[peer->side][i], value, 0))
            return;
}

static bool take_manifest(uint64_t number, mpos_arrivals *arrived)
{
    const mpos_extent whole = {.size = sizeof(manifest)};
    mpos_handle memory = (mpos_handle)(intptr_t)number;
    void *address;
    manifest *list;
    bool was_taken;

    if (memory == 0 || memory == MPOS_NONE ||
        mpos_memory_map(memory, &whole, &address) != MP_OK)
        return false;
    list = address;
    was_taken = is_genuine(list, number);
    if (was_taken) {
        arrived->count = list->count;
        for (size_t i = 0; i < arrived->count; i++)
            arrived->handles[i] = (mpos_handle)(intptr_t)list->numbers[i];
    }
    mpos_memory_unmap(address, sizeof(*list));
    if (was_taken)
        mpos_close(memory);
    return was_taken;
}

void mpi_peer_take(const mpi_peer *peer, const void *message, size_t *size,
                   mpos_arrivals *arrived)
{
    trailer end;

    arrived->count = 0;
    arrived->is_cut = false;
    if (!mpi_peer_is_known(peer) || *size < sizeof(end))
        return;
    memcpy(&end, (const char *)message + *size - sizeof(end), sizeof(end));
    if (memcmp(end.magic, trailer_magic, sizeof(end.magic)) != 0 ||
        end.pid != (uint64_t)mpos_pid())
        return;
    if (!take_manifest(end.number, arrived))
        return;
    forget_note(peer, end.number);
    *size -= sizeof(end);
}

/* -- Closing --------------------------------------------------------------- */

/* Nobody here will receive what was sent to this end. */
static void close_what_was_given(const mpi_peer *peer)
{
    mpos_arrivals arrived;

    for (size_t i = 0; i < NOTES; i++) {
        mpi_atomic64 *note = &pair_of(peer)->notes[peer->side][i];
        uint64_t value = mpi_atomic64_load(note);

        if ((value & UINT32_MAX) != (uint64_t)mpos_pid() ||
            !mpi_atomic64_change(note, value, 0) ||
            !take_manifest(value >> 32, &arrived))
            continue;
        for (size_t k = 0; k < arrived.count; k++)
            mpos_close(arrived.handles[k]);
    }
}

void mpi_peer_close(mpi_peer *peer)
{
    if (pair_of(peer) != NULL && list_remove(peer))
        close_what_was_given(peer);
    mpi_share_close(&peer->pair);
    *peer = (mpi_peer){0};
}
