/* SPDX-License-Identifier: MIT */
/**
 * @defgroup process Process
 * Processes: Python's multiprocessing.Process.
 *
 *     int main(int argc, char **argv)
 *     {
 *         mp_main_guard(argc, argv);        // if __name__ == '__main__':
 *
 *         mp_process *p;
 *         mp_check(mp_process_create(&p, greet, MP_ARGS("bob"), NULL));
 *         mp_check(mp_process_start(p));
 *         mp_check(mp_process_join(p, MP_FOREVER));
 *         mp_check(mp_process_close(p));
 *     }
 *
 * Caveats
 *
 * - Under spawn (the default everywhere) and forkserver a child starts from
 *   the program's beginning: globals have their initial values, constructors
 *   and the code above mp_main_guard() run again. Under fork it is a copy.
 * - A target that is to end early calls mp_exit(), not exit(): in a forked
 *   child exit() would run the atexit handlers the parent registered.
 * - At the end of a child made by fork or forkserver only stdout and stderr are
 *   flushed: close other files that were written to.
 * - A child has the connections it was given as arguments and no others, under
 *   fork, too.
 * - Children have /dev/null (NUL) as standard input.
 * - A process that ends waits for its children first, except for daemons,
 *   which it terminates. Killed itself, it leaves the others running; daemons
 *   die with it.
 * - A process that closes descriptors which are not its own, as closefrom() in
 *   a daemon's beginning does, does so before it starts its first child.
 * - Where several threads use fork: as in every program, only the calling
 *   thread exists in the child. Prefer spawn.
 * @{
 */
#ifndef MULTIPROC_PROCESS_H
#define MULTIPROC_PROCESS_H

#include <multiproc/context.h>
#include <multiproc/object.h>

MP_BEGIN_DECLS

/** A process: this one, its parent, or a child. */
typedef struct mp_process mp_process;

/** Whether a process ends with its parent instead of being waited for. */
typedef enum mp_daemon {
    MP_DAEMON_INHERIT, /**< as the process that creates it */
    MP_DAEMON_NO,      /**< it is waited for */
    MP_DAEMON_YES      /**< it ends with its parent */
} mp_daemon;

/** How far a process has come; it only ever grows. */
typedef enum mp_phase {
    MP_PHASE_INITIAL, /**< not started */
    MP_PHASE_STARTED, /**< the system has created it */
    MP_PHASE_BOOT,    /**< it has reached mp_main_guard() */
    MP_PHASE_TARGET,  /**< its target is running, or died in there */
    MP_PHASE_FINISHED /**< its target has returned, or mp_exit() was called */
} mp_phase;

/** For mp_process_create(). Zero is the default for every field. */
typedef struct mp_process_options {
    /** Copied. NULL: "Process-1", in its child "Process-1:1" ... */
    const char *name;
    /** Arguments by name, MP_KWARGS(...); consumed. */
    mp_obj *kwargs;
    mp_daemon daemon; /**< whether it ends with its parent */
    /** Python's get_context("fork").Process(...). MP_START_DEFAULT: what
     *  mp_get_start_method() says when the process is started. */
    mp_start_method start_method;
} mp_process_options;

/**
 * A process type with fields of its own, Python's class derived from Process.
 *
 * The fields are a plain struct. By default its bytes travel to the child as
 * they are, which suits numbers and arrays; a struct with pointers provides
 * get_state and set_state, Python's `__getstate__` and `__setstate__`. The type
 * itself must be a static object of the program or of a library.
 */
typedef struct mp_process_type {
    /** Its processes are called name-1, name-2 ...; NULL: Process-1 ... */
    const char *name;
    /** sizeof the struct of fields. */
    size_t size;
    /** Runs in the child; the result is the exit code. */
    int (*run)(mp_process *self);
    /** A new object that holds what the fields say. NULL, and so is set_state:
     *  the bytes travel. */
    mp_obj *(*get_state)(const void *fields);
    /** Fills zeroed fields from such an object, which it must not keep. */
    mp_error (*set_state)(void *fields, const mp_obj *state);
    /** Gives back what the fields own. May be NULL. */
    void (*destroy)(void *fields);
} mp_process_type;

