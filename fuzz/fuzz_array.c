/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's entry: a Value or Array in a file that says anything, cut short
 * or not, in use by somebody else or not, and damaged further while it is
 * open. It is opened or refused with a sentence; every call returns, fails with
 * a sentence or does what it says, and touches nothing that is not there.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... fuzz/fuzz_array.c
 *     ./fuzz_array fuzz/corpus/array
 *
 * Two things are left out, since they are no damage but what another process
 * may do: to be alive and hold the lock, which is waited for, and to make the
 * file shorter while it is in use.
 */
#include "arena.h"
#include "input.h"
#include "pattern.h"

#include <multiproc.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_SIZE = 80 << 10, /* of a file */
    REGION = 512,
    MOST_MORE = 40, /* items, to grow by */
    FEW = 16,
    OPENED = 0xf0, /* instead of a change: from here on it is open */
};

#define TIMEOUT 0.02

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- What the files are made as -------------------------------------------- */

typedef struct point {
    double x;
    int a[3];
    char text[8];
} point;

typedef struct shape {
    bool is_value;
    bool has_no_lock;
    mp_ctype type;
    size_t length;
    size_t capacity; /* 0: as it is */
} shape;

enum { SHAPES = 9 };

/* Small ones, and those whose items lie behind the arena's head. */
static shape shape_of(unsigned which)
{
    const mp_ctype point_type =
        MP_STRUCT(point, "x: double, a: int[3], text: char[8]");
    const shape shapes[SHAPES] = {
        {false, false, MP_CTYPE(int), 10, 0},
        {false, false, MP_CTYPE(double), 520, 0},
        {false, false, point_type, 3, 0},
        {false, false, MP_CTYPE(char), 100, 0},
        {false, false, MP_CTYPE(char), 10, 500},
        {false, false, point_type, 20, 2000},
        {false, true, MP_CTYPE(short), 100, 6000},
        {true, false, MP_CTYPE(int), 1, 0},
        {true, true, point_type, 1, 0},
    };

    return shapes[which % SHAPES];
}

static pattern patterns[SHAPES];
static char path[64];
/* Keeps the memory of small copies, which would else be made for each. */
static mp_array *keeper;

static void make_pattern(const shape *it, pattern *out)
{
    const mp_value_options options = {.has_no_lock = it->has_no_lock,
                                      .capacity = it->capacity};
    mp_value *value;
    mp_array *array;

    remove(path);
    if (it->is_value) {
        mp_check(mp_value_open_file(&value, path, it->type, NULL, &options));
        mp_check(mp_value_close(value));
    } else {
        mp_check(mp_array_open_file(&array, path, it->type, it->length, NULL,
                                    &options));
        mp_check(mp_array_close(array));
    }
    read_pattern(path, MOST_SIZE, out);
    remove(path);
}

/* In memory, so that writing to the disk takes no time. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    snprintf(path, sizeof(path), "/dev/shm/fuzz_array-%lld",
             (long long)mpos_pid());
    for (unsigned i = 0; i < SHAPES; i++) {
        shape it = shape_of(i);

        make_pattern(&it, &patterns[i]);
    }
    mp_check(mp_array_create(&keeper, MP_CTYPE(int), 1, NULL, NULL));
    return 0;
}

/* -- Changes of bytes ------------------------------------------------------ */

static uint64_t words[MOST_SIZE / 8]; /* the file, as it was written */

typedef struct image {
    size_t size;
    size_t cells; /* where they were */
    size_t table_end;
} image;

static uint64_t own_identity(void)
{
    uint64_t identity = 0;

    mp_check(mpi_arena_identity(&identity));
    return identity;
}

/* Whoever waits for a process that lives does so for as long as it does. */
static bool is_waited_for(const image *file, size_t word)
{
    return word >= MPI_ARENA_TABLE / 8 && word < file->table_end / 8 &&
           words[word] != 0 && mpi_arena_is_alive(words[word]);
}

