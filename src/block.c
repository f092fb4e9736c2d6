/* SPDX-License-Identifier: MIT */
/* The memory through which a process is started. What it means: start.c. */
#include "block.h"

#include <multiproc/process.h>

#include <string.h>

enum {
    VERSION = 1,
    KEPT_SIZE = 4096,
    SLOTS_PER_PAGE = KEPT_SIZE / sizeof(mpi_start_page),
};

static const char magic[8] = "MPSTART";

/* Guards the spare block and the free slots. */
mpos_mutex mpi_slots_mutex = MPOS_MUTEX_INIT;

static unsigned char *body_of(const mpi_block *block)
{
    return (unsigned char *)(block->page + 1);
}

/* Every bit of the input moves every bit of the result; not for secrets.
 * Multiply and fold, as in FNV and wyhash, eight bytes at a time. */
static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t checksum_of(const void *data, size_t size)
{
    const unsigned char *bytes = data;
    uint64_t hash = mix(0, size);
    uint64_t word;

    while (size >= sizeof(word)) {
        memcpy(&word, bytes, sizeof(word));
        hash = mix(hash, word);
        bytes += sizeof(word);
        size -= sizeof(word);
    }
    word = 0;
    memcpy(&word, bytes, size);
    return mix(hash, word);
}

static size_t body_size(const mpi_start_page *page)
{
    return page->handle_count * sizeof(int64_t) + (size_t)page->pickle_size;
}

static void fill(mpi_block *block, const mpi_transport *transport,
                 const mpi_buffer *pickle)
{
    mpi_start_page *page = block->page;
    unsigned char *body = body_of(block);

    memcpy(page->magic, magic, sizeof(magic));
    page->version = VERSION;
    page->handle_count = (uint32_t)transport->count;
    page->pickle_size = pickle->size;
    for (size_t i = 0; i < transport->count; i++) {
        int64_t handle = transport->handles[i];
        memcpy(body, &handle, sizeof(handle));
        body += sizeof(handle);
    }
    if (pickle->size > 0)
        memcpy(body, pickle->data, pickle->size);
    page->checksum = checksum_of(page + 1, body_size(page));
}

/* How many forks there are above this process: what a forked one finds in its
 * parent's objects must not become its own, for the parent goes on with it. */
static unsigned generation;

/* -- The spare block ------------------------------------------------------- */

/*
 * Making memory and giving it back takes a twentieth of the time of a spawn,
 * and a tenth of that of a start by the fork server. So one block outlives its
 * child and is the next one's: one handle and one page, for those who start
 * children one after another. Of several children alive at once one has it;
 * the others' handles are closed, lest a thousand children cost a thousand.
 */
static struct {
    mpi_block block;
    bool is_there;
    bool is_lent;
} spare;

/* Not so if somebody has closed our descriptors, as daemons do. */
static bool is_still_ours(const mpi_block *block)
{
    uint64_t found[2];
    mp_error err = mpos_memory_identity(block->memory, found);

    if (err != MP_OK)
        return err != MP_ECLOSED;
    return memcmp(found, block->identity, sizeof(found)) == 0;
}

/* Its number is not closed: by now that may be another's. */
static void abandon_spare(mpi_block *block)
{
    mpos_memory_unmap(block->page, block->mapped_size);
    block->page = NULL;
    block->memory = MPOS_NONE;
    block->is_spare = false;
    mpos_mutex_lock(&mpi_slots_mutex);
    spare.is_lent = false;
    mpos_mutex_unlock(&mpi_slots_mutex);
}

static bool take_spare(size_t size, mpi_block *block)
{
    bool is_taken;

    mpos_mutex_lock(&mpi_slots_mutex);
    is_taken = spare.is_there && size <= KEPT_SIZE;
    if (is_taken) {
        *block = spare.block;
        spare.is_there = false;
        spare.is_lent = true;
    }
    mpos_mutex_unlock(&mpi_slots_mutex);
    if (is_taken && !is_still_ours(block)) {
        abandon_spare(block);
        return false;
    }
    if (is_taken)
        memset(block->page, 0, KEPT_SIZE);
    return is_taken;
}

static bool lend_spare(mpi_block *block)
{
    mpos_mutex_lock(&mpi_slots_mutex);
    if (block->mapped_size == KEPT_SIZE && !spare.is_there && !spare.is_lent) {
        block->is_spare = true;
        spare.is_lent = true;
    }
    mpos_mutex_unlock(&mpi_slots_mutex);
    return block->is_spare;
}

