/* SPDX-License-Identifier: MIT */
/* A library without a main(), whose function is a target. */
#include "plugin.h"

enum { ANSWER = 77 };

int plugin_answer(mp_args *args)
{
    (void)args;
    return ANSWER;
}
