/* SPDX-License-Identifier: MIT */
/* C's types of numbers, and what they may be called: "unsigned long int". */
#include "ctype_layout.h"

#include <string.h>

/* -- Numbers --------------------------------------------------------------- */

/* In a struct, which is not always what _Alignof says (double on 32 bits). */
#define IN_STRUCT(name, type) \
    struct in_struct_##name { \
        char first;           \
        type then;            \
    }
IN_STRUCT(bool, bool);
IN_STRUCT(c, char);
IN_STRUCT(b, signed char);
IN_STRUCT(B, unsigned char);
IN_STRUCT(h, short);
IN_STRUCT(H, unsigned short);
IN_STRUCT(i, int);
IN_STRUCT(I, unsigned int);
IN_STRUCT(l, long);
IN_STRUCT(L, unsigned long);
IN_STRUCT(q, long long);
IN_STRUCT(Q, unsigned long long);
IN_STRUCT(f, float);
IN_STRUCT(d, double);

#define ALIGNMENT(name) offsetof(struct in_struct_##name, then)
#define NUMBER(code, name, kind, type)                                \
    {                                                                 \
        code, MPI_NUMBER_##kind, sizeof(type), ALIGNMENT(name), #type \
    }

/* Of two that are the same, the first is the one read back: 8 bytes are a long
 * where that has 8. */
static const mpi_number numbers[] = {
    NUMBER('c', c, CHAR, char),
    {'?', MPI_NUMBER_BOOL, sizeof(bool), ALIGNMENT(bool), "bool"},
    NUMBER('b', b, SIGNED, signed char),
    NUMBER('B', B, UNSIGNED, unsigned char),
    NUMBER('h', h, SIGNED, short),
    NUMBER('H', H, UNSIGNED, unsigned short),
    NUMBER('i', i, SIGNED, int),
    NUMBER('I', I, UNSIGNED, unsigned int),
    NUMBER('l', l, SIGNED, long),
    NUMBER('L', L, UNSIGNED, unsigned long),
    NUMBER('q', q, SIGNED, long long),
    NUMBER('Q', Q, UNSIGNED, unsigned long long),
    NUMBER('f', f, FLOAT, float),
    NUMBER('d', d, FLOAT, double),
};

enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };

_Static_assert(sizeof(bool) == 1 && sizeof(float) == 4 && sizeof(double) == 8,
               "what is written down for them");

const mpi_number *mpi_number_of_code(char code)
{
    for (size_t i = 0; i < NUMBERS; i++) {
        if (numbers[i].code == code)
            return &numbers[i];
    }
    return NULL;
}

const mpi_number *mpi_number_of_size(mpi_number_kind kind, size_t size)
{
    for (size_t i = 0; i < NUMBERS; i++) {
        if (numbers[i].kind == kind && numbers[i].size == size)
            return &numbers[i];
    }
    return NULL;
}

/* -- Names of numbers ------------------------------------------------------ */

typedef struct number_name {
    const char *text;
    mpi_number_kind kind;
    size_t size;
} number_name;

/* What is one word: C's, stdint.h's, and the short ones of what is written
 * down, which are NumPy's. */
static const number_name names[] = {
    {"bool", MPI_NUMBER_BOOL, 1},
    {"_Bool", MPI_NUMBER_BOOL, 1},
    {"float", MPI_NUMBER_FLOAT, 4},
    {"double", MPI_NUMBER_FLOAT, 8},
    {"int8_t", MPI_NUMBER_SIGNED, 1},
    {"int16_t", MPI_NUMBER_SIGNED, 2},
    {"int32_t", MPI_NUMBER_SIGNED, 4},
    {"int64_t", MPI_NUMBER_SIGNED, 8},
    {"uint8_t", MPI_NUMBER_UNSIGNED, 1},
    {"uint16_t", MPI_NUMBER_UNSIGNED, 2},
    {"uint32_t", MPI_NUMBER_UNSIGNED, 4},
    {"uint64_t", MPI_NUMBER_UNSIGNED, 8},
    {"intptr_t", MPI_NUMBER_SIGNED, sizeof(intptr_t)},
    {"uintptr_t", MPI_NUMBER_UNSIGNED, sizeof(uintptr_t)},
    {"ptrdiff_t", MPI_NUMBER_SIGNED, sizeof(ptrdiff_t)},
    {"size_t", MPI_NUMBER_UNSIGNED, sizeof(size_t)},
    {"i1", MPI_NUMBER_SIGNED, 1},
    {"i2", MPI_NUMBER_SIGNED, 2},
    {"i4", MPI_NUMBER_SIGNED, 4},
    {"i8", MPI_NUMBER_SIGNED, 8},
    {"u1", MPI_NUMBER_UNSIGNED, 1},
    {"u2", MPI_NUMBER_UNSIGNED, 2},
    {"u4", MPI_NUMBER_UNSIGNED, 4},
    {"u8", MPI_NUMBER_UNSIGNED, 8},
    {"f4", MPI_NUMBER_FLOAT, 4},
    {"f8", MPI_NUMBER_FLOAT, 8},
};

