/* SPDX-License-Identifier: MIT */
/*
 * The seam (src/os.h), as every port has to keep it. Nothing but that page is
 * used, so the same file judges all of them. What needs a second process is in
 * unit_os_posix.c.
 */
#include "os.h"

#include "support/check.h"
#include "support/expect.h"
#include "support/threads.h"

#include <stdlib.h>
#include <string.h>

#define MILLISECONDS(n) ((int64_t)(n)*1000000)
#define SECONDS(n) MILLISECONDS((n)*1000)

/* No system gives this number to a process. */
#define NOBODY ((int64_t)0x7ffffffc)

static void put(mpos_handle handle, const char *text)
{
    const mpos_bytes part = {text, strlen(text)};
    size_t written = 0;

    ok(mpos_write(handle, &part, 1, &written));
    cr_assert_eq(written, part.size);
}

static size_t take(mpos_handle handle, char *text, size_t size)
{
    size_t got = 0;

    ok(mpos_read(handle, text, size, &got));
    return got;
}

static mpos_wait_item item_of(mpos_handle handle)
{
    const mpos_wait_item item = {handle, MPOS_WAIT_READ, false};

    return item;
}

/* -- Time and chance ------------------------------------------------------- */

Test(os_time, clock_never_goes_backwards)
{
    int64_t last = mpos_now();

    for (int i = 0; i < 100000; i++) {
        int64_t now = mpos_now();

        cr_assert_geq(now, last);
        last = now;
    }
}

Test(os_time, sleep_reaches_its_deadline)
{
    int64_t deadline = mpos_now() + MILLISECONDS(30);

    mpos_sleep_until(deadline);
    cr_assert_geq(mpos_now(), deadline);
    cr_assert_lt(mpos_now(), deadline + SECONDS(5));
}

Test(os_time, sleep_until_the_past_returns_at_once)
{
    int64_t before = mpos_now();

    mpos_sleep_until(0);
    cr_assert_lt(mpos_now() - before, SECONDS(1));
}

Test(os_random, fills_every_byte_of_a_large_block)
{
    unsigned char seen[1000] = {0};

    /* A byte stays zero 16 times in a row with probability 2^-128. */
    for (int round = 0; round < 16; round++) {
        unsigned char block[sizeof(seen)] = {0};

        ok(mpos_random(block, sizeof(block)));
        for (size_t i = 0; i < sizeof(seen); i++)
            seen[i] |= block[i];
    }
    for (size_t i = 0; i < sizeof(seen); i++)
        cr_assert_neq(seen[i], 0, "byte %zu", i);
}

Test(os_random, never_repeats)
{
    unsigned char first[16] = {0};
    unsigned char second[16] = {0};

    ok(mpos_random(first, sizeof(first)));
    ok(mpos_random(second, sizeof(second)));
    cr_assert_arr_neq(first, second, sizeof(first));
}

/* -- Who and where we are -------------------------------------------------- */

Test(os_ids, facts_have_names)
{
    cr_assert_str_not_empty(mpos_system.system);
    cr_assert_str_not_empty(mpos_system.null_device);
    cr_assert_geq(mpos_system.exit_code_mask, 255U);
}

Test(os_ids, own_start_time_stays_the_same)
{
    uint64_t first = 0;
    uint64_t second = 1;

    ok(mpos_start_time(mpos_pid(), &first));
    ok(mpos_start_time(mpos_pid(), &second));
    cr_assert_eq(first, second);
    cr_assert_neq(first, 0U);
}

Test(os_ids, parent_has_a_start_time_before_ours)
{
    uint64_t own = 0;
    uint64_t parents = 0;

    ok(mpos_start_time(mpos_pid(), &own));
    ok(mpos_start_time(mpos_parent_pid(), &parents));
    cr_assert_leq(parents, own);
}

Test(os_ids, nobody_has_no_start_time)
{
    uint64_t ticks = 42;

    cr_assert_eq(mpos_start_time(NOBODY, &ticks), MP_ENOTFOUND);
    cr_assert_eq(ticks, 42U);
    cr_assert_str_not_empty(mp_error_message());
}

Test(os_ids, there_is_at_least_one_processor)
{
    cr_assert_geq(mpos_cpu_count(), 1U);
}

Test(os_ids, variable_is_taken_once)
{
    char value[4096] = "";

    ok(mpos_take_variable("PATH", value, sizeof(value)));
    cr_assert_str_not_empty(value);
    cr_assert_eq(mpos_take_variable("PATH", value, sizeof(value)),
                 MP_ENOTFOUND);
}

