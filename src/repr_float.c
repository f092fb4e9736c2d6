/* SPDX-License-Identifier: MIT */
/*
 * Doubles as Python writes them, the shortest text that reads back as the same
 * number, and back; whatever the locale's decimal point is.
 */
#include "repr.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DIGITS = 17, EXACT_DIGITS = 15 };

/* d.ddd...e-xx, with a decimal point of up to a few bytes. */
typedef struct scientific {
    char text[64];
} scientific;

typedef struct decimal {
    char digits[MOST_DIGITS + 1];
    int count;
    int exponent; /* of the first digit */
} decimal;

static bool reads_back(const char *text, double value)
{
    return strtod(text, NULL) == value;
}

/*
 * The next number up in the last digit, written in place. Between powers of
 * two the gap above is twice the gap below, so the nearest decimal may lie
 * outside on one side while the next one up is inside.
 */
static bool step_up(char *text)
{
    char *digit = strchr(text, 'e');

    while (digit-- != text) {
        if (*digit >= '0' && *digit < '9') {
            ++*digit;
            return true;
        }
        if (*digit == '9')
            *digit = '0';
    }
    return false; /* 9.99: another exponent, which is never needed */
}

static bool try_digits(scientific *out, double value, int digits)
{
    snprintf(out->text, sizeof(out->text), "%.*e", digits - 1, value);
    if (reads_back(out->text, value))
        return true;
    return digits < MOST_DIGITS && step_up(out->text) &&
           reads_back(out->text, value);
}

/* value is finite and not negative. */
static void shortest(scientific *out, double value)
{
    /* Up to 15 digits always survive, so fewer show as zeros at the end;
     * not so the subnormal numbers, which have fewer bits. */
    int digits = value < 2.3e-308 ? 1 : EXACT_DIGITS;

    while (digits < MOST_DIGITS && !try_digits(out, value, digits))
        digits++;
    if (digits == MOST_DIGITS)
        (void)try_digits(out, value, MOST_DIGITS);
}

/* Skips the decimal point, whatever it is, and zeros at the end. */
static void take_apart(decimal *out, const scientific *from)
{
    const char *at = from->text;

    out->count = 0;
    for (; *at != 'e'; at++) {
        if (*at >= '0' && *at <= '9' && out->count < MOST_DIGITS)
            out->digits[out->count++] = *at;
    }
    while (out->count > 1 && out->digits[out->count - 1] == '0')
        out->count--;
    out->digits[out->count] = '\0';
    out->exponent = (int)strtol(at + 1, NULL, 10);
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
    scientific written;
    decimal number;
    size_t size = 0;

    if (magnitude > infinity) {
        memcpy(text, "nan", 3);
        return 3;
    }
    if ((bits_of(value) & sign) != 0) {
        text[size++] = '-';
        value = -value;
    }
    if (magnitude == infinity) {
        memcpy(text + size, "inf", 3);
        return size + 3;
    }
    shortest(&written, value);
    take_apart(&number, &written);
    if (number.exponent < -4 || number.exponent >= 16)
        return size + put_exponent_form(text + size, &number);
    return size + put_plain_form(text + size, &number);
}

/* The bytes between the digits of a number with one decimal. */
static void decimal_point(char point[8])
{
    char sample[16];
    char *end;

    snprintf(sample, sizeof(sample), "%.1f", 0.5);
    end = strchr(sample, '5');
    if (end == NULL || end <= sample + 1 || end - sample > 8)
        end = strcpy(sample, "0.5") + 2;
    *end = '\0';
    strcpy(point, sample + 1);
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
    char point[8];
    char *to = copy;
    char *end;

    if (is_named(text, size, out))
        return true;
    decimal_point(point);
    if (size == 0 || size > sizeof(copy) - sizeof(point))
        return false;
    for (size_t i = 0; i < size; i++) {
        if (strchr("0123456789+-.eE", text[i]) == NULL || text[i] == '\0')
            return false;
        if (text[i] == '.' && to - copy == (ptrdiff_t)i)
            to += strlen(strcpy(to, point));
        else
            *to++ = text[i];
    }
    *to = '\0';
    *out = strtod(copy, &end);
    return end == to;
}
