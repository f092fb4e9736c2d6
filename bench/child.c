/* SPDX-License-Identifier: MIT */
/* child.h: with every start method, and the peers' ways. */
#include "child.h"

#include "bench.h"
#include "peer.h"
#include "system.h"

mp_process *child_start(mp_start_method method, mp_function target,
                        mp_obj *args)
{
    const mp_process_options options = {.start_method = method};
    mp_process *process;

    mp_check(mp_process_create(&process, target, args, &options));
    mp_check(mp_process_start(process));
    return process;
}

void child_end(mp_process *process)
{
    int code = -1;

    mp_check(mp_process_join(process, MP_FOREVER));
    mp_check(mp_process_exitcode(process, &code));
    mp_check(mp_process_close(process));
    bench_require(code == 0, "a child ends well");
}

/* -- Those that do nothing ------------------------------------------------- */

static int do_nothing(mp_args *args)
{
    (void)args;
    return 0;
}

static double time_method(mp_start_method method, int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        child_end(child_start(method, do_nothing, NULL));
    return system_now() - began;
}

double child_spawn(int batch)
{
    return time_method(MP_START_SPAWN, batch);
}

double child_fork(int batch)
{
    return time_method(MP_START_FORK, batch);
}

double child_forkserver(int batch)
{
    return time_method(MP_START_FORKSERVER, batch);
}

double child_spawn_bare(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bench_require(system_spawn_bare(SYSTEM_EXIT) == 0,
                      "the bare spawn's exit code is 0");
    return system_now() - began;
}

static double time_peer(const bench_peer *it, int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bench_require(it->spawn(system_program(), SYSTEM_EXIT) == 0,
                      "the peer's exit code is 0");
    return system_now() - began;
}

double child_spawn_apr(int batch)
{
    return time_peer(&peer_apr, batch);
}

double child_spawn_uv(int batch)
{
    return time_peer(&peer_uv, batch);
}

double child_fork_bare(int batch)
{
    double began = system_now();

    for (int i = 0; i < batch; i++)
        bench_require(system_fork_bare() == 0,
                      "the bare fork's exit code is 0");
    return system_now() - began;
}

/* -- Whether it can be done ------------------------------------------------ */

static const char *need_method(mp_start_method method, const char *sentence)
{
    size_t count;
    const mp_start_method *all = mp_get_all_start_methods(&count);

    for (size_t i = 0; i < count; i++)
        if (all[i] == method)
            return NULL;
    return sentence;
}

const char *child_need_fork(void)
{
    return need_method(MP_START_FORK, "this system has no fork");
}

const char *child_need_forkserver(void)
{
    return need_method(MP_START_FORKSERVER, "this system has no forkserver");
}
