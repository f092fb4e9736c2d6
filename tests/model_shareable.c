/* SPDX-License-Identifier: MIT */
/*
 * A ShareableList's item is read while another process changes it: every image
 * of the memory that a series of changes goes through is kept, and shown to a
 * reader in every way in which the writer can get ahead twice while it reads.
 */
#include "shareable_layout.h"

#include <string.h>

/* Both the writer and the reader stop at each word and code they touch. */
static void step(void);
static void *copy_in_steps(void *to, const void *from, size_t size);
static int compare_in_steps(const void *left, const void *right, size_t size);
static void *fill_in_steps(void *to, int byte, size_t size);

#define mpi_fence() (step(), (mpi_fence)())
#define mpi_layout_load(memory, offset) \
    (step(), (mpi_layout_load)((memory), (offset)))
#define mpi_layout_store(memory, offset, word) \
    (step(), (mpi_layout_store)((memory), (offset), (word)))
#define mpi_atomic32_add(atomic, change) \
    (step(), (mpi_atomic32_add)((atomic), (change)))
#undef memcpy /* macros of macOS */
#undef memset
#define memcpy copy_in_steps
#define memcmp compare_in_steps
#define memset fill_in_steps

#include "shareable_item.c"

#undef mpi_fence
#undef mpi_layout_load
#undef mpi_layout_store
#undef mpi_atomic32_add
#undef memcpy
#undef memcmp
#undef memset

#include "support/expect.h"

enum {
    MEMORY = 256, /* bytes */
    MOST_IMAGES = 200,
    MOST_LOOKS = 30, /* of a reader, in which the writer gets ahead */
    NOTHING = -1,    /* the item is being changed */
    MANY_READS = 10000,
};

static const char placeholder[] = "as long as the longest of all that follow";

/* -- Values ---------------------------------------------------------------- */

/* A mixture of any two of them is none of them. */
static mp_obj *value_number(int number)
{
    switch (number) {
    case 0:
        return MP_BOX(1.5);
    case 1:
        return MP_BOX(INT64_C(0x4141414141414141));
    case 2:
        return MP_BOX("BBBBBBBBCCCCCCCC");
    case 3:
        return MP_BOX("DDDDDDDDEEEEEEEEFFFFFFFF");
    case 4:
        return MP_BYTES("\xff\xfe\xfd\xfc\xfb\xfa\xf9\xf8\xf7", 9);
    case 5:
        return MP_BOX("BBBBBBBBEEEEEEEE");
    case 6:
        return MP_BOX(2.5);
    case 7:
        return MP_BOX(INT64_C(0x4242424242424242));
    case 8:
        return mp_obj_bool(true);
    default:
        return MP_NONE;
    }
}

/* In this order: with what brings code and format of the one before last back
 * among them. */
static const int series[] = {0, 1, 6, 7, 8, 1, 2, 3, 2, 5, 3, 4, 5, 9, 0};

enum { CHANGES = sizeof(series) / sizeof(series[0]) };

/* -- Images ---------------------------------------------------------------- */

typedef struct image {
    uint64_t words[MEMORY / sizeof(uint64_t)];
    int value;   /* or NOTHING */
    int changes; /* that have begun before */
} image;

static image images[MOST_IMAGES];
static size_t image_count;
static uint64_t memory[MEMORY / sizeof(uint64_t)];
static mpi_layout layout;

/* What the writer is at. */
static bool is_writing;
static int value_now, next_value, changes_now;

/* The item is the old one until it is None for all to see, and the next one
 * from when it is not None any more. */
static int value_in_memory(void)
{
    if (((unsigned char *)memory)[layout.codes] != CODE_NONE)
        return value_now;
    value_now = next_value;
    return NOTHING;
}

static void keep_image(void)
{
    image *last = image_count > 0 ? &images[image_count - 1] : NULL;

    if (last != NULL && memcmp(last->words, memory, MEMORY) == 0)
        return;
    cr_assert_lt(image_count, (size_t)MOST_IMAGES);
    images[image_count].value = value_in_memory();
    images[image_count].changes = changes_now;
    memcpy(images[image_count++].words, memory, MEMORY);
}

/* -- The reader ------------------------------------------------------------ */

/* Before which of its looks the writer gets ahead, and how far. */
typedef struct lead {
    size_t look;
    size_t image;
} lead;

static lead leads[2];
static size_t looks;

static void show(size_t number)
{
    memcpy(memory, images[number].words, MEMORY);
}

static void step(void)
{
    if (is_writing) {
        keep_image();
        return;
    }
    for (size_t i = 0; i < 2; i++)
        if (leads[i].look == looks)
            show(leads[i].image);
    looks++;
}

