/* SPDX-License-Identifier: MIT */
/*
 * The seam: everything multiproc asks of an operating system.
 *
 * src/posix and src/win32 implement this page and nothing else; policy calls
 * nothing of the system's but this page and the C library.
 *
 * Callers promise: pointers are valid, strings are UTF-8 and not NULL unless
 * said, sizes fit, a handle is open and of the kind asked for.
 *
 * Ports promise: an interrupted call is resumed (EINTR never leaks out);
 * on failure outputs are untouched, nothing is leaked, and the thread's
 * sentence (mp_error_message) names the system's own cause; every handle is
 * non-inheritable from birth and above the standard three. Ports translate.
 * They take no decision: what one port decides, the other would decide again.
 *
 * Deadlines are mpos_now() nanoseconds; MPOS_FOREVER waits without limit, a
 * deadline in the past only looks. MP_TIMED_OUT is an outcome, not a failure.
 */
#ifndef MULTIPROC_OS_H
#define MULTIPROC_OS_H

#include <multiproc/error.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * From the port: mpos_mutex with MPOS_MUTEX_INIT (usable without a call),
 * MPI_THREAD_LOCAL, MPI_SELDOM, and the atomics of os_atomic.h.
 */
#include "os_types.h"

/* A descriptor or a HANDLE. */
typedef intptr_t mpos_handle;
#define MPOS_NONE ((mpos_handle)-1)
#define MPOS_FOREVER INT64_MAX

/* -- Facts ----------------------------------------------------------------- */

typedef struct mpos_facts {
    const char *system;      /* "linux", "macos", "freebsd", "windows" ... */
    const char *null_device; /* what fopen() takes to read nothing */
    bool has_fork;           /* mpos_fork and handles over a channel exist */
    bool has_objects;        /* mpos_object_open and the like exist */
    bool has_message_pipes;  /* MPOS_PIPE exists, and mpos_send_message */
    bool memory_grows;       /* mpos_memory_grow exists, for what has no name */
    bool named_grows;        /* and for what has one, or is in a file */
    bool loses_wakes;        /* mpos_word_wake's, with who is killed in there */
    uint32_t exit_code_mask; /* what the system keeps of an exit code */
} mpos_facts;

extern const mpos_facts mpos_system;

/* -- Time and chance ------------------------------------------------------- */

/* Monotonic, counts while the machine is awake; never the wall clock. */
int64_t mpos_now(void);
void mpos_sleep_until(int64_t deadline);
/* Cryptographically strong. */
mp_error mpos_random(void *data, size_t size);

/* -- Who and where we are -------------------------------------------------- */

int64_t mpos_pid(void);
int64_t mpos_parent_pid(void);
uint64_t mpos_thread_id(void);
/* Together with the pid it names one process for ever. MP_ENOTFOUND: gone. */
mp_error mpos_start_time(int64_t pid, uint64_t *ticks);
/* Tells apart the namespaces in which pids mean somebody; 0: there is but one,
 * or it can't be told. */
uint64_t mpos_pid_space(void);
/* Processors this process may run on, at least 1. */
unsigned mpos_cpu_count(void);
/* Of the terminal that stderr is, 80 if that can't be told; 0: it is none. */
unsigned mpos_terminal_columns(void);
/* Removes NAME from the environment. MP_ENOTFOUND if unset; else its value,
 * cut to fit and terminated. */
mp_error mpos_take_variable(const char *name, char *value, size_t size);
/* malloc'ed. */
mp_error mpos_working_directory(char **path);
mp_error mpos_change_directory(const char *path);

/* -- Modules: the program and the shared libraries it has loaded ----------- */

enum { MPOS_BUILD_ID_SIZE = 20 };

typedef struct mpos_module {
    char *path;     /* malloc'ed, absolute; what mpos_module_load takes */
    uintptr_t base; /* addresses base <= a < base + size belong to it */
    size_t size;
    bool is_program; /* the executable itself, not a library */
    /* The linker's build id or the module's UUID, else a hash of its code;
     * zero-padded. Equal for every process that runs the same file. */
    unsigned char build_id[MPOS_BUILD_ID_SIZE];
} mpos_module;

