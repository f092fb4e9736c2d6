/* SPDX-License-Identifier: MIT */
/*
 * What only the Windows port can get wrong; what both can is in unit_os.c.
 *
 * Children are this program: the constructor play_role() sees ROLE in their
 * environment, plays the part, and never returns.
 */
#include "check.h"
#include "system.h"
#include "testing.h"

#include "os_internal.h"

#include <windows.h>

#include <stdio.h>
#include <stdlib.h>

#define ROLE "MULTIPROC_TEST_ROLE"
#define ROLE_SIZE 512
#define SECOND INT64_C(1000000000)
/* "Füße-日本-😀" */
#define UNICODE_NAME    \
    "F\xc3\xbc\xc3\x9f" \
    "e-\xe6\x97\xa5\xe6\x9c\xac-\xf0\x9f\x98\x80"

enum {
    TEXT_SIZE = 4096,
    SOME_CHILDREN = 12,
    MANY_ITEMS = 1000,
    PING_PONGS = 2000,
    IMAGE_SIZE = 40000,
    NAME_SIZE = 64,
};

static int64_t in_seconds(int seconds)
{
    return mpos_now() + seconds * SECOND;
}

/* -- Talking over pipes ---------------------------------------------------- */

static void tell(mpos_handle writer, const void *data, size_t size)
{
    const unsigned char *bytes = data;

    while (size > 0) {
        mpos_bytes part = {bytes, size};
        size_t written;

        if (mpos_write(writer, &part, 1, &written) != MP_OK)
            mpos_exit(99);
        bytes += written;
        size -= written;
    }
}

/* Everything until the other end is closed, as a string. */
static size_t hear_all(mpos_handle reader, char *text, size_t size)
{
    size_t total = 0;
    size_t got = 1;

    while (got > 0 && total + 1 < size) {
        cr_assert_eq(mpos_read(reader, text + total, size - total - 1, &got),
                     MP_OK, "%s", mp_error_message());
        total += got;
    }
    text[total] = '\0';
    return total;
}

static bool hear(mpos_handle reader, void *data, size_t size)
{
    unsigned char *bytes = data;
    size_t got = 1;

    for (; size > 0 && got > 0; bytes += got, size -= got) {
        if (mpos_read(reader, bytes, size, &got) != MP_OK)
            return false;
    }
    return size == 0;
}

/* -- The parts children play ----------------------------------------------- */

typedef struct module_report {
    unsigned char build_id[MPOS_BUILD_ID_SIZE];
    uintptr_t base;
} module_report;

static void report_module(mpos_handle writer)
{
    mpos_module module;
    module_report report = {.base = 0};

    if (mpos_module_find(NULL, &module) != MP_OK)
        mpos_exit(98);
    memcpy(report.build_id, module.build_id, sizeof(report.build_id));
    report.base = module.base;
    tell(writer, &report, sizeof(report));
}

static void report_text(mpos_handle writer, const wchar_t *text)
{
    char line[TEXT_SIZE];

    WideCharToMultiByte(CP_UTF8, 0, text, -1, line, TEXT_SIZE, NULL, NULL);
    tell(writer, line, strlen(line));
    tell(writer, "\n", 1);
}

static void report_surroundings(mpos_handle writer)
{
    wchar_t text[TEXT_SIZE] = L"";

    report_text(writer, GetCommandLineW());
    GetModuleFileNameW(NULL, text, TEXT_SIZE);
    report_text(writer, text);
    text[0] = L'\0';
    GetEnvironmentVariableW(L"MULTIPROC_TEST_EXTRA", text, TEXT_SIZE);
    report_text(writer, text);
}

/* Sets all events in ",a,b,c". A number alone proves nothing: the child may
 * have opened something else under it. */
static void set_events(const char *list)
{
    char *end = (char *)list;

    while (*end == ',')
        SetEvent((HANDLE)(intptr_t)strtoll(end + 1, &end, 10));
}

static void start_sleeper(mpos_handle writer, bool dies_with_parent)
{
    mpos_process child;
    mpos_spawn_options options = {
        .variable = ROLE "=sleep",
        .dies_with_parent = dies_with_parent,
    };

    if (mpos_spawn(&child, &options) != MP_OK)
        mpos_exit(97);
    tell(writer, &child.pid, sizeof(child.pid));
    Sleep(INFINITE);
}

/* Exits with the first number, having changed the last. */
static void change_memory(mpos_handle memory)
{
    int *numbers;

    if (mpos_memory_map(memory, &(mpos_extent){.size = 5000},
                        (void **)&numbers) != MP_OK)
        mpos_exit(95);
    numbers[1249] = 42;
    mpos_exit(numbers[0]);
}

static void report_parent(mpos_handle writer)
{
    int64_t parent = mpos_parent_pid();

    tell(writer, &parent, sizeof(parent));
}

/* The child of a child: what became of the command line on the way? */
static void relay(mpos_handle writer, const char *rest)
{
    char variable[ROLE_SIZE];
    mpos_process child;
    int code = 96;
    mpos_spawn_options options = {
        .variable = variable,
        .handles = &writer,
        .handle_count = 1,
    };

    snprintf(variable, sizeof(variable), ROLE "=surroundings%s", rest);
    if (mpos_spawn(&child, &options) == MP_OK)
        mpos_reap(&child, in_seconds(20), &code);
    mpos_exit(code);
}

static void echo(mpos_handle channel)
{
    char byte;

    while (hear(channel, &byte, 1))
        tell(channel, &byte, 1);
}

/* What the processes of a test on words share. */
typedef struct words {
    mpos_word word[2];
    mpi_atomic32 asleep;
} words;

static words *map_words(mpos_handle memory)
{
    void *place;

    if (mpos_memory_map(memory, &(mpos_extent){.size = sizeof(words)},
                        &place) != MP_OK)
        mpos_exit(94);
    return place;
}

static mpos_handle open_queue(const char *key)
{
    mpos_handle queue;

    if (mpos_word_queue(key, &queue) != MP_OK)
        mpos_exit(93);
    return queue;
}

/* Each adds one when the number is even, or odd. */
static bool play_ping_pong(mpos_word *word, mpos_handle queue, uint32_t parity,
                           size_t rounds)
{
    int64_t deadline = in_seconds(60);

    for (size_t i = 0; i < rounds; i++) {
        uint32_t value = mpi_atomic32_load(&word->value);

        while (value % 2 != parity) {
            if (!mpos_word_wait(word, queue, value, deadline))
                return false;
            value = mpi_atomic32_load(&word->value);
        }
        mpi_atomic32_add(&word->value, 1);
        mpos_word_wake(word, queue, 1);
    }
    return true;
}

/* Sleeps for ever, but for the first word's sake: "<memory>,<key>". */
static void sleep_on_word(mpos_handle memory, const char *rest)
{
    words *shared = map_words(memory);
    mpos_handle queue = open_queue(rest + 1);

    mpi_atomic32_add(&shared->asleep, 1);
    for (;;)
        mpos_word_wait(&shared->word[0], queue, 0, MPOS_FOREVER);
}

static void play_on_word(mpos_handle memory, const char *rest)
{
    words *shared = map_words(memory);
    mpos_handle queue = open_queue(rest + 1);

    mpos_exit(play_ping_pong(&shared->word[1], queue, 1, PING_PONGS) ? 0 : 1);
}

/* Creates and closes ",<name>", until it is killed. */
static void create_for_ever(const char *rest)
{
    static unsigned char image[IMAGE_SIZE];
    mpos_handle made;

    memset(image, 'x', sizeof(image));
    for (;;) {
        if (mpos_named_create(rest + 1, (mpos_bytes){image, sizeof(image)}, 0,
                              0, &made) == MP_OK)
            mpos_close(made);
    }
}

/* Ends while it holds the mutex, having changed the memory: ",<memory>". */
static void die_with_mutex(mpos_handle mutex, const char *rest)
{
    mpos_handle memory = (mpos_handle)strtoll(rest + 1, NULL, 10);
    int *numbers;

    if (mpos_memory_map(memory, &(mpos_extent){.size = sizeof(*numbers)},
                        (void **)&numbers) != MP_OK ||
        mpos_object_wait(mutex, in_seconds(20)) != MP_OK)
        mpos_exit(92);
    numbers[0] = 42;
    TerminateProcess(GetCurrentProcess(), 6);
}

static HANDLE end_event;

static void set_end_event(void)
{
    SetEvent(end_event);
}

/* Its one thread has asked to be told of its end, and ends the process. */
static void end_with_hook(mpos_handle event)
{
    end_event = (HANDLE)event;
    ExitProcess(mpos_at_thread_end(set_end_event) == MP_OK ? 8 : 9);
}

/* 0 if the variable that made us play is gone, and no other of that name. */
static int is_role_gone(void)
{
    wchar_t value[ROLE_SIZE];

    return GetEnvironmentVariableW(L"multiproc_test_ROLE", value, ROLE_SIZE) ==
                   0
               ? 0
               : 1;
}

