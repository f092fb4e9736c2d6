/* SPDX-License-Identifier: MIT */
/* What plugin.c has. */
#ifndef PROGRAMS_PLUGIN_H
#define PROGRAMS_PLUGIN_H

#include <multiproc/object.h>

int plugin_answer(mp_args *args);

#endif