/* MP_ENOTFOUND: no module has code (an executable segment) at address. */
mp_error mpos_module_of(const void *address, mpos_module *module);
/* path NULL: the program. MP_ENOTFOUND: no such module is loaded. */
mp_error mpos_module_find(const char *path, mpos_module *module);
/* Loads a shared library and keeps it for the life of the process. */
mp_error mpos_module_load(const char *path);
/* The path of this program, malloc'ed, also after it was renamed if the
 * system can tell. */
mp_error mpos_program_path(char **path);

/* -- Handles --------------------------------------------------------------- */

typedef struct mpos_bytes {
    const void *data;
    size_t size;
} mpos_bytes;

typedef struct mpos_room {
    void *data;
    size_t size;
} mpos_room;

/* One way. */
mp_error mpos_pipe(mpos_handle *reader, mpos_handle *writer);
/* The most that one packet takes, see mpos_channel(). */
enum { MPOS_PACKET_MAX = 128 * 1024 };

/* Both ways; where has_fork, handles can travel over it too. has_packets NULL:
 * a stream of bytes. Else *has_packets tells whether it is not one: whatever is
 * written by one call, of MPOS_PACKET_MAX bytes at most, is read by one call,
 * and what that has no room for is lost. */
mp_error mpos_channel(mpos_handle *left, mpos_handle *right, bool *has_packets);
/* Blocks for at least one byte, then takes what is there. *got 0: the other
 * end is closed. Usable on any pipe or channel end. */
mp_error mpos_read(mpos_handle handle, void *data, size_t size, size_t *got);
/* Blocks for at least one byte; *written may fall short of the sum of parts.
 * MP_EPIPE: nobody reads. Never raises a signal. At most 4 parts. */
mp_error mpos_write(mpos_handle handle, const mpos_bytes *parts, size_t count,
                    size_t *written);
mp_error mpos_duplicate(mpos_handle handle, mpos_handle *copy);
/* Accepts MPOS_NONE. */
void mpos_close(mpos_handle handle);

typedef enum mpos_wait_kind {
    MPOS_WAIT_READ,     /* a pipe or channel: bytes or end of file */
    MPOS_WAIT_PROCESS,  /* mpos_process.sentinel */
    MPOS_WAIT_LISTENER, /* mpos_listen's: somebody connects */
    MPOS_WAIT_SOCKET,   /* of MPOS_INET and INET6, or a foreign socket */
    MPOS_WAIT_HANDLE,   /* a foreign descriptor (readable) or HANDLE */
} mpos_wait_kind;

typedef struct mpos_wait_item {
    mpos_handle handle;
    mpos_wait_kind kind;
    bool is_ready; /* out */
} mpos_wait_item;

/* Returns when at least one item is ready, having marked all that are; there
 * is no limit on count. MP_TIMED_OUT: none in time; MP_EINVAL: a foreign one is
 * no open handle. */
mp_error mpos_wait(mpos_wait_item *items, size_t count, int64_t deadline);

enum { MPOS_HANDLES_MAX = 250 };

typedef struct mpos_arrivals {
    mpos_handle handles[MPOS_HANDLES_MAX];
    size_t count;
    bool is_cut; /* more were sent than this process had room for */
} mpos_arrivals;

/* As mpos_write, and handles go along with the first byte, up to
 * MPOS_HANDLES_MAX. Over a channel, only where has_fork. */
mp_error mpos_send_handles(mpos_handle channel, const mpos_bytes parts[2],
                           const mpos_handle *handles, size_t count,
                           size_t *written);
/* As mpos_read, into at most 4 parts, and takes what came along with these
 * bytes, which the caller then owns; mpos_read drops it, and so does arrived
 * NULL. Any channel end; only where has_fork. */
mp_error mpos_recv_handles(mpos_handle channel, const mpos_room *parts,
                           size_t count, size_t *got, mpos_arrivals *arrived);

/* -- Sockets --------------------------------------------------------------- */

enum { MPOS_ADDRESS_MAX = 255 };

typedef enum mpos_family {
    MPOS_INET,
    MPOS_INET6,
    MPOS_UNIX, /* a path, or a name without a file */
    MPOS_PIPE, /* Windows' named pipes: messages, without frames */
} mpos_family;

