/* SPDX-License-Identifier: MIT */
/*
 * Memory in files, and CPython's: what only the Windows port can get wrong.
 * What both can is in unit_os_memory.c.
 *
 * Children are this program: the constructor play_role() sees ROLE in their
 * environment, plays the part, and never returns.
 */
#include "check.h"
#include "system.h"
#include "testing.h"

#include "os.h"

#include <windows.h>
#include <winioctl.h>

#include <stdio.h>
#include <stdlib.h>

#define ROLE "MULTIPROC_TEST_ROLE"
#define DRAFT ".multiproc-draft"
#define SECOND INT64_C(1000000000)
/* "Füße-日本-😀" */
#define UNICODE_NAME    \
    "F\xc3\xbc\xc3\x9f" \
    "e-\xe6\x97\xa5\xe6\x9c\xac-\xf0\x9f\x98\x80"

enum {
    PATH_SIZE = 2048, /* TEXT_SIZE in bytes is more than any path here has */
    ROLE_SIZE = 64 + PATH_SIZE,
    NAME_SIZE = 64,
    IMAGE_SIZE = 5000,
    FILE_SIZE = 300001,
    CREATORS = 6,
    ROUNDS = 20,
};

static unsigned char image_bytes[IMAGE_SIZE];

static mpos_bytes image(void)
{
    memset(image_bytes, 'x', sizeof(image_bytes));
    return (mpos_bytes){image_bytes, sizeof(image_bytes)};
}

static int64_t in_seconds(int seconds)
{
    return mpos_now() + seconds * SECOND;
}

static void wide(const char *text, wchar_t out[PATH_SIZE])
{
    MultiByteToWideChar(CP_UTF8, 0, text, -1, out, PATH_SIZE);
}

/* -- Files ----------------------------------------------------------------- */

static mp_error create_file(const char *path, mpos_handle *file)
{
    return mpos_file_create(path, image(), FILE_SIZE, 0600, file);
}

/* The system's own way. */
static HANDLE open_natively(const char *path, DWORD access, DWORD sharing,
                            DWORD how)
{
    wchar_t wide_path[PATH_SIZE];

    wide(path, wide_path);
    return CreateFileW(wide_path, access, sharing, NULL, how,
                       FILE_ATTRIBUTE_NORMAL, NULL);
}

static DWORD attributes_of(const char *path)
{
    wchar_t wide_path[PATH_SIZE];

    wide(path, wide_path);
    return GetFileAttributesW(wide_path);
}

static bool is_there(const char *path)
{
    return attributes_of(path) != INVALID_FILE_ATTRIBUTES;
}

static bool remove_file(const char *path)
{
    wchar_t wide_path[PATH_SIZE];

    wide(path, wide_path);
    return DeleteFileW(wide_path);
}

static bool draft_is_there(const char *path)
{
    char draft[PATH_SIZE + sizeof(DRAFT)];

    snprintf(draft, sizeof(draft), "%s" DRAFT, path);
    return is_there(draft);
}

static bool is_complete(const unsigned char *bytes)
{
    for (size_t i = 0; i < FILE_SIZE; i++)
        if (bytes[i] != (i < IMAGE_SIZE ? 'x' : 0))
            return false;
    return true;
}

/* MP_EIO: it is not what create_file() makes. */
static mp_error check_file(mpos_handle file)
{
    unsigned char *bytes;
    size_t size = 0;
    mp_error err = mpos_memory_size(file, &size);

    if (err == MP_OK && size != FILE_SIZE)
        return MP_EIO;
    if (err == MP_OK)
        err = mpos_memory_map(file, &(mpos_extent){.size = FILE_SIZE},
                              (void **)&bytes);
    if (err != MP_OK)
        return err;
    if (!is_complete(bytes))
        err = MP_EIO;
    mpos_memory_unmap(bytes, FILE_SIZE);
    return err;
}

static mp_error check_path(const char *path)
{
    mpos_handle file;
    bool is_alone = true;
    mp_error err = mpos_file_open(path, false, &file, &is_alone);

    if (err != MP_OK)
        return err;
    err = is_alone ? MP_EIO : check_file(file);
    mpos_close(file);
    return err;
}

/* Folder and file of a test. */
typedef struct place {
    char folder[SUPPORT_PATH_SIZE];
    char path[SUPPORT_PATH_SIZE];
} place;

static place make_place(void)
{
    place made;

    support_make_folder("multiproc-" UNICODE_NAME "-", made.folder);
    support_join_path(made.folder, "memory-" UNICODE_NAME, made.path);
    return made;
}

/* -- The parts children play ----------------------------------------------- */

