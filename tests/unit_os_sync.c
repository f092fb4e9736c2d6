/* SPDX-License-Identifier: MIT */
/*
 * The seam (src/os.h) again: words to sleep on, memory that grows or has a
 * name, the ends of threads. The same file judges every port.
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
#define ROLE "UNIT_OS_SYNC_ROLE"

/* Whoever sleeps that long has missed something. */
#define PATIENCE SECONDS(10)

enum {
    SMALL = 4096,
    LARGE = 1 << 20, /* the memory's size once it has grown */
    PAIRS = 20000,
    SLEEPERS = 4,
    KILLS = 300,
    IMAGE_SIZE = 40000,
    KEY_SIZE = 60,
};

/* What all processes of a test share. */
typedef struct common_memory {
    mpos_word word;
    mpos_word stage;
    uint64_t counter; /* guarded by word as a mutex */
    mpi_atomic32 asleep;
    mpi_atomic32 awake;
    mpi_atomic32 done;
    mpi_atomic32 failures;
    int64_t passenger; /* a handle that the child inherits */
    char name[MPOS_NAME_MAX + 1];
} common_memory;

static mpos_handle memory;
static common_memory *common;
static mpos_handle queue;
static char key[KEY_SIZE];

/* -- Sleeping and waking --------------------------------------------------- */

/* Sleeps until the value is no longer `seen`; false: a wake-up was lost. */
static bool sleep_on(mpos_word *word, uint32_t seen)
{
    int64_t deadline = mpos_now() + PATIENCE;

    while (mpi_atomic32_load(&word->value) == seen) {
        if (!mpos_word_wait(word, queue, seen, deadline))
            return false;
    }
    return true;
}

static void set_word(mpos_word *word, uint32_t value)
{
    mpi_atomic32_store(&word->value, value);
    mpos_word_wake(word, queue, UINT32_MAX);
}

/* Each moves when the number is even, or odd. */
static bool play(mpos_word *word, uint32_t parity, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        uint32_t value = mpi_atomic32_load(&word->value);

        if (value % 2 != parity && !sleep_on(word, value))
            return false;
        mpi_atomic32_add(&word->value, 1);
        mpos_word_wake(word, queue, 1);
    }
    return true;
}

/* The simplest mutex there is: 0 free, 1 held, 2 held and perhaps waited for;
 * a lost wake-up hangs it. */
static bool lock(mpos_word *word)
{
    if (mpi_atomic32_change(&word->value, 0, 1))
        return true;
    while (!mpi_atomic32_change(&word->value, 0, 2)) {
        mpi_atomic32_change(&word->value, 1, 2);
        if (!mpos_word_wait(word, queue, 2, mpos_now() + PATIENCE))
            return false;
    }
    return true;
}

static void unlock(mpos_word *word)
{
    if (mpi_atomic32_change(&word->value, 1, 0))
        return;
    mpi_atomic32_store(&word->value, 0);
    mpos_word_wake(word, queue, 1);
}

static bool count_up(size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        if (!lock(&common->word))
            return false;
        common->counter++;
        unlock(&common->word);
    }
    return true;
}

/* -- What children do ------------------------------------------------------ */

static int role_play(void)
{
    return play(&common->word, 1, support_scaled(PAIRS)) ? 0 : 1;
}

static int role_count(void)
{
    return count_up(support_scaled(PAIRS)) ? 0 : 1;
}

/* Has mapped what is not there yet. */
static int role_see_growth(void)
{
    unsigned char *bytes = (unsigned char *)common;

    set_word(&common->stage, 1);
    if (!sleep_on(&common->stage, 1))
        return 1;
    if (bytes[LARGE - 1] != 42 || bytes[LARGE / 2] != 0)
        return 2;
    bytes[LARGE / 2] = 43;
    return 0;
}

/* Until it is killed. */
static int role_use_name(void)
{
    mpos_handle used;

    if (mpos_named_open(common->name, &used) != MP_OK)
        return 1;
    set_word(&common->stage, 1);
    mpos_sleep_until(mpos_now() + SECONDS(60));
    return 2;
}

/* Has inherited a handle, and does nothing with it. */
static int role_hold(void)
{
    set_word(&common->stage, 1);
    return sleep_on(&common->stage, 1) ? 0 : 1;
}

static int role_create(void)
{
    static unsigned char image[IMAGE_SIZE];

    memset(image, 'x', sizeof(image));
    set_word(&common->stage, 1);
    for (;;) {
        mpos_handle made;

        if (mpos_named_create(common->name, (mpos_bytes){image, sizeof(image)},
                              0, 0600, &made) != MP_OK)
            return 1;
        mpos_close(made);
        mpos_named_unlink(common->name, false);
    }
}

typedef struct child_role {
    const char *name;
    int (*run)(void);
} child_role;

