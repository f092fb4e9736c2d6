/* SPDX-License-Identifier: MIT */
/*
 * Names as POSIX has them, files: who may open them, and what happens when
 * somebody else has put something of that name there, or spoilt what is there.
 * Nothing is asked of damaged memory but that it harms nobody: an error with a
 * sentence, no signal, no waiting for ever.
 */
#include "support/check.h"
#include "support/methods.h"
#include "support/named.h"
#include "support/system.h"

#include "arena.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FILE_SIZE = 256 * 1024, NOBODY = 54321 };

/* Seconds. A file that another test keeps locked costs each list one. */
static const double short_time = 6;

static const support_kind *const a_lock = &support_kinds[0];

/* -- Files ----------------------------------------------------------------- */

/* The file in the folder whose name ends like that. */
static bool find_in(const char *folder, const char *name,
                    char path[SUPPORT_PATH_SIZE])
{
    DIR *directory = opendir(folder);
    bool is_found = false;
    const struct dirent *entry;

    if (directory == NULL)
        return false;
    while (!is_found && (entry = readdir(directory)) != NULL) {
        size_t length = strlen(entry->d_name);

        if (length < strlen(name) ||
            strcmp(entry->d_name + length - strlen(name), name) != 0)
            continue;
        support_join_path(folder, entry->d_name, path);
        is_found = true;
    }
    closedir(directory);
    return is_found;
}

static void find_file(const char *name, char path[SUPPORT_PATH_SIZE])
{
    cr_assert(find_in("/dev/shm", name, path) || find_in("/tmp", name, path));
}

/* What a thing of a new name looks like, which is gone again. */
typedef struct sample {
    char name[SUPPORT_NAME_SIZE];
    char path[SUPPORT_PATH_SIZE];
    unsigned char bytes[FILE_SIZE];
    size_t size;
} sample;

static void take_sample(sample *out)
{
    void *thing = support_open(a_lock, support_name(out->name), NULL);
    ssize_t got;
    int file;

    find_file(out->name, out->path);
    file = open(out->path, O_RDONLY | O_CLOEXEC);
    cr_assert_geq(file, 0);
    got = read(file, out->bytes, sizeof(out->bytes));
    cr_assert(got > 0 && (size_t)got < sizeof(out->bytes));
    out->size = (size_t)got;
    close(file);
    support_end(a_lock, out->name, thing);
}

static void put_file(const sample *at, const void *bytes, size_t size)
{
    int file = open(at->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    cr_assert_geq(file, 0, "%s", at->path);
    cr_assert_eq(write(file, bytes, size), (ssize_t)size);
    close(file);
}

static bool is_one_of(mp_error err, const mp_error *some, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (some[i] == err)
            return true;
    return false;
}

/* Fails only if the list does. kind NULL: any. */
static mp_error look_up(const char *name, const char *kind, bool *is_found)
{
    mp_named *all = NULL;
    size_t count = 0;
    mp_error err = mp_named_list(&all, &count);

    *is_found = false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0)
            *is_found = kind == NULL || strcmp(all[i].kind, kind) == 0;
    mp_free(all);
    return err;
}

static bool is_listed(const char *name, const char *kind)
{
    bool is_found;

    cr_assert_eq(look_up(name, kind, &is_found), MP_OK, "%s",
                 mp_error_message());
    return is_found;
}

/* What is there now is no lock, and says so to everybody. */
static void expect_refusal(const sample *at)
{
    static const mp_error some[] = {MP_EPROTO, MP_EVERSION, MP_EACCES};
    size_t handles = support_open_handles();
    double begin = mp_monotonic();

    for (int i = 0; i < SUPPORT_KINDS; i++) {
        void *thing = NULL;
        mp_error err = support_kinds[i].open(&thing, at->name, NULL);

        cr_assert(is_one_of(err, some, 3), "%s: %s", mp_error_name(err),
                  mp_error_message());
        cr_assert_not_null(strstr(mp_error_message(), at->name), "%s",
                           mp_error_message());
        support_refuse(&support_kinds[i], at->name, &support_existing, err);
        support_refuse(&support_kinds[i], at->name, &support_exclusively,
                       MP_EEXIST);
    }
    if (is_listed(at->name, NULL)) /* folders and the like are not */
        cr_assert(is_listed(at->name, "?"));
    cr_assert_lt(mp_monotonic() - begin, short_time);
    cr_assert_eq(support_open_handles(), handles);
}