typedef struct mpos_address {
    mpos_family family;
    unsigned port;
    bool is_abstract;
    char name[MPOS_ADDRESS_MAX + 1];
    /* Of a path that was made: what it is on its disk, so that nobody else's is
     * removed. The port's own; zeros: there is none to remove. */
    uint64_t identity[2];
} mpos_address;

/*
 * Who forks holds this; so does whoever makes or closes what a forked child
 * must not keep, while that is in no list. Policy's, see connection.h.
 *
 * mpos_listen and mpos_connect may take long (names are looked up, somebody has
 * to answer), and mpos_listener_close waits for others who use the folder. So
 * they take it themselves, for moments, and never wait while they have it:
 * *listener and *stream are set as soon as there is a handle, for who forks
 * meanwhile to close, and are MPOS_NONE again once it is closed, should they
 * fail. Where there is no fork they may be set at the end.
 */
extern mpos_mutex mpi_connections_mutex;

/*
 * *address: in, where to listen; out, where it is (the numeric host, the port).
 * A path that is a socket nobody listens at is taken over. permissions: of a
 * path or pipe, 0600: the user only.
 * MP_EADDRINUSE, MP_ENOTFOUND, MP_EACCES, MP_EOVERFLOW (too long a path),
 * MP_ENOTSUP (no such family here), MP_EMFILE.
 */
mp_error mpos_listen(mpos_address *address, unsigned backlog,
                     mpos_handle *listener);
/* Never blocks. MP_TIMED_OUT: nobody is there (any more). peer: who connects.
 * MP_EMFILE: it keeps waiting. */
mp_error mpos_accept(mpos_handle listener, const mpos_address *address,
                     mpos_address *peer, mpos_handle *stream);
/* MP_EREFUSED, MP_ENOTFOUND, MP_EACCES, MP_TIMED_OUT, MP_ENOTSUP, MP_EMFILE. */
mp_error mpos_connect(const mpos_address *address, int64_t deadline,
                      mpos_handle *stream);
/* Nobody listens any more; the path is removed if it is still this one and
 * is_owner (a forked child is not). Closes the handle. listener MPOS_NONE: only
 * the path goes, while the listener is still open. Where identity is zeros
 * nothing waits, and the mutex is not taken: its caller may have it. */
void mpos_listener_close(mpos_handle listener, const mpos_address *address,
                         bool is_owner);
typedef struct mpos_peer {
    int64_t pid;       /* 0: not known */
    bool is_same_user; /* or root, administrator */
} mpos_peer;
/* Who is at the other end of MPOS_UNIX, MPOS_PIPE or a channel. MP_ENOTSUP. */
mp_error mpos_peer_of(mpos_handle stream, mpos_peer *peer);

/* Of MPOS_PIPE, only where has_message_pipes: one write is one message, also of
 * no bytes. */
mp_error mpos_send_message(mpos_handle pipe, const void *data, size_t size);
/* Blocks for a message; the first `size` bytes at most. *left: what of it is
 * still to be read, by the next call. MP_EEOF. */
mp_error mpos_recv_message(mpos_handle pipe, void *data, size_t size,
                           size_t *got, size_t *left);

/* -- Handles in another process: only where there is no fork --------------- */

/* A copy of handle in that process, and its number there; MP_ENOTFOUND: it has
 * ended; MP_EACCES. */
mp_error mpos_handle_give(int64_t pid, uint64_t start_time, mpos_handle handle,
                          uint64_t *number);
/* Closes it there. */
void mpos_handle_revoke(int64_t pid, uint64_t start_time, uint64_t number);

/* -- Memory ---------------------------------------------------------------- */

/* Zeroed shared memory without a name, reserved: touching it can't fail later
 * for want of room. limit: what it may grow to, where memory_grows; 0: it keeps
 * its size. MP_ENOSPC or MP_ENOMEM if there is none. */
mp_error mpos_memory_create(size_t size, size_t limit, mpos_handle *handle);
/* At least what it was made with (rounded up to pages); what was reserved
 * since, too. */
