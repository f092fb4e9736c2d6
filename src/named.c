/* SPDX-License-Identifier: MIT */
/*
 * Things with a name: found, or made, by processes that have nothing else in
 * common; listed, unlinked, cleaned up. What a thing is, share.c knows; how a
 * name is kept, and made all at once, the port.
 *
 * Where the system has named objects of its own, an RLock, a Semaphore and an
 * Event are besides such an object, under exactly the user's name, for other
 * programs. The memory is then only what describes it. Both live until their
 * last user, who closes the object first: a description that is there for a
 * moment longer makes a fresh object, but a new description must never meet an
 * old object.
 *
 * What fails leaves no name that was not there before, unless somebody else
 * has found it meanwhile, to whom it then belongs.
 */
#include <multiproc/named.h>

#include "internal.h"
#include "obj.h"
#include "os.h"
#include "segment.h"
#include "sync.h"

#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/*
 * Each turn of open, create, open ... means that others unlinked the name just
 * before this process opened it and created it again just before this one did.
 * So many in a row are no accident: something has the name that can be neither
 * opened nor replaced.
 */
enum { MOST_TURNS = 1000 };

enum { PERMISSIONS_DEFAULT = 0600, PERMISSIONS_ALL = 0777 };

enum { SENTENCE_SIZE = 512 };

/* -- Names ----------------------------------------------------------------- */

static mp_error check_character(uint32_t code)
{
    if (code == '/' || code == '\\')
        return mpi_fail(MP_EINVAL, "'%c' can't be in a name", (int)code);
    if (code < 0x20 || (code >= 0x7F && code < 0xA0))
        return mpi_fail(MP_EINVAL, "the character U+%04X can't be in a name",
                        (unsigned)code);
    return MP_OK;
}

mp_error mpi_name_check(const char *name)
{
    size_t length, size = name == NULL ? 0 : strlen(name);
    uint8_t flags;

    if (name == NULL)
        return mpi_fail(MP_EINVAL, "the name is NULL");
    if (size == 0)
        return mpi_fail(MP_EINVAL, "the name is empty");
    if (size > MP_NAME_MAX)
        return mpi_fail(MP_EINVAL, "the name has %zu bytes, not at most %d",
                        size, MP_NAME_MAX);
    if (!mpi_text_check(name, size, &length, &flags) ||
        (flags & MPI_STR_SURROGATES) != 0)
        return mpi_fail(MP_EINVAL, "the name is not UTF-8");
    for (const char *at = name; *at != 0;) {
        mp_error err = check_character(mpi_text_next(&at));

        if (err != MP_OK)
            return err;
    }
    if (strspn(name, ".") == size)
        return mpi_fail(MP_EINVAL, "'%s' is no name: dots only", name);
    return MP_OK;
}

/* -- Opening and creating -------------------------------------------------- */

/* What mpi_sync_find() was asked for. */
typedef struct request {
    const mpi_open_request *what;
    const char *name;
    mp_open_mode mode;
    unsigned permissions;
    mpi_share_plan plan;
} request;

/* A file's path may be anything that the system takes. */
static mp_error check_path(const char *path)
{
    size_t length;
    uint8_t flags;

    if (path == NULL)
        return mpi_fail(MP_EINVAL, "the path is NULL");
    if (*path == '\0')
        return mpi_fail(MP_EINVAL, "the path is empty");
    if (!mpi_text_check(path, strlen(path), &length, &flags))
        return mpi_fail(MP_EINVAL, "the path is not UTF-8");
    return MP_OK;
}

static mp_error check_options(const mp_open_options *options, request *asked)
{
    if (options == NULL)
        return MP_OK;
    if ((int)options->mode < MP_OPEN_OR_CREATE ||
        (int)options->mode > MP_CREATE_EXCLUSIVELY)
        return mpi_fail(MP_EINVAL, "%d is no mp_open_mode", (int)options->mode);
    if (options->permissions > PERMISSIONS_ALL)
        return mpi_fail(MP_EINVAL, "0%o are no permissions",
                        options->permissions);
    asked->mode = options->mode;
    if (options->permissions != 0)
        asked->permissions = options->permissions;
    return MP_OK;
}

static mp_error check_request(const mpi_sync_type *type,
                              const mpi_open_request *what, request *asked)
{
    mp_error err =
        what->is_path ? check_path(what->name) : mpi_name_check(what->name);

    *asked = (request){
        .what = what,
        .name = what->name,
        .mode = MP_OPEN_OR_CREATE,
        .permissions = PERMISSIONS_DEFAULT,
        .plan = what->plan,
    };
    asked->plan.kind = type->kind;
    asked->plan.name = what->name;
    asked->plan.storage = what->is_path ? MPI_STORAGE_FILE : MPI_STORAGE_NAMED;
    if (err == MP_OK)
        err = check_options(what->options, asked);
    if (err == MP_OK && what->is_read_only) {
        if (asked->mode == MP_CREATE_EXCLUSIVELY)
            return mpi_fail(MP_EINVAL, "what is created is not only read");
        asked->mode = MP_OPEN_EXISTING;
    }
    return err;
}