static void expect_refusal_and_unlink(const sample *at)
{
    expect_refusal(at);
    cr_assert_eq(mp_named_unlink(at->name), MP_OK, "%s", mp_error_message());
    support_end(a_lock, at->name, support_open(a_lock, at->name, NULL));
}

/* -- What is no memory ----------------------------------------------------- */

Test(named_posix, an_empty_or_truncated_file_is_refused)
{
    static const size_t sizes[] = {0, 1, 7, 8, 12, 100, 511, 512, 513, 4096};
    static sample at;

    take_sample(&at);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        put_file(&at, at.bytes, sizes[i]);
        expect_refusal_and_unlink(&at);
    }
    put_file(&at, at.bytes, at.size - 64);
    expect_refusal_and_unlink(&at);
}

Test(named_posix, garbage_is_refused)
{
    static unsigned char garbage[FILE_SIZE];
    static sample at;

    take_sample(&at);
    for (size_t i = 0; i < 20; i++) {
        cr_assert_eq(mpos_random(garbage, sizeof(garbage)), MP_OK);
        put_file(&at, garbage, sizeof(garbage));
        expect_refusal_and_unlink(&at);
    }
}

Test(named_posix, a_huge_sparse_file_is_refused)
{
    static sample at;

    take_sample(&at);
    for (int with_bytes = 0; with_bytes < 2; with_bytes++) {
        put_file(&at, at.bytes, with_bytes ? 64 : 0);
        /* Not all file systems have such. */
        if (truncate(at.path, (off_t)1 << 42) != 0)
            cr_assert_eq(truncate(at.path, (off_t)1 << 32), 0);
        if (with_bytes == 0)
            expect_refusal(&at);
        else
            (void)is_listed(at.name, NULL);
        cr_assert_eq(mp_named_unlink(at.name), MP_OK);
    }
}

Test(named_posix, a_folder_a_pipe_and_links_are_refused)
{
    static sample at;
    static sample other;
    void *thing;

    take_sample(&at);
    take_sample(&other);
    cr_assert_eq(mkdir(at.path, 0700), 0);
    expect_refusal(&at);
    cr_assert_lt(mp_named_unlink(at.name), MP_OK);
    cr_assert_eq(rmdir(at.path), 0);

    cr_assert_eq(mkfifo(at.path, 0600), 0);
    expect_refusal_and_unlink(&at);

    cr_assert_eq(symlink("/nowhere/at/all", at.path), 0);
    expect_refusal_and_unlink(&at);

    thing = support_open(a_lock, other.name, NULL);
    cr_assert_eq(symlink(other.path, at.path), 0);
    expect_refusal_and_unlink(&at);
    support_end(a_lock, other.name, thing);
}

static void expect_other_name(const sample *at, const sample *other)
{
    support_refuse(a_lock, at->name, NULL, MP_EPROTO);
    cr_assert_not_null(strstr(mp_error_message(), at->name));
    cr_assert_not_null(strstr(mp_error_message(), other->name));
    support_refuse(a_lock, at->name, &support_existing, MP_EPROTO);
    cr_assert_eq(mp_named_unlink(at->name), MP_OK);
}

Test(named_posix, a_link_to_another_things_file_and_a_copy_are_refused)
{
    static sample at;
    static sample other;
    size_t handles;
    void *thing;

    take_sample(&at);
    take_sample(&other);
    thing = support_open(a_lock, other.name, NULL);
    handles = support_open_handles();
    cr_assert_eq(link(other.path, at.path), 0);
    expect_other_name(&at, &other);
    put_file(&at, other.bytes, other.size);
    expect_other_name(&at, &other);
    cr_assert_eq(support_open_handles(), handles);
    support_end(a_lock, other.name, thing);
}

