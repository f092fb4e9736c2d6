/* SPDX-License-Identifier: MIT */
/*
 * Doubles as Python writes them, the shortest text that reads back as the same
 * number; and back, whatever the locale's decimal point is.
 */
#include "repr.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIGITS = 17, BIG_WORDS = 40, MANTISSA_BITS = 52 };

typedef struct decimal {
    char digits[MOST_DIGITS + 1];
    int count;
    int exponent; /* of the first digit */
} decimal;

/* -- Numbers of up to 1280 bits -------------------------------------------- */

typedef struct big {
    uint32_t words[BIG_WORDS]; /* the least first */
    int count;
} big;

static void big_set(big *number, uint64_t value)
{
    number->count = 0;
    for (; value != 0; value >>= 32)
        number->words[number->count++] = (uint32_t)value;
}

static void big_multiply(big *number, uint32_t factor)
{
    uint64_t carry = 0;

    for (int i = 0; i < number->count; i++) {
        carry += (uint64_t)number->words[i] * factor;
        number->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry != 0)
        number->words[number->count++] = (uint32_t)carry;
}

/* The largest power of ten in a word, or what is left of *exponent. */
static uint32_t take_power_of_ten(int *exponent)
{
    uint32_t power = 1;

    for (int i = 0; i < 9 && *exponent > 0; i++, --*exponent)
        power *= 10;
    return power;
}

/* Times 2 ** bits. */
static void big_shift(big *number, int bits)
{
    const int words = bits / 32;

    big_multiply(number, (uint32_t)1 << bits % 32);
    if (number->count == 0)
        return;
    memmove(number->words + words, number->words,
            (size_t)number->count * sizeof(number->words[0]));
    memset(number->words, 0, (size_t)words * sizeof(number->words[0]));
    number->count += words;
}

static int big_compare(const big *left, const big *right)
{
    if (left->count != right->count)
        return left->count < right->count ? -1 : 1;
    for (int i = left->count; i-- > 0;) {
        if (left->words[i] != right->words[i])
            return left->words[i] < right->words[i] ? -1 : 1;
    }
    return 0;
}

static void big_add(big *to, const big *number)
{
    uint64_t carry = 0;

    for (int i = 0; i < to->count || i < number->count || carry != 0; i++) {
        if (i < to->count)
            carry += to->words[i];
        if (i < number->count)
            carry += number->words[i];
        to->words[i] = (uint32_t)carry;
        to->count = i < to->count ? to->count : i + 1;
        carry >>= 32;
    }
}

/* from is not less than number. */
static void big_subtract(big *from, const big *number)
{
    uint64_t borrow = 0;

    for (int i = 0; i < from->count; i++) {
        uint64_t word = i < number->count ? number->words[i] : 0;

        word = from->words[i] - word - borrow;
        from->words[i] = (uint32_t)word;
        borrow = word >> 63;
    }
    while (from->count != 0 && from->words[from->count - 1] == 0)
        from->count--;
}

/* -- The shortest digits --------------------------------------------------- */

/*
 * Burger and Dybvig, "Printing floating-point numbers quickly and accurately"
 * (1996): exact arithmetic, since printf() and strtod() are not exact on every
 * system. The number is rest / scale; whatever lies within above / scale and
 * below / scale of it reads back as the same double.
 */
typedef struct range {
    big rest;
    big scale;
    big above;
    big below;
    bool has_ends; /* the ends of the range read back as well */
} range;

static void range_multiply(range *in, uint32_t factor)
{
    big_multiply(&in->rest, factor);
    big_multiply(&in->above, factor);
    big_multiply(&in->below, factor);
}

/* Is rest + above beyond scale, or on it if that counts? */
static bool is_beyond(const range *in)
{
    big sum = in->rest;
    int order;

    big_add(&sum, &in->above);
    order = big_compare(&sum, &in->scale);
    return order > 0 || (order == 0 && in->has_ends);
}

static bool is_within_below(const range *in)
{
    int order = big_compare(&in->rest, &in->below);

    return order < 0 || (order == 0 && in->has_ends);
}

/* The range of mantissa * 2 ** exponent. Next to a power of two the gap below
 * is half the gap above. */
static void range_init(range *in, uint64_t mantissa, int exponent,
                       bool is_lopsided)
{
    int up = exponent > 0 ? exponent : 0;
    int down = exponent < 0 ? -exponent : 0;
    int extra = is_lopsided ? 2 : 1;

    in->has_ends = mantissa % 2 == 0;
    big_set(&in->rest, mantissa);
    big_shift(&in->rest, up + extra);
    big_set(&in->scale, 1);
    big_shift(&in->scale, down + extra);
    big_set(&in->above, 1);
    big_shift(&in->above, up + extra - 1);
    big_set(&in->below, 1);
    big_shift(&in->below, up);
}

/* Brings rest / scale below 1; returns the power of ten it took. */
static int scale_down(range *in, int bits)
{
    /* The logarithm, rounded up; too small by one at most. */
    double estimate = (bits - 1) * 0.30102999566398120 - 1e-10;
    int power = (int)estimate;

    if (power < estimate)
        power++;
    for (int left = power; left > 0;)
        big_multiply(&in->scale, take_power_of_ten(&left));
    for (int left = -power; left > 0;)
        range_multiply(in, take_power_of_ten(&left));
    if (is_beyond(in))
        return power + 1;
    range_multiply(in, 10);
    return power;
}