/* role is "name", "name:number" or "name:number,more". */
static void play(const char *role)
{
    size_t length = strcspn(role, ":");
    const char *rest = role + length;
    char *end = (char *)rest;
    long long number = *rest == ':' ? strtoll(rest + 1, &end, 10) : 0;
    mpos_handle handle = (mpos_handle)number;

    if (strncmp(role, "exit", length) == 0)
        mpos_exit((int)number);
    if (strncmp(role, "sleep", length) == 0)
        Sleep(INFINITE);
    if (strncmp(role, "module", length) == 0)
        report_module(handle);
    if (strncmp(role, "surroundings", length) == 0)
        report_surroundings(handle);
    if (strncmp(role, "events", length) == 0)
        set_events(end);
    if (strncmp(role, "mortal", length) == 0)
        start_sleeper(handle, true);
    if (strncmp(role, "immortal", length) == 0)
        start_sleeper(handle, false);
    if (strncmp(role, "relay", length) == 0)
        relay(handle, rest);
    if (strncmp(role, "echo", length) == 0)
        echo(handle);
    if (strncmp(role, "memory", length) == 0)
        change_memory(handle);
    if (strncmp(role, "parent", length) == 0)
        report_parent(handle);
    if (strncmp(role, "sleep-on-word", length) == 0)
        sleep_on_word(handle, end);
    if (strncmp(role, "play-on-word", length) == 0)
        play_on_word(handle, end);
    if (strncmp(role, "create", length) == 0)
        create_for_ever(end);
    if (strncmp(role, "die-with-mutex", length) == 0)
        die_with_mutex(handle, end);
    if (strncmp(role, "end-with-hook", length) == 0)
        end_with_hook(handle);
    if (strncmp(role, "once", length) == 0)
        mpos_exit(is_role_gone());
    if (strncmp(role, "streams", length) == 0)
        mpos_exit(GetStdHandle(STD_INPUT_HANDLE) == NULL ? 0 : 1);
    mpos_exit(0);
}

SUPPORT_CONSTRUCTOR(play_role)
{
    char role[ROLE_SIZE];

    if (mpos_take_variable(ROLE, role, sizeof(role)) == MP_OK)
        play(role);
}

/* -- Starting them --------------------------------------------------------- */

static mpos_process start(const char *role, const mpos_handle *handles,
                          size_t count)
{
    char variable[ROLE_SIZE];
    mpos_process child = {0};
    mpos_spawn_options options = {
        .variable = variable,
        .handles = handles,
        .handle_count = count,
    };

    snprintf(variable, sizeof(variable), ROLE "=%s", role);
    cr_assert_eq(mpos_spawn(&child, &options), MP_OK, "%s", mp_error_message());
    return child;
}

