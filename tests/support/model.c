/* SPDX-License-Identifier: MIT */
/* The processes of the model: word.c, put on the model's steps, and what people
 * do with it. */
#include "model.h"

#include "internal.h"
#include "os.h"
#include "share.h"

#include <setjmp.h>
#include <string.h>

/* -- What word.c sees instead of the system -------------------------------- */

static uint32_t model_load(const mpi_atomic32 *atomic, const char *where);
static uint32_t model_add(mpi_atomic32 *atomic, uint32_t change,
                          const char *where);
static bool model_change(mpi_atomic32 *atomic, uint32_t from, uint32_t to,
                         const char *where);
static int64_t model_now(void);
static int64_t model_deadline(const void *who, double timeout);
static bool model_wait(mpos_word *word, mpos_handle queue, uint32_t expected,
                       int64_t deadline);
static void model_wake(mpos_word *word, mpos_handle queue, uint32_t count);
static bool model_is_alive(mpi_share *share, uint32_t owner);

#define mpi_atomic32_load(atomic) model_load(atomic, __func__)
#define mpi_atomic32_add(atomic, change) model_add(atomic, change, __func__)
#define mpi_atomic32_change(atomic, from, to) \
    model_change(atomic, from, to, __func__)
#define mpi_atomic64_load(atomic) ((void)(atomic), UINT64_C(0))
#define mpi_atomic64_store(atomic, value) ((void)(atomic), (void)(value))
#define mpos_now() model_now()
#define mpi_deadline(timeout) model_deadline(who, timeout)
#define mpos_word_wait(word, queue, expected, deadline) \
    model_wait(word, queue, expected, deadline)
#define mpos_word_wake(word, queue, count) model_wake(word, queue, count)
#define mpos_cpu_count() 1U
#define mpi_share_attach(share) ((void)(share), MP_OK)
#define mpi_share_queue(share) ((void)(share), MP_OK)
#define mpi_share_owner_is_alive(share, owner) model_is_alive(share, owner)

/* The library has these as well. */
#define mpi_word_lock_slowly model_word_lock_slowly
#define mpi_word_unlock_slowly model_word_unlock_slowly
#define mpi_word_bury model_word_bury
#define mpi_word_give_up model_word_give_up
#define mpi_word_take_slowly model_word_take_slowly
#define mpi_word_give model_word_give
#define mpi_word_set model_word_set
#define mpi_word_clear model_word_clear
#define mpi_word_is_set model_word_is_set
#define mpi_word_wait_set model_word_wait_set
#define mpi_word_watch model_word_watch
#define mpi_word_nudge model_word_nudge
#define mpi_word_wait_change model_word_wait_change
#define mpi_word_advance model_word_advance
#define mpi_word_expect model_word_expect
#define mpi_word_alert_slowly model_word_alert_slowly

#include "word.c"

#undef mpi_atomic32_load
#undef mpi_atomic32_add
#undef mpi_atomic32_change
#undef mpi_deadline

/* -- State ----------------------------------------------------------------- */

enum { STEPS = 400 };

enum {
    BEGINNING = 1000,
    DEADLINE = BEGINNING + 2 * STARVING_AFTER,
};

const model_scenario *model_current;
model_world model_state;

static uint32_t histories[PEOPLE][STEPS];

/* While one person's code runs. */
static size_t self;
static size_t position;
static uint64_t key;
static uint64_t round_key; /* what it was when the round began */
static uint64_t bell_key;  /* all that is alive in the loops of bells */
static uint32_t clock_now;
static bool has_slept;
static const waiter *waiting; /* its variable, once begin() has run */
static const char *last_change;
static bool is_direct; /* steps are taken at once */
static jmp_buf out;
static mpos_word the_word;

/* -- Steps of the code ----------------------------------------------------- */

/* Returns the answer, or jumps out: this one comes next. */
static uint32_t ask(model_step step)
{
    uint32_t answer;

    if (is_direct)
        return model_take_directly(&step);
    if (position == model_state.lengths[self]) {
        model_state.actors[self].next = step;
        longjmp(out, 1);
    }
    answer = histories[self][position++];
    key = model_mix(model_mix(model_mix(key, (uint64_t)step.kind), step.b),
                    answer);
    return answer;
}