Test(named_posix, a_file_that_stays_locked_is_refused_in_time, .timeout = 30)
{
    static sample at;
    double begin;
    int file;

    take_sample(&at);
    put_file(&at, at.bytes, at.size);
    file = open(at.path, O_RDONLY | O_CLOEXEC);
    cr_assert_eq(flock(file, LOCK_EX), 0);
    begin = mp_monotonic();
    support_refuse(a_lock, at.name, NULL, MP_EACCES);
    cr_assert(is_listed(at.name, "?"));
    cr_assert_eq(mp_named_unlink(at.name), MP_OK);
    cr_assert_lt(mp_monotonic() - begin, short_time);
    close(file);
}

Test(named_posix, another_version_is_refused)
{
    static sample at;

    take_sample(&at);
    at.bytes[8]++;
    put_file(&at, at.bytes, at.size);
    support_refuse(a_lock, at.name, NULL, MP_EVERSION);
    expect_refusal_and_unlink(&at);
}

/* One byte of it is another one. */
static void spoil(const sample *at, size_t place)
{
    static unsigned char bytes[FILE_SIZE];
    double begin = mp_monotonic();
    void *thing = NULL;
    mp_error err;

    memcpy(bytes, at->bytes, at->size);
    bytes[place] ^= 0xff;
    put_file(at, bytes, at->size);
    err = a_lock->open(&thing, at->name, NULL);
    if (err == MP_OK) {
        err = mp_lock_acquire(thing, 0);
        if (err == MP_OK || err == MP_OWNER_DIED)
            cr_assert_eq(mp_lock_release(thing), MP_OK);
        cr_assert_eq(mp_lock_close(thing), MP_OK);
    } else {
        cr_assert_str_not_empty(mp_error_message());
    }
    (void)is_listed(at->name, NULL);
    cr_assert_eq(mp_named_unlink(at->name), MP_OK);
    cr_assert_lt(mp_monotonic() - begin, short_time, "byte %zu", place);
}

/* What says that a living process changes the memory is believed. */
static bool is_believed(size_t place)
{
    size_t lock = offsetof(mpi_arena_header, lock);
    size_t records = offsetof(mpi_arena_header, records);

    return (place >= lock && place < lock + sizeof(mpos_word)) ||
           (place >= records && place < records + sizeof(uint32_t));
}

Test(named_posix, no_damaged_byte_does_harm, .timeout = 100)
{
    size_t step = support_is_watched() ? 7 : 1;
    static sample at;
    size_t cell = sizeof(mpi_arena_header);
    size_t handles;

    take_sample(&at);
    spoil(&at, 0);
    handles = support_open_handles();
    for (size_t i = 0; i < sizeof(mpi_arena_header); i += step)
        if (!is_believed(i))
            spoil(&at, i);
    /* The table is all zero; then comes the first cell. */
    while (cell < at.size && at.bytes[cell] == 0)
        cell++;
    for (size_t i = cell; i < cell + 2 * MPI_CELL_SIZE && i < at.size;
         i += step)
        spoil(&at, i);
    cr_assert_eq(support_open_handles(), handles);
}

/* -- Permissions ----------------------------------------------------------- */

static void expect_mode(unsigned asked, unsigned expected)
{
    mp_open_options options = {.permissions = asked};
    char name[SUPPORT_NAME_SIZE], path[SUPPORT_PATH_SIZE];
    void *thing = support_open(a_lock, support_name(name), &options);
    struct stat status;

    find_file(name, path);
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq((unsigned)status.st_mode & 07777U, expected, "0%o",
                 (unsigned)status.st_mode);
    cr_assert_eq(status.st_uid, geteuid());
    support_end(a_lock, name, thing);
}

Test(named_posix, permissions_are_those_asked_for_whatever_the_umask)
{
    static const unsigned masks[] = {022, 0, 0777};

    for (size_t i = 0; i < sizeof(masks) / sizeof(masks[0]); i++) {
        umask((mode_t)masks[i]);
        expect_mode(0, 0600);
        expect_mode(0600, 0600);
        expect_mode(0660, 0660);
        expect_mode(0666, 0666);
    }
}

static bool has_name(const char *name, const char *kind)
{
    bool is_found;

    return look_up(name, kind, &is_found) == MP_OK && is_found;
}

/* What another user finds: 0, or what was wrong. No assertions: this is no
 * test's process. */