static void *copy_in_steps(void *to, const void *from, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (i % MPI_LAYOUT_WORD == 0 && size > MPI_LAYOUT_WORD)
            step();
        ((char *)to)[i] = ((const char *)from)[i];
    }
    return to;
}

static void *fill_in_steps(void *to, int byte, size_t size)
{
    step();
    return memset(to, byte, size);
}

static int compare_in_steps(const void *left, const void *right, size_t size)
{
    for (size_t i = 0; i < size; i += MPI_LAYOUT_WORD) {
        size_t left_over = size - i;
        size_t count =
            left_over < MPI_LAYOUT_WORD ? left_over : MPI_LAYOUT_WORD;

        step();
        if (memcmp((const char *)left + i, (const char *)right + i, count) != 0)
            return 1;
    }
    return 0;
}

/* -- What it may find ------------------------------------------------------ */

/* What was there from one image to another, or None if it was being changed. */
static bool may_find(const mp_obj *item, size_t first, size_t last)
{
    for (size_t i = first; i <= last; i++) {
        mp_obj *wanted = images[i].value == NOTHING
                             ? MP_NONE
                             : value_number(images[i].value);
        bool is_it = mp_obj_equal(item, wanted) &&
                     mp_obj_type(item) == mp_obj_type(wanted);

        mp_obj_unref(wanted);
        if (is_it)
            return true;
    }
    return false;
}

/* Of all that is read: how much, and what was never there. */
static size_t read_count, mixture_count;

static void tell_mixture(const mp_obj *item, size_t first)
{
    char *repr;

    if (mixture_count++ > 0)
        return;
    ok(mp_obj_repr(item, &repr));
    fprintf(stderr,
            "%s, from image %zu, to %zu before look %zu, to %zu before "
            "look %zu\n",
            repr, first, leads[0].image, leads[0].look, leads[1].image,
            leads[1].look);
    mp_free(repr);
}

static void read_from(size_t first)
{
    mp_obj *item;

    show(first);
    looks = 0;
    item = mpi_layout_get(&layout, memory, 0);
    ok(mp_obj_error(item));
    read_count++;
    if (!may_find(item, first, leads[1].image))
        tell_mixture(item, first);
    mp_obj_unref(item);
}

/* Whatever the writer does between two of its looks. */
static void read_between(size_t first, size_t middle, size_t last)
{
    leads[0].image = middle;
    leads[1].image = last;
    for (leads[0].look = 0; leads[0].look < MOST_LOOKS; leads[0].look++)
        for (leads[1].look = leads[0].look + 1; leads[1].look <= MOST_LOOKS;
             leads[1].look++)
            read_from(first);
}

/* How many are under way from one image to another. */
static int changes_between(size_t first, size_t last)
{
    int begun = images[last].changes - images[first].changes;

    return images[first].value == NOTHING ? begun + 1 : begun;
}

static void read_all(int most_changes)
{
    read_count = 0;
    mixture_count = 0;
    for (size_t first = 0; first < image_count; first++)
        for (size_t middle = first; middle < image_count; middle++)
            for (size_t last = middle; last < image_count; last++)
                if (changes_between(first, last) <= most_changes)
                    read_between(first, middle, last);
}

/* -- The tests ------------------------------------------------------------- */

static void make_images(bool are_counted)
{
    mp_obj *list = MP_LIST(placeholder);

    is_writing = true;
    memset(memory, 0, MEMORY);
    ok(mpi_layout_plan(list, &layout));
    cr_assert_leq(layout.size, (size_t)MEMORY);
    mpi_layout_write(&layout, list, memory);
    mp_obj_unref(list);
    if (!are_counted)
        layout.changes = 0;
    for (int i = 0; i < CHANGES; i++) {
        mp_obj *next = value_number(series[i]);

        next_value = series[i];
        ok(mpi_layout_set(&layout, memory, 0, next));
        mp_obj_unref(next);
        if (i == 0)
            image_count = 0; /* what is before is not looked at */
        keep_image();
        changes_now++;
    }
    is_writing = false;
}

static void end(void)
{
    mpi_layout_free(&layout);
    image_count = 0;
    changes_now = 0;
}

Test(model_shareable, an_item_is_whole_whatever_happens_while_it_is_read,
     .timeout = 120)
{
    make_images(true);
    read_all(2);
    cr_assert_gt(read_count, (size_t)MANY_READS);
    cr_assert_eq(mixture_count, 0U);
    end();
}

Test(model_shareable, one_change_that_is_not_counted_is_no_mixture_either,
     .timeout = 120)
{
    make_images(false);
    read_all(1);
    cr_assert_gt(read_count, (size_t)MANY_READS);
    cr_assert_eq(mixture_count, 0U);
    end();
}
