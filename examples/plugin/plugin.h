/* SPDX-License-Identifier: MIT */
/* What the host knows of its plugin. */
#ifndef PLUGIN_H
#define PLUGIN_H

#define PLUGIN_ENTRY "plugin_work"

typedef int (*plugin_work_function)(const char *worker, int number);

/** What it exports; worker is the path of multiproc-worker. */
int plugin_work(const char *worker, int number);

#endif
