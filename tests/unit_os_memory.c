/* SPDX-License-Identifier: MIT */
/*
 * The seam (src/os.h) once more: what of memory is mapped, memory in the user's
 * files, memory that other programs know by name. The same file judges every
 * port.
 *
 * Children are this very program. A constructor sees in the environment which
 * role to play, plays it with what is in shared memory, and exits.
 */
#include "os.h"

#include "support/check.h"
#include "support/constructor.h"
#include "support/expect.h"
#include "support/system.h"
#include "support/threads.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MILLISECONDS(n) ((int64_t)(n)*1000000)
#define SECONDS(n) MILLISECONDS((n)*1000)
#define ROLE "UNIT_OS_MEMORY_ROLE"

/* Whoever waits that long has missed something. */
#define PATIENCE SECONDS(20)

enum {
    UNIT = MPOS_MAP_UNIT,
    SMALL = 4096,
    IMAGE_SIZE = 40000,
    FILE_SIZE = 300000,
    THREADS = 4,
    KILLS = 200,
};

/* What all processes of a test share. */
typedef struct common_memory {
    mpi_atomic32 stage;
    mpi_atomic32 asked;
    mpi_atomic32 used;
    mpi_atomic32 alone;
    mpi_atomic32 made;
    mpi_atomic32 done;
    mpi_atomic32 failures;
    mpi_atomic32 must_end;
    int64_t passenger; /* a handle that the child inherits */
    char path[SUPPORT_PATH_SIZE];
} common_memory;

static mpos_handle memory;
static common_memory *common;

/* -- Waiting --------------------------------------------------------------- */

static bool reaches(const mpi_atomic32 *number, uint32_t value)
{
    int64_t deadline = mpos_now() + PATIENCE;

    while (mpi_atomic32_load(number) < value) {
        if (mpos_now() > deadline)
            return false;
        mpos_sleep_until(mpos_now() + MILLISECONDS(1) / 4);
    }
    return true;
}

static void wait_for(const mpi_atomic32 *number, uint32_t value)
{
    cr_assert(reaches(number, value), "%u of %u", mpi_atomic32_load(number),
              value);
}

/* -- What children do ------------------------------------------------------ */

/* Opens the file and uses it until it is told to end. */
static int role_use(void)
{
    mpos_handle file;
    bool is_alone;

    mpi_atomic32_store(&common->stage, 1);
    if (mpos_file_open(common->path, false, &file, &is_alone) != MP_OK)
        return 1;
    if (is_alone)
        mpos_file_admit(file);
    mpi_atomic32_store(&common->alone, is_alone);
    mpi_atomic32_store(&common->stage, 2);
    return reaches(&common->must_end, 1) ? 0 : 2;
}

/* Opens the file, and lets nobody else in if it is alone. */
static int role_occupy(void)
{
    mpos_handle file;
    bool is_alone;

    if (mpos_file_open(common->path, false, &file, &is_alone) != MP_OK)
        return 1;
    mpi_atomic32_store(&common->alone, is_alone);
    mpi_atomic32_store(&common->stage, 2);
    return reaches(&common->must_end, 1) ? 0 : 2;
}

/* Has inherited a handle, and does nothing with it. */
static int role_hold(void)
{
    mpi_atomic32_store(&common->stage, 2);
    return reaches(&common->must_end, 1) ? 0 : 1;
}

static unsigned char image[IMAGE_SIZE]; /* all 'x' */

static mp_error create_image(mpos_handle *made)
{
    return mpos_file_create(common->path, (mpos_bytes){image, sizeof(image)},
                            FILE_SIZE, 0600, made);
}

/* Until it is killed. */
static int role_create(void)
{
    mpi_atomic32_store(&common->stage, 2);
    for (;;) {
        mpos_handle made;

        if (create_image(&made) != MP_OK)
            return 1;
        mpos_close(made);
        support_remove_file(common->path);
    }
}

/* Another program's side of shm: adds one to the first byte. */
static int role_add(void)
{
    const mpos_extent extent = {.size = SMALL};
    mpos_handle opened;
    void *bytes;

    if (mpos_shm_open(common->path, &opened) != MP_OK ||
        mpos_memory_map(opened, &extent, &bytes) != MP_OK)
        return 1;
    ++*(unsigned char *)bytes;
    return 0;
}

/* Has shm mapped, but no longer open. */
static int role_map(void)
{
    const mpos_extent extent = {.size = SMALL};
    mpos_handle opened;
    void *bytes;

    if (mpos_shm_open(common->path, &opened) != MP_OK ||
        mpos_memory_map(opened, &extent, &bytes) != MP_OK)
        return 1;
    mpos_close(opened);
    mpi_atomic32_store(&common->stage, 2);
    return reaches(&common->must_end, 1) ? 0 : 2;
}