/* A child that answers over a pipe; *reader is the end to listen at. */
static mpos_process start_speaker(const char *name, mpos_handle *reader)
{
    char role[ROLE_SIZE];
    mpos_handle writer;
    mpos_process child;

    cr_assert_eq(mpos_pipe(reader, &writer), MP_OK);
    snprintf(role, sizeof(role), "%s:%lld", name, (long long)writer);
    child = start(role, &writer, 1);
    mpos_close(writer);
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

static int code_of(const char *role)
{
    mpos_process child = start(role, NULL, 0);

    return end_of(&child);
}

static bool has_ended(int64_t pid, int64_t deadline)
{
    mpos_process process = {0};
    int code;
    mp_error err = mpos_attach(&process, pid, 0);

    if (err == MP_OK)
        err = mpos_reap(&process, deadline, &code);
    mpos_process_close(&process);
    return err == MP_ENOTFOUND;
}

/* -- Exit codes and signals ------------------------------------------------ */

Test(os_win32, exit_codes_keep_all_32_bits)
{
    cr_assert_eq(code_of("exit:0"), 0);
    cr_assert_eq(code_of("exit:7"), 7);
    cr_assert_eq(code_of("exit:255"), 255);
    cr_assert_eq(code_of("exit:305419896"), 0x12345678);
    cr_assert_eq(code_of("exit:259"), 259); /* STILL_ACTIVE is no code */
}

static int code_after(mpos_signal signal)
{
    mpos_process child = start("sleep", NULL, 0);

    cr_assert_eq(mpos_send_signal(&child, signal), MP_OK, "%s",
                 mp_error_message());
    return end_of(&child);
}

Test(os_win32, terminate_and_kill_read_as_signals)
{
    cr_assert_eq(code_after(MPOS_TERMINATE), -15);
    cr_assert_eq(code_after(MPOS_KILL), -9);
}

Test(os_win32, every_signal_to_an_ended_process_succeeds)
{
    mpos_process child = start("exit:3", NULL, 0);
    int code = 0;

    cr_assert_eq(mpos_reap(&child, in_seconds(20), &code), MP_OK);
    for (int i = MPOS_TERMINATE; i <= MPOS_RESUME; i++)
        cr_expect_eq(mpos_send_signal(&child, (mpos_signal)i), MP_OK);
    cr_assert_eq(mpos_reap(&child, 0, &code), MP_OK);
    cr_assert_eq(code, 3);
    mpos_process_close(&child);
}

Test(os_win32, interrupt_is_refused_with_a_sentence)
{
    mpos_process child = start("sleep", NULL, 0);

    cr_assert_eq(mpos_send_signal(&child, MPOS_INTERRUPT), MP_ENOTSUP);
    cr_assert_not_null(strstr(mp_error_message(), "Ctrl-C"));
    mpos_send_signal(&child, MPOS_KILL);
    cr_assert_eq(end_of(&child), -9);
}

static bool answers(mpos_handle channel, int64_t patience)
{
    mpos_wait_item item = {.handle = channel, .kind = MPOS_WAIT_READ};
    char byte;

    return mpos_wait(&item, 1, mpos_now() + patience) == MP_OK &&
           hear(channel, &byte, 1);
}

Test(os_win32, one_resume_undoes_any_number_of_suspends)
{
    char role[ROLE_SIZE];
    mpos_handle ours;
    mpos_handle theirs;
    mpos_process child;

    cr_assert_eq(mpos_channel(&ours, &theirs, NULL), MP_OK);
    snprintf(role, sizeof(role), "echo:%lld", (long long)theirs);
    child = start(role, &theirs, 1);
    mpos_close(theirs);
    tell(ours, "x", 1);
    cr_assert(answers(ours, 20 * SECOND));

    for (int i = 0; i < 3; i++)
        cr_assert_eq(mpos_send_signal(&child, MPOS_SUSPEND), MP_OK, "%s",
                     mp_error_message());
    tell(ours, "y", 1);
    cr_assert_not(answers(ours, SECOND / 5));
    cr_assert_eq(mpos_send_signal(&child, MPOS_RESUME), MP_OK);
    cr_assert(answers(ours, 20 * SECOND));

    mpos_close(ours);
    cr_assert_eq(end_of(&child), 0);
}

Test(os_win32, a_suspended_process_can_be_killed)
{
    mpos_process child = start("sleep", NULL, 0);

    cr_assert_eq(mpos_send_signal(&child, MPOS_SUSPEND), MP_OK);
    cr_assert_eq(mpos_send_signal(&child, MPOS_KILL), MP_OK);
    cr_assert_eq(end_of(&child), -9);
}

/* -- What a child inherits ------------------------------------------------- */

static bool is_inheritable(HANDLE handle)
{
    DWORD flags = 0;

    cr_assert(GetHandleInformation(handle, &flags));
    return (flags & HANDLE_FLAG_INHERIT) != 0;
}

static bool is_set(HANDLE event)
{
    return WaitForSingleObject(event, 0) == WAIT_OBJECT_0;
}

Test(os_win32, a_child_has_exactly_the_handles_it_was_given)
{
    SECURITY_ATTRIBUTES inheritable = {sizeof(inheritable), NULL, TRUE};
    HANDLE given = CreateEventW(NULL, TRUE, FALSE, NULL);
    HANDLE kept = CreateEventW(NULL, TRUE, FALSE, NULL);
    HANDLE foreign = CreateEventW(&inheritable, TRUE, FALSE, NULL);
    HANDLE both = CreateEventW(&inheritable, TRUE, FALSE, NULL);
    char role[ROLE_SIZE];
    mpos_process child;

    snprintf(role, sizeof(role), "events:0,%lld,%lld,%lld,%lld",
             (long long)(intptr_t)given, (long long)(intptr_t)kept,
             (long long)(intptr_t)foreign, (long long)(intptr_t)both);
    /* The same one twice, which the system itself would refuse. */
    child = start(role,
                  (mpos_handle[]){(mpos_handle)given, (mpos_handle)both,
                                  (mpos_handle)given},
                  3);
    cr_assert_eq(end_of(&child), 0);
    cr_assert(is_set(given));
    cr_assert(is_set(both));
    cr_assert_not(is_set(kept));
    cr_assert_not(is_set(foreign));

    cr_assert_not(is_inheritable(given));
    cr_assert_not(is_inheritable(kept));
    cr_assert(is_inheritable(foreign));
    cr_assert(is_inheritable(both));
}

Test(os_win32, a_handle_that_is_not_open_starts_nothing)
{
    mpos_process child = {0};
    mpos_handle bad = 0x7ffffff0;
    mpos_spawn_options options = {
        .variable = ROLE "=sleep", .handles = &bad, .handle_count = 1};

    cr_assert_eq(mpos_spawn(&child, &options), MP_EINVAL);
    cr_assert_eq(child.pid, 0);
    cr_assert_not(support_has_children());
}

Test(os_win32, missing_standard_streams_are_missing_in_the_child)
{
    SetStdHandle(STD_INPUT_HANDLE, NULL);
    cr_assert_eq(code_of("streams"), 0);
}

/* The environment of a process is a block of NUL-terminated entries. */
static bool environment_is_sorted(void)
{
    wchar_t *block = GetEnvironmentStringsW();
    bool is_sorted = true;
    wchar_t *last = NULL;

    for (wchar_t *entry = block; *entry != L'\0'; entry += wcslen(entry) + 1) {
        if (last != NULL && last[0] != L'=' && entry[0] != L'=')
            is_sorted = is_sorted &&
                        CompareStringOrdinal(last, (int)wcscspn(last, L"="),
                                             entry, (int)wcscspn(entry, L"="),
                                             TRUE) == CSTR_LESS_THAN;
        last = entry;
    }
    FreeEnvironmentStringsW(block);
    return is_sorted;
}

Test(os_win32, a_variable_replaces_one_of_the_same_name)
{
    SetEnvironmentVariableW(L"multiproc_Test_role", L"exit:1");
    cr_assert_eq(code_of("exit:2"), 2);
    cr_assert_eq(code_of("once"), 0);
    SetEnvironmentVariableW(L"MULTIPROC_TEST_ROLE", NULL);
    cr_log_info("our own environment is %ssorted",
                environment_is_sorted() ? "" : "not ");
}

/* -- Unicode --------------------------------------------------------------- */

static void wide(const char *text, wchar_t *out)
{
    MultiByteToWideChar(CP_UTF8, 0, text, -1, out, TEXT_SIZE);
}

/* A copy of this program under a name that no code page has. */
static void copy_program(char *path, size_t size)
{
    wchar_t folder[TEXT_SIZE];
    wchar_t target[TEXT_SIZE];
    char narrow_folder[TEXT_SIZE];
    char *own;

    GetTempPathW(TEXT_SIZE, folder);
    WideCharToMultiByte(CP_UTF8, 0, folder, -1, narrow_folder, TEXT_SIZE, NULL,
                        NULL);
    snprintf(path, size, "%s" UNICODE_NAME "-%lld.exe", narrow_folder,
             (long long)mpos_pid());
    cr_assert_eq(mpos_program_path(&own), MP_OK);
    wide(own, folder);
    wide(path, target);
    free(own);
    cr_assert(CopyFileW(folder, target, FALSE));
}

static void remove_program(const char *path)
{
    wchar_t target[TEXT_SIZE];

    wide(path, target);
    for (int i = 0; i < 100 && !DeleteFileW(target); i++)
        Sleep(10); /* virus scanners open what is new */
}

Test(os_win32, the_path_of_a_program_may_be_any_unicode)
{
    char path[TEXT_SIZE];
    char expected[2 * TEXT_SIZE];
    char answer[2 * TEXT_SIZE];
    char variable[ROLE_SIZE];
    mpos_handle reader;
    mpos_handle writer;
    mpos_process child = {0};
    mpos_spawn_options options = {.program = path,
                                  .variable = variable,
                                  .handles = &writer,
                                  .handle_count = 1};

    copy_program(path, sizeof(path));
    SetEnvironmentVariableW(L"MULTIPROC_TEST_EXTRA", L"\xe4\x65e5");
    cr_assert_eq(mpos_pipe(&reader, &writer), MP_OK);
    snprintf(variable, sizeof(variable), ROLE "=surroundings:%lld",
             (long long)writer);
    cr_assert_eq(mpos_spawn(&child, &options), MP_OK, "%s", mp_error_message());
    mpos_close(writer);
    hear_all(reader, answer, sizeof(answer));
    mpos_close(reader);
    cr_assert_eq(end_of(&child), 0);
    remove_program(path);
    snprintf(expected, sizeof(expected), "\"%s\"\n%s\n\xc3\xa4\xe6\x97\xa5\n",
             path, path);
    cr_assert_str_eq(answer, expected);
}

/* The test's own command line is plain; so a child with another one relays. */
Test(os_win32, the_own_command_line_goes_on_in_full_unicode)
{
    static const char line[] =
        "program \"" UNICODE_NAME "\" \"a \\\"b\\\"\" --x= ''";
    wchar_t wide_line[TEXT_SIZE];
    wchar_t program[TEXT_SIZE];
    char role[ROLE_SIZE];
    wchar_t wide_role[TEXT_SIZE];
    char answer[TEXT_SIZE];
    mpos_handle reader;
    mpos_handle writer;
    STARTUPINFOW startup = {.cb = sizeof(startup)};
    PROCESS_INFORMATION process;

    cr_assert_eq(mpos_pipe(&reader, &writer), MP_OK);
    SetHandleInformation((HANDLE)writer, HANDLE_FLAG_INHERIT, 1);
    snprintf(role, sizeof(role), "relay:%lld", (long long)writer);
    wide(role, wide_role);
    wide(line, wide_line);
    SetEnvironmentVariableW(L"MULTIPROC_TEST_ROLE", wide_role);
    GetModuleFileNameW(NULL, program, TEXT_SIZE);
    cr_assert(CreateProcessW(program, wide_line, NULL, NULL, TRUE, 0, NULL,
                             NULL, &startup, &process));
    mpos_close(writer);
    hear_all(reader, answer, sizeof(answer));
    cr_assert_eq(strncmp(answer, line, sizeof(line) - 1), 0, "%s", answer);
    cr_assert_eq(answer[sizeof(line) - 1], '\n');
    WaitForSingleObject(process.hProcess, INFINITE);
}

Test(os_win32, text_that_is_not_utf8_is_refused)
{
    mpos_process child = {0};
    mpos_module module;
    char value[8];

    cr_assert_eq(mpos_spawn(&child, &(mpos_spawn_options){.program = "\xff"}),
                 MP_EINVAL);
    cr_assert_eq(
        mpos_spawn(&child, &(mpos_spawn_options){.variable = "A=\xc3"}),
        MP_EINVAL);
    cr_assert_eq(mpos_change_directory("\xc0\x80"), MP_EINVAL);
    cr_assert_eq(mpos_module_load("\x80"), MP_EINVAL);
    cr_assert_eq(mpos_module_find("\x80", &module), MP_EINVAL);
    cr_assert_eq(mpos_take_variable("\x80", value, sizeof(value)), MP_EINVAL);
}

Test(os_win32, a_variable_is_cut_between_characters)
{
    char value[8];

    SetEnvironmentVariableW(L"MULTIPROC_TEST_CUT", L"abcde\x65e5");
    cr_assert_eq(mpos_take_variable("MULTIPROC_TEST_CUT", value, sizeof(value)),
                 MP_OK);
    cr_assert_str_eq(value, "abcde");
    cr_assert_eq(mpos_take_variable("MULTIPROC_TEST_CUT", value, sizeof(value)),
                 MP_ENOTFOUND);
}

Test(os_win32, taking_a_variable_removes_the_c_librarys_copy)
{
    char value[8];

    putenv("MULTIPROC_TEST_COPY=1");
    cr_assert_not_null(getenv("MULTIPROC_TEST_COPY"));
    cr_assert_eq(
        mpos_take_variable("MULTIPROC_TEST_COPY", value, sizeof(value)), MP_OK);
    cr_assert_null(getenv("MULTIPROC_TEST_COPY"));
}

/* -- Programs that can't be started ---------------------------------------- */

Test(os_win32, what_is_no_program_is_told_apart_from_what_is_missing)
{
    mpos_process child = {0};
    wchar_t path[TEXT_SIZE];
    char narrow[TEXT_SIZE];
    HANDLE file;
    DWORD written;

    cr_assert_eq(
        mpos_spawn(&child,
                   &(mpos_spawn_options){.program = "C:\\no\\such.exe"}),
        MP_ENOTFOUND);
    /* Never found by name: cmd.exe is on every search path. */
    cr_assert_eq(
        mpos_spawn(&child, &(mpos_spawn_options){.program = "cmd.exe"}),
        MP_ENOTFOUND);

    GetTempPathW(TEXT_SIZE, path);
    wcscat(path, L"multiproc-test.exe");
    file = CreateFileW(path, GENERIC_WRITE, 0, NULL, CREATE_ALWAYS, 0, NULL);
    WriteFile(file, "no program", 10, &written, NULL);
    CloseHandle(file);
    WideCharToMultiByte(CP_UTF8, 0, path, -1, narrow, TEXT_SIZE, NULL, NULL);
    cr_assert_eq(mpos_spawn(&child, &(mpos_spawn_options){.program = narrow}),
                 MP_EACCES, "%s", mp_error_message());
    DeleteFileW(path);
}

/* -- Dying with the parent ------------------------------------------------- */

static void kill_parent_of_sleeper(const char *role, bool must_die)
{
    mpos_handle reader;
    mpos_process parent = start_speaker(role, &reader);
    int64_t pid = 0;

    cr_assert(hear(reader, &pid, sizeof(pid)));
    cr_assert_not(has_ended(pid, mpos_now() + SECOND / 10));
    TerminateProcess((HANDLE)parent.sentinel, 5);
    cr_assert_eq(end_of(&parent), 5);
    cr_assert_eq(has_ended(pid, mpos_now() + (must_die ? 10 : 1) * SECOND / 2),
                 must_die);
    mpos_close(reader);
}

Test(os_win32, a_mortal_child_dies_with_a_parent_that_is_killed)
{
    kill_parent_of_sleeper("mortal", true);
}

Test(os_win32, other_children_outlive_their_parent)
{
    kill_parent_of_sleeper("immortal", false);
}

/* -- Waiting for many ------------------------------------------------------ */

static void write_later(void *writer)
{
    mpos_sleep_until(mpos_now() + SECOND / 20);
    tell((mpos_handle)(intptr_t)writer, "!", 1);
}

static void fill_with_copies(mpos_wait_item *items, size_t count,
                             const mpos_process *children)
{
    for (size_t i = 0; i < count; i++) {
        items[i].kind = MPOS_WAIT_PROCESS;
        cr_assert_eq(mpos_duplicate(children[i % SOME_CHILDREN].sentinel,
                                    &items[i].handle),
                     MP_OK);
    }
}

static size_t count_ready(const mpos_wait_item *items, size_t count)
{
    size_t ready = 0;

    for (size_t i = 0; i < count; i++)
        ready += items[i].is_ready;
    return ready;
}

static void wait_for_processes(size_t count)
{
    mpos_process children[SOME_CHILDREN];
    mpos_wait_item *items = calloc(count, sizeof(*items));
    size_t handles;
    size_t last = (count - 1) % SOME_CHILDREN;

    for (size_t i = 0; i < SOME_CHILDREN; i++)
        children[i] = start("sleep", NULL, 0);
    fill_with_copies(items, count, children);
    cr_assert_eq(mpos_wait(items, count, mpos_now() + SECOND / 20),
                 MP_TIMED_OUT);
    cr_assert_eq(count_ready(items, count), 0);

    handles = support_open_handles();
    mpos_send_signal(&children[last], MPOS_KILL);
    cr_assert_eq(mpos_wait(items, count, in_seconds(20)), MP_OK);
    cr_assert(items[count - 1].is_ready);
    cr_assert_eq(count_ready(items, count),
                 (count + SOME_CHILDREN - 1 - last) / SOME_CHILDREN);
    cr_assert_leq(support_open_handles(), handles);

    for (size_t i = 0; i < SOME_CHILDREN; i++) {
        mpos_send_signal(&children[i], MPOS_KILL);
        end_of(&children[i]);
    }
    for (size_t i = 0; i < count; i++)
        mpos_close(items[i].handle);
    free(items);
}

Test(os_win32, waits_for_any_of_63_64_200_and_1000_processes, .timeout = 60)
{
    wait_for_processes(63);
    wait_for_processes(64);
    wait_for_processes(200);
    wait_for_processes(MANY_ITEMS);
}

Test(os_win32, waits_for_any_of_1000_pipes, .timeout = 60)
{
    static mpos_wait_item items[MANY_ITEMS];
    static mpos_handle writers[MANY_ITEMS];
    mpos_thread thread;
    char byte = 0;

    for (size_t i = 0; i < MANY_ITEMS; i++) {
        items[i].kind = MPOS_WAIT_READ;
        cr_assert_eq(mpos_pipe(&items[i].handle, &writers[i]), MP_OK);
    }
    cr_assert_eq(mpos_wait(items, MANY_ITEMS, mpos_now() + SECOND / 20),
                 MP_TIMED_OUT);
    cr_assert_eq(mpos_thread_start(write_later, (void *)writers[777], &thread),
                 MP_OK);
    cr_assert_eq(mpos_wait(items, MANY_ITEMS, in_seconds(20)), MP_OK);
    cr_assert_eq(count_ready(items, MANY_ITEMS), 1);
    cr_assert(items[777].is_ready);
    cr_assert(hear(items[777].handle, &byte, 1));
    cr_assert_eq(byte, '!');
    mpos_thread_join(thread);

    mpos_close(writers[3]); /* an end is something to read too */
    cr_assert_eq(mpos_wait(items, MANY_ITEMS, in_seconds(20)), MP_OK);
    cr_assert_eq(count_ready(items, MANY_ITEMS), 1);
    cr_assert(items[3].is_ready);
}

Test(os_win32, a_wait_for_pipes_and_processes_sees_the_process)
{
    mpos_handle reader;
    mpos_handle writer;
    mpos_process child = start("exit:0", NULL, 0);
    mpos_wait_item items[2];

    cr_assert_eq(mpos_pipe(&reader, &writer), MP_OK);
    items[0] = (mpos_wait_item){.handle = reader, .kind = MPOS_WAIT_READ};
    items[1] =
        (mpos_wait_item){.handle = child.sentinel, .kind = MPOS_WAIT_PROCESS};
    cr_assert_eq(mpos_wait(items, 2, in_seconds(20)), MP_OK);
    cr_assert_not(items[0].is_ready);
    cr_assert(items[1].is_ready);
    /* The read that watched the pipe is gone, and took nothing. */
    tell(writer, "ab", 2);
    cr_assert_eq(mpos_wait(items, 1, 0), MP_OK);
    mpos_close(writer);
    {
        char text[8];

        cr_assert_eq(hear_all(reader, text, sizeof(text)), 2);
        cr_assert_str_eq(text, "ab");
    }
}

/* -- Pipes ----------------------------------------------------------------- */

Test(os_win32, what_either_end_wrote_stays_readable_after_it_closed)
{
    mpos_handle ends[2];

    for (int writer = 0; writer < 2; writer++) {
        char text[16];

        cr_assert_eq(mpos_channel(&ends[0], &ends[1], NULL), MP_OK);
        tell(ends[writer], "last words", 10);
        mpos_close(ends[writer]);
        cr_assert_eq(hear_all(ends[1 - writer], text, sizeof(text)), 10);
        cr_assert_str_eq(text, "last words");
        mpos_close(ends[1 - writer]);
    }
}

Test(os_win32, a_write_of_zero_bytes_is_no_end_of_file)
{
    mpos_handle reader;
    mpos_handle writer;
    mpos_thread thread;
    DWORD written;
    OVERLAPPED call = {.hEvent = CreateEventW(NULL, TRUE, FALSE, NULL)};
    char byte = 0;

    cr_assert_eq(mpos_pipe(&reader, &writer), MP_OK);
    WriteFile((HANDLE)writer, "", 0, NULL, &call);
    GetOverlappedResult((HANDLE)writer, &call, &written, TRUE);
    cr_assert_eq(mpos_thread_start(write_later, (void *)writer, &thread),
                 MP_OK);
    cr_assert(hear(reader, &byte, 1));
    cr_assert_eq(byte, '!');
    mpos_thread_join(thread);
}

typedef struct stream {
    mpos_handle writer;
    unsigned char *data;
    size_t size;
} stream;

static void write_stream(void *argument)
{
    stream *all = argument;

    tell(all->writer, all->data, all->size);
    mpos_close(all->writer);
}

Test(os_win32, a_stream_larger_than_any_buffer_arrives_whole)
{
    enum { SIZE = 5000001 };
    stream all = {.data = malloc(SIZE), .size = SIZE};
    unsigned char *received = malloc(SIZE);
    mpos_handle reader;
    mpos_thread thread;

    cr_assert_eq(mpos_random(all.data, SIZE), MP_OK);
    cr_assert_eq(mpos_pipe(&reader, &all.writer), MP_OK);
    cr_assert_eq(mpos_thread_start(write_stream, &all, &thread), MP_OK);
    cr_assert(hear(reader, received, SIZE));
    cr_assert_arr_eq(received, all.data, SIZE);
    cr_assert_not(hear(reader, received, 1));
    mpos_thread_join(thread);
}

Test(os_win32, parts_are_written_in_order_and_empty_ones_skipped)
{
    static unsigned char large[100000];
    mpos_handle reader;
    mpos_handle writer;
    mpos_bytes parts[] = {{"", 0}, {"ab", 2}, {"", 0}, {"cde", 3}};
    mpos_bytes mixed[] = {{"head", 4}, {large, sizeof(large)}};
    char text[8] = "";
    size_t written = 99;

    cr_assert_eq(mpos_pipe(&reader, &writer), MP_OK);
    cr_assert_eq(mpos_write(writer, parts, 4, &written), MP_OK);
    cr_assert_eq(written, 5);
    cr_assert(hear(reader, text, 5));
    cr_assert_str_eq(text, "abcde");
    cr_assert_eq(mpos_write(writer, parts, 1, &written), MP_OK);
    cr_assert_eq(written, 0);
    memset(large, 'x', sizeof(large));
    cr_assert_eq(mpos_write(writer, mixed, 2, &written), MP_OK);
    cr_assert_gt(written, 4);
    cr_assert(hear(reader, text, 5));
    cr_assert_str_eq(text, "headx");
}

Test(os_win32, writing_to_a_closed_pipe_is_a_broken_pipe)
{
    mpos_handle ends[2];
    mpos_bytes part = {"x", 1};
    size_t written = 99;

    for (int reader = 0; reader < 2; reader++) {
        cr_assert_eq(mpos_channel(&ends[0], &ends[1], NULL), MP_OK);
        mpos_close(ends[reader]);
        cr_assert_eq(mpos_write(ends[1 - reader], &part, 1, &written),
                     MP_EPIPE);
        cr_assert_eq(written, 99);
        mpos_close(ends[1 - reader]);
    }
}

static void close_later(void *handle)
{
    mpos_sleep_until(mpos_now() + SECOND / 20);
    mpos_close((mpos_handle)(intptr_t)handle);
}

Test(os_win32, a_blocked_read_and_a_blocked_wait_see_the_other_end_close)
{
    mpos_handle left;
    mpos_handle right;
    mpos_wait_item item = {.kind = MPOS_WAIT_READ};
    mpos_thread thread;
    char byte;

    for (int i = 0; i < 2; i++) {
        cr_assert_eq(mpos_channel(&left, &right, NULL), MP_OK);
        cr_assert_eq(mpos_thread_start(close_later, (void *)right, &thread),
                     MP_OK);
        item.handle = left;
        if (i == 0)
            cr_assert_eq(mpos_wait(&item, 1, in_seconds(20)), MP_OK);
        cr_assert_not(hear(left, &byte, 1));
        mpos_thread_join(thread);
        mpos_close(left);
    }
}

/* Nothing comes but the end. */
static void read_to_the_end(void *channel)
{
    char byte;

    hear((mpos_handle)(intptr_t)channel, &byte, 1);
}

Test(os_win32, a_pending_read_does_not_block_a_write)
{
    mpos_handle left;
    mpos_handle right;
    mpos_thread thread;
    char text[4] = "";

    cr_assert_eq(mpos_channel(&left, &right, NULL), MP_OK);
    cr_assert_eq(mpos_thread_start(read_to_the_end, (void *)left, &thread),
                 MP_OK);
    mpos_sleep_until(mpos_now() + SECOND / 20);
    tell(left, "abc", 3);
    cr_assert(hear(right, text, 3));
    cr_assert_str_eq(text, "abc");
    mpos_close(right);
    mpos_thread_join(thread);
    mpos_close(left);
}

Test(os_win32, handles_and_fork_are_refused_with_a_sentence)
{
    mpos_process process;
    const mpos_bytes parts[2] = {{"", 1}, {"", 0}};
    mpos_arrivals arrived;
    bool is_child;
    size_t got;
    char byte;

    cr_assert_not(mpos_system.has_fork);
    cr_assert_eq(mpos_fork(&process, &is_child), MP_ENOTSUP);
    cr_assert_str_eq(mp_error_message(), "Windows has no fork");
    cr_assert_eq(mpos_send_handles(MPOS_NONE, parts, NULL, 0, &got),
                 MP_ENOTSUP);
    cr_assert_eq(
        mpos_recv_handles(MPOS_NONE, &(mpos_room){&byte, 1}, 1, &got, &arrived),
        MP_ENOTSUP);
}

/* -- Modules --------------------------------------------------------------- */

Test(os_win32, build_ids_agree_wherever_the_program_is_loaded)
{
    mpos_module module;
    module_report report;
    mpos_handle reader;
    mpos_process child = start_speaker("module", &reader);

    cr_assert(hear(reader, &report, sizeof(report)));
    cr_assert_eq(end_of(&child), 0);
    cr_assert_eq(mpos_module_of((const void *)(uintptr_t)start, &module),
                 MP_OK);
    cr_assert(module.is_program);
    cr_assert_arr_eq(module.build_id, report.build_id, MPOS_BUILD_ID_SIZE);
    cr_log_info("loaded at %p and %p", (void *)module.base,
                (void *)report.base);
    free(module.path);
}

/* Two copies can't lie at one address: Windows relocates one of them. (Wine
 * relocates no program that is loaded into another one.) */
Test(os_win32, build_ids_agree_though_one_copy_was_relocated)
{
    char path[TEXT_SIZE];
    wchar_t wide_path[TEXT_SIZE];
    mpos_module own;
    mpos_module copy;
    HMODULE handle;

    copy_program(path, sizeof(path));
    wide(path, wide_path);
    handle = LoadLibraryExW(wide_path, NULL, DONT_RESOLVE_DLL_REFERENCES);
    cr_assert_not_null(handle);
    cr_assert_eq(mpos_module_find(NULL, &own), MP_OK);
    cr_assert_eq(mpos_module_find(path, &copy), MP_OK, "%s",
                 mp_error_message());
    cr_assert_neq(own.base, copy.base);
    cr_assert_not(copy.is_program);
    cr_assert_arr_eq(own.build_id, copy.build_id, MPOS_BUILD_ID_SIZE);
    free(own.path);
    free(copy.path);
    FreeLibrary(handle);
    remove_program(path);
}

Test(os_win32, data_is_not_code_of_any_module)
{
    static int data;
    mpos_module module;

    cr_assert_eq(mpos_module_of(&data, &module), MP_ENOTFOUND);
    cr_assert_eq(mpos_module_of(&module, &module), MP_ENOTFOUND);
    cr_assert_eq(mpos_module_of(NULL, &module), MP_ENOTFOUND);
}

Test(os_win32, a_library_is_found_by_the_path_it_tells)
{
    mpos_module found;
    mpos_module again;
    HMODULE kernel = GetModuleHandleW(L"kernel32.dll");
    const void *code =
        (const void *)(uintptr_t)GetProcAddress(kernel, "GetTickCount");

    cr_assert_eq(mpos_module_of(code, &found), MP_OK, "%s", mp_error_message());
    cr_assert_not(found.is_program);
    cr_assert_eq(mpos_module_find(found.path, &again), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(found.base, again.base);
    cr_assert_arr_eq(found.build_id, again.build_id, MPOS_BUILD_ID_SIZE);
    cr_assert_eq(mpos_module_load(found.path), MP_OK);
    cr_assert_eq(mpos_module_find("C:\\no\\such.dll", &again), MP_ENOTFOUND);
    cr_assert_eq(mpos_module_load("C:\\no\\such.dll"), MP_ENOTFOUND);
    free(found.path);
    free(again.path);
}

/* -- Memory and the rest --------------------------------------------------- */

Test(os_win32, memory_is_zeroed_and_shared_with_a_child)
{
    mpos_handle memory;
    char role[ROLE_SIZE];
    int *numbers;
    size_t size = 0;
    mpos_process child;

    cr_assert_eq(mpos_memory_create(5000, 0, &memory), MP_OK);
    cr_assert_eq(mpos_memory_size(memory, &size), MP_OK);
    cr_assert_geq(size, 5000);
    cr_assert_lt(size, 5000 + 65536);
    cr_assert_eq(mpos_memory_map(memory, &(mpos_extent){.size = 5000},
                                 (void **)&numbers),
                 MP_OK);
    cr_assert_eq(numbers[0], 0);
    cr_assert_eq(numbers[1249], 0);
    numbers[0] = 17;
    snprintf(role, sizeof(role), "memory:%lld", (long long)memory);
    child = start(role, &memory, 1);
    cr_assert_eq(end_of(&child), 17);
    cr_assert_eq(numbers[1249], 42);
    mpos_memory_unmap(numbers, 5000);
    mpos_close(memory);
}

Test(os_win32, memory_that_is_not_there_is_refused_at_once)
{
    mpos_handle memory = MPOS_NONE;
    mp_error err = mpos_memory_create(SIZE_MAX / 2, 0, &memory);

    cr_assert_lt(err, 0);
    cr_assert_eq(memory, MPOS_NONE);
    cr_assert_str_not_empty(mp_error_message());
}

Test(os_win32, a_child_knows_who_its_parent_is)
{
    mpos_handle reader;
    mpos_process child = start_speaker("parent", &reader);
    int64_t parent = 0;

    cr_assert(hear(reader, &parent, sizeof(parent)));
    cr_assert_eq(parent, mpos_pid());
    cr_assert_eq(end_of(&child), 0);
}

Test(os_win32, the_working_directory_may_be_any_unicode)
{
    wchar_t folder[TEXT_SIZE];
    char *old;
    char *now;
    char path[TEXT_SIZE];

    cr_assert_eq(mpos_working_directory(&old), MP_OK);
    snprintf(path, sizeof(path), "%s\\" UNICODE_NAME "%lld", old,
             (long long)mpos_pid());
    wide(path, folder);
    cr_assert(CreateDirectoryW(folder, NULL));
    cr_assert_eq(mpos_change_directory(path), MP_OK);
    cr_assert_eq(mpos_working_directory(&now), MP_OK);
    cr_assert_str_eq(now, path);
    cr_assert_eq(mpos_change_directory("no such folder"), MP_ENOTFOUND);
    cr_assert_eq(mpos_change_directory(old), MP_OK);
    cr_assert(RemoveDirectoryW(folder));
    free(old);
    free(now);
}

Test(os_win32, deadlines_are_kept_and_never_early)
{
    int64_t begin = mpos_now();
    int64_t deadline = begin + SECOND / 20;
    mpos_handle reader;
    mpos_handle writer;
    mpos_wait_item item = {.kind = MPOS_WAIT_READ};

    mpos_sleep_until(deadline);
    cr_assert_geq(mpos_now(), deadline);
    mpos_sleep_until(INT64_MIN);
    mpos_sleep_until(0);
    cr_assert_eq(mpos_pipe(&reader, &writer), MP_OK);
    item.handle = reader;
    deadline = mpos_now() + SECOND / 20;
    cr_assert_eq(mpos_wait(&item, 1, deadline), MP_TIMED_OUT);
    cr_assert_geq(mpos_now(), deadline);
    cr_assert_eq(mpos_wait(&item, 1, INT64_MIN), MP_TIMED_OUT);
    cr_assert_lt(mpos_now() - begin, 10 * SECOND);
}

/* Of a process that we may not open, only the list tells. */
Test(os_win32, a_start_time_is_the_same_in_the_list_of_all_processes)
{
    mpos_process child = start("sleep", NULL, 0);
    int64_t pid = child.pid;
    uint64_t own = 0, listed = 0;

    cr_assert_eq(mpos_start_time(mpos_pid(), &own), MP_OK);
    cr_assert_eq(mpi_win32_list_start_time(mpos_pid(), &listed), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(own, listed);
    cr_assert_eq(mpi_win32_list_start_time(pid, &listed), MP_OK);
    cr_assert_eq(child.start_time, listed);
    cr_assert_eq(mpos_send_signal(&child, MPOS_KILL), MP_OK);
    cr_assert_eq(end_of(&child), -9);
    cr_assert_eq(mpi_win32_list_start_time(pid, &listed), MP_ENOTFOUND);
    cr_assert_eq(mpi_win32_list_start_time(-1, &listed), MP_ENOTFOUND);
}

Test(os_win32, there_is_at_least_one_processor)
{
    cr_assert_geq(mpos_cpu_count(), 1);
    cr_assert_leq(mpos_cpu_count(),
                  GetActiveProcessorCount(ALL_PROCESSOR_GROUPS));
}

/* -- Words ----------------------------------------------------------------- */

typedef struct word_test {
    mpos_handle memory;
    words *shared;
    mpos_handle queue;
    char key[NAME_SIZE];
} word_test;

static word_test begin_words(void)
{
    word_test test;

    snprintf(test.key, sizeof(test.key), "unit-os-win32-%lld",
             (long long)mpos_pid());
    cr_assert_eq(mpos_memory_create(sizeof(words), 0, &test.memory), MP_OK);
    test.shared = map_words(test.memory);
    test.queue = open_queue(test.key);
    return test;
}

static mpos_process start_on_words(const word_test *test, const char *name)
{
    char role[ROLE_SIZE];

    snprintf(role, sizeof(role), "%s:%lld,%s", name, (long long)test->memory,
             test->key);
    return start(role, &test->memory, 1);
}

/* How many kicks are on their way to nobody. */
static uint32_t count_kicks(mpos_handle queue)
{
    uint32_t count = 0;

    while (WaitForSingleObject((HANDLE)queue, 0) == WAIT_OBJECT_0)
        count++;
    if (count > 0)
        ReleaseSemaphore((HANDLE)queue, (LONG)count, NULL);
    return count;
}

static void wait_until_asleep(const words *shared, uint32_t count)
{
    int64_t deadline = in_seconds(20);

    while (mpi_atomic32_load(&shared->asleep) < count) {
        cr_assert_lt(mpos_now(), deadline);
        Sleep(1);
    }
    Sleep(20); /* from announcing to sleeping */
}

typedef struct word_sleeper {
    mpos_word *word;
    mpos_handle queue;
    mpi_atomic32 *asleep;
    mpi_atomic32 is_awake;
    mpos_thread thread;
} word_sleeper;

static void sleep_once(void *argument)
{
    word_sleeper *sleeper = argument;

    mpi_atomic32_add(sleeper->asleep, 1);
    mpos_word_wait(sleeper->word, sleeper->queue, 0, MPOS_FOREVER);
    mpi_atomic32_store(&sleeper->is_awake, 1);
}

static void begin_sleeper(word_sleeper *sleeper, const word_test *test,
                          size_t word)
{
    *sleeper = (word_sleeper){.word = &test->shared->word[word],
                              .queue = test->queue,
                              .asleep = &test->shared->asleep};
    cr_assert_eq(mpos_thread_start(sleep_once, sleeper, &sleeper->thread),
                 MP_OK);
}

static bool wakes_up(const word_sleeper *sleeper, int64_t patience)
{
    int64_t deadline = mpos_now() + patience;

    while (mpi_atomic32_load(&sleeper->is_awake) == 0) {
        if (mpos_now() > deadline)
            return false;
        Sleep(1);
    }
    return true;
}

static void end_sleeper(const word_sleeper *sleeper)
{
    cr_assert(wakes_up(sleeper, 10 * SECOND));
    mpos_thread_join(sleeper->thread);
}

/* The system serves in order: the wrong ones get the kick first. */
Test(os_win32, a_wake_finds_its_word_among_all_that_share_the_queue)
{
    word_test test = begin_words();
    word_sleeper others[4];
    word_sleeper wanted;

    for (uint32_t i = 0; i < 4; i++) {
        begin_sleeper(&others[i], &test, 0);
        wait_until_asleep(test.shared, i + 1);
    }
    for (uint32_t i = 0; i < 10; i++) {
        begin_sleeper(&wanted, &test, 1);
        wait_until_asleep(test.shared, 5 + i);
        mpos_word_wake(&test.shared->word[1], test.queue, 1);
        end_sleeper(&wanted);
    }
    for (int i = 0; i < 4; i++)
        cr_assert_eq(mpi_atomic32_load(&others[i].is_awake), 0U);
    mpos_word_wake(&test.shared->word[0], test.queue, 4);
    for (int i = 0; i < 4; i++)
        end_sleeper(&others[i]);
    cr_assert_eq(count_kicks(test.queue), 0U);
}

/* One that is woken but does not run yet: it counts as asleep and is owed. */
Test(os_win32, who_comes_later_does_not_take_the_wake_of_another)
{
    word_test test = begin_words();
    mpos_word *word = &test.shared->word[0];
    int64_t deadline;

    mpi_atomic32_store(&word->sleepers, 1);
    mpos_word_wake(word, test.queue, 1);
    cr_assert_eq(count_kicks(test.queue), 1U);

    /* It hands the kick on until it believes that nobody wants it. */
    deadline = mpos_now() + SECOND / 5;
    cr_assert_not(mpos_word_wait(word, test.queue, 0, deadline));
    cr_assert_geq(mpos_now(), deadline);
    cr_assert_eq(count_kicks(test.queue), 0U);

    /* Nor is there ever another one for the dead. */
    for (int i = 0; i < 100; i++)
        mpos_word_wake(word, test.queue, UINT32_MAX);
    cr_assert_eq(count_kicks(test.queue), 0U);
}

Test(os_win32, killed_sleepers_leave_one_kick_each_and_hinder_nobody,
     .timeout = 60)
{
    enum { KILLED = 5 };
    word_test test = begin_words();
    word_sleeper living;

    for (uint32_t i = 0; i < KILLED; i++) {
        mpos_process child = start_on_words(&test, "sleep-on-word");

        wait_until_asleep(test.shared, i + 1);
        cr_assert_eq(mpos_send_signal(&child, MPOS_KILL), MP_OK);
        cr_assert_eq(end_of(&child), -9);
    }
    for (int i = 0; i < 1000; i++)
        mpos_word_wake(&test.shared->word[0], test.queue, UINT32_MAX);
    cr_assert_leq(count_kicks(test.queue), (uint32_t)KILLED);

    begin_sleeper(&living, &test, 0);
    wait_until_asleep(test.shared, KILLED + 1);
    cr_assert_not(wakes_up(&living, SECOND / 5));
    mpos_word_wake(&test.shared->word[0], test.queue, 1);
    end_sleeper(&living);
    cr_assert_eq(count_kicks(test.queue), 0U);
}

Test(os_win32, no_wake_is_lost_while_sleepers_beside_are_killed, .timeout = 90)
{
    word_test test = begin_words();
    mpos_process player = start_on_words(&test, "play-on-word");
    mpos_process victims[3];
    size_t rounds = PING_PONGS / 3;

    for (int i = 0; i < 3; i++)
        victims[i] = start_on_words(&test, "sleep-on-word");
    for (int i = 0; i < 3; i++) {
        cr_assert(play_ping_pong(&test.shared->word[1], test.queue, 0, rounds));
        cr_assert_eq(mpos_send_signal(&victims[i], MPOS_KILL), MP_OK);
        end_of(&victims[i]);
    }
    cr_assert(play_ping_pong(&test.shared->word[1], test.queue, 0,
                             PING_PONGS - 3 * rounds));
    cr_assert_eq(end_of(&player), 0);
    cr_assert_eq(mpi_atomic32_load(&test.shared->word[1].value),
                 2U * PING_PONGS);
}

Test(os_win32, short_sleeps_are_short_and_never_early)
{
    word_test test = begin_words();
    int64_t begin = mpos_now();
    int returns = 0;

    for (int i = 0; i < 50; i++) {
        int64_t deadline = mpos_now() + SECOND / 2000;

        for (returns++;
             mpos_word_wait(&test.shared->word[0], test.queue, 0, deadline);)
            returns++;
        cr_assert_geq(mpos_now(), deadline);
    }
    cr_assert_lt(returns, 150);
    cr_assert_lt(mpos_now() - begin, 5 * SECOND);
}

/* -- Memory with a name ---------------------------------------------------- */

static void choose_name(char name[NAME_SIZE])
{
    snprintf(name, NAME_SIZE, "unit-os-win32-%lld", (long long)mpos_pid());
}

/* "Local\<prefix><name>" */
static const wchar_t *full_name(const char *prefix, const char *name)
{
    static wchar_t full[TEXT_SIZE];
    char text[TEXT_SIZE];

    snprintf(text, sizeof(text), "Local\\%s%s", prefix, name);
    wide(text, full);
    return full;
}

static HANDLE create_foreign_section(const char *name)
{
    HANDLE section =
        CreateFileMappingW(INVALID_HANDLE_VALUE, NULL, PAGE_READWRITE, 0, 5000,
                           full_name("multiproc/name/", name));

    cr_assert_not_null(section);
    return section;
}

Test(os_win32, a_name_that_is_no_memory_of_ours_is_told_apart)
{
    char name[NAME_SIZE];
    HANDLE foreign;
    mpos_handle handle = 42;

    choose_name(name);
    foreign = CreateMutexW(NULL, FALSE, full_name("multiproc/name/", name));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(mpos_named_open(name, &handle), MP_EPROTO);
        cr_assert_not_null(strstr(mp_error_message(), name));
        cr_assert_eq(
            mpos_named_create(name, (mpos_bytes){"x", 2}, 0, 0, &handle),
            MP_EEXIST);
        CloseHandle(foreign);
        foreign = create_foreign_section(name);
    }
    CloseHandle(foreign);
    cr_assert_eq(handle, 42);
    cr_assert_eq(mpos_named_open(name, &handle), MP_ENOTFOUND);
}

static void close_section_later(void *section)
{
    Sleep(50);
    CloseHandle(section);
}

/* As that of a creator that is killed, and not quite gone. */
Test(os_win32, a_half_made_section_is_waited_for_until_it_has_gone)
{
    char name[NAME_SIZE];
    mpos_handle handle;
    mpos_thread closer;

    choose_name(name);
    cr_assert_eq(mpos_thread_start(close_section_later,
                                   create_foreign_section(name), &closer),
                 MP_OK);
    cr_assert_eq(mpos_named_open(name, &handle), MP_ENOTFOUND);
    mpos_thread_join(closer);
    cr_assert_eq(mpos_thread_start(close_section_later,
                                   create_foreign_section(name), &closer),
                 MP_OK);
    cr_assert_eq(mpos_named_create(name, (mpos_bytes){"x", 2}, 0, 0, &handle),
                 MP_OK);
    mpos_thread_join(closer);
    mpos_close(handle);
}

/* False: it is not there. */
static bool is_whole(const char *name)
{
    mpos_handle handle = MPOS_NONE;
    unsigned char *bytes;
    mp_error err = mpos_named_open(name, &handle);

    if (err == MP_ENOTFOUND)
        return false;
    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    cr_assert_eq(mpos_memory_map(handle, &(mpos_extent){.size = IMAGE_SIZE},
                                 (void **)&bytes),
                 MP_OK);
    for (int at = 0; at < IMAGE_SIZE; at++)
        cr_assert_eq(bytes[at], 'x');
    mpos_memory_unmap(bytes, IMAGE_SIZE);
    mpos_close(handle);
    return true;
}

/* Opened at the very moment, while the system still takes it apart. */
Test(os_win32, a_creator_that_is_killed_is_never_seen_half_way, .timeout = 90)
{
    size_t kills = 10 + support_scaled(100);
    size_t seen = 0;
    char name[NAME_SIZE];
    char role[ROLE_SIZE];

    choose_name(name);
    snprintf(role, sizeof(role), "create:0,%s", name);
    for (size_t i = 0; i < kills; i++) {
        mpos_process child = start(role, NULL, 0);
        int64_t deadline = in_seconds(20);

        while (!is_whole(name))
            cr_assert_lt(mpos_now(), deadline);
        deadline = mpos_now() + (int64_t)(i % 10) * SECOND / 10000;
        while (mpos_now() < deadline)
            continue;
        cr_assert_eq(mpos_send_signal(&child, MPOS_KILL), MP_OK);
        for (int look = 0; look < 5; look++)
            seen += is_whole(name);
        cr_assert_eq(end_of(&child), -9);
        cr_assert_not(is_whole(name));
    }
    cr_log_info("%zu were there after %zu kills", seen, kills);
}

Test(os_win32, our_own_objects_take_no_name_away)
{
    static const char *const names[] = {"guard", "queue", "queue.key"};
    mpos_handle queue = open_queue("key");
    mpos_handle handle;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        cr_assert_eq(
            mpos_named_create(names[i], (mpos_bytes){"x", 2}, 0, 0, &handle),
            MP_OK, "%s", mp_error_message());
        mpos_close(handle);
    }
    mpos_close(queue);
}

typedef struct finding {
    const char *name;
    size_t count;
} finding;

static mp_error count_name(void *context, const char *name, mpos_named_use use)
{
    finding *found = context;

    cr_assert_eq(use, MPOS_NAMED_IN_USE);
    cr_assert_not(strchr(name, '/') != NULL);
    if (strcmp(name, found->name) == 0)
        found->count++;
    return MP_OK;
}

Test(os_win32, only_sections_are_listed)
{
    char name[NAME_SIZE];
    finding found = {name, 0};
    HANDLE foreign;
    mpos_handle queue = open_queue("listed");
    mpos_handle handle;

    choose_name(name);
    foreign = CreateMutexW(NULL, FALSE, full_name("multiproc/name/", name));
    cr_assert_eq(mpos_named_list(count_name, &found), MP_OK, "%s",
                 mp_error_message());
    cr_assert_eq(found.count, 0);
    CloseHandle(foreign);
    cr_assert_eq(mpos_named_create(name, (mpos_bytes){"x", 2}, 0, 0, &handle),
                 MP_OK);
    cr_assert_eq(mpos_named_list(count_name, &found), MP_OK);
    cr_assert_eq(found.count, 1);
    mpos_close(handle);
    mpos_close(queue);
}

/* -- Named objects --------------------------------------------------------- */

static mpos_handle open_object(mpos_object_kind kind, uint32_t value,
                               uint32_t maximum)
{
    char name[NAME_SIZE];
    mpos_handle handle = MPOS_NONE;

    choose_name(name);
    cr_assert_eq(mpos_object_open(kind, name, value, maximum, &handle), MP_OK,
                 "%s", mp_error_message());
    return handle;
}

static HANDLE open_foreign(mpos_object_kind kind)
{
    const wchar_t *full;
    char name[NAME_SIZE];

    choose_name(name);
    full = full_name("", name);
    if (kind == MPOS_OBJECT_MUTEX)
        return OpenMutexW(SYNCHRONIZE | MUTEX_MODIFY_STATE, FALSE, full);
    if (kind == MPOS_OBJECT_SEMAPHORE)
        return OpenSemaphoreW(SYNCHRONIZE | SEMAPHORE_MODIFY_STATE, FALSE,
                              full);
    return OpenEventW(SYNCHRONIZE | EVENT_MODIFY_STATE, FALSE, full);
}

static HANDLE create_foreign(mpos_object_kind kind)
{
    const wchar_t *full;
    char name[NAME_SIZE];

    choose_name(name);
    full = full_name("", name);
    if (kind == MPOS_OBJECT_MUTEX)
        return CreateMutexW(NULL, FALSE, full);
    if (kind == MPOS_OBJECT_SEMAPHORE)
        return CreateSemaphoreW(NULL, 1, 2, full);
    return CreateEventW(NULL, TRUE, TRUE, full);
}

static uint32_t value_of(mpos_object_kind kind, mpos_handle handle)
{
    uint32_t value = 12345;

    cr_assert_eq(mpos_object_value(kind, handle, &value), MP_OK, "%s",
                 mp_error_message());
    return value;
}

/* Until it may go. */
typedef struct holder {
    HANDLE mutex;
    HANDLE may_go;
} holder;

static void hold_foreign(void *argument)
{
    holder *it = argument;

    WaitForSingleObject(it->mutex, INFINITE);
    WaitForSingleObject(it->may_go, INFINITE);
    ReleaseMutex(it->mutex);
}

static void abandon_foreign(void *mutex)
{
    WaitForSingleObject(mutex, INFINITE);
}

static void wait_for_value(mpos_object_kind kind, mpos_handle handle,
                           uint32_t value)
{
    int64_t deadline = in_seconds(20);

    while (value_of(kind, handle) != value) {
        cr_assert_lt(mpos_now(), deadline);
        Sleep(1);
    }
}

static void check_held(mpos_handle ours, HANDLE theirs)
{
    holder it = {theirs, CreateEventW(NULL, TRUE, FALSE, NULL)};
    mpos_thread thread;

    cr_assert_eq(mpos_thread_start(hold_foreign, &it, &thread), MP_OK);
    wait_for_value(MPOS_OBJECT_MUTEX, ours, 0);
    cr_assert_eq(mpos_object_wait(ours, mpos_now() + SECOND / 50),
                 MP_TIMED_OUT);
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_MUTEX, ours, 1), MP_ENOTOWNER);
    SetEvent(it.may_go);
    mpos_thread_join(thread);
    CloseHandle(it.may_go);
}