/* What a name was found to be. */
typedef struct found {
    mpos_handle handle;
    mpi_share_access access;
    bool is_new;
} found;

/* MP_EEXIST: there is one. */
static mp_error create(const request *asked, found *it)
{
    mpi_share_image image;
    mp_error err = mpi_share_make_image(&asked->plan, &image);

    if (err == MP_OK) {
        err = asked->what->is_path
                  ? mpos_file_create(asked->name, image.bytes, image.size,
                                     asked->permissions, &it->handle)
                  : mpos_named_create(asked->name, image.bytes, image.size,
                                      asked->permissions, &it->handle);
        free((void *)(uintptr_t)image.bytes.data);
    }
    it->access = MPI_SHARE_USE;
    it->is_new = err == MP_OK;
    if (err != MP_OK && err != MP_EEXIST)
        return mpi_context(err, "can't create '%s'", asked->name);
    return err;
}

static mp_error find(const request *asked, found *it)
{
    bool is_read_only = asked->what->is_read_only;
    bool is_alone = false;
    mp_error err =
        asked->what->is_path
            ? mpos_file_open(asked->name, is_read_only, &it->handle, &is_alone)
            : mpos_named_open(asked->name, &it->handle);

    it->is_new = false;
    it->access = is_read_only ? MPI_SHARE_READ
                 : is_alone   ? MPI_SHARE_ALONE
                              : MPI_SHARE_USE;
    if (err == MP_ENOTFOUND)
        return mpi_fail(err, "there is nothing named '%s'", asked->name);
    if (err != MP_OK)
        return mpi_context(err, "can't open '%s'", asked->name);
    return MP_OK;
}

static mp_error find_or_create(const request *asked, found *it)
{
    for (int turn = 0; turn < MOST_TURNS; turn++) {
        mp_error err = find(asked, it);

        if (err != MP_ENOTFOUND)
            return err;
        err = create(asked, it);
        if (err != MP_EEXIST)
            return err;
    }
    return mpi_fail(MP_EEXIST,
                    "'%s' could not be opened, because there is none, nor "
                    "created, because there is one, %d times",
                    asked->name, MOST_TURNS);
}

static mp_error get_memory(const request *asked, found *it)
{
    mp_error err;

    if (asked->mode == MP_OPEN_OR_CREATE)
        return find_or_create(asked, it);
    if (asked->mode == MP_OPEN_EXISTING)
        return find(asked, it);
    err = create(asked, it);
    if (err == MP_EEXIST)
        return mpi_fail(err, "'%s' exists already", asked->name);
    return err;
}

/* After a failure, whose sentence it keeps. A file that is new is the user's to
 * remove, and whole. */
static mp_error take_back(const request *asked, mp_error err)
{
    char sentence[SENTENCE_SIZE];

    snprintf(sentence, sizeof(sentence), "%s", mp_error_message());
    /* Not from somebody who has found it. */
    if (!asked->what->is_path)
        (void)mpos_named_unlink(asked->name, true);
    return mpi_fail(err, "%s", sentence);
}

/* A link to another thing's file, or a copy; or the system takes the two names
 * for one. */
static mp_error check_is_named(const mpi_share *share, const request *asked)
{
    bool is_file = mpi_share_storage(share) == MPI_STORAGE_FILE;

    if (is_file != asked->what->is_path)
        return mpi_fail(MP_EPROTO, "'%s' is not what it was made as",
                        asked->name);
    if (is_file || strcmp(mpi_share_name(share), asked->name) == 0)
        return MP_OK;
    return mpi_fail(MP_EPROTO, "what is found as '%s' is named '%s'",
                    asked->name, mpi_share_name(share));
}

static mp_error open_share(const request *asked, mpi_share *share, bool *is_new)
{
    found it;
    mp_error err = get_memory(asked, &it);

    if (err != MP_OK)
        return err;
    *is_new = it.is_new;
    err = mpi_share_open(share, asked->plan.kind, it.handle, it.access);
    if (err == MP_OK)
        return check_is_named(share, asked);
    if (err == MP_ETYPE) /* which names it already */
        return err;
    return mpi_context(err, "can't open '%s'", asked->name);
}

/* -- The system's own objects ---------------------------------------------- */