/* At the head of these loops nothing is alive but the waiter. */
static uint32_t model_load(const mpi_atomic32 *atomic, const char *where)
{
    if (atomic != &the_word.value)
        return mpi_atomic32_load(atomic);
    if (strcmp(where, "wait_for_lock") == 0 ||
        strcmp(where, "wait_for_one") == 0)
        key = model_mix(
            model_mix(round_key, waiting->has_slept + 2U * waiting->must_look),
            (uint64_t)waiting->began);
    if (strcmp(where, "model_word_expect") == 0 ||
        strcmp(where, "model_word_alert_slowly") == 0)
        key = bell_key;
    return ask((model_step){.kind = LOAD, .where = where});
}

static uint32_t model_add(mpi_atomic32 *atomic, uint32_t change,
                          const char *where)
{
    (void)atomic;
    last_change = where;
    return ask((model_step){.kind = ADD, .where = where, .a = change});
}

static bool model_change(mpi_atomic32 *atomic, uint32_t from, uint32_t to,
                         const char *where)
{
    (void)atomic;
    last_change = where;
    return ask((model_step){
               .kind = CHANGE, .where = where, .a = from, .b = to}) != 0;
}

bool model_clock_may_be(size_t index, uint32_t clock)
{
    const model_person *person = &model_current->people[index];

    if (clock == LATE)
        return person->may_starve && model_state.actors[index].has_slept;
    return clock == EARLY || person->patience == TIMED;
}

static int64_t model_now(void)
{
    const int64_t times[] = {BEGINNING, BEGINNING + STARVING_AFTER + 1,
                             DEADLINE};

    model_state.actors[self].has_slept = has_slept;
    if (!is_direct && ((clock_now < LATE && model_clock_may_be(self, LATE)) ||
                       (clock_now < PAST && model_clock_may_be(self, PAST))))
        clock_now = ask((model_step){.kind = NOW});
    return times[clock_now];
}

static int64_t model_deadline(const void *who, double timeout)
{
    waiting = who;
    if (timeout <= 0)
        return 0;
    return timeout < 10 ? DEADLINE : MPOS_FOREVER;
}

static bool model_wait(mpos_word *word, mpos_handle queue, uint32_t expected,
                       int64_t deadline)
{
    uint32_t answer;

    (void)word;
    (void)queue;
    answer = ask((model_step){
        .kind = WAIT, .a = expected, .is_timed = deadline == DEADLINE});
    has_slept = true;
    if (answer == TIMER_FIRED)
        clock_now = PAST;
    return answer == WOKEN;
}

static void model_wake(mpos_word *word, mpos_handle queue, uint32_t count)
{
    (void)word;
    (void)queue;
    ask((model_step){.kind = WAKE, .where = last_change, .a = count});
}

/* What arena.c does, without its lock. */
static bool model_is_alive(mpi_share *share, uint32_t owner)
{
    if (ask((model_step){.kind = IS_ALIVE, .a = owner}) != 0)
        return true;
    if (mpi_word_bury(&the_word, owner))
        model_wake(&the_word, mpi_share_queue_of(share), 1);
    return false;
}

/* -- What people do -------------------------------------------------------- */

static double timeout_of(const model_person *person)
{
    if (person->patience == TRIES)
        return 0;
    return person->patience == TIMED ? 1 : MP_FOREVER;
}

/* Nothing of what was before matters from here on, but for got. */
static void begin_round(unsigned round, uint32_t got)
{
    round_key = model_mix(model_mix(1, round), got);
    key = round_key;
    clock_now = EARLY;
    has_slept = false;
    waiting = NULL;
}

static bool has_got(const model_person *person, mp_error err)
{
    if (err == MP_TIMED_OUT && person->patience == PATIENT)
        model_fail("who waits for ever timed out");
    else if (err != MP_OK && err != MP_TIMED_OUT && err != MP_OWNER_DIED)
        model_fail("a wait failed");
    return err == MP_OK || err == MP_OWNER_DIED;
}

static bool lock_and_unlock(const model_person *person, mpi_share *share)
{
    mp_error err = mpi_word_lock(&the_word, share, timeout_of(person));

    if (!has_got(person, err))
        return false;
    ask((model_step){.kind = ENTER, .a = err == MP_OWNER_DIED});
    ask((model_step){.kind = LEAVE});
    if (mpi_word_unlock(&the_word, share) != MP_OK)
        model_fail("the owner could not release");
    return true;
}

/* Every number up to rounds has to be heard of, late or in time. */
static bool follow(const model_person *person, mpi_share *share, uint32_t seen)
{
    int64_t deadline = person->patience == TIMED ? DEADLINE : MPOS_FOREVER;
    int64_t interval = 0;
    mp_error err;

    do {
        err = mpi_word_wait_change(&the_word, share, seen, deadline, &interval);
    } while (err == MP_PENDING);
    return has_got(person, err);
}