static void check_mutex(mpos_handle ours, HANDLE theirs)
{
    mpos_thread thread;

    cr_assert_eq(value_of(MPOS_OBJECT_MUTEX, ours), 1U);
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_MUTEX, ours, 1), MP_ENOTOWNER);
    cr_assert_eq(mpos_object_wait(ours, 0), MP_OK);
    cr_assert_eq(mpos_object_wait(ours, 0), MP_OK); /* once more */
    cr_assert_eq(value_of(MPOS_OBJECT_MUTEX, ours), 0U);
    cr_assert(ReleaseMutex(theirs));
    cr_assert_eq(value_of(MPOS_OBJECT_MUTEX, ours), 0U);
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_MUTEX, ours, 1), MP_OK);
    cr_assert_not(ReleaseMutex(theirs));
    cr_assert_eq(value_of(MPOS_OBJECT_MUTEX, ours), 1U);

    cr_assert_eq(mpos_thread_start(abandon_foreign, theirs, &thread), MP_OK);
    mpos_thread_join(thread);
    cr_assert_eq(mpos_object_wait(ours, in_seconds(20)), MP_OWNER_DIED);
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_MUTEX, ours, 1), MP_OK);

    check_held(ours, theirs);
}

/* Of one, and of two at most. */
static void check_semaphore(mpos_handle ours, HANDLE theirs)
{
    cr_assert_eq(value_of(MPOS_OBJECT_SEMAPHORE, ours), 1U);
    cr_assert(ReleaseSemaphore(theirs, 1, NULL));
    cr_assert_eq(value_of(MPOS_OBJECT_SEMAPHORE, ours), 2U);
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_SEMAPHORE, ours, 1), MP_ESTATE);
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_SEMAPHORE, ours, UINT32_MAX),
                 MP_ESTATE);
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_SEMAPHORE, ours, 0), MP_OK);
    cr_assert_eq(mpos_object_wait(ours, MPOS_FOREVER), MP_OK);
    cr_assert_eq(WaitForSingleObject(theirs, 0), (DWORD)WAIT_OBJECT_0);
    cr_assert_eq(mpos_object_wait(ours, 0), MP_TIMED_OUT);
    cr_assert_eq(value_of(MPOS_OBJECT_SEMAPHORE, ours), 0U);
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_SEMAPHORE, ours, 2), MP_OK);
    cr_assert_eq(value_of(MPOS_OBJECT_SEMAPHORE, ours), 2U);
}

