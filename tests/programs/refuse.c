/* SPDX-License-Identifier: MIT */
/* Runs a program where Linux refuses what is new: refuse PROGRAM [ARGUMENT] */
#include "support/refuse_linux.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: refuse PROGRAM [ARGUMENT...]\n");
        return 2;
    }
    if (!support_refuse_calls(ENOSYS)) {
        perror("refuse: seccomp");
        return 2;
    }
    execv(argv[1], argv + 1);
    perror(argv[1]);
    return 2;
}
