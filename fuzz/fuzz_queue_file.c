/* SPDX-License-Identifier: MIT */
/*
 * libFuzzer's entry: a queue in a file that says anything, cut short or not,
 * and damaged further while it is open. It is opened or refused with a
 * sentence; every call returns, fails with a sentence or does something, and
 * touches nothing that is not there.
 *
 *     clang -fsanitize=fuzzer,address,undefined ... fuzz/fuzz_queue_file.c
 *     ./fuzz_queue_file fuzz/corpus/queue_file
 *
 * Two things are left out, since they are no damage but what another process
 * may do: to be alive and hold a lock, which is waited for, and to make the
 * file shorter while it is in use.
 */
#include "arena.h"
#include "input.h"
#include "pattern.h"
#include "queue.h"

#include <multiproc.h>

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MOST_SIZE = 512 << 10,  /* of a file */
    MOST_BYTES = 192 << 10, /* of items */
    REGION = 512,
    MOST_STEPS = 100,
    LARGE = 20000,
    ROOM = 4096,
    CHANGE = 0xc0, /* what is more changes bytes, and does not call */
    SHAPES = 5,
};

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- The input ------------------------------------------------------------- */

static const char text[LARGE];

/* Some of each size class, of which priority says the first. */
static mp_obj *take_item(input *from)
{
    static const size_t sizes[] = {0, 12, 100, 1000, 8100, LARGE};
    uint8_t what = take(from);

    switch (what % 8) {
    case 6:
        return MP_BOX("another key");
    case 7:
        return MP_TUPLE(1.5 * what, "float");
    default:
        return MP_TUPLE((int)(what / 8), MP_BYTES(text, sizes[what % 8]));
    }
}

/* -- What the files are made as -------------------------------------------- */

static const mp_queue_options shapes[SHAPES] = {
    {.order = MP_QUEUE_FIFO, .max_bytes = MOST_BYTES},
    {.order = MP_QUEUE_LIFO, .max_bytes = MOST_BYTES},
    {.order = MP_QUEUE_PRIORITY, .max_bytes = MOST_BYTES},
    {.order = MP_QUEUE_DEQUE, .max_bytes = MOST_BYTES, .redeliver = true},
    {.order = MP_QUEUE_FIFO, .max_bytes = MOST_BYTES, .redeliver = true},
};

static pattern patterns[SHAPES];
static char path[64];

/* With items of every kind in it, some of them taken. */
static void make_pattern(const mp_queue_options *options, pattern *out)
{
    mp_queue *queue;
    mp_obj *item;

    remove(path);
    mp_check(mp_queue_open_file(&queue, path, 0, options));
    mp_check(mp_queue_put(queue, MP_BOX(1), 0));
    mp_check(mp_queue_put(queue, MP_TUPLE(2, "two"), 0));
    mp_check(mp_queue_put_bytes(queue, text, 700, 0));
    mp_check(mp_queue_put(queue, MP_TUPLE(3, MP_BYTES(text, LARGE)), 0));
    mp_check(mp_queue_put_bytes(queue, text, 8000, 0));
    mp_check(mp_queue_put_bytes(queue, text, 9000, 0));
    mp_check(mp_queue_get(queue, 0, &item));
    mp_obj_unref(item);
    mp_check(mp_queue_close(queue));
    read_pattern(path, MOST_SIZE, out);
    remove(path);
}

/* In memory, so that writing to the disk takes no time. */
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    snprintf(path, sizeof(path), "/dev/shm/fuzz_queue-%lld",
             (long long)mpos_pid());
    for (int i = 0; i < SHAPES; i++)
        make_pattern(&shapes[i], &patterns[i]);
    return 0;
}

/* -- The file -------------------------------------------------------------- */

static uint64_t words[MOST_SIZE / 8]; /* as it was written */

typedef struct image {
    size_t size;
    size_t cells;     /* where they were */
    size_t data;      /* the same */
    size_t table_end; /* of the processes */
} image;

/* A process that lives is waited for. */
static void let_all_die(image *file)
{
    const mpi_arena_header *header = (const void *)words;

    file->table_end = mpi_arena_cells_offset(header->process_capacity);
    if (file->table_end > file->size)
        file->table_end = file->size;
    for (size_t i = MPI_ARENA_TABLE / 8; i < file->table_end / 8; i++)
        if (words[i] != 0 && mpi_arena_is_alive(words[i]))
            words[i] = 0;
}

