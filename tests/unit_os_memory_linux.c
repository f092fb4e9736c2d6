/* SPDX-License-Identifier: MIT */
/*
 * Memory in files where Linux, or a file system, has less than there could be:
 * no files without a name, no renaming that replaces nothing, no hard links, no
 * fallocate(), no locks, no room. A filter of system calls makes it so.
 */
#include "os.h"

#include "support/check.h"
#include "support/expect.h"
#include "support/refuse_linux.h"
#include "support/system.h"
#include "support/threads.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MILLISECONDS(n) ((int64_t)(n)*1000000)
#define SECONDS(n) MILLISECONDS((n)*1000)

enum {
    SMALL = 4096,
    IMAGE_SIZE = 40000,
    FILE_SIZE = 300000,
    COUNTED_UNIT = 512, /* of st_blocks */
    DISK_SIZE = 1 << 20,
    THREADS = 4,
    KILLS = 100,
};

static unsigned char image[IMAGE_SIZE]; /* all 'x' */
static char folder[SUPPORT_PATH_SIZE];
static char path[SUPPORT_PATH_SIZE];
static char draft[SUPPORT_PATH_SIZE];

static void set_up_in(const char *place)
{
    if (place != folder)
        snprintf(folder, sizeof(folder), "%s", place);
    memset(image, 'x', sizeof(image));
    support_join_path(folder, "file", path);
    support_join_path(folder, "file.multiproc-draft", draft);
}

static void set_up(void)
{
    support_make_folder("unit-os-memory", folder);
    set_up_in(folder);
}

static void tear_down(void)
{
    support_remove_folder(folder);
}

static void refuse_or_skip(const long *numbers, size_t count, int error)
{
    if (!support_refuse(numbers, count, error))
        cr_skip_test("there are no filters of system calls here");
}

static mp_error create_sized(size_t size, mpos_handle *made)
{
    return mpos_file_create(path, (mpos_bytes){image, sizeof(image)}, size,
                            0640, made);
}

