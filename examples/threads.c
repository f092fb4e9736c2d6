/* SPDX-License-Identifier: MIT */
/*
 * A thread inside each process:
 *
 *     def thread_run(name):
 *         print("{0}:{1}".format(name, threading.get_ident()))
 *
 *     def run(name):
 *         time.sleep(2)
 *         print("hello", name)
 *         t = threading.Thread(target=thread_run, args=(name,))
 *         t.start()
 *
 *     for i in range(10):
 *         p = Process(target=run, args=("QQ{0}".format(i),))
 *
 * Threads share their process's memory: this one leaves its answer there. A
 * target that returned would end its process under the thread, so it joins.
 */
#include "example.h"
#include "thread.h"

enum { COUNT = 10 };

typedef struct greeting {
    const char *name;
    int64_t pid;
} greeting;

static void thread_run(void *argument)
{
    greeting *shared = argument;

    shared->pid = mp_getpid();
    say("%s: in its thread\n", shared->name);
}

static int run(mp_args *args)
{
    greeting shared = {.name = mp_arg_str(args, 0)};
    thread *t;

    mp_sleep(0.1);
    say("hello %s\n", shared.name);
    t = thread_start(thread_run, &shared);
    if (t == NULL)
        return 1;
    thread_join(t);
    return shared.pid == mp_getpid() ? 0 : 1;
}

int main(int argc, char **argv)
{
    mp_process *p[COUNT];
    int failures = 0;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    for (int i = 0; i < COUNT; i++) {
        char name[16];

        snprintf(name, sizeof(name), "QQ%d", i);
        mp_check(mp_process_create(&p[i], run, MP_ARGS(name), NULL));
        mp_check(mp_process_start(p[i]));
    }
    for (int i = 0; i < COUNT; i++) {
        int code;

        mp_check(mp_process_join(p[i], MP_FOREVER));
        mp_check(mp_process_exitcode(p[i], &code));
        mp_check(mp_process_close(p[i]));
        failures += code != 0;
    }
    say("%d failures\n", failures);
    return 0;
}
