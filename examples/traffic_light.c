/* SPDX-License-Identifier: MIT */
/*
 * A traffic light is an Event: cars wait for it, police cars wait 0.1 s and
 * go whatever it shows:
 *     def car(e, n):
 *         e.wait()
 *         print('green: car %s goes' % n)
 *     def police_car(e, n):
 *         print('green' if e.wait(0.1) else 'red', ': police car %s goes' % n)
 */
#include "example.h"

enum { CARS = 10, POLICE_CARS = 5 };

static int car(mp_args *args)
{
    mp_event *light = mp_arg_event(args, 0);
    mp_semaphore *arrived = mp_arg_semaphore(args, 1);
    int n = (int)mp_arg_int(args, 2);

    if (!mp_event_is_set(light)) {
        say("red: car %d waits\n", n);
        mp_check(mp_semaphore_release(arrived));
        mp_check(mp_event_wait(light, MP_FOREVER));
    }
    say("green: car %d goes\n", n);
    return 0;
}

static int police_car(mp_args *args)
{
    mp_event *light = mp_arg_event(args, 0);
    mp_error err = mp_event_wait(light, 0.1);

    say("%s: police car %d goes\n", err == MP_OK ? "green" : "red",
        (int)mp_arg_int(args, 1));
    return 0;
}

static void start(mp_process **out, mp_function target, mp_obj *args)
{
    mp_check(mp_process_create(out, target, args, NULL));
    mp_check(mp_process_start(*out));
}

static void join(mp_process **list, int count)
{
    for (int i = 0; i < count; i++) {
        mp_check(mp_process_join(list[i], MP_FOREVER));
        mp_check(mp_process_close(list[i]));
    }
}

int main(int argc, char **argv)
{
    mp_process *cars[CARS], *police[POLICE_CARS], *late;
    mp_semaphore *arrived;
    mp_event *light; /* red */

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    mp_check(mp_event_create(&light));
    mp_check(mp_semaphore_create(&arrived, 0));
    for (int i = 0; i < CARS; i++)
        start(&cars[i], car, MP_ARGS(light, arrived, i));
    for (int i = 0; i < POLICE_CARS; i++)
        start(&police[i], police_car, MP_ARGS(light, i));
    join(police, POLICE_CARS);
    for (int i = 0; i < CARS; i++)
        mp_check(mp_semaphore_acquire(arrived, MP_FOREVER));
    mp_check(mp_event_set(light)); /* green */
    join(cars, CARS);
    start(&late, car, MP_ARGS(light, arrived, CARS));
    join(&late, 1);
    mp_check(mp_event_clear(light));
    say("light is green: %s\n", true_or_false(mp_event_is_set(light)));
    mp_check(mp_event_close(light));
    mp_check(mp_semaphore_close(arrived));
    return 0;
}
