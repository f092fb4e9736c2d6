/* SPDX-License-Identifier: MIT */
/*
 * Memory in a file of the user's.
 *
 * Whole or not at all: a file is filled as "<path>.multiproc-draft", which its
 * maker shares with nobody, and then gets its name, by the handle: what is
 * renamed is what was filled. The system closes the handle of a maker that is
 * killed, and the next one takes the draft over. That handle keeps others out,
 * and other programs even afterwards, since it may rename; so the file is
 * opened again.
 *
 * Room is reserved when a file gets its size, unless the file is sparse or
 * compressed. A file that is mapped can't be cut short.
 */
#include "os_internal.h"

#include <winioctl.h>

#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#define DRAFT_SUFFIX L".multiproc-draft"

enum {
    LARGEST_WRITE = 1 << 30,
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

static BOOL control(HANDLE file, DWORD code, void *data, DWORD size)
{
    DWORD unused;

    return DeviceIoControl(file, code, data, size, NULL, 0, &unused, NULL);
}

/* Only such files have holes, or could have them later. */
static mp_error reserve_holes(HANDLE file)
{
    BY_HANDLE_FILE_INFORMATION information;
    FILE_SET_SPARSE_BUFFER sparse = {.SetSparse = FALSE};
    USHORT format = COMPRESSION_FORMAT_NONE;
    DWORD attributes;

    if (!GetFileInformationByHandle(file, &information))
        return mpi_win32_fail("can't look at the file");
    attributes = information.dwFileAttributes;
    if (((attributes & FILE_ATTRIBUTE_COMPRESSED) != 0 &&
         !control(file, FSCTL_SET_COMPRESSION, &format, sizeof(format))) ||
        ((attributes & FILE_ATTRIBUTE_SPARSE_FILE) != 0 &&
         !control(file, FSCTL_SET_SPARSE, &sparse, sizeof(sparse))))
        return mpi_win32_fail("can't fill the holes of the file");
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
        err = reserve_holes(file);
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

static mp_error write_all(HANDLE file, mpos_bytes image)
{
    const unsigned char *place = image.data;
    size_t left = image.size;

    while (left > 0) {
        DWORD part = left < LARGEST_WRITE ? (DWORD)left : LARGEST_WRITE;
        DWORD written = 0;

        if (!WriteFile(file, place, part, &written, NULL))
            return mpi_win32_fail("can't write the file");
        if (written == 0)
            return mpi_fail(MP_ENOSPC, "can't write the file: it is full");
        place += written;
        left -= written;
    }
    return MP_OK;
}

/* The disk is full, or the file system has no files so large. */
static mp_error fail_extend(uint64_t size)
{
    DWORD code = GetLastError();

    if (code == ERROR_INVALID_PARAMETER || code == ERROR_FILE_TOO_LARGE ||
        code == ERROR_NOT_ENOUGH_MEMORY /* Wine */)
        return mpi_fail(MP_ENOSPC, "there is no room for a file of %llu bytes",
                        (unsigned long long)size);
    return mpi_win32_fail_code(code, "can't extend the file");
}

/* The second call makes it so long; only the first is sure to reserve what it
 * needs, but not each file system knows that. */
static mp_error reserve(HANDLE file, uint64_t size)
{
    FILE_ALLOCATION_INFO room = {.AllocationSize.QuadPart = (int64_t)size};
    FILE_END_OF_FILE_INFO end = {.EndOfFile.QuadPart = (int64_t)size};

    if (!SetFileInformationByHandle(file, FileAllocationInfo, &room,
                                    sizeof(room)) &&
        (GetLastError() == ERROR_DISK_FULL ||
         GetLastError() == ERROR_HANDLE_DISK_FULL))
        return mpi_win32_fail("can't reserve room for the file");
    if (!SetFileInformationByHandle(file, FileEndOfFileInfo, &end, sizeof(end)))
        return fail_extend(size);
    return MP_OK;
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
    mp_error err = reserve_holes(draft);

    if (err == MP_OK)
        err = write_all(draft, image);
    if (err == MP_OK)
        err = reserve(draft, size > image.size ? size : image.size);
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
