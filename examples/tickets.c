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

static int read_count(const char *path)
{
    FILE *file = fopen(path, "r");
    int count = 0;
    int got = fscanf(file, "{\"count\": %d}", &count);

    fclose(file);
    return got == 1 ? count : 0; /* another was writing */
}

static int buy(mp_args *args)
{
    const char *path = mp_arg_str(args, 0);
    mp_lock *lock = mp_kwarg_lock(args, "lock", NULL);
    int count;
    if (lock != NULL)
        mp_check(mp_lock_acquire(lock, MP_FOREVER));
    count = read_count(path);
    if (count > 0) {
        mp_sleep(0.1);
        write_count(path, count - 1);
    }
    if (lock != NULL)
        mp_check(mp_lock_release(lock));
    return count > 0 ? 0 : 1; /* the exit code */
}

static int sell(const char *path, mp_lock *lock)
{
    mp_process *buyers[BUYERS];
    int sold = 0;

    write_count(path, TICKETS);
    for (int i = 0; i < BUYERS; i++) {
        mp_process_options options = {
            .kwargs = lock != NULL ? MP_KWARGS("lock", lock) : NULL};
        mp_check(mp_process_create(&buyers[i], buy, MP_ARGS(path), &options));
        mp_check(mp_process_start(buyers[i]));
    }
    for (int i = 0, code; i < BUYERS; i++) {
        mp_check(mp_process_join(buyers[i], MP_FOREVER));
        mp_check(mp_process_exitcode(buyers[i], &code));
        mp_check(mp_process_close(buyers[i]));
        sold += code == 0 ? 1 : 0;
    }
    return sold;
}

int main(int argc, char **argv)
{
    char path[64];
    mp_lock *lock;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    snprintf(path, sizeof(path), "tickets-%lld.json", (long long)mp_getpid());
    mp_check(mp_lock_create(&lock));
    say("without the lock: %s\n",
        sell(path, NULL) > TICKETS ? "oversold" : "?");
    say("with the lock: %d of %d are sold\n", sell(path, lock), TICKETS);
    mp_check(mp_lock_close(lock));
    return remove(path);
}