static const child_role roles[] = {
    {"play", role_play},
    {"count", role_count},
    {"see-growth", role_see_growth},
    {"use-name", role_use_name},
    {"hold", role_hold},
    {"create", role_create},
};

static void map_common(size_t size)
{
    void *place;

    if (mpos_memory_map(memory, &(mpos_extent){.size = size}, &place) !=
            MP_OK ||
        mpos_word_queue(key, &queue) != MP_OK)
        mpos_exit(91);
    common = place;
}

/* "<role> <memory> <mapped size> <key>" */
SUPPORT_CONSTRUCTOR(play_role)
{
    char wanted[200];
    char role[32];
    long long number;
    size_t size;

    if (getenv(ROLE) == NULL)
        return;
    if (mpos_take_variable(ROLE, wanted, sizeof(wanted)) != MP_OK ||
        sscanf(wanted, "%31s %lld %zu %59s", role, &number, &size, key) != 4)
        mpos_exit(90);
    memory = (mpos_handle)number;
    map_common(size);
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++) {
        if (strcmp(roles[i].name, role) == 0)
            mpos_exit(roles[i].run());
    }
    mpos_exit(92);
}

/* -- Starting them --------------------------------------------------------- */

/* size: how much of it is mapped, there or not. */
static void set_up_mapping(size_t size)
{
    ok(mpos_memory_create(SMALL, LARGE, &memory));
    snprintf(key, sizeof(key), "unit-os-sync-%lld", (long long)mpos_pid());
    map_common(size);
    common->passenger = MPOS_NONE;
    snprintf(common->name, sizeof(common->name), "unit_os_sync-%lld",
             (long long)mpos_pid());
}

static void set_up(void)
{
    set_up_mapping(SMALL);
}

static void tear_down(void)
{
    mpos_memory_unmap(common, SMALL);
    mpos_close(memory);
    mpos_close(queue);
}

static void start_mapping(mpos_process *child, const char *role, size_t size)
{
    char variable[200];
    const mpos_handle handles[] = {memory, (mpos_handle)common->passenger};
    const mpos_spawn_options options = {
        .variable = variable,
        .handles = handles,
        .handle_count = common->passenger == MPOS_NONE ? 1 : 2,
    };

    snprintf(variable, sizeof(variable), "%s=%s %lld %zu %s", ROLE, role,
             (long long)memory, size, key);
    mpi_atomic32_store(&common->stage.value, 0);
    ok(mpos_spawn(child, &options));
}

static void start(mpos_process *child, const char *role)
{
    start_mapping(child, role, SMALL);
}

static int end_of(mpos_process *child)
{
    int code = 12345;

    ok(mpos_reap(child, mpos_now() + SECONDS(60), &code));
    mpos_process_close(child);
    return code;
}

static void wait_for_stage(uint32_t seen)
{
    cr_assert(sleep_on(&common->stage, seen), "the child does not get there");
}

static void wait_for_count(const mpi_atomic32 *counter, uint32_t count)
{
    int64_t deadline = mpos_now() + PATIENCE;

    while (mpi_atomic32_load(counter) < count) {
        cr_assert_lt(mpos_now(), deadline, "%u of %u",
                     mpi_atomic32_load(counter), count);
        mpos_sleep_until(mpos_now() + MILLISECONDS(1));
    }
}

/* -- One sleeper ----------------------------------------------------------- */

TestSuite(os_word, .init = set_up, .fini = tear_down);

Test(os_word, sleeper_gives_up_at_the_deadline_and_not_before)
{
    int64_t deadline = mpos_now() + MILLISECONDS(50);

    /* It may wake for no reason. */
    while (mpos_word_wait(&common->word, queue, 0, deadline))
        cr_assert_lt(mpos_now(), deadline + SECONDS(5));
    cr_assert_geq(mpos_now(), deadline);
    cr_assert_lt(mpos_now(), deadline + SECONDS(5));
}

Test(os_word, deadline_in_the_past_only_looks)
{
    int64_t before = mpos_now();

    while (mpos_word_wait(&common->word, queue, 0, 0) ||
           mpos_word_wait(&common->word, queue, 0, -1) ||
           mpos_word_wait(&common->word, queue, 0, before))
        cr_assert_lt(mpos_now(), before + SECONDS(5));
    cr_assert_lt(mpos_now(), before + SECONDS(5));
}

Test(os_word, nobody_sleeps_on_a_value_that_has_changed)
{
    mpi_atomic32_store(&common->word.value, 1);
    for (int i = 0; i < 1000; i++) {
        mpos_word_wait(&common->word, queue, 0, MPOS_FOREVER);
        mpos_word_wait(&common->word, queue, UINT32_MAX, MPOS_FOREVER);
    }
}

