/* SPDX-License-Identifier: MIT */
/*
 * Maps a file as an Array of double, and sums it with several processes, each
 * its own part:
 *
 *     sum_file [MiB [processes]]
 *
 * What is in the file is there for other programs, too, and for this one when
 * it is started again; nothing of it is copied.
 */
#include "example.h"

static const mp_value_options only_read = {.is_read_only = true};

/* (path, part, parts, sums) */
static int sum_part(mp_args *args)
{
    size_t part = (size_t)mp_arg_int(args, 1);
    size_t parts = (size_t)mp_arg_int(args, 2);
    double sum = 0;
    size_t length;
    double *items;
    mp_array *numbers;

    mp_check(mp_array_open_file(&numbers, mp_arg_str(args, 0), MP_CTYPE(double),
                                0, NULL, &only_read));
    length = mp_array_length(numbers);
    items = MP_ARRAY(numbers, double);
    for (size_t i = length * part / parts; i < length * (part + 1) / parts; i++)
        sum += items[i];
    MP_ARRAY(mp_arg_array(args, 3), double)[part] = sum;
    return mp_array_close(numbers);
}

static void write_numbers(const char *path, size_t count)
{
    mp_array *numbers;

    mp_check(mp_array_open_file(&numbers, path, MP_CTYPE(double), count, NULL,
                                NULL));
    for (size_t i = 0; i < count; i++)
        MP_ARRAY(numbers, double)[i] = (double)(i % 1000);
    mp_check(mp_array_close(numbers));
}

int main(int argc, char **argv)
{
    char path[64];
    size_t size, processes;
    double sum = 0;
    mp_process **p;
    mp_array *sums;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    size = argc > 1 ? strtoul(argv[1], NULL, 10) : 8;
    processes = argc > 2 ? strtoul(argv[2], NULL, 10) : 3;
    snprintf(path, sizeof(path), "sum_file-%lld", (long long)mp_getpid());
    write_numbers(path, (size << 20) / sizeof(double));
    mp_check(mp_array_create(&sums, MP_CTYPE(double), processes, NULL, NULL));
    p = calloc(processes, sizeof(*p));
    for (size_t i = 0; i < processes; i++) {
        mp_check(mp_process_create(&p[i], sum_part,
                                   MP_ARGS(path, i, processes, sums), NULL));
        mp_check(mp_process_start(p[i]));
    }
    for (size_t i = 0; i < processes; i++) {
        mp_check(mp_process_join(p[i], MP_FOREVER));
        mp_check(mp_process_close(p[i]));
        sum += MP_ARRAY(sums, double)[i];
    }
    printf("%.0f\n", sum);
    free(p);
    mp_check(mp_array_close(sums));
    return remove(path);
}