typedef struct child_role {
    const char *name;
    int (*run)(void);
} child_role;

static const child_role roles[] = {
    {"use", role_use},       {"occupy", role_occupy}, {"hold", role_hold},
    {"create", role_create}, {"add", role_add},       {"map", role_map},
};

static void map_common(void)
{
    const mpos_extent extent = {.size = sizeof(*common)};
    void *place;

    if (mpos_memory_map(memory, &extent, &place) != MP_OK)
        mpos_exit(91);
    common = place;
    memset(image, 'x', sizeof(image));
}

/* "<role> <memory>" */
SUPPORT_CONSTRUCTOR(play_role)
{
    char wanted[100];
    char role[32];
    long long number;

    if (getenv(ROLE) == NULL)
        return;
    if (mpos_take_variable(ROLE, wanted, sizeof(wanted)) != MP_OK ||
        sscanf(wanted, "%31s %lld", role, &number) != 2)
        mpos_exit(90);
    memory = (mpos_handle)number;
    map_common();
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(roles[i].name, role) == 0)
            mpos_exit(roles[i].run());
    }
    mpos_exit(92);
}

/* -- Starting them --------------------------------------------------------- */

static char folder[SUPPORT_PATH_SIZE];

static void set_up(void)
{
    ok(mpos_memory_create(sizeof(*common), 0, &memory));
    map_common();
    common->passenger = MPOS_NONE;
    support_make_folder("unit-os-gr\xc3\xbcn", folder);
    support_join_path(folder, "array \xe6\x97\xa5", common->path);
}

static void tear_down(void)
{
    mpos_memory_unmap(common, sizeof(*common));
    mpos_close(memory);
    support_remove_folder(folder);
}

static void start(mpos_process *child, const char *role)
{
    char variable[100];
    const mpos_handle handles[] = {memory, (mpos_handle)common->passenger};
    const mpos_spawn_options options = {
        .variable = variable,
        .handles = handles,
        .handle_count = common->passenger == MPOS_NONE ? 1 : 2,
    };

    snprintf(variable, sizeof(variable), "%s=%s %lld", ROLE, role,
             (long long)memory);
    mpi_atomic32_store(&common->stage, 0);
    mpi_atomic32_store(&common->must_end, 0);
    ok(mpos_spawn(child, &options));
}

static int end_of(mpos_process *child)
{
    int code = 12345;

    ok(mpos_reap(child, mpos_now() + SECONDS(60), &code));
    mpos_process_close(child);
    return code;
}

static void let_end(mpos_process *child)
{
    mpi_atomic32_store(&common->must_end, 1);
    cr_assert_eq(end_of(child), 0);
}

static void kill_child(mpos_process *child)
{
    ok(mpos_send_signal(child, MPOS_KILL));
    cr_assert_lt(end_of(child), 0);
}

/* -- Mapping --------------------------------------------------------------- */

static unsigned char *map_part(mpos_handle handle, size_t offset, size_t size,
                               bool is_read_only)
{
    const mpos_extent extent = {offset, size, is_read_only};
    void *place = NULL;

    ok(mpos_memory_map(handle, &extent, &place));
    return place;
}

static unsigned char *map(mpos_handle handle, size_t size)
{
    return map_part(handle, 0, size, false);
}

static bool is_all(const unsigned char *bytes, int value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != value)
            return false;
    }
    return true;
}

static void check_units(mpos_handle handle)
{
    unsigned char *whole = map(handle, 3 * UNIT);

    for (size_t i = 0; i < 3; i++)
        memset(whole + i * UNIT, 'a' + (int)i, UNIT);
    for (size_t i = 0; i < 3; i++) {
        unsigned char *part = map_part(handle, i * UNIT, UNIT, false);

        cr_assert(is_all(part, 'a' + (int)i, UNIT));
        part[UNIT - 1] = '!';
        cr_assert_eq(whole[(i + 1) * UNIT - 1], '!');
        mpos_memory_unmap(part, UNIT);
    }
    mpos_memory_unmap(whole, 3 * UNIT);
}

TestSuite(os_map, .init = set_up, .fini = tear_down);

Test(os_map, begins_at_the_offset_asked_for)
{
    mpos_handle large;

    ok(mpos_memory_create(3 * UNIT, 0, &large));
    check_units(large);
    mpos_close(large);
    ok(mpos_file_create(common->path, (mpos_bytes){"", 0}, 3 * UNIT, 0600,
                        &large));
    check_units(large);
    mpos_close(large);
}

