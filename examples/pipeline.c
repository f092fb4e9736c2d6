/* SPDX-License-Identifier: MIT */
/*
 * pipeline FILE... : names -> contents -> numbers of words -> report. Queues of
 * two keep the fast stages from running ahead; who is done shuts the next down.
 */
#include "example.h"

#include <ctype.h>

enum { STAGES = 3, WAITING = 2 };

static mp_obj *load(const mp_obj *name)
{
    static char bytes[1 << 20];
    const char *path;
    size_t size;
    FILE *file;

    mp_check(mp_obj_as_str(name, &path, NULL));
    if ((file = fopen(path, "rb")) == NULL)
        return MP_NONE;
    size = fread(bytes, 1, sizeof(bytes), file);
    fclose(file);
    return MP_BYTES(bytes, size);
}

static mp_obj *count(const mp_obj *contents)
{
    const void *data;
    int words = 0;
    size_t size;

    if (mp_obj_as_bytes(contents, &data, &size) != MP_OK)
        return MP_BOX("can't be read");
    for (const unsigned char *at = data; size > 0; size--, at++)
        words += !isspace(*at) && (at == data || isspace(at[-1]));
    return MP_BOX(words);
}

static int run(mp_args *args) /* a stage: (which, in, out) */
{
    int64_t which = mp_arg_int(args, 0);
    mp_queue *in = mp_arg_queue(args, 1), *out = mp_arg_queue(args, 2);
    mp_obj *item;

    while (mp_queue_get(in, MP_FOREVER, &item) == MP_OK) {
        if (which == 2)
            mp_check(mp_obj_print(item));
        else
            mp_check(mp_queue_put(out, which == 0 ? load(item) : count(item),
                                  MP_FOREVER));
        mp_obj_unref(item);
    }
    return mp_queue_shutdown(out, false);
}

int main(int argc, char **argv)
{
    mp_queue *q[STAGES + 1];
    mp_process *p[STAGES];

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    for (int i = 0; i <= STAGES; i++)
        mp_check(mp_queue_create(&q[i], WAITING, NULL));
    for (int i = 0; i < STAGES; i++) {
        mp_check(
            mp_process_create(&p[i], run, MP_ARGS(i, q[i], q[i + 1]), NULL));
        mp_check(mp_process_start(p[i]));
    }
    for (int i = 1; i < argc; i++)
        mp_check(mp_queue_put(q[0], MP_BOX(argv[i]), MP_FOREVER));
    mp_check(mp_queue_shutdown(q[0], false));
    for (int i = 0; i < STAGES; i++) {
        mp_check(mp_process_join(p[i], MP_FOREVER));
        mp_check(mp_process_close(p[i]));
        mp_check(mp_queue_close(q[i]));
    }
    return mp_queue_close(q[STAGES]);
}
