/* SPDX-License-Identifier: MIT */
/*
 * A pipe whose other end a Python process holds: the frames and what is in
 * them, in both directions.
 */
#include "support/python.h"
#include "support/testing.h"

#include <multiproc.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* 3.3 has it first that a Connection can be made of a number. */
enum { LARGE = 20 * 1000 * 1000, LEAST_MINOR = 3 };

/* Sends back every object, and every message after the word "bytes". */
static const char echo[] = "import sys\n"
                           "from multiprocessing.connection import Connection\n"
                           "c = Connection(int(sys.argv[1]))\n"
                           "try:\n"
                           "    while True:\n"
                           "        o = c.recv()\n"
                           "        c.send(o)\n"
                           "        if o == 'bytes':\n"
                           "            break\n"
                           "    while True:\n"
                           "        c.send_bytes(c.recv_bytes())\n"
                           "except EOFError:\n"
                           "    sys.exit(7)\n";

static pid_t start_python(const char *program, mp_connection **ours)
{
    const mp_pipe_options options = {.is_stream = true};
    mp_connection *theirs;
    intptr_t handle;
    char number[16];
    pid_t pid;

    cr_assert_eq(mp_pipe(ours, &theirs, &options), MP_OK);
    cr_assert_eq(mp_connection_fileno(theirs, &handle), MP_OK);
    snprintf(number, sizeof(number), "%d", (int)handle);
    pid = fork();
    if (pid == 0) {
        fcntl((int)handle, F_SETFD, 0);
        execlp(program, program, "-c", echo, number, (char *)NULL);
        _exit(127);
    }
    cr_assert_gt(pid, 0);
    cr_assert_eq(mp_connection_close(theirs), MP_OK);
    return pid;
}

static void expect_echo(mp_connection *connection, mp_obj *obj)
{
    mp_obj *back = NULL;
    mp_error err;

    cr_assert_eq(mp_connection_send(connection, mp_obj_ref(obj)), MP_OK, "%s",
                 mp_error_message());
    err = mp_connection_recv(connection, &back);
    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    cr_assert(mp_obj_equal(obj, back));
    cr_assert_eq(mp_obj_type(obj), mp_obj_type(back));
    mp_obj_unref(back);
    mp_obj_unref(obj);
}

/* To Python they are bytes like any others: the handles are lost on it. */
static void expect_handles_lost(mp_connection *connection)
{
    mp_obj *back = NULL;

    cr_assert_eq(mp_connection_send(connection, MP_LIST(connection)), MP_OK);
    cr_assert_eq(mp_connection_recv(connection, &back), MP_EUNPICKLE);
    cr_assert_str_eq(mp_error_message(), "handle 0 did not come along");
}

static void expect_exit(pid_t pid, int code)
{
    int status;

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), code);
}

static void talk_to(const python *with)
{
    mp_connection *ours;
    pid_t pid = start_python(with->program, &ours);

    expect_echo(ours, MP_LIST(42, MP_NONE, "hello"));
    expect_echo(ours, MP_DICT("k", MP_TUPLE(1, 2.5, MP_TRUE), 3, MP_SET(1)));
    expect_echo(ours, MP_BYTES("\0\xff", 2));
    expect_echo(ours, mp_obj_int(INT64_MIN));
    expect_echo(ours, MP_BOX("h\xc3\xa9 \xf0\x9f\x90\x8d"));
    expect_echo(ours, MP_BOX("bytes"));
    python_expect_bytes_echo(ours, 0);
    python_expect_bytes_echo(ours, 16384);
    python_expect_bytes_echo(ours, 16385);
    expect_handles_lost(ours);
    python_expect_bytes_echo(ours, 1);
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    expect_exit(pid, 7);
}

Test(connection_python, messages_pass_unchanged_in_both_directions,
     .timeout = 60)
{
    python_for_each(NULL, LEAST_MINOR, talk_to);
}

/* Larger than what either side buffers: it takes both to run at once. */
static int send_large(mp_args *args)
{
    size_t size = (size_t)mp_arg_int(args, 1);
    char *data = calloc(1, size);

    data[size - 1] = 'x';
    mp_check(mp_connection_send_bytes(mp_arg_connection(args, 0), data, size));
    free(data);
    return 0;
}

Test(connection_python, large_message_arrives_whole, .timeout = 60)
{
    mp_connection *ours;
    mp_process *sender;
    void *back;
    size_t size;
    pid_t pid;

    if (python_minor("python3") < LEAST_MINOR)
        cr_skip_test("there is no python3 here");
    pid = start_python("python3", &ours);
    expect_echo(ours, MP_BOX("bytes"));
    cr_assert_eq(
        mp_process_create(&sender, send_large, MP_ARGS(ours, LARGE), NULL),
        MP_OK);
    cr_assert_eq(mp_process_start(sender), MP_OK, "%s", mp_error_message());
    cr_assert_eq(mp_connection_recv_bytes(ours, &back, &size), MP_OK);
    cr_assert_eq(size, LARGE);
    cr_assert_eq(((char *)back)[LARGE - 1], 'x');
    mp_free(back);
    cr_assert_eq(mp_process_join(sender, 20), MP_OK);
    cr_assert_eq(mp_process_close(sender), MP_OK);
    cr_assert_eq(mp_connection_close(ours), MP_OK);
    expect_exit(pid, 7);
}
