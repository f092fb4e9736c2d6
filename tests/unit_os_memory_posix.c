/* SPDX-License-Identifier: MIT */
/*
 * Memory in files, and shared with other programs, on POSIX: permissions,
 * links, holes, limits, forks.
 */
#include "os.h"

#include "support/check.h"
#include "support/expect.h"
#include "support/system.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define SECONDS(n) ((int64_t)(n)*1000000000)

enum {
    SMALL = 4096,
    FILE_SIZE = 300000,
    COUNTED_UNIT = 512, /* of st_blocks */
    FEW = 40,
    NOBODY = 65534,
};

static char folder[SUPPORT_PATH_SIZE];
static char path[SUPPORT_PATH_SIZE];

static void set_up(void)
{
    support_make_folder("unit-os-memory", folder);
    support_join_path(folder, "file", path);
}

static void tear_down(void)
{
    support_remove_folder(folder);
}

static mp_error create(size_t size, unsigned permissions, mpos_handle *made)
{
    return mpos_file_create(path, (mpos_bytes){"image", 6}, size, permissions,
                            made);
}

static void create_and_close(size_t size, unsigned permissions)
{
    mpos_handle made;

    ok(create(size, permissions, &made));
    mpos_close(made);
}

static struct stat status_of(const char *place)
{
    struct stat status;

    cr_assert_eq(stat(place, &status), 0, "%s", place);
    return status;
}

static size_t reserved_by(const char *place)
{
    return (size_t)status_of(place).st_blocks * COUNTED_UNIT;
}

static int end_of(mpos_process *child)
{
    int code = 12345;

    ok(mpos_reap(child, mpos_now() + SECONDS(20), &code));
    mpos_process_close(child);
    return code;
}

/* Runs it in a process of its own. */
static int run_forked(int (*run)(void))
{
    mpos_process child;
    bool is_child;

    ok(mpos_fork(&child, &is_child));
    if (is_child)
        _exit(run());
    return end_of(&child);
}

TestSuite(os_file, .init = set_up, .fini = tear_down);

/* -- What is made ---------------------------------------------------------- */

Test(os_file, permissions_are_those_asked_for_whatever_the_umask)
{
    static const unsigned permissions[] = {0600, 0660, 0666, 0644};
    mode_t before = umask(077);

    for (size_t i = 0; i < sizeof(permissions) / sizeof(permissions[0]); i++) {
        mpos_handle made;

        ok(create(SMALL, permissions[i], &made));
        cr_assert_eq(status_of(path).st_mode & 07777, permissions[i]);
        cr_assert_eq(fcntl((int)made, F_GETFD), FD_CLOEXEC);
        mpos_close(made);
        cr_assert_eq(unlink(path), 0);
    }
    umask(before);
}

Test(os_file, all_of_it_has_its_place_on_the_disk)
{
    create_and_close(FILE_SIZE, 0600);
    cr_assert_eq(status_of(path).st_size, FILE_SIZE);
    cr_assert_geq(reserved_by(path), (size_t)FILE_SIZE);
    cr_assert_eq(status_of(path).st_nlink, 1U);
}

Test(os_file, descriptors_that_are_opened_go_with_exec)
{
    mpos_handle opened;
    bool is_alone = false;

    create_and_close(SMALL, 0600);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    cr_assert(is_alone, "every POSIX system can tell");
    cr_assert_eq(fcntl((int)opened, F_GETFD), FD_CLOEXEC);
    mpos_close(opened);
    ok(mpos_file_open(path, true, &opened, &is_alone));
    cr_assert_not(is_alone);
    cr_assert_eq(fcntl((int)opened, F_GETFD), FD_CLOEXEC);
    mpos_close(opened);
}

Test(os_file, paths_are_relative_to_the_working_folder)
{
    mpos_handle made;

    cr_assert_eq(chdir(folder), 0);
    ok(mpos_file_create("file", (mpos_bytes){"x", 2}, 0, 0600, &made));
    cr_assert_eq(access(path, F_OK), 0);
    mpos_close(made);
}

/* -- Links and what is no file --------------------------------------------- */