static bool is_object(mpi_kind kind, mpos_object_kind *object)
{
    switch (kind) {
    case MPI_RLOCK:
        *object = MPOS_OBJECT_MUTEX;
        return true;
    case MPI_SEMAPHORE:
        *object = MPOS_OBJECT_SEMAPHORE;
        return true;
    case MPI_EVENT:
        *object = MPOS_OBJECT_EVENT;
        return true;
    default:
        return false; /* a Lock is anybody's, which no mutex is */
    }
}

mp_error mpi_sync_open_object(mpi_sync *sync, mpi_kind kind)
{
    const char *name = mpi_share_name(&sync->share);
    uint32_t value = 0, maximum = 0;
    mpos_object_kind object;
    mp_error err;

    if (!mpos_system.has_objects || *name == 0 || !is_object(kind, &object))
        return MP_OK;
    if (kind == MPI_SEMAPHORE)
        mpi_semaphore_describe(sync->share.memory, &value, &maximum);
    err = mpos_object_open(object, name, value, maximum, &sync->object);
    if (err == MP_ETYPE)
        return mpi_fail(err, "'%s' is another program's, and no %s", name,
                        mpi_share_kind_name(kind));
    if (err != MP_OK)
        return mpi_context(err, "can't open '%s'", name);
    return MP_OK;
}

mp_error mpi_sync_find(const mpi_sync_type *type, const mpi_open_request *what,
                       mpi_sync **out)
{
    request asked;
    bool is_new = false;
    mpi_sync *sync;
    mp_error err = check_request(type, what, &asked);

    if (err != MP_OK)
        return err;
    sync = mpi_sync_new(type);
    if (sync == NULL)
        return mpi_no_memory();
    err = open_share(&asked, &sync->share, &is_new);
    if (err == MP_OK && !is_new && what->is_same != NULL &&
        asked.mode != MP_OPEN_EXISTING)
        err = what->is_same(&sync->share, asked.plan.initial);
    if (err == MP_OK)
        err = mpi_sync_open_object(sync, type->kind);
    if (err == MP_OK && what->complete != NULL)
        err = what->complete(sync, what);
    if (err != MP_OK) {
        mpi_sync_unref(type, sync);
        return is_new ? take_back(&asked, err) : err;
    }
    sync->owner = MPI_SYNC_USER;
    *out = sync;
    return MP_OK;
}

mp_error mpi_sync_open(const mpi_sync_type *type, const char *name,
                       const mp_open_options *options, const void *initial,
                       size_t size, mpi_sync **out)
{
    const mpi_open_request what = {
        .name = name,
        .options = options,
        .plan = {.initial = initial, .initial_size = size, .size = size},
    };

    return mpi_sync_find(type, &what, out);
}

/* -- All names ------------------------------------------------------------- */

typedef struct listing {
    struct entry {
        char name[MP_NAME_MAX + 1];
        const char *kind;
        int64_t creator_pid;
        mpos_named_use use;
    } * entries;
    size_t count;
    size_t capacity;
} listing;

static mp_error add_name(void *context, const char *name, mpos_named_use use)
{
    listing *all = context;
    struct entry *entry;

    if (mpi_name_check(name) != MP_OK)
        return MP_OK; /* nobody could open or unlink it */
    if (all->count == all->capacity) {
        size_t capacity = all->capacity == 0 ? 16 : 2 * all->capacity;

        entry = mpi_realloc(all->entries, capacity * sizeof(*entry));
        if (entry == NULL)
            return mpi_no_memory();
        all->entries = entry;
        all->capacity = capacity;
    }
    entry = &all->entries[all->count++];
    *entry = (struct entry){.kind = "?", .use = use};
    memcpy(entry->name, name, strlen(name));
    return MP_OK;
}

static mp_error list_names(listing *all)
{
    mp_error err = mpos_named_list(add_name, all);

    return err == MP_OK ? MP_OK : mpi_context(err, "can't list names");
}

static mp_error look_up(const char *name, mpi_kind *kind, int64_t *creator_pid)
{
    mpos_handle handle;
    mp_error err = mpos_named_open(name, &handle);

    return err == MP_OK ? mpi_share_look(handle, kind, creator_pid) : err;
}

/* What only its kind knows. */
static mp_error look_inside(struct entry *entry, mpi_kind kind)
{
    bool is_used = false;
    mp_error err = MP_OK;

    if (mpi_share_kind_name(kind) != NULL)
        entry->kind = mpi_share_kind_name(kind);
    if (kind == MPI_SHARED_MEMORY)
        err = mpi_segment_look(entry->name, &entry->creator_pid, &is_used);
    if (is_used)
        entry->use = MPOS_NAMED_IN_USE;
    return err;
}

/* MP_ENOTFOUND: the name has gone meanwhile. What can't be read is no failure:
 * of that, there is only the name. */