/* This process may be in the table, but once. */
static void let_all_die(image *file)
{
    const mpi_arena_header *header = (const void *)words;
    bool has_own = false;

    file->table_end = mpi_arena_cells_offset(header->process_capacity);
    if (file->table_end > file->size)
        file->table_end = file->size;
    for (size_t i = MPI_ARENA_TABLE / 8; i < file->table_end / 8; i++) {
        if (!is_waited_for(file, i))
            continue;
        if (words[i] != own_identity() || has_own)
            words[i] = 0;
        else
            has_own = true;
    }
}

static size_t take_place(const image *file, uint8_t what, input *from)
{
    size_t place = (size_t)take_number(from, 2);

    switch (what % 4) {
    case 0:
        return place % sizeof(mpi_arena_header);
    case 1:
        return MPI_ARENA_TABLE + place % REGION;
    case 2:
        return file->cells + place % REGION;
    default:
        return place * 4 % MOST_SIZE;
    }
}

static uint64_t take_word(uint8_t what, uint64_t old, input *from)
{
    switch (what / 4 % 8) {
    case 0:
        return old ^ (uint64_t)1 << take(from) % 64;
    case 1:
        return old + 1;
    case 2:
        return take_number(from, 2) << take(from) % 64;
    case 3:
        return take_number(from, 8);
    case 4:
        return words[take_number(from, 2) % (MOST_SIZE / 8)];
    case 5:
        return own_identity();
    case 6:
        return UINT64_MAX << take(from) % 64;
    default:
        return 0;
    }
}

/* Part of a word, or all of it. Returns which. */
static size_t change(const image *file, uint8_t what, input *from)
{
    static const size_t parts[4] = {8, 4, 2, 1};
    size_t place = take_place(file, what, from);
    size_t part = parts[what / 32 % 4];
    uint64_t new_word = take_word(what, words[place / 8], from);

    place = place / part * part;
    memcpy((unsigned char *)words + place, &new_word, part);
    return place / 8;
}

static void write_file(size_t offset, size_t size, const char *mode)
{
    FILE *file = fopen(path, mode);

    require(file != NULL);
    require(fseek(file, (long)offset, SEEK_SET) == 0);
    require(fwrite((char *)words + offset, 1, size, file) == size);
    require(fclose(file) == 0);
}

/* While others have it open. */
static void change_file(image *file, input *from)
{
    size_t word = change(file, take(from), from);

    if (is_waited_for(file, word))
        words[word] = 0;
    if (word < file->size / 8)
        write_file(word * 8, 8, "r+b");
}

static image make_image(unsigned which, bool is_cut, input *from)
{
    const pattern *it = &patterns[which % SHAPES];
    const mpi_arena_header *header = (const void *)words;
    image file = {.size = it->size};

    memset(words, 0, sizeof(words));
    memcpy(words, it->bytes, it->size);
    file.cells = mpi_arena_cells_offset(header->process_capacity);
    if (is_cut)
        file.size = (size_t)take_number(from, 3) % MOST_SIZE;
    while (from->at < from->end) {
        uint8_t what = take(from);

        if (what >= OPENED)
            break;
        change(&file, what, from);
    }
    let_all_die(&file);
    write_file(0, file.size, "wb");
    return file;
}

/* -- What is done to both -------------------------------------------------- */

/* How it is opened. */
typedef struct how {
    shape shape;
    bool is_read_only;
    bool has_any_length;
    bool is_in_use; /* so that nothing is reset */
} how;

static void answered(mp_error err)
{
    require(err == MP_OK || mp_error_message()[0] != '\0');
    require(err != MP_OWNER_DIED && err != MP_TIMED_OUT && err != MP_PENDING);
}

static void gave(mp_obj *obj)
{
    answered(mp_obj_error(obj));
    mp_obj_unref(obj);
}

/* Whether the lock is held now. */
static bool got_lock(mp_error err)
{
    require(err == MP_OK || mp_error_message()[0] != '\0');
    require(err != MP_PENDING);
    return err == MP_OK || err == MP_OWNER_DIED;
}

