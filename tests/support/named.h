/* SPDX-License-Identifier: MIT */
/* The four kinds that can have a name, and names that nobody else has. */
#ifndef SUPPORT_NAMED_H
#define SUPPORT_NAMED_H

#include "testing.h"

#include "os.h"

#include <multiproc.h>

#include <stdio.h>
#include <string.h>

enum { SUPPORT_NAME_SIZE = MP_NAME_MAX + 2, SUPPORT_PERMITS = 3 };

static inline mp_error support_open_three(mp_semaphore **out, const char *name,
                                          const mp_open_options *options)
{
    return mp_semaphore_open(out, name, SUPPORT_PERMITS, options);
}

#define SUPPORT_OPENER(kind, opener)                                           \
    static inline mp_error support_open_##kind(void **out, const char *name,   \
                                               const mp_open_options *options) \
    {                                                                          \
        mp_##kind *thing = NULL;                                               \
        mp_error err = opener(&thing, name, options);                          \
                                                                               \
        cr_assert_eq(thing == NULL, err != MP_OK);                             \
        if (err == MP_OK)                                                      \
            *out = thing;                                                      \
        return err;                                                            \
    }                                                                          \
    static inline mp_error support_close_##kind(void *thing)                   \
    {                                                                          \
        return mp_##kind##_close(thing);                                       \
    }

SUPPORT_OPENER(lock, mp_lock_open)
SUPPORT_OPENER(rlock, mp_rlock_open)
SUPPORT_OPENER(semaphore, support_open_three)
SUPPORT_OPENER(event, mp_event_open)

typedef struct support_kind {
    const char *name;
    mp_error (*open)(void **out, const char *name,
                     const mp_open_options *options);
    mp_error (*close)(void *thing);
} support_kind;

enum { SUPPORT_KINDS = 4 };

static const support_kind support_kinds[SUPPORT_KINDS] = {
    {"Lock", support_open_lock, support_close_lock},
    {"RLock", support_open_rlock, support_close_rlock},
    {"Semaphore", support_open_semaphore, support_close_semaphore},
    {"Event", support_open_event, support_close_event},
};

static const mp_open_options support_existing = {.mode = MP_OPEN_EXISTING};
static const mp_open_options support_exclusively = {.mode =
                                                        MP_CREATE_EXCLUSIVELY};

/* Where the system has named objects, names go with their last user. */
static inline bool support_names_last(void)
{
    return !mpos_system.has_objects;
}

/* "mp test <pid>-<so many before>". */
static inline const char *support_name(char name[SUPPORT_NAME_SIZE])
{
    static unsigned count;

    snprintf(name, SUPPORT_NAME_SIZE, "mp test %lld-%u", (long long)mp_getpid(),
             count++);
    return name;
}

/* Opens what must open. */
static inline void *support_open(const support_kind *kind, const char *name,
                                 const mp_open_options *options)
{
    void *thing = NULL;
    mp_error err = kind->open(&thing, name, options);

    cr_assert_eq(err, MP_OK, "%s '%s': %s", kind->name, name,
                 mp_error_message());
    cr_assert_not_null(thing);
    return thing;
}

static inline void support_close(const support_kind *kind, void *thing)
{
    cr_assert_eq(kind->close(thing), MP_OK);
}

/* Opening fails like that, with a sentence. */
static inline void support_refuse(const support_kind *kind, const char *name,
                                  const mp_open_options *options,
                                  mp_error expected)
{
    void *thing = NULL;
    mp_error err = kind->open(&thing, name, options);

    cr_assert_eq(err, expected, "%s '%s': %s: %s", kind->name, name,
                 mp_error_name(err), mp_error_message());
    cr_assert_null(thing);
    cr_assert_gt(strlen(mp_error_message()), 8U, "%s", mp_error_message());
}

/* Unlinks it before the last close, if names last: nothing remains. */
static inline void support_end(const support_kind *kind, const char *name,
                               void *thing)
{
    cr_assert_eq(mp_named_unlink(name), MP_OK, "%s", mp_error_message());
    support_close(kind, thing);
    support_refuse(kind, name, &support_existing, MP_ENOTFOUND);
}

#endif
