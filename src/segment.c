/* SPDX-License-Identifier: MIT */
/*
 * A segment and its companion: how they are created, found and removed
 * together, whoever is killed on the way.
 *
 * Everything that makes or removes a name happens with the companion's lock
 * held, by one that is still the companion of that name: whoever waited for the
 * lock may find that it has been removed meanwhile, and begins again. So
 * between the first look and the last step nothing of ours changes. Python
 * asks for no lock: the segment is compared with what the companion says about
 * it, each time, and is another one if Python has unlinked ours and created it
 * anew.
 *
 * The companion comes first and goes last. Whoever is killed in between leaves
 * a companion without a segment, or one that is not said to be made yet: the
 * next one that creates this name takes it over, mp_named_clean() removes it.
 */
#include "segment.h"

#include "internal.h"

#include <stdio.h>
#include <string.h>

enum {
    MOST_TURNS = 1000,     /* as in named.c */
    MOST_ROUNDING = 65536, /* a system's pages, at most */
    SENTENCE_SIZE = 512,
};

/* In shared memory; changed with the lock held. */
typedef struct companion {
    mpos_word lock;           /* first: see mpi_share_owner_is_alive() */
    mpi_atomic64 creator_pid; /* 0: nobody has had the lock yet */
    uint64_t size;            /* that was asked for */
    uint64_t identity[2];
    mpi_atomic32 is_made; /* the segment is, and this is its identity */
} companion;

static companion *companion_of(const mp_shared_memory *memory)
{
    return memory->sync.share.memory;
}

static bool has_companion(const mp_shared_memory *memory)
{
    return memory->sync.share.arena != NULL;
}

/* -- Names ----------------------------------------------------------------- */

/* In the folder of shared memory these would be our own files. */
static bool is_reserved(const char *name)
{
    static const char *const prefixes[] = {"multiproc.", ".multiproc-"};

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return true;
    return false;
}

mp_error mpi_segment_check_name(const char *name)
{
    mp_error err = mpi_name_check(name);

    if (err == MP_OK && is_reserved(name))
        return mpi_fail(MP_EINVAL, "'%s' is a name of multiproc's own", name);
    return err;
}

/* -- The segment ----------------------------------------------------------- */

typedef struct segment {
    mpos_handle handle;
    size_t size; /* as the system counts */
    uint64_t identity[2];
} segment;

static mp_error measure(segment *it)
{
    mp_error err = mpos_memory_size(it->handle, &it->size);

    return err == MP_OK ? mpos_memory_identity(it->handle, it->identity) : err;
}

/* MP_ENOTFOUND */
static mp_error open_segment(const char *name, segment *it)
{
    mp_error err = mpos_shm_open(name, &it->handle);

    if (err == MP_ENOTFOUND)
        return mpi_fail(err, "there is no shared memory named '%s'", name);
    if (err == MP_OK) {
        err = measure(it);
        if (err != MP_OK)
            mpos_close(it->handle);
    }
    if (err != MP_OK)
        return mpi_context(err, "can't open '%s'", name);
    return MP_OK;
}

static bool is_same(const uint64_t left[2], const uint64_t right[2])
{
    return left[0] == right[0] && left[1] == right[1];
}

/* Whether it is what the companion is about. If its creator was killed before
 * it could say so: it has the size that was wanted, or none yet. */
static bool belongs(const companion *it, const segment *found)
{
    bool fits = it->size != 0 && it->size <= found->size &&
                found->size - it->size < MOST_ROUNDING;

    if (mpi_atomic32_load(&it->is_made) != 0)
        return fits && is_same(it->identity, found->identity);
    return mpi_atomic64_load(&it->creator_pid) != 0 &&
           (fits || found->size == 0);
}

static mp_error map_segment(mp_shared_memory *memory)
{
    const mpos_extent extent = {.size = memory->size};

    return mpos_memory_map(memory->segment, &extent, &memory->data);
}