Test(os_file, links_are_followed)
{
    char link[SUPPORT_PATH_SIZE];
    uint64_t first[2] = {0}, second[2] = {0};
    mpos_handle made, opened = 42;
    bool is_alone;

    support_join_path(folder, "link", link);
    cr_assert_eq(symlink("file", link), 0);
    cr_assert_eq(mpos_file_open(link, false, &opened, &is_alone), MP_ENOTFOUND);
    ok(mpos_file_create(link, (mpos_bytes){"x", 2}, 0, 0600, &made));
    cr_assert_eq(access(path, F_OK), 0, "it was made where the link leads");
    ok(mpos_file_open(link, false, &opened, &is_alone));
    ok(mpos_memory_identity(made, first));
    ok(mpos_memory_identity(opened, second));
    cr_assert_arr_eq(first, second, sizeof(first));
    mpos_close(made);
    mpos_close(opened);
    cr_assert_eq(mpos_file_create(link, (mpos_bytes){"x", 2}, 0, 0600, &made),
                 MP_EEXIST);
}

Test(os_file, links_may_lead_to_links_and_out_of_the_folder)
{
    char first[SUPPORT_PATH_SIZE], second[SUPPORT_PATH_SIZE];
    mpos_handle made;

    support_join_path(folder, "first", first);
    support_join_path(folder, "second", second);
    cr_assert_eq(symlink("second", first), 0);
    cr_assert_eq(symlink(path, second), 0);
    ok(mpos_file_create(first, (mpos_bytes){"x", 2}, 0, 0600, &made));
    cr_assert_eq(access(path, F_OK), 0);
    mpos_close(made);
}

Test(os_file, links_that_lead_nowhere_are_an_error)
{
    char link[SUPPORT_PATH_SIZE];
    mpos_handle made = 42;
    bool is_alone;

    support_join_path(folder, "link", link);
    cr_assert_eq(symlink("link", link), 0);
    cr_assert_eq(mpos_file_create(link, (mpos_bytes){"x", 2}, 0, 0600, &made),
                 MP_EINVAL);
    cr_assert_eq(mpos_file_open(link, false, &made, &is_alone), MP_EPROTO);
    cr_assert_eq(made, 42);
}

static void check_is_no_memory(void)
{
    mpos_handle opened = 42;
    bool is_alone;

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(mpos_file_open(path, i == 1, &opened, &is_alone),
                     MP_EPROTO, "%s", mp_error_message());
        cr_assert_not_null(strstr(mp_error_message(), path));
    }
    cr_assert_eq(create(SMALL, 0600, &opened), MP_EEXIST);
    cr_assert_eq(opened, 42);
    cr_assert_eq(unlink(path), 0);
}

Test(os_file, pipes_sockets_and_devices_are_no_memory)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    cr_assert_eq(mkfifo(path, 0600), 0);
    check_is_no_memory();
    cr_assert_eq(symlink("/dev/null", path), 0);
    check_is_no_memory();
    snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
    if (bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0)
        check_is_no_memory();
    close(listener);
}

Test(os_file, empty_file_is_no_more_than_no_bytes)
{
    const mpos_extent extent = {.size = SMALL};
    mpos_handle opened;
    bool is_alone;
    size_t size = 42;
    void *place;
    int file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    cr_assert_geq(file, 0);
    close(file);
    for (int i = 0; i < 2; i++) {
        ok(mpos_file_open(path, i == 1, &opened, &is_alone));
        ok(mpos_memory_size(opened, &size));
        cr_assert_eq(size, 0U);
        mpos_close(opened);
    }
    ok(mpos_file_open(path, true, &opened, &is_alone));
    ok(mpos_memory_map(opened, &(mpos_extent){.size = 1, .is_read_only = true},
                       &place));
    mpos_memory_unmap(place, 1);
    cr_assert_eq(mpos_memory_map(opened, &extent, &place), MP_EACCES);
    mpos_close(opened);
}

/* -- Permissions ----------------------------------------------------------- */

