/* SPDX-License-Identifier: MIT */
/* C types: what descriptions are taken, what is written down for them, and
 * their items as objects and as text. */
#include "support/testing.h"

#include "ctypes.h"
#include "os.h"
#include "os_fault.h"

#include <multiproc.h>
#include <multiproc/value.h>

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct point {
    double x, y;
} point;

typedef struct inner {
    int a;
    short b;
} inner;

typedef struct record {
    char kind;
    double x[3];
    inner in;
    inner more[2];
    char tag[8];
    bool is_on;
    unsigned char last;
} record;

static const char record_fields[] =
    "kind: char, x: double[3], in: {a: int, b: short},"
    " more: {a: int, b: short}[2], tag: char[8], is_on: bool,"
    " last: unsigned char";

/* -- Assertions ------------------------------------------------------------ */

static mp_ctype record_type(void)
{
    return MP_STRUCT(record, record_fields);
}

static void expect_sentence(const char *part)
{
    cr_expect(strstr(mp_error_message(), part) != NULL, "'%s' is not in '%s'",
              part, mp_error_message());
}

static void expect_text(mp_ctype type, const char *expected)
{
    mpi_ctype_text text;
    mp_error err = mpi_ctype_write(&type, &text);

    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    cr_expect_str_eq(text.text, expected);
}

static void expect_refused(mp_ctype type, const char *sentence)
{
    mpi_ctype_text text = {"untouched"};

    cr_expect_eq(mpi_ctype_write(&type, &text), MP_EINVAL, "%s", type.fields);
    cr_expect_str_eq(text.text, "untouched");
    expect_sentence(sentence);
}

/* A struct of size bytes with these fields. */
static mp_ctype described(size_t size, size_t alignment, const char *fields)
{
    mp_ctype type = {0, size, alignment, "thing", fields};

    return type;
}

static void expect_fields_refused(const char *fields, const char *sentence)
{
    expect_refused(described(16, 8, fields), sentence);
}

/* Consumes obj. */
static void expect_repr(mp_obj *obj, const char *expected)
{
    char *text = NULL;

    cr_assert_eq(mp_obj_repr(obj, &text), MP_OK, "%s", mp_error_message());
    cr_expect_str_eq(text, expected);
    mp_free(text);
    mp_obj_unref(obj);
}

static void expect_item_repr(mp_ctype type, const void *item,
                             const char *expected)
{
    mpi_buffer text = {0};
    mp_error err;

    mpi_buffer_append(&text, "<", 1);
    err = mpi_ctype_repr(&type, item, &text);
    cr_assert_eq(err, MP_OK, "%s", mp_error_message());
    mpi_buffer_append(&text, "", 1);
    cr_expect_eq(text.data[0], '<', "it is appended");
    cr_expect_str_eq((char *)text.data + 1, expected);
    mpi_buffer_free(&text);
}

/* Consumes obj. */
static mp_error unbox(mp_ctype type, mp_obj *obj, void *item)
{
    mp_error err = mpi_ctype_unbox(&type, obj, item);

    mp_obj_unref(obj);
    return err;
}

/* Fails and changes nothing. Consumes obj. */
static void expect_unboxing_fails(mp_ctype type, mp_obj *obj, mp_error error,
                                  const char *sentence)
{
    unsigned char item[256];
    unsigned char before[256];

    cr_assert_leq(type.size, sizeof(item));
    memset(item, 0x5a, sizeof(item));
    memset(before, 0x5a, sizeof(before));
    cr_expect_eq(unbox(type, obj, item), error, "%s", mp_error_message());
    cr_expect_arr_eq(item, before, sizeof(item));
    expect_sentence(sentence);
}

/* -- Typecodes ------------------------------------------------------------- */

Test(ctype, typecodes_are_those_of_python)
{
    for (const char *code = "cbBhHiIlLqQfd?"; *code != '\0'; code++) {
        mp_ctype type = mp_ctype_of_code(*code);
        mpi_ctype_text text;

        cr_expect_eq(type.code, *code);
        cr_expect_neq(type.size, 0U);
        cr_expect_not_null(type.name);
        cr_expect_null(type.fields);
        cr_expect_eq(mpi_ctype_write(&type, &text), MP_OK);
    }
    cr_expect_str_eq(mp_ctype_of_code('i').name, "int");
    cr_expect_str_eq(mp_ctype_of_code('B').name, "unsigned char");
    cr_expect_str_eq(mp_ctype_of_code('?').name, "bool");
    cr_expect_eq(mp_ctype_of_code('q').size, 8U);
}

Test(ctype, typecode_that_does_not_exist_is_refused_by_its_name)
{
    cr_expect_eq(mp_ctype_of_code('u').size, 0U);
    expect_refused(mp_ctype_of_code('u'), "there is no typecode 'u'");
    cr_expect_eq(mp_ctype_of_code('\0').size, 0U);
    expect_refused(mp_ctype_of_code('\0'), "there is no typecode '?'");
    expect_refused(mp_ctype_of_code('\xff'), "there is no typecode '?'");
}