/**
 * The ``if __name__ == '__main__':`` of a C program; the first call in main().
 *
 * In the main process it returns, and what follows is the main program. In a
 * child it never returns: it runs the target and ends the process. What stands
 * above it runs in children, too.
 *
 * Misuse ends the process with a sentence and exit code 1: called twice, or a
 * start block that is damaged or from another build.
 *
 * @param argc,argv  what main() got; 0 and NULL will do. Children get the
 *                   same command line. argv must stay as it is.
 * @threads call it before starting threads.
 * @fork a forked child does not come by here again.
 */
MP_API void mp_main_guard(int argc, char **argv);

/**
 * Describes a process that will call @p target with @p args.
 *
 * @param[out] out   the caller owns it; see mp_process_close().
 * @param args       MP_ARGS(...), consumed; NULL for none.
 * @param options    NULL: all defaults.
 * @return MP_OK
 * @return MP_EINVAL  out or target is NULL, args is no tuple, kwargs is no
 *                    dict with str keys, or an option is unknown.
 * @return MP_ENOMEM
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_process_create(mp_process **out, mp_function target,
                                  mp_obj *args,
                                  const mp_process_options *options);

/**
 * As mp_process_create(), with the target's name for messages.
 * @param target_name  copied; NULL: "target".
 * @param args  MP_ARGS(...), consumed; NULL for none.
 * @param options  NULL: all defaults; its kwargs are consumed.
 * @param[out] out  the caller owns it; see mp_process_close().
 * @return as mp_process_create().
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_process_create_named(mp_process **out, mp_function target,
                                        const char *target_name, mp_obj *args,
                                        const mp_process_options *options);

/** @cond */
/* Messages say "greet() argument 0: expected str", so keep the name. */
#define mp_process_create(out, target, ...) \
    mp_process_create_named((out), (target), #target, __VA_ARGS__)
/** @endcond */

/**
 * Describes a process of the caller's own type.
 *
 * @param type  static: it is not copied.
 * @param fields  type->size bytes, copied; NULL: all zero. destroy() is called
 *                for the copy, so what it owns must not be freed elsewhere; on
 *                failure it stays the caller's.
 * @param options  NULL: all defaults; kwargs must be NULL.
 * @param[out] out  the caller owns it; see mp_process_close().
 * @return MP_OK, MP_ENOMEM
 * @return MP_EINVAL  out or type->run is NULL, only one of get_state and
 *                    set_state is, there are kwargs, or an option is unknown.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_process_create_type(mp_process **out,
                                       const mp_process_type *type,
                                       const void *fields,
                                       const mp_process_options *options);

/**
 * The struct of fields of such a process, in the parent and in run().
 * @return borrowed; NULL for a process with a plain target.
 * @threads safe; what is in it is the caller's to guard. @fork safe.
 */
MP_API void *mp_process_fields(mp_process *process);

/**
 * Creates the process. When this returns it exists and its arguments are on
 * their way; it may not have reached its target yet.
 *
 * stdout and stderr are flushed first. Arguments are encoded before anything
 * else: one that can't travel leaves no process behind.
 *
 * @return MP_OK
 * @return MP_ESTATE  started before.
 * @return MP_ECLOSED
 * @return MP_ENOTCHILD  this process did not create the object.
 * @return MP_EGUARD  mp_main_guard() was not passed. Fork does not need it,
 *                    but a program that runs everywhere does.
 * @return MP_EPICKLE  an argument can't travel.
 * @return MP_ENOTSUP  the system has no such start method.
 * @return MP_ENOTFOUND, MP_EACCES  the program file is gone or can't be run.
 * @return MP_EPROCLIM, MP_EMFILE, MP_ENOMEM, MP_ENOSPC  no room.
 * @return MP_EINVAL  the command line and the environment are too long.
 * @return MP_EPIPE  the fork server died; perhaps its preload function failed.
 * @return MP_EOVERFLOW  more than 248 connections for the fork server.
 * @threads safe; starting the same object twice fails in one of them.
 * @fork under MP_START_FORK locks that other threads hold stay locked in the
 *       child, as always with fork.
 */
MP_API mp_error mp_process_start(mp_process *process);

/**
 * Calls the target in this process, as the child would. Python's p.run().
 * @param[out] code  what it returned; may be NULL.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @return MP_ESTATE  it has been started.
 * @return MP_ENOTCHILD  another process created the object.
 * @threads safe, unless another one starts it. @fork safe.
 */
MP_API mp_error mp_process_run(mp_process *process, int *code);

/**
 * Waits until the process has ended.
 *
 * @param timeout  seconds; MP_FOREVER; zero or less only looks.
 * @return MP_OK  it has ended.
 * @return MP_TIMED_OUT  it has not.
 * @return MP_ESTATE  not started, or the current process itself.
 * @return MP_ENOTCHILD, MP_ECLOSED
 * @threads safe, several may wait for the same process. @fork parent only.
 */
MP_API mp_error mp_process_join(mp_process *process, double timeout);

/**
 * Whether it has been started and has not ended. False on misuse, too.
 * @threads safe. @fork its own children, itself and its parent only.
 */
MP_API bool mp_process_is_alive(mp_process *process);

/**
 * The exit code: what the target returned (modulo 256 on POSIX), 1 after an
 * error of its own, -N if signal N ended it; terminated: -15, killed: -9, on
 * every system.
 *
 * @param[out] code  may be NULL.
 * @return MP_OK
 * @return MP_PENDING  not started or still running; Python's None.
 * @return MP_ENOTFOUND  it has ended, but somebody else collected its code.
 * @return MP_EINVAL, MP_ECLOSED
 * @return MP_ENOTCHILD  this process did not create it.
 * @threads safe. @fork its own children only.
 */
MP_API mp_error mp_process_exitcode(mp_process *process, int *code);

/**
 * How far it has come. With an exit code at hand it tells a child that never
 * reached mp_main_guard() (MP_PHASE_STARTED) or died on its way to the target
 * (MP_PHASE_BOOT) from one that died in it.
 * @threads safe.
 * @fork of children of this process, of itself, and of its parent.
 */
MP_API mp_phase mp_process_phase(mp_process *process);

/** @{ */
/**
 * Ends the process: SIGTERM, SIGKILL, SIGINT; on Windows it is ended without a
 * chance to clean up, and there is no interrupt. Nothing happens if it has
 * ended. Its children are not ended, unless they are daemons.
 *
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @return MP_ESTATE  not started.
 * @return MP_ENOTCHILD  this process did not start it.
 * @return MP_EACCES  it has become another user's.
 * @return MP_ENOTSUP  mp_process_interrupt() on Windows.
 * @threads safe. @fork its own children only.
 */
MP_API mp_error mp_process_terminate(mp_process *process);
MP_API mp_error mp_process_kill(mp_process *process);
MP_API mp_error mp_process_interrupt(mp_process *process);
/** @} */

/** @{ */
/**
 * Stops the process where it is, and lets it go on.
 * @return as mp_process_terminate().
 * @threads safe. @fork its own children only.
 */
MP_API mp_error mp_process_suspend(mp_process *process);
MP_API mp_error mp_process_resume(mp_process *process);
/** @} */

/**
 * Frees the object. Using it afterwards is an error (MP_ECLOSED as long as its
 * memory serves nothing else).
 *
 * @return MP_OK  also for NULL.
 * @return MP_ESTATE  still running: join or terminate it first. Not closed.
 * @return MP_EINVAL, MP_ECLOSED
 * @threads no other thread may be using it. @fork frees the child's own copy;
 *          the process goes on.
 */
MP_API mp_error mp_process_close(mp_process *process);

/**
 * Its name.
 * @return borrowed, until the name is set or the process closed; "" if it is.
 * @threads safe, unless another one sets it. @fork safe.
 */
MP_API const char *mp_process_name(mp_process *process);

/**
 * Names it anew. What is running already does not learn of it.
 * @param name  copied.
 * @return MP_OK, MP_ENOMEM, MP_ECLOSED
 * @return MP_EINVAL  it is NULL, empty or not UTF-8.
 * @threads no other thread may ask for it. @fork safe.
 */
MP_API mp_error mp_process_set_name(mp_process *process, const char *name);

/**
 * Its process id; 0 before it is started, which is Python's None. It stays when
 * the process ends.
 * @threads safe. @fork safe.
 */
MP_API int64_t mp_process_pid(mp_process *process);

/**
 * Whether it ends with its parent instead of being waited for.
 * @threads safe. @fork safe.
 */
MP_API bool mp_process_is_daemon(mp_process *process);

/**
 * Whether it will be a daemon; before it is started only.
 * @param is_daemon  whether it ends with its parent instead of being waited
 *                   for.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @return MP_ESTATE  it has been started.
 * @return MP_ENOTCHILD  this process did not create it.
 * @threads no other thread may be starting it. @fork safe.
 */
MP_API mp_error mp_process_set_daemon(mp_process *process, bool is_daemon);

/**
 * The secret that peers must share; 32 random bytes unless it was set.
 * @param[out] key  borrowed, until it is set or the process closed.
 * @param[out] size  in bytes.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_ENOMEM, MP_EIO
 * @threads safe, unless another one sets it. @fork a child has its parent's.
 */
MP_API mp_error mp_process_authkey(mp_process *process, const void **key,
                                   size_t *size);

/**
 * Sets it. Children created from now on inherit the current process's.
 * @param key  copied.
 * @param size  in bytes; may be 0.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED, MP_ENOMEM
 * @threads no other thread may be using what it was before. @fork safe.
 */
MP_API mp_error mp_process_set_authkey(mp_process *process, const void *key,
                                       size_t size);

/**
 * A descriptor (HANDLE) that becomes ready (readable, signalled) when the
 * process ends; for poll() and the like. Ask for it right after the start, then
 * it stays valid until mp_process_close().
 * @param[out] out  owned by the process object.
 * @return MP_OK, MP_EINVAL, MP_ECLOSED
 * @return MP_ENOTCHILD  this process did not start it.
 * @return MP_ENOTFOUND  it can't be told of the parent.
 * @return MP_ESTATE  not started; or seen to have ended before anybody asked.
 * @threads safe. @fork its own children and its parent only.
 */
MP_API mp_error mp_process_sentinel(mp_process *process, mp_handle *out);

/**
 * The process that calls.
 * @return borrowed, never NULL.
 * @threads safe. @fork the child's own.
 */
MP_API mp_process *mp_current_process(void);

/**
 * Who started this process. Name, pid, is_alive and join work; its pid is the
 * logical parent's, not that of the fork server.
 * @return borrowed; NULL in the main process.
 * @threads safe. @fork the child's own.
 */
MP_API mp_process *mp_parent_process(void);

/**
 * The children that are alive, in the order of their start; those that have
 * ended are reaped.
 * @param[out] out    room for @p capacity; borrowed pointers.
 * @param[out] count  how many there are, perhaps more than capacity.
 * @return MP_OK
 * @return MP_EINVAL  there is nowhere to put them.
 * @threads safe. @fork the child's own: none at first.
 */
MP_API mp_error mp_active_children(mp_process **out, size_t capacity,
                                   size_t *count);

/**
 * Processors this process may use, at least 1.
 * @threads safe. @fork safe.
 */
MP_API unsigned mp_cpu_count(void);

/**
 * Ends this process with an exit code from anywhere in it, in good order:
 * finalizers, daemons terminated, other children awaited. Python's sys.exit()
 * in a target.
 * @param code  modulo 256 on POSIX.
 * @threads one of them; the others end with the process. @fork ends the child
 *          only.
 */
MP_API MP_NORETURN void mp_exit(int code);

MP_END_DECLS

/** @} */

#endif
