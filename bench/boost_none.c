/* SPDX-License-Identifier: MIT */
/* boost.h where there is no Boost: rows are absent. */
#include "boost.h"

bool boost_open(void)
{
    return false;
}

void boost_close(void)
{
}

void boost_acquire(void)
{
}

void boost_release(void)
{
}

void boost_repeat(int count)
{
    (void)count;
}
