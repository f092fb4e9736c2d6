/* SPDX-License-Identifier: MIT */
/* multiproc: Python's multiprocessing, native. Everything in one include. */
#ifndef MULTIPROC_H
#define MULTIPROC_H

#include <multiproc/args.h>
#include <multiproc/barrier.h>
#include <multiproc/box.h>
#include <multiproc/condition.h>
#include <multiproc/connection.h>
#include <multiproc/context.h>
#include <multiproc/error.h>
#include <multiproc/event.h>
#include <multiproc/export.h>
#include <multiproc/finalizer.h>
#include <multiproc/lock.h>
#include <multiproc/named.h>
#include <multiproc/object.h>
#include <multiproc/pickle.h>
#include <multiproc/process.h>
#include <multiproc/semaphore.h>
#include <multiproc/system.h>

#endif