static void check_event(mpos_handle ours, HANDLE theirs)
{
    cr_assert_eq(value_of(MPOS_OBJECT_EVENT, ours), 1U);
    cr_assert_eq(mpos_object_wait(ours, 0), MP_OK);
    cr_assert_eq(mpos_object_wait(ours, 0), MP_OK); /* stays set */
    cr_assert(ResetEvent(theirs));
    cr_assert_eq(value_of(MPOS_OBJECT_EVENT, ours), 0U);
    cr_assert_eq(mpos_object_wait(ours, mpos_now() + SECOND / 50),
                 MP_TIMED_OUT);
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_EVENT, ours, 1), MP_OK);
    cr_assert(is_set(theirs));
    cr_assert_eq(mpos_object_signal(MPOS_OBJECT_EVENT, ours, 0), MP_OK);
    cr_assert_not(is_set(theirs));
}

static void check_object(mpos_object_kind kind, mpos_handle ours, HANDLE theirs)
{
    cr_assert_not_null(theirs);
    if (kind == MPOS_OBJECT_MUTEX)
        check_mutex(ours, theirs);
    else if (kind == MPOS_OBJECT_SEMAPHORE)
        check_semaphore(ours, theirs);
    else
        check_event(ours, theirs);
}

static void check_ours_first(mpos_object_kind kind)
{
    mpos_handle ours = open_object(kind, 1, 2);

    check_object(kind, ours, open_foreign(kind));
}