static bool is_word(mpi_name name, const char *text)
{
    return strlen(text) == name.size && memcmp(text, name.text, name.size) == 0;
}

static const mpi_number *number_of_word(mpi_name name)
{
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (is_word(name, names[i].text))
            return mpi_number_of_size(names[i].kind, names[i].size);
    }
    return NULL;
}

/* How often each word of "unsigned long long int" is there. */
typedef struct word_counts {
    int is_unsigned, is_signed, chars, shorts, ints, longs;
} word_counts;

/* False: it is none of C's. */
static bool count_word(word_counts *counts, mpi_name name)
{
    struct {
        const char *text;
        int *count;
    } const all[] = {
        {"unsigned", &counts->is_unsigned},
        {"signed", &counts->is_signed},
        {"char", &counts->chars},
        {"short", &counts->shorts},
        {"int", &counts->ints},
        {"long", &counts->longs},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (!is_word(name, all[i].text))
            continue;
        /* No type has any of them three times. */
        if (*all[i].count < 3)
            ++*all[i].count;
        return true;
    }
    return false;
}

/* In whatever order C allows; '\0' if they are no type. */
static char code_of_counts(const word_counts *counts)
{
    char code;

    if (counts->is_unsigned + counts->is_signed > 1 || counts->ints > 1 ||
        counts->chars > 1 || counts->shorts > 1 || counts->longs > 2 ||
        counts->chars + counts->shorts + (counts->longs > 0) > 1 ||
        counts->chars + counts->ints > 1)
        return '\0';
    if (counts->chars == 1 && counts->is_unsigned + counts->is_signed == 0)
        return 'c';
    code = counts->chars == 1    ? 'b'
           : counts->shorts == 1 ? 'h'
           : counts->longs == 1  ? 'l'
           : counts->longs == 2  ? 'q'
                                 : 'i';
    return counts->is_unsigned ? (char)(code - 'a' + 'A') : code;
}

/* -- Text ------------------------------------------------------------------ */

void mpi_skip_spaces(const char **at)
{
    *at += strspn(*at, " \t\r\n");
}

bool mpi_is_letter(char character)
{
    unsigned char byte = (unsigned char)character;

    return byte >= 0x80 || byte == '_' || (byte >= 'a' && byte <= 'z') ||
           (byte >= 'A' && byte <= 'Z');
}

bool mpi_is_digit(char character)
{
    return character >= '0' && character <= '9';
}

mpi_name mpi_take_word(const char **at)
{
    mpi_name taken = {*at, 0};

    if (mpi_is_letter(**at)) {
        while (mpi_is_letter(**at) || mpi_is_digit(**at))
            ++*at;
    }
    taken.size = (size_t)(*at - taken.text);
    return taken;
}

const mpi_number *mpi_number_parse(const char **at)
{
    mpi_name name = mpi_take_word(at);
    const mpi_number *number = number_of_word(name);
    word_counts counts = {0};
    char code;

    if (number != NULL || !count_word(&counts, name))
        return number;
    for (;;) {
        const char *end = *at;

        mpi_skip_spaces(at);
        name = mpi_take_word(at);
        if (name.size == 0) {
            *at = end;
            break;
        }
        if (!count_word(&counts, name))
            return NULL;
    }
    code = code_of_counts(&counts);
    return code != '\0' ? mpi_number_of_code(code) : NULL;
}
