/* SPDX-License-Identifier: MIT */
/**
 * @defgroup named Things with a name
 * Things with a name, for processes that are not each other's parents: what
 * they have in common. A name is there until it is unlinked, also when all who
 * used it have ended (on Windows it goes with its last user, and is in the
 * system's own namespace Local\, where other programs find a mutex, a semaphore
 * or an event under exactly this name; what such a program made by itself is
 * joined when we would create, and is not found with MP_OPEN_EXISTING).
 *
 * One namespace for all kinds: opening a Semaphore by the name of an Event is
 * an error. Two processes that create the same name at once get the same
 * thing; one that is killed while it creates leaves nothing.
 * @{
 */
#ifndef MULTIPROC_NAMED_H
#define MULTIPROC_NAMED_H

#include <multiproc/object.h>

MP_BEGIN_DECLS

/** The most bytes a name may have; '/', '\' and control characters may not be
 * in it. */
#define MP_NAME_MAX 200

/** What to do about a name that is there, or is not. */
typedef enum mp_open_mode {
    MP_OPEN_OR_CREATE,    /**< whichever is needed */
    MP_OPEN_EXISTING,     /**< MP_ENOTFOUND if there is none */
    MP_CREATE_EXCLUSIVELY /**< MP_EEXIST if there is one */
} mp_open_mode;

/** For what opens by a name. Zero is the default for every field. */
typedef struct mp_open_options {
    mp_open_mode mode; /**< open it, create it, or both */
    /** Of what is created, as chmod() counts them; 0: 0600, this user only.
     * Not used on Windows. */
    unsigned permissions;
} mp_open_options;

/** One name that exists. */
typedef struct mp_named {
    const char *name; /**< in the same block */
    /** "Lock", "RLock", "Semaphore", "Event" ...; "?" if it is another user's,
     * not readable, or damaged. */
    const char *kind;
    /** Who created it; 0: not known. It may have ended long ago. */
    int64_t creator_pid;
    /** Some process has it open. Another user's is not looked into, and always
     * taken to be in use. A child made by fork keeps what its parent had open
     * in use until it ends, also if it was not given it. */
    bool is_in_use;
} mp_named;

/**
 * The names that exist, of every process that may be seen, sorted.
 *
 * @param[out] out  one block, to be given to mp_free(); NULL if there is none.
 * @param[out] count  how many.
 * @return MP_OK, MP_EINVAL, MP_ENOMEM, MP_EMFILE, MP_EACCES, MP_EIO
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_named_list(mp_named **out, size_t *count);

/**
 * Removes a name. Who has the thing open keeps it; the name is free at once.
 * On Windows, where names go with the last user, nothing happens.
 *
 * @return MP_OK
 * @return MP_ENOTFOUND
 * @return MP_EACCES  it is another user's.
 * @return MP_EINVAL  this is no name.
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_named_unlink(const char *name);

/**
 * Removes every name of this user's that nobody has open: what programs that
 * ended, or were killed, left behind.
 *
 * @param[out] removed  how many; may be NULL.
 * @return MP_OK, MP_ENOMEM, MP_EMFILE, MP_EACCES, MP_EIO
 * @threads safe. @fork safe.
 */
MP_API mp_error mp_named_clean(size_t *removed);

MP_END_DECLS

/** @} */

#endif