static void generate(decimal *out, range *in)
{
    bool is_low;
    bool is_high;

    do {
        int digit = 0;

        if (out->count != 0)
            range_multiply(in, 10);
        while (big_compare(&in->rest, &in->scale) >= 0) {
            big_subtract(&in->rest, &in->scale);
            digit++;
        }
        is_low = is_within_below(in);
        is_high = is_beyond(in);
        if (is_low && is_high) {
            /* Either digit reads back: the nearer one, or the even one. */
            big_multiply(&in->rest, 2);
            is_low =
                big_compare(&in->rest, &in->scale) < (digit % 2 == 0 ? 1 : 0);
        }
        if (is_high && !is_low)
            digit++;
        out->digits[out->count++] = (char)('0' + digit);
    } while (!is_low && !is_high && out->count < MOST_DIGITS);
}

/* The sign is not looked at; neither infinity nor nan. */
static void shortest(decimal *out, uint64_t bits)
{
    const uint64_t hidden = UINT64_C(1) << MANTISSA_BITS;
    uint64_t mantissa = bits & (hidden - 1);
    int exponent = (int)(bits >> MANTISSA_BITS & 0x7FF);
    bool is_lopsided = mantissa == 0 && exponent > 1;
    int size = 0;
    range in;

    *out = (decimal){.digits = "0", .count = 0, .exponent = 0};
    if (exponent != 0)
        mantissa |= hidden;
    else
        exponent = 1;
    if (mantissa == 0) {
        out->count = 1;
        return;
    }
    exponent -= 1075;
    for (uint64_t rest = mantissa; rest != 0; rest >>= 1)
        size++;
    range_init(&in, mantissa, exponent, is_lopsided);
    out->exponent = scale_down(&in, exponent + size) - 1;
    generate(out, &in);
}

static size_t put_exponent_form(char *text, const decimal *number)
{
    size_t size = 0;

    text[size++] = number->digits[0];
    if (number->count > 1) {
        text[size++] = '.';
        memcpy(text + size, number->digits + 1, (size_t)number->count - 1);
        size += (size_t)number->count - 1;
    }
    return size + (size_t)snprintf(text + size, 8, "e%c%02d",
                                   number->exponent < 0 ? '-' : '+',
                                   abs(number->exponent));
}

static size_t put_plain_form(char *text, const decimal *number)
{
    int point = number->exponent + 1; /* digits before it */
    size_t size = 0;

    if (point <= 0) {
        text[size++] = '0';
        text[size++] = '.';
        for (int i = point; i < 0; i++)
            text[size++] = '0';
    }
    for (int i = 0; i < number->count; i++) {
        if (i != 0 && i == point)
            text[size++] = '.';
        text[size++] = number->digits[i];
    }
    for (int i = number->count; i < point; i++)
        text[size++] = '0';
    if (number->count <= point) {
        text[size++] = '.';
        text[size++] = '0';
    }
    return size;
}

/* Bits, since mingw's isnan() and signbit() warn of a float they make. */
static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

size_t mpi_float_repr(char text[MPI_FLOAT_REPR_SIZE], double value)
{
    const uint64_t sign = UINT64_C(1) << 63;
    const uint64_t infinity = UINT64_C(0x7FF) << 52;
    uint64_t magnitude = bits_of(value) & ~sign;
    decimal number;
    size_t size = 0;

    if (magnitude > infinity) {
        memcpy(text, "nan", 3);
        return 3;
    }
    if ((bits_of(value) & sign) != 0)
        text[size++] = '-';
    if (magnitude == infinity) {
        memcpy(text + size, "inf", 3);
        return size + 3;
    }
    shortest(&number, magnitude);
    if (number.exponent < -4 || number.exponent >= 16)
        return size + put_exponent_form(text + size, &number);
    return size + put_plain_form(text + size, &number);
}

static bool is_named(const char *text, size_t size, double *out)
{
    static const struct {
        const char *name;
        double value;
    } names[] = {{"nan", NAN},        {"inf", INFINITY},  {"-nan", NAN},
                 {"-inf", -INFINITY}, {"+inf", INFINITY}, {"+nan", NAN}};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strlen(names[i].name) == size &&
            memcmp(names[i].name, text, size) == 0) {
            *out = names[i].value;
            return true;
        }
    }
    return false;
}

bool mpi_float_parse(const char *text, size_t size, double *out)
{
    char copy[512];
    const char *point = localeconv()->decimal_point;
    size_t point_size = strlen(point);
    char *to = copy;
    char *end;

    if (is_named(text, size, out))
        return true;
    if (size == 0 || size + point_size >= sizeof(copy))
        return false;
    for (size_t i = 0; i < size; i++) {
        if (strchr("0123456789+-.eE", text[i]) == NULL || text[i] == '\0')
            return false;
        if (text[i] == '.' && to - copy == (ptrdiff_t)i)
            to = (char *)memcpy(to, point, point_size) + point_size;
        else
            *to++ = text[i];
    }
    *to = '\0';
    *out = strtod(copy, &end);
    return end == to;
}
