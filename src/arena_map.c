/* SPDX-License-Identifier: MIT */
/* Arenas: making new ones, and mapping those of others. */
#include "arena.h"
#include "internal.h"
#include "sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 2,
    PROCESS_CAPACITY = 4095,
    SINGLE_PROCESS_CAPACITY = 1500,
    DATA_PROCESS_CAPACITY = 2500,
    MOST_PROCESSES = MPI_NO_SENDER - 1,
    FIRST_SIZE = 64 << 10,
    GROWN_SIZE = 4 << 20,        /* at most, where memory grows */
    SINGLE_SIZE = 32 << 10,      /* of one thing without data */
    DATA_OFFSET = MPOS_MAP_UNIT, /* with data */
    LARGEST_SIZE = 64 << 20,     /* but for data */
};

static const char magic[8] = "MPARENA";

_Static_assert(sizeof(mpi_arena_header) <= MPI_ARENA_TABLE, "the header fits");

static uint32_t cells_in(const mpi_arena_header *header, size_t size)
{
    size_t begin = mpi_arena_cells_offset(header->process_capacity);

    return (uint32_t)((size - begin) / MPI_CELL_SIZE);
}

static mp_error map(mpos_handle memory, size_t size, bool is_read_only,
                    void **address)
{
    const mpos_extent extent = {.size = size, .is_read_only = is_read_only};

    return mpos_memory_map(memory, &extent, address);
}

/* -- The content ----------------------------------------------------------- */

static mp_error fill_header(mpi_arena_header *header, uint32_t processes,
                            size_t size, size_t full_size)
{
    mp_error err = mpos_random(header->token, sizeof(header->token));

    if (err != MP_OK)
        return err;
    header->version = VERSION;
    header->process_capacity = processes;
    header->cell_capacity = cells_in(header, full_size);
    header->first_free = 1;
    header->kept_end = 1;
    header->creator_pid = mpos_pid();
    header->pid_space = mpos_pid_space();
    mpi_atomic32_store(&header->cell_count, cells_in(header, size));
    memcpy(header->magic, magic, sizeof(magic));
    return MP_OK;
}

static mpi_cell *first_cell(mpi_arena_header *header)
{
    unsigned char *start = (unsigned char *)header;
    size_t offset = mpi_arena_cells_offset(header->process_capacity);

    return (mpi_cell *)(void *)(start + offset);
}

/* The thing in cell 1, and its lock behind it. */
static void put_thing(mpi_arena_header *header, const mpi_share_plan *plan)
{
    mpi_cell *cell = first_cell(header) + 1;
    uint32_t end;

    mpi_arena_fill_cells(header, cell, (uint32_t)plan->kind, plan->size);
    if (plan->initial_size > 0)
        memcpy(cell->room, plan->initial, plan->initial_size);
    end = 1 + cell->count;
    if (plan->has_rlock) {
        cell = first_cell(header) + end;
        mpi_arena_fill_cells(header, cell, MPI_RLOCK, MPI_RLOCK_SIZE);
        end += cell->count;
    }
    header->first_free = end;
    if (plan->storage != MPI_STORAGE_PRIVATE)
        header->kept_end = end;
}

static size_t head_size(const mpi_share_plan *plan)
{
    return plan->data_size > 0 ? DATA_OFFSET : SINGLE_SIZE;
}

mp_error mpi_arena_image(const mpi_share_plan *plan, void **image,
                         size_t *image_size)
{
    size_t size = head_size(plan);
    mpi_arena_header *header = mpi_calloc(1, size + plan->data.size);
    mp_error err;

    if (header == NULL)
        return mpi_no_memory();
    err = fill_header(header,
                      plan->data_size > 0 ? DATA_PROCESS_CAPACITY
                                          : SINGLE_PROCESS_CAPACITY,
                      size, size);
    if (err != MP_OK) {
        free(header);
        return err;
    }
    header->storage = (uint32_t)plan->storage;
    if (plan->storage == MPI_STORAGE_NAMED)
        snprintf(header->name, sizeof(header->name), "%s", plan->name);
    if (plan->data_size > 0)
        header->data_offset = DATA_OFFSET;
    mpi_atomic64_store(&header->data_size, plan->data_size);
    put_thing(header, plan);
    if (plan->data.size > 0)
        memcpy((unsigned char *)header + size, plan->data.data,
               plan->data.size);
    *image = header;
    *image_size = size + plan->data.size;
    return MP_OK;
}