Test(os_map, may_end_anywhere)
{
    mpos_handle large;
    unsigned char *whole, *part;

    ok(mpos_memory_create(UNIT + 100, 0, &large));
    whole = map(large, UNIT + 100);
    part = map_part(large, UNIT, 100, false);
    memset(part, 'x', 100);
    cr_assert(is_all(whole, 0, UNIT));
    cr_assert(is_all(whole + UNIT, 'x', 100));
    mpos_memory_unmap(whole, UNIT + 100);
    mpos_memory_unmap(part, 100);
    mpos_close(large);
}

Test(os_map, to_read_shows_what_others_write)
{
    mpos_handle shared;
    unsigned char *written, *seen;

    ok(mpos_memory_create(2 * UNIT, 0, &shared));
    written = map(shared, 2 * UNIT);
    seen = map_part(shared, UNIT, UNIT, true);
    cr_assert(is_all(seen, 0, UNIT));
    memset(written + UNIT, 'w', UNIT);
    cr_assert(is_all(seen, 'w', UNIT));
    mpos_memory_unmap(written, 2 * UNIT);
    mpos_memory_unmap(seen, UNIT);
    mpos_close(shared);
}

Test(os_map, of_nothing_is_given_back_as_nothing)
{
    mpos_memory_unmap(NULL, 100);
}

/* -- Files ----------------------------------------------------------------- */

static void create_file(const char *text, size_t size, mpos_handle *handle)
{
    ok(mpos_file_create(common->path, (mpos_bytes){text, strlen(text) + 1},
                        size, 0600, handle));
}

static mpos_handle open_file(bool *is_alone)
{
    mpos_handle opened = MPOS_NONE;

    ok(mpos_file_open(common->path, false, &opened, is_alone));
    return opened;
}

static void open_and_close(bool must_be_alone)
{
    bool is_alone;
    mpos_handle opened = open_file(&is_alone);

    cr_assert_eq(is_alone, must_be_alone);
    if (is_alone)
        mpos_file_admit(opened);
    mpos_close(opened);
}

/* What is in the file, as anybody reads it. */
static void check_text(const char *expected)
{
    char text[100];

    support_read_file(common->path, text, sizeof(text));
    cr_assert_str_eq(text, expected);
}

static void write_file(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");

    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

/* fopen() does not take UTF-8 everywhere. */
static void use_plain_path(void)
{
    support_remove_folder(folder);
    support_make_folder("unit-os-memory", folder);
    support_join_path(folder, "file", common->path);
}

TestSuite(os_file, .init = set_up, .fini = tear_down);

Test(os_file, begins_with_its_image_and_goes_on_with_zeros)
{
    mpos_handle made;
    size_t size = 0;
    unsigned char *bytes;

    create_file("image", FILE_SIZE, &made);
    ok(mpos_memory_size(made, &size));
    cr_assert_geq(size, (size_t)FILE_SIZE);
    bytes = map(made, FILE_SIZE);
    cr_assert_str_eq((char *)bytes, "image");
    cr_assert(is_all(bytes + 6, 0, FILE_SIZE - 6));
    mpos_memory_unmap(bytes, FILE_SIZE);
    mpos_close(made);
}

Test(os_file, is_as_large_as_its_image_at_least)
{
    mpos_handle made;
    size_t size = 0;
    unsigned char *bytes;

    ok(create_image(&made));
    mpos_close(made);
    support_remove_file(common->path);
    create_file("image", 3, &made);
    ok(mpos_memory_size(made, &size));
    cr_assert_geq(size, 6U);
    bytes = map(made, 6);
    cr_assert_str_eq((char *)bytes, "image");
    mpos_memory_unmap(bytes, 6);
    mpos_close(made);
}

Test(os_file, keeps_what_was_stored_when_nobody_uses_it)
{
    mpos_handle made;
    unsigned char *bytes;
    bool is_alone;

    create_file("old", FILE_SIZE, &made);
    bytes = map(made, FILE_SIZE);
    memcpy(bytes, "new", 3);
    bytes[FILE_SIZE - 1] = 'z';
    mpos_memory_unmap(bytes, FILE_SIZE);
    mpos_close(made);
    made = open_file(&is_alone);
    bytes = map(made, FILE_SIZE);
    cr_assert_str_eq((char *)bytes, "new");
    cr_assert_eq(bytes[FILE_SIZE - 1], 'z');
    mpos_memory_unmap(bytes, FILE_SIZE);
    mpos_close(made);
}

Test(os_file, is_shared_by_all_who_have_it_open)
{
    mpos_handle made, opened;
    unsigned char *first, *second;
    bool is_alone = true;

    create_file("text", SMALL, &made);
    opened = open_file(&is_alone);
    cr_assert_not(is_alone);
    first = map(made, SMALL);
    second = map(opened, SMALL);
    cr_assert_neq(first, second);
    first[100] = 'f';
    cr_assert_eq(second[100], 'f');
    mpos_memory_unmap(first, SMALL);
    mpos_memory_unmap(second, SMALL);
    mpos_close(made);
    mpos_close(opened);
}

Test(os_file, that_exists_is_not_created_again)
{
    mpos_handle made, other = 42;
    unsigned char *bytes;

    create_file("first", SMALL, &made);
    cr_assert_eq(mpos_file_create(common->path, (mpos_bytes){"other", 6}, 0,
                                  0600, &other),
                 MP_EEXIST);
    cr_assert_eq(other, 42);
    cr_assert_not_null(strstr(mp_error_message(), common->path));
    bytes = map(made, SMALL);
    cr_assert_str_eq((char *)bytes, "first");
    mpos_memory_unmap(bytes, SMALL);
    mpos_close(made);
    cr_assert_eq(mpos_file_create(folder, (mpos_bytes){"x", 2}, 0, 0600, &made),
                 MP_EEXIST);
}

static void check_not_found(void)
{
    mpos_handle opened = 42;
    bool is_alone = true;

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(mpos_file_open(common->path, i == 1, &opened, &is_alone),
                     MP_ENOTFOUND);
        cr_assert_not_null(strstr(mp_error_message(), common->path));
        cr_assert_eq(opened, 42);
        cr_assert(is_alone, "outputs are untouched");
    }
}

