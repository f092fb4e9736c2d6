/* SPDX-License-Identifier: MIT */
/*
 * A list of files that grows, and the walk: a stack of what is to be visited.
 * Folders in it end with a slash, so that sorting them among the files of their
 * own folder is all it takes to visit the whole tree by path.
 */
#include "walk.h"

#include "memory.h"

#include <stdlib.h>
#include <string.h>

void file_list_put(wc_file_list *list, const wc_file *file)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity == 0 ? 1024 : 2 * list->capacity;
        list->items =
            allocate(list->items, list->capacity * sizeof(*list->items));
    }
    list->items[list->count++] = *file;
}

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

    file_list_put(list, &(wc_file){.path = path, .size = size});
}

bool file_list_pop(wc_file_list *list, wc_file *out)
{
    if (list->count == 0)
        return false;
    *out = list->items[--list->count];
    return true;
}

void file_list_free(wc_file_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i].path);
    free(list->items);
    *list = (wc_file_list){0};
}

void walk_begin(wc_file_list *stack, const char *folder)
{
    file_list_add(stack, *folder == 0 ? "." : folder, "", 0);
}

/* The first path comes to the end. */
static int compare_paths(const void *left, const void *right)
{
    return strcmp(((const wc_file *)right)->path,
                  ((const wc_file *)left)->path);
}

static void push_folder(wc_file_list *stack, const char *folder)
{
    wc_file_list folders = {0};
    size_t first = stack->count;
    wc_file next;

    walk_folder(stack, &folders, folder);
    while (file_list_pop(&folders, &next)) {
        walk_begin(stack, next.path);
        free(next.path);
    }
    file_list_free(&folders);
    if (stack->count > first)
        qsort(stack->items + first, stack->count - first, sizeof(*stack->items),
              compare_paths);
}

bool walk_next(wc_file_list *stack, wc_file *out)
{
    while (file_list_pop(stack, out)) {
        if (out->path[strlen(out->path) - 1] != '/')
            return true;
        push_folder(stack, out->path);
        free(out->path);
    }
    return false;
}
