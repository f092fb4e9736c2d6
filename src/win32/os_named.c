/* SPDX-License-Identifier: MIT */
/*
 * Memory with a name: a section Local\multiproc/name/<name>, which goes
 * with its last handle; so unlinking has nothing to do.
 *
 * The system makes a section empty and at once visible. Therefore all who
 * create or open one hold a mutex, the guard, while they do. That is not quite
 * enough: of a process that is killed, the system first gives up its mutexes
 * and only then closes its handles. So its half-made section may be there for
 * a moment still, and whoever opens it must see that: the last bytes of the
 * last page say that it is complete, and are written last.
 */
#include "os_internal.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

/* The user's names, which are other objects' in Local\, have no slash: none of
 * them is the guard's or a section's. */
#define GUARD L"Local\\multiproc/guard"
#define PREFIX "multiproc/name/"

enum {
    PREFIX_LENGTH = sizeof(PREFIX) - 1,
    /* What is in front of the system's name of an object in Local\. */
    NAMESPACE_LENGTH = 6,
    /* Nanoseconds that a killed process may take to be gone. */
    PATIENCE = 1000000000,
};

#define IS_COMPLETE UINT64_C(0x9d70bb1e636f6d70)

/* -- The guard ------------------------------------------------------------- */

static mp_error take_guard(HANDLE *guard)
{
    HANDLE mutex = CreateMutexExW(NULL, GUARD, 0, SYNCHRONIZE);

    if (mutex == NULL)
        return mpi_win32_fail("can't create the guard of named memory");
    /* WAIT_ABANDONED is as good: see above. */
    if (WaitForSingleObject(mutex, INFINITE) == WAIT_FAILED) {
        mp_error err = mpi_win32_fail("can't wait for the guard");

        CloseHandle(mutex);
        return err;
    }
    *guard = mutex;
    return MP_OK;
}

static void give_guard(HANDLE guard)
{
    ReleaseMutex(guard);
    CloseHandle(guard);
}

/* -- Sections -------------------------------------------------------------- */

/* "Local\multiproc/name/<name>"; mpi_malloc'ed. */
static mp_error section_name(const char *name, wchar_t **out)
{
    char text[NAMESPACE_LENGTH + PREFIX_LENGTH + MPOS_NAME_MAX + 1] =
        "Local\\" PREFIX;
    size_t length = strlen(name);

    if (length == 0 || length > MPOS_NAME_MAX)
        return mpi_fail(MP_EINVAL, "a name has 1 to %d bytes", MPOS_NAME_MAX);
    memcpy(text + NAMESPACE_LENGTH + PREFIX_LENGTH, name, length + 1);
    return mpi_win32_wide(text, out);
}

/* Where a section says that it is complete: its last bytes. However large it
 * is, only its end is mapped. */
static bool is_complete(HANDLE section)
{
    void *view;
    size_t size;
    bool answer;

    if (mpi_win32_map_end(section, FILE_MAP_READ, &view, &size) != MP_OK)
        return false;
    answer = ((const volatile uint64_t *)view)[size / sizeof(uint64_t) - 1] ==
             IS_COMPLETE;
    UnmapViewOfFile(view);
    return answer;
}

static mp_error mark_complete(HANDLE section)
{
    void *view;
    size_t size;
    mp_error err = mpi_win32_map_end(section, FILE_MAP_READ | FILE_MAP_WRITE,
                                     &view, &size);

    if (err != MP_OK)
        return err;
    MemoryBarrier(); /* we may be killed between the image and this */
    ((volatile uint64_t *)view)[size / sizeof(uint64_t) - 1] = IS_COMPLETE;
    UnmapViewOfFile(view);
    return MP_OK;
}

static mp_error fill(HANDLE section, mpos_bytes image)
{
    void *view;

    if (image.size == 0)
        return mark_complete(section);
    view = MapViewOfFile(section, FILE_MAP_READ | FILE_MAP_WRITE, 0, 0,
                         image.size);
    if (view == NULL)
        return mpi_win32_fail("can't map named memory");
    memcpy(view, image.data, image.size);
    UnmapViewOfFile(view);
    return mark_complete(section);
}

static mp_error explain_open(const char *name)
{
    DWORD code = GetLastError();

    if (code == ERROR_FILE_NOT_FOUND)
        return mpi_fail(MP_ENOTFOUND, "there is nothing named \"%s\"", name);
    if (code == ERROR_INVALID_HANDLE)
        return mpi_fail(MP_EPROTO, "\"%s\" is the name of something else",
                        name);
    return mpi_win32_fail_code(code, "can't open named memory");
}

/* Under the guard. */
static mp_error open_section(const char *name, const wchar_t *wide,
                             HANDLE *section)
{
    int64_t deadline = mpos_now() + PATIENCE;

    for (;;) {
        HANDLE found = OpenFileMappingW(MPI_WIN32_SECTION, FALSE, wide);

        if (found == NULL)
            return explain_open(name);
        if (is_complete(found)) {
            *section = found;
            return MP_OK;
        }
        /* Its maker, which held the guard, is dead or dying. */
        CloseHandle(found);
        if (mpos_now() > deadline)
            return mpi_fail(MP_EPROTO, "\"%s\" is another program's memory",
                            name);
        Sleep(1);
    }
}