mp_error mpos_memory_size(mpos_handle handle, size_t *size);
/* Two handles of the same file have the same, and no other file has it while
 * either is open. Of memory that is no file: zeros, or any such numbers. */
mp_error mpos_memory_identity(mpos_handle handle, uint64_t identity[2]);
/* Only where memory_grows (named_grows): reserves what lies beyond `from`, too,
 * zeroed. Who has mapped up to `to` bytes already may touch them from now on.
 * MP_ENOSPC or MP_ENOMEM: there is no room, or it is beyond the limit. */
mp_error mpos_memory_grow(mpos_handle handle, size_t from, size_t to);
/* Nobody needs what lies between for now, nor touches it: the system has it
 * back, if it can, until mpos_memory_grow. Then there are zeros, or what was
 * there before. */
void mpos_memory_return(mpos_handle handle, size_t from, size_t to);
/* From offset on, a multiple of MPOS_MAP_UNIT. To its end at most, but where
 * memory_grows: beyond it, nothing may be touched yet. */
enum { MPOS_MAP_UNIT = 65536 };
typedef struct mpos_extent {
    uint64_t offset;
    size_t size;
    bool is_read_only;
} mpos_extent;
mp_error mpos_memory_map(mpos_handle handle, const mpos_extent *extent,
                         void **address);
/* Accepts NULL. */
void mpos_memory_unmap(void *address, size_t size);
/* Waits until what is mapped there has reached the disk. Only for files. */
mp_error mpos_memory_sync(mpos_handle handle, void *address, size_t size);

/* -- Memory with a name ---------------------------------------------------- */

enum { MPOS_NAME_MAX = 200 };

/*
 * A name is 1 to MPOS_NAME_MAX bytes of UTF-8 without '/', '\\' and control
 * characters. Whoever holds such memory open is counted as using it, until it
 * closes the last copy of the handle or ends, however it ends.
 *
 * create: begins with a copy of image, and has zeros from there to size; all or
 * nothing, also if this process is killed on the way; reserved. permissions are
 * POSIX's, where they exist. MP_EEXIST; MP_EACCES, MP_ENOSPC, MP_EMFILE.
 */
mp_error mpos_named_create(const char *name, mpos_bytes image, size_t size,
                           unsigned permissions, mpos_handle *handle);
/* MP_ENOTFOUND; MP_EACCES; MP_EPROTO: there is something else of that name. */
mp_error mpos_named_open(const char *name, mpos_handle *handle);
/* The name goes at once, the memory with its last user. Where names go with
 * the last user anyway, nothing happens. only_unused: MP_ESTATE while anybody
 * uses it, MP_EACCES if it is another user's. MP_ENOTFOUND. */
mp_error mpos_named_unlink(const char *name, bool only_unused);
typedef enum mpos_named_use {
    MPOS_NAMED_UNUSED,
    MPOS_NAMED_IN_USE,
    /* Another user's, and not looked into: whoever owns it may cut it short
     * while it is mapped, which would end the process that has mapped it. */
    MPOS_NAMED_FOREIGN,
} mpos_named_use;

/* Calls visit for each name there is, in no order, until it returns an error,
 * which is returned. Also removes what creators that were killed left. */
mp_error mpos_named_list(mp_error (*visit)(void *context, const char *name,
                                           mpos_named_use use),
                         void *context);

/* -- Memory in a file of the user's ---------------------------------------- */

/*
 * The handle is used as that of other memory is. create: as mpos_named_create;
 * of a process that was killed on the way at most one draft is left, beside the
 * file, which the next one takes. MP_ENOTFOUND: no such folder.
 */
mp_error mpos_file_create(const char *path, mpos_bytes image, size_t size,
                          unsigned permissions, mpos_handle *handle);
/*
 * Unless is_read_only, holes are filled, so that touching it can't fail later.
 * is_alone: nobody else uses it (who only reads does not count), and nobody
 * else will have opened it until mpos_file_admit; never true where that can't
 * be known, or is_read_only.
 * MP_ENOTFOUND; MP_EACCES; MP_ENOSPC; MP_EPROTO: it is no ordinary file.
 */
mp_error mpos_file_open(const char *path, bool is_read_only,
                        mpos_handle *handle, bool *is_alone);