static int use_as_nobody(void)
{
    mpos_handle handle = 42;
    bool is_alone;

    if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
        return 1;
    if (mpos_file_open(path, false, &handle, &is_alone) != MP_EACCES)
        return 2;
    if (mpos_file_open(path, true, &handle, &is_alone) != MP_OK)
        return 3;
    mpos_close(handle);
    support_join_path(folder, "other", path);
    handle = 42;
    if (create(SMALL, 0600, &handle) != MP_EACCES)
        return 4;
    return handle == 42 ? 0 : 5;
}

Test(os_file, who_may_only_read_can_not_write_nor_create)
{
    create_and_close(SMALL, 0444);
    cr_assert_eq(chmod(folder, 0555), 0);
    cr_assert_eq(run_forked(use_as_nobody), 0);
    cr_assert_eq(chmod(folder, 0700), 0);
}

static int open_forbidden(void)
{
    mpos_handle handle = 42;
    bool is_alone;

    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return 1;
    for (int i = 0; i < 2; i++) {
        if (mpos_file_open(path, i == 1, &handle, &is_alone) != MP_EACCES)
            return 2;
    }
    return handle == 42 ? 0 : 3;
}

Test(os_file, of_another_user_is_not_opened)
{
    if (geteuid() != 0)
        cr_skip_test("only root can be somebody else");
    create_and_close(SMALL, 0600);
    cr_assert_eq(chmod(folder, 0755), 0);
    cr_assert_eq(run_forked(open_forbidden), 0);
}

/* -- Locks ----------------------------------------------------------------- */

Test(os_file, is_locked_by_all_who_use_it_and_by_none_afterwards)
{
    mpos_handle opened;
    bool is_alone;
    int stranger;

    create_and_close(SMALL, 0600);
    stranger = open(path, O_RDWR | O_CLOEXEC);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    cr_assert_eq(flock(stranger, LOCK_SH | LOCK_NB), -1);
    mpos_file_admit(opened);
    cr_assert_eq(flock(stranger, LOCK_SH | LOCK_NB), 0);
    cr_assert_eq(flock(stranger, LOCK_EX | LOCK_NB), -1);
    mpos_close(opened);
    cr_assert_eq(flock(stranger, LOCK_EX | LOCK_NB), 0);
    close(stranger);
}

Test(os_file, forked_child_keeps_what_its_parent_has_open)
{
    mpos_process child;
    mpos_handle made, opened, reader, writer;
    bool is_child;
    bool is_alone = true;
    char byte;
    size_t got;

    ok(create(SMALL, 0600, &made));
    ok(mpos_pipe(&reader, &writer));
    ok(mpos_fork(&child, &is_child));
    if (is_child) {
        mpos_close(writer);
        _exit(mpos_read(reader, &byte, 1, &got));
    }
    mpos_close(made);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    cr_assert_not(is_alone);
    mpos_close(opened);
    mpos_close(writer);
    cr_assert_eq(end_of(&child), 0);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    cr_assert(is_alone);
    mpos_close(opened);
    mpos_close(reader);
}

/* -- Room ------------------------------------------------------------------ */

static void make_sparse_file(void)
{
    int file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    cr_assert_geq(file, 0);
    cr_assert_eq(ftruncate(file, FILE_SIZE), 0);
    cr_assert_eq(pwrite(file, "middle", 6, FILE_SIZE / 2), 6);
    close(file);
    if (reserved_by(path) >= FILE_SIZE)
        cr_skip_test("this file system knows no holes");
}

static void check_sparse_content(void)
{
    static char bytes[FILE_SIZE];
    int file = open(path, O_RDONLY | O_CLOEXEC);

    cr_assert_eq(read(file, bytes, FILE_SIZE), FILE_SIZE);
    close(file);
    cr_assert_arr_eq(bytes + FILE_SIZE / 2, "middle", 6);
    memset(bytes + FILE_SIZE / 2, 0, 6);
    for (size_t i = 0; i < FILE_SIZE; i++)
        cr_assert_eq(bytes[i], 0);
}

