/* SPDX-License-Identifier: MIT */
/* multiproc: Python's multiprocessing, native. Everything in one include. */
#ifndef MULTIPROC_H
#define MULTIPROC_H

#include <multiproc/args.h>
#include <multiproc/atomic.h>
#include <multiproc/barrier.h>
#include <multiproc/box.h>
#include <multiproc/condition.h>
#include <multiproc/connection.h>
#include <multiproc/context.h>
#include <multiproc/ctype.h>
#include <multiproc/error.h>
#include <multiproc/event.h>
#include <multiproc/export.h>
#include <multiproc/finalizer.h>
#include <multiproc/future.h>
#include <multiproc/listener.h>
#include <multiproc/lock.h>
#include <multiproc/named.h>
#include <multiproc/object.h>
#include <multiproc/pickle.h>
#include <multiproc/pool.h>
#include <multiproc/process.h>
#include <multiproc/queue.h>
#include <multiproc/semaphore.h>
#include <multiproc/shareable_list.h>
#include <multiproc/shared_dict.h>
#include <multiproc/shared_list.h>
#include <multiproc/shared_memory.h>
#include <multiproc/system.h>
#include <multiproc/task.h>
#include <multiproc/value.h>
#include <multiproc/wait.h>

#endif
