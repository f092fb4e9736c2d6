/* SPDX-License-Identifier: MIT */
/*
 * Calling a task, and the ways in which it fails: what it says by mp_raise(),
 * what it returns, and what would end a process (mp_check(), an argument of the
 * wrong type), for which it is left by a jump.
 */
#include "task.h"

#include "obj.h"
#include "state.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A call that is under way in this thread. */
typedef struct running {
    mpos_jump place; /* behind the call */
    mpi_raised *raised;
    struct running *outer;
} running;

static MPI_THREAD_LOCAL running *current;

/* -- Saying why ------------------------------------------------------------ */

static mp_error as_failure(mp_error code)
{
    bool is_known = strcmp(mp_error_name(code), "MP_E?") != 0;

    return code < MP_OK && is_known ? code : MP_ERAISED;
}

/* Paths as the compiler was given them say where that was. */
static const char *without_folders(const char *file)
{
    const char *name = file;

    for (const char *at = file; *at != 0; at++)
        if (*at == '/' || *at == '\\')
            name = at + 1;
    return name;
}

static void say(mpi_raised *raised, mp_error code, const char *sentence,
                const char *where)
{
    raised->code = as_failure(code);
    if (*sentence == 0)
        sentence = mp_strerror(code);
    snprintf(raised->sentence, sizeof(raised->sentence), "%s", sentence);
    mpi_text_mend(raised->sentence);
    snprintf(raised->where, sizeof(raised->where), "%s", where);
    mpi_text_mend(raised->where);
}

mp_obj *mp_raise_at(mp_error code, const char *file, int line,
                    const char *function, const char *format, ...)
{
    char sentence[MPI_SENTENCE_SIZE] = "";
    char where[MPI_WHERE_SIZE];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    (void)mpi_fail(as_failure(code), "%s", sentence);
    if (current == NULL)
        return NULL;
    snprintf(where, sizeof(where), "%s() at %s:%d", function,
             without_folders(file), line);
    say(current->raised, code, sentence, where);
    return NULL;
}

/* It has returned no value. */
static void say_what_it_returned(const mp_obj *result, const char *name,
                                 mpi_raised *raised)
{
    const char *last = mp_error_message();
    char sentence[MPI_SENTENCE_SIZE];

    if (result != NULL) {
        say(raised, mp_obj_error(result),
            *last != 0 ? last : mp_strerror(mp_obj_error(result)), "");
        return;
    }
    if (raised->code != MP_OK)
        return;
    snprintf(sentence, sizeof(sentence), "%s() returned NULL, %s%s", name,
             *last != 0 ? "the last failure was: " : "without mp_raise()",
             last);
    say(raised, MP_ERAISED, sentence, "");
}

/* -- Calling --------------------------------------------------------------- */

static void begin(running *task, mpi_raised *raised)
{
    raised->code = MP_OK;
    mpi_forget_failure();
    task->raised = raised;
    task->outer = current;
    current = task;
}

/* False: it has escaped. Nothing here changes after the place was taken. */
static bool enter(running *task, mp_task_function function, mp_args *args,
                  mp_obj **value)
{
    if (mpos_jump_here(task->place) != 0)
        return false;
    *value = function(args);
    return true;
}

mp_error mpi_task_call(mp_task_function function, mp_args *args, mp_obj **value,
                       mpi_raised *raised)
{
    mp_obj *result = NULL;
    bool has_returned;
    running task;

    begin(&task, raised);
    has_returned = enter(&task, function, args, &result);
    current = task.outer;
    if (has_returned && !mpi_is_error(result)) {
        *value = result;
        return MP_OK;
    }
    if (has_returned)
        say_what_it_returned(result, args->name, raised);
    return raised->code;
}

static bool enter_initializer(running *task, mp_function function,
                              mp_args *args, int *result)
{
    if (mpos_jump_here(task->place) != 0)
        return false;
    *result = function(args);
    return true;
}

mp_error mpi_task_initialize(mp_function function, mp_args *args, int *result,
                             mpi_raised *raised)
{
    bool has_returned;
    running task;

    begin(&task, raised);
    has_returned = enter_initializer(&task, function, args, result);
    current = task.outer;
    return has_returned ? MP_OK : raised->code;
}

/* -- Escaping -------------------------------------------------------------- */

/* In a process that the task has forked by itself nobody waits for it. */
static bool is_in_task(void)
{
    if (current == NULL)
        return false;
    return mpi_state.current == NULL || mpi_state.pid == mpos_pid();
}

void mpi_task_escape(mp_error code, const char *where)
{
    if (!is_in_task())
        return;
    say(current->raised, code, mp_error_message(), where);
    mpos_jump_to(current->place, 1);
}

void mpi_task_check_failed(mp_error code, const char *expression,
                           const char *file, int line)
{
    char where[MPI_WHERE_SIZE];

    if (!is_in_task())
        return;
    if (*mp_error_message() == 0)
        (void)mpi_fail(code, "%s", mp_strerror(code));
    (void)mpi_context(code, "%s", expression);
    snprintf(where, sizeof(where), "%s:%d", without_folders(file), line);
    mpi_task_escape(code, where);
}

void mpi_task_after_fork(void)
{
    current = NULL;
}