static mp_error add_head(const mpi_share_plan *plan, size_t data_size,
                         size_t *size)
{
    size_t head = head_size(plan);

    if (data_size > (size_t)PTRDIFF_MAX - head)
        return mpi_fail(MP_EOVERFLOW, "%zu bytes are more than there can be",
                        data_size);
    *size = head + data_size;
    return MP_OK;
}

mp_error mpi_arena_size(const mpi_share_plan *plan, size_t *size)
{
    return add_head(plan, plan->data_size, size);
}

/* -- Making ---------------------------------------------------------------- */

/* The token of what is in a file is that file's alone: a copy has the same. */
static mp_error know_token(mpi_arena *arena)
{
    uint64_t identity[MPI_TOKEN_WORDS] = {0};
    mp_error err = MP_OK;

    if (arena->storage == MPI_STORAGE_FILE)
        err = mpos_memory_identity(arena->memory, identity);
    for (int i = 0; i < MPI_TOKEN_WORDS; i++)
        arena->token[i] = arena->header->token[i] ^ identity[i];
    return err;
}

/* Takes memory over, but not on failure. */
static mp_error make_arena(mpi_arena_header *header, size_t mapped_size,
                           mpos_handle memory, mpi_arena **out)
{
    mpi_arena *arena = mpi_calloc(1, sizeof(*arena));
    unsigned char *start = (unsigned char *)header;
    mp_error err;

    if (arena == NULL)
        return mpi_no_memory();
    arena->header = header;
    arena->processes = (mpi_atomic64 *)(void *)(start + MPI_ARENA_TABLE);
    arena->cells = first_cell(header);
    arena->process_capacity = header->process_capacity;
    arena->cell_limit = cells_in(header, mapped_size);
    arena->storage = header->storage;
    arena->data_offset = header->data_offset == 0 ? 0 : DATA_OFFSET;
    arena->mapped_size = mapped_size;
    arena->memory = memory;
    arena->uses = 1;
    arena->lock.arena = arena;
    arena->lock.memory = header;
    err = know_token(arena);
    if (err != MP_OK) {
        free(arena);
        return err;
    }
    *out = arena;
    return MP_OK;
}

mp_error mpi_arena_create(mpi_arena **out)
{
    size_t full = mpos_system.memory_grows ? GROWN_SIZE : MPI_ARENA_FIXED_SIZE;
    size_t size = mpos_system.memory_grows ? FIRST_SIZE : MPI_ARENA_FIXED_SIZE;
    mpos_handle memory;
    void *address = NULL;
    mp_error err = mpos_memory_create(size, full, &memory);

    if (err != MP_OK)
        return err;
    err = map(memory, full, false, &address);
    if (err == MP_OK)
        err = fill_header(address, PROCESS_CAPACITY, size, full);
    if (err == MP_OK)
        err = make_arena(address, full, memory, out);
    if (err != MP_OK) {
        mpos_memory_unmap(address, full);
        mpos_close(memory);
    }
    return err;
}

static mp_error create_filled(mpos_bytes image, size_t size, size_t limit,
                              mpi_arena **out)
{
    mpos_handle memory;
    void *address = NULL;
    mp_error err = mpos_memory_create(size, limit, &memory);

    if (err != MP_OK)
        return err;
    err = map(memory, image.size, false, &address);
    if (err == MP_OK) {
        memcpy(address, image.data, image.size);
        err = make_arena(address, image.size, memory, out);
    }
    if (err != MP_OK) {
        mpos_memory_unmap(address, image.size);
        mpos_close(memory);
    }
    return err;
}

mp_error mpi_arena_create_single(const mpi_share_plan *plan, mpi_arena **out)
{
    void *image = NULL;
    size_t image_size = 0, size = 0, limit = 0;
    mp_error err = mpi_arena_size(plan, &size);

    if (err == MP_OK && plan->data_limit > 0)
        err = add_head(plan, plan->data_limit, &limit);
    if (err == MP_OK)
        err = mpi_arena_image(plan, &image, &image_size);
    if (err != MP_OK)
        return err;
    err = create_filled((mpos_bytes){image, image_size}, size, limit, out);
    free(image);
    return err;
}