static void check_theirs_first(mpos_object_kind kind)
{
    HANDLE theirs = create_foreign(kind);

    /* What is there stays as it is. */
    check_object(kind, open_object(kind, 0, 7), theirs);
}

Test(os_win32, any_program_can_open_our_mutex)
{
    check_ours_first(MPOS_OBJECT_MUTEX);
}

Test(os_win32, any_program_can_open_our_semaphore)
{
    check_ours_first(MPOS_OBJECT_SEMAPHORE);
}

Test(os_win32, any_program_can_open_our_event)
{
    check_ours_first(MPOS_OBJECT_EVENT);
}

Test(os_win32, we_can_open_any_programs_mutex)
{
    check_theirs_first(MPOS_OBJECT_MUTEX);
}

Test(os_win32, we_can_open_any_programs_semaphore)
{
    check_theirs_first(MPOS_OBJECT_SEMAPHORE);
}

Test(os_win32, we_can_open_any_programs_event)
{
    check_theirs_first(MPOS_OBJECT_EVENT);
}

Test(os_win32, an_object_of_another_kind_is_told_apart)
{
    char name[NAME_SIZE];
    mpos_handle handle = 42;
    HANDLE foreign;

    choose_name(name);
    for (int made = MPOS_OBJECT_MUTEX; made <= MPOS_OBJECT_EVENT; made++) {
        mpos_handle first = open_object((mpos_object_kind)made, 0, 1);

        for (int i = MPOS_OBJECT_MUTEX; i <= MPOS_OBJECT_EVENT; i++) {
            if (i == made)
                continue;
            cr_assert_eq(
                mpos_object_open((mpos_object_kind)i, name, 0, 1, &handle),
                MP_ETYPE);
            cr_assert_not_null(strstr(mp_error_message(), name));
        }
        mpos_close(first);
    }
    foreign = CreateEventW(NULL, FALSE, FALSE, full_name("", name));
    cr_assert_eq(mpos_object_open(MPOS_OBJECT_EVENT, name, 0, 1, &handle),
                 MP_ETYPE);
    cr_assert_eq(handle, 42);
    CloseHandle(foreign);
}