/* -- The object ------------------------------------------------------------ */

static void begin(mp_shared_memory *memory, const char *name)
{
    memory->segment = MPOS_NONE;
    snprintf(memory->name, sizeof(memory->name), "%s", name);
}

void mpi_segment_close(mp_shared_memory *memory)
{
    mpos_memory_unmap(memory->data, memory->size);
    memory->data = NULL;
    mpos_close(memory->segment);
    memory->segment = MPOS_NONE;
    mpi_share_close(&memory->sync.share);
}

void mpi_segment_unref(mp_shared_memory *memory)
{
    if (mpi_atomic32_add(&memory->sync.references, UINT32_MAX) != 1)
        return;
    mpi_segment_close(memory);
    mpi_lifetime_end(memory);
}

/* -- The companion --------------------------------------------------------- */

/* MP_ENOTFOUND; MP_ETYPE: the name is another kind's. */
static mp_error find_companion(const char *name, mp_open_mode mode,
                               mp_shared_memory **out)
{
    const mp_open_options options = {.mode = mode};
    const companion fresh = {.size = 0};
    mpi_sync *sync;
    mp_error err = mpi_sync_open(&mpi_shared_memory_kind, name, &options,
                                 &fresh, sizeof(fresh), &sync);

    if (err != MP_OK)
        return err;
    begin((mp_shared_memory *)sync, name);
    if (mpi_share_size(&sync->share) < sizeof(companion)) {
        mpi_segment_unref((mp_shared_memory *)sync);
        return mpi_fail(MP_EPROTO, "'%s' is damaged", name);
    }
    *out = (mp_shared_memory *)sync;
    return MP_OK;
}

/* MP_ENOTFOUND: it has lost its name. */
static mp_error check_is_named(const mp_shared_memory *memory)
{
    mp_shared_memory *named;
    bool is_it;
    mp_error err = find_companion(memory->name, MP_OPEN_EXISTING, &named);

    if (err == MP_ETYPE || err == MP_EPROTO || err == MP_EVERSION)
        err = MP_ENOTFOUND;
    if (err != MP_OK)
        return err;
    is_it = named->sync.share.arena == memory->sync.share.arena;
    mpi_segment_unref(named);
    if (is_it)
        return MP_OK;
    return mpi_fail(MP_ENOTFOUND, "'%s' has been unlinked", memory->name);
}

static void unlock(mp_shared_memory *memory)
{
    (void)mpi_word_unlock(&companion_of(memory)->lock, &memory->sync.share);
}

/* MP_ENOTFOUND as above. Of one that has died with the lock nothing is half
 * done that is not looked at in any case. */
static mp_error lock(mp_shared_memory *memory)
{
    mpi_share *share = &memory->sync.share;
    mp_error err = mpi_share_attach(share);

    if (err == MP_OK)
        err = mpi_word_lock(&companion_of(memory)->lock, share, MP_FOREVER);
    if (err != MP_OK && err != MP_OWNER_DIED)
        return err;
    err = check_is_named(memory);
    if (err != MP_OK)
        unlock(memory);
    return err;
}

/* What is said before the segment is made, and after. */
static void announce(companion *it, size_t size)
{
    mpi_atomic32_store(&it->is_made, 0);
    it->size = size;
    mpi_atomic64_store(&it->creator_pid, (uint64_t)mpos_pid());
}

static void declare_made(companion *it, const uint64_t identity[2])
{
    memcpy(it->identity, identity, sizeof(it->identity));
    mpi_atomic32_store(&it->is_made, 1);
}

/* With the lock held; after a failure, whose sentence it keeps. */
static mp_error remove_companion(const char *name, mp_error err)
{
    char sentence[SENTENCE_SIZE];

    snprintf(sentence, sizeof(sentence), "%s", mp_error_message());
    (void)mpos_named_unlink(name, false);
    return mpi_fail(err, "%s", sentence);
}