Test(os_ids, variable_is_cut_to_fit)
{
    char value[4] = {'x', 'x', 'x', 'x'};

    ok(mpos_take_variable("PATH", value, sizeof(value)));
    cr_assert_eq(value[3], '\0');
    cr_assert_eq(strlen(value), 3U);
}

Test(os_ids, unset_variable_leaves_the_value_alone)
{
    char value[] = "before";

    cr_assert_eq(mpos_take_variable("NO_SUCH_VARIABLE_", value, sizeof(value)),
                 MP_ENOTFOUND);
    cr_assert_str_eq(value, "before");
}

Test(os_ids, directory_can_be_left_and_found_again)
{
    char *first = NULL;
    char *second = NULL;

    ok(mpos_working_directory(&first));
    ok(mpos_change_directory(".."));
    ok(mpos_change_directory(first));
    ok(mpos_working_directory(&second));
    cr_assert_str_eq(first, second);
    free(first);
    free(second);
}

Test(os_ids, missing_directory_is_named_in_the_sentence)
{
    cr_assert_eq(mpos_change_directory("no such directory"), MP_ENOTFOUND);
    cr_assert_not_null(strstr(mp_error_message(), "no such directory"));
}

/* -- Modules --------------------------------------------------------------- */

static int variable_of_ours = 1;

/* A function's address as data: ISO C wants the detour. */
static const void *own_function(void)
{
    return (const void *)(uintptr_t)own_function;
}

static bool is_zero(const unsigned char *data, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (data[i] != 0)
            return false;
    }
    return true;
}

Test(os_module, own_function_is_in_the_program)
{
    mpos_module module = {0};
    uintptr_t address = (uintptr_t)own_function();
    char *path = NULL;

    ok(mpos_module_of(own_function(), &module));
    ok(mpos_program_path(&path));
    cr_assert(module.is_program);
    cr_assert_str_eq(module.path, path);
    cr_assert_leq(module.base, address);
    cr_assert_lt(address - module.base, module.size);
    cr_assert_not(is_zero(module.build_id, sizeof(module.build_id)));
    free(module.path);
    free(path);
}

Test(os_module, data_is_in_no_module)
{
    mpos_module module = {.size = 42};
    int on_stack = 0;
    void *on_heap = malloc(16);

    cr_assert_eq(mpos_module_of(&variable_of_ours, &module), MP_ENOTFOUND);
    cr_assert_eq(mpos_module_of(&on_stack, &module), MP_ENOTFOUND);
    cr_assert_eq(mpos_module_of(on_heap, &module), MP_ENOTFOUND);
    cr_assert_eq(mpos_module_of(NULL, &module), MP_ENOTFOUND);
    cr_assert_eq(mpos_module_of((const void *)(uintptr_t)8, &module),
                 MP_ENOTFOUND);
    cr_assert_eq(module.size, 42U);
    cr_assert_null(module.path);
    free(on_heap);
}

static void check_found(const char *path)
{
    mpos_module found = {0};
    mpos_module own = {0};

    ok(mpos_module_of(own_function(), &own));
    ok(mpos_module_find(path, &found));
    cr_assert_eq(found.base, own.base);
    cr_assert_eq(found.size, own.size);
    cr_assert_arr_eq(found.build_id, own.build_id, MPOS_BUILD_ID_SIZE);
    cr_assert_str_eq(found.path, own.path);
    cr_assert(found.is_program);
    free(found.path);
    free(own.path);
}

Test(os_module, program_is_found_without_a_path)
{
    check_found(NULL);
}

Test(os_module, program_is_found_by_its_path)
{
    char *path = NULL;

    ok(mpos_program_path(&path));
    check_found(path);
    free(path);
}

Test(os_module, module_that_is_not_loaded_is_not_found)
{
    mpos_module module = {.size = 42};

    cr_assert_eq(mpos_module_find("/no/such/module", &module), MP_ENOTFOUND);
    cr_assert_eq(module.size, 42U);
    cr_assert_not_null(strstr(mp_error_message(), "/no/such/module"));
}

Test(os_module, missing_library_is_not_loaded)
{
    cr_assert_lt(mpos_module_load("/no/such/library"), 0);
    cr_assert_str_not_empty(mp_error_message());
}

/* -- Pipes and channels ---------------------------------------------------- */