static size_t take_place(const image *file, uint8_t what, input *from)
{
    size_t place = (size_t)take_number(from, 2);

    switch (what % 8) {
    case 0:
        return place % sizeof(mpi_arena_header);
    case 1:
        return MPI_ARENA_TABLE + place % REGION;
    case 2: /* the thing */
        return file->cells + MPI_CELL_SIZE + place % REGION;
    case 3: /* what each has taken, and the table of units */
        return file->data + place % MPI_UNIT_SIZE;
    case 4: /* each unit's first records, slots, ... */
        return file->data + place / REGION * MPI_UNIT_SIZE + place % REGION;
    case 5:
        return place * 8 % file->size;
    default: /* where there is something */
        for (size_t i = 0; i < file->size / 8; i++) {
            size_t at = (place * 8 + i) % (file->size / 8);

            if (words[at] != 0)
                return at * 8 + place % 8;
        }
        return 0;
    }
}

static uint64_t take_word(uint8_t what, uint64_t old, input *from)
{
    switch (what / 8 % 8) {
    case 0:
        return old ^ (uint64_t)1 << take(from) % 64;
    case 1:
        return old + 1;
    case 2:
        return old - 1;
    case 3:
        return take_number(from, 2) << take(from) % 64;
    case 4:
        return take_number(from, 8);
    case 5:
        return words[take_number(from, 2) % (MOST_SIZE / 8)];
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
    size_t place = take_place(file, what, from) % (MOST_SIZE - 8);
    size_t part = parts[take(from) % 4];
    uint64_t new_word = take_word(take(from), words[place / 8], from);

    place = place / part * part;
    memcpy((unsigned char *)words + place, &new_word, part);
    return place / 8;
}

static void write_file(size_t size)
{
    FILE *file = fopen(path, "wb");

    require(file != NULL);
    require(fwrite(words, 1, size, file) == size);
    require(fclose(file) == 0);
}

static image make_image(const pattern *it, bool is_cut, input *from)
{
    const mpi_arena_header *header = (const void *)words;
    image file = {.size = it->size};

    memset(words, 0, sizeof(words));
    memcpy(words, it->bytes, it->size);
    file.cells = mpi_arena_cells_offset(header->process_capacity);
    file.data = (size_t)header->data_offset;
    for (int n = take(from) % 8; n > 0; n--)
        change(&file, take(from), from);
    if (is_cut)
        file.size = (size_t)take_number(from, 3) % MOST_SIZE / 8 * 8;
    let_all_die(&file);
    write_file(file.size);
    return file;
}

/* -- What is done to it ---------------------------------------------------- */

static void answered(mp_error err)
{
    require(err >= 0 || mp_error_message()[0] != '\0');
    require(err != MP_PENDING);
}

static void get_object(mp_queue *queue, bool from_back)
{
    mp_obj *item = NULL;
    mp_error err = from_back ? mp_queue_get_back(queue, 0, &item)
                             : mp_queue_get(queue, 0, &item);

    answered(err);
    require((item != NULL) == (err == MP_OK));
    mp_obj_unref(item);
}

static void get_bytes(mp_queue *queue, uint8_t what)
{
    static unsigned char room[ROOM];
    void *data = NULL;
    size_t size = 0;

    if (what % 2 == 0) {
        answered(mp_queue_get_bytes(queue, 0, &data, &size));
        mp_free(data);
        return;
    }
    if (mp_queue_get_bytes_into(queue, room, sizeof(room), &size, 0) == MP_OK)
        require(size <= sizeof(room));
}

static void use_many(mp_queue *queue, uint8_t what)
{
    static unsigned char room[ROOM];
    mp_bytes items[8];
    size_t done = 0;

    if (what % 2 == 0) {
        for (int i = 0; i < 8; i++)
            items[i] = (mp_bytes){text, (size_t)what * (size_t)i};
        answered(mp_queue_put_many(queue, items, what % 9U, &done, 0));
        require(done <= what % 9U);
        return;
    }
    answered(mp_queue_get_many(queue, room, sizeof(room), items, 8, &done, 0));
    require(done <= 8);
    for (size_t i = 0; i < done; i++) {
        const unsigned char *at = items[i].data;

        require(items[i].size == 0 ||
                (at >= room && items[i].size <= sizeof(room) &&
                 at + items[i].size <= room + sizeof(room)));
    }
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

static void use_slot(mp_queue *queue, uint8_t what)
{
    mp_queue_slot slot;
    mp_error err;

    if (what % 2 == 0) {
        err = mp_queue_reserve(queue, what % 4 == 0 ? LARGE : what, &slot);
        answered(err);
        if (err != MP_OK)
            return;
        memset(slot.data, what, slot.size);
        err = mp_queue_commit(queue, &slot, 0);
        answered(err);
        if (err != MP_OK)
            answered(mp_queue_abandon(queue, &slot));
        return;
    }
    err = mp_queue_peek(queue, 0, &slot);
    answered(err);
    if (err != MP_OK)
        return;
    touch(slot.data, slot.size);
    answered(mp_queue_consume(queue, &slot));
}

static void finish(mp_queue *queue, uint8_t what)
{
    switch (what % 8) {
    case 0:
        answered(mp_queue_shutdown(queue, what % 16 == 0));
        return;
    case 1:
        answered(mp_queue_sync(queue));
        return;
    case 2:
    case 3:
        answered(mp_queue_join(queue, 0));
        return;
    default:
        answered(mp_queue_task_done(queue));
        return;
    }
}

static void call(mp_queue *queue, uint8_t what, input *from)
{
    uint8_t more = take(from);

    switch (what % 12) {
    case 0:
    case 1:
        answered(mp_queue_put(queue, take_item(from), 0));
        return;
    case 2:
        answered(mp_queue_put_bytes(queue, text, more * 50U, 0));
        return;
    case 3:
        answered(mp_queue_put_bytes_priority(queue, more, text, more, 0));
        return;
    case 4:
        answered(mp_queue_put_front(queue, take_item(from), 0));
        return;
    case 5:
    case 6:
        get_object(queue, false);
        return;
    case 7:
        get_object(queue, true);
        return;
    case 8:
        get_bytes(queue, more);
        return;
    case 9:
        use_many(queue, more);
        return;
    case 10:
        use_slot(queue, more);
        return;
    default:
        (void)mp_queue_full(queue);
        finish(queue, more);
        return;
    }
}

/* Of the queue's own memory, as another process might. */
static void change_open(mp_queue *queue, uint8_t what, input *from)
{
    size_t place = (size_t)take_number(from, 2) * 4;
    size_t size = mpi_share_data_size(&queue->sync.share);
    unsigned char *memory;
    uint64_t word;

    if (size > queue->units.mapped_size)
        size = queue->units.mapped_size;

    if (what % 3 == 0) {
        memory = (unsigned char *)queue->thing;
        place %= sizeof(mpi_queue_thing);
    } else { /* what is reserved begins with the table and what is in use */
        memory = queue->units.data;
        place %= size - sizeof(word);
    }
    place = place / 8 * 8;
    memcpy(&word, memory + place, sizeof(word));
    word = take_word(take(from), word, from);
    memcpy(memory + place, &word, sizeof(word));
}

/* Nobody else is there that could hold them. */
static void free_locks(mp_queue *queue)
{
    mpi_atomic32_store(&queue->thing->put_lock.value, 0);
    mpi_atomic32_store(&queue->thing->get_lock.value, 0);
}

static void use(mp_queue *queue, input *from)
{
    for (int n = 0; n < MOST_STEPS && from->at < from->end; n++) {
        uint8_t what = take(from);

        if (what >= CHANGE)
            change_open(queue, what, from);
        else
            call(queue, what, from);
        free_locks(queue);
    }
    (void)mp_queue_qsize(queue);
    for (int n = 0; n < 8; n++)
        get_object(queue, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    input from = {data, data + size};
    unsigned which = take(&from);
    bool is_cut = take(&from) % 8 == 7;
    mp_queue_options options = shapes[which % SHAPES];
    mp_queue *queue = NULL;
    mp_error err;

    (void)make_image(&patterns[which % SHAPES], is_cut, &from);
    if (which / SHAPES % 4 == 3) /* whatever it is */
        options.open.mode = MP_OPEN_EXISTING;
    err = mp_queue_open_file(&queue, path, 0, &options);
    answered(err);
    require((queue != NULL) == (err == MP_OK));
    if (err == MP_OK) {
        use(queue, &from);
        require(mp_queue_close(queue) == MP_OK);
    }
    remove(path);
    return 0;
}
