/* SPDX-License-Identifier: MIT */
/*
 * Memory in a file of the user's.
 *
 * Whole or not at all: a file is filled as "<path>.multiproc-draft", which its
 * maker shares with nobody, and then gets its name, by the handle: what is
 * renamed is what was filled. The system closes the handle of a maker that is
 * killed, and the next one takes the draft over. That handle keeps others out,
 * and other programs even afterwards, since it may rename; so the file is
 * opened again. A file that is mapped can't be cut short.
 */
#include "os_internal.h"

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define DRAFT_SUFFIX L".multiproc-draft"

enum {
    /* Nanoseconds. A draft is held while it is filled, which some file systems
     * do slowly; a file, as it gets its name, and by virus scanners. */
    DRAFT_PATIENCE = 10,
    FILE_PATIENCE = 1,
};

#define SECOND INT64_C(1000000000)

/* -- Paths ----------------------------------------------------------------- */

typedef struct paths {
    wchar_t *file;
    wchar_t *draft;
} paths;

static void free_paths(paths *all)
{
    free(all->file);
    free(all->draft);
}

static bool begins_with(const wchar_t *text, const wchar_t *beginning)
{
    return wcsncmp(text, beginning, wcslen(beginning)) == 0;
}

/* Front, then path, then end; mpi_malloc'ed. */
static mp_error join(const wchar_t *front, const wchar_t *path,
                     const wchar_t *end, wchar_t **out)
{
    size_t size = wcslen(front) + wcslen(path) + wcslen(end) + 1;
    wchar_t *text = mpi_malloc(size * sizeof(*text));

    if (text == NULL)
        return mpi_no_memory();
    wcscpy(text, front);
    wcscat(text, path);
    wcscat(text, end);
    *out = text;
    return MP_OK;
}

/* mpi_malloc'ed. */
static mp_error make_absolute(const wchar_t *path, wchar_t **out)
{
    DWORD size = GetFullPathNameW(path, 0, NULL, NULL);
    wchar_t *text;
    DWORD length;

    if (size == 0)
        return mpi_win32_fail("can't find the path");
    text = mpi_malloc(size * sizeof(*text));
    if (text == NULL)
        return mpi_no_memory();
    length = GetFullPathNameW(path, size, text, NULL);
    if (length == 0 || length >= size) {
        free(text);
        return mpi_fail(MP_EIO, "the working directory was changed meanwhile");
    }
    *out = text;
    return MP_OK;
}

/* In the form that may have any length. */
static mp_error lengthen(const wchar_t *absolute, paths *out)
{
    const wchar_t *front = L"\\\\?\\";
    mp_error err;

    if (begins_with(absolute, L"\\\\.\\"))
        return mpi_fail(MP_EPROTO, "it is a device");
    if (begins_with(absolute, front)) {
        front = L"";
    } else if (begins_with(absolute, L"\\\\")) {
        front = L"\\\\?\\UNC\\";
        absolute += 2;
    }
    err = join(front, absolute, L"", &out->file);
    if (err == MP_OK)
        err = join(front, absolute, DRAFT_SUFFIX, &out->draft);
    return err;
}

/* MP_EPROTO: a device's. The caller frees what is there, on failure too. */
static mp_error find_paths(const char *path, paths *out)
{
    wchar_t *wide;
    wchar_t *absolute = NULL;
    mp_error err = mpi_win32_wide(path, &wide);

    if (err != MP_OK)
        return err;
    err = make_absolute(wide, &absolute);
    if (err == MP_OK)
        err = lengthen(absolute, out);
    free(absolute);
    free(wide);
    return err;
}

/* -- Opening --------------------------------------------------------------- */

static bool is_folder(const wchar_t *path)
{
    DWORD attributes = GetFileAttributesW(path);

    return attributes != INVALID_FILE_ATTRIBUTES &&
           (attributes & FILE_ATTRIBUTE_DIRECTORY) != 0;
}

static mp_error fail_open(const wchar_t *path)
{
    DWORD code = GetLastError();

    if (is_folder(path))
        return mpi_fail(MP_EPROTO, "it is a folder");
    return mpi_win32_fail_code(code, "can't open the file");
}