/* All of it is there. */
static void touch(const void *data, size_t size)
{
    const volatile unsigned char *at = data;
    unsigned sum = 0;

    for (size_t i = 0; i < size; i++)
        sum += at[i];
    (void)sum;
}

/* -- Arrays ---------------------------------------------------------------- */

static void read_array(mp_array *array)
{
    int64_t length = (int64_t)mp_array_length(array);
    mp_ctype type = mp_array_ctype(array);
    size_t few = length < FEW ? (size_t)length : FEW;
    mp_obj *slice = mp_array_slice(array, 0, INT64_MAX);
    unsigned char items[FEW * sizeof(point)];
    size_t count = 0;
    char *text;
    mp_error err;

    require((size_t)length <= mp_array_capacity(array));
    touch(mp_array_data(array), (size_t)length * type.size);
    require(mp_obj_len(slice, &count) == MP_OK && count == (size_t)length);
    mp_obj_unref(slice);
    gave(mp_array_get(array, 0));
    gave(mp_array_get(array, -1));
    gave(mp_array_get(array, length));
    gave(mp_array_slice(array, -3, length - 1));
    gave(mp_array_value(array));
    gave(mp_array_raw(array));
    require(mp_array_read(array, 0, items, few) == MP_OK);
    require(memcmp(items, mp_array_data(array), few * type.size) == 0);
    answered(mp_array_read(array, (size_t)length, items, 1));
    err = mp_array_repr(array, &text);
    answered(err);
    if (err == MP_OK)
        mp_free(text);
}

static void copy_array(mp_array *array)
{
    size_t length = mp_array_length(array);
    mp_array *copy;

    mp_check(mp_array_copy(array, &copy, NULL));
    require(mp_array_length(copy) == length);
    require(memcmp(mp_array_data(copy), mp_array_data(array),
                   length * mp_array_ctype(array).size) == 0);
    mp_check(mp_array_close(copy));
}

/* What was read can be put back; if it is only read, it stays. */
static void change_array(mp_array *array, mp_error wanted)
{
    size_t length = mp_array_length(array);
    size_t more = mp_array_capacity(array) - length;
    unsigned char item[sizeof(point)];
    mp_error err;

    if (more > MOST_MORE)
        more = MOST_MORE;
    if (length > 0) {
        mp_obj *first = mp_array_get(array, 0);

        require(mp_array_set(array, -1, first) == wanted);
        require(mp_array_read(array, length - 1, item, 1) == MP_OK);
        require(mp_array_write(array, 0, item, 1) == wanted);
    }
    require(mp_array_set_slice(array, 0, 3, mp_array_slice(array, -3, 9999)) ==
                wanted ||
            length < 3 || length > 9999);
    answered(mp_array_set_value(array, MP_BYTES("abc", 3)));
    answered(mp_array_set_raw(array, MP_BYTES("abcdefghijkl", 12)));
    answered(mp_array_set(array, 1, MP_BOX("no number")));
    answered(mp_array_sync(array));
    answered(mp_array_grow(array, mp_array_capacity(array) + 1));
    err = mp_array_grow(array, length + more);
    answered(err);
    require(mp_array_length(array) == length + (err == MP_OK ? more : 0));
}

static void use_array(mp_array *array, const how *it)
{
    mp_error wanted = it->is_read_only ? MP_EACCES : MP_OK;

    read_array(array);
    change_array(array, wanted);
    read_array(array);
    copy_array(array);
}

/* Waits for nobody, if somebody might be in the way. */
static void use_array_locked(mp_array *array, const how *it)
{
    mp_error err = mp_array_acquire(array, TIMEOUT);

    if (it->shape.has_no_lock || it->is_read_only) {
        require(err == MP_ENOTSUP);
        use_array(array, it);
    } else if (got_lock(err)) {
        use_array(array, it);
        require(mp_array_release(array) == MP_OK);
    } else {
        require(err != MP_ENOTSUP);
    }
}

