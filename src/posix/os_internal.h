/* SPDX-License-Identifier: MIT */
/*
 * What the files of the POSIX port share with each other.
 *
 * Each block names the file that implements it; where there are several, the
 * build takes the one whose mechanism the system has.
 */
#ifndef MULTIPROC_POSIX_OS_INTERNAL_H
#define MULTIPROC_POSIX_OS_INTERNAL_H

/* The port is what a test makes fail; inside it nothing is replaced. */
#undef MULTIPROC_FAULTS
#include "os.h"

#include "internal.h"

#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

/* -- Failing (os_error.c) -------------------------------------------------- */

/* Sets the sentence "call: what the system says" and returns our code. */
mp_error mpos_fail_errno(const char *call, int error);
/* What a system or a file system says that does not have the call. */
bool mpos_is_unsupported(int error);

/* -- Locks and signals (os_thread.c) --------------------------------------- */

/*
 * Guards what the port itself keeps (watched processes, build ids) and, where
 * a descriptor can't be born close-on-exec, the time until it is. mpos_fork
 * holds it, so that a child finds it free. Held for moments only, and never
 * while calling the dynamic linker, which may be calling our constructor.
 */
extern mpos_mutex mpos_port_mutex;

void mpos_signals_block(sigset_t *before);
void mpos_signals_restore(const sigset_t *before);
/* What this thread's children are to have instead of mask. In our own threads
 * everything is blocked: then it is what the thread has that began them. */
void mpos_signals_for_child(sigset_t *mask);
/* In a forked child, where this is the main thread. */
void mpos_signals_in_child(const sigset_t *before);
/* SIGXFSZ, which a file that may not grow brings upon who writes to it: begin
 * before the call, end after it, with what it failed with (or 0). */
typedef struct mpos_size_signal {
    sigset_t before;
    bool was_pending;
} mpos_size_signal;

void mpos_size_signal_begin(mpos_size_signal *held);
void mpos_size_signal_end(const mpos_size_signal *held, int cause);

/* -- Descriptors (os_handle.c) --------------------------------------------- */

/* Moves a descriptor above the standard three; closes it on failure. */
mp_error mpos_raise_descriptor(int *descriptor);
/* A reader whose other end is closed: what poll() finds ready at once. */
mp_error mpos_ended_descriptor(int *descriptor);

/* -- Close-on-exec (os_cloexec_atomic.c, os_cloexec_locked.c) -------------- */

/* As the system calls of these names, with close-on-exec set on what they
 * make and no SIGPIPE from it. errno tells the cause. */
int mpos_socketpair(int type, int ends[2]);
int mpos_socket(int family, int type);
/* What it makes blocks; the listener must not. */
int mpos_accept_from(int listener, struct sockaddr *peer, socklen_t *size);
ssize_t mpos_recvmsg(int channel, struct msghdr *message);
/* What sendmsg() needs to raise no signal. */
extern const int mpos_send_flags;

/* -- The end of a process (os_sentinel.c) ---------------------------------- */

/* One process that is about to begin. */
typedef struct mpos_birth {
    int sentinel;  /* the parent's, -1 until there is one */
    int inherited; /* what the child must keep open while it lives, or -1 */
} mpos_birth;

#define MPOS_BIRTH_INIT \
    {                   \
        -1, -1          \
    }

mp_error mpos_birth_begin(mpos_birth *birth);
/* In the parent, before anybody can have reaped pid: sentinel is valid. On
 * failure the birth is cancelled; the process is the caller's to end. */
mp_error mpos_birth_finish(mpos_birth *birth, pid_t pid);
/* There is no process after all. */
void mpos_birth_cancel(mpos_birth *birth);
/* In a forked child, with mpos_port_mutex held. */
void mpos_birth_in_child(mpos_birth *birth);
/* In a program that mpos_spawn has started, when the library is loaded. */
void mpos_birth_loaded(void);

/* A child that nobody will hear of: kills and collects it (os_process.c). */
void mpos_end_unborn(pid_t pid);

/* A process that is no child. MP_ENOTFOUND: there is none. */
mp_error mpos_sentinel_attach(int *sentinel, pid_t pid);
/* poll() may say too much or too little of a sentinel that is a mere hint: it
 * is looked at again at least every so many nanoseconds. */
int64_t mpos_sentinel_slice(void);
bool mpos_sentinel_has_ended(int sentinel, bool is_polled);
/* As waitpid(WNOHANG). */
pid_t mpos_sentinel_collect(const mpos_process *process, int *status);
/* As kill(), but only if it still is the same process. */
int mpos_sentinel_kill(const mpos_process *process, int number);
void mpos_sentinel_close(int sentinel);

/* Its value is the number of what mpos_birth_loaded() finds. */
#define MPOS_DEATH_VARIABLE "MULTIPROC_DEATH"