Test(os_file, that_does_not_exist_is_not_found)
{
    check_not_found();
}

Test(os_file, in_a_folder_that_does_not_exist_is_not_found)
{
    mpos_handle made = 42;

    support_join_path(folder, "missing/file", common->path);
    check_not_found();
    cr_assert_eq(mpos_file_create(common->path, (mpos_bytes){"x", 2}, SMALL,
                                  0600, &made),
                 MP_ENOTFOUND);
    cr_assert_eq(made, 42);
    cr_assert_str_not_empty(mp_error_message());
}

Test(os_file, that_is_a_folder_is_no_memory)
{
    mpos_handle opened = 42;
    bool is_alone = true;

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(mpos_file_open(folder, i == 1, &opened, &is_alone),
                     MP_EPROTO, "%s", mp_error_message());
        cr_assert_not_null(strstr(mp_error_message(), folder));
    }
    cr_assert_eq(opened, 42);
    cr_assert(is_alone, "outputs are untouched");
}

Test(os_file, of_another_program_is_just_bytes)
{
    mpos_handle opened;
    unsigned char *bytes;
    bool is_alone = true;
    size_t size = 0;

    use_plain_path();
    write_file(common->path, "hello", 5);
    ok(mpos_file_open(common->path, true, &opened, &is_alone));
    cr_assert_not(is_alone, "who only reads is never alone");
    ok(mpos_memory_size(opened, &size));
    cr_assert_geq(size, 5U);
    bytes = map_part(opened, 0, 5, true);
    cr_assert_arr_eq(bytes, "hello", 5);
    mpos_memory_unmap(bytes, 5);
    mpos_close(opened);
    opened = open_file(&is_alone);
    bytes = map(opened, 5);
    memcpy(bytes, "HELLO", 5);
    mpos_memory_unmap(bytes, 5);
    mpos_close(opened);
    check_text("HELLO");
}

Test(os_file, to_be_read_can_not_be_mapped_to_be_written)
{
    const mpos_extent extent = {.size = SMALL};
    mpos_handle made, opened;
    void *place = NULL;
    bool is_alone;

    create_file("x", SMALL, &made);
    ok(mpos_file_open(common->path, true, &opened, &is_alone));
    cr_assert_eq(mpos_memory_map(opened, &extent, &place), MP_EACCES, "%s",
                 mp_error_message());
    cr_assert_null(place);
    mpos_close(made);
    mpos_close(opened);
}

Test(os_file, has_an_identity_of_its_own)
{
    uint64_t first[2] = {0}, second[2] = {0}, other[2] = {0};
    mpos_handle made, opened, stranger;
    bool is_alone;

    create_file("x", SMALL, &made);
    ok(mpos_file_open(common->path, true, &opened, &is_alone));
    support_join_path(folder, "other", common->path);
    create_file("x", SMALL, &stranger);
    ok(mpos_memory_identity(made, first));
    ok(mpos_memory_identity(opened, second));
    ok(mpos_memory_identity(stranger, other));
    cr_assert_arr_eq(first, second, sizeof(first));
    cr_assert_arr_neq(first, other, sizeof(first));
    mpos_close(made);
    mpos_close(opened);
    mpos_close(stranger);
    ok(mpos_memory_identity(memory, first));
}