Test(os_word, sleeping_is_not_looking_all_the_time)
{
    int64_t deadline = mpos_now() + MILLISECONDS(300);
    int returns = 0;

    while (mpos_word_wait(&common->word, queue, 0, deadline))
        returns++;
    cr_assert_lt(returns, 50);
}

Test(os_word, waking_nobody_is_nothing)
{
    int64_t deadline = mpos_now() + MILLISECONDS(20);

    mpos_word_wake(&common->word, queue, 0);
    mpos_word_wake(&common->word, queue, 1);
    mpos_word_wake(&common->word, queue, UINT32_MAX);
    while (mpos_word_wait(&common->word, queue, 0, deadline))
        cr_assert_lt(mpos_now(), deadline + SECONDS(5));
}

static void sleep_once(void *argument)
{
    (void)argument;
    mpi_atomic32_add(&common->asleep, 1);
    mpos_word_wait(&common->word, queue, 0, MPOS_FOREVER);
    mpi_atomic32_add(&common->awake, 1);
}

Test(os_word, wake_ends_a_sleep_though_nothing_has_changed)
{
    int64_t patience = mpos_now() + PATIENCE;
    mpos_thread thread;

    ok(mpos_thread_start(sleep_once, NULL, &thread));
    wait_for_count(&common->asleep, 1);
    /* Again and again: it may not have been asleep yet. */
    while (mpi_atomic32_load(&common->awake) == 0) {
        cr_assert_lt(mpos_now(), patience);
        mpos_word_wake(&common->word, queue, 1);
        mpos_sleep_until(mpos_now() + MILLISECONDS(1));
    }
    mpos_thread_join(thread);
}

/* -- Several sleepers ------------------------------------------------------ */

static void sleep_until_changed(void *argument)
{
    (void)argument;
    mpi_atomic32_add(&common->asleep, 1);
    if (!sleep_on(&common->word, 0))
        mpi_atomic32_add(&common->failures, 1);
    mpi_atomic32_add(&common->awake, 1);
}

static void start_sleepers(mpos_thread *threads)
{
    support_start_threads(threads, SLEEPERS, sleep_until_changed, NULL);
    wait_for_count(&common->asleep, SLEEPERS);
    mpos_sleep_until(mpos_now() + MILLISECONDS(50)); /* so that most sleep */
}

static void check_woken(uint32_t asked)
{
    mpos_thread threads[SLEEPERS];

    start_sleepers(threads);
    mpi_atomic32_store(&common->word.value, 1);
    mpos_word_wake(&common->word, queue, asked);
    wait_for_count(&common->awake, asked < SLEEPERS ? asked : SLEEPERS);
    mpos_word_wake(&common->word, queue, UINT32_MAX);
    wait_for_count(&common->awake, SLEEPERS);
    support_join_threads(threads, SLEEPERS);
    cr_assert_eq(mpi_atomic32_load(&common->failures), 0U);
}

Test(os_word, one_is_woken_by_a_wake_for_one)
{
    check_woken(1);
}

Test(os_word, two_are_woken_by_a_wake_for_two)
{
    check_woken(2);
}

Test(os_word, all_are_woken_by_a_wake_for_many)
{
    check_woken(UINT32_MAX);
}

Test(os_word, all_are_woken_by_a_wake_for_more_than_there_are)
{
    check_woken(1000);
}

/* -- Nothing is lost ------------------------------------------------------- */

static void play_in_thread(void *argument)
{
    (void)argument;
    if (!play(&common->word, 1, support_scaled(PAIRS)))
        mpi_atomic32_add(&common->failures, 1);
    mpi_atomic32_add(&common->done, 1);
}

static void check_ping_pong(int64_t before)
{
    size_t rounds = support_scaled(PAIRS);

    cr_assert_eq(mpi_atomic32_load(&common->failures), 0U);
    cr_assert_eq(mpi_atomic32_load(&common->word.value), (uint32_t)rounds * 2);
    cr_log_info("%.2f us there and back\n",
                (double)(mpos_now() - before) / 1000 / (double)rounds);
}

Test(os_word, no_wake_is_lost_between_two_threads, .timeout = 90)
{
    int64_t before = mpos_now();
    mpos_thread thread;

    ok(mpos_thread_start(play_in_thread, NULL, &thread));
    cr_assert(play(&common->word, 0, support_scaled(PAIRS)));
    wait_for_count(&common->done, 1);
    mpos_thread_join(thread);
    check_ping_pong(before);
}

Test(os_word, no_wake_is_lost_between_two_processes, .timeout = 90)
{
    mpos_process child;
    int64_t before = mpos_now();

    start(&child, "play");
    cr_assert(play(&common->word, 0, support_scaled(PAIRS)));
    cr_assert_eq(end_of(&child), 0);
    check_ping_pong(before);
}

