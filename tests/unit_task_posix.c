/* SPDX-License-Identifier: MIT */
/* A task that calls fork() by itself. */
#include "support/expect.h"

#include "state.h"
#include "task.h"

#include <sys/wait.h>
#include <unistd.h>

/* 0 if nothing goes on after a failed check in a copy of this process. */
static mp_obj *check_in_a_copy(mp_args *args)
{
    int status = -1;
    pid_t pid = fork();

    (void)args;
    if (pid == 0) {
        mp_check(MP_EACCES);
        _exit(42);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return mp_raise(MP_ERAISED, "status %d", status);
    return mp_obj_int(WEXITSTATUS(status));
}

Test(task_posix, copy_of_a_task_ends_by_a_failed_check)
{
    mp_args args = {"check_in_a_copy", MP_ARGS(), MP_DICT()};
    mp_obj *value = NULL;
    pid_t own = getpid();
    mpi_raised raised;
    mp_error err = mpi_task_call(check_in_a_copy, &args, &value, &raised);

    /* The copy must not come here. */
    if (getpid() != own)
        _exit(43);
    ok(err);
    is_repr(value, "1");
    mp_obj_unref(args.tuple);
    mp_obj_unref(args.dict);
}
