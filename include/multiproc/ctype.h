/* SPDX-License-Identifier: MIT */
/**
 * @defgroup ctype C types
 * C types of what is shared: what Python's typecodes and ctypes are to Value
 * and Array. A type is written down once, where the thing is made or opened:
 *
 *     MP_CTYPE(int)                                  Value('i')
 *     MP_CTYPE(double)                               Value(ctypes.c_double)
 *     MP_CTYPE(point)                                bytes of that size
 *     MP_STRUCT(point, "x: double, y: double")       class point(Structure)
 *
 * With the fields of a struct described, what it holds can be printed, checked
 * and boxed: to a tuple, where an array is a list, and one of chars the bytes
 * up to the first NUL. Without, it is boxed to bytes.
 *
 *     Python's   C's                    boxed to
 *     c          char                   bytes of length 1
 *     b, B       signed, unsigned char  int
 *     h, H       (unsigned) short       int
 *     i, I       (unsigned) int         int
 *     l, L       (unsigned) long        int
 *     q, Q       (unsigned) long long   int
 *     f, d       float, double          float
 *     ?          bool                   bool
 *
 * The other way round, whatever does not fit is refused (MP_EOVERFLOW): an
 * int, or a float beyond what float can hold. A list or tuple must have as many
 * items as there are fields, bytes at most as many as an array of chars, where
 * zeros fill the rest. A bool is an int as well, and an int a float. What is
 * above INT64_MAX can't be boxed; C's own access can do it.
 *
 * A long has another size on Windows than elsewhere; int64_t and its like are
 * the same everywhere, and two names for the same kind of number of the same
 * size (long and long long on Linux) are one type.
 * @{
 */
#ifndef MULTIPROC_CTYPE_H
#define MULTIPROC_CTYPE_H

#include <multiproc/object.h>

MP_BEGIN_DECLS

/** The most bytes that the description of a type may have. */
#define MP_CTYPE_MAX 240

/** A type; made by MP_CTYPE(), MP_STRUCT() or mp_ctype_of_code(). */
typedef struct mp_ctype {
    /** One of Python's typecodes, or 0 for anything else, usually a struct. */
    char code;
    /** Of one item, in bytes. */
    size_t size;
    /** Of one item, in bytes: a power of two. */
    size_t alignment;
    /** As written in C: "int", "point", "struct point". */
    const char *name;
    /** "x: double, y: double[3], tag: char[8], inner: {a: int, b: short}", in
     * the order of the struct, none left out, laid out as C does without being
     * told otherwise. A field's type is one of C's above, one of stdint.h's
     * (int32_t), the same as NumPy writes it (i4, u1, f8), or a struct in
     * braces; [n] makes it an array. NULL: not described. */
    const char *fields;
} mp_ctype;

/**
 * The type of one of Python's typecodes: 'i', 'd' ...
 *
 * @param code  as in the table above.
 * @return a type whose size is 0 if there is no such code; whoever takes one
 *         answers that with MP_EINVAL.
 * @threads safe. @fork safe.
 */
MP_API mp_ctype mp_ctype_of_code(char code);

MP_END_DECLS

#ifdef __cplusplus

#include <type_traits>

namespace mp_ctype_detail
{
/* The codes by kind and size. */
template <class T> constexpr char code_of()
{
    return std::is_same<T, bool>::value                 ? '?'
           : std::is_same<T, char>::value               ? 'c'
           : std::is_same<T, float>::value              ? 'f'
           : std::is_same<T, double>::value             ? 'd'
           : std::is_same<T, signed char>::value        ? 'b'
           : std::is_same<T, unsigned char>::value      ? 'B'
           : std::is_same<T, short>::value              ? 'h'
           : std::is_same<T, unsigned short>::value     ? 'H'
           : std::is_same<T, int>::value                ? 'i'
           : std::is_same<T, unsigned>::value           ? 'I'
           : std::is_same<T, long>::value               ? 'l'
           : std::is_same<T, unsigned long>::value      ? 'L'
           : std::is_same<T, long long>::value          ? 'q'
           : std::is_same<T, unsigned long long>::value ? 'Q'
                                                        : '\0';
}

/* As C sees it: without const, and an enum is an integer. */
template <class T, bool is_enum = std::is_enum<T>::value> struct plain {
    typedef typename std::remove_cv<T>::type type;
};

template <class T> struct plain<T, true> {
    typedef typename std::underlying_type<T>::type type;
};

template <class T> inline mp_ctype make(const char *name, const char *fields)
{
    return mp_ctype{code_of<typename plain<T>::type>(), sizeof(T), alignof(T),
                    name, fields};
}
} // namespace mp_ctype_detail

#define MP_CTYPE_MAKE(type, name, fields) \
    (mp_ctype_detail::make<type>(name, fields))

#else /* C11 */

/** @cond */
/* clang-format off */
#define MP_CTYPE_CODE(type)        \
    _Generic(*(type *)0,           \
        _Bool: '?',                \
        char: 'c',                 \
        signed char: 'b',          \
        unsigned char: 'B',        \
        short: 'h',                \
        unsigned short: 'H',       \
        int: 'i',                  \
        unsigned: 'I',             \
        long: 'l',                 \
        unsigned long: 'L',        \
        long long: 'q',            \
        unsigned long long: 'Q',   \
        float: 'f',                \
        double: 'd',               \
        default: '\0')
/* clang-format on */

#define MP_CTYPE_MAKE(type, name, fields)                                  \
    ((mp_ctype){MP_CTYPE_CODE(type), sizeof(type), _Alignof(type), (name), \
                (fields)})
/** @endcond */

#endif

/** The type of that name: int, double, a struct ... */
#define MP_CTYPE(type) MP_CTYPE_NAMED(type)
/** A struct, with its fields described; see mp_ctype. */
#define MP_STRUCT(type, fields) MP_STRUCT_NAMED(type, fields)

/** @cond */
/* A name that is a macro stands for the same type in every file. */
#define MP_CTYPE_NAMED(type) MP_CTYPE_MAKE(type, #type, NULL)
#define MP_STRUCT_NAMED(type, fields) MP_CTYPE_MAKE(type, #type, fields)
/** @endcond */

/** @} */

#endif