/* -- Creating -------------------------------------------------------------- */

static mp_error fail_taken(const char *name)
{
    return mpi_fail(MP_EEXIST, "shared memory named '%s' exists already", name);
}

/* Somebody was killed who had just begun to make it: it has no bytes yet, and
 * nobody can have opened it. */
static bool is_remains(const companion *it, const segment *found)
{
    return found->size == 0 && belongs(it, found);
}

/* MP_OK: there is no segment of that name. A companion that is new, or about
 * a segment that is gone, is removed again. */
static mp_error check_is_free(const mp_shared_memory *memory)
{
    const companion *it = companion_of(memory);
    segment found;
    bool is_its = false;
    mp_error err = open_segment(memory->name, &found);

    if (err == MP_ENOTFOUND)
        return MP_OK;
    if (err == MP_OK) {
        is_its = belongs(it, &found);
        mpos_close(found.handle);
        if (is_remains(it, &found) && mpos_shm_unlink(memory->name) == MP_OK)
            return MP_OK;
    } else if (err != MP_EACCES) { /* of which there is nothing to be known */
        is_its = mpi_atomic64_load(&it->creator_pid) != 0;
    }
    if (err == MP_OK || err == MP_EACCES)
        err = fail_taken(memory->name);
    return is_its ? err : remove_companion(memory->name, err);
}

static mp_error make_segment(mp_shared_memory *memory, size_t size)
{
    mp_error err = mpos_shm_create(memory->name, size, &memory->segment);

    if (err == MP_EEXIST)
        return fail_taken(memory->name);
    if (err == MP_OK)
        err = mpos_memory_identity(memory->segment, memory->identity);
    if (err == MP_OK) {
        memory->size = size;
        err = map_segment(memory);
    }
    if (err == MP_OK)
        return MP_OK;
    err = mpi_context(err, "can't create '%s'", memory->name);
    if (memory->segment != MPOS_NONE)
        (void)mpos_shm_unlink(memory->name);
    return err;
}

/* With the lock held. */
static mp_error make_both(mp_shared_memory *memory, size_t size)
{
    companion *it = companion_of(memory);
    mp_error err = check_is_free(memory);

    if (err != MP_OK)
        return err;
    announce(it, size);
    err = make_segment(memory, size);
    if (err != MP_OK)
        return remove_companion(memory->name, err);
    declare_made(it, memory->identity);
    return MP_OK;
}

/* A companion that could not even be locked is removed if nothing belongs to
 * it, as far as that goes. Keeps the sentence. */
static mp_error give_up(mp_shared_memory *memory, mp_error err)
{
    char sentence[SENTENCE_SIZE];

    snprintf(sentence, sizeof(sentence), "%s", mp_error_message());
    if (lock(memory) == MP_OK) {
        if (check_is_free(memory) == MP_OK &&
            mpi_atomic64_load(&companion_of(memory)->creator_pid) == 0)
            (void)mpos_named_unlink(memory->name, false);
        unlock(memory);
    }
    return mpi_fail(err, "%s", sentence);
}

/* MP_PENDING: the companion was removed meanwhile. */
static mp_error create_once(const char *name, size_t size,
                            mp_shared_memory **out)
{
    mp_shared_memory *memory = NULL;
    mp_error err = find_companion(name, MP_OPEN_OR_CREATE, &memory);

    if (err == MP_ETYPE)
        return mpi_context(MP_EEXIST, "can't create SharedMemory");
    if (err != MP_OK)
        return err;
    err = lock(memory);
    if (err == MP_OK) {
        err = make_both(memory, size);
        unlock(memory);
    } else if (err == MP_ENOTFOUND) {
        err = MP_PENDING;
    } else {
        err = give_up(memory, err);
    }
    if (err != MP_OK) {
        mpi_segment_unref(memory);
        return err;
    }
    *out = memory;
    return MP_OK;
}

