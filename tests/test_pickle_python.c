/* SPDX-License-Identifier: MIT */
/*
 * Pickle between us and the Pythons of this machine: what they write is read,
 * printed and written again as they would, and they read it back as equal.
 */
#include "support/python.h"
#include "support/testing.h"

#include "internal.h"
#include "os.h"

#include <multiproc/object.h>
#include <multiproc/pickle.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LEAST_MINOR = 6 };

/* malloc'ed; the record's size in *size, or NULL at the end of the file. */
static char *read_record(FILE *file, size_t *size)
{
    unsigned char head[4];
    char *data;

    if (fread(head, 1, sizeof(head), file) != sizeof(head))
        return NULL;
    *size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 |
            (size_t)head[3] << 24;
    data = malloc(*size + 1);
    cr_assert_not_null(data);
    cr_assert_eq(fread(data, 1, *size, file), *size);
    data[*size] = '\0';
    return data;
}

static void write_record(FILE *file, const void *data, size_t size)
{
    unsigned char head[4];

    for (unsigned i = 0; i < sizeof(head); i++)
        head[i] = (unsigned char)(size >> 8 * i);
    cr_assert_eq(fwrite(head, 1, sizeof(head), file), sizeof(head));
    cr_assert_eq(fwrite(data, 1, size, file), size);
}

/* Reads a pickle, compares its repr, writes it again. */
static void convert(FILE *out, const char *pickle, size_t size,
                    const char *expected)
{
    mp_obj *obj = NULL;
    char *text = NULL;
    void *data = NULL;
    mp_error err = mp_pickle_loads(pickle, size, &obj);

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    cr_assert_eq(mp_obj_repr(obj, &text), MP_OK);
    if (expected[0] != '\0')
        cr_assert_str_eq(text, expected);
    cr_assert_eq(mp_pickle_dumps(obj, &data, &size), MP_OK);
    write_record(out, data, size);
    mp_free(data);
    mp_free(text);
    mp_obj_unref(obj);
}

static size_t convert_all(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb");
    FILE *out = fopen(to, "wb");
    size_t count = 0;
    size_t size;
    char *pickle;

    cr_assert(in != NULL && out != NULL);
    while ((pickle = read_record(in, &size)) != NULL) {
        size_t text_size;
        char *expected = read_record(in, &text_size);

        cr_assert_not_null(expected);
        convert(out, pickle, size, expected);
        free(expected);
        free(pickle);
        count++;
    }
    fclose(in);
    cr_assert_eq(fclose(out), 0);
    return count;
}

static void exchange_with(const python *with)
{
    char written[64];
    char back[64];
    char command[4 * SUPPORT_PATH_SIZE];

    snprintf(written, sizeof(written), "test_pickle_python.%" PRId64 ".out",
             mpos_pid());
    snprintf(back, sizeof(back), "test_pickle_python.%" PRId64 ".back",
             mpos_pid());
    snprintf(command, sizeof(command), "%s \"%s\" write %s", with->program,
             with->script, written);
    cr_assert_eq(python_run(command), 0);
    cr_assert_gt(convert_all(written, back), 1000);
    snprintf(command, sizeof(command), "%s \"%s\" check %s %s", with->program,
             with->script, written, back);
    cr_assert_eq(python_run(command), 0);
    remove(written);
    remove(back);
}

Test(pickle_python, values_make_the_round_trip_through_every_python_here,
     .timeout = 300)
{
    char script[SUPPORT_PATH_SIZE];

    python_script("interop_pickle.py", script);
    python_for_each(script, LEAST_MINOR, exchange_with);
}