static void count_in_thread(void *argument)
{
    (void)argument;
    if (!count_up(support_scaled(PAIRS)))
        mpi_atomic32_add(&common->failures, 1);
    mpi_atomic32_add(&common->done, 1);
}

Test(os_word, mutex_of_it_never_hangs_among_threads_and_processes,
     .timeout = 90)
{
    mpos_process children[2];
    mpos_thread thread;

    start(&children[0], "count");
    start(&children[1], "count");
    ok(mpos_thread_start(count_in_thread, NULL, &thread));
    cr_assert(count_up(support_scaled(PAIRS)));
    wait_for_count(&common->done, 1);
    mpos_thread_join(thread);
    cr_assert_eq(end_of(&children[0]), 0);
    cr_assert_eq(end_of(&children[1]), 0);
    cr_assert_eq(common->counter, 4 * (uint64_t)support_scaled(PAIRS));
    cr_assert_eq(mpi_atomic32_load(&common->failures), 0U);
}

/* -- Memory that grows ----------------------------------------------------- */

static bool is_zero(const unsigned char *bytes, size_t size)
{
    while (size > 0 && *bytes == 0) {
        bytes++;
        size--;
    }
    return size == 0;
}

static void set_up_growing(void)
{
    if (!mpos_system.memory_grows)
        cr_skip_test("shared memory keeps its size here");
    set_up_mapping(LARGE);
}

Test(os_memory, grown_memory_is_zeroed_and_the_old_is_kept)
{
    unsigned char *bytes;
    size_t size = 0;

    set_up_growing();
    bytes = (unsigned char *)common;
    memset(bytes, 'x', SMALL);
    ok(mpos_memory_grow(memory, SMALL, LARGE / 2));
    cr_assert(is_zero(bytes + SMALL, LARGE / 2 - SMALL));
    memset(bytes, 'x', LARGE / 2);
    ok(mpos_memory_grow(memory, LARGE / 2, LARGE));
    cr_assert(is_zero(bytes + LARGE / 2, LARGE / 2));
    for (size_t i = 0; i < LARGE / 2; i++)
        cr_assert_eq(bytes[i], 'x');
    ok(mpos_memory_size(memory, &size));
    cr_assert_geq(size, (size_t)LARGE);
}

Test(os_memory, growing_to_less_than_there_is_takes_nothing)
{
    size_t size = 0;

    set_up_growing();
    ok(mpos_memory_grow(memory, SMALL, LARGE));
    memset(common, 'x', LARGE);
    ok(mpos_memory_grow(memory, SMALL, LARGE / 2));
    ok(mpos_memory_size(memory, &size));
    cr_assert_geq(size, (size_t)LARGE);
    cr_assert_eq(((unsigned char *)common)[LARGE - 1], 'x');
}

Test(os_memory, growth_is_seen_by_who_has_mapped_it_before)
{
    mpos_process child;
    unsigned char *bytes;

    set_up_growing();
    bytes = (unsigned char *)common;
    start_mapping(&child, "see-growth", LARGE);
    wait_for_stage(0);
    ok(mpos_memory_grow(memory, SMALL, LARGE));
    bytes[LARGE - 1] = 42;
    set_word(&common->stage, 2);
    cr_assert_eq(end_of(&child), 0);
    cr_assert_eq(bytes[LARGE / 2], 43);
}

Test(os_memory, what_was_returned_is_reserved_again)
{
    unsigned char *bytes;
    size_t size = 0;

    set_up_growing();
    bytes = (unsigned char *)common;
    ok(mpos_memory_grow(memory, SMALL, LARGE));
    memset(bytes + SMALL, 'x', LARGE - SMALL);
    mpos_memory_return(memory, LARGE / 4, LARGE / 2);
    mpos_memory_return(memory, LARGE / 2, LARGE / 2);
    ok(mpos_memory_grow(memory, LARGE / 4, LARGE / 2));
    for (size_t i = SMALL; i < LARGE; i++) {
        bool was_kept = i < LARGE / 4 || i >= LARGE / 2;

        cr_assert(bytes[i] == 'x' || (!was_kept && bytes[i] == 0));
    }
    memset(bytes + LARGE / 4, 'y', LARGE / 4);
    ok(mpos_memory_grow(memory, LARGE / 4, LARGE / 2));
    cr_assert_eq(bytes[LARGE / 4], 'y');
    ok(mpos_memory_size(memory, &size));
    cr_assert_geq(size, (size_t)LARGE);
}

Test(os_memory, an_empty_part_is_returned_for_nothing)
{
    mpos_handle fixed;
    void *address = NULL;

    ok(mpos_memory_create(SMALL, 0, &fixed));
    ok(mpos_memory_map(fixed, &(mpos_extent){.size = SMALL}, &address));
    memset(address, 'x', SMALL);
    mpos_memory_return(fixed, SMALL / 2, SMALL / 2);
    cr_assert_eq(((unsigned char *)address)[SMALL / 2], 'x');
    mpos_memory_unmap(address, SMALL);
    mpos_close(fixed);
}