Test(ctype, macros_know_what_a_name_stands_for)
{
    cr_expect_eq(MP_CTYPE(char).code, 'c');
    cr_expect_eq(MP_CTYPE(signed char).code, 'b');
    cr_expect_eq(MP_CTYPE(unsigned char).code, 'B');
    cr_expect_eq(MP_CTYPE(bool).code, '?');
    cr_expect_eq(MP_CTYPE(uint16_t).code, 'H');
    cr_expect_eq(MP_CTYPE(const float).code, 'f');
    cr_expect_eq(MP_CTYPE(volatile double).code, 'd');
    cr_expect_eq(MP_CTYPE(point).code, '\0');
    cr_expect_eq(MP_CTYPE(point).size, sizeof(point));
    cr_expect_str_eq(MP_CTYPE(struct point).name, "struct point");
    cr_expect_null(MP_CTYPE(point).fields);
    cr_expect_str_eq(MP_STRUCT(point, "x: double").fields, "x: double");
}

/* -- Writing --------------------------------------------------------------- */

Test(ctype_write, number_is_its_kind_and_size)
{
    expect_text(MP_CTYPE(char), "char");
    expect_text(MP_CTYPE(bool), "bool");
    expect_text(MP_CTYPE(signed char), "i1");
    expect_text(MP_CTYPE(unsigned char), "u1");
    expect_text(MP_CTYPE(short), "i2");
    expect_text(MP_CTYPE(unsigned), "u4");
    expect_text(MP_CTYPE(int64_t), "i8");
    expect_text(MP_CTYPE(unsigned long long), "u8");
    expect_text(MP_CTYPE(float), "f4");
    expect_text(MP_CTYPE(double), "f8");
    expect_text(MP_CTYPE(long), sizeof(long) == 8 ? "i8" : "i4");
}

Test(ctype_write, struct_is_its_size_alignment_fields_and_name)
{
    expect_text(MP_STRUCT(point, "x: double, y: double"),
                "16:8{x:f8,y:f8}point");
    expect_text(record_type(),
                "72:8{kind:char,x:f8[3],in:{a:i4,b:i2},more:{a:i4,b:i2}[2],"
                "tag:char[8],is_on:bool,last:u1}record");
    expect_text(MP_CTYPE(point), "16:8 point");
}

Test(ctype_write, names_of_the_same_type_give_the_same_text)
{
    const char *const eights[] = {
        "a: long long", "a: long long int",
        "a:int64_t",    "a: signed long long",
        "a : i8",       "\n a\t:\r\nlong  int long signed "};
    const char *const twos[] = {"a: unsigned short", "a: short unsigned int",
                                "a: uint16_t", "a: u2"};

    for (size_t i = 0; i < sizeof(eights) / sizeof(eights[0]); i++)
        expect_text(described(8, 8, eights[i]), "8:8{a:i8}thing");
    for (size_t i = 0; i < sizeof(twos) / sizeof(twos[0]); i++)
        expect_text(described(2, 2, twos[i]), "2:2{a:u2}thing");
    expect_text(described(4, 4, "a: unsigned"), "4:4{a:u4}thing");
    expect_text(described(4, 4, "a: signed"), "4:4{a:i4}thing");
    expect_text(described(1, 1, "a: signed char"), "1:1{a:i1}thing");
    expect_text(described(1, 1, "a: char unsigned"), "1:1{a:u1}thing");
    expect_text(described(1, 1, "a: _Bool"), "1:1{a:bool}thing");
    expect_text(described(sizeof(size_t), sizeof(size_t), "a: size_t"),
                sizeof(size_t) == 8 ? "8:8{a:u8}thing" : "4:4{a:u4}thing");
}

Test(ctype_write, what_stands_before_the_name_of_a_struct_does_not_count)
{
    expect_text(MP_CTYPE(struct point), "16:8 point");
    expect_text(MP_CTYPE(const struct point), "16:8 point");
    expect_text(MP_CTYPE(volatile point), "16:8 point");
}

Test(ctype_write, arrays_may_have_several_dimensions)
{
    expect_text(described(24, 4, "m: int[2] [ 3 ]"), "24:4{m:i4[2][3]}thing");
    expect_text(described(24, 4, "m: {a: int, b: char}[3]"),
                "24:4{m:{a:i4,b:char}[3]}thing");
    expect_fields_refused("m: char[1][1][1][1][1][1][1][1][1]",
                          "more than 8 dimensions");
}

Test(ctype_write, struct_may_be_aligned_to_more_than_its_fields)
{
    expect_text(described(64, 64, "a: int"), "64:64{a:i4}thing");
    expect_fields_refused("a: int", "the fields take 8 bytes, thing has 16");
}

/* -- What is refused ------------------------------------------------------- */

Test(ctype_refuses, fields_that_do_not_add_up)
{
    expect_refused(MP_STRUCT(point, "x: double, y: float, z: float, w: char"),
                   "the fields take 24 bytes, point has 16");
    expect_refused(described(12, 4, "x: double, y: int"),
                   "a field is aligned to 8 bytes, thing to 4");
    expect_refused(described(9, 1, "x: char, y: double"),
                   "a field is aligned to 8 bytes, thing to 1");
}

