/* SPDX-License-Identifier: MIT */
/*
 * A filter of system calls: seccomp(2). What it is made of is written down
 * here, as the kernel's headers are not everywhere (musl).
 */
#include "refuse_linux.h"

#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

enum {
    FILTER = 2,             /* SECCOMP_MODE_FILTER */
    LOAD_NUMBER = 0x20,     /* BPF_LD | BPF_W | BPF_ABS, of offset 0 */
    SKIP_UNLESS = 0x15,     /* BPF_JMP | BPF_JEQ | BPF_K */
    RETURN = 0x06,          /* BPF_RET | BPF_K */
    ANSWER_ERROR = 0x50000, /* SECCOMP_RET_ERRNO */
    ALLOW = 0x7fff0000,     /* SECCOMP_RET_ALLOW */
};

/* struct sock_filter and struct sock_fprog */
typedef struct filter_line {
    uint16_t code;
    uint8_t skipped_if_equal;
    uint8_t skipped_otherwise;
    uint32_t value;
} filter_line;

typedef struct filter {
    unsigned short count;
    const filter_line *lines;
} filter;

bool support_refuse_calls(int error)
{
    const uint32_t answer = ANSWER_ERROR | (uint32_t)error;
    const filter_line lines[] = {
        {LOAD_NUMBER, 0, 0, 0},
        {SKIP_UNLESS, 4, 0, SYS_pidfd_open},
        {SKIP_UNLESS, 3, 0, SYS_pidfd_send_signal},
        {SKIP_UNLESS, 2, 0, SYS_memfd_create},
        {SKIP_UNLESS, 1, 0, SYS_close_range},
        {RETURN, 0, 0, ALLOW},
        {RETURN, 0, 0, answer},
    };
    const filter program = {sizeof(lines) / sizeof(lines[0]), lines};

    return prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0 &&
           prctl(PR_SET_SECCOMP, (unsigned long)FILTER, &program) == 0;
}