Test(os_file, is_on_disk_after_sync)
{
    mpos_handle made;
    unsigned char *bytes, *tail;

    use_plain_path();
    create_file("before", FILE_SIZE, &made);
    bytes = map(made, FILE_SIZE);
    memcpy(bytes, "behind", 6);
    ok(mpos_memory_sync(made, bytes, FILE_SIZE));
    check_text("behind");
    memcpy(bytes, "beside", 6);
    ok(mpos_memory_sync(made, bytes + 1, 3));
    ok(mpos_memory_sync(made, bytes + SMALL + 10, FILE_SIZE - SMALL - 10));
    tail = map_part(made, UNIT, 10, false);
    ok(mpos_memory_sync(made, tail, 10));
    mpos_memory_unmap(tail, 10);
    check_text("beside");
    mpos_memory_unmap(bytes, FILE_SIZE);
    mpos_close(made);
}

Test(os_file, can_be_synced_by_who_only_reads)
{
    mpos_handle made, opened;
    unsigned char *bytes;
    bool is_alone;

    create_file("x", SMALL, &made);
    ok(mpos_file_open(common->path, true, &opened, &is_alone));
    bytes = map_part(opened, 0, SMALL, true);
    ok(mpos_memory_sync(opened, bytes, SMALL));
    mpos_memory_unmap(bytes, SMALL);
    mpos_close(made);
    mpos_close(opened);
}

Test(os_file, grows_where_that_can_be)
{
    mpos_handle made;
    unsigned char *bytes;
    size_t size = 0;

    if (!mpos_system.named_grows)
        cr_skip_test("files keep their size here");
    create_file("x", SMALL, &made);
    bytes = map(made, FILE_SIZE);
    ok(mpos_memory_grow(made, SMALL, FILE_SIZE));
    cr_assert(is_all(bytes + SMALL, 0, FILE_SIZE - SMALL));
    memset(bytes, 'x', FILE_SIZE);
    ok(mpos_memory_grow(made, SMALL, 2 * SMALL));
    cr_assert(is_all(bytes, 'x', FILE_SIZE), "what is there is left alone");
    ok(mpos_memory_size(made, &size));
    cr_assert_eq(size, (size_t)FILE_SIZE);
    mpos_memory_unmap(bytes, FILE_SIZE);
    mpos_close(made);
}

static void check_is_too_large(size_t size)
{
    size_t before = support_open_handles();
    mpos_handle made = 42;
    mp_error error =
        mpos_file_create(common->path, (mpos_bytes){"x", 2}, size, 0600, &made);

    cr_assert(error == MP_ENOSPC || error == MP_ENOMEM, "%s: %s",
              mp_error_name(error), mp_error_message());
    cr_assert_str_not_empty(mp_error_message());
    cr_assert_eq(made, 42);
    cr_assert_eq(support_open_handles(), before);
    check_not_found();
}

Test(os_file, larger_than_the_disk_is_refused_and_leaves_nothing)
{
    /* Once before: what fails first may load its words. */
    check_not_found();
    check_is_too_large(SIZE_MAX);
    check_is_too_large(SIZE_MAX / 4);
    if (sizeof(size_t) > 4)
        check_is_too_large((size_t)-1 >> 14); /* a petabyte */
}

/* -- Who uses a file ------------------------------------------------------- */

/* Whether this port can tell that nobody else uses a file. */
static void skip_unless_solitude_is_known(void)
{
    mpos_handle made, opened;
    bool is_alone;

    create_file("x", SMALL, &made);
    mpos_close(made);
    opened = open_file(&is_alone);
    mpos_file_admit(opened);
    mpos_close(opened);
    if (!is_alone)
        cr_skip_test("nobody is known to be alone here");
}

Test(os_file, whoever_opens_it_first_is_alone)
{
    mpos_handle first, second;
    bool is_alone = false;

    skip_unless_solitude_is_known();
    first = open_file(&is_alone);
    cr_assert(is_alone);
    mpos_file_admit(first);
    second = open_file(&is_alone);
    cr_assert_not(is_alone);
    mpos_close(first);
    open_and_close(false);
    mpos_close(second);
    open_and_close(true);
}

Test(os_file, a_creator_counts_as_user_but_not_who_only_reads)
{
    mpos_handle user;
    bool is_alone = true;

    skip_unless_solitude_is_known();
    support_remove_file(common->path);
    create_file("x", SMALL, &user);
    open_and_close(false);
    mpos_close(user);
    ok(mpos_file_open(common->path, true, &user, &is_alone));
    cr_assert_not(is_alone);
    open_and_close(true);
    mpos_close(user);
    open_and_close(true);
}

