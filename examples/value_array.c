/* SPDX-License-Identifier: MIT */
/*
 * Shared numbers, text and structs, with a lock of their own, a given one, or
 * none; Python's own example:
 *     def modify(n, x, s, A):
 *         n.value **= 2
 *         x.value **= 2
 *         s.value = s.value.upper()
 *         for a in A:
 *             a.x **= 2
 *             a.y **= 2
 *
 *     n, x = Value('i', 7), Value(c_double, 1.0/3.0, lock=False)
 *     s = Array('c', b'hello world', lock=lock)
 *     A = Array(Point, [(1.875, -6.25), (-5.75, 2.0), (2.375, 9.5)], lock=lock)
 */
#include "example.h"

#include <ctype.h>
#include <string.h>

typedef struct point {
    double x, y;
} point;

static int modify(mp_args *args)
{
    mp_value *n = mp_arg_value(args, 0);
    mp_value *x = mp_arg_value(args, 1);
    char *s = MP_ARRAY(mp_arg_array(args, 2), char);
    mp_array *a = mp_arg_array(args, 3);

    *MP_VALUE(n, int) *= *MP_VALUE(n, int);
    *MP_VALUE(x, double) *= *MP_VALUE(x, double);
    for (; *s != '\0'; s++)
        *s = (char)toupper((unsigned char)*s);
    for (point *it = MP_ARRAY(a, point), *end = it + 3; it < end; it++) {
        it->x *= it->x;
        it->y *= it->y;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static const char text[] = "hello world";
    static const point points[] = {{1.875, -6.25}, {-5.75, 2.0}, {2.375, 9.5}};
    mp_value_options lockless = {.has_no_lock = true}, locked = {0};
    mp_ctype point_type = MP_STRUCT(point, "x: double, y: double");
    mp_value *n, *x;
    mp_array *s, *a;
    mp_process *p;
    mp_obj *all;
    char *line;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    mp_check(mp_lock_create(&locked.lock));
    mp_check(mp_value_create(&n, MP_CTYPE(int), &(int){7}, NULL));
    mp_check(
        mp_value_create(&x, MP_CTYPE(double), &(double){1.0 / 3.0}, &lockless));
    mp_check(mp_array_create(&s, MP_CTYPE(char), strlen(text), text, &locked));
    mp_check(mp_array_create(&a, point_type, 3, points, &locked));
    mp_check(mp_process_create(&p, modify, MP_ARGS(n, x, s, a), NULL));
    mp_check(mp_process_start(p));
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));

    all = mp_array_slice(a, 0, 3);
    mp_check(mp_obj_repr(all, &line));
    printf("%d\n%.16g\n%s\n%s\n", *MP_VALUE(n, int), *MP_VALUE(x, double),
           MP_ARRAY(s, char), line);
    mp_free(line);
    mp_obj_unref(all);
    mp_check(mp_value_close(n));
    mp_check(mp_value_close(x));
    mp_check(mp_array_close(s));
    mp_check(mp_array_close(a));
    return mp_lock_close(locked.lock);
}
