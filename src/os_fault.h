/* SPDX-License-Identifier: MIT */
/*
 * Test builds only (MULTIPROC_FAULTS): every fallible function of the seam,
 * and malloc, asks here first whether this call is the one that shall fail.
 * A macro's own name is not expanded again inside it, so the real function is
 * what runs otherwise.
 */
#ifndef MULTIPROC_OS_FAULT_H
#define MULTIPROC_OS_FAULT_H

#include <multiproc/error.h>

#include <stdbool.h>

/* Policy's calls into the seam are counted from 1 on; the n-th one fails with
 * error. n 0: none fails, calls are counted all the same. */
void mpi_fault_arm(long n, mp_error error);
/* Ends it. True if the n-th call was reached; calls as counted, if not NULL;
 * name of the call that failed, or NULL. */
bool mpi_fault_disarm(long *calls, const char **name);
/* MP_OK, or the error this call shall fail with. */
mp_error mpi_fault_hits(const char *name);

#define MPI_FAULTY(function, arguments)                     \
    (mpi_fault_hits(#function) != MP_OK ? mpi_fault_error() \
                                        : function arguments)
/* The error of the call that has just been made to fail. */
mp_error mpi_fault_error(void);

#define mpos_random(...) MPI_FAULTY(mpos_random, (__VA_ARGS__))
#define mpos_start_time(...) MPI_FAULTY(mpos_start_time, (__VA_ARGS__))
#define mpos_working_directory(...) \
    MPI_FAULTY(mpos_working_directory, (__VA_ARGS__))
#define mpos_change_directory(...) \
    MPI_FAULTY(mpos_change_directory, (__VA_ARGS__))
#define mpos_module_of(...) MPI_FAULTY(mpos_module_of, (__VA_ARGS__))
#define mpos_module_find(...) MPI_FAULTY(mpos_module_find, (__VA_ARGS__))
#define mpos_module_load(...) MPI_FAULTY(mpos_module_load, (__VA_ARGS__))
#define mpos_program_path(...) MPI_FAULTY(mpos_program_path, (__VA_ARGS__))
#define mpos_pipe(...) MPI_FAULTY(mpos_pipe, (__VA_ARGS__))
#define mpos_channel(...) MPI_FAULTY(mpos_channel, (__VA_ARGS__))
#define mpos_read(...) MPI_FAULTY(mpos_read, (__VA_ARGS__))
#define mpos_write(...) MPI_FAULTY(mpos_write, (__VA_ARGS__))
#define mpos_duplicate(...) MPI_FAULTY(mpos_duplicate, (__VA_ARGS__))
#define mpos_wait(...) MPI_FAULTY(mpos_wait, (__VA_ARGS__))
#define mpos_send_handles(...) MPI_FAULTY(mpos_send_handles, (__VA_ARGS__))
#define mpos_recv_handles(...) MPI_FAULTY(mpos_recv_handles, (__VA_ARGS__))
#define mpos_listen(...) MPI_FAULTY(mpos_listen, (__VA_ARGS__))
#define mpos_accept(...) MPI_FAULTY(mpos_accept, (__VA_ARGS__))
#define mpos_connect(...) MPI_FAULTY(mpos_connect, (__VA_ARGS__))
#define mpos_peer_of(...) MPI_FAULTY(mpos_peer_of, (__VA_ARGS__))
#define mpos_send_message(...) MPI_FAULTY(mpos_send_message, (__VA_ARGS__))
#define mpos_recv_message(...) MPI_FAULTY(mpos_recv_message, (__VA_ARGS__))
#define mpos_handle_give(...) MPI_FAULTY(mpos_handle_give, (__VA_ARGS__))
#define mpos_memory_create(...) MPI_FAULTY(mpos_memory_create, (__VA_ARGS__))
#define mpos_memory_size(...) MPI_FAULTY(mpos_memory_size, (__VA_ARGS__))
#define mpos_memory_identity(...) \
    MPI_FAULTY(mpos_memory_identity, (__VA_ARGS__))
#define mpos_memory_grow(...) MPI_FAULTY(mpos_memory_grow, (__VA_ARGS__))
#define mpos_memory_map(...) MPI_FAULTY(mpos_memory_map, (__VA_ARGS__))
#define mpos_memory_sync(...) MPI_FAULTY(mpos_memory_sync, (__VA_ARGS__))
#define mpos_named_create(...) MPI_FAULTY(mpos_named_create, (__VA_ARGS__))
#define mpos_named_open(...) MPI_FAULTY(mpos_named_open, (__VA_ARGS__))
#define mpos_named_unlink(...) MPI_FAULTY(mpos_named_unlink, (__VA_ARGS__))
#define mpos_named_list(...) MPI_FAULTY(mpos_named_list, (__VA_ARGS__))
#define mpos_file_create(...) MPI_FAULTY(mpos_file_create, (__VA_ARGS__))
#define mpos_file_open(...) MPI_FAULTY(mpos_file_open, (__VA_ARGS__))
#define mpos_shm_create(...) MPI_FAULTY(mpos_shm_create, (__VA_ARGS__))
#define mpos_shm_open(...) MPI_FAULTY(mpos_shm_open, (__VA_ARGS__))
#define mpos_shm_unlink(...) MPI_FAULTY(mpos_shm_unlink, (__VA_ARGS__))
#define mpos_word_queue(...) MPI_FAULTY(mpos_word_queue, (__VA_ARGS__))
#define mpos_object_open(...) MPI_FAULTY(mpos_object_open, (__VA_ARGS__))
#define mpos_object_wait(...) MPI_FAULTY(mpos_object_wait, (__VA_ARGS__))
#define mpos_object_signal(...) MPI_FAULTY(mpos_object_signal, (__VA_ARGS__))
#define mpos_object_value(...) MPI_FAULTY(mpos_object_value, (__VA_ARGS__))
#define mpos_spawn(...) MPI_FAULTY(mpos_spawn, (__VA_ARGS__))
#define mpos_fork(...) MPI_FAULTY(mpos_fork, (__VA_ARGS__))
#define mpos_attach(...) MPI_FAULTY(mpos_attach, (__VA_ARGS__))
#define mpos_reap(...) MPI_FAULTY(mpos_reap, (__VA_ARGS__))
#define mpos_look(...) MPI_FAULTY(mpos_look, (__VA_ARGS__))
#define mpos_send_signal(...) MPI_FAULTY(mpos_send_signal, (__VA_ARGS__))
#define mpos_thread_start(...) MPI_FAULTY(mpos_thread_start, (__VA_ARGS__))
#define mpos_at_thread_end(...) MPI_FAULTY(mpos_at_thread_end, (__VA_ARGS__))
#define mpos_at_fork(...) MPI_FAULTY(mpos_at_fork, (__VA_ARGS__))

#endif