Test(os_memory, growth_beyond_what_the_machine_has_is_refused)
{
    size_t size = 0;
    mp_error error;

    set_up_growing();
    error = mpos_memory_grow(memory, SMALL, SIZE_MAX / 4);
    cr_assert(error == MP_ENOSPC || error == MP_ENOMEM, "%s",
              mp_error_name(error));
    cr_assert_str_not_empty(mp_error_message());
    ok(mpos_memory_size(memory, &size));
    cr_assert_lt(size, (size_t)LARGE);
    ok(mpos_memory_grow(memory, SMALL, LARGE));
}

/* -- Memory with a name ---------------------------------------------------- */

TestSuite(os_named, .init = set_up, .fini = tear_down);

static mpos_handle create(const char *image)
{
    mpos_handle made = MPOS_NONE;

    ok(mpos_named_create(common->name, (mpos_bytes){image, strlen(image) + 1},
                         0, 0600, &made));
    return made;
}

static mpos_handle open_name(void)
{
    mpos_handle opened = MPOS_NONE;

    ok(mpos_named_open(common->name, &opened));
    return opened;
}

static char *text_of(mpos_handle handle)
{
    void *text = NULL;

    ok(mpos_memory_map(handle, &(mpos_extent){.size = SMALL}, &text));
    return text;
}

/* Where names go with the last user, it has gone; elsewhere it goes now. */
static void remove_name(void)
{
    mp_error error = mpos_named_unlink(common->name, true);

    cr_assert(error == MP_OK || error == MP_ENOTFOUND, "%s: %s",
              mp_error_name(error), mp_error_message());
}

/* Whether a name is still there when nobody uses it. */
static bool names_last(void)
{
    mpos_handle opened;
    mp_error error;

    mpos_close(create("lasting?"));
    error = mpos_named_open(common->name, &opened);
    if (error == MP_OK)
        mpos_close(opened);
    remove_name();
    return error == MP_OK;
}

typedef struct finding {
    int count;
    bool is_in_use;
} finding;

static mp_error find(void *context, const char *name, mpos_named_use use)
{
    finding *found = context;

    if (strcmp(name, common->name) == 0) {
        found->count++;
        found->is_in_use = use == MPOS_NAMED_IN_USE;
    }
    return MP_OK;
}

static finding list_name(void)
{
    finding found = {0, false};

    ok(mpos_named_list(find, &found));
    return found;
}

static void check_in_use(void)
{
    finding found = list_name();

    cr_assert_eq(found.count, 1);
    cr_assert(found.is_in_use);
    cr_assert_eq(mpos_named_unlink(common->name, true), MP_ESTATE);
    cr_assert_str_not_empty(mp_error_message());
}

static void check_unused(void)
{
    finding found = list_name();

    cr_assert_leq(found.count, 1);
    cr_assert_not(found.is_in_use);
    remove_name();
    cr_assert_eq(list_name().count, 0);
}

Test(os_named, memory_begins_with_its_image_and_is_shared)
{
    mpos_handle made = create("hello");
    mpos_handle opened = open_name();
    char *first = text_of(made);
    char *second = text_of(opened);

    cr_assert_neq(first, second);
    cr_assert_str_eq(first, "hello");
    cr_assert_str_eq(second, "hello");
    snprintf(first, SMALL, "changed");
    cr_assert_str_eq(second, "changed");
    mpos_memory_unmap(first, SMALL);
    mpos_memory_unmap(second, SMALL);
    mpos_close(made);
    mpos_close(opened);
    remove_name();
}

Test(os_named, memory_is_as_large_as_its_image)
{
    static unsigned char image[100001];
    mpos_handle made;
    size_t size = 0;
    void *bytes = NULL;

    image[100000] = 'z';
    ok(mpos_named_create(common->name, (mpos_bytes){image, sizeof(image)}, 0,
                         0600, &made));
    ok(mpos_memory_size(made, &size));
    cr_assert_geq(size, sizeof(image));
    ok(mpos_memory_map(made, &(mpos_extent){.size = sizeof(image)}, &bytes));
    cr_assert_arr_eq(bytes, image, sizeof(image));
    mpos_memory_unmap(bytes, sizeof(image));
    mpos_close(made);
    remove_name();
}