static mp_error create(mpos_handle *made)
{
    return create_sized(FILE_SIZE, made);
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

static bool is_there(const char *place)
{
    return faccessat(AT_FDCWD, place, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool is_all(const unsigned char *bytes, int value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

static unsigned char *map(mpos_handle handle, size_t size)
{
    void *place = NULL;

    ok(mpos_memory_map(handle, &(mpos_extent){.size = size}, &place));
    return place;
}

/* As create() makes it. */
static void check_content(mpos_handle handle)
{
    unsigned char *bytes;
    size_t size = 0;

    ok(mpos_memory_size(handle, &size));
    cr_assert_eq(size, (size_t)FILE_SIZE);
    bytes = map(handle, FILE_SIZE);
    cr_assert(is_all(bytes, 'x', IMAGE_SIZE));
    cr_assert(is_all(bytes + IMAGE_SIZE, 0, FILE_SIZE - IMAGE_SIZE));
    mpos_memory_unmap(bytes, FILE_SIZE);
}

/* Creates it, and nothing else. */
static void check_creation(void)
{
    mpos_handle made, opened;
    bool is_alone = true;
    size_t before;

    before = support_open_handles();
    ok(create(&made));
    cr_assert_not(is_there(draft));
    cr_assert_eq(status_of(path).st_nlink, 1U);
    cr_assert_eq(status_of(path).st_mode & 07777, 0640U);
    cr_assert_geq(reserved_by(path), (size_t)FILE_SIZE);
    check_content(made);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    cr_assert_not(is_alone, "its creator uses it");
    mpos_close(opened);
    cr_assert_eq(create(&opened), MP_EEXIST);
    mpos_close(made);
    cr_assert_eq(support_open_handles(), before);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    cr_assert(is_alone);
    mpos_close(opened);
}

/* -- Drafts ---------------------------------------------------------------- */

TestSuite(os_draft, .init = set_up, .fini = tear_down);

/* As on a file system where no file is without a name. */
static void refuse_nameless_files(void)
{
    static const long numbers[] = {SYS_linkat};

    refuse_or_skip(numbers, 1, EPERM);
}

/* link() is linkat() on newer processors. */
static void leave_only_link_or_skip(void)
{
    static const long numbers[] = {SYS_linkat, SYS_renameat2};

#ifndef SYS_link
    cr_skip_test("link() would be refused, too");
#endif
    refuse_or_skip(numbers, 2, EINVAL);
}

Test(os_draft, becomes_the_file_by_being_renamed)
{
    refuse_nameless_files();
    check_creation();
}

Test(os_draft, becomes_the_file_by_a_link_where_renaming_could_replace)
{
    leave_only_link_or_skip();
    check_creation();
}

Test(os_draft, is_refused_where_it_could_only_replace)
{
    static const long numbers[] = {
        SYS_linkat,
        SYS_renameat2,
#ifdef SYS_link
        SYS_link,
#endif
    };
    mpos_handle made = 42;
    size_t before = support_open_handles();

    refuse_or_skip(numbers, sizeof(numbers) / sizeof(numbers[0]), EPERM);
    cr_assert_eq(create(&made), MP_ENOTSUP, "%s", mp_error_message());
    cr_assert_not_null(strstr(mp_error_message(), path));
    cr_assert_eq(made, 42);
    cr_assert_not(is_there(path));
    cr_assert_not(is_there(draft));
    cr_assert_eq(support_open_handles(), before);
}

static void leave_draft(const char *text)
{
    int file = open(draft, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);

    cr_assert_geq(file, 0);
    cr_assert_eq(write(file, text, strlen(text)), (ssize_t)strlen(text));
    close(file);
}

Test(os_draft, left_by_a_killed_creator_is_taken_by_the_next)
{
    leave_draft("half of someth");
    refuse_nameless_files();
    check_creation();
}

Test(os_draft, is_not_what_else_has_its_name)
{
    char precious[SUPPORT_PATH_SIZE];
    char text[20];

    support_join_path(folder, "precious", precious);
    leave_draft("precious");
    cr_assert_eq(rename(draft, precious), 0);
    cr_assert_eq(link(precious, draft), 0);
    refuse_nameless_files();
    check_creation();
    support_read_file(precious, text, sizeof(text));
    cr_assert_str_eq(text, "precious");
}

static void check_is_in_the_way(void)
{
    mpos_handle made = 42;

    cr_assert_eq(create(&made), MP_EPROTO, "%s", mp_error_message());
    cr_assert_not_null(strstr(mp_error_message(), draft));
    cr_assert_eq(made, 42);
    cr_assert(is_there(draft));
    cr_assert_not(is_there(path));
}

Test(os_draft, is_not_made_where_something_else_is_in_the_way)
{
    refuse_nameless_files();
    cr_assert_eq(mkdir(draft, 0700), 0);
    check_is_in_the_way();
    cr_assert_eq(rmdir(draft), 0);
    cr_assert_eq(mkfifo(draft, 0600), 0);
    check_is_in_the_way();
    cr_assert_eq(unlink(draft), 0);
    cr_assert_eq(symlink("precious", draft), 0);
    check_is_in_the_way();
}

/* As somebody who is making it. */
static int lock_draft(void)
{
    int file;

    leave_draft("complete");
    file = open(draft, O_RDWR | O_CLOEXEC);
    cr_assert_eq(flock(file, LOCK_EX | LOCK_NB), 0);
    return file;
}

static void finish_soon(void *argument)
{
    (void)argument;
    mpos_sleep_until(mpos_now() + MILLISECONDS(100));
    rename(draft, path);
}

Test(os_draft, of_somebody_else_is_waited_for)
{
    mpos_handle made = 42;
    mpos_thread thread;
    char text[20];
    int file;

    refuse_nameless_files();
    file = lock_draft();
    ok(mpos_thread_start(finish_soon, NULL, &thread));
    cr_assert_eq(create(&made), MP_EEXIST, "%s", mp_error_message());
    cr_assert_eq(made, 42);
    support_read_file(path, text, sizeof(text));
    cr_assert_str_eq(text, "complete");
    mpos_thread_join(thread);
    close(file);
}

static void let_go_soon(void *argument)
{
    mpos_sleep_until(mpos_now() + MILLISECONDS(100));
    close(*(int *)argument);
}

Test(os_draft, of_somebody_who_is_killed_is_taken_at_once)
{
    int64_t before = mpos_now();
    mpos_thread thread;
    int file;

    refuse_nameless_files();
    file = lock_draft();
    ok(mpos_thread_start(let_go_soon, &file, &thread));
    /* The locks of who is killed go as if it had closed them. */
    ok(create(&(mpos_handle){0}));
    cr_assert_lt(mpos_now(), before + SECONDS(5));
    cr_assert_not(is_there(draft));
    mpos_thread_join(thread);
}

Test(os_draft, that_is_never_finished_is_not_waited_for_for_ever, .timeout = 60)
{
    mpos_handle made = 42;
    int file;

    refuse_nameless_files();
    file = lock_draft();
    cr_assert_eq(create(&made), MP_ESTATE);
    cr_assert_not_null(strstr(mp_error_message(), draft));
    cr_assert_eq(made, 42);
    cr_assert(is_there(draft));
    cr_assert_not(is_there(path));
    close(file);
}

Test(os_draft, that_finds_no_folder_says_so)
{
    mpos_handle made = 42;

    refuse_nameless_files();
    cr_assert_eq(rmdir(folder), 0);
    cr_assert_eq(create(&made), MP_ENOTFOUND, "%s", mp_error_message());
    cr_assert_eq(made, 42);
}

/* -- Draft races ----------------------------------------------------------- */

static mpi_atomic32 asked, go, created, done, failures;

static void race_to_create(void *argument)
{
    uint32_t round = *(uint32_t *)argument;
    mpos_handle made;
    mp_error error;

    mpi_atomic32_add(&asked, 1);
    while (mpi_atomic32_load(&go) == round)
        mpos_sleep_until(mpos_now() + MILLISECONDS(1) / 10);
    error = create(&made);
    if (error == MP_OK) {
        mpi_atomic32_add(&created, 1);
        mpos_close(made);
    } else if (error != MP_EEXIST) {
        mpi_atomic32_add(&failures, 1);
    }
    mpi_atomic32_add(&done, 1);
}

static void wait_for(const mpi_atomic32 *number)
{
    int64_t deadline = mpos_now() + SECONDS(20);

    while (mpi_atomic32_load(number) < THREADS) {
        cr_assert_lt(mpos_now(), deadline);
        mpos_sleep_until(mpos_now() + MILLISECONDS(1) / 10);
    }
}

static void check_race(uint32_t round)
{
    mpos_thread threads[THREADS];
    mpos_handle opened;
    bool is_alone;

    mpi_atomic32_store(&asked, 0);
    mpi_atomic32_store(&created, 0);
    mpi_atomic32_store(&done, 0);
    support_start_threads(threads, THREADS, race_to_create, &round);
    wait_for(&asked);
    mpi_atomic32_store(&go, round + 1);
    wait_for(&done);
    support_join_threads(threads, THREADS);
    cr_assert_eq(mpi_atomic32_load(&created), 1U);
    cr_assert_eq(mpi_atomic32_load(&failures), 0U);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    check_content(opened);
    mpos_close(opened);
    cr_assert_not(is_there(draft));
    cr_assert_eq(unlink(path), 0);
}

Test(os_draft, is_finished_by_one_of_many, .timeout = 60)
{
    uint32_t rounds = (uint32_t)support_scaled(100);

    refuse_nameless_files();
    for (uint32_t round = 0; round < rounds; round++)
        check_race(round);
}

Test(os_draft, is_linked_by_one_of_many, .timeout = 60)
{
    uint32_t rounds = (uint32_t)support_scaled(100);

    leave_only_link_or_skip();
    for (uint32_t round = 0; round < rounds; round++)
        check_race(round);
}

static void create_until_killed(mpos_handle writer)
{
    mpos_handle made;
    size_t written;

    (void)mpos_write(writer, &(mpos_bytes){"!", 1}, 1, &written);
    for (;;) {
        if (create(&made) != MP_OK)
            _exit(1);
        mpos_close(made);
        unlink(path);
    }
}

static void kill_a_creator(void)
{
    mpos_handle reader, writer;
    mpos_process child;
    bool is_child;
    unsigned chance = 0;
    char byte;
    size_t got;
    int code;

    ok(mpos_pipe(&reader, &writer));
    ok(mpos_fork(&child, &is_child));
    if (is_child)
        create_until_killed(writer);
    ok(mpos_read(reader, &byte, 1, &got));
    ok(mpos_random(&chance, sizeof(chance)));
    mpos_sleep_until(mpos_now() + chance % MILLISECONDS(2));
    ok(mpos_send_signal(&child, MPOS_KILL));
    ok(mpos_reap(&child, mpos_now() + SECONDS(20), &code));
    cr_assert_lt(code, 0);
    mpos_process_close(&child);
    mpos_close(reader);
    mpos_close(writer);
}

static void check_kills(void)
{
    size_t kills = support_scaled(KILLS);
    size_t drafts = 0;
    mpos_handle made;
    bool is_alone;

    for (size_t i = 0; i < kills; i++) {
        kill_a_creator();
        drafts += is_there(draft);
        if (mpos_file_open(path, false, &made, &is_alone) == MP_OK) {
            cr_assert(is_alone);
            check_content(made);
            mpos_close(made);
            cr_assert_eq(unlink(path), 0);
        }
    }
    cr_log_info("%zu drafts of %zu were left\n", drafts, kills);
    ok(create(&made));
    cr_assert_not(is_there(draft));
    mpos_close(made);
}

Test(os_draft, killed_creator_leaves_all_or_nothing, .timeout = 60)
{
    refuse_nameless_files();
    check_kills();
}

Test(os_draft, killed_creator_that_links_leaves_all_or_nothing, .timeout = 60)
{
    leave_only_link_or_skip();
    check_kills();
}

/* -- Without fallocate() --------------------------------------------------- */

TestSuite(os_room, .init = set_up, .fini = tear_down);

/* As on NFS. */
static void refuse_to_allocate(void)
{
    static const long numbers[] = {SYS_fallocate};

    refuse_or_skip(numbers, 1, EOPNOTSUPP);
}

Test(os_room, is_written_where_the_file_system_does_not_reserve)
{
    refuse_to_allocate();
    check_creation();
}

Test(os_room, is_written_where_the_kernel_does_not_reserve)
{
    static const long numbers[] = {SYS_fallocate};

    refuse_or_skip(numbers, 1, ENOSYS);
    check_creation();
}

Test(os_room, for_more_is_written_behind_what_is_there)
{
    mpos_handle made;
    unsigned char *bytes;

    refuse_to_allocate();
    ok(create_sized(SMALL, &made));
    bytes = map(made, FILE_SIZE);
    ok(mpos_memory_grow(made, SMALL, FILE_SIZE));
    cr_assert(is_all(bytes, 'x', IMAGE_SIZE), "what is there is left alone");
    cr_assert(is_all(bytes + IMAGE_SIZE, 0, FILE_SIZE - IMAGE_SIZE));
    cr_assert_geq(reserved_by(path), (size_t)FILE_SIZE);
    memset(bytes, 'y', FILE_SIZE);
    ok(mpos_memory_grow(made, SMALL, FILE_SIZE));
    cr_assert(is_all(bytes, 'y', FILE_SIZE));
    mpos_memory_unmap(bytes, FILE_SIZE);
    mpos_close(made);
}

Test(os_room, that_was_returned_is_the_systems_again)
{
    mpos_handle made;
    unsigned char *bytes;

    ok(create_sized(FILE_SIZE, &made));
    bytes = map(made, FILE_SIZE);
    memset(bytes, 'x', FILE_SIZE);
    mpos_memory_return(made, FILE_SIZE / 2, FILE_SIZE);
    /* But for pages of which only a part was returned. */
    cr_assert_leq(reserved_by(path), (size_t)FILE_SIZE / 2 + 2 * SMALL);
    cr_assert(is_all(bytes, 'x', FILE_SIZE / 2));
    ok(mpos_memory_grow(made, FILE_SIZE / 2, FILE_SIZE));
    cr_assert_geq(reserved_by(path), (size_t)FILE_SIZE);
    cr_assert(is_all(bytes + FILE_SIZE / 2, 0, FILE_SIZE / 2));
    mpos_memory_unmap(bytes, FILE_SIZE);
    mpos_close(made);
}

Test(os_room, for_memory_without_a_name_is_written_too)
{
    mpos_handle memory, shared;
    unsigned char *bytes;
    char name[40];

    refuse_to_allocate();
    ok(mpos_memory_create(FILE_SIZE, 0, &memory));
    ok(mpos_memory_grow(memory, FILE_SIZE, (size_t)2 * FILE_SIZE));
    bytes = map(memory, (size_t)2 * FILE_SIZE);
    cr_assert(is_all(bytes, 0, (size_t)2 * FILE_SIZE));
    mpos_memory_unmap(bytes, (size_t)2 * FILE_SIZE);
    mpos_close(memory);
    snprintf(name, sizeof(name), "mp_unit_%ld", (long)getpid());
    ok(mpos_shm_create(name, FILE_SIZE, &shared));
    bytes = map(shared, FILE_SIZE);
    cr_assert(is_all(bytes, 0, FILE_SIZE));
    mpos_memory_unmap(bytes, FILE_SIZE);
    mpos_close(shared);
    ok(mpos_shm_unlink(name));
}

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

Test(os_room, in_holes_is_written_by_who_is_alone)
{
    mpos_handle opened;
    unsigned char *bytes;
    bool is_alone;
    int user;

    make_sparse_file();
    refuse_to_allocate();
    user = open(path, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(flock(user, LOCK_SH), 0);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    cr_assert_not(is_alone);
    cr_assert_lt(reserved_by(path), (size_t)FILE_SIZE,
                 "what another one stores could be lost");
    close(user);
    mpos_close(opened);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    cr_assert(is_alone);
    cr_assert_geq(reserved_by(path), (size_t)FILE_SIZE);
    bytes = map(opened, FILE_SIZE);
    cr_assert_arr_eq(bytes + FILE_SIZE / 2, "middle", 6);
    memset(bytes + FILE_SIZE / 2, 0, 6);
    cr_assert(is_all(bytes, 0, FILE_SIZE));
    mpos_memory_unmap(bytes, FILE_SIZE);
    mpos_close(opened);
}

/* -- Without locks --------------------------------------------------------- */

TestSuite(os_lock, .init = set_up, .fini = tear_down);

Test(os_lock, where_there_is_none_nothing_is_created_and_nobody_is_alone)
{
    static const long numbers[] = {SYS_flock};
    mpos_handle opened = 42;
    bool is_alone = true;

    leave_draft("of another program");
    cr_assert_eq(rename(draft, path), 0);
    refuse_or_skip(numbers, 1, ENOLCK);
    ok(mpos_file_open(path, false, &opened, &is_alone));
    cr_assert_not(is_alone);
    mpos_file_admit(opened);
    mpos_close(opened);
    ok(mpos_file_open(path, true, &opened, &is_alone));
    mpos_close(opened);
    cr_assert_eq(unlink(path), 0);
    opened = 42;
    cr_assert_eq(create(&opened), MP_ENOTSUP);
    cr_assert_not_null(strstr(mp_error_message(), "flock"));
    cr_assert_eq(opened, 42);
    cr_assert_not(is_there(path));
    cr_assert_not(is_there(draft));
}

/* -- A full disk ----------------------------------------------------------- */

/* In namespaces of its own this process may do as it likes. */
static void set_up_disk(void)
{
    char place[] = "/tmp/unit-os-memory-XXXXXX";

    if (mkdtemp(place) == NULL)
        return;
    set_up_in(place);
}

static void mount_or_skip(void)
{
    if ((unshare(CLONE_NEWNS) != 0 &&
         unshare(CLONE_NEWNS | CLONE_NEWUSER) != 0) ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", folder, "tmpfs", 0, "size=1048576") != 0)
        cr_skip_test("this user can't mount anything");
}

static void tear_down_disk(void)
{
    umount2(folder, MNT_DETACH);
    rmdir(folder);
}

static size_t room_left(void)
{
    struct statvfs status;

    cr_assert_eq(statvfs(folder, &status), 0);
    return (size_t)status.f_bavail * status.f_frsize;
}

TestSuite(os_disk, .init = set_up_disk, .fini = tear_down_disk);

/* What another file takes meanwhile can't be reserved again. */
static void check_return(mpos_handle made)
{
    char other[sizeof(path) + 8];
    mpos_handle greedy;
    size_t before;

    mpos_memory_return(made, FILE_SIZE, DISK_SIZE - SMALL);
    if (room_left() < (size_t)DISK_SIZE / 2)
        return; /* this file system can't */
    snprintf(other, sizeof(other), "%s.other", path);
    ok(mpos_file_create(other, (mpos_bytes){"x", 1}, DISK_SIZE / 2, 0600,
                        &greedy));
    before = room_left();
    cr_assert_eq(mpos_memory_grow(made, FILE_SIZE, DISK_SIZE - SMALL),
                 MP_ENOSPC);
    cr_assert_eq(room_left(), before);
    mpos_close(greedy);
    unlink(other);
    ok(mpos_memory_grow(made, FILE_SIZE, DISK_SIZE - SMALL));
}

static void check_full_disk(void)
{
    size_t before = room_left();
    mpos_handle made = 42;

    cr_assert_eq(create_sized(2 * DISK_SIZE, &made), MP_ENOSPC, "%s",
                 mp_error_message());
    cr_assert_eq(create_sized(DISK_SIZE + SMALL, &made), MP_ENOSPC);
    cr_assert_eq(made, 42);
    cr_assert_not(is_there(path));
    cr_assert_not(is_there(draft));
    cr_assert_eq(room_left(), before, "what was taken is given back");
    ok(create(&made));
    before = room_left();
    cr_assert_eq(mpos_memory_grow(made, FILE_SIZE, 2 * DISK_SIZE), MP_ENOSPC);
    cr_assert_eq(room_left(), before);
    check_content(made);
    ok(mpos_memory_grow(made, FILE_SIZE, DISK_SIZE - SMALL));
    check_return(made);
    mpos_close(made);
}

Test(os_disk, that_is_full_is_an_error_that_leaves_nothing)
{
    mount_or_skip();
    check_full_disk();
}

Test(os_disk, that_is_full_is_seen_by_who_writes_too)
{
    mount_or_skip();
    refuse_to_allocate();
    check_full_disk();
}

Test(os_disk, that_is_full_leaves_holes_that_nobody_may_store_into)
{
    mpos_handle opened = 42;
    bool is_alone = true;
    size_t before;

    mount_or_skip();
    make_sparse_file();
    cr_assert_eq(truncate(path, 2 * DISK_SIZE), 0);
    before = room_left();
    cr_assert_eq(mpos_file_open(path, false, &opened, &is_alone), MP_ENOSPC);
    cr_assert_eq(opened, 42);
    cr_assert_eq(room_left(), before);
    ok(mpos_file_open(path, true, &opened, &is_alone));
    mpos_close(opened);
}

Test(os_disk, that_is_full_has_room_for_all_that_was_made)
{
    static unsigned char block[SMALL];
    mpos_handle made;
    unsigned char *bytes;
    int filler;

    mount_or_skip();
    ok(create_sized(DISK_SIZE / 2, &made));
    filler = open(draft, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    while (write(filler, block, sizeof(block)) > 0)
        ;
    close(filler);
    cr_assert_eq(room_left(), 0U);
    bytes = map(made, DISK_SIZE / 2);
    memset(bytes, 'z', DISK_SIZE / 2);
    mpos_memory_unmap(bytes, DISK_SIZE / 2);
    mpos_close(made);
}
