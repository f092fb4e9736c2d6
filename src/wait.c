/* SPDX-License-Identifier: MIT */
/*
 * mp_wait(): everything that can be waited for becomes items of one
 * mpos_wait(); what that says is ready is then looked at more closely.
 *
 * An event or a queue is words in shared memory, which no system waits for
 * together with handles. So each gets a thread that sleeps on it and, when it
 * has ended for whatever reason, writes a byte to a pipe, the alarm. They are
 * begun only when a look at everything has found nothing, and are gone when
 * mp_wait() returns: they are joined before the alarm is closed, since a byte
 * that has come does not say that its writer is through with the pipe.
 */
#include "wait.h"

#include "connection.h"
#include "event.h"
#include "internal.h"
#include "listener.h"
#include "queue_use.h"
#include "state.h"

#include <multiproc/wait.h>

#include <stdlib.h>
#include <string.h>

enum {
    FEW = 16,
    MILLISECOND = 1000000,
    FIRST_PAUSE = 20000, /* nanoseconds between one nudge and the next */
};

/* -- The alarm ------------------------------------------------------------- */

typedef enum watch_state {
    WATCH_RUNNING,
    WATCH_SET,
    WATCH_STOPPED,
} watch_state;

typedef struct watcher {
    mp_wait_kind kind;
    void *object; /* an event or a queue */
    struct alarm *alarm;
    mpi_atomic32 state; /* a watch_state */
    mpos_thread thread;
} watcher;

typedef struct alarm {
    mpos_handle reader; /* MPOS_NONE: there is none */
    mpos_handle writer;
    mpi_atomic32 must_stop;
    watcher *watchers;
    size_t count;
    size_t running; /* those whose byte has not been read */
    struct alarm *next;
    struct alarm **link;
} alarm;

/* With mpi_connections_mutex held: for a forked child to close. */
static alarm *first_alarm;

static mp_error watch_object(const watcher *self)
{
    const mpi_atomic32 *must_stop = &self->alarm->must_stop;

    return self->kind == MP_WAIT_QUEUE
               ? mpi_queue_watch(self->object, must_stop)
               : mpi_event_watch(self->object, must_stop);
}

static void nudge(const watcher *self)
{
    if (self->kind == MP_WAIT_QUEUE)
        mpi_queue_nudge(self->object);
    else
        mpi_event_nudge(self->object);
}

static void watch(void *argument)
{
    watcher *self = argument;
    const mpos_bytes byte = {"!", 1};
    mpos_handle writer = self->alarm->writer;
    size_t written;
    bool is_set = watch_object(self) == MP_OK;

    mpi_atomic32_store(&self->state, is_set ? WATCH_SET : WATCH_STOPPED);
    while (mpos_write(writer, &byte, 1, &written) != MP_OK)
        mpos_sleep_until(mpos_now() + MILLISECOND);
}

static mp_error open_alarm(alarm *new_one)
{
    mp_error err;

    mpos_mutex_lock(&mpi_connections_mutex);
    err = mpos_pipe(&new_one->reader, &new_one->writer);
    if (err == MP_OK) {
        new_one->next = first_alarm;
        new_one->link = &first_alarm;
        if (new_one->next != NULL)
            new_one->next->link = &new_one->next;
        first_alarm = new_one;
    }
    mpos_mutex_unlock(&mpi_connections_mutex);
    return err;
}

static void close_alarm(alarm *old)
{
    if (old->reader == MPOS_NONE)
        return;
    mpos_mutex_lock(&mpi_connections_mutex);
    *old->link = old->next;
    if (old->next != NULL)
        old->next->link = old->link;
    mpos_close(old->reader);
    mpos_close(old->writer);
    mpos_mutex_unlock(&mpi_connections_mutex);
    old->reader = MPOS_NONE;
}

void mpi_waits_after_fork(void)
{
    for (alarm *it = first_alarm; it != NULL; it = it->next) {
        mpos_close(it->reader);
        mpos_close(it->writer);
    }
    first_alarm = NULL;
}

/* Something is there. */
static void read_alarm(alarm *rung)
{
    char bytes[64];
    size_t got = 0;

    if (mpos_read(rung->reader, bytes, sizeof(bytes), &got) == MP_OK)
        rung->running -= got;
}

static void nudge_all(alarm *rung)
{
    for (size_t i = 0; i < rung->count; i++)
        if (mpi_atomic32_load(&rung->watchers[i].state) == WATCH_RUNNING)
            nudge(&rung->watchers[i]);
}

