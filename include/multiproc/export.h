/* SPDX-License-Identifier: MIT */
/*
 * What differs between compilers: symbol visibility, attributes, C linkage.
 * The only public header that asks which system or compiler this is.
 */
#ifndef MULTIPROC_EXPORT_H
#define MULTIPROC_EXPORT_H

#if defined(MULTIPROC_STATIC)
#define MP_API
#elif defined(_WIN32)
#if defined(MULTIPROC_BUILDING)
#define MP_API __declspec(dllexport)
#else
#define MP_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define MP_API __attribute__((__visibility__("default")))
#else
#define MP_API
#endif

#if defined(__GNUC__)
#define MP_NORETURN __attribute__((__noreturn__))
#if defined(__MINGW32__) && !defined(__clang__)
/* We format as C99 does, not as msvcrt. */
#define MP_PRINTF(text, first) \
    __attribute__((__format__(__gnu_printf__, text, first)))
#else
#define MP_PRINTF(text, first) \
    __attribute__((__format__(__printf__, text, first)))
#endif
#define MP_MUST_CHECK __attribute__((__warn_unused_result__))
#elif defined(_MSC_VER)
#define MP_NORETURN __declspec(noreturn)
#define MP_PRINTF(text, first)
#define MP_MUST_CHECK
#else
#define MP_NORETURN
#define MP_PRINTF(text, first)
#define MP_MUST_CHECK
#endif

#ifdef __cplusplus
#define MP_BEGIN_DECLS extern "C" {
#define MP_END_DECLS }
#else
#define MP_BEGIN_DECLS
#define MP_END_DECLS
#endif

#endif
