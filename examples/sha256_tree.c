/* SPDX-License-Identifier: MIT */
/*
 * sha256_tree FOLDER... prints what sha256sum does for all files under them, by
 * path. Files are read while others are still looked for.
 */
#include "example.h"

#include "sha256.h"
#include "wordcount/walk.h"

#include <errno.h>
#include <string.h>

enum { MOST_PATH = 8192 };

const char walk_program[] = "sha256_tree";

/* Returns the line, as bytes: nobody promises that a path is UTF-8. */
static mp_obj *hash_file(mp_args *args)
{
    char line[SHA256_HEX + MOST_PATH];
    size_t size;
    const char *path = mp_arg_bytes(args, 0, &size);

    if (!sha256_of(walk_open(path), line))
        return mp_raise(MP_EIO, "%s: %s", path, strerror(errno));
    snprintf(line + SHA256_HEX - 1, MOST_PATH, "  %s\n", path);
    return MP_BYTES(line, strlen(line));
}

static mp_error next_file(void *context, mp_obj **path)
{
    wc_file file;

    if (!walk_next(context, &file))
        return MP_EEOF;
    *path = MP_BYTES(file.path, strlen(file.path) + 1);
    free(file.path);
    return MP_OK;
}

int main(int argc, char **argv)
{
    wc_file_list stack = {0};
    mp_iterator *lines;
    mp_failure failure;
    mp_pool *pool;
    mp_error err;
    mp_obj *line;
    const void *data;
    size_t size;

    mp_main_guard(argc, argv);
    use_start_method_of_environment();
    argv = walk_arguments(argc, argv);
    while (argc > 1)
        walk_begin(&stack, argv[--argc]);
    mp_check(mp_pool_create(&pool, 0, NULL));
    mp_check(
        mp_pool_imap_from(pool, hash_file, next_file, &stack, 0, NULL, &lines));
    while ((err = mp_iterator_next(lines, MP_FOREVER, &line)) != MP_EEOF) {
        if (err == MP_OK) {
            mp_check(mp_obj_as_bytes(line, &data, &size));
            fwrite(data, 1, size, stdout);
            mp_obj_unref(line);
        } else if (mp_iterator_failure(lines, &failure) == MP_OK) {
            fprintf(stderr, "sha256_tree: %s\n", failure.sentence);
            stack.has_errors = true;
        }
    }
    mp_check(mp_iterator_close(lines));
    mp_check(mp_pool_destroy(pool));
    free(stack.items);
    return stack.has_errors;
}