/* -- Mapping what exists --------------------------------------------------- */

static bool data_fits(const mpi_arena_header *header, uint64_t data_size,
                      size_t size)
{
    if (header->data_offset == 0)
        return data_size == 0;
    return header->data_offset == DATA_OFFSET && size >= DATA_OFFSET &&
           data_size <= size - DATA_OFFSET &&
           mpi_arena_size_with(header, header->cell_capacity) <= DATA_OFFSET;
}

/* What the header says must fit the memory it is in. */
static mp_error check_header(const mpi_arena_header *header, mpos_handle memory)
{
    uint64_t data_size;
    size_t size = 0;
    uint32_t count;
    mp_error err;

    if (memcmp(header->magic, magic, sizeof(magic)) != 0)
        return mpi_fail(MP_EPROTO, "this memory is not multiproc's");
    if (header->version != VERSION)
        return mpi_fail(MP_EVERSION,
                        "the memory has version %u, this build reads %d",
                        (unsigned)header->version, VERSION);
    count = mpi_atomic32_load(&header->cell_count);
    if (header->process_capacity == 0 ||
        header->process_capacity > MOST_PROCESSES || count < 2 ||
        count > header->cell_capacity ||
        header->cell_capacity > LARGEST_SIZE / MPI_CELL_SIZE ||
        header->storage > MPI_STORAGE_FILE || header->kept_end > count ||
        memchr(header->name, '\0', sizeof(header->name)) == NULL)
        return mpi_fail(MP_EPROTO, "the memory is damaged");
    data_size = mpi_atomic64_load(&header->data_size);
    /* Asked for after the others, since they may be growing. */
    err = mpos_memory_size(memory, &size);
    if (err == MP_OK && (mpi_arena_size_with(header, count) > size ||
                         !data_fits(header, data_size, size)))
        err = mpi_fail(MP_EPROTO, "the memory is cut short");
    return err;
}

/* The beginning of it, which tells the rest. */
static mp_error map_checked(mpos_handle memory, bool is_read_only,
                            void **address, size_t *mapped)
{
    size_t size = 0;
    mp_error err = mpos_memory_size(memory, &size);

    if (err == MP_OK && size < sizeof(mpi_arena_header))
        err = mpi_fail(MP_EPROTO, "the memory is cut short");
    if (size > MPOS_MAP_UNIT)
        size = MPOS_MAP_UNIT;
    if (err == MP_OK)
        err = map(memory, size, is_read_only, address);
    if (err != MP_OK)
        return err;
    *mapped = size;
    return check_header(*address, memory);
}

/* All there may ever be but for data, since it may grow later. */
static mp_error map_full(mpos_handle memory, bool is_read_only, void **address,
                         size_t *mapped)
{
    const mpi_arena_header *header = *address;
    size_t full = mpi_arena_size_with(header, header->cell_capacity);
    size_t size = 0;
    void *larger;
    mp_error err;

    if (full <= *mapped)
        return MP_OK;
    err = mpos_memory_size(memory, &size);
    if (err == MP_OK && full > size &&
        !mpi_storage_grows((mpi_storage)header->storage))
        err = mpi_fail(MP_EPROTO, "the memory is cut short");
    if (err == MP_OK)
        err = map(memory, full, is_read_only, &larger);
    if (err != MP_OK)
        return err;
    mpos_memory_unmap(*address, *mapped);
    *address = larger;
    *mapped = full;
    return MP_OK;
}

mp_error mpi_arena_map(mpos_handle memory, bool is_read_only, mpi_arena **out)
{
    void *address = NULL;
    size_t mapped = 0;
    mp_error err = map_checked(memory, is_read_only, &address, &mapped);

    if (err == MP_OK)
        err = map_full(memory, is_read_only, &address, &mapped);
    if (err == MP_OK)
        err = make_arena(address, mapped, memory, out);
    if (err != MP_OK) {
        mpos_memory_unmap(address, mapped);
        return err;
    }
    (*out)->is_read_only = is_read_only;
    return MP_OK;
}

void mpi_arena_unmap(mpi_arena *arena)
{
    mpi_share_close_queue(&arena->lock);
    mpos_memory_unmap(arena->header, arena->mapped_size);
    mpos_close(arena->memory);
    free(arena);
}