void mpos_file_admit(mpos_handle handle);

/* -- Memory that holds nothing of ours: CPython's SharedMemory ------------- */

/* By exactly this name: POSIX shm_open() with a '/' before it, on Windows a
 * section. Zeroed, reserved, this user's only. MP_EEXIST; MP_EINVAL: the system
 * takes no such name. */
mp_error mpos_shm_create(const char *name, size_t size, mpos_handle *handle);
/* MP_ENOTFOUND. */
mp_error mpos_shm_open(const char *name, mpos_handle *handle);
/* Where names go with the last user, nothing happens. MP_ENOTFOUND. */
mp_error mpos_shm_unlink(const char *name);
/* Whether anybody has it open or mapped beside this handle, Python or another
 * handle of this process. True where that can't be known. */
bool mpos_shm_is_used(mpos_handle handle);

/* -- Sleeping until a word changes ----------------------------------------- */

/* In shared memory, 8-byte aligned; all zero at first. */
typedef struct mpos_word {
    mpi_atomic32 value;
    mpi_atomic32 sleepers; /* the port's own, if it needs to know */
} mpos_word;

/*
 * What a port needs beside the address to sleep on a word: one object for all
 * processes, named by key (at most 60 letters, digits and dashes), given back
 * by mpos_close. MPOS_NONE where the address is enough.
 */
mp_error mpos_word_queue(const char *key, mpos_handle *queue);
/*
 * Sleeps while the value is `expected`: until it is woken, until the deadline
 * (false), or for no reason; the caller looks again. Never sleeps if the value
 * has changed since, or changes and is woken meanwhile.
 */
bool mpos_word_wait(mpos_word *word, mpos_handle queue, uint32_t expected,
                    int64_t deadline);
/* Wakes up to count of those that sleep. Async-signal-safe; errno is kept. */
void mpos_word_wake(mpos_word *word, mpos_handle queue, uint32_t count);

/* -- The system's own named objects ---------------------------------------- */

/* Only where has_objects; elsewhere MP_ENOTSUP. */
typedef enum mpos_object_kind {
    MPOS_OBJECT_MUTEX,     /* recursive; of a thread */
    MPOS_OBJECT_SEMAPHORE, /* counts */
    MPOS_OBJECT_EVENT,     /* stays set until it is reset */
} mpos_object_kind;

/* Makes it with this value, or opens the one that is there; by exactly this
 * name, for other programs. MP_ETYPE: the name is another kind's. */
mp_error mpos_object_open(mpos_object_kind kind, const char *name,
                          uint32_t value, uint32_t maximum,
                          mpos_handle *handle);
/* MP_OWNER_DIED: acquired, from an owner that ended. MP_TIMED_OUT. */
mp_error mpos_object_wait(mpos_handle handle, int64_t deadline);
/* A mutex is released (MP_ENOTOWNER), a semaphore raised by count (MP_ESTATE:
 * beyond its maximum), an event set, or reset if count is 0. */
mp_error mpos_object_signal(mpos_object_kind kind, mpos_handle handle,
                            uint32_t count);
/* A semaphore's count, 1 for a set event, without changing it. */
mp_error mpos_object_value(mpos_object_kind kind, mpos_handle handle,
                           uint32_t *value);

/* -- Processes ------------------------------------------------------------- */

typedef struct mpos_process {
    int64_t pid;
    mpos_handle sentinel; /* ready in mpos_wait once the process has ended */
    uint64_t start_time;  /* 0: not known */
    bool is_child;        /* ours to reap; else only to watch and signal */
} mpos_process;

typedef struct mpos_spawn_options {
    /* NULL: the running program itself, found by handle where the system can,
     * with this process's own command line. Else a path, with that path as
     * its only argument. */
    const char *program;
    /* What main() got, for the first case; a system that keeps the command
     * line itself (in full Unicode) uses that instead. */
    char *const *argv;
    /* "NAME=value", added to the environment. */
    const char *variable;
    /* Exactly these are inherited, beside the standard three; the same
     * numbers on the other side. Duplicates are allowed. */
    const mpos_handle *handles;
    size_t handle_count;
    /* The system ends the child when this process ends, however it ends.
     * Where it can't, the child does it itself: see mpos_die_with_parent. */
    bool dies_with_parent;
} mpos_spawn_options;