static void try_array(const how *it, image *file, input *from)
{
    const mp_value_options options = {
        .has_no_lock = it->shape.has_no_lock,
        .open = {.mode = MP_OPEN_EXISTING},
        .is_read_only = it->is_read_only,
    };
    mp_array *array = NULL;
    mp_error err = mp_array_open_file(&array, path, it->shape.type,
                                      it->has_any_length ? 0 : it->shape.length,
                                      NULL, &options);

    answered(err);
    if (err != MP_OK) {
        require(array == NULL);
        return;
    }
    require(it->has_any_length || mp_array_length(array) == it->shape.length);
    if (!it->is_in_use)
        use_array(array, it);
    use_array_locked(array, it);
    if (from->at < from->end) {
        while (from->at < from->end)
            change_file(file, from);
        use_array_locked(array, it);
    }
    require(mp_array_close(array) == MP_OK);
}

/* -- Values ---------------------------------------------------------------- */

static void use_value(mp_value *value, const how *it)
{
    mp_error wanted = it->is_read_only ? MP_EACCES : MP_OK;
    mp_value *copy;
    char *text;

    touch(mp_value_data(value), it->shape.type.size);
    require(mp_value_set(value, mp_value_get(value)) == wanted);
    answered(mp_value_set(value, MP_BOX("no number")));
    answered(mp_value_sync(value));
    mp_check(mp_value_repr(value, &text));
    mp_free(text);
    mp_check(mp_value_copy(value, &copy, NULL));
    require(memcmp(mp_value_data(copy), mp_value_data(value),
                   it->shape.type.size) == 0);
    mp_check(mp_value_close(copy));
}

static void use_value_locked(mp_value *value, const how *it)
{
    mp_error err = mp_value_acquire(value, TIMEOUT);

    if (it->shape.has_no_lock || it->is_read_only) {
        require(err == MP_ENOTSUP);
        use_value(value, it);
    } else if (got_lock(err)) {
        use_value(value, it);
        require(mp_value_release(value) == MP_OK);
    } else {
        require(err != MP_ENOTSUP);
    }
}

static void try_value(const how *it, image *file, input *from)
{
    const mp_value_options options = {
        .has_no_lock = it->shape.has_no_lock,
        .open = {.mode = MP_OPEN_EXISTING},
        .is_read_only = it->is_read_only,
    };
    mp_value *value = NULL;
    mp_error err =
        mp_value_open_file(&value, path, it->shape.type, NULL, &options);

    answered(err);
    if (err != MP_OK) {
        require(value == NULL);
        return;
    }
    if (!it->is_in_use)
        use_value(value, it);
    use_value_locked(value, it);
    if (from->at < from->end) {
        while (from->at < from->end)
            change_file(file, from);
        use_value_locked(value, it);
    }
    require(mp_value_close(value) == MP_OK);
}

/* -- The file -------------------------------------------------------------- */

/* Somebody else, who has it open. */
static mpos_handle begin_use(bool *is_alone)
{
    mpos_handle handle = MPOS_NONE;

    *is_alone = false;
    mp_check(mpos_file_open(path, false, &handle, is_alone));
    if (*is_alone)
        mpos_file_admit(handle);
    return handle;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, data + size};
    unsigned which = take(&from);
    uint8_t flags = take(&from);
    how it = {
        .shape = shape_of(which),
        .is_read_only = (flags & 1) != 0,
        .has_any_length = (flags & 2) != 0,
        .is_in_use = (flags & 4) != 0,
    };
    image file = make_image(which, (flags & 8) != 0, &from);
    mpos_handle other = MPOS_NONE;
    bool is_alone;

    if (it.is_in_use)
        other = begin_use(&is_alone);
    if ((flags & 16) != 0) /* as what it is not */
        it.shape.is_value = !it.shape.is_value;
    if (it.shape.is_value)
        try_value(&it, &file, &from);
    else
        try_array(&it, &file, &from);
    mpos_close(other);
    /* Nothing was left open. */
    mpos_close(begin_use(&is_alone));
    require(is_alone);
    remove(path);
    return 0;
}
