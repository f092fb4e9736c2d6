/* SPDX-License-Identifier: MIT */
/* walk.h for POSIX. */
#include "walk.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void complain(wc_file_list *list, const char *path)
{
    fprintf(stderr, "%s: %s: %s\n", walk_program, path, strerror(errno));
    list->has_errors = true;
}

/* Files go to one list, folders to another. */
static void sort_in(wc_file_list *list, wc_file_list *folders,
                    const char *folder, const char *name)
{
    struct stat info;
    wc_file file;

    file_list_add(list, folder, name, 0);
    file = list->items[list->count - 1];
    if (lstat(file.path, &info) != 0) {
        complain(list, file.path);
    } else if (S_ISREG(info.st_mode)) {
        list->items[list->count - 1].size = (uint64_t)info.st_size;
        return;
    } else if (S_ISDIR(info.st_mode)) {
        file_list_add(folders, file.path, NULL, 0);
    }
    file_list_pop(list, &file);
    free(file.path);
}

void walk_folder(wc_file_list *list, wc_file_list *folders, const char *folder)
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