Test(os_file, others_wait_until_they_are_admitted)
{
    mpos_process child;
    mpos_handle opened;
    bool is_alone = false;

    skip_unless_solitude_is_known();
    opened = open_file(&is_alone);
    cr_assert(is_alone);
    start(&child, "use");
    wait_for(&common->stage, 1);
    mpos_sleep_until(mpos_now() + MILLISECONDS(100));
    cr_assert_eq(mpi_atomic32_load(&common->stage), 1U);
    mpos_file_admit(opened);
    wait_for(&common->stage, 2);
    cr_assert_eq(mpi_atomic32_load(&common->alone), 0U);
    let_end(&child);
    mpos_close(opened);
}

Test(os_file, others_do_not_wait_for_ever_to_be_admitted)
{
    mpos_handle opened, other = 42;
    bool is_alone = false;
    bool is_second_alone = true;
    int64_t before;

    skip_unless_solitude_is_known();
    opened = open_file(&is_alone);
    cr_assert(is_alone);
    before = mpos_now();
    cr_assert_eq(mpos_file_open(common->path, false, &other, &is_second_alone),
                 MP_EACCES);
    cr_assert_geq(mpos_now(), before + MILLISECONDS(500));
    cr_assert_lt(mpos_now(), before + SECONDS(15));
    cr_assert_not_null(strstr(mp_error_message(), common->path));
    cr_assert_eq(other, 42);
    cr_assert(is_second_alone, "outputs are untouched");
    mpos_file_admit(opened);
    open_and_close(false);
    mpos_close(opened);
}

Test(os_file, killed_user_is_no_user)
{
    mpos_process child;

    skip_unless_solitude_is_known();
    start(&child, "use");
    wait_for(&common->stage, 2);
    cr_assert_eq(mpi_atomic32_load(&common->alone), 1U);
    open_and_close(false);
    kill_child(&child);
    open_and_close(true);
}

Test(os_file, killed_before_it_admits_anybody_stands_in_nobodys_way)
{
    mpos_process child;

    skip_unless_solitude_is_known();
    start(&child, "occupy");
    wait_for(&common->stage, 2);
    cr_assert_eq(mpi_atomic32_load(&common->alone), 1U);
    kill_child(&child);
    open_and_close(true);
}

Test(os_file, inherited_handle_and_copies_are_use)
{
    mpos_process child;
    mpos_handle made, copy;

    skip_unless_solitude_is_known();
    support_remove_file(common->path);
    create_file("x", SMALL, &made);
    ok(mpos_duplicate(made, &copy));
    mpos_close(made);
    open_and_close(false);
    common->passenger = copy;
    start(&child, "hold");
    wait_for(&common->stage, 2);
    mpos_close(copy);
    open_and_close(false);
    let_end(&child);
    open_and_close(true);
}

/* Nobody uses it while one is alone. */
static void use_once(void)
{
    bool is_alone = false;
    mpos_handle opened;

    if (mpos_file_open(common->path, false, &opened, &is_alone) != MP_OK) {
        mpi_atomic32_add(&common->failures, 1);
        return;
    }
    if (is_alone) {
        mpi_atomic32_add(&common->alone, 1);
        if (mpi_atomic32_load(&common->used) != 0)
            mpi_atomic32_add(&common->failures, 1);
        mpos_file_admit(opened);
    }
    mpi_atomic32_add(&common->used, 1);
    mpi_atomic32_add(&common->used, UINT32_MAX);
    mpos_close(opened);
}

static void use_again_and_again(void *argument)
{
    size_t times = *(size_t *)argument;

    for (size_t i = 0; i < times; i++)
        use_once();
    mpi_atomic32_add(&common->done, 1);
}

Test(os_file, is_used_by_nobody_while_one_is_alone, .timeout = 90)
{
    size_t times = support_scaled(2000);
    mpos_thread threads[THREADS];
    mpos_handle made;

    create_file("x", SMALL, &made);
    mpos_close(made);
    support_start_threads(threads, THREADS, use_again_and_again, &times);
    wait_for(&common->done, THREADS);
    support_join_threads(threads, THREADS);
    cr_assert_eq(mpi_atomic32_load(&common->failures), 0U);
    cr_log_info("%u of %u alone\n", mpi_atomic32_load(&common->alone),
                (unsigned)(THREADS * times));
}

/* -- Races to create ------------------------------------------------------- */

static void race_to_create(void *argument)
{
    uint32_t round = *(uint32_t *)argument;
    mpos_handle made;
    mp_error error;

    mpi_atomic32_add(&common->asked, 1);
    reaches(&common->stage, round + 1);
    error = create_image(&made);
    if (error == MP_OK) {
        mpi_atomic32_add(&common->made, 1);
        mpos_close(made);
    } else if (error != MP_EEXIST) {
        mpi_atomic32_add(&common->failures, 1);
    }
    mpi_atomic32_add(&common->done, 1);
}