Test(os_named, memory_goes_on_with_zeros_behind_its_image)
{
    const size_t size = (size_t)3 * MPOS_MAP_UNIT;
    mpos_handle made;
    size_t found = 0;
    unsigned char *bytes;
    void *place = NULL;

    ok(mpos_named_create(common->name, (mpos_bytes){"image", 6}, size, 0600,
                         &made));
    ok(mpos_memory_size(made, &found));
    cr_assert_geq(found, size);
    ok(mpos_memory_map(made, &(mpos_extent){.size = size}, &place));
    bytes = place;
    cr_assert_str_eq((char *)bytes, "image");
    cr_assert(is_zero(bytes + 6, size - 6));
    bytes[size - 1] = 'z';
    mpos_memory_unmap(place, size);
    ok(mpos_memory_map(
        made, &(mpos_extent){(uint64_t)2 * MPOS_MAP_UNIT, MPOS_MAP_UNIT, true},
        &place));
    bytes = place;
    cr_assert_eq(bytes[MPOS_MAP_UNIT - 1], 'z');
    mpos_memory_unmap(place, MPOS_MAP_UNIT);
    mpos_close(made);
    remove_name();
}

Test(os_named, what_exists_is_not_created_again)
{
    mpos_handle made = create("first");
    mpos_handle other = 42;
    char *text;

    cr_assert_eq(mpos_named_create(common->name, (mpos_bytes){"other", 6}, 0,
                                   0600, &other),
                 MP_EEXIST);
    cr_assert_eq(other, 42);
    cr_assert_not_null(strstr(mp_error_message(), common->name));
    text = text_of(made);
    cr_assert_str_eq(text, "first");
    mpos_memory_unmap(text, SMALL);
    mpos_close(made);
    remove_name();
}

Test(os_named, what_does_not_exist_is_not_found)
{
    mpos_handle opened = 42;

    cr_assert_eq(mpos_named_open(common->name, &opened), MP_ENOTFOUND);
    cr_assert_eq(opened, 42);
    cr_assert_not_null(strstr(mp_error_message(), common->name));
    cr_assert_eq(mpos_named_unlink(common->name, false), MP_ENOTFOUND);
    cr_assert_eq(mpos_named_unlink(common->name, true), MP_ENOTFOUND);
    cr_assert_eq(list_name().count, 0);
}

Test(os_named, names_are_any_text_of_200_bytes)
{
    static const char *const names[] = {
        ".",
        "..",
        ".hidden",
        "with space",
        "a%2Fb:c*?\"<>|'",
        "-",
        "~",
        "gr\xc3\xbcn \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80",
    };
    mpos_handle made;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        snprintf(common->name, sizeof(common->name), "%s%lld", names[i],
                 (long long)mpos_pid());
        made = create("x");
        check_in_use();
        mpos_close(open_name());
        mpos_close(made);
        check_unused();
    }
    snprintf(common->name, sizeof(common->name), "%0200lld",
             (long long)mpos_pid());
    made = create("x");
    check_in_use();
    mpos_close(made);
    check_unused();
}

Test(os_named, name_is_free_as_soon_as_it_is_unlinked)
{
    mpos_handle old, young;
    char *text;

    if (!names_last())
        cr_skip_test("names go with their last user here");
    old = create("old");
    ok(mpos_named_unlink(common->name, false));
    cr_assert_eq(list_name().count, 0);
    young = create("young");
    text = text_of(old);
    cr_assert_str_eq(text, "old");
    mpos_memory_unmap(text, SMALL);
    text = text_of(young);
    cr_assert_str_eq(text, "young");
    mpos_memory_unmap(text, SMALL);
    mpos_close(old);
    check_in_use();
    mpos_close(young);
    check_unused();
}

Test(os_named, unused_name_stays_with_its_content_until_unlinked)
{
    mpos_handle opened;
    char *text;

    if (!names_last())
        cr_skip_test("names go with their last user here");
    mpos_close(create("kept"));
    cr_assert_eq(list_name().count, 1);
    opened = open_name();
    text = text_of(opened);
    cr_assert_str_eq(text, "kept");
    mpos_memory_unmap(text, SMALL);
    mpos_close(opened);
    check_unused();
}

Test(os_named, own_handle_and_its_copies_are_use)
{
    mpos_handle made = create("x");
    mpos_handle copy;

    check_in_use();
    ok(mpos_duplicate(made, &copy));
    mpos_close(made);
    check_in_use();
    mpos_close(copy);
    check_unused();
}

Test(os_named, use_ends_when_the_user_is_killed)
{
    mpos_process child;
    mpos_handle made = create("x");

    start(&child, "use-name");
    wait_for_stage(0);
    mpos_close(made);
    check_in_use();
    ok(mpos_send_signal(&child, MPOS_KILL));
    end_of(&child);
    check_unused();
}

Test(os_named, inherited_handle_is_use)
{
    mpos_process child;
    mpos_handle made = create("x");

    common->passenger = made;
    start(&child, "hold");
    wait_for_stage(0);
    mpos_close(made);
    check_in_use();
    set_word(&common->stage, 2);
    cr_assert_eq(end_of(&child), 0);
    check_unused();
}