/* What is to be made: its name, and what is in it. */
typedef struct plan {
    const char *name;
    wchar_t *wide;
    mpos_bytes image;
    size_t size;
} plan;

static mp_error make_section(const plan *wanted, HANDLE *section)
{
    uint64_t size = wanted->size;
    HANDLE made;
    DWORD code;
    mp_error err;

    if (size < wanted->image.size)
        size = wanted->image.size;
    if (size < INT64_MAX) /* what is more is refused in any case */
        size += sizeof(uint64_t);
    code = mpi_win32_create_section(wanted->wide, size, &made);
    if (code != ERROR_SUCCESS) /* who asks for no guard may have made one */
        return mpi_win32_fail_code(code, "can't create named memory");
    err = fill(made, wanted->image);
    if (err != MP_OK) {
        CloseHandle(made);
        return err;
    }
    *section = made;
    return MP_OK;
}

/* Under the guard. */
static mp_error create_section(const plan *wanted, HANDLE *section)
{
    HANDLE other;
    mp_error err = open_section(wanted->name, wanted->wide, &other);

    if (err == MP_ENOTFOUND)
        return make_section(wanted, section);
    if (err == MP_OK)
        CloseHandle(other);
    if (err == MP_OK || err == MP_EPROTO)
        return mpi_fail(MP_EEXIST, "there is something named \"%s\" already",
                        wanted->name);
    return err;
}

mp_error mpos_named_create(const char *name, mpos_bytes image, size_t size,
                           unsigned permissions, mpos_handle *handle)
{
    plan wanted = {.name = name, .image = image, .size = size};
    HANDLE guard;
    HANDLE section = NULL;
    mp_error err = section_name(name, &wanted.wide);

    (void)permissions; /* the process's default security */
    if (err != MP_OK)
        return err;
    err = take_guard(&guard);
    if (err == MP_OK) {
        err = create_section(&wanted, &section);
        give_guard(guard);
    }
    if (err == MP_OK)
        *handle = (mpos_handle)section;
    free(wanted.wide);
    return err;
}

mp_error mpos_named_open(const char *name, mpos_handle *handle)
{
    wchar_t *wide;
    HANDLE guard;
    HANDLE section = NULL;
    mp_error err = section_name(name, &wide);

    if (err != MP_OK)
        return err;
    err = take_guard(&guard);
    if (err == MP_OK) {
        err = open_section(name, wide, &section);
        give_guard(guard);
    }
    if (err == MP_OK)
        *handle = (mpos_handle)section;
    free(wide);
    return err;
}

mp_error mpos_named_unlink(const char *name, bool only_unused)
{
    mpos_handle handle;
    mp_error err = mpos_named_open(name, &handle);

    if (err != MP_OK)
        return err;
    mpos_close(handle);
    /* It is there, so somebody has it. */
    return only_unused ? mpi_fail(MP_ESTATE, "\"%s\" is in use", name) : MP_OK;
}

/* -- Listing --------------------------------------------------------------- */

enum {
    LIST_SIZE = 1 << 20, /* far more than all names of a session need */
    QUERY_DIRECTORY = 1,
    OBJECT_NAME_CLASS = 1,
    PATH_SIZE = 1024,
};

#define STATUS_MISSING ((LONG)0xC0000002) /* STATUS_NOT_IMPLEMENTED */
#define STATUS_NO_MORE ((LONG)0x8000001A) /* STATUS_NO_MORE_ENTRIES */

/* UNICODE_STRING, OBJECT_ATTRIBUTES and OBJECT_DIRECTORY_INFORMATION, which
 * the SDK has in headers that don't agree with windows.h. */
typedef struct native_text {
    USHORT size; /* bytes */
    USHORT capacity;
    wchar_t *text;
} native_text;

typedef struct native_attributes {
    ULONG size;
    HANDLE root;
    native_text *name;
    ULONG flags;
    void *security[2];
} native_attributes;

typedef struct native_entry {
    native_text name;
    native_text type;
} native_entry;

typedef LONG(NTAPI *query_object)(HANDLE, ULONG, void *, ULONG, ULONG *);
typedef LONG(NTAPI *open_directory)(HANDLE *, ACCESS_MASK, native_attributes *);
typedef LONG(NTAPI *query_directory)(HANDLE, void *, ULONG, BOOLEAN, BOOLEAN,
                                     ULONG *, ULONG *);

/* Where we are in the directory, and what was found: names as UTF-8, each with
 * its terminator. */
typedef struct listing {
    HANDLE directory;
    query_directory query;
    ULONG position;
    BOOLEAN is_one_by_one;
    native_entry *entries; /* LIST_SIZE bytes */
    mpi_buffer names;
} listing;