/* The child has both by inheritance, not by name. */
Test(os_win32, a_child_that_dies_abandons_the_mutex_it_inherited)
{
    char name[NAME_SIZE];
    char role[ROLE_SIZE];
    int *numbers;
    int zero = 0;
    mpos_handle handles[2];
    mpos_process child;

    choose_name(name);
    strcat(name, "-memory");
    handles[0] = open_object(MPOS_OBJECT_MUTEX, 0, 0);
    cr_assert_eq(mpos_named_create(name, (mpos_bytes){&zero, sizeof(zero)}, 0,
                                   0, &handles[1]),
                 MP_OK);
    cr_assert_eq(mpos_memory_map(handles[1],
                                 &(mpos_extent){.size = sizeof(zero)},
                                 (void **)&numbers),
                 MP_OK);
    snprintf(role, sizeof(role), "die-with-mutex:%lld,%lld",
             (long long)handles[0], (long long)handles[1]);
    child = start(role, handles, 2);
    cr_assert_eq(end_of(&child), 6);
    cr_assert_eq(numbers[0], 42);
    cr_assert_eq(value_of(MPOS_OBJECT_MUTEX, handles[0]), 1U);
    cr_assert_eq(mpos_object_wait(handles[0], 0), MP_OWNER_DIED);
    cr_assert_eq(value_of(MPOS_OBJECT_MUTEX, handles[0]), 0U);
}