/* 0: has made it; 1: another one has; 2: anything else. */
static int create_once(const char *path)
{
    mpos_handle file;
    mp_error err = create_file(path, &file);

    if (err != MP_OK)
        return err == MP_EEXIST ? 1 : 2;
    err = check_file(file);
    mpos_close(file);
    return err == MP_OK ? 0 : 2;
}

static void create_for_ever(const char *path)
{
    for (;;) {
        if (create_once(path) == 2)
            mpos_exit(90);
        remove_file(path);
    }
}

/* Changes what it inherits. */
static void change(const char *number)
{
    mpos_handle memory = (mpos_handle)strtoll(number, NULL, 10);
    unsigned char *bytes;

    if (mpos_memory_map(memory, &(mpos_extent){65536, 10, false},
                        (void **)&bytes) != MP_OK)
        mpos_exit(91);
    bytes[9] = 42;
    mpos_exit(bytes[0]);
}

/* What follows "<part>=". NULL: it is another part. */
static const char *rest_of(const char *role, const char *part)
{
    size_t length = strlen(part);

    return strncmp(role, part, length) == 0 && role[length] == '='
               ? role + length + 1
               : NULL;
}

static void play(const char *role)
{
    const char *rest;

    if ((rest = rest_of(role, "create-once")) != NULL)
        mpos_exit(create_once(rest));
    if ((rest = rest_of(role, "create")) != NULL)
        create_for_ever(rest);
    if ((rest = rest_of(role, "change")) != NULL)
        change(rest);
    mpos_exit(99);
}

SUPPORT_CONSTRUCTOR(play_role)
{
    char role[ROLE_SIZE];

    if (mpos_take_variable(ROLE, role, sizeof(role)) == MP_OK)
        play(role);
}

static mpos_process start(const char *role, const char *rest,
                          const mpos_handle *inherited)
{
    char variable[ROLE_SIZE];
    mpos_process child = {0};
    const mpos_spawn_options options = {
        .variable = variable,
        .handles = inherited,
        .handle_count = inherited == NULL ? 0 : 1,
    };

    snprintf(variable, sizeof(variable), ROLE "=%s=%s", role, rest);
    cr_assert_eq(mpos_spawn(&child, &options), MP_OK, "%s", mp_error_message());
    return child;
}

static int end_of(mpos_process *child)
{
    int code = 12345;

    cr_assert_eq(mpos_reap(child, in_seconds(20), &code), MP_OK, "%s",
                 mp_error_message());
    mpos_process_close(child);
    return code;
}

/* -- Creating a file ------------------------------------------------------- */