Test(os_handle, pipe_carries_bytes_in_order)
{
    mpos_handle reader, writer;
    char text[16] = "";

    ok(mpos_pipe(&reader, &writer));
    put(writer, "one");
    put(writer, "two");
    cr_assert_eq(take(reader, text, 4), 4U);
    cr_assert_arr_eq(text, "onet", 4);
    cr_assert_eq(take(reader, text, sizeof(text)), 2U);
    cr_assert_arr_eq(text, "wo", 2);
    mpos_close(reader);
    mpos_close(writer);
}

Test(os_handle, parts_are_joined)
{
    const mpos_bytes parts[] = {{"ab", 2}, {"", 0}, {"c", 1}, {"def", 3}};
    mpos_handle reader, writer;
    char text[16] = "";
    size_t written = 0;

    ok(mpos_pipe(&reader, &writer));
    ok(mpos_write(writer, parts, 4, &written));
    cr_assert_eq(written, 6U);
    cr_assert_eq(take(reader, text, sizeof(text)), 6U);
    cr_assert_str_eq(text, "abcdef");
    mpos_close(reader);
    mpos_close(writer);
}

Test(os_handle, end_of_file_comes_after_the_last_byte)
{
    mpos_handle reader, writer;
    char text[16] = "";

    ok(mpos_pipe(&reader, &writer));
    put(writer, "last");
    mpos_close(writer);
    cr_assert_eq(take(reader, text, sizeof(text)), 4U);
    cr_assert_eq(take(reader, text, sizeof(text)), 0U);
    cr_assert_eq(take(reader, text, sizeof(text)), 0U);
    mpos_close(reader);
}

Test(os_handle, writing_to_nobody_fails_without_a_signal)
{
    const mpos_bytes part = {"x", 1};
    mpos_handle reader, writer;
    size_t written = 42;

    ok(mpos_pipe(&reader, &writer));
    mpos_close(reader);
    cr_assert_eq(mpos_write(writer, &part, 1, &written), MP_EPIPE);
    cr_assert_eq(written, 42U);
    cr_assert_str_not_empty(mp_error_message());
    mpos_close(writer);
}

Test(os_handle, channel_carries_bytes_both_ways)
{
    mpos_handle left, right;
    char text[16] = "";

    ok(mpos_channel(&left, &right, NULL));
    put(left, "ping");
    put(right, "pong!");
    cr_assert_eq(take(right, text, sizeof(text)), 4U);
    cr_assert_arr_eq(text, "ping", 4);
    cr_assert_eq(take(left, text, sizeof(text)), 5U);
    cr_assert_arr_eq(text, "pong!", 5);
    mpos_close(left);
    mpos_close(right);
}

Test(os_handle, channel_ends_for_the_other_side)
{
    const mpos_bytes part = {"x", 1};
    mpos_handle left, right;
    char text[16] = "";
    size_t written;

    ok(mpos_channel(&left, &right, NULL));
    mpos_close(right);
    cr_assert_eq(take(left, text, sizeof(text)), 0U);
    cr_assert_eq(mpos_write(left, &part, 1, &written), MP_EPIPE);
    mpos_close(left);
}

/* A killed peer leaves unread bytes behind. */
Test(os_handle, channel_closed_with_bytes_unread_is_an_end_of_file)
{
    mpos_handle left, right;
    char text[16] = "";

    ok(mpos_channel(&left, &right, NULL));
    put(left, "never read");
    put(right, "read");
    mpos_close(right);
    cr_assert_eq(take(left, text, sizeof(text)), 4U);
    cr_assert_eq(take(left, text, sizeof(text)), 0U);
    mpos_close(left);
}

Test(os_handle, duplicate_keeps_the_pipe_open)
{
    mpos_handle reader, writer, copy;
    char text[16] = "";

    ok(mpos_pipe(&reader, &writer));
    ok(mpos_duplicate(writer, &copy));
    cr_assert_neq(copy, writer);
    mpos_close(writer);
    put(copy, "still");
    cr_assert_eq(take(reader, text, sizeof(text)), 5U);
    mpos_close(copy);
    cr_assert_eq(take(reader, text, sizeof(text)), 0U);
    mpos_close(reader);
}

Test(os_handle, close_accepts_none)
{
    mpos_close(MPOS_NONE);
}

enum { LARGE = 3 << 20 };

typedef struct stream {
    mpos_handle writer;
    unsigned char *data;
} stream;