static mp_error look(struct entry *entry)
{
    mpi_kind kind;
    mp_error err = look_up(entry->name, &kind, &entry->creator_pid);

    if (err == MP_OK)
        err = look_inside(entry, kind);
    switch (err) {
    case MP_OK:
    case MP_EACCES:
    case MP_EPROTO:
    case MP_ETYPE:
    case MP_EVERSION:
        return MP_OK;
    case MP_ENOTFOUND:
        return err;
    default:
        return mpi_context(err, "can't open '%s'", entry->name);
    }
}

/* Drops those that have gone. */
static mp_error look_at_all(listing *all)
{
    size_t kept = 0;

    for (size_t i = 0; i < all->count; i++) {
        mp_error err = MP_OK;

        if (all->entries[i].use != MPOS_NAMED_FOREIGN)
            err = look(&all->entries[i]);
        if (err == MP_ENOTFOUND)
            continue;
        if (err != MP_OK)
            return err;
        all->entries[kept++] = all->entries[i];
    }
    all->count = kept;
    return MP_OK;
}

static int compare(const void *left, const void *right)
{
    const struct entry *first = left, *second = right;

    return strcmp(first->name, second->name);
}

/* The array, and behind it the names. NULL: memory is short. */
static mp_named *pack(const listing *all)
{
    size_t size = 0;
    mp_named *block;
    char *text;

    for (size_t i = 0; i < all->count; i++)
        size += sizeof(*block) + strlen(all->entries[i].name) + 1;
    block = mpi_malloc(size);
    if (block == NULL)
        return NULL;
    text = (char *)(block + all->count);
    for (size_t i = 0; i < all->count; i++) {
        const struct entry *entry = &all->entries[i];

        size = strlen(entry->name) + 1;
        memcpy(text, entry->name, size);
        block[i] = (mp_named){.name = text,
                              .kind = entry->kind,
                              .creator_pid = entry->creator_pid,
                              .is_in_use = entry->use != MPOS_NAMED_UNUSED};
        text += size;
    }
    return block;
}

mp_error mp_named_list(mp_named **out, size_t *count)
{
    listing all = {0};
    mp_named *block = NULL;
    mp_error err;

    if (out == NULL || count == NULL)
        return mpi_fail(MP_EINVAL, "out or count is NULL");
    err = list_names(&all);
    if (err == MP_OK)
        err = look_at_all(&all);
    if (err == MP_OK && all.count > 0) {
        qsort(all.entries, all.count, sizeof(all.entries[0]), compare);
        block = pack(&all);
        if (block == NULL)
            err = mpi_no_memory();
    }
    free(all.entries);
    if (err != MP_OK)
        return err;
    *out = block;
    *count = all.count;
    return MP_OK;
}

/* -- Removing -------------------------------------------------------------- */

/* What is beside a name goes with it: so it takes a look. What can't be read is
 * only a name. */
static mp_error remove_name(const char *name, bool only_unused)
{
    int64_t creator_pid;
    mpi_kind kind;
    mp_error err = look_up(name, &kind, &creator_pid);

    if (err == MP_OK && kind == MPI_SHARED_MEMORY)
        return mpi_segment_remove(name, only_unused);
    if (err == MP_ENOMEM || err == MP_EMFILE || err == MP_EIO)
        return err;
    return mpos_named_unlink(name, only_unused);
}

mp_error mp_named_unlink(const char *name)
{
    mp_error err = mpi_name_check(name);

    if (err != MP_OK)
        return err;
    err = remove_name(name, false);
    if (err == MP_ENOTFOUND)
        return mpi_fail(err, "there is nothing named '%s'", name);
    if (err != MP_OK)
        return mpi_context(err, "can't unlink '%s'", name);
    return MP_OK;
}

/* Whether this removed it. */
static mp_error remove_unused(const char *name, bool *is_removed)
{
    mp_error err = remove_name(name, true);

    *is_removed = err == MP_OK;
    switch (err) {
    case MP_OK:
    case MP_EACCES:    /* another user's */
    case MP_EPROTO:    /* nothing of ours */
    case MP_ESTATE:    /* in use again */
    case MP_ENOTFOUND: /* somebody else was faster */
        return MP_OK;
    default:
        return mpi_context(err, "can't unlink '%s'", name);
    }
}

mp_error mp_named_clean(size_t *removed)
{
    listing all = {0};
    size_t count = 0;
    mp_error err = list_names(&all);

    for (size_t i = 0; i < all.count && err == MP_OK; i++) {
        bool is_removed = false;

        if (all.entries[i].use == MPOS_NAMED_UNUSED)
            err = remove_unused(all.entries[i].name, &is_removed);
        if (is_removed)
            count++;
    }
    free(all.entries);
    if (err != MP_OK)
        return err;
    if (removed != NULL)
        *removed = count;
    return MP_OK;
}