/* MP_ENOTFOUND, MP_EACCES: no such program, or not executable.
 * MP_EPROCLIM, MP_EMFILE, MP_ENOMEM: no room for one more. */
mp_error mpos_spawn(mpos_process *out, const mpos_spawn_options *options);
/* Only where has_fork. Returns twice, as fork does; in the child *out is
 * untouched and *is_child is true. */
mp_error mpos_fork(mpos_process *out, bool *is_child);
/* A process that is not our child. start_time 0: whoever has the pid now;
 * else MP_ENOTFOUND unless it is that very process. */
mp_error mpos_attach(mpos_process *out, int64_t pid, uint64_t start_time);
/* Waits for the end of a child and collects its exit code as Python counts
 * it: 0..255 (Windows: 32 bits), -N for signal N. A process is reaped once.
 * MP_ENOTFOUND: it has ended, but somebody else collected the code. For one
 * that is no child: MP_ENOTFOUND once it has ended. */
mp_error mpos_reap(mpos_process *process, int64_t deadline, int *code);

/* The exit code of a child that has ended, which stays to be reaped: its number
 * is still its own. MP_PENDING: it has not ended, or is not handed over yet.
 * MP_ENOTFOUND: somebody else collected it. */
mp_error mpos_look(const mpos_process *process, int *code);

typedef enum mpos_signal {
    MPOS_TERMINATE, /* SIGTERM; exit code -15 on every system */
    MPOS_KILL,      /* SIGKILL */
    MPOS_INTERRUPT, /* SIGINT; Ctrl-C where the system has only that */
    MPOS_SUSPEND,
    MPOS_RESUME,
} mpos_signal;

/* Never hits another process that got the same pid. MP_OK if it has ended. */
mp_error mpos_send_signal(mpos_process *process, mpos_signal signal);
/* Forgets the process; accepts one that is all zero or already forgotten. */
void mpos_process_close(mpos_process *process);

/* For a child, early in its life: the system will end it with its parent.
 * MP_ENOTSUP: it can't here; the caller watches the parent in a thread.
 * MP_ENOTFOUND: the parent has gone already. */
mp_error mpos_die_with_parent(int64_t parent_pid);
/* SIGINT (Ctrl-C) is ignored, or is again what it was before. */
void mpos_ignore_interrupts(bool is_ignored);
/* stdin reads nothing from now on; what the parent has read ahead, which a
 * forked child has in its buffer, is dropped. */
void mpos_close_input(void);
/* Ends this process at once: no atexit, no flushing. */
MP_NORETURN void mpos_exit(int code);

/* -- Threads of this process ----------------------------------------------- */

void mpos_mutex_lock(mpos_mutex *mutex);
void mpos_mutex_unlock(mpos_mutex *mutex);
/* In a forked child: forget an owner that does not exist here. */
void mpos_mutex_reset(mpos_mutex *mutex);
/* With a small stack and all signals blocked. out NULL: detached; else it is to
 * be joined, exactly once, by any thread but itself. */
mp_error mpos_thread_start(void (*run)(void *), void *argument,
                           mpos_thread *out);
/* Returns when the thread has ended, and nothing of it is left. */
void mpos_thread_join(mpos_thread thread);

/* run() is called when the calling thread ends, once, unless the process ends
 * with it. */
mp_error mpos_at_thread_end(void (*run)(void));
/* in_child() is called in every child that fork() makes, whoever calls it,
 * before that returns. Nothing happens where there is no fork. */
mp_error mpos_at_fork(void (*in_child)(void));

/* -- Load and unload ------------------------------------------------------- */

/*
 * The port calls this, defined by policy, when the library is loaded: before
 * main(), though perhaps after other constructors.
 */
void mpi_library_loaded(void);
/* Never called; naming it pulls the port's constructor into a static link. */
void mpos_load_hook(void);

/*
 * A test build can make the n-th fallible call fail: os_fault.h replaces each
 * function that returns mp_error by a macro of the same name.
 */
#ifdef MULTIPROC_FAULTS
#include "os_fault.h"
#endif

#endif
