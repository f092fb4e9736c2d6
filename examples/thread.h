/* SPDX-License-Identifier: MIT */
/* A thread on every system, since C11's own are not on every system. */
#ifndef THREAD_H
#define THREAD_H

typedef struct thread thread;

/** Calls function(argument) in a new thread; NULL if there can't be one. */
thread *thread_start(void (*function)(void *argument), void *argument);
/** Waits for its end and frees it. */
void thread_join(thread *started);

#endif
