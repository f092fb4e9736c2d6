// SPDX-License-Identifier: MIT
// boost.h by Boost.Interprocess.
#include "boost.h"

#include <boost/interprocess/ipc/message_queue.hpp>
#include <boost/interprocess/sync/named_mutex.hpp>
#include <boost/version.hpp>

#include <memory>
#include <string>

#include <unistd.h>

namespace
{
using boost::interprocess::create_only;
using boost::interprocess::message_queue;
using boost::interprocess::named_mutex;

std::unique_ptr<named_mutex> mutex;
std::unique_ptr<message_queue> queue;

std::string mutex_name()
{
    return "multiproc-bench-" + std::to_string(getpid());
}
} // namespace

const char *boost_version(void)
{
    return BOOST_LIB_VERSION;
}

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

bool boost_queue_open(size_t size, size_t count)
{
    std::string name = mutex_name() + "-queue";

    try {
        queue.reset(new message_queue(create_only, name.c_str(), count, size));
    } catch (...) {
        return false;
    }
    message_queue::remove(name.c_str());
    return true;
}

void boost_queue_close(void)
{
    queue.reset();
}

void boost_queue_put(const void *data, size_t size)
{
    queue->send(data, size, 0);
}

size_t boost_queue_get(void *data, size_t capacity)
{
    message_queue::size_type size = 0;
    unsigned priority = 0;

    queue->receive(data, capacity, size, priority);
    return size;
}