static mp_error open_file(const wchar_t *path, DWORD access, HANDLE *file)
{
    int64_t deadline = mpos_now() + FILE_PATIENCE * SECOND;
    HANDLE opened;

    for (;;) {
        opened = CreateFileW(path, access, MPI_WIN32_SHARED, NULL,
                             OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
        if (opened != INVALID_HANDLE_VALUE)
            break;
        if (GetLastError() != ERROR_SHARING_VIOLATION || mpos_now() > deadline)
            return fail_open(path);
        Sleep(1);
    }
    if (GetFileType(opened) != FILE_TYPE_DISK) {
        CloseHandle(opened);
        return mpi_fail(MP_EPROTO, "it is no file, but a device");
    }
    *file = opened;
    return MP_OK;
}

mp_error mpos_file_open(const char *path, bool is_read_only,
                        mpos_handle *handle, bool *is_alone)
{
    DWORD access = GENERIC_READ | (is_read_only ? 0 : GENERIC_WRITE);
    paths all = {NULL};
    HANDLE file = NULL;
    mp_error err = find_paths(path, &all);

    if (err == MP_OK)
        err = open_file(all.file, access, &file);
    if (err == MP_OK && !is_read_only) {
        err = mpi_win32_file_fill_holes(file);
        if (err != MP_OK)
            CloseHandle(file);
    }
    free_paths(&all);
    if (err != MP_OK)
        return mpi_context(err, "%s", path);
    *handle = (mpos_handle)file;
    *is_alone = false;
    return MP_OK;
}

/* Nobody is kept out: is_alone is never true. A process is known by its pid and
 * when it was created, which means the same after the system was started
 * again. */
void mpos_file_admit(mpos_handle handle)
{
    (void)handle;
}

/* -- Creating -------------------------------------------------------------- */

static mp_error fail_taken(void)
{
    return mpi_fail(MP_EEXIST, "there is a file already");
}

static bool exists(const wchar_t *path)
{
    return GetFileAttributesW(path) != INVALID_FILE_ATTRIBUTES;
}

/* Empty, and nobody else's. MP_EEXIST: there is the file by now. */
static mp_error take_draft(const paths *all, HANDLE *draft)
{
    int64_t deadline = mpos_now() + DRAFT_PATIENCE * SECOND;

    for (;;) {
        DWORD code;
        HANDLE taken =
            CreateFileW(all->draft, GENERIC_READ | GENERIC_WRITE | DELETE, 0,
                        NULL, CREATE_ALWAYS, FILE_ATTRIBUTE_NORMAL, NULL);

        if (taken != INVALID_HANDLE_VALUE) {
            *draft = taken;
            return MP_OK;
        }
        code = GetLastError();
        if (exists(all->file))
            return fail_taken();
        if (code != ERROR_SHARING_VIOLATION || mpos_now() > deadline)
            return mpi_win32_fail_code(code, "can't create the file's draft");
        Sleep(1);
    }
}

/* MP_EEXIST. */
static mp_error rename_to(HANDLE file, const wchar_t *path)
{
    size_t length = wcslen(path) * sizeof(*path);
    size_t size = sizeof(FILE_RENAME_INFO) + length;
    FILE_RENAME_INFO *wanted = mpi_calloc(1, size);
    mp_error err = MP_OK;

    if (wanted == NULL)
        return mpi_no_memory();
    wanted->FileNameLength = (DWORD)length;
    memcpy(wanted->FileName, path, length);
    if (!SetFileInformationByHandle(file, FileRenameInfo, wanted, (DWORD)size))
        err =
            exists(path) ? fail_taken() : mpi_win32_fail("can't name the file");
    free(wanted);
    return err;
}

static mp_error fill(HANDLE draft, const wchar_t *path, mpos_bytes image,
                     size_t size)
{
    /* In a folder where all is compressed, it is so from birth. */
    mp_error err = mpi_win32_file_fill_holes(draft);

    if (err == MP_OK)
        err = mpi_win32_file_write(draft, image);
    if (err == MP_OK)
        err = mpi_win32_file_reserve(draft,
                                     size > image.size ? size : image.size);
    if (err == MP_OK)
        err = rename_to(draft, path);
    return err;
}

static void remove_draft(HANDLE draft)
{
    FILE_DISPOSITION_INFO wanted = {.DeleteFile = TRUE};

    SetFileInformationByHandle(draft, FileDispositionInfo, &wanted,
                               sizeof(wanted));
}

/* MP_EEXIST: somebody has replaced it since. */
static mp_error open_made(const wchar_t *path, const uint64_t identity[2],
                          HANDLE *file)
{
    uint64_t found[2];
    mp_error err = open_file(path, GENERIC_READ | GENERIC_WRITE, file);

    if (err == MP_ENOTFOUND)
        return fail_taken();
    if (err != MP_OK)
        return err;
    err = mpos_memory_identity((mpos_handle)*file, found);
    if (err == MP_OK && memcmp(found, identity, sizeof(found)) != 0)
        err = fail_taken();
    if (err != MP_OK)
        CloseHandle(*file);
    return err;
}

static mp_error create(const paths *all, mpos_bytes image, size_t size,
                       HANDLE *file)
{
    uint64_t identity[2];
    HANDLE draft;
    mp_error err = take_draft(all, &draft);

    if (err != MP_OK)
        return err;
    err = mpos_memory_identity((mpos_handle)draft, identity);
    if (err == MP_OK)
        err = fill(draft, all->file, image, size);
    if (err != MP_OK)
        remove_draft(draft);
    CloseHandle(draft);
    return err == MP_OK ? open_made(all->file, identity, file) : err;
}

mp_error mpos_file_create(const char *path, mpos_bytes image, size_t size,
                          unsigned permissions, mpos_handle *handle)
{
    paths all = {NULL};
    HANDLE file = NULL;
    mp_error err = find_paths(path, &all);

    (void)permissions; /* the folder's */
    if (err == MP_EPROTO || (err == MP_OK && exists(all.file)))
        err = fail_taken();
    if (err == MP_OK)
        err = create(&all, image, size, &file);
    free_paths(&all);
    if (err != MP_OK)
        return mpi_context(err, "%s", path);
    *handle = (mpos_handle)file;
    return MP_OK;
}
