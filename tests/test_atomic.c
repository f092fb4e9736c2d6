/* SPDX-License-Identifier: MIT */
/* Atomic operations: each on every type of integers, and between processes. */
#include "support/methods.h"
#include "support/system.h"
#include "support/testing.h"

#include <multiproc.h>
#include <multiproc/atomic.h>
#include <multiproc/value.h>

enum { PROCESSES = 3, TIMES = 300000 };

/* One of each width, with neighbours that nobody may touch. */
typedef struct cells {
    unsigned char before;
    unsigned char one;
    signed char after;
    unsigned short two;
    short between;
    unsigned four;
    int behind;
    unsigned long long eight;
    long long last;
    unsigned arrived; /* a bit for each process */
} cells;

/* -- Alone ----------------------------------------------------------------- */

/* Operations in a row on the same number, of which each tells the one before.
 */
#define OPERATION_TEST(name, type)                                       \
    Test(atomic, every_operation_on_##name##_is_right)                   \
    {                                                                    \
        type number = (type)5;                                           \
        volatile type seen = (type)1;                                    \
        const type fixed = (type)3;                                      \
        type expected = (type)1;                                         \
                                                                         \
        cr_expect(mp_fetch_add(&number, (type)3) == (type)5);            \
        cr_expect(mp_fetch_sub(&number, (type)1) == (type)8);            \
        cr_expect(mp_fetch_or(&number, (type)8) == (type)7);             \
        cr_expect(mp_fetch_and(&number, (type)6) == (type)15);           \
        cr_expect(mp_exchange(&number, (type)9) == (type)6);             \
        cr_expect_not(mp_compare_exchange(&number, &expected, (type)2)); \
        cr_expect(number == (type)9 && expected == (type)9);             \
        cr_expect(mp_compare_exchange(&number, &expected, (type)2));     \
        cr_expect(number == (type)2 && expected == (type)9);             \
        mp_atomic_store(&number, (type)100);                             \
        cr_expect(mp_atomic_load(&number) == (type)100);                 \
        mp_atomic_store(&seen, (type)7);                                 \
        cr_expect(mp_atomic_load(&seen) == (type)7);                     \
        cr_expect(mp_atomic_load(&fixed) == (type)3);                    \
        number = 0;                                                      \
        cr_expect(mp_fetch_sub(&number, (type)1) == 0);                  \
        cr_expect(mp_fetch_add(&number, (type)-1) == (type)-1);          \
        cr_expect(number == (type)-2);                                   \
    }

OPERATION_TEST(char, char)
OPERATION_TEST(signed_char, signed char)
OPERATION_TEST(unsigned_char, unsigned char)
OPERATION_TEST(short, short)
OPERATION_TEST(unsigned_short, unsigned short)
OPERATION_TEST(int, int)
OPERATION_TEST(unsigned, unsigned)
OPERATION_TEST(long, long)
OPERATION_TEST(unsigned_long, unsigned long)
OPERATION_TEST(long_long, long long)
OPERATION_TEST(unsigned_long_long, unsigned long long)

Test(atomic, bool_is_loaded_stored_and_exchanged)
{
    bool flag = false;
    bool expected = true;

    mp_atomic_store(&flag, true);
    cr_expect(mp_atomic_load(&flag));
    cr_expect(mp_exchange(&flag, false));
    cr_expect_not(mp_compare_exchange(&flag, &expected, true));
    cr_expect_not(expected);
    cr_expect(mp_compare_exchange(&flag, &expected, true));
    cr_expect(flag);
}

Test(atomic, arguments_are_evaluated_once)
{
    int numbers[] = {1, 2};
    int *at = numbers;
    int amount = 10;

    cr_expect_eq(mp_fetch_add(at++, amount++), 1);
    cr_expect(at == &numbers[1] && amount == 11);
    mp_atomic_store(at--, amount++);
    cr_expect(at == &numbers[0] && amount == 12);
    cr_expect_eq(mp_atomic_load(at++), 11);
    cr_expect_eq(mp_exchange(at--, amount--), 11);
    cr_expect(numbers[0] == 11 && numbers[1] == 12 && amount == 11);
    cr_expect(mp_compare_exchange(at++, &amount, 5));
    cr_expect(at == &numbers[1] && numbers[0] == 5);
}

/* -- Between processes ----------------------------------------------------- */

/* (value, how often, which of them, how many): all begin at once. */
static cells *begin(const mp_args *args)
{
    cells *all = MP_VALUE(mp_arg_value(args, 0), cells);
    unsigned everybody = (1U << mp_arg_int(args, 3)) - 1;

    mp_fetch_or(&all->arrived, 1U << mp_arg_int(args, 2));
    while (mp_atomic_load(&all->arrived) != everybody)
        mp_sleep(0);
    return all;
}

static int add_to_all(mp_args *args)
{
    cells *all = begin(args);

    for (int64_t i = mp_arg_int(args, 1); i > 0; i--) {
        mp_fetch_add(&all->one, 1);
        mp_fetch_add(&all->two, 1);
        mp_fetch_add(&all->four, 1);
        mp_fetch_add(&all->eight, 0x100000001ULL);
    }
    return 0;
}

static int take_from_all(mp_args *args)
{
    cells *all = begin(args);

    for (int64_t i = mp_arg_int(args, 1); i > 0; i--) {
        mp_fetch_sub(&all->one, 1);
        mp_fetch_sub(&all->two, 1);
        mp_fetch_sub(&all->four, 1);
        mp_fetch_sub(&all->eight, 0x100000001ULL);
    }
    return 0;
}

/* Adds as well, by trying until nobody was in between. */
#define ADD_BY_COMPARING(pointer, type, amount)                              \
    do {                                                                     \
        type was_ = mp_atomic_load(pointer);                                 \
                                                                             \
        while (                                                              \
            !mp_compare_exchange((pointer), &was_, (type)(was_ + (amount)))) \
            ;                                                                \
    } while (0)

static int add_by_comparing(mp_args *args)
{
    cells *all = begin(args);

    for (int64_t i = mp_arg_int(args, 1); i > 0; i--) {
        ADD_BY_COMPARING(&all->one, unsigned char, 1U);
        ADD_BY_COMPARING(&all->two, unsigned short, 1U);
        ADD_BY_COMPARING(&all->four, unsigned, 1U);
        ADD_BY_COMPARING(&all->eight, unsigned long long, 0x100000001ULL);
    }
    return 0;
}

/* It was off, and then it was on. */
#define SWITCH(pointer, type, bit)                               \
    ((mp_fetch_or((pointer), (type)(bit)) & (type)(bit)) == 0 && \
     (mp_fetch_and((pointer), (type) ~(type)(bit)) & (type)(bit)) != 0)

/* A bit of its own, on and off: nobody else may change it. */
static int switch_own_bits(mp_args *args)
{
    cells *all = begin(args);
    unsigned bit = 1U << mp_arg_int(args, 2);

    for (int64_t i = mp_arg_int(args, 1); i > 0; i--) {
        if (!SWITCH(&all->one, unsigned char, bit) ||
            !SWITCH(&all->two, unsigned short, bit << 8) ||
            !SWITCH(&all->four, unsigned, bit << 24) ||
            !SWITCH(&all->eight, unsigned long long, 1ULL << 40 << bit))
            return 1;
    }
    return 0;
}

/* What goes in comes out once: of all that was put, the sum of what was taken
 * and of what is left. The sum goes into last. */
static int pass_tokens(mp_args *args)
{
    cells *all = begin(args);
    long long sum = 0;

    for (int64_t i = mp_arg_int(args, 1); i > 0; i--) {
        sum += mp_exchange(&all->one, (unsigned char)(i & 0x7f));
        sum += mp_exchange(&all->two, (unsigned short)(i & 0x7fff));
        sum += mp_exchange(&all->four, (unsigned)i);
        sum += (long long)mp_exchange(&all->eight, (unsigned long long)i);
        sum -= (i & 0x7f) + (i & 0x7fff) + 2 * i;
    }
    mp_fetch_add(&all->last, sum);
    return 0;
}

/* A flag and what it stands for: who sees the one sees the other. */
static int write_and_tell(mp_args *args)
{
    cells *all = MP_VALUE(mp_arg_value(args, 0), cells);

    for (long long i = 1; i <= mp_arg_int(args, 1); i++) {
        all->behind = (int)i;
        mp_atomic_store(&all->last, i);
        while (mp_atomic_load(&all->last) != -i)
            mp_sleep(0);
    }
    return 0;
}

static size_t times(void)
{
    return support_scaled(TIMES);
}

static void expect_neighbours_untouched(const cells *all)
{
    cr_expect_eq(all->before, 0x11);
    cr_expect_eq(all->after, 0x22);
    cr_expect_eq(all->between, 0x3333);
    cr_expect_eq(all->behind, 0x44444444);
}

/* A value whose neighbours are marked, after those have worked on it. */
static mp_value *work(mp_start_method method, const mp_function *targets,
                      size_t count)
{
    cells all = {
        .before = 0x11, .after = 0x22, .between = 0x3333, .behind = 0x44444444};
    mp_value_options options = {.has_no_lock = true};
    mp_process *workers[8];
    mp_value *value = NULL;

    cr_assert_eq(mp_value_create(&value, MP_CTYPE(cells), &all, &options),
                 MP_OK, "%s", mp_error_message());
    for (size_t i = 0; i < count; i++)
        workers[i] = support_start(
            method, targets[i],
            MP_TUPLE(value, (int64_t)times(), (int64_t)i, (int64_t)count));
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(support_finish(workers[i]), 0);
    expect_neighbours_untouched(MP_VALUE(value, cells));
    return value;
}

static void expect_sums(const cells *all, unsigned long long sum)
{
    cr_expect_eq(all->one, (unsigned char)sum);
    cr_expect_eq(all->two, (unsigned short)sum);
    cr_expect_eq(all->four, (unsigned)sum);
    cr_expect(all->eight == sum * 0x100000001ULL);
}

METHOD_TEST(atomic_shared, no_addition_is_lost)
{
    const mp_function targets[PROCESSES] = {add_to_all, add_to_all, add_to_all};
    mp_value *value = work(method, targets, PROCESSES);

    expect_sums(MP_VALUE(value, cells), PROCESSES * times());
    cr_assert_eq(mp_value_close(value), MP_OK);
}

METHOD_TEST(atomic_shared, additions_of_every_kind_go_together)
{
    const mp_function targets[] = {add_to_all, take_from_all, add_by_comparing,
                                   add_by_comparing};
    mp_value *value = work(method, targets, 4);

    expect_sums(MP_VALUE(value, cells), 2 * times());
    cr_assert_eq(mp_value_close(value), MP_OK);
}

METHOD_TEST(atomic_shared, bits_of_one_process_are_left_alone_by_others)
{
    const mp_function targets[PROCESSES] = {switch_own_bits, switch_own_bits,
                                            switch_own_bits};
    mp_value *value = work(method, targets, PROCESSES);

    expect_sums(MP_VALUE(value, cells), 0);
    cr_assert_eq(mp_value_close(value), MP_OK);
}

METHOD_TEST(atomic_shared, exchange_hands_each_number_to_one_only)
{
    const mp_function targets[PROCESSES] = {pass_tokens, pass_tokens,
                                            pass_tokens};
    mp_value *value = work(method, targets, PROCESSES);
    const cells *all = MP_VALUE(value, cells);

    cr_expect_eq(
        all->last + all->one + all->two + all->four + (long long)all->eight, 0);
    cr_assert_eq(mp_value_close(value), MP_OK);
}

METHOD_TEST(atomic_shared, who_sees_a_flag_sees_what_was_written_before)
{
    mp_value_options options = {.has_no_lock = true};
    long long count = (long long)support_scaled(2000);
    mp_value *value = NULL;
    mp_process *writer;
    cells *all;

    cr_assert_eq(mp_value_create(&value, MP_CTYPE(cells), NULL, &options),
                 MP_OK);
    all = MP_VALUE(value, cells);
    writer =
        support_start(method, write_and_tell, MP_TUPLE(value, (int64_t)count));
    for (long long i = 1; i <= count; i++) {
        while (mp_atomic_load(&all->last) != i)
            mp_sleep(0);
        cr_assert_eq(all->behind, (int)i);
        mp_atomic_store(&all->last, -i);
    }
    cr_expect_eq(support_finish(writer), 0);
    cr_assert_eq(mp_value_close(value), MP_OK);
}