static void stop_watching(alarm *rung)
{
    mpos_wait_item item = {rung->reader, MPOS_WAIT_READ, false};
    int64_t pause = FIRST_PAUSE;

    mpi_atomic32_store(&rung->must_stop, 1);
    while (rung->running > 0) {
        int64_t until = mpos_now() + pause;

        nudge_all(rung);
        if (mpos_wait(&item, 1, until) == MP_OK)
            read_alarm(rung);
        else if (pause < MILLISECOND)
            pause *= 2;
    }
    for (size_t i = 0; i < rung->count; i++)
        mpos_thread_join(rung->watchers[i].thread);
    close_alarm(rung);
    free(rung->watchers);
    rung->watchers = NULL;
}

static mp_error start_watching(alarm *rung, const mp_wait_item *item)
{
    watcher *self = &rung->watchers[rung->count];
    mp_error err;

    self->kind = item->kind;
    self->object = item->object;
    self->alarm = rung;
    mpi_atomic32_store(&self->state, WATCH_RUNNING);
    err = mpos_thread_start(watch, self, &self->thread);
    if (err != MP_OK)
        return err;
    rung->count++;
    rung->running++;
    return MP_OK;
}

/* -- All that is waited for ------------------------------------------------ */

typedef struct wait_set {
    mp_wait_item *items;
    size_t count;
    int64_t deadline;
    size_t words; /* among items: events and queues, but the system's own */
    alarm alarm;

    /* What the system is asked: of item i, from first[i] to first[i + 1]. */
    mpos_wait_item *asked;
    size_t asked_count;
    size_t room;
    size_t *first;
    int64_t until; /* when to look again at the latest */

    size_t ready;
    bool is_contended; /* another thread receives what seemed to be ready */
    mpos_wait_item few_asked[FEW + 1];
    size_t few_first[FEW + 1];
} wait_set;

static void mark(wait_set *set, size_t i)
{
    set->items[i].is_ready = true;
    set->ready++;
}

/* Room for one more than count items: the alarm. */
static mp_error make_room(wait_set *set, size_t count)
{
    mpos_wait_item *grown;
    size_t room = count + 1 + count / 2;

    if (count < set->room)
        return MP_OK;
    grown = set->asked == set->few_asked ? NULL : set->asked;
    grown = mpi_realloc(grown, room * sizeof(*grown));
    if (grown == NULL)
        return mpi_no_memory();
    if (set->asked == set->few_asked)
        memcpy(grown, set->few_asked, sizeof(set->few_asked));
    set->asked = grown;
    set->room = room;
    return MP_OK;
}

static void ask(wait_set *set, mpos_handle handle, mpos_wait_kind kind)
{
    set->asked[set->asked_count++] = (mpos_wait_item){handle, kind, false};
}

static mp_error ask_listener(wait_set *set, mp_listener *listener)
{
    size_t count = mpi_listener_wait_items(listener, NULL, 0, &set->until);
    size_t needed = count;

    do {
        /* Those that come after it have one each. */
        mp_error err =
            make_room(set, set->asked_count + needed + set->count + 1);

        if (err != MP_OK)
            return err;
        count = mpi_listener_wait_items(listener, set->asked + set->asked_count,
                                        needed, &set->until);
        needed = needed * 2 + 1;
    } while (count == SIZE_MAX);
    set->asked_count += count;
    return MP_OK;
}

static void ask_process(wait_set *set, size_t i)
{
    mpos_wait_item item;

    if (mpi_process_wait_look(set->items[i].object, &item))
        mark(set, i);
    else
        set->asked[set->asked_count++] = item;
}

static void ask_event(wait_set *set, size_t i)
{
    mp_event *event = set->items[i].object;
    mpos_handle object = mpi_event_object(event);

    if (object != MPOS_NONE)
        ask(set, object, MPOS_WAIT_HANDLE);
    else if (mp_event_is_set(event))
        mark(set, i);
}

static void ask_queue(wait_set *set, size_t i)
{
    if (mpi_queue_is_ready(set->items[i].object))
        mark(set, i);
}

/* What is known to be ready is marked, and not asked for. */
static mp_error ask_for(wait_set *set, size_t i)
{
    const mp_wait_item *item = &set->items[i];
    mp_connection *connection;

    switch (item->kind) {
    case MP_WAIT_CONNECTION:
        connection = item->object;
        if (mpi_connection_has_message(connection))
            mark(set, i);
        else
            set->asked[set->asked_count++] =
                mpi_frame_wait_item(&connection->end);
        break;
    case MP_WAIT_LISTENER:
        return ask_listener(set, item->object);
    case MP_WAIT_PROCESS:
        ask_process(set, i);
        break;
    case MP_WAIT_EVENT:
        ask_event(set, i);
        break;
    case MP_WAIT_QUEUE:
        ask_queue(set, i);
        break;
    case MP_WAIT_HANDLE:
        ask(set, item->handle, MPOS_WAIT_HANDLE);
        break;
    case MP_WAIT_SOCKET:
        ask(set, item->handle, MPOS_WAIT_SOCKET);
        break;
    }
    return MP_OK;
}