static int try_as_nobody(const char *closed, const char *open)
{
    mp_lock *lock = NULL;

    if (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)
        return 100;
    if (mp_lock_open(&lock, closed, NULL) != MP_EACCES ||
        strstr(mp_error_message(), closed) == NULL)
        return 1;
    if (mp_lock_open(&lock, closed, &support_existing) != MP_EACCES)
        return 2;
    if (mp_lock_open(&lock, closed, &support_exclusively) != MP_EEXIST)
        return 3;
    if (mp_named_unlink(closed) != MP_EACCES)
        return 4;
    if (!has_name(closed, "?") || !has_name(open, "?"))
        return 5;
    if (mp_named_clean(NULL) != MP_OK || !has_name(open, "?"))
        return 6;
    if (mp_lock_open(&lock, open, NULL) != MP_OK)
        return 7;
    /* Root's process has it, and is seen to be alive. */
    if (mp_lock_acquire(lock, 0.7) != MP_TIMED_OUT)
        return 8;
    return mp_lock_close(lock) == MP_OK ? 0 : 9;
}

Test(named_posix, another_user_gets_in_where_permissions_let_it)
{
    mp_open_options for_all = {.permissions = 0666};
    char names[2][SUPPORT_NAME_SIZE];
    void *closed, *open;
    int status;
    pid_t pid;

    if (geteuid() != 0)
        cr_skip_test("only root can be another user");
    closed = support_open(a_lock, support_name(names[0]), NULL);
    open = support_open(a_lock, support_name(names[1]), &for_all);
    cr_assert_eq(mp_lock_acquire(open, 0), MP_OK);
    pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0)
        _exit(try_as_nobody(names[0], names[1]));
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status), "status %x", (unsigned)status);
    cr_assert_eq(WEXITSTATUS(status), 0, "step %d", WEXITSTATUS(status));
    cr_assert_eq(mp_lock_release(open), MP_OK);
    support_end(a_lock, names[0], closed);
    support_end(a_lock, names[1], open);
}

static bool is_listed_in_use(const char *name)
{
    mp_named *all = NULL;
    size_t count = 0;
    bool is_in_use = false;

    cr_assert_eq(mp_named_list(&all, &count), MP_OK);
    for (size_t i = 0; i < count; i++)
        if (strcmp(all[i].name, name) == 0)
            is_in_use = all[i].is_in_use;
    mp_free(all);
    return is_in_use;
}

/* Who could cut it short at that moment. */
Test(named_posix, what_is_another_users_is_listed_but_not_read)
{
    static sample at;

    if (geteuid() != 0)
        cr_skip_test("only root can give a file away");
    take_sample(&at);
    put_file(&at, at.bytes, at.size);
    cr_assert(is_listed(at.name, "Lock"));
    cr_assert_not(is_listed_in_use(at.name));
    cr_assert_eq(chown(at.path, NOBODY, NOBODY), 0);
    cr_assert(is_listed(at.name, "?"));
    cr_assert(is_listed_in_use(at.name));
    cr_assert_eq(mp_named_unlink(at.name), MP_OK);
}

Test(named_posix, what_may_not_be_read_is_refused)
{
    char name[SUPPORT_NAME_SIZE], path[SUPPORT_PATH_SIZE];
    void *thing;

    if (geteuid() == 0)
        cr_skip_test("root may read everything");
    thing = support_open(a_lock, support_name(name), NULL);
    find_file(name, path);
    cr_assert_eq(chmod(path, 0), 0);
    support_refuse(a_lock, name, NULL, MP_EACCES);
    cr_assert(is_listed(name, "?"));
    support_end(a_lock, name, thing);
}

/* -- Leftovers ------------------------------------------------------------- */

static void create_and_unlink(void)
{
    char name[SUPPORT_NAME_SIZE];

    for (int i = 0; i < SUPPORT_KINDS; i++) {
        void *thing = support_open(&support_kinds[i], support_name(name), NULL);

        support_end(&support_kinds[i], name, thing);
    }
}

Test(named_posix, nothing_remains_in_the_folder_of_shared_memory)
{
    size_t handles;

    create_and_unlink();
    handles = support_open_handles();
    for (int i = 0; i < 50; i++)
        create_and_unlink();
    cr_assert_eq(support_open_handles(), handles);
    cr_assert_eq(support_shared_names(".multiproc-"), 0U);
}