mp_error mpi_segment_create(const char *name, size_t size,
                            mp_shared_memory **out)
{
    mp_error err = MP_PENDING;

    for (int turn = 0; err == MP_PENDING && turn < MOST_TURNS; turn++)
        err = create_once(name, size, out);
    if (err == MP_PENDING)
        return mpi_fail(MP_EEXIST, "'%s' was unlinked by others %d times", name,
                        MOST_TURNS);
    return err;
}

/* -- Opening --------------------------------------------------------------- */

/* What others have made may have holes: to touch them could find no room. */
static mp_error reserve(const mp_shared_memory *memory)
{
    mp_error err = MP_OK;

    if (mpos_system.named_grows)
        err = mpos_memory_grow(memory->segment, 0, memory->size);
    return err == MP_OK ? MP_OK
                        : mpi_context(err, "can't reserve '%s'", memory->name);
}

/* With the companion's lock held, if there is one. *is_its: the segment is what
 * that is about. MP_PENDING: it is empty and nothing is known of its maker; if
 * that is one of us, a companion has come into being meanwhile. */
static mp_error join(mp_shared_memory *memory, bool *is_its)
{
    companion *it = has_companion(memory) ? companion_of(memory) : NULL;
    segment found;
    mp_error err = open_segment(memory->name, &found);

    *is_its = false;
    if (err != MP_OK)
        return err;
    memory->segment = found.handle;
    memory->size = found.size;
    memcpy(memory->identity, found.identity, sizeof(found.identity));
    if (it != NULL && is_remains(it, &found))
        return mpi_fail(MP_ENOTFOUND,
                        "'%s' was never made: its creator is gone",
                        memory->name);
    if (found.size == 0) {
        err =
            mpi_fail(MP_EPROTO, "'%s' is empty: whoever creates it is not done",
                     memory->name);
        return it == NULL ? MP_PENDING : err;
    }
    *is_its = it != NULL && belongs(it, &found);
    if (*is_its)
        memory->size = (size_t)it->size;
    if (!*is_its || mpi_atomic32_load(&it->is_made) == 0)
        err = reserve(memory);
    if (err == MP_OK)
        err = map_segment(memory);
    if (err == MP_OK && *is_its)
        declare_made(it, memory->identity);
    return err;
}

static mp_error open_with_companion(mp_shared_memory *memory)
{
    bool is_its;
    mp_error err = join(memory, &is_its);

    unlock(memory);
    if (!is_its)
        mpi_share_close(&memory->sync.share);
    return err;
}

static mp_error open_alone(const char *name, mp_shared_memory **out)
{
    mpi_sync *sync = mpi_sync_new(&mpi_shared_memory_kind);
    bool is_its;

    if (sync == NULL)
        return mpi_no_memory();
    sync->owner = MPI_SYNC_USER;
    *out = (mp_shared_memory *)sync;
    begin(*out, name);
    return join(*out, &is_its);
}

/* MP_PENDING as above. */
static mp_error open_once(const char *name, mp_shared_memory **out)
{
    mp_shared_memory *memory = NULL;
    mp_error err = find_companion(name, MP_OPEN_EXISTING, &memory);

    if (err == MP_OK) {
        err = lock(memory);
        if (err == MP_OK) {
            err = open_with_companion(memory);
        } else {
            mpi_segment_unref(memory);
            memory = NULL;
        }
    }
    /* Without one, whatever the reason is; but what is short is short. */
    if (memory == NULL && err != MP_ENOMEM && err != MP_EMFILE)
        err = open_alone(name, &memory);
    if (err != MP_OK) {
        if (memory != NULL)
            mpi_segment_unref(memory);
        return err;
    }
    *out = memory;
    return MP_OK;
}