static mp_error ask_for_all(wait_set *set)
{
    set->asked_count = 0;
    set->ready = 0;
    set->is_contended = false;
    set->until = set->deadline;
    for (size_t i = 0; i < set->count; i++) {
        mp_error err;

        set->items[i].is_ready = false;
        set->first[i] = set->asked_count;
        err = ask_for(set, i);
        if (err != MP_OK) {
            set->count = i; /* these have been begun, see conclude_all() */
            return err;
        }
    }
    set->first[set->count] = set->asked_count;
    if (set->alarm.reader != MPOS_NONE)
        ask(set, set->alarm.reader, MPOS_WAIT_READ);
    /* With words, a first look without threads. */
    if (set->ready > 0 || (set->words > 0 && set->alarm.reader == MPOS_NONE))
        set->until = 0;
    return MP_OK;
}

/* -- What the system says -------------------------------------------------- */

static mp_error look_at_connection(wait_set *set, size_t i)
{
    mp_error err = mpi_connection_look(set->items[i].object);

    if (err == MP_OK)
        mark(set, i);
    else if (err == MP_PENDING)
        set->is_contended = true;
    else if (err != MP_TIMED_OUT)
        return err;
    return MP_OK;
}

static void look_at_word(wait_set *set, size_t i)
{
    const alarm *rung = &set->alarm;

    for (size_t j = 0; j < rung->count; j++) {
        if (rung->watchers[j].object == set->items[i].object &&
            mpi_atomic32_load(&rung->watchers[j].state) == WATCH_SET) {
            mark(set, i);
            return;
        }
    }
}

/* has_answer: the system has looked at what was asked. */
static mp_error conclude(wait_set *set, size_t i, bool has_answer)
{
    const mpos_wait_item *asked = &set->asked[set->first[i]];
    size_t count = set->first[i + 1] - set->first[i];
    const mp_wait_item *item = &set->items[i];

    if (item->kind == MP_WAIT_LISTENER) {
        if (mpi_listener_progress(item->object, has_answer ? asked : NULL,
                                  count) == MP_OK)
            mark(set, i);
        return MP_OK;
    }
    if (item->is_ready)
        return MP_OK;
    if (count == 0)
        look_at_word(set, i);
    else if (has_answer && asked->is_ready && item->kind == MP_WAIT_CONNECTION)
        return look_at_connection(set, i);
    else if (has_answer && asked->is_ready)
        mark(set, i);
    return MP_OK;
}

/* Of every one, even after a failure: listeners want to hear. */
static mp_error conclude_all(wait_set *set, bool has_answer)
{
    mp_error err = MP_OK;

    for (size_t i = 0; i < set->count; i++) {
        mp_error failure = conclude(set, i, has_answer);

        if (err == MP_OK)
            err = failure;
    }
    return err;
}

/* Asks and looks, once. */
static mp_error look_once(wait_set *set)
{
    mp_error err = ask_for_all(set);
    mp_error failure;

    if (err == MP_OK)
        err = mpos_wait(set->asked, set->asked_count, set->until);
    if (err == MP_OK && set->alarm.reader != MPOS_NONE &&
        set->asked[set->asked_count - 1].is_ready)
        read_alarm(&set->alarm);
    failure = conclude_all(set, err == MP_OK);
    return err == MP_OK || err == MP_TIMED_OUT ? failure : err;
}

/* -- Items ----------------------------------------------------------------- */

mp_wait_item mp_wait_connection(mp_connection *connection)
{
    return (mp_wait_item){.kind = MP_WAIT_CONNECTION, .object = connection};
}

mp_wait_item mp_wait_listener(mp_listener *listener)
{
    return (mp_wait_item){.kind = MP_WAIT_LISTENER, .object = listener};
}

mp_wait_item mp_wait_process(mp_process *process)
{
    return (mp_wait_item){.kind = MP_WAIT_PROCESS, .object = process};
}

mp_wait_item mp_wait_event(mp_event *event)
{
    return (mp_wait_item){.kind = MP_WAIT_EVENT, .object = event};
}

mp_wait_item mp_wait_queue(mp_queue *queue)
{
    return (mp_wait_item){.kind = MP_WAIT_QUEUE, .object = queue};
}

mp_wait_item mp_wait_handle(mp_handle handle)
{
    return (mp_wait_item){.kind = MP_WAIT_HANDLE, .handle = handle};
}

mp_wait_item mp_wait_socket(mp_handle socket)
{
    return (mp_wait_item){.kind = MP_WAIT_SOCKET, .handle = socket};
}

/* -- Waiting --------------------------------------------------------------- */