static mp_error refuse(void *context, const char *name, mpos_named_use use)
{
    (void)name;
    (void)use;
    ++*(int *)context;
    return MP_ESTATE;
}

Test(os_named, listing_ends_with_the_visitors_error)
{
    mpos_handle made = create("x");
    int calls = 0;

    cr_assert_eq(mpos_named_list(refuse, &calls), MP_ESTATE);
    cr_assert_eq(calls, 1);
    mpos_close(made);
    remove_name();
}

/* -- Races for a name ------------------------------------------------------ */

static void race_to_create(void *argument)
{
    uint32_t round = *(uint32_t *)argument;
    mpos_handle made;
    mp_error error;

    mpi_atomic32_add(&common->asleep, 1);
    sleep_on(&common->word, round);
    error =
        mpos_named_create(common->name, (mpos_bytes){"x", 2}, 0, 0600, &made);
    if (error == MP_OK)
        mpi_atomic32_add(&common->awake, 1);
    else if (error != MP_EEXIST)
        mpi_atomic32_add(&common->failures, 1);
    mpi_atomic32_add(&common->done, 1);
    /* The winner keeps it until all have tried. */
    sleep_on(&common->stage, round);
    if (error == MP_OK)
        mpos_close(made);
    mpi_atomic32_add(&common->done, 1);
}

Test(os_named, only_one_of_many_creates, .timeout = 60)
{
    uint32_t rounds = (uint32_t)support_scaled(200);
    mpos_thread threads[SLEEPERS];

    for (uint32_t round = 0; round < rounds; round++) {
        mpi_atomic32_store(&common->asleep, 0);
        mpi_atomic32_store(&common->awake, 0);
        mpi_atomic32_store(&common->done, 0);
        support_start_threads(threads, SLEEPERS, race_to_create, &round);
        wait_for_count(&common->asleep, SLEEPERS);
        set_word(&common->word, round + 1);
        wait_for_count(&common->done, SLEEPERS);
        cr_assert_eq(mpi_atomic32_load(&common->awake), 1U);
        set_word(&common->stage, round + 1);
        wait_for_count(&common->done, 2 * SLEEPERS);
        support_join_threads(threads, SLEEPERS);
        remove_name();
    }
    cr_assert_eq(mpi_atomic32_load(&common->failures), 0U);
}

/* Whatever it opens has a name, and keeps it. */
static void open_again_and_again(void *argument)
{
    (void)argument;
    while (mpi_atomic32_load(&common->word.value) == 0) {
        mpos_handle opened, other;

        if (mpos_named_open(common->name, &opened) != MP_OK)
            continue;
        mpi_atomic32_add(&common->awake, 1);
        if (mpos_named_create(common->name, (mpos_bytes){"y", 2}, 0, 0600,
                              &other) != MP_EEXIST)
            mpi_atomic32_add(&common->failures, 1);
        mpos_close(opened);
    }
    mpi_atomic32_add(&common->done, 1);
}

Test(os_named, unused_is_never_unlinked_under_one_who_opens_it, .timeout = 60)
{
    uint32_t wanted = (uint32_t)support_scaled(500);
    int64_t patience = mpos_now() + SECONDS(40);
    mpos_thread thread;

    ok(mpos_thread_start(open_again_and_again, NULL, &thread));
    while (mpi_atomic32_load(&common->awake) < wanted) {
        mpos_handle made;
        mp_error error;

        cr_assert_lt(mpos_now(), patience);
        error = mpos_named_create(common->name, (mpos_bytes){"x", 2}, 0, 0600,
                                  &made);
        if (error == MP_OK)
            mpos_close(made);
        else
            cr_assert_eq(error, MP_EEXIST, "%s", mp_error_message());
        error = mpos_named_unlink(common->name, true);
        cr_assert(error == MP_OK || error == MP_ESTATE || error == MP_ENOTFOUND,
                  "%s", mp_error_message());
    }
    mpi_atomic32_store(&common->word.value, 1);
    wait_for_count(&common->done, 1);
    mpos_thread_join(thread);
    cr_assert_eq(mpi_atomic32_load(&common->failures), 0U);
    remove_name();
}

static void check_whole(void)
{
    mpos_handle opened;
    void *bytes = NULL;
    size_t size = 0;
    mp_error error = mpos_named_open(common->name, &opened);

    if (error == MP_ENOTFOUND)
        return;
    ok(error);
    ok(mpos_memory_size(opened, &size));
    cr_assert_geq(size, (size_t)IMAGE_SIZE);
    ok(mpos_memory_map(opened, &(mpos_extent){.size = IMAGE_SIZE}, &bytes));
    for (size_t i = 0; i < IMAGE_SIZE; i++)
        cr_assert_eq(((unsigned char *)bytes)[i], 'x', "byte %zu", i);
    mpos_memory_unmap(bytes, IMAGE_SIZE);
    mpos_close(opened);
}