/* False: it is to be closed for good. */
static bool give_spare_back(const mpi_block *block)
{
    bool is_kept;

    if (!block->is_spare || block->generation != generation)
        return false;
    /* Only what a child has written its last word to. One that was given up, or
     * that was lost sight of, may still come; and a start that has failed may
     * have done so because somebody has closed our descriptor. */
    is_kept = block->memory != MPOS_NONE &&
              mpi_atomic32_load(&block->page->phase) == MP_PHASE_FINISHED;
    mpos_mutex_lock(&mpi_slots_mutex);
    spare.is_lent = false;
    spare.is_there = is_kept;
    if (is_kept)
        spare.block = *block;
    mpos_mutex_unlock(&mpi_slots_mutex);
    return is_kept;
}

/* Without its memory it can't be the next child's; another one shall be. The
 * fork server's would be lent for as long as that lives. */
static void end_loan(mpi_block *block)
{
    if (!block->is_spare || block->generation != generation)
        return;
    mpos_mutex_lock(&mpi_slots_mutex);
    spare.is_lent = false;
    mpos_mutex_unlock(&mpi_slots_mutex);
    block->is_spare = false;
}

mp_error mpi_block_keep_for_child(mpi_block *block)
{
    return lend_spare(block) ? MP_OK : mpi_block_keep_page(block);
}

/* -- Making ---------------------------------------------------------------- */

static mp_error create_memory(size_t size, mpi_block *block)
{
    void *address;
    mp_error err;

    if (take_spare(size, block))
        return MP_OK;
    block->mapped_size = size < KEPT_SIZE ? KEPT_SIZE : size;
    err = mpos_memory_create(block->mapped_size, 0, &block->memory);
    if (err == MP_OK)
        err = mpos_memory_map(block->memory,
                              &(mpos_extent){.size = block->mapped_size},
                              &address);
    if (err == MP_OK)
        block->page = address;
    if (err == MP_OK && block->mapped_size == KEPT_SIZE)
        err = mpos_memory_identity(block->memory, block->identity);
    return err;
}

mp_error mpi_block_create(mpi_block *block, const mpi_transport *transport,
                          const mpi_buffer *pickle)
{
    size_t size = sizeof(mpi_start_page) + pickle->size +
                  transport->count * sizeof(int64_t);
    mpi_block made = {.memory = MPOS_NONE, .generation = generation};
    mp_error err = create_memory(size, &made);

    if (err != MP_OK)
        goto fail;
    err = mpos_random(made.page->token, sizeof(made.page->token));
    if (err != MP_OK)
        goto fail;
    fill(&made, transport, pickle);
    *block = made;
    return MP_OK;

fail:
    mpi_block_close(&made);
    return err;
}

/* -- Slots ----------------------------------------------------------------- */

/*
 * Memory of its own for each forked child would take a fifth of the time of
 * the fork. They share pages, which they all inherit, and which are never
 * given back: there are as many as children were alive at once. The list of
 * free slots is out of the children's reach.
 */
static struct {
    mpi_start_page **free;
    size_t count;
    size_t total;
} slots;

static mp_error map_slots(void **address)
{
    mpos_handle memory;
    mp_error err = mpos_memory_create(KEPT_SIZE, 0, &memory);

    if (err != MP_OK)
        return err;
    err = mpos_memory_map(memory, &(mpos_extent){.size = KEPT_SIZE}, address);
    mpos_close(memory);
    return err;
}

static mp_error add_slots(void)
{
    size_t total = slots.total + SLOTS_PER_PAGE;
    mpi_start_page **grown =
        mpi_realloc(slots.free, total * sizeof(mpi_start_page *));
    void *address;
    mp_error err;

    if (grown == NULL)
        return mpi_no_memory();
    slots.free = grown;
    err = map_slots(&address);
    if (err != MP_OK)
        return err;
    slots.total = total;
    for (size_t i = SLOTS_PER_PAGE; i > 0; i--)
        slots.free[slots.count++] = (mpi_start_page *)address + i - 1;
    return MP_OK;
}

mp_error mpi_block_create_for_fork(mpi_block *block)
{
    mp_error err = MP_OK;

    mpos_mutex_lock(&mpi_slots_mutex);
    if (slots.count == 0)
        err = add_slots();
    if (err == MP_OK)
        *block = (mpi_block){.memory = MPOS_NONE,
                             .page = slots.free[--slots.count],
                             .generation = generation};
    mpos_mutex_unlock(&mpi_slots_mutex);
    if (err == MP_OK)
        memset(block->page, 0, sizeof(*block->page));
    return err;
}