Test(os_memory_win32, a_file_is_made_whole_and_found_again)
{
    place test = make_place();
    mpos_handle file, other = 42;

    cr_assert_eq(create_file(test.path, &file), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(check_file(file), MP_OK, "%s", mp_error_message());
    cr_assert_eq(check_path(test.path), MP_OK, "%s", mp_error_message());
    cr_assert_eq(create_file(test.path, &other), MP_EEXIST);
    cr_assert_not_null(strstr(mp_error_message(), test.path));
    cr_assert_eq(other, 42);
    cr_assert_not(draft_is_there(test.path));
    mpos_close(file);
    support_remove_folder(test.folder);
}

Test(os_memory_win32, an_image_larger_than_the_size_is_whole)
{
    place test = make_place();
    mpos_handle file;
    size_t size = 0;

    cr_assert_eq(mpos_file_create(test.path, image(), 1, 0, &file), MP_OK);
    cr_assert_eq(mpos_memory_size(file, &size), MP_OK);
    cr_assert_eq(size, (size_t)IMAGE_SIZE);
    mpos_close(file);
    support_remove_folder(test.folder);
}

/* What Python's open() asks for: no sharing of deletions. */
Test(os_memory_win32, other_programs_may_read_the_file_while_it_is_used)
{
    place test = make_place();
    mpos_handle file;
    HANDLE reader;

    cr_assert_eq(create_file(test.path, &file), MP_OK);
    reader = open_natively(test.path, GENERIC_READ,
                           FILE_SHARE_READ | FILE_SHARE_WRITE, OPEN_EXISTING);
    cr_assert_neq(reader, INVALID_HANDLE_VALUE);
    CloseHandle(reader);
    mpos_close(file);
    support_remove_folder(test.folder);
}

Test(os_memory_win32, a_draft_that_was_left_is_taken_over)
{
    place test = make_place();
    char draft[PATH_SIZE];
    static char garbage[2 * FILE_SIZE];
    mpos_handle file;
    DWORD written;
    HANDLE left;

    snprintf(draft, sizeof(draft), "%s" DRAFT, test.path);
    memset(garbage, 'g', sizeof(garbage));
    left = open_natively(draft, GENERIC_WRITE, 0, CREATE_NEW);
    cr_assert(WriteFile(left, garbage, sizeof(garbage), &written, NULL));
    CloseHandle(left);

    cr_assert_eq(create_file(test.path, &file), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(check_file(file), MP_OK);
    cr_assert_not(draft_is_there(test.path));
    mpos_close(file);
    support_remove_folder(test.folder);
}

static void close_later(void *handle)
{
    mpos_sleep_until(mpos_now() + SECOND / 20);
    CloseHandle(handle);
}

Test(os_memory_win32, a_draft_that_another_one_fills_is_waited_for)
{
    place test = make_place();
    char draft[PATH_SIZE];
    mpos_thread closer;
    mpos_handle file;
    HANDLE held;

    snprintf(draft, sizeof(draft), "%s" DRAFT, test.path);
    held = open_natively(draft, GENERIC_WRITE, 0, CREATE_NEW);
    cr_assert_eq(mpos_thread_start(close_later, held, &closer), MP_OK);
    cr_assert_eq(create_file(test.path, &file), MP_OK, "%s",
                 mp_error_message());
    mpos_thread_join(closer);
    mpos_close(file);
    support_remove_folder(test.folder);
}

static void make_file_later(void *path)
{
    mpos_sleep_until(mpos_now() + SECOND / 20);
    CloseHandle(open_natively(path, GENERIC_WRITE, 0, CREATE_NEW));
}

Test(os_memory_win32, who_waits_for_a_draft_sees_that_the_file_is_there)
{
    place test = make_place();
    char draft[PATH_SIZE];
    mpos_handle file;
    mpos_thread maker;
    HANDLE held;
    int64_t begin = mpos_now();

    snprintf(draft, sizeof(draft), "%s" DRAFT, test.path);
    held = open_natively(draft, GENERIC_WRITE, 0, CREATE_NEW);
    cr_assert_eq(mpos_thread_start(make_file_later, test.path, &maker), MP_OK);
    cr_assert_eq(create_file(test.path, &file), MP_EEXIST);
    cr_assert_lt(mpos_now() - begin, 5 * SECOND);
    CloseHandle(held);
    mpos_thread_join(maker); /* what is open is not removed */
    support_remove_folder(test.folder);
}

Test(os_memory_win32, of_many_that_create_at_once_one_succeeds, .timeout = 60)
{
    place test = make_place();
    mpos_process children[CREATORS];
    size_t rounds = 1 + support_scaled(ROUNDS) / 4;

    for (size_t round = 0; round < rounds; round++) {
        int made = 0;

        for (int i = 0; i < CREATORS; i++)
            children[i] = start("create-once", test.path, NULL);
        for (int i = 0; i < CREATORS; i++) {
            int code = end_of(&children[i]);

            cr_assert_leq(code, 1);
            made += code == 0;
        }
        cr_assert_eq(made, 1);
        cr_assert_eq(check_path(test.path), MP_OK);
        cr_assert_not(draft_is_there(test.path));
        cr_assert(remove_file(test.path));
    }
    support_remove_folder(test.folder);
}

Test(os_memory_win32, a_creator_that_is_killed_leaves_no_half_made_file,
     .timeout = 90)
{
    place test = make_place();
    size_t kills = 5 + support_scaled(ROUNDS);
    size_t seen = 0, drafts = 0;

    for (size_t i = 0; i < kills; i++) {
        mpos_process child = start("create", test.path, NULL);
        mpos_handle file;
        mp_error err;
        int code;

        mpos_sleep_until(mpos_now() + SECOND / 5 +
                         (int64_t)(i % 10) * SECOND / 5000);
        cr_assert_eq(mpos_send_signal(&child, MPOS_KILL), MP_OK);
        code = end_of(&child);
        cr_assert_eq(code, -9, "%d", code);
        drafts += draft_is_there(test.path);
        err = check_path(test.path);
        cr_assert(err == MP_OK || err == MP_ENOTFOUND, "%s",
                  mp_error_message());
        seen += err == MP_OK;
        remove_file(test.path);
        cr_assert_eq(create_file(test.path, &file), MP_OK, "%s",
                     mp_error_message());
        cr_assert_eq(check_file(file), MP_OK);
        mpos_close(file);
        cr_assert_not(draft_is_there(test.path));
        cr_assert(remove_file(test.path));
    }
    cr_log_info("of %zu kills %zu left a file, %zu a draft", kills, seen,
                drafts);
    support_remove_folder(test.folder);
}

Test(os_memory_win32, what_does_not_fit_the_disk_leaves_nothing)
{
    place test = make_place();
    mpos_handle file = 42;

    cr_assert_eq(
        mpos_file_create(test.path, image(), (size_t)1 << 60, 0, &file),
        MP_ENOSPC, "%s", mp_error_message());
    cr_assert_eq(file, 42);
    cr_assert_not(is_there(test.path));
    cr_assert_not(draft_is_there(test.path));
    support_remove_folder(test.folder);
}

/* -- Paths ----------------------------------------------------------------- */

/* Folders in each other, until the path is longer than any that a program gets
 * which does not know of long ones. */
static void make_deep_folder(const char *folder, char path[PATH_SIZE])
{
    wchar_t wide_path[PATH_SIZE];

    snprintf(path, PATH_SIZE, "\\\\?\\%s", folder);
    while (strlen(path) < 600) {
        strcat(path, "\\a-folder-with-quite-a-long-name-that-goes-on-and-on");
        wide(path, wide_path);
        cr_assert(CreateDirectoryW(wide_path, NULL));
    }
    memmove(path, path + 4, strlen(path + 4) + 1);
}

static void remove_deep_folder(const char *folder, const char *deepest)
{
    wchar_t wide_path[PATH_SIZE];
    char path[PATH_SIZE];

    snprintf(path, PATH_SIZE, "\\\\?\\%s", deepest);
    while (strlen(path) > strlen(folder) + 4) {
        wide(path, wide_path);
        cr_assert(RemoveDirectoryW(wide_path));
        *strrchr(path, '\\') = '\0';
    }
}

Test(os_memory_win32, a_path_may_be_longer_than_260_characters)
{
    place test = make_place();
    char deepest[PATH_SIZE], path[PATH_SIZE], verbatim[PATH_SIZE];
    mpos_handle file;

    make_deep_folder(test.folder, deepest);
    snprintf(path, sizeof(path), "%.1900s/file", deepest);
    snprintf(verbatim, sizeof(verbatim), "\\\\?\\%.1900s\\file", deepest);
    cr_assert_eq(create_file(path, &file), MP_OK, "%s", mp_error_message());
    mpos_close(file);
    cr_assert_eq(check_path(path), MP_OK, "%s", mp_error_message());
    cr_assert_eq(check_path(verbatim), MP_OK, "%s", mp_error_message());
    cr_assert(remove_file(verbatim));
    remove_deep_folder(test.folder, deepest);
    support_remove_folder(test.folder);
}

Test(os_memory_win32, a_path_may_be_relative)
{
    place test = make_place();
    mpos_handle file;
    char *old;

    cr_assert_eq(mpos_working_directory(&old), MP_OK);
    cr_assert_eq(mpos_change_directory(test.folder), MP_OK);
    cr_assert_eq(create_file("./a/../b", &file), MP_OK, "%s",
                 mp_error_message());
    mpos_close(file);
    cr_assert_eq(check_path("b"), MP_OK, "%s", mp_error_message());
    cr_assert_eq(mpos_change_directory(old), MP_OK);
    free(old);
    support_remove_folder(test.folder);
}

Test(os_memory_win32, what_is_no_ordinary_file_is_told_apart)
{
    place test = make_place();
    char missing[PATH_SIZE];
    mpos_handle file = 42;
    bool is_alone;

    cr_assert_eq(mpos_file_open(test.path, false, &file, &is_alone),
                 MP_ENOTFOUND);
    cr_assert_eq(mpos_file_open(test.folder, false, &file, &is_alone),
                 MP_EPROTO, "%s", mp_error_message());
    cr_assert_eq(create_file(test.folder, &file), MP_EEXIST);
    cr_assert_eq(mpos_file_open("NUL", true, &file, &is_alone), MP_EPROTO);
    cr_assert_eq(create_file("NUL", &file), MP_EEXIST);
    cr_assert_eq(mpos_file_open("\\\\.\\pipe\\none", true, &file, &is_alone),
                 MP_EPROTO);
    cr_assert_eq(mpos_file_open("\xff", true, &file, &is_alone), MP_EINVAL);
    cr_assert_eq(create_file("\xff", &file), MP_EINVAL);
    snprintf(missing, sizeof(missing), "%s\\none\\file", test.folder);
    cr_assert_eq(mpos_file_open(missing, true, &file, &is_alone), MP_ENOTFOUND);
    cr_assert_eq(create_file(missing, &file), MP_ENOTFOUND, "%s",
                 mp_error_message());
    cr_assert_eq(file, 42);
    support_remove_folder(test.folder);
}

/* -- Opening a file -------------------------------------------------------- */

Test(os_memory_win32, a_file_that_others_keep_to_themselves_is_waited_for)
{
    place test = make_place();
    mpos_thread closer;
    mpos_handle file = 42;
    bool is_alone;
    HANDLE held;

    cr_assert_eq(create_file(test.path, &file), MP_OK);
    mpos_close(file);
    held = open_natively(test.path, GENERIC_READ, 0, OPEN_EXISTING);
    cr_assert_eq(mpos_thread_start(close_later, held, &closer), MP_OK);
    cr_assert_eq(mpos_file_open(test.path, false, &file, &is_alone), MP_OK,
                 "%s", mp_error_message());
    mpos_thread_join(closer);
    mpos_close(file);

    file = 42;
    held = open_natively(test.path, GENERIC_READ, 0, OPEN_EXISTING);
    cr_assert_eq(mpos_file_open(test.path, false, &file, &is_alone), MP_EACCES);
    cr_assert_eq(file, 42);
    CloseHandle(held);
    support_remove_folder(test.folder);
}

static DWORD protection_of(const void *address)
{
    MEMORY_BASIC_INFORMATION region;

    cr_assert_neq(VirtualQuery(address, &region, sizeof(region)), 0U);
    return region.Protect;
}

Test(os_memory_win32, what_is_only_read_can_not_be_written)
{
    place test = make_place();
    mpos_extent extent = {.size = FILE_SIZE, .is_read_only = true};
    wchar_t wide_path[PATH_SIZE];
    mpos_handle file;
    bool is_alone = true;
    HANDLE native;
    void *address;

    cr_assert_eq(create_file(test.path, &file), MP_OK);
    mpos_close(file);
    wide(test.path, wide_path);
    cr_assert(SetFileAttributesW(wide_path, FILE_ATTRIBUTE_READONLY));
    native = open_natively(test.path, GENERIC_WRITE, 0, OPEN_EXISTING);
    if (native == INVALID_HANDLE_VALUE)
        cr_assert_eq(mpos_file_open(test.path, false, &file, &is_alone),
                     MP_EACCES);
    else /* root's files, under Wine */
        CloseHandle(native);
    cr_assert_eq(mpos_file_open(test.path, true, &file, &is_alone), MP_OK);
    cr_assert_not(is_alone);
    mpos_file_admit(file);
    cr_assert_eq(mpos_memory_map(file, &extent, &address), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(protection_of(address), (DWORD)PAGE_READONLY);
    cr_assert(is_complete(address));
    mpos_memory_unmap(address, FILE_SIZE);
    extent.is_read_only = false;
    cr_assert_eq(mpos_memory_map(file, &extent, &address), MP_EACCES);
    mpos_close(file);
    cr_assert(SetFileAttributesW(wide_path, FILE_ATTRIBUTE_NORMAL));
    support_remove_folder(test.folder);
}

static bool control(HANDLE file, DWORD code, void *data, DWORD size)
{
    DWORD unused;

    return DeviceIoControl(file, code, data, size, NULL, 0, &unused, NULL);
}

Test(os_memory_win32, a_sparse_file_has_no_holes_once_it_is_open)
{
    place test = make_place();
    FILE_SET_SPARSE_BUFFER sparse = {.SetSparse = TRUE};
    FILE_ZERO_DATA_INFORMATION hole = {
        .FileOffset.QuadPart = 65536,
        .BeyondFinalZero.QuadPart = 4 * 65536,
    };
    mpos_handle file;
    HANDLE native;

    cr_assert_eq(create_file(test.path, &file), MP_OK);
    mpos_close(file);
    native = open_natively(test.path, GENERIC_READ | GENERIC_WRITE, 0,
                           OPEN_EXISTING);
    if (!control(native, FSCTL_SET_SPARSE, &sparse, sizeof(sparse)) ||
        !control(native, FSCTL_SET_ZERO_DATA, &hole, sizeof(hole)))
        cr_log_info("this file system has no sparse files");
    CloseHandle(native);
    cr_assert_eq(check_path(test.path), MP_OK, "%s", mp_error_message());
    cr_assert_eq(attributes_of(test.path) & FILE_ATTRIBUTE_SPARSE_FILE, 0U);
    support_remove_folder(test.folder);
}

Test(os_memory_win32, a_compressed_file_is_not_so_once_it_is_open)
{
    place test = make_place();
    USHORT format = COMPRESSION_FORMAT_DEFAULT;
    mpos_handle file;
    HANDLE native;

    cr_assert_eq(create_file(test.path, &file), MP_OK);
    mpos_close(file);
    native = open_natively(test.path, GENERIC_READ | GENERIC_WRITE, 0,
                           OPEN_EXISTING);
    if (!control(native, FSCTL_SET_COMPRESSION, &format, sizeof(format)))
        cr_log_info("this file system compresses nothing");
    CloseHandle(native);
    cr_assert_eq(check_path(test.path), MP_OK, "%s", mp_error_message());
    cr_assert_eq(attributes_of(test.path) & FILE_ATTRIBUTE_COMPRESSED, 0U);
    support_remove_folder(test.folder);
}

/* -- What a file is as memory ---------------------------------------------- */

static bool is_same(mpos_handle left, mpos_handle right)
{
    uint64_t identities[2][2];

    cr_assert_eq(mpos_memory_identity(left, identities[0]), MP_OK);
    cr_assert_eq(mpos_memory_identity(right, identities[1]), MP_OK, "%s",
                 mp_error_message());
    return memcmp(identities[0], identities[1], sizeof(identities[0])) == 0;
}

Test(os_memory_win32, a_file_is_the_same_under_any_name)
{
    place test = make_place();
    char other[PATH_SIZE];
    wchar_t names[2][PATH_SIZE];
    mpos_handle files[3], sections[2];
    bool is_alone;

    snprintf(other, sizeof(other), "%s-2", test.path);
    wide(test.path, names[0]);
    wide(other, names[1]);
    cr_assert_eq(create_file(test.path, &files[0]), MP_OK);
    cr_assert_eq(create_file(other, &files[1]), MP_OK);
    cr_assert_not(is_same(files[0], files[1]));
    mpos_close(files[1]);
    cr_assert(remove_file(other));
    cr_assert(CreateHardLinkW(names[1], names[0], NULL));
    cr_assert_eq(mpos_file_open(other, true, &files[2], &is_alone), MP_OK);
    cr_assert(is_same(files[0], files[2]));
    cr_assert_eq(mpos_memory_create(1, 0, &sections[0]), MP_OK);
    cr_assert_eq(mpos_memory_create(1, 0, &sections[1]), MP_OK);
    cr_assert(is_same(sections[0], sections[1]));
    cr_assert_not(is_same(sections[0], files[0]));
    mpos_close(files[0]);
    mpos_close(files[2]);
    mpos_close(sections[0]);
    mpos_close(sections[1]);
    support_remove_folder(test.folder);
}

Test(os_memory_win32, only_a_file_is_written_to_the_disk)
{
    place test = make_place();
    const mpos_extent extent = {.size = 1000};
    mpos_handle memory[2];
    char *address;
    char text[8] = "";
    DWORD got;
    HANDLE native;

    cr_assert_eq(create_file(test.path, &memory[0]), MP_OK);
    cr_assert_eq(mpos_memory_create(1000, 0, &memory[1]), MP_OK);
    cr_assert_eq(mpos_memory_map(memory[0], &extent, (void **)&address), MP_OK);
    strcpy(address, "synced");
    cr_assert_eq(mpos_memory_sync(memory[0], address, 1000), MP_OK, "%s",
                 mp_error_message());
    native = open_natively(test.path, GENERIC_READ,
                           FILE_SHARE_READ | FILE_SHARE_WRITE, OPEN_EXISTING);
    cr_assert(ReadFile(native, text, 7, &got, NULL));
    cr_assert_str_eq(text, "synced");
    CloseHandle(native);
    cr_assert_eq(mpos_memory_sync(memory[1], address, 1000), MP_ENOTSUP);
    mpos_memory_unmap(address, 1000);
    mpos_close(memory[0]);
    mpos_close(memory[1]);
    support_remove_folder(test.folder);
}

static void change_in_child(mpos_handle memory)
{
    const mpos_extent extent = {65536, 10, false};
    char number[NAME_SIZE];
    unsigned char *bytes;
    mpos_process child;

    cr_assert_eq(mpos_memory_map(memory, &extent, (void **)&bytes), MP_OK, "%s",
                 mp_error_message());
    bytes[0] = 17;
    snprintf(number, sizeof(number), "%lld", (long long)memory);
    child = start("change", number, &memory);
    cr_assert_eq(end_of(&child), 17);
    cr_assert_eq(bytes[9], 42);
    mpos_memory_unmap(bytes, 10);
    mpos_close(memory);
}

Test(os_memory_win32, a_child_inherits_files_and_sections_alike)
{
    place test = make_place();
    mpos_handle memory;

    cr_assert_eq(create_file(test.path, &memory), MP_OK);
    change_in_child(memory);
    cr_assert_eq(mpos_memory_create(65546, 0, &memory), MP_OK);
    change_in_child(memory);
    cr_assert_eq(mpos_named_create("inherited", image(), 65546, 0, &memory),
                 MP_OK);
    change_in_child(memory);
    support_remove_folder(test.folder);
}

/* -- Sections -------------------------------------------------------------- */

Test(os_memory_win32, a_section_of_gigabytes_is_found_without_being_touched)
{
    const size_t size = (size_t)5 << 30;
    const mpos_extent end = {size - 65536, 65536, false};
    size_t touched = support_memory_in_use(), found = 0;
    mpos_handle made, opened;
    unsigned char *bytes;
    mp_error err = mpos_named_create("gigabytes", image(), size, 0, &made);

    if (err == MP_ENOMEM || err == MP_ENOSPC) {
        cr_log_info("there are no 5 GiB: %s", mp_error_message());
        return;
    }
    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    cr_assert_eq(mpos_named_open("gigabytes", &opened), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(mpos_memory_size(opened, &found), MP_OK);
    cr_assert_geq(found, size);
    cr_assert_leq(found, size + 65536);
    cr_assert_eq(mpos_memory_map(opened, &end, (void **)&bytes), MP_OK, "%s",
                 mp_error_message());
    for (int i = 0; i < 65536; i++)
        cr_assert_eq(bytes[i], 0);
    cr_assert_lt(support_memory_in_use() - touched, (size_t)64 << 20);
    mpos_memory_unmap(bytes, 65536);
    mpos_close(made);
    mpos_close(opened);
}

/* Its mark would be in the first bytes of a page of its own. */
Test(os_memory_win32, a_section_may_end_with_any_byte)
{
    const size_t sizes[] = {0,    1,     7,     8,     4087,  4088,
                            4089, 65527, 65528, 65529, 65535, 65536};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        mpos_bytes begin = {image().data, sizes[i] < 9 ? sizes[i] : 9};
        mpos_handle made, opened;
        size_t found = 0;

        cr_assert_eq(mpos_named_create("any", begin, sizes[i], 0, &made), MP_OK,
                     "%s", mp_error_message());
        cr_assert_eq(mpos_named_open("any", &opened), MP_OK, "%zu: %s",
                     sizes[i], mp_error_message());
        cr_assert_eq(mpos_memory_size(opened, &found), MP_OK);
        cr_assert_geq(found, sizes[i]);
        mpos_close(made);
        mpos_close(opened);
        cr_assert_eq(mpos_named_open("any", &opened), MP_ENOTFOUND);
    }
}

/* -- CPython's sections ---------------------------------------------------- */

static void choose_name(char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "wnsm_" UNICODE_NAME "%lld",
             (long long)mpos_pid());
}

/* A section, by the system's own means. */
static HANDLE native_section(const char *name, DWORD flags, DWORD size)
{
    wchar_t wide_name[PATH_SIZE];

    wide(name, wide_name);
    return CreateFileMappingW(INVALID_HANDLE_VALUE, NULL,
                              PAGE_READWRITE | flags, 0, size, wide_name);
}

Test(os_memory_win32, a_section_has_exactly_the_name_it_is_given)
{
    char name[NAME_SIZE];
    wchar_t wide_name[PATH_SIZE];
    mpos_handle made, opened = 42;
    HANDLE native;
    size_t size = 0;
    char *address;

    choose_name(name);
    wide(name, wide_name);
    cr_assert_eq(mpos_shm_open(name, &opened), MP_ENOTFOUND);
    cr_assert_eq(mpos_shm_unlink(name), MP_ENOTFOUND);
    cr_assert_eq(mpos_shm_create(name, 5000, &made), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(mpos_shm_create(name, 5000, &opened), MP_EEXIST);
    cr_assert_eq(opened, 42);
    native = OpenFileMappingW(FILE_MAP_WRITE, FALSE, wide_name);
    cr_assert_not_null(native);
    address = MapViewOfFile(native, FILE_MAP_WRITE, 0, 0, 0);
    strcpy(address, "from outside");
    UnmapViewOfFile(address);
    mpos_close(made);
    cr_assert_eq(mpos_shm_unlink(name), MP_OK);

    cr_assert_eq(mpos_shm_open(name, &opened), MP_OK, "%s", mp_error_message());
    CloseHandle(native);
    cr_assert_eq(mpos_memory_size(opened, &size), MP_OK);
    cr_assert_eq(size, 8192U); /* as CPython sees it */
    cr_assert_eq(mpos_memory_map(opened, &(mpos_extent){.size = 5000},
                                 (void **)&address),
                 MP_OK, "%s", mp_error_message());
    cr_assert_str_eq(address, "from outside");
    mpos_close(opened);
    mpos_memory_unmap(address, 5000);
    cr_assert_eq(mpos_shm_open(name, &opened), MP_ENOTFOUND);
}

Test(os_memory_win32, another_programs_section_is_opened)
{
    char name[NAME_SIZE];
    mpos_handle opened = 42;
    HANDLE native;
    size_t size = 0;

    choose_name(name);
    native = native_section(name, 0, 70000);
    cr_assert_eq(mpos_shm_create(name, 5000, &opened), MP_EEXIST);
    cr_assert_eq(mpos_shm_open(name, &opened), MP_OK, "%s", mp_error_message());
    cr_assert_eq(mpos_memory_size(opened, &size), MP_OK);
    cr_assert_eq(size, 73728U);
    mpos_close(opened);
    CloseHandle(native);
}

Test(os_memory_win32, pages_that_are_not_there_are_not_opened)
{
    char name[NAME_SIZE];
    mpos_handle opened = 42;
    HANDLE native;

    choose_name(name);
    native = native_section(name, SEC_RESERVE, 70000);
    cr_assert_eq(mpos_shm_open(name, &opened), MP_EPROTO);
    cr_assert_eq(opened, 42);
    CloseHandle(native);
}

Test(os_memory_win32, what_is_no_section_is_told_apart)
{
    char name[NAME_SIZE];
    wchar_t wide_name[PATH_SIZE];
    mpos_handle handle = 42;
    HANDLE mutex;

    choose_name(name);
    wide(name, wide_name);
    mutex = CreateMutexW(NULL, FALSE, wide_name);
    cr_assert_eq(mpos_shm_create(name, 10, &handle), MP_EEXIST);
    cr_assert_not_null(strstr(mp_error_message(), name));
    cr_assert_eq(mpos_shm_open(name, &handle), MP_EPROTO);
    cr_assert_not_null(strstr(mp_error_message(), name));
    cr_assert_eq(mpos_shm_unlink(name), MP_EPROTO);
    CloseHandle(mutex);
    cr_assert_eq(mpos_shm_create("a\\b", 10, &handle), MP_EINVAL, "%s",
                 mp_error_message());
    cr_assert_eq(mpos_shm_create("", 10, &handle), MP_EINVAL);
    cr_assert_eq(mpos_shm_open("", &handle), MP_EINVAL);
    cr_assert_eq(mpos_shm_create("\xff", 10, &handle), MP_EINVAL);
    cr_assert_eq(handle, 42);
}

Test(os_memory_win32, what_is_too_large_is_refused_at_once)
{
    const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 7, SIZE_MAX / 2, SIZE_MAX / 4};
    char name[NAME_SIZE];
    mpos_handle handle = 42;

    choose_name(name);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cr_assert_eq(mpos_memory_create(sizes[i], 0, &handle), MP_ENOMEM);
        cr_assert_eq(mpos_memory_create(1, sizes[i], &handle), MP_ENOMEM, "%s",
                     mp_error_message());
        cr_assert_eq(mpos_shm_create(name, sizes[i], &handle), MP_ENOMEM, "%s",
                     mp_error_message());
        cr_assert_eq(mpos_shm_open(name, &handle), MP_ENOTFOUND);
        cr_assert_eq(mpos_named_create("large", image(), sizes[i], 0, &handle),
                     MP_ENOMEM, "%s", mp_error_message());
        cr_assert_eq(mpos_named_open("large", &handle), MP_ENOTFOUND);
    }
    cr_assert_eq(handle, 42);
}

/* -- Leaks ----------------------------------------------------------------- */

static void use_all_once(const place *test)
{
    char name[NAME_SIZE];
    mpos_handle made, other;
    uint64_t identity[2];
    bool is_alone;
    void *address;
    size_t size;

    choose_name(name);
    cr_assert_eq(create_file(test->path, &made), MP_OK);
    cr_assert_eq(create_file(test->path, &other), MP_EEXIST);
    cr_assert_eq(mpos_file_open(test->path, true, &other, &is_alone), MP_OK);
    cr_assert_eq(mpos_memory_size(other, &size), MP_OK);
    cr_assert_eq(mpos_memory_identity(other, identity), MP_OK);
    cr_assert_eq(mpos_memory_map(made, &(mpos_extent){.size = 10}, &address),
                 MP_OK);
    cr_assert_eq(mpos_memory_sync(made, address, 10), MP_OK);
    mpos_memory_unmap(address, 10);
    mpos_close(made);
    mpos_close(other);
    cr_assert(remove_file(test->path));
    cr_assert_neq(mpos_file_open(test->folder, false, &other, &is_alone),
                  MP_OK);
    cr_assert_neq(
        mpos_file_create(test->path, image(), (size_t)1 << 60, 0, &other),
        MP_OK);
    cr_assert_eq(mpos_shm_create(name, 10, &made), MP_OK);
    cr_assert_eq(mpos_shm_create(name, 10, &other), MP_EEXIST);
    cr_assert_eq(mpos_shm_unlink(name), MP_OK);
    mpos_close(made);
    cr_assert_eq(mpos_named_create("leaks", image(), 10, 0, &made), MP_OK);
    cr_assert_eq(mpos_named_create("leaks", image(), 10, 0, &other), MP_EEXIST);
    mpos_close(made);
}

Test(os_memory_win32, nothing_leaks_a_handle)
{
    place test = make_place();
    size_t before;

    use_all_once(&test);
    use_all_once(&test);
    before = support_open_handles();
    for (int i = 0; i < 10; i++)
        use_all_once(&test);
    cr_assert_leq(support_open_handles(), before);
    support_remove_folder(test.folder);
}
