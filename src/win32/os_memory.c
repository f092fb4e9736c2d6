/* SPDX-License-Identifier: MIT */
/*
 * Shared memory: sections backed by the paging file, and files of the user's.
 * The handle of such a file is the file's own: it tells the size and the
 * identity, and is needed to write to the disk. A section is made of it only to
 * map it; the view keeps that as long as it is there.
 *
 * A section keeps its size. One that is to grow is from the beginning as large
 * as it may ever be, which costs addresses only; its pages are committed as
 * they are needed, through any view, for all views and processes.
 */
#include "os_internal.h"

#include <string.h>

enum {
    SECTION_BASIC_CLASS = 0,
    /* Nanoseconds. While the system writes a part of a file by itself, it may
     * refuse to be told to. */
    PATIENCE = 1000000000,
};

#define STATUS_MISSING ((LONG)0xC0000002)    /* STATUS_NOT_IMPLEMENTED */
#define STATUS_WRONG_TYPE ((LONG)0xC0000024) /* STATUS_OBJECT_TYPE_MISMATCH */

/* SECTION_BASIC_INFORMATION, which the SDK has in no header. */
typedef struct section_information {
    void *base;
    ULONG attributes;
    LARGE_INTEGER size;
} section_information;

typedef LONG(NTAPI *query_section)(HANDLE, ULONG, void *, SIZE_T, SIZE_T *);

/* -- Sections -------------------------------------------------------------- */

/* SEC_COMMIT reserves the pages now, or the call fails; SEC_RESERVE does so
 * later. */
static DWORD make_section(const wchar_t *name, uint64_t size, DWORD kind,
                          HANDLE *section)
{
    HANDLE made;
    DWORD code;

    if (size > INT64_MAX) /* which the system takes for less than nothing */
        return ERROR_NOT_ENOUGH_MEMORY;
    made = CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE | kind,
                              (DWORD)(size >> 32), (DWORD)(size & UINT32_MAX),
                              name);
    code = GetLastError();
    if (made == NULL) /* Wine has no more to say of what is too large */
        return code == ERROR_INVALID_PARAMETER ? ERROR_NOT_ENOUGH_MEMORY : code;
    if (name != NULL && code == ERROR_ALREADY_EXISTS) {
        CloseHandle(made);
        return code;
    }
    *section = made;
    return ERROR_SUCCESS;
}

DWORD mpi_win32_create_section(const wchar_t *name, uint64_t size,
                               HANDLE *section)
{
    return make_section(name, size, SEC_COMMIT, section);
}

typedef struct section_facts {
    uint64_t size;
    bool is_reserved; /* and its pages committed only as they are needed */
} section_facts;

/*
 * A view would tell the size by documented means, but needs as much room in the
 * address space, which what is there already may have taken. Whether the answer
 * is rounded up to pages is not documented either; pages it has.
 */
static LONG look_at_section(HANDLE section, section_facts *facts)
{
    query_section query = (query_section)mpi_win32_native("NtQuerySection");
    section_information information = {.base = NULL};
    SYSTEM_INFO system;
    uint64_t page;
    LONG status = STATUS_MISSING;

    if (query != NULL)
        status = query(section, SECTION_BASIC_CLASS, &information,
                       sizeof(information), NULL);
    if (status < 0)
        return status;
    GetSystemInfo(&system);
    page = system.dwPageSize;
    facts->size =
        ((uint64_t)information.size.QuadPart + page - 1) / page * page;
    facts->is_reserved = (information.attributes & SEC_RESERVE) != 0;
    return status;
}

static mp_error measure_section(HANDLE section, section_facts *facts)
{
    LONG status = look_at_section(section, facts);

    if (status < 0)
        return mpi_fail(MP_EIO, "can't measure shared memory: status 0x%lx",
                        (unsigned long)status);
    return MP_OK;
}

mp_error mpi_win32_section_size(HANDLE section, uint64_t *size)
{
    section_facts facts;
    mp_error err = measure_section(section, &facts);

    if (err == MP_OK)
        *size = facts.size;
    return err;
}

/* GetFileType() would say so of a section, too, under Wine. */
static bool is_file(mpos_handle handle)
{
    section_facts facts;

    return look_at_section((HANDLE)handle, &facts) == STATUS_WRONG_TYPE;
}

/* -- Sections that grow ---------------------------------------------------- */

/* Wine forgets what is committed up to the very end of a view: each such
 * section has one unit more than it may grow to, and each view here, too. */
static mp_error commit(HANDLE section, uint64_t from, uint64_t to)
{
    uint64_t begin = from / MPOS_MAP_UNIT * MPOS_MAP_UNIT;
    size_t size = (size_t)(to - begin) + MPOS_MAP_UNIT;
    char *view =
        MapViewOfFile(section, FILE_MAP_READ | FILE_MAP_WRITE,
                      (DWORD)(begin >> 32), (DWORD)(begin & UINT32_MAX), size);
    mp_error err = MP_OK;

    if (view == NULL)
        return mpi_win32_fail("can't map shared memory to reserve it");
    if (VirtualAlloc(view + (from - begin), (size_t)(to - from), MEM_COMMIT,
                     PAGE_READWRITE) == NULL)
        err = mpi_win32_fail("can't reserve shared memory");
    UnmapViewOfFile(view);
    return err;
}