static void free_slot(mpi_start_page *slot)
{
    mpos_mutex_lock(&mpi_slots_mutex);
    slots.free[slots.count++] = slot;
    mpos_mutex_unlock(&mpi_slots_mutex);
}

void mpi_block_after_fork(void)
{
    /* All of them are the parent's, for its other children. */
    slots.count = 0;
    slots.total = 0;
    generation++;
    spare.block.is_spare = false;
    if (spare.is_there)
        mpi_block_close(&spare.block);
    spare.is_there = false;
    spare.is_lent = false;
}

/* -- Opening --------------------------------------------------------------- */

static mp_error map_whole(mpi_block *block)
{
    size_t size;
    void *address;
    mp_error err = mpos_memory_size(block->memory, &size);

    if (err == MP_OK && size < sizeof(mpi_start_page))
        err = mpi_fail(MP_EUNPICKLE, "the start block is cut short");
    if (err == MP_OK)
        err = mpos_memory_map(block->memory, &(mpos_extent){.size = size},
                              &address);
    if (err != MP_OK)
        return err;
    block->page = address;
    block->mapped_size = size;
    return MP_OK;
}

static mp_error check(const mpi_block *block, const unsigned char *token)
{
    const mpi_start_page *page = block->page;
    size_t room = block->mapped_size - sizeof(*page);

    if (memcmp(page->magic, magic, sizeof(magic)) != 0)
        return mpi_fail(MP_EUNPICKLE, "this is no start block");
    if (page->version != VERSION)
        return mpi_fail(MP_EVERSION,
                        "the start block has version %u, this build reads %d",
                        (unsigned)page->version, VERSION);
    if (memcmp(page->token, token, sizeof(page->token)) != 0)
        return mpi_fail(MP_EUNPICKLE, "the start block is for another process");
    if (page->pickle_size > room ||
        page->handle_count > (room - page->pickle_size) / sizeof(int64_t))
        return mpi_fail(MP_EUNPICKLE, "the start block is cut short");
    if (checksum_of(page + 1, body_size(page)) != page->checksum)
        return mpi_fail(MP_EUNPICKLE, "the start block is damaged");
    return MP_OK;
}

mp_error mpi_block_open(mpi_block *block, mpos_handle memory,
                        const unsigned char *token)
{
    mpi_block opened = {.memory = memory};
    mp_error err = map_whole(&opened);

    if (err == MP_OK)
        err = check(&opened, token);
    if (err != MP_OK) {
        mpi_block_close(&opened);
        return err;
    }
    *block = opened;
    return MP_OK;
}

mp_error mpi_block_handles(const mpi_block *block, mpi_transport *transport)
{
    const unsigned char *body = body_of(block);

    for (uint32_t i = 0; i < block->page->handle_count; i++) {
        int64_t handle;
        mpos_handle copy;
        size_t index;
        mp_error err;

        memcpy(&handle, body + i * sizeof(handle), sizeof(handle));
        /* What we inherited, programs that we run would inherit as well. */
        err = mpos_duplicate((mpos_handle)handle, &copy);
        if (err != MP_OK)
            return err;
        mpos_close((mpos_handle)handle);
        err = mpi_transport_add(transport, copy, &index);
        if (err != MP_OK) {
            mpos_close(copy);
            return err;
        }
    }
    return MP_OK;
}

const void *mpi_block_pickle(const mpi_block *block, size_t *size)
{
    *size = (size_t)block->page->pickle_size;
    return body_of(block) + block->page->handle_count * sizeof(int64_t);
}

mp_error mpi_block_keep_page(mpi_block *block)
{
    void *address = block->page;

    if (block->mapped_size == 0)
        return MP_OK;
    if (block->mapped_size > KEPT_SIZE) {
        const mpos_extent extent = {.size = KEPT_SIZE};
        mp_error err = mpos_memory_map(block->memory, &extent, &address);

        if (err != MP_OK)
            return err;
        mpos_memory_unmap(block->page, block->mapped_size);
        block->page = address;
        block->mapped_size = KEPT_SIZE;
    }
    mpos_close(block->memory);
    block->memory = MPOS_NONE;
    end_loan(block);
    return MP_OK;
}

void mpi_block_close(mpi_block *block)
{
    if (give_spare_back(block)) {
        *block = (mpi_block){.memory = MPOS_NONE};
        return;
    }
    if (block->mapped_size == 0) {
        if (block->page != NULL && block->generation == generation)
            free_slot(block->page);
    } else if (block->page != NULL) {
        mpos_memory_unmap(block->page, block->mapped_size);
    }
    if (block->memory != 0)
        mpos_close(block->memory);
    *block = (mpi_block){.memory = MPOS_NONE};
}