Test(ctype_refuses, what_it_cannot_parse_and_says_which)
{
    expect_fields_refused("x: foo, y: double", "unknown type 'foo'");
    expect_fields_refused("x: long double", "unknown type 'long double'");
    expect_fields_refused("x: unsigned float", "unknown type 'unsigned float'");
    expect_fields_refused("x: short long", "unknown type 'short long'");
    expect_fields_refused("x: unsigned signed",
                          "unknown type 'unsigned signed'");
    expect_fields_refused("x: long long long", "unknown type 'long long long'");
    expect_fields_refused("x: int int", "unknown type 'int int'");
    expect_fields_refused("x: char int", "unknown type 'char int'");
    expect_fields_refused("x: struct {a: int}", "unknown type 'struct'");
    expect_fields_refused("x double", "there is no ':' after the field 'x'");
    expect_fields_refused("x: double, x: double", "two fields are called 'x'");
    expect_fields_refused("x: {a: int, a: int}", "two fields are called 'a'");
    expect_fields_refused("x: double y: double",
                          "'y: double' is where ',' should be");
    expect_fields_refused("x: double; y: double", "'; y: double' is where ','");
    expect_fields_refused("", "the fields end where the name of a field");
    expect_fields_refused("x: double,", "the fields end where the name");
    expect_fields_refused("x: double, , y: int", "', y: int' is where");
    expect_fields_refused("x: ", "the fields end where a type should be");
    expect_fields_refused("x: *", "'*' is where a type should be");
    expect_fields_refused("x: int*", "'*' is where");
    expect_fields_refused("2: int", "'2: int' is where the name of a field");
    expect_fields_refused("x: {a: int", "where ',' or '}' should be");
    expect_fields_refused("x: {}", "'}' is where the name of a field");
    expect_fields_refused("x: int}", "'}' is where ',' should be");
}

Test(ctype_refuses, arrays_without_a_length)
{
    expect_fields_refused("x: int[]", "']' is where the length of an array");
    expect_fields_refused("x: int[N]", "'N]' is where the length");
    expect_fields_refused("x: int[-1]", "'-1]' is where the length");
    expect_fields_refused("x: int[0]", "an array has no items");
    expect_fields_refused("x: int[2", "the fields end where ']' should be");
    expect_fields_refused("x: int[2;", "';' is where ']' should be");
}