/* Where the last page ends that may be touched. */
static size_t committed_in(const char *view, size_t whole)
{
    MEMORY_BASIC_INFORMATION region;
    size_t place = 0, end = 0;

    while (place < whole &&
           VirtualQuery(view + place, &region, sizeof(region)) != 0) {
        place = (size_t)((char *)region.BaseAddress - view) + region.RegionSize;
        if (region.State == MEM_COMMIT)
            end = place;
    }
    return end < whole ? end : whole;
}

static mp_error committed_size(HANDLE section, uint64_t whole, uint64_t *size)
{
    char *view = MapViewOfFile(section, FILE_MAP_READ, 0, 0, 0);

    if (view == NULL)
        return mpi_win32_fail("can't map shared memory to measure it");
    *size = committed_in(view, (size_t)whole);
    UnmapViewOfFile(view);
    return MP_OK;
}

static mp_error create_growing(size_t size, size_t limit, mpos_handle *handle)
{
    uint64_t most = limit;
    HANDLE section;
    DWORD code;
    mp_error err;

    if (most <= INT64_MAX) /* else it is refused */
        most += MPOS_MAP_UNIT;
    code = make_section(NULL, most, SEC_RESERVE, &section);
    if (code != ERROR_SUCCESS)
        return mpi_win32_fail_code(code, "can't create shared memory");
    err = commit(section, 0, size);
    if (err != MP_OK) {
        CloseHandle(section);
        return err;
    }
    *handle = (mpos_handle)section;
    return MP_OK;
}

/* Pages of another program may be reserved only, or forbidden. */
static bool is_touchable(const void *address)
{
    MEMORY_BASIC_INFORMATION region;

    return VirtualQuery(address, &region, sizeof(region)) != 0 &&
           region.State == MEM_COMMIT && (region.Protect & PAGE_NOACCESS) == 0;
}

mp_error mpi_win32_map_end(HANDLE section, DWORD access, void **view,
                           size_t *size)
{
    uint64_t whole, offset;
    size_t length;
    char *mapped;
    mp_error err = mpi_win32_section_size(section, &whole);

    if (err != MP_OK)
        return err;
    if (whole == 0)
        return mpi_fail(MP_EPROTO, "the memory is empty");
    offset = (whole - 1) / MPOS_MAP_UNIT * MPOS_MAP_UNIT;
    length = (size_t)(whole - offset);
    mapped = MapViewOfFile(section, access, (DWORD)(offset >> 32),
                           (DWORD)(offset & UINT32_MAX), length);
    if (mapped == NULL)
        return mpi_win32_fail("can't map the end of shared memory");
    if (!is_touchable(mapped + length - 1)) {
        UnmapViewOfFile(mapped);
        return mpi_fail(MP_EPROTO, "the memory is reserved only");
    }
    *view = mapped;
    *size = length;
    return MP_OK;
}

/* -- Sizes and identities -------------------------------------------------- */

mp_error mpos_memory_create(size_t size, size_t limit, mpos_handle *handle)
{
    HANDLE section;
    DWORD code;

    if (limit > size)
        return create_growing(size, limit, handle);
    code = mpi_win32_create_section(NULL, size, &section);
    if (code != ERROR_SUCCESS)
        return mpi_win32_fail_code(code, "can't create shared memory");
    *handle = (mpos_handle)section;
    return MP_OK;
}

static mp_error size_of_section(HANDLE section, uint64_t *size)
{
    section_facts facts;
    mp_error err = measure_section(section, &facts);

    if (err != MP_OK)
        return err;
    if (facts.is_reserved)
        return committed_size(section, facts.size, size);
    *size = facts.size;
    return MP_OK;
}

mp_error mpos_memory_size(mpos_handle handle, size_t *size)
{
    LARGE_INTEGER file_size;
    uint64_t found = 0;
    mp_error err = MP_OK;

    if (!is_file(handle))
        err = size_of_section((HANDLE)handle, &found);
    else if (GetFileSizeEx((HANDLE)handle, &file_size))
        found = (uint64_t)file_size.QuadPart;
    else
        err = mpi_win32_fail("can't measure the file");
    if (err == MP_OK && (size_t)found != found)
        err = mpi_fail(MP_EOVERFLOW, "the memory has %llu bytes",
                       (unsigned long long)found);
    if (err == MP_OK)
        *size = (size_t)found;
    return err;
}

/* ReFS has numbers of 128 bits. Where one half is 0, as on NTFS, nothing is
 * lost; elsewhere next to nothing. */
