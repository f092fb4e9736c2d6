/* SPDX-License-Identifier: MIT */
/*
 * mandelbrot [FILE.ppm]: a picture of that set, its rows drawn by map. Numbers
 * are integers, in units of 1 / ONE, so that every system draws the same.
 */
#include "example.h"

enum { WIDTH = 600, HEIGHT = 400, LIMIT = 200 };

#define ONE (INT64_C(1) << 24)

/* How many steps it takes the point to get away. */
static int count_steps(int64_t x, int64_t y)
{
    int64_t a = 0, b = 0, aa = 0, bb = 0;
    int steps = 0;

    for (; steps < LIMIT && aa + bb <= 4 * ONE; steps++) {
        b = 2 * a * b / ONE + y;
        a = aa - bb + x;
        aa = a * a / ONE;
        bb = b * b / ONE;
    }
    return steps;
}

static mp_obj *draw_row(mp_args *args)
{
    int64_t y = (2 * mp_arg_int(args, 0) - HEIGHT) * ONE / HEIGHT;
    unsigned char pixels[3 * WIDTH];

    for (int64_t i = 0; i < WIDTH; i++) {
        int steps = count_steps(3 * i * ONE / WIDTH - 2 * ONE, y * 6 / 5);
        int shade = steps == LIMIT ? 0 : 255 - 255 / (steps + 1);

        pixels[3 * i] = (unsigned char)(shade * shade / 255);
        pixels[3 * i + 1] = (unsigned char)(shade * steps / LIMIT);
        pixels[3 * i + 2] = (unsigned char)shade;
    }
    return MP_BYTES(pixels, sizeof(pixels));
}

/* Returns FNV-1a of all pixels. */
static uint32_t write_rows(FILE *file, const mp_obj *rows)
{
    uint32_t hash = 0x811c9dc5;
    const mp_obj *row;
    const void *data;
    mp_iter it = {0};
    size_t size;

    while (mp_obj_next(rows, &it, &row, NULL)) {
        mp_check(mp_obj_as_bytes(row, &data, &size));
        for (size_t i = 0; i < size; i++)
            hash = (hash ^ ((const unsigned char *)data)[i]) * 0x01000193;
        if (file != NULL)
            fwrite(data, 1, size, file);
    }
    return hash;
}

int main(int argc, char **argv)
{
    mp_obj *numbers = MP_LIST(), *rows;
    FILE *file = NULL;
    mp_pool *pool;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    for (int y = 0; y < HEIGHT; y++)
        mp_check(mp_obj_append(numbers, MP_BOX(y)));
    mp_check(mp_pool_create(&pool, 0, NULL));
    mp_check(mp_pool_map(pool, draw_row, numbers, 0, &rows));
    mp_check(mp_pool_destroy(pool));
    if (argc > 1 && (file = fopen(argv[1], "wb")) != NULL)
        fprintf(file, "P6\n%d %d\n255\n", WIDTH, HEIGHT);
    say("%d x %d: %08x\n", WIDTH, HEIGHT, (unsigned)write_rows(file, rows));
    mp_obj_unref(rows);
    return argc > 1 && (file == NULL || fclose(file) != 0);
}