Test(os_file, is_created_by_one_of_many, .timeout = 90)
{
    uint32_t rounds = (uint32_t)support_scaled(100);
    mpos_thread threads[THREADS];

    for (uint32_t round = 0; round < rounds; round++) {
        mpi_atomic32_store(&common->asked, 0);
        mpi_atomic32_store(&common->made, 0);
        mpi_atomic32_store(&common->done, 0);
        support_start_threads(threads, THREADS, race_to_create, &round);
        wait_for(&common->asked, THREADS);
        mpi_atomic32_store(&common->stage, round + 1);
        wait_for(&common->done, THREADS);
        support_join_threads(threads, THREADS);
        cr_assert_eq(mpi_atomic32_load(&common->made), 1U);
        support_remove_file(common->path);
    }
    cr_assert_eq(mpi_atomic32_load(&common->failures), 0U);
}

static void check_whole(void)
{
    bool is_alone;
    mpos_handle opened;
    unsigned char *bytes;
    size_t size = 0;
    mp_error error = mpos_file_open(common->path, false, &opened, &is_alone);

    if (error == MP_ENOTFOUND)
        return;
    ok(error);
    mpos_file_admit(opened);
    ok(mpos_memory_size(opened, &size));
    cr_assert_geq(size, (size_t)FILE_SIZE);
    bytes = map(opened, FILE_SIZE);
    cr_assert(is_all(bytes, 'x', IMAGE_SIZE));
    cr_assert(is_all(bytes + IMAGE_SIZE, 0, FILE_SIZE - IMAGE_SIZE));
    mpos_memory_unmap(bytes, FILE_SIZE);
    mpos_close(opened);
    support_remove_file(common->path);
}

Test(os_file, killed_creator_leaves_all_or_nothing, .timeout = 90)
{
    size_t kills = support_scaled(KILLS);
    mpos_handle made;

    for (size_t i = 0; i < kills; i++) {
        mpos_process child;
        unsigned chance = 0;

        start(&child, "create");
        wait_for(&common->stage, 2);
        ok(mpos_random(&chance, sizeof(chance)));
        mpos_sleep_until(mpos_now() + chance % MILLISECONDS(2));
        kill_child(&child);
        check_whole();
    }
    /* Whatever draft the last one has left. */
    ok(create_image(&made));
    mpos_close(made);
    check_whole();
}

static void use_file_once(void)
{
    mpos_handle made, opened, reader;
    unsigned char *bytes;
    bool is_alone;

    create_file("x", SMALL, &made);
    opened = open_file(&is_alone);
    ok(mpos_file_open(common->path, true, &reader, &is_alone));
    bytes = map(opened, SMALL);
    ok(mpos_memory_sync(opened, bytes, SMALL));
    mpos_memory_unmap(bytes, SMALL);
    cr_assert_eq(mpos_file_create(common->path, (mpos_bytes){"x", 2}, 0, 0600,
                                  &(mpos_handle){0}),
                 MP_EEXIST);
    mpos_close(made);
    mpos_close(opened);
    mpos_close(reader);
    support_remove_file(common->path);
    check_not_found();
}

Test(os_file, nothing_is_left_behind)
{
    size_t before;

    use_file_once();
    before = support_open_handles();
    for (int i = 0; i < 20; i++)
        use_file_once();
    cr_assert_eq(support_open_handles(), before);
}

/* -- Memory that holds nothing of ours ------------------------------------- */

/* common->path is its name; macOS takes 30 characters. */
static void set_up_shm(void)
{
    set_up();
    snprintf(common->path, sizeof(common->path), "mp_unit_%lld",
             (long long)mpos_pid());
}

/* Where names go with the last user, it has gone; elsewhere it goes now. */
static void remove_shm(void)
{
    mp_error error = mpos_shm_unlink(common->path);

    cr_assert(error == MP_OK || error == MP_ENOTFOUND, "%s: %s",
              mp_error_name(error), mp_error_message());
}

static void check_no_shm(void)
{
    mpos_handle opened = 42;

    cr_assert_eq(mpos_shm_open(common->path, &opened), MP_ENOTFOUND);
    cr_assert_eq(opened, 42);
    cr_assert_not_null(strstr(mp_error_message(), common->path));
    cr_assert_eq(mpos_shm_unlink(common->path), MP_ENOTFOUND);
    cr_assert_not_null(strstr(mp_error_message(), common->path));
}

TestSuite(os_shm, .init = set_up_shm, .fini = tear_down);