mp_error mpi_segment_open(const char *name, mp_shared_memory **out)
{
    mp_error err = MP_PENDING;

    for (int turn = 0; err == MP_PENDING && turn < MOST_TURNS; turn++)
        err = open_once(name, out);
    return err == MP_PENDING ? MP_EPROTO : err;
}

/* -- Removing -------------------------------------------------------------- */

/* MP_ENOTFOUND: there is none of that name, or another one. */
static mp_error unlink_segment(const mp_shared_memory *memory)
{
    segment found;
    bool is_it;
    mp_error err = open_segment(memory->name, &found);

    if (err != MP_OK)
        return err;
    is_it = is_same(found.identity, memory->identity);
    mpos_close(found.handle);
    if (!is_it)
        return mpi_fail(MP_ENOTFOUND, "'%s' has been unlinked", memory->name);
    err = mpos_shm_unlink(memory->name);
    if (err == MP_ENOTFOUND)
        return mpi_fail(err, "'%s' has been unlinked", memory->name);
    return err == MP_OK ? MP_OK
                        : mpi_context(err, "can't unlink '%s'", memory->name);
}

mp_error mpi_segment_unlink(mp_shared_memory *memory)
{
    mp_error locked = MP_ENOTFOUND;
    mp_error err;

    if (has_companion(memory))
        locked = lock(memory);
    if (locked != MP_OK && locked != MP_ENOTFOUND)
        return locked;
    err = unlink_segment(memory);
    if (locked != MP_OK)
        return err;
    /* If Python was faster, it is the companion's turn all the same. */
    if ((err == MP_OK || err == MP_ENOTFOUND) &&
        is_same(companion_of(memory)->identity, memory->identity))
        err = err == MP_OK ? mpos_named_unlink(memory->name, false)
                           : remove_companion(memory->name, err);
    unlock(memory);
    return err;
}

/* With the lock held. */
static mp_error remove_both(const mp_shared_memory *memory, bool only_unused)
{
    segment found;
    mp_error err = open_segment(memory->name, &found);

    if (err == MP_OK) {
        if (belongs(companion_of(memory), &found))
            err = only_unused && mpos_shm_is_used(found.handle)
                      ? mpi_fail(MP_ESTATE, "'%s' is in use", memory->name)
                      : mpos_shm_unlink(memory->name);
        mpos_close(found.handle);
    }
    if (err == MP_OK || err == MP_ENOTFOUND)
        err = mpos_named_unlink(memory->name, false);
    return err;
}

mp_error mpi_segment_remove(const char *name, bool only_unused)
{
    mp_shared_memory *memory = NULL;
    mp_error err = find_companion(name, MP_OPEN_EXISTING, &memory);

    if (err != MP_OK)
        return err;
    err = lock(memory);
    if (err == MP_OK) {
        err = remove_both(memory, only_unused);
        unlock(memory);
    }
    mpi_segment_unref(memory);
    return err;
}

static mp_error look_at_segment(const mp_shared_memory *memory, bool *is_used)
{
    segment found;
    mp_error err = open_segment(memory->name, &found);

    if (err == MP_ENOTFOUND)
        return MP_OK;
    if (err != MP_OK)
        return err;
    if (belongs(companion_of(memory), &found) && mpos_shm_is_used(found.handle))
        *is_used = true;
    mpos_close(found.handle);
    return MP_OK;
}

mp_error mpi_segment_look(const char *name, int64_t *creator_pid, bool *is_used)
{
    mp_shared_memory *memory = NULL;
    uint64_t creator;
    mp_error err = find_companion(name, MP_OPEN_EXISTING, &memory);

    if (err == MP_OK) {
        creator = mpi_atomic64_load(&companion_of(memory)->creator_pid);
        if (creator != 0)
            *creator_pid = (int64_t)creator;
        err = look_at_segment(memory, is_used);
        mpi_segment_unref(memory);
    }
    if (err == MP_ENOMEM || err == MP_EMFILE || err == MP_ENOTFOUND)
        return err;
    return MP_OK;
}
