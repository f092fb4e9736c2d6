/* SPDX-License-Identifier: MIT */
/*
 * Counts lines, words and bytes of every text file under a folder, as
 * `cat FILES | wc` does, and the most frequent words, with several processes.
 *
 *     wordcount [--start-method spawn|fork|forkserver] [--processes N]
 *               [--top K] [--printable] [--kill I] [--retries N] [--list]
 *               [FOLDER]
 *
 * Text files are regular files without a zero byte among their first 8 KiB.
 * --list prints their paths, each with a zero byte behind it, and counts
 * nothing. --printable: a word has a printable ASCII character, as GNU wc has
 * it in the C locale until coreutils 9.5. --kill: the worker that has the I-th
 * batch crashes, to see what happens; --retries: that batch is begun again.
 *
 * Output: "lines words bytes"; what was counted; K words, the most frequent
 * first. It is the same for every start method and any number of processes.
 * Exit code: 1 if anything is missing, and 2 for a wrong call.
 */
#include "../example.h"

#include "crew.h"

#include <inttypes.h>
#include <string.h>

const char walk_program[] = "wordcount";

typedef struct wc_options {
    crew_options crew;
    size_t top;
    bool must_list;
    const char *folder;
} wc_options;

static int usage(void)
{
    fprintf(stderr, "usage: wordcount "
                    "[--start-method spawn|fork|forkserver] [--processes N]\n"
                    "                 [--top K] [--printable] [--kill I] "
                    "[--retries N] [--list]\n"
                    "                 [FOLDER]\n");
    return 2;
}

static bool parse_size(const char *text, size_t *out)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != 0 || value > 10000)
        return false;
    *out = (size_t)value;
    return true;
}

static bool parse_start_method(const char *text)
{
    mp_start_method method;

    return mp_start_method_from_name(text, &method) == MP_OK &&
           mp_set_start_method(method) == MP_OK;
}

static bool parse_value(wc_options *options, const char *name,
                        const char *value)
{
    if (value == NULL)
        return false;
    if (strcmp(name, "--start-method") == 0)
        return parse_start_method(value);
    if (strcmp(name, "--processes") == 0)
        return parse_size(value, &options->crew.processes) &&
               options->crew.processes > 0;
    if (strcmp(name, "--top") == 0)
        return parse_size(value, &options->top);
    if (strcmp(name, "--kill") == 0)
        return parse_size(value, &options->crew.victim);
    if (strcmp(name, "--retries") == 0)
        return parse_size(value, &options->crew.retries);
    return false;
}

static bool parse(wc_options *options, char **argv)
{
    for (argv++; *argv != NULL; argv++) {
        if (strcmp(*argv, "--list") == 0)
            options->must_list = true;
        else if (strcmp(*argv, "--printable") == 0)
            options->crew.must_print = true;
        else if (**argv != '-')
            options->folder = *argv;
        else if (!parse_value(options, argv[0], argv[1]))
            return false;
        else
            argv++;
    }
    return options->folder != NULL;
}

static int print_list(const wc_file_list *list)
{
    bool has_failed = list->has_errors;

    for (size_t i = 0; i < list->count; i++) {
        const char *path = list->items[i].path;
        unsigned char state = count_peek(path);

        has_failed |= state == FILE_FAILED;
        if (state == FILE_TEXT)
            fwrite(path, 1, strlen(path) + 1, stdout);
    }
    return has_failed;
}

/* Returns how many files are not in the sums and should be. */
static size_t print_files(const crew_result *result, const wc_file_list *list)
{
    size_t missing = 0, texts = 0, binaries = 0;

    for (size_t i = 0; i < list->count; i++) {
        unsigned char state = result->states[i];

        texts += (state & FILE_TEXT) != 0;
        binaries += state == FILE_BINARY;
        missing += state == 0 || state == FILE_FAILED;
        if (state == 0)
            fprintf(stderr, "wordcount: not counted: %s\n",
                    list->items[i].path);
    }
    printf("%zu files, %zu binary files skipped, %zu missing, "
           "%zu different words\n",
           texts, binaries, missing, result->table.count);
    return missing;
}

static void print_top(const wc_table *table, size_t limit)
{
    const wc_word **top = calloc(limit + 1, sizeof(*top));
    size_t count = top == NULL ? 0 : table_top(table, top, limit);

    for (size_t i = 0; i < count; i++) {
        printf("%10" PRIu64 " ", top[i]->count);
        fwrite(table->text + top[i]->offset, 1, top[i]->length, stdout);
        putchar('\n');
    }
    free(top);
}

static int count_and_print(const wc_file_list *list, const wc_options *options)
{
    double begin = mp_monotonic(), seconds;
    crew_result result;
    size_t missing;

    crew_count(&result, list, &options->crew);
    seconds = mp_monotonic() - begin;

    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", result.totals.lines,
           result.totals.words, result.totals.bytes);
    missing = print_files(&result, list);
    print_top(&result.table, options->top);
    fflush(stdout);
    fprintf(stderr, "%zu processes (%s): %.2f s, %.0f MB/s\n", result.processes,
            mp_start_method_name(mp_get_start_method()), seconds,
            (double)result.totals.bytes / 1e6 / seconds);
    crew_result_free(&result);
    return missing > 0 || list->has_errors;
}

static void find_files(wc_file_list *list, const char *folder)
{
    wc_file_list stack = {0};
    wc_file file;

    walk_begin(&stack, folder);
    while (walk_next(&stack, &file))
        file_list_put(list, &file);
    list->has_errors = stack.has_errors;
    file_list_free(&stack);
}

int main(int argc, char **argv)
{
    wc_options options = {.top = 20, .folder = walk_default_folder()};
    wc_file_list list = {0};
    int code;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();

    options.crew.processes = mp_cpu_count();
    if (!parse(&options, walk_arguments(argc, argv)))
        return usage();
    find_files(&list, options.folder);
    code = options.must_list ? print_list(&list)
                             : count_and_print(&list, &options);
    file_list_free(&list);
    return code;
}
