/* SPDX-License-Identifier: MIT */
/* What a test does to the system around it, on POSIX. */
#include "system.h"

#include "testing.h"

#include "os.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

void support_set_variable(const char *name, const char *value)
{
    if (value == NULL)
        unsetenv(name);
    else
        setenv(name, value, 1);
}

void support_join_path(const char *folder, const char *name,
                       char path[SUPPORT_PATH_SIZE])
{
    int size = snprintf(path, SUPPORT_PATH_SIZE, "%s/%s", folder, name);

    cr_assert(size > 0 && size < SUPPORT_PATH_SIZE);
}

void support_program_beside(const char *name, char path[SUPPORT_PATH_SIZE])
{
    char *own;

    cr_assert_eq(mpos_program_path(&own), MP_OK);
    *strrchr(own, '/') = 0;
    support_join_path(own, name, path);
    free(own);
}

void support_make_folder(const char *prefix, char path[SUPPORT_PATH_SIZE])
{
    const char *root = getenv("TMPDIR");

    snprintf(path, SUPPORT_PATH_SIZE, "%s/%s-XXXXXX",
             root != NULL ? root : "/tmp", prefix);
    cr_assert_not_null(mkdtemp(path));
}

void support_remove_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    while (folder != NULL && (entry = readdir(folder)) != NULL)
        if (entry->d_name[0] != '.')
            unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        closedir(folder);
    rmdir(path);
}

static bool copy_contents(FILE *from, FILE *to)
{
    char data[65536];
    size_t got;

    while ((got = fread(data, 1, sizeof(data), from)) > 0)
        if (fwrite(data, 1, got, to) != got)
            return false;
    return ferror(from) == 0;
}

bool support_copy_program(const char *from, const char *to)
{
    FILE *source = fopen(from, "rbe");
    FILE *target = fopen(to, "wbe");
    bool is_whole =
        source != NULL && target != NULL && copy_contents(source, target);

    if (source != NULL)
        fclose(source);
    if (target != NULL)
        is_whole = fclose(target) == 0 && is_whole;
    return is_whole && chmod(to, 0700) == 0;
}

void support_remove_file(const char *path)
{
    unlink(path);
}

bool support_rename_file(const char *from, const char *to)
{
    return rename(from, to) == 0;
}

bool support_allow_handles(size_t count)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return false;
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < (rlim_t)count)
        limit.rlim_cur = (rlim_t)count;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0;
}