/* What word.h says of bells. */
static bool get_item(const model_person *person, mpi_share *share)
{
    int64_t deadline = person->patience == TIMED ? DEADLINE : MPOS_FOREVER;
    int64_t interval = 0;
    bool is_there;
    mp_error err = MP_OK;

    for (;;) {
        uint32_t seen;

        bell_key =
            model_mix(round_key, (interval != 0) + 2U * (err == MP_TIMED_OUT));
        key = bell_key;
        is_there = ask((model_step){.kind = TAKE_ITEM}) != 0;
        if (is_there || err == MP_TIMED_OUT)
            break;
        seen = mpi_word_expect(&the_word);
        key = model_mix(bell_key, seen);
        if (model_bug != GETTER_DOES_NOT_LOOK_AGAIN)
            is_there = ask((model_step){.kind = TAKE_ITEM}) != 0;
        if (is_there)
            break;
        err = mpi_word_wait_change(&the_word, share, seen, deadline, &interval);
    }
    if (interval == 0 || model_bug == GETTER_FORGETS_OTHERS)
        return is_there;
    bell_key = model_mix(round_key, 4U + is_there);
    (void)mpi_word_expect(&the_word);
    key = bell_key;
    if (ask((model_step){.kind = LOOK_FOR_ITEM}) != 0)
        mpi_word_alert(&the_word, share, 1);
    return is_there;
}

static bool put_item(mpi_share *share)
{
    ask((model_step){.kind = PUT_ITEM});
    bell_key = round_key;
    mpi_word_alert(&the_word, share, 1);
    return true;
}

static bool act_once(const model_person *person, mpi_share *share,
                     unsigned round)
{
    double timeout = timeout_of(person);

    switch (person->role) {
    case LOCKS:
        return lock_and_unlock(person, share);
    case TAKES:
        return has_got(person, mpi_word_take(&the_word, share, timeout));
    case GIVES:
        return mpi_word_give(&the_word, share, 1, INT32_MAX) == MP_OK;
    case WAITS:
        return has_got(person, mpi_word_wait_set(&the_word, share, timeout));
    case SETS:
        return mpi_word_set(&the_word, share) == MP_OK;
    case SETS_AND_CLEARS:
        return mpi_word_set(&the_word, share) == MP_OK &&
               mpi_word_clear(&the_word, share) == MP_OK;
    case FOLLOWS:
        return follow(person, share, round);
    case ADVANCES:
        mpi_word_advance(&the_word, share, INT32_MAX);
        return true;
    case PUTS:
        return put_item(share);
    case GETS:
        return get_item(person, share);
    case NONE:
        break;
    }
    return false;
}

static uint32_t act(size_t index)
{
    const model_person *person = &model_current->people[index];
    mpi_share share = {.self = {model_self_of(index)}};
    uint32_t got = 0;

    for (unsigned round = 0; round < (person->rounds != 0 ? person->rounds : 1);
         round++) {
        begin_round(round, got);
        got += act_once(person, &share, round);
    }
    return got;
}

/* Runs its code up to the next step that has no answer yet. */
static void run(size_t index)
{
    model_actor *actor = &model_state.actors[index];

    self = index;
    position = 0;
    last_change = NULL;
    actor->status = READY;
    memset(&actor->next, 0, sizeof(actor->next));
    begin_round(0, 0);
    if (setjmp(out) == 0) {
        actor->got = act(index);
        actor->status = DONE;
        key = 0;
        clock_now = EARLY;
        has_slept = false;
    }
    actor->key = key;
    actor->clock = clock_now;
    actor->has_slept = has_slept;
}

void model_answer(size_t index, uint32_t value)
{
    if (model_state.lengths[index] == STEPS) {
        model_fail("a process takes too many steps");
        return;
    }
    histories[index][model_state.lengths[index]++] = value;
    run(index);
}

/* Who comes when all is over, and only tries. */
mp_error model_try_lock(void)
{
    mpi_share share = {.self = {99}};
    model_world before = model_state;
    mp_error err;

    is_direct = true;
    err = mpi_word_lock(&the_word, &share, 0);
    is_direct = false;
    model_state = before;
    return err;
}

void model_begin(const model_scenario *scenario)
{
    model_current = scenario;
    model_problem = NULL;
    memset(&model_state, 0, sizeof(model_state));
    model_state.word = scenario->initial;
    for (size_t i = 0; i < PEOPLE; i++)
        run(i);
}
