/* SPDX-License-Identifier: MIT */
/* A list of files that grows. */
#include "walk.h"

#include "memory.h"

#include <stdlib.h>
#include <string.h>

void file_list_add(wc_file_list *list, const char *folder, const char *name,
                   uint64_t size)
{
    size_t folder_size = strlen(folder);
    size_t name_size = name == NULL ? 0 : strlen(name);
    bool has_slash = folder_size > 0 && folder[folder_size - 1] == '/';
    char *path = allocate(NULL, folder_size + name_size + 2);

    memcpy(path, folder, folder_size);
    if (name != NULL && !has_slash)
        path[folder_size++] = '/';
    if (name != NULL)
        memcpy(path + folder_size, name, name_size);
    path[folder_size + name_size] = 0;

    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 1024 : 2 * list->capacity;
        list->items =
            allocate(list->items, list->capacity * sizeof(*list->items));
    }
    list->items[list->count++] = (wc_file){.path = path, .size = size};
}

char *file_list_pop(wc_file_list *list)
{
    return list->count == 0 ? NULL : list->items[--list->count].path;
}

static int compare_paths(const void *left, const void *right)
{
    return strcmp(((const wc_file *)left)->path,
                  ((const wc_file *)right)->path);
}

void file_list_sort(wc_file_list *list)
{
    if (list->count > 0)
        qsort(list->items, list->count, sizeof(*list->items), compare_paths);
}

void file_list_free(wc_file_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].path);
    free(list->items);
    *list = (wc_file_list){0};
}
