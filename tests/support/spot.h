/* SPDX-License-Identifier: MIT */
/* Where something lasts: a name, or a file in a folder of its own. */
#ifndef SUPPORT_SPOT_H
#define SUPPORT_SPOT_H

#include "named.h"
#include "system.h"

#include <multiproc/named.h>

typedef struct spot {
    bool is_file;
    char name[SUPPORT_PATH_SIZE];
    char folder[SUPPORT_PATH_SIZE];
} spot;

static inline spot begin(bool is_file)
{
    spot it = {.is_file = is_file};

    if (is_file) {
        support_make_folder("mp-spot-", it.folder);
        support_join_path(it.folder, "file", it.name);
    } else {
        support_name(it.name);
    }
    return it;
}

static inline void end(spot *it)
{
    if (it->is_file)
        support_remove_folder(it->folder);
    else if (support_names_last())
        (void)mp_named_unlink(it->name);
}

#endif
