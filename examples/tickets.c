/* SPDX-License-Identifier: MIT */
/*
 * The ticket sale: 50 buyers, 5 tickets; how many are left is in a file of
 * JSON. To read it, think, and write it back must be one step.
 */
#include "example.h"

enum { BUYERS = 50, TICKETS = 5 };

static void write_count(const char *path, int count)
{
    FILE *file = fopen(path, "w");

    fprintf(file, "{\"count\": %d}", count);
    fclose(file);
}

static int buy(mp_args *args)
{
    const char *path = mp_arg_str(args, 0);
    mp_lock *lock = mp_kwarg_lock(args, "lock", NULL);
    int count;
    FILE *file;

    mp_check(mp_barrier_wait(mp_arg_barrier(args, 1), MP_FOREVER, NULL));
    if (lock != NULL)
        mp_check(mp_lock_acquire(lock, MP_FOREVER));
    file = fopen(path, "r");
    if (fscanf(file, "{\"count\": %d}", &count) != 1)
        count = 0; /* another was writing */
    fclose(file);
    if (count > 0) {
        mp_sleep(0.1);
        write_count(path, count - 1);
    }
    if (lock != NULL)
        mp_check(mp_lock_release(lock));
    return count > 0 ? 0 : 1; /* the exit code */
}

static int sell(const char *path, mp_barrier *door, mp_lock *lock)
{
    mp_process *p[BUYERS];
    int sold = 0;

    write_count(path, TICKETS);
    for (int i = 0; i < BUYERS; i++) {
        mp_process_options options = {
            .kwargs = lock != NULL ? MP_KWARGS("lock", lock) : NULL};
        mp_check(mp_process_create(&p[i], buy, MP_ARGS(path, door), &options));
        mp_check(mp_process_start(p[i]));
    }
    for (int i = 0, code; i < BUYERS; i++) {
        mp_check(mp_process_join(p[i], MP_FOREVER));
        mp_check(mp_process_exitcode(p[i], &code));
        mp_check(mp_process_close(p[i]));
        sold += code == 0 ? 1 : 0;
    }
    return sold;
}

int main(int argc, char **argv)
{
    char path[64];
    mp_barrier *door; /* all of them come at once */
    mp_lock *lock;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    snprintf(path, sizeof(path), "tickets-%lld.json", (long long)mp_getpid());
    mp_check(mp_barrier_create(&door, BUYERS, NULL));
    mp_check(mp_lock_create(&lock));
    say("without the lock: %s\n",
        sell(path, door, NULL) > TICKETS ? "oversold" : "?");
    say("with the lock: %d of %d are sold\n", sell(path, door, lock), TICKETS);
    mp_check(mp_lock_close(lock));
    mp_check(mp_barrier_close(door));
    return remove(path);
}