static bool is_word(const mp_wait_item *item)
{
    return item->kind == MP_WAIT_QUEUE ||
           (item->kind == MP_WAIT_EVENT &&
            mpi_event_object(item->object) == MPOS_NONE);
}

static mp_error watch_words(wait_set *set)
{
    mp_error err;

    set->alarm.watchers = mpi_calloc(set->words, sizeof(watcher));
    if (set->alarm.watchers == NULL)
        return mpi_no_memory();
    err = open_alarm(&set->alarm);
    for (size_t i = 0; i < set->count && err == MP_OK; i++) {
        if (is_word(&set->items[i]))
            err = start_watching(&set->alarm, &set->items[i]);
    }
    return err;
}

static mp_error wait_until_ready(wait_set *set)
{
    for (;;) {
        bool has_watched = set->alarm.reader != MPOS_NONE;
        mp_error err = look_once(set);

        if (err != MP_OK || set->ready > 0)
            return err;
        if (set->deadline <= 0 ||
            (set->deadline != MPOS_FOREVER && mpos_now() >= set->deadline))
            return MP_TIMED_OUT;
        if (set->words > 0 && !has_watched)
            err = watch_words(set);
        if (err != MP_OK)
            return err;
        if (set->is_contended)
            mpos_sleep_until(mpos_now() + MILLISECOND);
    }
}

static mp_error begin_one(const mp_wait_item *item)
{
    switch (item->kind) {
    case MP_WAIT_CONNECTION:
        return mpi_connection_check_readable(item->object);
    case MP_WAIT_LISTENER:
        return mpi_listener_check(item->object);
    case MP_WAIT_PROCESS:
        return mpi_process_wait_begin(item->object);
    case MP_WAIT_EVENT:
        return mpi_event_check(item->object);
    case MP_WAIT_QUEUE:
        return mpi_queue_check(item->object);
    case MP_WAIT_HANDLE:
    case MP_WAIT_SOCKET:
        return MP_OK;
    default:
        return mpi_fail(MP_EINVAL, "%d is nothing to wait for",
                        (int)item->kind);
    }
}

/* Of the first count items. */
static void end_all(const wait_set *set, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (set->items[i].kind == MP_WAIT_PROCESS)
            mpi_process_wait_end(set->items[i].object);
}

static mp_error begin_all(wait_set *set, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        mp_error err;

        set->items[i].is_ready = false;
        err = begin_one(&set->items[i]);
        if (err != MP_OK) {
            end_all(set, i);
            return err;
        }
        if (is_word(&set->items[i]))
            set->words++;
    }
    return MP_OK;
}

static mp_error reserve(wait_set *set, size_t count)
{
    if (count > FEW)
        set->first = mpi_malloc((count + 1) * sizeof(*set->first));
    if (set->first == NULL)
        return mpi_no_memory();
    return make_room(set, count);
}

static mp_error wait_for_all(wait_set *set, size_t count)
{
    mp_error err = reserve(set, count);

    if (err == MP_OK)
        err = begin_all(set, count);
    if (err != MP_OK)
        return err;
    set->count = count;
    err = wait_until_ready(set);
    if (set->alarm.watchers != NULL)
        stop_watching(&set->alarm);
    end_all(set, count);
    return err;
}

/* Without a thread. */
static mp_error wait_for_word(mp_wait_item *item, double timeout)
{
    mp_error err = item->kind == MP_WAIT_EVENT
                       ? mp_event_wait(item->object, timeout)
                       : mpi_queue_wait(item->object, timeout);

    item->is_ready = err == MP_OK;
    return err;
}

static mp_error wait_for_time(double timeout)
{
    int64_t deadline = mpi_deadline(timeout);

    if (deadline == MPOS_FOREVER)
        return mpi_fail(MP_EINVAL, "there is nothing to wait for");
    if (deadline > 0)
        mpos_sleep_until(deadline);
    return MP_TIMED_OUT;
}

mp_error mp_wait(mp_wait_item *items, size_t count, double timeout)
{
    wait_set set = {.items = items, .room = FEW + 1};
    mp_error err;

    if (count == 0)
        return wait_for_time(timeout);
    if (items == NULL)
        return mpi_fail(MP_EINVAL, "the items are NULL");
    if (count == 1 &&
        (items->kind == MP_WAIT_EVENT || items->kind == MP_WAIT_QUEUE))
        return wait_for_word(items, timeout);
    set.deadline = mpi_deadline(timeout);
    set.alarm.reader = MPOS_NONE;
    set.asked = set.few_asked;
    set.first = count > FEW ? NULL : set.few_first;
    err = wait_for_all(&set, count);
    for (size_t i = 0; i < count && err != MP_OK; i++)
        items[i].is_ready = false;
    if (set.asked != set.few_asked)
        free(set.asked);
    if (set.first != set.few_first)
        free(set.first);
    return err;
}