static void write_large(void *argument)
{
    stream *sent = argument;
    size_t done = 0;

    while (done < LARGE) {
        const mpos_bytes part = {sent->data + done, LARGE - done};
        size_t written = 0;

        if (mpos_write(sent->writer, &part, 1, &written) != MP_OK)
            break;
        done += written;
    }
    mpos_close(sent->writer);
}

Test(os_handle, more_than_the_system_buffers_arrives_whole)
{
    mpos_handle reader;
    mpos_thread thread;
    stream sent = {.data = malloc(LARGE)};
    unsigned char *received = malloc(LARGE + 1);
    size_t done = 0;
    size_t got = 1;

    cr_assert(sent.data != NULL && received != NULL);
    ok(mpos_random(sent.data, LARGE));
    ok(mpos_pipe(&reader, &sent.writer));
    ok(mpos_thread_start(write_large, &sent, &thread));
    while (got > 0) {
        /* One byte more than there is: the last read finds the end. */
        ok(mpos_read(reader, received + done, LARGE + 1 - done, &got));
        done += got;
    }
    mpos_thread_join(thread);
    cr_assert_eq(done, (size_t)LARGE);
    cr_assert_arr_eq(received, sent.data, LARGE);
    mpos_close(reader);
    free(received);
    free(sent.data);
}

/* -- Waiting --------------------------------------------------------------- */

enum { MANY = 200 };

static mpos_handle readers[MANY];
static mpos_handle writers[MANY];
static mpos_wait_item items[MANY];

static void open_many(void)
{
    for (size_t i = 0; i < MANY; i++) {
        ok(mpos_pipe(&readers[i], &writers[i]));
        items[i] = item_of(readers[i]);
    }
}

static void close_many(void)
{
    for (size_t i = 0; i < MANY; i++) {
        mpos_close(readers[i]);
        mpos_close(writers[i]);
    }
}

static size_t count_ready(void)
{
    size_t count = 0;

    for (size_t i = 0; i < MANY; i++)
        count += items[i].is_ready;
    return count;
}

Test(os_wait, the_one_of_many_that_is_ready_is_found)
{
    static const size_t places[] = {0, 63, 64, 130, MANY - 1};

    open_many();
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        char byte;

        put(writers[places[i]], "x");
        ok(mpos_wait(items, MANY, mpos_now() + SECONDS(10)));
        cr_assert_eq(count_ready(), 1U);
        cr_assert(items[places[i]].is_ready);
        cr_assert_eq(take(readers[places[i]], &byte, 1), 1U);
    }
    close_many();
}

Test(os_wait, all_that_are_ready_are_marked)
{
    open_many();
    for (size_t i = 0; i < MANY; i += 3)
        put(writers[i], "x");
    ok(mpos_wait(items, MANY, MPOS_FOREVER));
    for (size_t i = 0; i < MANY; i++)
        cr_assert_eq(items[i].is_ready, i % 3 == 0, "item %zu", i);
    close_many();
}

Test(os_wait, end_of_file_is_ready)
{
    mpos_handle reader, writer;
    mpos_wait_item item;

    ok(mpos_pipe(&reader, &writer));
    item = item_of(reader);
    mpos_close(writer);
    ok(mpos_wait(&item, 1, MPOS_FOREVER));
    cr_assert(item.is_ready);
    mpos_close(reader);
}

Test(os_wait, looking_does_not_take_anything)
{
    mpos_handle reader, writer;
    mpos_wait_item item;
    char text[16] = "";

    ok(mpos_pipe(&reader, &writer));
    item = item_of(reader);
    put(writer, "here");
    ok(mpos_wait(&item, 1, 0));
    ok(mpos_wait(&item, 1, 0));
    cr_assert_eq(take(reader, text, sizeof(text)), 4U);
    mpos_close(reader);
    mpos_close(writer);
}

Test(os_wait, gives_up_at_the_deadline_and_not_before)
{
    int64_t deadline;

    open_many();
    deadline = mpos_now() + MILLISECONDS(50);
    cr_assert_eq(mpos_wait(items, MANY, deadline), MP_TIMED_OUT);
    cr_assert_geq(mpos_now(), deadline);
    cr_assert_lt(mpos_now(), deadline + SECONDS(5));
    close_many();
}