Test(os_named, killed_creator_leaves_all_or_nothing, .timeout = 90)
{
    size_t kills = support_scaled(KILLS);

    for (size_t i = 0; i < kills; i++) {
        mpos_process child;
        unsigned chance = 0;

        start(&child, "create");
        wait_for_stage(0);
        ok(mpos_random(&chance, sizeof(chance)));
        mpos_sleep_until(mpos_now() + chance % MILLISECONDS(2));
        ok(mpos_send_signal(&child, MPOS_KILL));
        cr_assert_lt(end_of(&child), 0);
        check_whole();
        check_unused();
    }
    cr_assert_eq(support_shared_names(".multiproc-"), 0U);
}

/* -- The system's own named objects ---------------------------------------- */

Test(os_object, where_there_are_none_a_sentence_says_so)
{
    mpos_handle handle = 42;
    uint32_t value = 42;

    if (mpos_system.has_objects)
        cr_skip_test("this system has some");
    cr_assert_eq(mpos_object_open(MPOS_OBJECT_MUTEX, "name", 0, 1, &handle),
                 MP_ENOTSUP);
    cr_assert_not_null(strstr(mp_error_message(), mpos_system.system));
    cr_assert_eq(mpos_object_wait(handle, 0), MP_ENOTSUP);
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_EVENT, handle, 1), MP_ENOTSUP);
    cr_assert_eq(mpos_object_value(MPOS_OBJECT_EVENT, handle, &value),
                 MP_ENOTSUP);
    cr_assert_eq(handle, 42);
    cr_assert_eq(value, 42U);
}

/* -- The end of a thread --------------------------------------------------- */

static mpi_atomic32 threads_running;
static mpi_atomic32 ends;
static mpi_atomic32 wrong_ends;
static mpi_atomic32 failures;

static void count_end(void)
{
    mpi_atomic32_add(&ends, 1);
}

static void ask_and_end(void *argument)
{
    int times = *(int *)argument;

    for (int i = 0; i < times; i++) {
        if (mpos_at_thread_end(count_end) != MP_OK)
            mpi_atomic32_add(&failures, 1);
    }
    if (mpi_atomic32_load(&ends) != 0)
        mpi_atomic32_add(&wrong_ends, 1);
    mpi_atomic32_add(&threads_running, 1);
    /* All together, so that none has ended when another asks. */
    while (mpi_atomic32_load(&threads_running) < SLEEPERS)
        mpos_sleep_until(mpos_now() + MILLISECONDS(1));
}

/* SLEEPERS threads ask so many times; so many calls are right. */
static void check_ends(int times, uint32_t expected)
{
    mpos_thread threads[SLEEPERS];

    mpi_atomic32_store(&threads_running, 0);
    mpi_atomic32_store(&ends, 0);
    support_start_threads(threads, SLEEPERS, ask_and_end, &times);
    wait_for_count(&threads_running, SLEEPERS);
    wait_for_count(&ends, expected);
    support_join_threads(threads, SLEEPERS); /* one too many? */
    cr_assert_eq(mpi_atomic32_load(&ends), expected);
    cr_assert_eq(mpi_atomic32_load(&wrong_ends), 0U);
    cr_assert_eq(mpi_atomic32_load(&failures), 0U);
}

Test(os_thread, end_is_told_once_for_each_thread_that_asked)
{
    check_ends(1, SLEEPERS);
    check_ends(1, SLEEPERS);
}

Test(os_thread, end_is_told_once_though_asked_for_twice)
{
    check_ends(2, SLEEPERS);
}

Test(os_thread, end_is_not_told_to_who_has_not_asked)
{
    check_ends(0, 0);
}

static uint64_t asking_thread;
static uint64_t telling_thread;

static void remember_thread(void)
{
    telling_thread = mpos_thread_id();
    mpi_atomic32_add(&ends, 1);
}

static void ask_for_own_end(void *argument)
{
    (void)argument;
    asking_thread = mpos_thread_id();
    if (mpos_at_thread_end(remember_thread) != MP_OK)
        mpi_atomic32_add(&failures, 1);
}

Test(os_thread, end_is_told_in_the_thread_that_ends)
{
    mpos_thread thread;

    ok(mpos_thread_start(ask_for_own_end, NULL, &thread));
    wait_for_count(&ends, 1);
    mpos_thread_join(thread);
    cr_assert_eq(telling_thread, asking_thread);
    cr_assert_neq(telling_thread, mpos_thread_id());
    cr_assert_eq(mpi_atomic32_load(&failures), 0U);
}
