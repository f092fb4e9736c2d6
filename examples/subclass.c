/* SPDX-License-Identifier: MIT */
/*
 * A process type of one's own, with fields and a run():
 *
 *     class MyProcess(Process):
 *         def __init__(self, *args):
 *             super().__init__()
 *             self.args = args
 *         def run(self):
 *             print(os.getpid(), self.name, self.pid)
 *             for name in self.args:
 *                 print('%s is chatting' % name)
 *
 *     class Download(Process):
 *         def __init__(self, interval): ...
 *         def run(self): time.sleep(self.interval); print(...)
 */
#include "example.h"

typedef struct my_process {
    char names[2][16];
} my_process;

static int my_process_run(mp_process *self)
{
    const my_process *fields = mp_process_fields(self);

    say("%s: pid is that of the process: %s\n", mp_process_name(self),
        true_or_false(mp_process_pid(self) == mp_getpid()));
    for (int i = 0; i < 2; i++)
        say("%s is chatting\n", fields->names[i]);
    return 0;
}

static const mp_process_type my_process_type = {
    .name = "MyProcess",
    .size = sizeof(my_process),
    .run = my_process_run,
};

typedef struct download {
    double interval;
} download;

static int download_run(mp_process *self)
{
    const download *fields = mp_process_fields(self);
    double begin = mp_monotonic();

    mp_sleep(fields->interval);
    say("%s: took its %.1f s: %s\n", mp_process_name(self), fields->interval,
        true_or_false(mp_monotonic() - begin >= fields->interval));
    return 0;
}

static const mp_process_type download_type = {
    .name = "Download",
    .size = sizeof(download),
    .run = download_run,
};

static void run(const mp_process_type *type, const void *fields)
{
    mp_process *p;

    mp_check(mp_process_create_type(&p, type, fields, NULL));
    mp_check(mp_process_start(p)); /* calls run() over there */
    mp_check(mp_process_join(p, MP_FOREVER));
    mp_check(mp_process_close(p));
}

int main(int argc, char **argv)
{
    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    run(&my_process_type, &(my_process){{"yuan", "wusir"}});
    run(&download_type, &(download){0.1});
    return 0;
}
