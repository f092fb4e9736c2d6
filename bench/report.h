/* SPDX-License-Identifier: MIT */
/* Results as lines for people and as JSON for programs. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "measure.h"

/* NULL: no JSON. False: the file can't be written. */
bool report_open(const char *json_path);
void report_result(const bench_result *result);
void report_absent(const bench_row *row, const char *reason);
/* How many goals were met; false if the file can't be written. */
bool report_close(void);

#endif