Test(os_file, holes_are_filled_by_who_may_store_into_them)
{
    mpos_handle opened;
    bool is_alone;
    size_t before;

    make_sparse_file();
    before = reserved_by(path);
    ok(mpos_file_open(path, true, &opened, &is_alone));
    mpos_close(opened);
    cr_assert_eq(reserved_by(path), before);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    mpos_close(opened);
    cr_assert_geq(reserved_by(path), (size_t)FILE_SIZE);
    cr_assert_eq(status_of(path).st_size, FILE_SIZE);
    check_sparse_content();
}

Test(os_file, holes_larger_than_the_disk_are_an_error_and_stay)
{
    mpos_handle opened = 42;
    bool is_alone = false;
    size_t before;
    int file = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    if (ftruncate(file, (off_t)1 << 43) != 0)
        cr_skip_test("this file system has no files that large");
    close(file);
    before = reserved_by(path);
    cr_assert_eq(mpos_file_open(path, false, &opened, &is_alone), MP_ENOSPC,
                 "%s", mp_error_message());
    cr_assert_not_null(strstr(mp_error_message(), path));
    cr_assert_eq(opened, 42);
    cr_assert_not(is_alone);
    cr_assert_eq(reserved_by(path), before, "nothing was taken");
    ok(mpos_file_open(path, true, &opened, &is_alone));
    mpos_close(opened);
}

/* In a process of its own: what it has open, and a signal, would tell. */
static int create_without_room(void)
{
    static unsigned char image[FILE_SIZE];
    struct rlimit limit = {FILE_SIZE / 2, FILE_SIZE / 2};
    size_t before = support_open_handles();
    mpos_handle made = 42;

    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    if (create(FILE_SIZE, 0600, &made) != MP_ENOSPC)
        return 2;
    if (mpos_file_create(path, (mpos_bytes){image, sizeof(image)}, 0, 0600,
                         &made) != MP_ENOSPC)
        return 3;
    if (made != 42 || support_open_handles() != before)
        return 4;
    if (create(SMALL, 0600, &made) != MP_OK)
        return 5;
    if (mpos_memory_grow(made, SMALL, FILE_SIZE) != MP_ENOSPC)
        return mpos_system.memory_grows ? 6 : 0;
    mpos_close(made);
    return unlink(path) == 0 ? 0 : 7;
}

Test(os_file, limit_is_an_error_without_a_signal_that_leaves_nothing)
{
    if (support_has_valgrind())
        cr_skip_test("valgrind does not keep to limits");
    cr_assert_eq(run_forked(create_without_room), 0);
    cr_assert_eq(rmdir(folder), 0, "it is empty");
}

/* The limit is lifted again: what counts coverage writes a file at the end. */
static int open_beyond_limit(void)
{
    struct rlimit before, limit;
    mpos_handle opened;
    bool is_alone;
    mp_error err;

    if (getrlimit(RLIMIT_FSIZE, &before) != 0)
        return 99;
    limit = (struct rlimit){SMALL, before.rlim_max};
    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 99;
    err = mpos_file_open(path, false, &opened, &is_alone);
    return setrlimit(RLIMIT_FSIZE, &before) == 0 ? (int)err : 98;
}

Test(os_file, limit_does_not_matter_for_what_is_there)
{
    if (support_has_valgrind())
        cr_skip_test("valgrind does not keep to limits");
    create_and_close(FILE_SIZE, 0600);
    cr_assert_eq(run_forked(open_beyond_limit), 0);
}

/* -- Descriptors ----------------------------------------------------------- */

static int open_without_descriptors(void)
{
    const struct rlimit few = {FEW, FEW};
    mpos_handle handle = 42;
    bool is_alone;

    if (setrlimit(RLIMIT_NOFILE, &few) != 0)
        return 1;
    while (dup(2) >= 0)
        ;
    for (int i = 0; i < 2; i++) {
        if (mpos_file_open(path, i == 1, &handle, &is_alone) != MP_EMFILE)
            return 2;
    }
    support_join_path(folder, "other", path);
    if (create(SMALL, 0600, &handle) != MP_EMFILE)
        return 3;
    if (mpos_shm_create("mp_unit_none", SMALL, &handle) != MP_EMFILE ||
        mpos_shm_open("mp_unit_none", &handle) != MP_EMFILE)
        return 4;
    return handle == 42 ? 0 : 5;
}

