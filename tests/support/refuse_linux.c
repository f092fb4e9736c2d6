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
    MOST = 16,
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

bool support_refuse(const long *numbers, size_t count, int error)
{
    filter_line lines[MOST + 3] = {{LOAD_NUMBER, 0, 0, 0}};
    filter program = {0, lines};

    if (count > MOST)
        return false;
    for (size_t i = 0; i < count; i++)
        lines[1 + i] = (filter_line){SKIP_UNLESS, (uint8_t)(count - i), 0,
                                     (uint32_t)numbers[i]};
    lines[1 + count] = (filter_line){RETURN, 0, 0, ALLOW};
    lines[2 + count] =
        (filter_line){RETURN, 0, 0, ANSWER_ERROR | (uint32_t)error};
    program.count = (unsigned short)(count + 3);
    return prctl(PR_SET_NO_NEW_PRIVS, 1UL, 0UL, 0UL, 0UL) == 0 &&
           prctl(PR_SET_SECCOMP, (unsigned long)FILTER, &program) == 0;
}

bool support_refuse_calls(int error)
{
    static const long numbers[] = {
        SYS_pidfd_open,
        SYS_pidfd_send_signal,
        SYS_memfd_create,
        SYS_close_range,
    };

    return support_refuse(numbers, sizeof(numbers) / sizeof(numbers[0]), error);
}
