// SPDX-License-Identifier: MIT
// boost.h by Boost.Interprocess.
#include "boost.h"

#include <boost/interprocess/sync/named_mutex.hpp>

#include <memory>
#include <string>

#include <unistd.h>

namespace
{
using boost::interprocess::create_only;
using boost::interprocess::named_mutex;

std::unique_ptr<named_mutex> mutex;

std::string mutex_name()
{
    return "multiproc-bench-" + std::to_string(getpid());
}
} // namespace

bool boost_open(void)
{
    std::string name = mutex_name();

    try {
        mutex.reset(new named_mutex(create_only, name.c_str()));
    } catch (...) {
        return false;
    }
    named_mutex::remove(name.c_str()); // whoever is forked has it open
    return true;
}

void boost_close(void)
{
    mutex.reset();
}

void boost_acquire(void)
{
    mutex->lock();
}

void boost_release(void)
{
    mutex->unlock();
}

void boost_repeat(int count)
{
    for (int i = 0; i < count; i++) {
        mutex->lock();
        mutex->unlock();
    }
}
