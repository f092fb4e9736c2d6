/* SPDX-License-Identifier: MIT */
/* Talking to peer.py: a command a line, answered by the seconds it took and, if
 * processes shared the work, by how fair that was. */
#include "python.h"

#include "bench.h"
#include "system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct {
    const char *program;
    const char *script;
    bool is_asked; /* whether it can be started */
    FILE *commands;
    FILE *answers;
    char name[64];
} python;

void python_choose(const char *program, const char *script)
{
    python.program = program;
    python.script = script;
}

static bool start(void)
{
    if (python.program == NULL || python.script == NULL)
        return false;
    if (!system_start_peer(python.program, python.script, &python.commands,
                           &python.answers))
        return false;
    if (fgets(python.name, sizeof(python.name), python.answers) == NULL)
        return false;
    python.name[strcspn(python.name, "\r\n")] = 0;
    return true;
}

bool python_is_present(void)
{
    if (!python.is_asked) {
        python.is_asked = true;
        if (!start()) {
            python.name[0] = 0;
            fprintf(stderr, "absent: python3 (%s)\n",
                    python.program == NULL ? "none given" : python.program);
        }
    }
    return python.name[0] != 0;
}

const char *python_name(void)
{
    return python.name;
}

double python_time(const char *command, int batch)
{
    char line[64], *rest;
    double seconds, fairness;

    fprintf(python.commands, "%s %d\n", command, batch);
    fflush(python.commands);
    bench_require(fgets(line, sizeof(line), python.answers) != NULL,
                  "peer.py answers");
    seconds = strtod(line, &rest);
    bench_require(seconds > 0, "peer.py tells a time");
    if (sscanf(rest, "%lf", &fairness) == 1)
        bench_note_fairness(fairness);
    return seconds;
}

void python_stop(void)
{
    if (python.commands != NULL)
        fclose(python.commands);
    if (python.answers != NULL)
        fclose(python.answers);
    system_stop_peer();
    memset(&python, 0, sizeof(python));
}