Test(os_shm, is_zeroed_and_shared)
{
    mpos_handle made, opened;
    unsigned char *first, *second;
    size_t size = 0;

    ok(mpos_shm_create(common->path, FILE_SIZE, &made));
    ok(mpos_shm_open(common->path, &opened));
    ok(mpos_memory_size(opened, &size));
    cr_assert_geq(size, (size_t)FILE_SIZE);
    first = map(made, FILE_SIZE);
    second = map(opened, FILE_SIZE);
    cr_assert(is_all(second, 0, FILE_SIZE));
    memset(first, 'x', FILE_SIZE);
    cr_assert(is_all(second, 'x', FILE_SIZE));
    mpos_memory_unmap(first, FILE_SIZE);
    mpos_memory_unmap(second, FILE_SIZE);
    mpos_close(made);
    mpos_close(opened);
    remove_shm();
    check_no_shm();
}

Test(os_shm, is_found_by_other_processes)
{
    mpos_process child;
    mpos_handle made;
    unsigned char *bytes;

    ok(mpos_shm_create(common->path, SMALL, &made));
    bytes = map(made, SMALL);
    bytes[0] = 41;
    start(&child, "add");
    cr_assert_eq(end_of(&child), 0);
    cr_assert_eq(bytes[0], 42);
    mpos_memory_unmap(bytes, SMALL);
    mpos_close(made);
    remove_shm();
}

Test(os_shm, that_exists_is_not_created_again)
{
    mpos_handle made, other = 42;

    ok(mpos_shm_create(common->path, SMALL, &made));
    cr_assert_eq(mpos_shm_create(common->path, SMALL, &other), MP_EEXIST);
    cr_assert_eq(other, 42);
    cr_assert_not_null(strstr(mp_error_message(), common->path));
    mpos_close(made);
    remove_shm();
}

Test(os_shm, that_does_not_exist_is_not_found)
{
    check_no_shm();
}

Test(os_shm, name_that_no_system_takes_is_refused)
{
    char name[3000];
    mpos_handle made = 42;

    memset(name, 'n', sizeof(name));
    name[sizeof(name) - 1] = '\0';
    cr_assert_eq(mpos_shm_create(name, SMALL, &made), MP_EINVAL);
    cr_assert_eq(mpos_shm_open(name, &made), MP_EINVAL);
    cr_assert_eq(made, 42);
    cr_assert_str_not_empty(mp_error_message());
}

static void check_shm_is_too_large(size_t size)
{
    mpos_handle made = 42;
    mp_error error = mpos_shm_create(common->path, size, &made);

    cr_assert(error == MP_ENOSPC || error == MP_ENOMEM, "%s: %s",
              mp_error_name(error), mp_error_message());
    cr_assert_eq(made, 42);
    check_no_shm();
}

Test(os_shm, larger_than_the_machine_is_refused_and_leaves_nothing)
{
    check_shm_is_too_large(SIZE_MAX);
    check_shm_is_too_large(SIZE_MAX / 4);
}

static void skip_unless_use_is_known(mpos_handle only_one)
{
    if (!mpos_shm_is_used(only_one))
        return;
    mpos_close(only_one);
    remove_shm();
    cr_skip_test("who uses it is not known here");
}

Test(os_shm, is_used_by_who_has_it_open_beside)
{
    mpos_handle made, opened;
    unsigned char *bytes;

    ok(mpos_shm_create(common->path, SMALL, &made));
    skip_unless_use_is_known(made);
    bytes = map(made, SMALL);
    ok(mpos_shm_open(common->path, &opened));
    cr_assert(mpos_shm_is_used(made));
    cr_assert(mpos_shm_is_used(opened));
    mpos_memory_unmap(bytes, SMALL);
    mpos_close(opened);
    cr_assert_not(mpos_shm_is_used(made));
    cr_assert_not(mpos_shm_is_used(made), "to ask is not to use");
    mpos_close(made);
    remove_shm();
}

Test(os_shm, is_used_by_who_has_it_mapped_until_it_is_killed)
{
    mpos_process child;
    mpos_handle made;

    ok(mpos_shm_create(common->path, SMALL, &made));
    skip_unless_use_is_known(made);
    start(&child, "map");
    wait_for(&common->stage, 2);
    cr_assert(mpos_shm_is_used(made));
    kill_child(&child);
    cr_assert_not(mpos_shm_is_used(made));
    mpos_close(made);
    remove_shm();
}

static void use_shm_once(void)
{
    mpos_handle made, opened;

    ok(mpos_shm_create(common->path, SMALL, &made));
    ok(mpos_shm_open(common->path, &opened));
    cr_assert_eq(mpos_shm_create(common->path, SMALL, &(mpos_handle){0}),
                 MP_EEXIST);
    mpos_close(made);
    mpos_close(opened);
    remove_shm();
    check_no_shm();
}

Test(os_shm, nothing_is_left_behind)
{
    size_t before;

    use_shm_once();
    before = support_open_handles();
    for (int i = 0; i < 20; i++)
        use_shm_once();
    cr_assert_eq(support_open_handles(), before);
}