/*
 * One way to tell it (os_sentinel_pidfd.c, _kqueue.c, _pipe.c): what is behind
 * the functions above.
 */
typedef struct mpos_sentinel_mechanism {
    int64_t slice;
    /* MP_ENOTSUP: this system refuses it. Another failure decides nothing. */
    mp_error (*probe)(void);
    mp_error (*begin)(mpos_birth *birth);
    mp_error (*finish)(mpos_birth *birth, pid_t pid);
    void (*cancel)(mpos_birth *birth);
    void (*in_child)(mpos_birth *birth);
    void (*loaded)(void);
    mp_error (*attach)(int *sentinel, pid_t pid);
    bool (*has_ended)(int sentinel, bool is_polled);
    pid_t (*collect)(const mpos_process *process, int *status);
    int (*kill)(const mpos_process *process, int number);
    void (*close)(int sentinel);
} mpos_sentinel_mechanism;

extern const mpos_sentinel_mechanism mpos_sentinel_pidfd;
extern const mpos_sentinel_mechanism mpos_sentinel_kqueue;
extern const mpos_sentinel_mechanism mpos_sentinel_pipe;

/* -- Waiting (os_wait.c) --------------------------------------------------- */

/* For poll(): milliseconds until then, but no more nanoseconds than longest;
 * -1: without limit. Rounded up, lest the last one be spent spinning. */
int mpos_poll_timeout(int64_t deadline, int64_t longest);

/* -- Sockets (os_socket.c, os_socket_inet.c, os_socket_unix.c) ------------- */

/* As mpos_fail_errno, of what is said about addresses. */
mp_error mpos_socket_fail(const char *call, int error);
/* Of this family (AF_*), above the standard three. *place is set, and cleared,
 * with mpi_connections_mutex held: see mpos_connect. */
mp_error mpos_socket_create(int family, mpos_handle *place);
void mpos_socket_discard(mpos_handle *place);
/* 0 or errno. */
int mpos_socket_set_blocking(int handle, bool is_blocking);

/* As mpos_listen and mpos_connect, of one family. The listener still blocks;
 * if there is none, *address is anything. */
mp_error mpos_inet_listen(mpos_address *address, int backlog,
                          mpos_handle *listener);
mp_error mpos_inet_connect(const mpos_address *address, int64_t deadline,
                           mpos_handle *stream);
/* 0 or errno. ECONNREFUSED also if nobody but the socket itself answers. */
int mpos_inet_connect_socket(int stream, const struct sockaddr *to,
                             socklen_t size, int64_t deadline);
/* Small messages are not held back. */
void mpos_inet_hurry(int stream);
/* The numeric host and the port. */
mp_error mpos_inet_describe(const struct sockaddr *place, socklen_t size,
                            mpos_address *address);
mp_error mpos_unix_listen(mpos_address *address, int backlog,
                          mpos_handle *listener);
mp_error mpos_unix_connect(const mpos_address *address, int64_t deadline,
                           mpos_handle *stream);
/* Before the listener is closed: while it lives, its file's number is not
 * given to another one. */
void mpos_unix_remove(const mpos_address *address);

/* -- Shared memory (os_memory_memfd.c, os_memory_shm.c) -------------------- */

/* As mpos_memory_create. MP_ENOTSUP: this system refuses it. */
mp_error mpos_memory_create_memfd(size_t size, mpos_handle *handle);
mp_error mpos_memory_create_shm(size_t size, mpos_handle *handle);
/* For what shm_open() has just made. */
mp_error mpos_memory_reserve_shm(int memory, size_t size);

/* -- Room in files (os_file_room.c) ---------------------------------------- */

/* From `from` to `to`, as mpos_memory_grow: what is there stays. MP_ENOSPC. */
mp_error mpos_file_reserve(int file, size_t from, size_t to);
/* As mpos_memory_return. */
void mpos_file_return(int file, size_t from, size_t to);
/* At its beginning. */
mp_error mpos_file_write(int file, mpos_bytes image);
/* Others may store into it meanwhile, unless is_alone. */
mp_error mpos_file_fill_holes(int file, bool is_alone);

/* -- Files in use (os_file_lock.c) ----------------------------------------- */

/* Somebody else's look at a file lasts some microseconds. */
enum {
    MPOS_FILE_PAUSE = 500 * 1000,
    MPOS_FILE_PATIENCE = 1000 * 1000 * 1000,
};

/* As flock(), but 0 or errno. */
int mpos_file_lock(int file, int operation);
/* 0 or errno; EACCES: somebody keeps us out. Not for ever, or another user
 * could stop all who open, or list. */
int mpos_file_lock_to_use(int file);
/* The lock, too, goes at once, also if a fork has made a copy. */
void mpos_file_let_go(int file);
/* It is still the one of that path, which is not followed. */
bool mpos_file_has_path(int file, const char *path);
/* Opens what is a file. MP_EPROTO: it is none. */
mp_error mpos_file_open_plain(const char *path, int flags, int *file);