/* -- What there is not, and the end of threads ----------------------------- */

Test(os_win32, memory_without_a_limit_keeps_its_size)
{
    mpos_handle memory;
    size_t size = 0;

    cr_assert(mpos_system.has_objects);
    cr_assert(mpos_system.memory_grows);
    cr_assert_not(mpos_system.named_grows);
    cr_assert_eq(mpos_memory_create(5000, 0, &memory), MP_OK);
    cr_assert_eq(mpos_memory_grow(memory, 5000, 8000), MP_OK);
    cr_assert_eq(mpos_memory_grow(memory, 5000, 50000), MP_ENOSPC);
    cr_assert_str_not_empty(mp_error_message());
    cr_assert_eq(mpos_memory_size(memory, &size), MP_OK);
    cr_assert_eq(size, 8192U);
    mpos_close(memory);
}

Test(os_win32, memory_with_a_limit_grows_as_far)
{
    mpos_handle memory;
    size_t size = 0;

    cr_assert_eq(mpos_memory_create(5000, 50000, &memory), MP_OK);
    cr_assert_eq(mpos_memory_size(memory, &size), MP_OK);
    cr_assert_eq(size, 8192U);
    cr_assert_eq(mpos_memory_grow(memory, 20000, 30000), MP_OK);
    cr_assert_eq(mpos_memory_size(memory, &size), MP_OK);
    cr_assert_eq(size, 32768U);
    cr_assert_eq(mpos_memory_grow(memory, 30000, 50000), MP_OK);
    cr_assert_eq(mpos_memory_grow(memory, 30000, 100000), MP_ENOSPC);
    cr_assert_str_not_empty(mp_error_message());
    mpos_close(memory);
}

Test(os_win32, nobody_asks_about_forks)
{
    cr_assert_eq(mpos_at_fork(set_end_event), MP_OK);
}

static void ask_for_end(void *unused)
{
    (void)unused;
    cr_assert_eq(mpos_at_thread_end(set_end_event), MP_OK);
}

Test(os_win32, the_end_of_a_thread_is_told_but_not_that_of_the_process)
{
    char role[ROLE_SIZE];
    mpos_handle event;
    mpos_process child;
    mpos_thread thread;

    end_event = CreateEventW(NULL, TRUE, FALSE, NULL);
    event = (mpos_handle)end_event;
    snprintf(role, sizeof(role), "end-with-hook:%lld", (long long)event);
    child = start(role, &event, 1);
    cr_assert_eq(end_of(&child), 8);
    cr_assert_not(is_set(end_event));
    cr_assert_eq(mpos_thread_start(ask_for_end, NULL, &thread), MP_OK);
    cr_assert_eq(WaitForSingleObject(end_event, 20000), (DWORD)WAIT_OBJECT_0);
    mpos_thread_join(thread);
}

/* -- Leaks ----------------------------------------------------------------- */

static void use_names_once(void)
{
    finding found = {"", 0};
    mpos_handle memory;
    mpos_handle other;
    mpos_handle queue = open_queue("leaks");

    cr_assert_eq(
        mpos_named_create("leaks", (mpos_bytes){"x", 2}, 0, 0, &memory), MP_OK);
    cr_assert_eq(mpos_named_create("leaks", (mpos_bytes){"x", 2}, 0, 0, &other),
                 MP_EEXIST);
    cr_assert_eq(mpos_named_open("leaks", &other), MP_OK);
    cr_assert_eq(mpos_named_unlink("leaks", true), MP_ESTATE);
    cr_assert_eq(mpos_named_list(count_name, &found), MP_OK);
    mpos_close(memory);
    mpos_close(other);
    mpos_close(queue);
    memory = open_object(MPOS_OBJECT_EVENT, 0, 1);
    cr_assert_eq(value_of(MPOS_OBJECT_EVENT, memory), 0U);
    mpos_close(memory);
}

static void use_everything_once(void)
{
    mpos_handle reader;
    mpos_process child = start_speaker("module", &reader);
    module_report report;
    mpos_handle memory;
    mpos_process same = {0};
    size_t size;
    uint64_t ticks;

    mpos_attach(&same, child.pid, child.start_time);
    cr_assert(hear(reader, &report, sizeof(report)));
    mpos_start_time(child.pid, &ticks);
    cr_assert_eq(end_of(&child), 0);
    mpos_process_close(&same);
    mpos_close(reader);
    cr_assert_eq(mpos_memory_create(5000, 0, &memory), MP_OK);
    cr_assert_eq(mpos_memory_size(memory, &size), MP_OK);
    cr_assert_geq(size, 5000);
    mpos_close(memory);
    use_names_once();
}

Test(os_win32, nothing_leaks_a_handle)
{
    size_t before;

    use_everything_once();
    use_everything_once();
    before = support_open_handles();
    for (int i = 0; i < 10; i++)
        use_everything_once();
    cr_assert_leq(support_open_handles(), before);
}

Test(os_win32, failing_leaks_no_handle)
{
    mpos_process child = {0};
    mpos_handle bad = 0x7ffffff0;
    size_t before = support_open_handles();

    for (int i = 0; i < 10; i++) {
        mpos_spawn(&child, &(mpos_spawn_options){.program = "C:\\no\\such"});
        mpos_spawn(&child,
                   &(mpos_spawn_options){.handles = &bad, .handle_count = 1});
        mpos_attach(&child, mpos_pid(), 1);
        mpos_attach(&child, 3, 0);
    }
    cr_assert_leq(support_open_handles(), before);
}

/* -- Identity -------------------------------------------------------------- */

Test(os_win32, a_process_is_its_pid_and_its_start_time)
{
    mpos_process child = start("sleep", NULL, 0);
    mpos_process same = {0};
    uint64_t ticks = 0;
    int code;

    cr_assert_eq(mpos_start_time(child.pid, &ticks), MP_OK);
    cr_assert_eq(ticks, child.start_time);
    cr_assert_neq(ticks, 0);
    /* The system rounds a pid down to one that exists. */
    cr_assert_eq(mpos_start_time(child.pid + 1, &ticks), MP_ENOTFOUND);
    cr_assert_eq(mpos_attach(&same, child.pid, ticks + 1), MP_ENOTFOUND);
    cr_assert_eq(mpos_attach(&same, child.pid, ticks), MP_OK);
    cr_assert_eq(mpos_reap(&same, 0, &code), MP_TIMED_OUT);
    cr_assert_eq(mpos_send_signal(&same, MPOS_TERMINATE), MP_OK);
    cr_assert_eq(mpos_reap(&same, in_seconds(20), &code), MP_ENOTFOUND);
    cr_assert_eq(mpos_start_time(child.pid, &ticks), MP_ENOTFOUND);
    cr_assert_eq(mpos_attach(&same, child.pid, 0), MP_ENOTFOUND);
    mpos_process_close(&same);
    mpos_process_close(&same);
    cr_assert_eq(end_of(&child), -15);
}