Test(ctype_refuses, more_bytes_than_there_are_addresses)
{
    const char *const texts[] = {
        "x: char[99999999999999999999999999]",
        "x: double[9223372036854775807]",
        "x: char[9223372036854775807], y: char[9223372036854775807]",
        "x: {a: char[9223372036854775806], b: int}",
        "x: int[4294967296][4294967296]",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect_fields_refused(texts[i], "more bytes than there are addresses");
}

Test(ctype_refuses, structs_nested_without_end)
{
    static char text[100001];

    for (size_t i = 0; i + 3 < sizeof(text); i += 3)
        memcpy(text + i, "a:{", 3);
    expect_fields_refused(text, "nested deeper than 16 levels");
}

Test(ctype_refuses, more_parts_than_can_be_written_down)
{
    static char text[4000];
    size_t size = 0;

    for (int i = 0; i < 200; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size, "%sf%d: int",
                                 i == 0 ? "" : ", ", i);
    expect_refused(described(800, 4, text), "parts");
    size = 0;
    for (int i = 0; i < 30; i++)
        size += (size_t)snprintf(text + size, sizeof(text) - size,
                                 "%sfield%d: int", i == 0 ? "" : ", ", i);
    expect_refused(described(120, 4, text), "240 at most");
}

Test(ctype_refuses, sizes_and_alignments_that_are_none)
{
    expect_refused(described(16, 0, NULL), "aligned to 0");
    expect_refused(described(16, 3, NULL), "aligned to 3");
    expect_refused(described(12, 8, NULL), "12 bytes, aligned to 8");
    expect_refused(described(8192, 8192, NULL), "aligned to 8192");
    expect_refused(described(SIZE_MAX & ~(size_t)7, 8, NULL), "thing has");
    expect_refused(described(0, 8, NULL), "thing has 0 bytes");
    expect_refused((mp_ctype){'i', 8, 4, "int", NULL},
                   "int has 4 bytes, not 8");
    expect_refused((mp_ctype){'i', 4, 16, "int", NULL}, "int aligned to 16");
    expect_refused((mp_ctype){'i', 4, 4, "int", "a: int"}, "int has no fields");
    expect_refused((mp_ctype){0}, "no typecode");
}

Test(ctype_refuses, names_that_are_none)
{
    static char name[300];

    memset(name, 'n', sizeof(name) - 1);
    expect_refused((mp_ctype){0, 8, 8, NULL, NULL}, "a struct has no name");
    expect_refused((mp_ctype){0, 8, 8, "", NULL}, "a struct has no name");
    expect_refused((mp_ctype){0, 8, 8, "struct ", NULL},
                   "a struct has no name");
    expect_refused((mp_ctype){0, 8, 8, "{a}", NULL}, "a struct has no name");
    expect_refused((mp_ctype){0, 8, 8, "a}b", NULL},
                   "name of a struct is none");
    expect_refused((mp_ctype){0, 8, 8, "a\nb", NULL},
                   "name of a struct is none");
    expect_refused((mp_ctype){0, 8, 8, "a\xff", NULL}, "is not UTF-8");
    expect_refused((mp_ctype){0, 8, 8, "char *", NULL}, "is a pointer");
    expect_refused((mp_ctype){0, 8, 8, name, NULL}, "240 at most");
    expect_fields_refused("\xc3: int", "is not UTF-8");
    expect_fields_refused("a\x1b: int", "is no text");
}

/* -- Reading --------------------------------------------------------------- */

static void expect_round_trip(mp_ctype type, mp_ctype *found,
                              mpi_ctype_text *text)
{
    mpi_ctype_text again;
    mpi_ctype_text first;

    cr_assert_eq(mpi_ctype_write(&type, text), MP_OK);
    first = *text;
    cr_assert_eq(mpi_ctype_read(text, found), MP_OK, "%s", mp_error_message());
    cr_expect_eq(found->size, type.size);
    cr_assert_eq(mpi_ctype_write(found, &again), MP_OK);
    cr_expect_str_eq(again.text, first.text);
}

Test(ctype_read, gives_back_what_was_written)
{
    mpi_ctype_text text;
    mp_ctype found;

    expect_round_trip(record_type(), &found, &text);
    cr_expect_eq(found.code, '\0');
    cr_expect_eq(found.alignment, record_type().alignment);
    cr_expect_str_eq(found.name, "record");
    cr_expect_str_eq(found.fields,
                     "kind:char,x:f8[3],in:{a:i4,b:i2},more:{a:i4,b:i2}[2],"
                     "tag:char[8],is_on:bool,last:u1");
    expect_round_trip(MP_CTYPE(point), &found, &text);
    cr_expect_str_eq(found.name, "point");
    cr_expect_null(found.fields);
    for (const char *code = "cbBhHiIlLqQfd?"; *code != '\0'; code++)
        expect_round_trip(mp_ctype_of_code(*code), &found, &text);
}

Test(ctype_read, eight_bytes_are_a_long_where_that_has_eight)
{
    mpi_ctype_text text;
    mp_ctype found;

    expect_round_trip(mp_ctype_of_code('q'), &found, &text);
    cr_expect_eq(found.code, sizeof(long) == 8 ? 'l' : 'q');
    expect_round_trip(mp_ctype_of_code('i'), &found, &text);
    cr_expect_eq(found.code, 'i');
    cr_expect_str_eq(found.name, "int");
}

Test(ctype_read, anything_else_is_a_protocol_error)
{
    const char *const texts[] = {
        "",
        " ",
        "i",
        "i3",
        "i4 ",
        "int",
        "double",
        "f2",
        "i44",
        "16",
        "16:",
        "16:8",
        "16:8{",
        "16:8 ",
        "16:8{x:f8}point",
        "016:8 point",
        "16:08 point",
        "16:8 struct point",
        "16:8{x:f8, y:f8}point",
        "16:8{x:double,y:f8}point",
        "16:8{x:f8,y:f8}",
        "16:8{x:f8,y:f8}}point",
        "16:8}point{",
        "16:8x",
        "16:3 point",
        "12:8 point",
        "0:1 point",
        "18446744073709551632:8 point",
        "16:8{x:f8,y:f8}\xffpoint",
        "8:8{a:char[08]}p",
        "8:8{a:f8}const p",
        "8:8{a:f8}\x1b[31m",
        "99999999999999999999999999999999:1 a",
        ":",
        "{a:i4}p",
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        mp_ctype type = {.name = "untouched"};
        mpi_ctype_text text = {{0}};

        memcpy(text.text, texts[i], strlen(texts[i]));
        cr_expect_eq(mpi_ctype_read(&text, &type), MP_EPROTO, "'%s'", texts[i]);
        cr_expect_str_eq(type.name, "untouched");
        expect_sentence("the description of a type is damaged");
    }
}

Test(ctype_read, text_without_an_end_is_a_protocol_error)
{
    mpi_ctype_text text;
    mp_ctype type;

    memset(&text, 'i', sizeof(text));
    cr_expect_eq(mpi_ctype_read(&text, &type), MP_EPROTO);
}

Test(ctype_read, longest_text_is_taken)
{
    mpi_ctype_text text;
    mp_ctype type = {0, 8, 8, NULL, NULL};
    mp_ctype found;
    char name[MP_CTYPE_MAX + 1];

    memset(name, 'n', sizeof(name));
    name[MP_CTYPE_MAX - 4] = '\0';
    type.name = name;
    expect_round_trip(type, &found, &text);
    cr_expect_str_eq(found.name, name);
    name[MP_CTYPE_MAX - 4] = 'n';
    name[MP_CTYPE_MAX - 3] = '\0';
    expect_refused(type, "241 bytes, 240 at most");
}

/* -- Boxing ---------------------------------------------------------------- */

#define EXPECT_NUMBER(type, value, text)                      \
    do {                                                      \
        type number_ = (value);                               \
        mp_ctype type_ = MP_CTYPE(type);                      \
                                                              \
        expect_repr(mpi_ctype_box(&type_, &number_), (text)); \
    } while (0)

Test(ctype_box, number_is_an_int_or_a_float)
{
    EXPECT_NUMBER(char, 'a', "b'a'");
    EXPECT_NUMBER(char, '\0', "b'\\x00'");
    EXPECT_NUMBER(bool, true, "True");
    EXPECT_NUMBER(signed char, -128, "-128");
    EXPECT_NUMBER(unsigned char, 255, "255");
    EXPECT_NUMBER(short, INT16_MIN, "-32768");
    EXPECT_NUMBER(unsigned short, UINT16_MAX, "65535");
    EXPECT_NUMBER(int, INT32_MIN, "-2147483648");
    EXPECT_NUMBER(unsigned, UINT32_MAX, "4294967295");
    EXPECT_NUMBER(int64_t, INT64_MIN, "-9223372036854775808");
    EXPECT_NUMBER(int64_t, -1, "-1");
    EXPECT_NUMBER(uint64_t, INT64_MAX, "9223372036854775807");
    EXPECT_NUMBER(float, 0.5F, "0.5");
    EXPECT_NUMBER(double, 0.1, "0.1");
}

Test(ctype_box, what_no_int_can_hold_is_an_error_object)
{
    uint64_t value = (uint64_t)INT64_MAX + 1;
    mp_ctype type = MP_CTYPE(uint64_t);
    mp_ctype in_struct = described(16, 8, "a: int, b: uint64_t");
    uint64_t both[] = {1, value};
    mp_obj *obj = mpi_ctype_box(&type, &value);

    cr_expect_eq(mp_obj_error(obj), MP_EOVERFLOW);
    obj = mpi_ctype_box(&in_struct, both);
    cr_expect_eq(mp_obj_error(obj), MP_EOVERFLOW);
    expect_item_repr(type, &value,
                     sizeof(long) == 8 ? "c_ulong(9223372036854775808)"
                                       : "c_ulonglong(9223372036854775808)");
}

Test(ctype_box, struct_is_a_tuple_of_its_fields)
{
    record item = {.kind = 'k',
                   .x = {1, 2.5, -3},
                   .in = {7, -8},
                   .more = {{1, 2}, {3, 4}},
                   .tag = "tag\0x",
                   .is_on = true,
                   .last = 200};
    mp_ctype type = record_type();
    mp_ctype bare = MP_CTYPE(inner);

    expect_repr(mpi_ctype_box(&type, &item),
                "(b'k', [1.0, 2.5, -3.0], (7, -8), [(1, 2), (3, 4)], b'tag',"
                " True, 200)");
    memcpy(item.tag, "eight ch", 8);
    expect_repr(mpi_ctype_box(&type, &item),
                "(b'k', [1.0, 2.5, -3.0], (7, -8), [(1, 2), (3, 4)],"
                " b'eight ch', True, 200)");
    memset(&item.in, 0, sizeof(item.in));
    expect_repr(mpi_ctype_box(&bare, &item.in),
                "b'\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00'");
}

Test(ctype_box, array_in_a_struct_may_have_dimensions)
{
    int numbers[2][3] = {{1, 2, 3}, {4, 5, 6}};
    char names[2][4] = {"one", {'f', 'o', 'u', 'r'}};
    mp_ctype matrix = described(24, 4, "m: int[2][3]");
    mp_ctype list = described(8, 1, "m: char[2][4]");

    expect_repr(mpi_ctype_box(&matrix, numbers), "([[1, 2, 3], [4, 5, 6]],)");
    expect_repr(mpi_ctype_box(&list, names), "([b'one', b'four'],)");
}

Test(ctype_box, item_may_lie_anywhere_and_hold_anything)
{
    unsigned char bytes[sizeof(record) + 1];
    mp_ctype type = record_type();
    mp_ctype real = MP_CTYPE(double);
    mp_ctype truth = MP_CTYPE(bool);

    memset(bytes, 0xff, sizeof(bytes));
    expect_repr(mpi_ctype_box(&type, bytes + 1),
                "(b'\\xff', [nan, nan, nan], (-1, -1), [(-1, -1), (-1, -1)],"
                " b'\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff', True, 255)");
    expect_repr(mpi_ctype_box(&real, bytes + 1), "nan");
    expect_repr(mpi_ctype_box(&truth, bytes + 1), "True");
}

Test(ctype_box, type_that_is_none_is_an_error_object)
{
    mp_ctype type = described(8, 8, "a: foo");
    mpi_buffer text = {0};
    int64_t item = 0;

    cr_expect_eq(mp_obj_error(mpi_ctype_box(&type, &item)), MP_EINVAL);
    cr_expect_eq(unbox(type, mp_obj_int(1), &item), MP_EINVAL);
    cr_expect_eq(mpi_ctype_repr(&type, &item, &text), MP_EINVAL);
    cr_expect_null(text.data);
}

/* -- Unboxing -------------------------------------------------------------- */

#define EXPECT_SET(type, obj, expected)                                   \
    do {                                                                  \
        type number_ = (type)0;                                           \
                                                                          \
        cr_expect_eq(unbox(MP_CTYPE(type), (obj), &number_), MP_OK, "%s", \
                     mp_error_message());                                 \
        cr_expect(number_ == (expected));                                 \
    } while (0)

Test(ctype_unbox, number_is_stored_if_it_fits)
{
    EXPECT_SET(char, mp_obj_bytes("z", 1), 'z');
    EXPECT_SET(bool, mp_obj_bool(true), true);
    EXPECT_SET(bool, mp_obj_int(-5), true);
    EXPECT_SET(bool, mp_obj_int(0), false);
    EXPECT_SET(signed char, mp_obj_int(-128), -128);
    EXPECT_SET(unsigned char, mp_obj_int(255), 255);
    EXPECT_SET(short, mp_obj_int(-32768), -32768);
    EXPECT_SET(unsigned short, mp_obj_int(65535), 65535);
    EXPECT_SET(int, mp_obj_int(INT32_MIN), INT32_MIN);
    EXPECT_SET(int, mp_obj_bool(true), 1);
    EXPECT_SET(unsigned, mp_obj_int(UINT32_MAX), UINT32_MAX);
    EXPECT_SET(int64_t, mp_obj_int(INT64_MIN), INT64_MIN);
    EXPECT_SET(uint64_t, mp_obj_int(INT64_MAX), (uint64_t)INT64_MAX);
    EXPECT_SET(float, mp_obj_float(0.25), 0.25F);
    EXPECT_SET(float, mp_obj_int(3), 3.0F);
    EXPECT_SET(float, mp_obj_float(3.4028235e38), 3.4028234663852886e38F);
    EXPECT_SET(float, mp_obj_float((double)INFINITY), INFINITY);
    EXPECT_SET(double, mp_obj_float(0.1), 0.1);
    EXPECT_SET(double, mp_obj_bool(true), 1.0);
}

Test(ctype_unbox, number_that_does_not_fit_is_refused)
{
    expect_unboxing_fails(MP_CTYPE(unsigned char), mp_obj_int(300),
                          MP_EOVERFLOW, "300 does not fit unsigned char");
    expect_unboxing_fails(MP_CTYPE(unsigned char), mp_obj_int(-1), MP_EOVERFLOW,
                          "-1 does not fit unsigned char");
    expect_unboxing_fails(MP_CTYPE(signed char), mp_obj_int(128), MP_EOVERFLOW,
                          "128 does not fit signed char");
    expect_unboxing_fails(MP_CTYPE(signed char), mp_obj_int(-129), MP_EOVERFLOW,
                          "-129 does not fit signed char");
    expect_unboxing_fails(MP_CTYPE(short), mp_obj_int(32768), MP_EOVERFLOW,
                          "does not fit short");
    expect_unboxing_fails(MP_CTYPE(int), mp_obj_int((int64_t)INT32_MAX + 1),
                          MP_EOVERFLOW, "2147483648 does not fit int");
    expect_unboxing_fails(MP_CTYPE(int), mp_obj_int((int64_t)INT32_MIN - 1),
                          MP_EOVERFLOW, "does not fit int");
    expect_unboxing_fails(MP_CTYPE(unsigned), mp_obj_int(INT64_MAX),
                          MP_EOVERFLOW, "does not fit unsigned int");
    expect_unboxing_fails(MP_CTYPE(uint64_t), mp_obj_int(-1), MP_EOVERFLOW,
                          "-1 does not fit unsigned long");
    expect_unboxing_fails(MP_CTYPE(float), mp_obj_float(3.5e38), MP_EOVERFLOW,
                          "3.5e+38 does not fit float");
    expect_unboxing_fails(MP_CTYPE(float), mp_obj_float(-1e300), MP_EOVERFLOW,
                          "-1e+300 does not fit float");
}

Test(ctype_unbox, other_types_are_refused)
{
    expect_unboxing_fails(MP_CTYPE(int), mp_obj_float(1.0), MP_ETYPE,
                          "expected int, got float");
    expect_unboxing_fails(MP_CTYPE(int), mp_obj_str("1"), MP_ETYPE,
                          "expected int, got str");
    expect_unboxing_fails(MP_CTYPE(double), mp_obj_str("1"), MP_ETYPE,
                          "expected float, got str");
    expect_unboxing_fails(MP_CTYPE(bool), mp_obj_none(), MP_ETYPE,
                          "expected bool, got NoneType");
    expect_unboxing_fails(MP_CTYPE(char), mp_obj_int(65), MP_ETYPE,
                          "expected bytes, got int");
    expect_unboxing_fails(MP_CTYPE(char), mp_obj_bytes("ab", 2), MP_ETYPE,
                          "expected bytes of length 1, got 2");
    expect_unboxing_fails(MP_CTYPE(char), mp_obj_bytes("", 0), MP_ETYPE,
                          "expected bytes of length 1, got 0");
    expect_unboxing_fails(MP_STRUCT(point, "x: double, y: double"),
                          mp_obj_float(1), MP_ETYPE,
                          "expected tuple or list, got float");
    expect_unboxing_fails(MP_CTYPE(point), mp_obj_int(1), MP_ETYPE,
                          "expected bytes, got int");
    expect_unboxing_fails(MP_CTYPE(int), mp_obj_from_error(MP_EPIPE), MP_EPIPE,
                          "");
    expect_unboxing_fails(MP_CTYPE(int), NULL, MP_EINVAL, "got NULL");
}

static mp_obj *record_obj(mp_obj *tag, mp_obj *last)
{
    return MP_TUPLE(mp_obj_bytes("k", 1), MP_LIST(1.0, 2, true), MP_LIST(7, -8),
                    MP_TUPLE(MP_TUPLE(1, 2), MP_TUPLE(3, 4)), tag, true, last);
}

Test(ctype_unbox, struct_is_set_from_a_tuple_or_list_of_its_fields)
{
    record item;
    mp_ctype type = record_type();

    memset(&item, 0xee, sizeof(item));
    cr_assert_eq(
        unbox(type, record_obj(mp_obj_bytes("tag", 3), mp_obj_int(9)), &item),
        MP_OK, "%s", mp_error_message());
    cr_expect_eq(item.kind, 'k');
    cr_expect(item.x[0] == 1 && item.x[1] == 2 && item.x[2] == 1);
    cr_expect(item.in.a == 7 && item.in.b == -8);
    cr_expect(item.more[1].a == 3 && item.more[1].b == 4);
    cr_expect_arr_eq(item.tag, "tag\0\0\0\0\0", 8, "zeros fill the rest");
    cr_expect(item.is_on);
    cr_expect_eq(item.last, 9);
    cr_assert_eq(
        unbox(type, record_obj(mp_obj_bytes("\0ab\0cdef", 8), mp_obj_int(255)),
              &item),
        MP_OK);
    cr_expect_arr_eq(item.tag, "\0ab\0cdef", 8);
}

Test(ctype_unbox, struct_is_set_as_a_whole_or_not_at_all)
{
    mp_ctype type = record_type();

    expect_unboxing_fails(
        type, record_obj(mp_obj_bytes("tag", 3), mp_obj_int(256)), MP_EOVERFLOW,
        "field 'last': 256 does not fit unsigned char");
    expect_unboxing_fails(
        type, record_obj(mp_obj_bytes("nine char", 9), mp_obj_int(0)),
        MP_EINVAL, "field 'tag': expected 8 bytes at most, got 9");
    expect_unboxing_fails(type, record_obj(mp_obj_str("tag"), mp_obj_int(0)),
                          MP_ETYPE, "field 'tag': expected bytes, got str");
    expect_unboxing_fails(type, MP_TUPLE(1, 2), MP_EINVAL,
                          "expected 7 fields, got 2");
    expect_unboxing_fails(
        described(8, 4, "m: {a: int}[2]"),
        MP_TUPLE(MP_LIST(MP_TUPLE(1), MP_TUPLE("x"))), MP_ETYPE,
        "field 'm': item 1: field 'a': expected int, got str");
    expect_unboxing_fails(described(8, 4, "m: int[2]"),
                          MP_TUPLE(MP_LIST(1, 2, 3)), MP_EINVAL,
                          "field 'm': expected 2 items, got 3");
}

Test(ctype_unbox, padding_is_left_alone)
{
    unsigned char item[8];

    memset(item, 0xee, sizeof(item));
    cr_assert_eq(unbox(described(8, 4, "a: char, b: int"),
                       MP_TUPLE(mp_obj_bytes("A", 1), 0), item),
                 MP_OK);
    cr_expect_arr_eq(item, "A\xee\xee\xee\0\0\0\0", 8);
}

Test(ctype_unbox, struct_without_fields_takes_exactly_its_bytes)
{
    inner item = {0, 0};

    cr_assert_eq(
        unbox(MP_CTYPE(inner), mp_obj_bytes("\1\0\0\0\2\0\0\0", 8), &item),
        MP_OK);
    cr_expect_arr_eq(&item, "\1\0\0\0\2\0\0\0", 8);
    expect_unboxing_fails(MP_CTYPE(inner), mp_obj_bytes("1234567", 7),
                          MP_EINVAL, "expected 8 bytes, got 7");
    expect_unboxing_fails(MP_CTYPE(inner), mp_obj_bytes("123456789", 9),
                          MP_EINVAL, "expected 8 bytes, got 9");
}

Test(ctype_unbox, what_was_boxed_can_be_unboxed)
{
    record item;
    record copy;
    mp_ctype type = record_type();
    mp_obj *obj;

    memset(&item, 0, sizeof(item));
    memset(&copy, 0, sizeof(copy));
    item.x[1] = 0.1;
    item.more[1].b = -7;
    memcpy(item.tag, "abc", 3);
    obj = mpi_ctype_box(&type, &item);
    cr_assert_eq(unbox(type, obj, &copy), MP_OK);
    cr_expect_arr_eq(&item, &copy, sizeof(item));
}

/* -- Text ------------------------------------------------------------------ */

#define EXPECT_TEXT(type, value, text)                      \
    do {                                                    \
        type number_ = (value);                             \
                                                            \
        expect_item_repr(MP_CTYPE(type), &number_, (text)); \
    } while (0)

Test(ctype_repr, numbers_look_as_ctypes_prints_them)
{
    EXPECT_TEXT(char, 'a', "c_char(b'a')");
    EXPECT_TEXT(bool, true, "c_bool(True)");
    EXPECT_TEXT(signed char, -1, "c_byte(-1)");
    EXPECT_TEXT(unsigned char, 255, "c_ubyte(255)");
    EXPECT_TEXT(short, -2, "c_short(-2)");
    EXPECT_TEXT(unsigned short, 2, "c_ushort(2)");
    EXPECT_TEXT(int, 7, sizeof(long) == 4 ? "c_long(7)" : "c_int(7)");
    EXPECT_TEXT(unsigned, 7, sizeof(long) == 4 ? "c_ulong(7)" : "c_uint(7)");
    EXPECT_TEXT(long, 7, "c_long(7)");
    EXPECT_TEXT(unsigned long, 7, "c_ulong(7)");
    EXPECT_TEXT(long long, -7,
                sizeof(long) == 8 ? "c_long(-7)" : "c_longlong(-7)");
    EXPECT_TEXT(float, 0.1F, "c_float(0.10000000149011612)");
    EXPECT_TEXT(double, 0.1, "c_double(0.1)");
    EXPECT_TEXT(double, (double)-INFINITY, "c_double(-inf)");
}

Test(ctype_repr, structs_show_their_fields)
{
    point item = {1, 2.5};
    record whole;
    mp_ctype type = MP_STRUCT(struct point, "x: double, y: double");

    expect_item_repr(type, &item, "point(x=1.0, y=2.5)");
    item.x = 0;
    item.y = 0;
    expect_item_repr(MP_CTYPE(point), &item,
                     "point(b'\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00"
                     "\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00')");
    memset(&whole, 0, sizeof(whole));
    whole.kind = '\'';
    memcpy(whole.tag, "ab", 2);
    expect_item_repr(record_type(), &whole,
                     "record(kind=b\"'\", x=[0.0, 0.0, 0.0], in=(a=0, b=0),"
                     " more=[(a=0, b=0), (a=0, b=0)], tag=b'ab', is_on=False,"
                     " last=0)");
}

static void expect_items_repr(mp_ctype type, const void *items, size_t count,
                              const char *expected)
{
    mpi_buffer text = {0};

    cr_assert_eq(mpi_ctype_repr_items(&type, items, count, &text), MP_OK);
    mpi_buffer_append(&text, "", 1);
    cr_expect_str_eq((char *)text.data, expected);
    mpi_buffer_free(&text);
}

Test(ctype_repr, items_in_a_row_look_like_a_list)
{
    const uint64_t numbers[] = {1, UINT64_MAX};
    const point points[] = {{1, 2}, {3, 4}};

    expect_items_repr(MP_CTYPE(uint64_t), numbers, 2,
                      "[1, 18446744073709551615]");
    expect_items_repr(MP_CTYPE(uint64_t), numbers, 0, "[]");
    expect_items_repr(MP_STRUCT(point, "x: double, y: double"), points, 2,
                      "[(x=1.0, y=2.0), (x=3.0, y=4.0)]");
    expect_items_repr(MP_CTYPE(char), "ab\0", 3, "b'ab\\x00'");
}

/* -- When memory is short -------------------------------------------------- */

Test(ctype_faults, want_of_memory_is_an_error_wherever_it_strikes)
{
    record item;
    mp_ctype type = record_type();
    bool was_reached = true;
    long turn = 0;

    memset(&item, 0x7f, sizeof(item));
    while (was_reached && turn < 100) {
        mp_obj *obj;

        mpi_fault_arm(++turn, MP_ENOMEM);
        obj = mpi_ctype_box(&type, &item);
        was_reached = mpi_fault_disarm(NULL, NULL);
        cr_expect_eq(mp_obj_error(obj), was_reached ? MP_ENOMEM : MP_OK);
        mp_obj_unref(obj);
    }
    cr_expect_gt(turn, 5);
    cr_expect_not(was_reached);
}

Test(ctype_faults, repr_leaves_the_buffer_as_it_was)
{
    record item;
    mp_ctype type = record_type();
    bool was_reached = true;
    long turn = 0;

    memset(&item, 0x7f, sizeof(item));
    while (was_reached && turn < 100) {
        mpi_buffer text = {0};
        mp_error err;

        mpi_fault_arm(++turn, MP_ENOMEM);
        err = mpi_ctype_repr(&type, &item, &text);
        was_reached = mpi_fault_disarm(NULL, NULL);
        cr_expect_eq(err, was_reached ? MP_ENOMEM : MP_OK);
        cr_expect(err == MP_OK || text.size == 0);
        mpi_buffer_free(&text);
    }
    cr_expect_gt(turn, 3);
    cr_expect_not(was_reached);
}