/* -- Files that are whole (os_file_whole.c) -------------------------------- */

typedef struct mpos_content {
    mpos_bytes image;
    size_t size; /* zeros follow up to there */
    unsigned permissions;
} mpos_content;

mp_error mpos_file_fill(int file, const mpos_content *content);
/* In use from before it has its name. MP_ENOTSUP: there are no locks. */
mp_error mpos_file_fill_in_use(int file, const mpos_content *content);
bool mpos_file_is_taken(const char *path);
mp_error mpos_file_fail_taken(const char *path);
/* Filled and locked before it gets the path, which is in that folder.
 * MP_EEXIST; MP_ENOTSUP: not on this system or there, or not without /proc. */
mp_error mpos_file_create_nameless(const char *folder, const char *path,
                                   const mpos_content *content, int *file);

/* -- Sleeping until a word changes (os_word.c) ----------------------------- */

/* When the library is loaded. */
void mpos_word_loaded(void);

/* One way to do it (os_word_osync.c, _poll.c); os_word_futex.c is its own. */
typedef struct mpos_word_mechanism {
    /* False: this system does not have it. */
    bool (*probe)(void);
    /* As mpos_word_wait and mpos_word_wake; count is at least 1. */
    bool (*wait)(mpos_word *word, uint32_t expected, int64_t deadline);
    void (*wake)(mpos_word *word, uint32_t count);
} mpos_word_mechanism;

extern const mpos_word_mechanism mpos_word_osync;
extern const mpos_word_mechanism mpos_word_poll;

/* -- Starting a program (os_spawn_vfork.c, os_spawn_apple.c) --------------- */

typedef struct mpos_program {
    const char *path; /* what is executed ... */
    int descriptor;   /* ... unless this is a descriptor of it */
    char *const *arguments;
    char *const *environment;
    const mpos_handle *handles;
    size_t handle_count;
    int inherited;         /* one more to be kept, or -1 */
    bool dies_with_parent; /* if the system can */
} mpos_program;

/* The process exists if it returns MP_OK. */
mp_error mpos_execute(pid_t *pid, const mpos_program *program);

/* -- This system (os_system_linux.c, _freebsd.c, _apple.c) ----------------- */

extern const clockid_t mpos_clock;

/* Where the running program's file is now, as far as the system knows. */
mp_error mpos_system_program(char *path, size_t size);
/* A descriptor of that file, -1 if there can't be one. */
int mpos_system_open_program(const char *path);
/* As execve(), of a descriptor. */
int mpos_system_execute(int descriptor, char *const *arguments,
                        char *const *environment);
/* In a vforked child: as sigaction(), but without a trace in our memory. */
int mpos_system_sigaction(int number, const struct sigaction *action,
                          struct sigaction *before);
/* In a vforked child: makes every descriptor from 3 on close-on-exec. */
void mpos_system_close_on_exec(void);
/* In a vforked child, before mpos_die_with_parent() finishes the job: 0, or
 * errno if it must not go on. */
int mpos_system_die_with_parent(pid_t parent, bool parent_is_main_thread);
bool mpos_system_is_main_thread(void);
/* Of AF_UNIX: whether there are names without a file. */
extern const bool mpos_system_has_abstract;
/* Who is at the other end of an AF_UNIX socket; *pid 0: not known. 0 or
 * errno. */
int mpos_system_peer(int stream, uid_t *user, pid_t *pid);
/* Drops what stdin has read ahead, or what an output stream has not yet
 * written; moves no file offset. */
void mpos_system_purge(FILE *stream);

/* -- The program's file (os_module.c) -------------------------------------- */

/* When the library is loaded: the earlier, the surer the file is found. */
void mpos_program_loaded(void);
/* What to execute to run this program again: the path, of PATH_MAX bytes, or
 * if that leads elsewhere by now the descriptor; it is -1 otherwise. */
mp_error mpos_program_find(char *path, int *descriptor);

/* -- Fork (os_fork.c) ------------------------------------------------------ */

/* This process was forked by mpos_fork in the main thread of its parent. */
bool mpos_fork_was_in_main_thread(void);

/* -- Object formats (os_module_elf.c, os_module_macho.c) ------------------- */

/* One loaded module, as the dynamic linker knows it; valid during the visit. */
typedef struct mpos_image {
    const char *name;
    uintptr_t base;
    size_t size;
    bool is_program;
    bool has_code_at;        /* the address asked for is code of this one */
    const unsigned char *id; /* NULL: none, then hash the code */
    size_t id_size;
    const unsigned char *code;
    size_t code_size;
} mpos_image;

/* Calls visit for each module until it returns true. address may be NULL. */
void mpos_images_visit(const void *address,
                       bool (*visit)(const mpos_image *image, void *context),
                       void *context);

#endif
