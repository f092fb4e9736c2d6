/* SPDX-License-Identifier: MIT */
/* walk.h for POSIX. */
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void complain(wc_file_list *list, const char *path)
{
    fprintf(stderr, "wordcount: %s: %s\n", path, strerror(errno));
    list->has_errors = true;
}

/* Files go to one list, folders to another. */
static void sort_in(wc_file_list *list, wc_file_list *folders,
                    const char *folder, const char *name)
{
    struct stat info;
    char *path;

    file_list_add(list, folder, name, 0);
    path = list->items[list->count - 1].path;
    if (lstat(path, &info) != 0) {
        complain(list, path);
        free(file_list_pop(list));
    } else if (S_ISREG(info.st_mode)) {
        list->items[list->count - 1].size = (uint64_t)info.st_size;
    } else {
        if (S_ISDIR(info.st_mode))
            file_list_add(folders, path, NULL, 0);
        free(file_list_pop(list));
    }
}

static void read_folder(wc_file_list *list, wc_file_list *folders,
                        const char *folder)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;

    if (dir == NULL) {
        complain(list, folder);
        return;
    }
    while ((entry = readdir(dir)) != NULL) {
        const char *name = entry->d_name;

        if (strcmp(name, ".") != 0 && strcmp(name, "..") != 0)
            sort_in(list, folders, folder, name);
    }
    closedir(dir);
}

void walk(wc_file_list *list, const char *folder)
{
    wc_file_list folders = {0};
    char *next;

    file_list_add(&folders, folder, NULL, 0);
    while ((next = file_list_pop(&folders)) != NULL) {
        read_folder(list, &folders, next);
        free(next);
    }
    file_list_free(&folders);
}

FILE *walk_open(const char *path)
{
    return fopen(path, "rb");
}

char **walk_arguments(int argc, char **argv)
{
    (void)argc;
    return argv;
}

const char *walk_default_folder(void)
{
    return "/usr/include";
}

bool walk_stderr_is_terminal(void)
{
    return isatty(STDERR_FILENO) != 0;
}
