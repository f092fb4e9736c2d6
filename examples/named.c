/* SPDX-License-Identifier: MIT */
/*
 * Processes that have nothing in common but two names: who has the lock counts
 * one more in a file, who is done gives a permit. multiprocessing can't; with
 * the package posix_ipc:
 *
 *     turns = Semaphore("/turns", O_CREAT, initial_value=1)
 *     done = Semaphore("/done", O_CREAT, initial_value=0)
 *
 * The children get only the names, as any other program could.
 */
#include "example.h"

enum { STRANGERS = 2, TURNS = 500 };

static int count_more(const char *path, int more)
{
    FILE *file = fopen(path, "r+");
    int number = 0;

    if (file == NULL && (file = fopen(path, "w+")) == NULL)
        mp_exit(1);
    if (fscanf(file, "%d", &number) == 1)
        rewind(file);
    fprintf(file, "%d\n", number + more);
    fclose(file);
    return number + more;
}

static int stranger(mp_args *args)
{
    const char *turns_name = mp_arg_str(args, 0);
    mp_semaphore *done;
    mp_lock *turns;

    mp_check(mp_lock_open(&turns, turns_name, NULL));
    mp_check(mp_semaphore_open(&done, mp_arg_str(args, 1), 0, NULL));
    for (int i = 0; i < TURNS; i++) {
        mp_check(mp_lock_acquire(turns, MP_FOREVER));
        count_more(turns_name, 1);
        mp_check(mp_lock_release(turns));
    }
    mp_check(mp_semaphore_release(done));
    mp_check(mp_semaphore_close(done));
    return mp_lock_close(turns);
}

int main(int argc, char **argv)
{
    char turns[40], done_name[40];
    mp_process *p[STRANGERS];
    mp_semaphore *done;
    mp_event *event;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    snprintf(turns, sizeof(turns), "turns %lld", (long long)mp_getpid());
    snprintf(done_name, sizeof(done_name), "done %lld", (long long)mp_getpid());
    mp_check(mp_semaphore_open(&done, done_name, 0, NULL));
    for (int i = 0; i < STRANGERS; i++) {
        mp_check(mp_process_create(&p[i], stranger, MP_ARGS(turns, done_name),
                                   NULL));
        mp_check(mp_process_start(p[i]));
    }
    for (int i = 0; i < STRANGERS; i++)
        mp_check(mp_semaphore_acquire(done, MP_FOREVER));
    say("%d turns, %d expected\n", count_more(turns, 0), STRANGERS * TURNS);
    say("an Event of that name: %s\n",
        mp_error_name(mp_event_open(&event, done_name, NULL)));

    for (int i = 0; i < STRANGERS; i++) {
        mp_check(mp_process_join(p[i], MP_FOREVER));
        mp_check(mp_process_close(p[i]));
    }
    (void)mp_named_unlink(turns); /* on Windows it has gone with its users */
    mp_check(mp_named_unlink(done_name));
    mp_check(mp_semaphore_close(done));
    return remove(turns);
}