Test(os_wait, deadline_in_the_past_only_looks)
{
    int64_t before = mpos_now();

    open_many();
    cr_assert_eq(mpos_wait(items, MANY, 0), MP_TIMED_OUT);
    cr_assert_eq(mpos_wait(items, 1, before), MP_TIMED_OUT);
    put(writers[7], "x");
    ok(mpos_wait(items, MANY, 0));
    cr_assert(items[7].is_ready);
    close_many();
}

Test(os_wait, nothing_to_wait_for_lasts_until_the_deadline)
{
    int64_t deadline = mpos_now() + MILLISECONDS(20);

    cr_assert_eq(mpos_wait(NULL, 0, deadline), MP_TIMED_OUT);
    cr_assert_geq(mpos_now(), deadline);
}

static void write_soon(void *argument)
{
    const mpos_bytes part = {"x", 1};
    size_t written;

    mpos_sleep_until(mpos_now() + MILLISECONDS(30));
    mpos_write(*(mpos_handle *)argument, &part, 1, &written);
}

Test(os_wait, a_write_in_another_thread_ends_the_wait)
{
    mpos_thread thread;

    open_many();
    ok(mpos_thread_start(write_soon, &writers[150], &thread));
    ok(mpos_wait(items, MANY, MPOS_FOREVER));
    cr_assert(items[150].is_ready);
    cr_assert_eq(count_ready(), 1U);
    mpos_thread_join(thread);
    close_many();
}

/* -- Memory ---------------------------------------------------------------- */

Test(os_memory, begins_zeroed_and_is_shared_between_mappings)
{
    const size_t size = 100000;
    mpos_handle memory;
    void *first = NULL;
    void *second = NULL;

    ok(mpos_memory_create(size, 0, &memory));
    ok(mpos_memory_map(memory, &(mpos_extent){.size = size}, &first));
    ok(mpos_memory_map(memory, &(mpos_extent){.size = size}, &second));
    cr_assert_neq(first, second);
    cr_assert(is_zero(first, size));
    memset(first, 'x', size);
    cr_assert_arr_eq(second, first, size);
    mpos_memory_unmap(first, size);
    mpos_memory_unmap(second, size);
    mpos_close(memory);
}

Test(os_memory, outlives_its_handle_while_it_is_mapped)
{
    mpos_handle memory;
    void *place = NULL;

    ok(mpos_memory_create(10, 0, &memory));
    ok(mpos_memory_map(memory, &(mpos_extent){.size = 10}, &place));
    mpos_close(memory);
    memset(place, 'x', 10);
    mpos_memory_unmap(place, 10);
}

Test(os_memory, is_at_least_as_large_as_asked_for)
{
    static const size_t sizes[] = {1, 4095, 4096, 4097, 1000000};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        mpos_handle memory;
        mpos_handle copy;
        size_t size = 0;

        ok(mpos_memory_create(sizes[i], 0, &memory));
        ok(mpos_memory_size(memory, &size));
        cr_assert_geq(size, sizes[i]);
        cr_assert_lt(size, sizes[i] + (1U << 20));
        ok(mpos_duplicate(memory, &copy));
        ok(mpos_memory_size(copy, &size));
        cr_assert_geq(size, sizes[i]);
        mpos_close(copy);
        mpos_close(memory);
    }
}

Test(os_memory, more_than_the_machine_has_is_refused)
{
    mpos_handle memory = 42;
    mp_error error = mpos_memory_create(SIZE_MAX / 4, 0, &memory);

    cr_assert(error == MP_ENOSPC || error == MP_ENOMEM, "%s",
              mp_error_name(error));
    cr_assert_eq(memory, 42);
    cr_assert_str_not_empty(mp_error_message());
}

/* -- Processes ------------------------------------------------------------- */

Test(os_process, attached_process_is_not_ready_while_it_lives)
{
    mpos_process self = {0};
    uint64_t start_time = 0;
    mpos_wait_item item;
    int code = 42;

    ok(mpos_start_time(mpos_pid(), &start_time));
    ok(mpos_attach(&self, mpos_pid(), start_time));
    cr_assert_eq(self.pid, mpos_pid());
    cr_assert_eq(self.start_time, start_time);
    cr_assert_not(self.is_child);
    item = item_of(self.sentinel);
    item.kind = MPOS_WAIT_PROCESS;
    cr_assert_eq(mpos_wait(&item, 1, mpos_now() + MILLISECONDS(20)),
                 MP_TIMED_OUT);
    cr_assert_eq(mpos_reap(&self, 0, &code), MP_TIMED_OUT);
    cr_assert_eq(code, 42);
    mpos_process_close(&self);
}

