/* SPDX-License-Identifier: MIT */
/* ShareableList: where CPython's layout has what; planned, written, read. */
#include "shareable_layout.h"

#include "obj.h"

#include <stdlib.h>

enum {
    SMALLEST_PAGE = 4096, /* no system's pages are smaller */
    COUNT_SIZE = sizeof(uint32_t),
};

/* "changes:", little-endian: the counts follow. */
static const uint64_t mark = UINT64_C(0x3a7365676e616863);

/* -- Planning and writing -------------------------------------------------- */

static mp_error place_parts(mpi_layout *layout, size_t data_end)
{
    const size_t most = PTRDIFF_MAX;

    layout->formats = data_end;
    if (data_end > most - 2 * MPI_LAYOUT_WORD ||
        layout->count > (most - 2 * MPI_LAYOUT_WORD - data_end) /
                            (MPI_LAYOUT_WORD + 1 + COUNT_SIZE))
        return mpi_fail(MP_EOVERFLOW, "%zu items are too many", layout->count);
    layout->codes = data_end + MPI_LAYOUT_WORD * layout->count;
    layout->size = layout->codes + layout->count;
    return MP_OK;
}

static size_t mark_place(const mpi_layout *layout)
{
    size_t codes_end = layout->codes + layout->count;

    return (codes_end + MPI_LAYOUT_WORD - 1) / MPI_LAYOUT_WORD *
           MPI_LAYOUT_WORD;
}

/* Behind all else; a list without items has no use for them. */
static void place_changes(mpi_layout *layout)
{
    if (layout->count == 0)
        return;
    layout->changes = mark_place(layout) + MPI_LAYOUT_WORD;
    layout->size = layout->changes + COUNT_SIZE * layout->count;
}

static mp_error allocate(size_t count, mpi_layout *layout)
{
    *layout = (mpi_layout){.count = count};
    layout->offsets = mpi_calloc(count + 1, sizeof(*layout->offsets));
    return layout->offsets != NULL ? MP_OK : mpi_no_memory();
}

static mp_error plan_slots(const mp_obj *sequence, mpi_layout *layout)
{
    size_t end = MPI_LAYOUT_WORD * (layout->count + 2);
    mp_error err = MP_OK;
    const mp_obj *item;
    mp_iter it = {0};

    for (size_t i = 0; i < layout->count && err == MP_OK; i++) {
        size_t room = 0;

        layout->offsets[i] = end;
        mp_obj_next(sequence, &it, &item, NULL);
        err = mpi_layout_room(item, &room);
        if (err != MP_OK)
            return mpi_context(err, "item %zu", i);
        end += room;
    }
    layout->offsets[layout->count] = end;
    return place_parts(layout, end);
}

mp_error mpi_layout_plan(const mp_obj *sequence, mpi_layout *out)
{
    mpi_layout layout;
    size_t count = 0;
    mp_error err;

    if (mp_obj_type(sequence) != MP_TYPE_LIST &&
        mp_obj_type(sequence) != MP_TYPE_TUPLE)
        return mpi_expected("a list or tuple", sequence);
    err = mp_obj_len(sequence, &count);
    if (err == MP_OK)
        err = allocate(count, &layout);
    if (err != MP_OK)
        return err;
    err = plan_slots(sequence, &layout);
    if (err != MP_OK) {
        mpi_layout_free(&layout);
        return err;
    }
    place_changes(&layout);
    *out = layout;
    return MP_OK;
}

void mpi_layout_write(const mpi_layout *layout, const mp_obj *sequence,
                      void *memory)
{
    size_t begin = MPI_LAYOUT_WORD * (layout->count + 2);
    const mp_obj *item;
    mp_iter it = {0};

    for (size_t i = 0; i < layout->count; i++) {
        mp_obj_next(sequence, &it, &item, NULL);
        mpi_layout_put(layout, memory, i, item);
    }
    for (size_t i = 0; i <= layout->count; i++)
        mpi_layout_store(memory, MPI_LAYOUT_WORD * (i + 1),
                         layout->offsets[i] - begin);
    if (layout->changes != 0)
        mpi_layout_store(memory, mark_place(layout), mark);
    mpi_layout_store(memory, 0, layout->count);
}

/* -- Reading --------------------------------------------------------------- */

static mp_error fail_strange(void)
{
    return mpi_fail(MP_EPROTO, "this memory is no ShareableList");
}

/* What the memory says about its items, one word each: where the next begins,
 * or (in Python 3.8) how long it is. */
typedef struct table {
    const void *memory;
    size_t size;
    size_t first; /* its word number */
    bool has_sizes;
} table;

/* False: it is no slot's. */
static bool next_end(const table *from, size_t index, size_t begin, size_t *end)
{
    uint64_t word =
        mpi_layout_load(from->memory, MPI_LAYOUT_WORD * (from->first + index));
    uint64_t limit = from->size;

    if (word > limit || word % MPI_LAYOUT_WORD != 0)
        return false;
    word += from->has_sizes ? *end : begin;
    if (word > limit || word < *end + MPI_LAYOUT_WORD)
        return false;
    *end = (size_t)word;
    return true;
}

static mp_error read_slots(const table *from, mpi_layout *layout)
{
    size_t begin = MPI_LAYOUT_WORD * (from->first + layout->count);
    size_t end = begin;
    mp_error err;

    for (size_t i = 0; i < layout->count; i++) {
        layout->offsets[i] = end;
        if (!next_end(from, i, begin, &end))
            return fail_strange();
    }
    layout->offsets[layout->count] = end;
    err = place_parts(layout, end);
    if (err != MP_OK || layout->size > from->size)
        return fail_strange();
    return MP_OK;
}

/* Whether the counts are there, which Python does not write. */
static void look_for_changes(const table *from, mpi_layout *layout)
{
    mpi_layout ours = *layout;

    place_changes(&ours);
    if (ours.changes != 0 && ours.size <= from->size &&
        mpi_layout_load(from->memory, mark_place(layout)) == mark)
        *layout = ours;
}

/* What would be there if whoever creates it were not done: the number comes
 * last. Only a whole number of pages may be longer than no items. */
static bool is_unfinished(size_t size)
{
    return size > MPI_LAYOUT_WORD * 2 && size % SMALLEST_PAGE != 0;
}

mp_error mpi_layout_read(const void *memory, size_t size, mpi_layout *out)
{
    table from = {.memory = memory, .size = size, .first = 2};
    mpi_layout layout;
    uint64_t count;
    mp_error err;

    if (size < MPI_LAYOUT_WORD)
        return fail_strange();
    count = mpi_layout_load(memory, 0);
    if (count > size / (3 * MPI_LAYOUT_WORD + 1))
        return fail_strange();
    if (count == 0 && is_unfinished(size))
        return mpi_fail(MP_EPROTO, "this ShareableList is empty: whoever "
                                   "creates it is not done");
    from.has_sizes = count == 0 ? size < 2 * MPI_LAYOUT_WORD
                                : mpi_layout_load(memory, MPI_LAYOUT_WORD) != 0;
    if (from.has_sizes)
        from.first = 1;
    err = allocate((size_t)count, &layout);
    if (err != MP_OK)
        return err;
    err = read_slots(&from, &layout);
    if (err != MP_OK) {
        mpi_layout_free(&layout);
        return err;
    }
    look_for_changes(&from, &layout);
    *out = layout;
    return MP_OK;
}

void mpi_layout_free(mpi_layout *layout)
{
    free(layout->offsets);
    *layout = (mpi_layout){0};
}
