/* SPDX-License-Identifier: MIT */
/* SUPPORT_CONSTRUCTOR(name) { ... } runs before main(). */
#ifndef SUPPORT_CONSTRUCTOR_H
#define SUPPORT_CONSTRUCTOR_H

#ifdef _MSC_VER
#pragma section(".CRT$XCU", read)
#ifdef _WIN64
#define SUPPORT_SYMBOL(name) "/include:" #name
#else
#define SUPPORT_SYMBOL(name) "/include:_" #name
#endif
#define SUPPORT_CONSTRUCTOR(name)                                         \
    static void __cdecl name(void);                                       \
    __declspec(allocate(".CRT$XCU")) void(__cdecl * name##_entry)(void) = \
        name;                                                             \
    __pragma(comment(                                                     \
        linker, SUPPORT_SYMBOL(name##_entry))) static void __cdecl name(void)
#else
#define SUPPORT_CONSTRUCTOR(name)                            \
    static void __attribute__((__constructor__)) name(void); \
    static void name(void)
#endif

#endif