Test(os_process, attach_takes_whoever_has_the_pid_if_not_told_since_when)
{
    mpos_process self = {0};

    ok(mpos_attach(&self, mpos_pid(), 0));
    cr_assert_neq(self.start_time, 0U);
    mpos_process_close(&self);
}

Test(os_process, attach_refuses_another_process_with_the_same_pid)
{
    mpos_process self = {.pid = 42};
    uint64_t start_time = 0;

    ok(mpos_start_time(mpos_pid(), &start_time));
    cr_assert_eq(mpos_attach(&self, mpos_pid(), start_time + 1), MP_ENOTFOUND);
    cr_assert_eq(self.pid, 42);
}

Test(os_process, attach_does_not_find_nobody)
{
    mpos_process nobody = {.pid = 42};

    cr_assert_eq(mpos_attach(&nobody, NOBODY, 0), MP_ENOTFOUND);
    cr_assert_eq(mpos_attach(&nobody, -1, 0), MP_ENOTFOUND);
    cr_assert_eq(mpos_attach(&nobody, INT64_MAX, 0), MP_ENOTFOUND);
    cr_assert_eq(nobody.pid, 42);
}

Test(os_process, close_accepts_what_is_closed_or_never_was)
{
    mpos_process process = {0};

    mpos_process_close(&process);
    ok(mpos_attach(&process, mpos_pid(), 0));
    mpos_process_close(&process);
    mpos_process_close(&process);
}

Test(os_process, missing_program_is_not_started)
{
    const mpos_spawn_options options = {.program = "/no/such/program"};
    mpos_process process = {.pid = 42};
    mp_error error = mpos_spawn(&process, &options);

    /* Where a tool makes a fork of vfork() it is found out later. */
    if (error == MP_OK) {
        int code = 0;

        ok(mpos_reap(&process, MPOS_FOREVER, &code));
        cr_assert_eq(code, 127);
        mpos_process_close(&process);
        return;
    }
    cr_assert_eq(error, MP_ENOTFOUND);
    cr_assert_eq(process.pid, 42);
    cr_assert_not_null(strstr(mp_error_message(), "/no/such/program"));
}

/* -- Threads --------------------------------------------------------------- */

enum { THREADS = 4, ROUNDS = 20000 };

static mpos_mutex mutex = MPOS_MUTEX_INIT;
static long counter; /* guarded by mutex */
static uint64_t thread_ids[THREADS];

static void count_up(void *argument)
{
    *(uint64_t *)argument = mpos_thread_id();
    for (int i = 0; i < ROUNDS; i++) {
        mpos_mutex_lock(&mutex);
        counter++;
        mpos_mutex_unlock(&mutex);
    }
}

static void run_threads(void)
{
    mpos_thread threads[THREADS];

    for (size_t i = 0; i < THREADS; i++)
        ok(mpos_thread_start(count_up, &thread_ids[i], &threads[i]));
    support_join_threads(threads, THREADS);
}

Test(os_thread, mutex_lets_one_in_at_a_time)
{
    run_threads();
    mpos_mutex_lock(&mutex);
    cr_assert_eq(counter, (long)THREADS * ROUNDS);
    mpos_mutex_unlock(&mutex);
}

Test(os_thread, threads_have_ids_of_their_own)
{
    run_threads();
    for (size_t i = 0; i < THREADS; i++) {
        cr_assert_neq(thread_ids[i], mpos_thread_id());
        for (size_t j = 0; j < i; j++)
            cr_assert_neq(thread_ids[i], thread_ids[j]);
    }
    cr_assert_eq(mpos_thread_id(), mpos_thread_id());
}

static void set_flag(void *argument)
{
    *(bool *)argument = true;
}

Test(os_thread, joined_thread_has_ended_and_left_nothing)
{
    size_t before = 0;

    for (int round = 0; round < 100; round++) {
        bool has_run = false;
        mpos_thread thread;

        ok(mpos_thread_start(set_flag, &has_run, &thread));
        mpos_thread_join(thread);
        cr_assert(has_run);
        if (before == 0)
            before = support_open_handles();
        cr_assert_eq(support_open_handles(), before);
    }
}

Test(os_thread, reset_mutex_is_free)
{
    mpos_mutex_lock(&mutex);
    mpos_mutex_reset(&mutex);
    mpos_mutex_lock(&mutex);
    mpos_mutex_unlock(&mutex);
}