static mp_error fail_to_list(LONG status)
{
    return mpi_fail(MP_EIO, "can't list names: status 0x%lx",
                    (unsigned long)status);
}

static void cut_last_part(native_text *path)
{
    size_t length = path->size / sizeof(wchar_t);

    while (length > 0 && path->text[length - 1] != L'\\')
        length--;
    if (length > 0)
        length--;
    path->size = (USHORT)(length * sizeof(wchar_t));
}

/* Each session, and each app container, has a directory of its own: it is the
 * one that the guard is in. */
static LONG open_directory_of(HANDLE guard, HANDLE *directory)
{
    query_object query = (query_object)mpi_win32_native("NtQueryObject");
    open_directory open =
        (open_directory)mpi_win32_native("NtOpenDirectoryObject");
    union {
        native_text text;
        wchar_t space[PATH_SIZE];
    } path = {.space = L""};
    native_attributes attributes = {.size = sizeof(attributes),
                                    .name = &path.text};
    LONG status;

    if (query == NULL || open == NULL)
        return STATUS_MISSING;
    status = query(guard, OBJECT_NAME_CLASS, &path, sizeof(path), NULL);
    if (status < 0)
        return status;
    cut_last_part(&path.text);
    return open(directory, QUERY_DIRECTORY, &attributes);
}

static bool is_text(const native_text *text, const wchar_t *expected)
{
    size_t size = wcslen(expected) * sizeof(*expected);

    return text->size == size && memcmp(text->text, expected, size) == 0;
}

/* What another program calls "multiproc/name/..." need not be ours. */
static bool is_name(const char *name)
{
    size_t length = strlen(name);

    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)name[i] < ' ' || name[i] == '/' || name[i] == 0x7f)
            return false;
    }
    return length > 0 && length <= MPOS_NAME_MAX;
}

static mp_error add_entry(listing *list, const native_entry *entry)
{
    char *name;
    mp_error err;

    if (!is_text(&entry->type, L"Section") ||
        wcsncmp(entry->name.text, L"" PREFIX, PREFIX_LENGTH) != 0)
        return MP_OK;
    err = mpi_win32_narrow(entry->name.text + PREFIX_LENGTH, &name);
    if (err != MP_OK)
        return err;
    if (is_name(name))
        mpi_buffer_append(&list->names, name, strlen(name) + 1);
    free(name);
    return list->names.has_failed ? mpi_no_memory() : MP_OK;
}

/* All at once, if the system can (Wine 8 can't): what comes and goes meanwhile
 * would shift the positions, and a name be missed. */
static LONG next_entries(listing *list)
{
    const BOOLEAN is_first = list->position == 0;
    LONG status;

    memset(list->entries, 0, sizeof(*list->entries));
    status = list->query(list->directory, list->entries, LIST_SIZE,
                         list->is_one_by_one, is_first, &list->position, NULL);
    if (status != STATUS_MISSING || list->is_one_by_one)
        return status;
    list->is_one_by_one = TRUE;
    return next_entries(list);
}

static mp_error collect(listing *list)
{
    LONG status = next_entries(list);
    mp_error err = MP_OK;

    while (status >= 0 && err == MP_OK) {
        /* After the last entry, where there may be several, comes an empty
         * one. */
        const native_entry *entry = list->entries;

        do {
            err = add_entry(list, entry++);
        } while (err == MP_OK && !list->is_one_by_one &&
                 entry->name.text != NULL);
        if (err == MP_OK)
            status = next_entries(list);
    }
    if (err == MP_OK && status != STATUS_NO_MORE)
        err = fail_to_list(status);
    return err;
}

static mp_error visit_names(const listing *list,
                            mp_error (*visit)(void *context, const char *name,
                                              mpos_named_use use),
                            void *context)
{
    const char *name = (const char *)list->names.data;
    const char *end = name + list->names.size;
    mp_error err = MP_OK;

    for (; name != end && err == MP_OK; name += strlen(name) + 1)
        /* Else it would not be there. */
        err = visit(context, name, MPOS_NAMED_IN_USE);
    return err;
}

mp_error mpos_named_list(mp_error (*visit)(void *context, const char *name,
                                           mpos_named_use use),
                         void *context)
{
    listing list = {
        .query = (query_directory)mpi_win32_native("NtQueryDirectoryObject")};
    HANDLE guard;
    LONG status = STATUS_MISSING;
    mp_error err = take_guard(&guard);

    if (err != MP_OK)
        return err;
    if (list.query != NULL)
        status = open_directory_of(guard, &list.directory);
    if (status < 0)
        err = fail_to_list(status);
    list.entries = mpi_malloc(LIST_SIZE);
    if (err == MP_OK && list.entries == NULL)
        err = mpi_no_memory();
    if (err == MP_OK)
        err = collect(&list);
    give_guard(guard);
    if (err == MP_OK)
        err = visit_names(&list, visit, context);
    if (list.directory != NULL)
        CloseHandle(list.directory);
    free(list.entries);
    mpi_buffer_free(&list.names);
    return err;
}
