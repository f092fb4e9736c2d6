/* SPDX-License-Identifier: MIT */
/* Value and Array where the system says no: a full disk, permissions. */
#include "support/expect.h"
#include "support/methods.h"
#include "support/system.h"

#include <multiproc/value.h>

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LENGTH = 100000, ROOM = 256 << 10 };

/* Files of this process are no larger from now on; the signal that goes with it
 * must not come, so it is left as it is. */
static void limit_files(void)
{
    const struct rlimit limit = {ROOM, ROOM};

    if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
        mp_exit(100);
}

static int create_too_large(mp_args *args)
{
    mp_array *array = NULL;
    mp_error err;

    limit_files();
    err = mp_array_open_file(&array, mp_arg_str(args, 0), MP_CTYPE(int), LENGTH,
                             NULL, NULL);
    if (err != MP_ENOSPC || array != NULL)
        return 1;
    if (*mp_error_message() == '\0')
        return 2;
    return access(mp_arg_str(args, 0), F_OK) == 0 ? 3 : 0;
}

static int grow_too_far(mp_args *args)
{
    const mp_value_options options = {.capacity = LENGTH};
    mp_array *array = NULL;

    limit_files();
    mp_check(mp_array_open_file(&array, mp_arg_str(args, 0), MP_CTYPE(int), 0,
                                NULL, &options));
    mp_check(mp_array_grow(array, 1000));
    mp_check(mp_array_set(array, -1, MP_BOX(5)));
    if (mp_array_grow(array, LENGTH) != MP_ENOSPC)
        return 1;
    if (mp_array_length(array) != 1000 || MP_ARRAY(array, int)[999] != 5)
        return 2;
    mp_check(mp_array_grow(array, 2000));
    mp_check(mp_array_set(array, -1, MP_BOX(6)));
    mp_check(mp_array_close(array));
    return 0;
}

METHOD_TEST(value_limits, a_full_disk_is_an_error_and_no_signal)
{
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE];
    mp_array *array = NULL;

    support_make_folder("mp-value-", folder);
    support_join_path(folder, "file", path);
    cr_assert_eq(support_run(method, create_too_large, MP_ARGS(path)), 0);
    cr_assert_eq(support_run(method, grow_too_far, MP_ARGS(path)), 0);
    ok(mp_array_open_file(&array, path, MP_CTYPE(int), 2000, NULL, NULL));
    cr_assert_eq(MP_ARRAY(array, int)[999], 5);
    cr_assert_eq(MP_ARRAY(array, int)[1999], 6);
    ok(mp_array_close(array));
    support_remove_folder(folder);
}

Test(value_limits, permissions_are_those_asked_for)
{
    const mp_value_options options = {.open = {.permissions = 0640}};
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE];
    mp_value *value = NULL;
    struct stat status;

    support_make_folder("mp-value-", folder);
    support_join_path(folder, "file", path);
    ok(mp_value_open_file(&value, path, MP_CTYPE(int), NULL, &options));
    cr_assert_eq(stat(path, &status), 0);
    cr_assert_eq(status.st_mode & 0777, 0640U);
    ok(mp_value_close(value));
    support_remove_folder(folder);
}

Test(value_limits, who_may_only_read_can_open_it_for_that)
{
    const mp_value_options options = {.is_read_only = true};
    char folder[SUPPORT_PATH_SIZE], path[SUPPORT_PATH_SIZE];
    mp_value *value = NULL;

    support_make_folder("mp-value-", folder);
    support_join_path(folder, "file", path);
    ok(mp_value_open_file(&value, path, MP_CTYPE(int), &(int){3}, NULL));
    ok(mp_value_close(value));
    value = NULL;
    cr_assert_eq(chmod(path, 0400), 0);
    if (access(path, W_OK) != 0) {
        cr_assert_eq(
            mp_value_open_file(&value, path, MP_CTYPE(int), NULL, NULL),
            MP_EACCES);
        cr_assert_null(value);
    }
    ok(mp_value_open_file(&value, path, MP_CTYPE(int), NULL, &options));
    cr_assert_eq(*MP_VALUE(value, int), 3);
    ok(mp_value_close(value));
    cr_assert_eq(chmod(path, 0), 0);
    if (access(path, R_OK) != 0)
        cr_assert_eq(
            mp_value_open_file(&value, path, MP_CTYPE(int), NULL, &options),
            MP_EACCES);
    support_remove_folder(folder);
}
