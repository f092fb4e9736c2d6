/* SPDX-License-Identifier: MIT */
/*
 * A program that uses the guard wrongly, or is asked about it. The variable
 * MISUSE says how, MISUSE_OUTPUT names the file that everything it says goes
 * to, MISUSE_CHILD a file that the first of its processes makes: so it tells
 * itself from its children even where it does not pass the guard.
 */
#include "support/constructor.h"

#include <multiproc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXIT_OF_MAIN = 5 };

static bool is_mode(const char *name)
{
    const char *mode = getenv("MISUSE");

    return mode != NULL && strcmp(mode, name) == 0;
}

static void open_output(void)
{
    const char *path = getenv("MISUSE_OUTPUT");

    if (path == NULL || freopen(path, "a", stderr) == NULL ||
        freopen(path, "a", stdout) == NULL)
        return;
    setvbuf(stderr, NULL, _IONBF, 0);
}

static bool is_first(void)
{
    const char *path = getenv("MISUSE_CHILD");
    FILE *file = path == NULL ? NULL : fopen(path, "r");

    if (file != NULL) {
        fclose(file);
        return false;
    }
    file = path == NULL ? NULL : fopen(path, "w");
    if (file != NULL)
        fclose(file);
    return true;
}

static int say_hello(mp_args *args)
{
    (void)args;
    printf("the target runs\n");
    return 0;
}

static int pass_the_guard(mp_args *args)
{
    (void)args;
    mp_main_guard(0, NULL);
    return 0;
}

/* Exit code and phase of a child with that target. */
static void start_child(mp_function target)
{
    mp_process *child;
    int code = -1000;

    mp_check(mp_process_create(&child, target, NULL, NULL));
    mp_check(mp_process_start(child));
    mp_check(mp_process_join(child, MP_FOREVER));
    mp_check(mp_process_exitcode(child, &code));
    printf("child: code %d, phase %d\n", code, (int)mp_process_phase(child));
    fflush(stdout);
    mp_check(mp_process_close(child));
}

SUPPORT_CONSTRUCTOR(before_main)
{
    open_output();
    if (is_mode("constructor"))
        start_child(say_hello);
}

/* The guard is for the first process only: what a program does that has it in
 * the wrong branch. */
static int run_children_past_the_guard(int argc, char **argv)
{
    if (is_first()) {
        mp_main_guard(argc, argv);
        start_child(say_hello);
        return 0;
    }
    if (is_mode("child_starts"))
        start_child(say_hello);
    printf("the child reached the end of main\n");
    return EXIT_OF_MAIN;
}

/* What a child sees above the guard is what its parent saw. */
static void print_arguments(int argc, char **argv)
{
    for (int i = 0; i < argc; i++)
        printf("argument %d of %d: %s\n", i, argc, argv[i]);
    fflush(stdout);
}

static void choose_method(void)
{
    mp_start_method method;

    if (getenv("MISUSE_METHOD") == NULL)
        return;
    mp_check(mp_start_method_from_name(getenv("MISUSE_METHOD"), &method));
    mp_check(mp_set_start_method(method));
}

/* What may happen to a program's own file while it runs. */
static void lose_file(const char *path)
{
    char old[1024];
    FILE *file;

    if (is_mode("deleted") && remove(path) != 0)
        exit(3);
    snprintf(old, sizeof(old), "%s.old", path);
    if ((is_mode("renamed") || is_mode("replaced")) && rename(path, old) != 0)
        exit(3);
    if (!is_mode("replaced"))
        return;
    file = fopen(path, "w");
    if (file == NULL || fputs("no program\n", file) < 0 || fclose(file) != 0)
        exit(3);
}

static int send_word(mp_args *args)
{
    mp_check(mp_connection_send(mp_arg_connection(args, 0), MP_BOX("word")));
    return 0;
}

/* Says nothing on the standard streams, which may be closed. */
static int talk_to_a_child(void)
{
    mp_connection *ours, *theirs;
    const char *word = "";
    mp_process *child;
    mp_obj *obj;
    int code = 9;

    if (mp_pipe(&ours, &theirs, NULL) != MP_OK ||
        mp_process_create(&child, send_word, MP_ARGS(theirs), NULL) != MP_OK ||
        mp_process_start(child) != MP_OK)
        return 2;
    if (mp_process_join(child, MP_FOREVER) != MP_OK ||
        mp_process_exitcode(child, &code) != MP_OK || code != 0)
        return 3;
    if (mp_connection_recv(ours, &obj) != MP_OK ||
        mp_obj_as_str(obj, &word, NULL) != MP_OK || strcmp(word, "word") != 0)
        return 4;
    mp_obj_unref(obj);
    mp_connection_close(ours);
    mp_connection_close(theirs);
    return mp_process_close(child) == MP_OK ? 0 : 5;
}

int main(int argc, char **argv)
{
    choose_method();
    if (is_mode("child_ends") || is_mode("child_starts"))
        return run_children_past_the_guard(argc, argv);
    if (is_mode("arguments"))
        print_arguments(argc, argv);
    if (is_mode("above_the_guard"))
        start_child(say_hello);
    if (!is_mode("no_guard"))
        mp_main_guard(argc, argv);
    if (is_mode("twice"))
        mp_main_guard(argc, argv);
    if (is_mode("streams"))
        return talk_to_a_child();
    lose_file(argv[0]);
    start_child(is_mode("target") ? pass_the_guard : say_hello);
    printf("the end of main\n");
    return 0;
}