static void fold(const FILE_ID_INFO *information, uint64_t identity[2])
{
    uint64_t id[2];

    memcpy(id, &information->FileId, sizeof(id));
    identity[0] = information->VolumeSerialNumber ^ id[1];
    identity[1] = id[0];
}

mp_error mpos_memory_identity(mpos_handle handle, uint64_t identity[2])
{
    BY_HANDLE_FILE_INFORMATION file;
    FILE_ID_INFO information;

    if (!is_file(handle)) {
        identity[0] = identity[1] = 0;
        return MP_OK;
    }
    if (GetFileInformationByHandleEx((HANDLE)handle, FileIdInfo, &information,
                                     sizeof(information))) {
        fold(&information, identity);
        return MP_OK;
    }
    /* A file system that knows short numbers only, or one far away. */
    if (!GetFileInformationByHandle((HANDLE)handle, &file))
        return mpi_win32_fail("can't tell the file's identity");
    identity[0] = file.dwVolumeSerialNumber;
    identity[1] = (uint64_t)file.nFileIndexHigh << 32 | file.nFileIndexLow;
    return MP_OK;
}

mp_error mpos_memory_grow(mpos_handle handle, size_t from, size_t to)
{
    section_facts facts;
    uint64_t spare;

    if (look_at_section((HANDLE)handle, &facts) < 0)
        return mpi_fail(MP_ENOTSUP, "files that are mapped do not grow here");
    spare = facts.is_reserved ? MPOS_MAP_UNIT : 0;
    if (facts.size < spare || to > facts.size - spare)
        return mpi_fail(MP_ENOSPC, "there is no room for %zu bytes", to);
    if (!facts.is_reserved || to <= from)
        return MP_OK;
    return commit((HANDLE)handle, from, to);
}

/* Pages of a section stay committed. */
void mpos_memory_return(mpos_handle handle, size_t from, size_t to)
{
    (void)handle;
    (void)from;
    (void)to;
}

/* -- Mapping --------------------------------------------------------------- */

static void *map_section(HANDLE section, const mpos_extent *extent)
{
    DWORD access = FILE_MAP_READ;

    if (!extent->is_read_only)
        access |= FILE_MAP_WRITE;
    return MapViewOfFile(section, access, (DWORD)(extent->offset >> 32),
                         (DWORD)(extent->offset & UINT32_MAX), extent->size);
}

/* NULL, and GetLastError() tells why. */
static void *map_file(HANDLE file, const mpos_extent *extent)
{
    DWORD protection = extent->is_read_only ? PAGE_READONLY : PAGE_READWRITE;
    HANDLE section = CreateFileMappingW(file, NULL, protection, 0, 0, NULL);
    void *view;
    DWORD code;

    if (section == NULL)
        return NULL;
    view = map_section(section, extent);
    code = GetLastError();
    CloseHandle(section);
    SetLastError(code);
    return view;
}

mp_error mpos_memory_map(mpos_handle handle, const mpos_extent *extent,
                         void **address)
{
    void *view = is_file(handle) ? map_file((HANDLE)handle, extent)
                                 : map_section((HANDLE)handle, extent);

    if (view == NULL)
        return mpi_win32_fail("can't map shared memory");
    *address = view;
    return MP_OK;
}

void mpos_memory_unmap(void *address, size_t size)
{
    (void)size; /* a view goes as a whole */
    if (address != NULL)
        UnmapViewOfFile(address);
}

static mp_error flush_view(const void *address, size_t size)
{
    int64_t deadline = mpos_now() + PATIENCE;

    while (!FlushViewOfFile(address, size)) {
        if (GetLastError() != ERROR_LOCK_VIOLATION || mpos_now() > deadline)
            return mpi_win32_fail("can't write the memory to its file");
        Sleep(1);
    }
    return MP_OK;
}

/* Only who may write may ask for that, though it writes nothing new. */
static mp_error flush_file(HANDLE file)
{
    HANDLE writer;
    mp_error err = MP_OK;

    if (FlushFileBuffers(file))
        return MP_OK;
    if (GetLastError() != ERROR_ACCESS_DENIED)
        return mpi_win32_fail("can't write the file to the disk");
    writer = ReOpenFile(file, GENERIC_WRITE, MPI_WIN32_SHARED, 0);
    if (writer == INVALID_HANDLE_VALUE)
        return mpi_win32_fail("can't write the file to the disk");
    if (!FlushFileBuffers(writer))
        err = mpi_win32_fail("can't write the file to the disk");
    CloseHandle(writer);
    return err;
}

mp_error mpos_memory_sync(mpos_handle handle, void *address, size_t size)
{
    mp_error err;

    if (!is_file(handle))
        return mpi_fail(MP_ENOTSUP, "the memory is in no file");
    err = flush_view(address, size);
    return err == MP_OK ? flush_file((HANDLE)handle) : err;
}
