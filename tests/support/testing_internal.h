/* SPDX-License-Identifier: MIT */
/*
 * Between testing.c and what it needs of the system (testing_posix.c,
 * testing_win32.c): running this program again for one test.
 */
#ifndef SUPPORT_TESTING_INTERNAL_H
#define SUPPORT_TESTING_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

typedef struct support_outcome {
    int exit_code;
    int signal; /* what killed it, or 0; on Windows SIGSEGV or SIGABRT */
    bool has_timed_out;
} support_outcome;

/* Runs "program argument" until it ends, or seconds have gone (0: no limit),
 * then ends it and what it has started. False: it could not be started. */
bool support_run_again(const char *program, const char *argument,
                       double seconds, support_outcome *outcome);
/* No dialogs, no core files: a crashing test is a result. */
void support_prepare_to_crash(void);
/* To tell the test's own thread and process from others. */
uint64_t support_thread_id(void);
double support_seconds(void);

#endif