Test(os_file, no_descriptor_left_is_an_error_that_leaves_nothing)
{
    if (support_has_valgrind())
        cr_skip_test("valgrind does not keep to limits");
    create_and_close(SMALL, 0600);
    cr_assert_eq(run_forked(open_without_descriptors), 0);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(folder), 0, "it is empty");
}

/* Then the lowest free descriptor is one of the standard three. */
static int open_without_standard_streams(void)
{
    mpos_handle made, opened, reader, shared;
    char name[32];
    bool is_alone;

    for (int i = 0; i < 3; i++)
        close(i);
    snprintf(name, sizeof(name), "mp_unit_%ld", (long)getpid());
    if (create(SMALL, 0600, &made) != MP_OK ||
        mpos_file_open(path, false, &opened, &is_alone) != MP_OK ||
        mpos_file_open(path, true, &reader, &is_alone) != MP_OK ||
        mpos_shm_create(name, SMALL, &shared) != MP_OK ||
        mpos_shm_unlink(name) != MP_OK)
        return 1;
    if (is_alone || fcntl(0, F_GETFD) >= 0)
        return 2;
    return made > 2 && opened > 2 && reader > 2 && shared > 2 ? 0 : 3;
}

Test(os_file, handles_are_above_the_standard_three)
{
    cr_assert_eq(run_forked(open_without_standard_streams), 0);
}

/* -- Memory that other programs know --------------------------------------- */

static char name[32];

static void set_up_shm(void)
{
    snprintf(name, sizeof(name), "mp_unit_%ld", (long)getpid());
}

TestSuite(os_shm, .init = set_up_shm);

Test(os_shm, is_what_shm_open_finds)
{
    mpos_handle made;
    char *place, slashed[40];
    int found;

    ok(mpos_shm_create(name, SMALL, &made));
    cr_assert_eq(fcntl((int)made, F_GETFD), FD_CLOEXEC);
    snprintf(slashed, sizeof(slashed), "/%s", name);
    found = shm_open(slashed, O_RDWR, 0);
    cr_assert_geq(found, 0);
    place = mmap(NULL, SMALL, PROT_READ | PROT_WRITE, MAP_SHARED, found, 0);
    cr_assert_neq(place, MAP_FAILED);
    munmap(place, SMALL);
    close(found);
    mpos_close(made);
    ok(mpos_shm_unlink(name));
    cr_assert_eq(shm_open(slashed, O_RDWR, 0), -1);
}

Test(os_shm, name_lasts_until_it_is_unlinked_and_memory_until_it_is_closed)
{
    mpos_handle made, opened;
    void *place;

    ok(mpos_shm_create(name, SMALL, &made));
    mpos_close(made);
    ok(mpos_shm_open(name, &opened));
    ok(mpos_shm_unlink(name));
    cr_assert_eq(mpos_shm_open(name, &made), MP_ENOTFOUND);
    ok(mpos_memory_map(opened, &(mpos_extent){.size = SMALL}, &place));
    memset(place, 1, SMALL);
    mpos_memory_unmap(place, SMALL);
    mpos_close(opened);
}

static int create_shm_without_room(void)
{
    struct rlimit limit = {FILE_SIZE / 2, FILE_SIZE / 2};
    mpos_handle made = 42;

    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        return 1;
    if (mpos_shm_create(name, FILE_SIZE, &made) == MP_OK)
        return mpos_shm_unlink(name) == MP_OK ? 99 : 98;
    return made == 42 ? 0 : 2;
}

Test(os_shm, limit_is_an_error_that_leaves_nothing)
{
    mpos_handle opened;
    int code;

    if (support_has_valgrind())
        cr_skip_test("valgrind does not keep to limits");
    code = run_forked(create_shm_without_room);
    cr_assert_eq(mpos_shm_open(name, &opened), MP_ENOTFOUND);
    if (code == 99)
        cr_skip_test("shared memory is no file here");
    cr_assert_eq(code, 0);
}
