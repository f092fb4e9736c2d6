/* SPDX-License-Identifier: MIT */
/*
 * Every worker has one pipe and at most two batches, so that it finds the next
 * one there when it has finished the first.
 *
 * recv() waits for one pipe, not for the first of many. So the parent keeps a
 * clock for each worker that runs by the cost of its batches, and asks the one
 * whose oldest batch should be finished first.
 */
#include "crew.h"

#include "member.h"
#include "memory.h"

#include <string.h>

static wc_member *next_due(const wc_crew *crew)
{
    wc_member *first = NULL;

    for (size_t i = 0; i < crew->count; i++) {
        wc_member *member = &crew->members[i];

        if (member->pending_count > 0 &&
            (first == NULL || member->due[0] < first->due[0]))
            first = member;
    }
    return first;
}

static void kill_victim(wc_crew *crew)
{
    wc_member *victim = &crew->members[crew->options->victim - 1];

    mp_check(mp_process_kill(victim->process));
    mp_check(mp_process_join(victim->process, MP_FOREVER));
}

static void feed_and_drain(wc_crew *crew)
{
    bool must_kill = crew->options->victim > 0;
    wc_member *member;

    for (size_t round = 0; round < MEMBER_AHEAD; round++)
        for (size_t i = 0; i < crew->count; i++)
            if (crew->members[i].connection != NULL)
                member_give(crew, &crew->members[i]);

    while ((member = next_due(crew)) != NULL) {
        member_take(crew, member);
        if (must_kill && member->number + 1 == crew->options->victim) {
            must_kill = false;
            kill_victim(crew);
        }
        if (member->connection != NULL)
            member_give(crew, member);
    }
}

static void dismiss(wc_crew *crew)
{
    for (size_t i = 0; i < crew->count; i++)
        member_dismiss(crew, &crew->members[i]);
    for (size_t i = 0; i < crew->count; i++)
        member_finish(crew, &crew->members[i]);
}

static uint64_t sum_of_costs(const wc_batches *batches)
{
    uint64_t cost = 0;

    for (size_t i = 0; i < batches->count; i++)
        cost += batches->items[i].cost;
    return cost;
}

void crew_count(crew_result *result, const wc_file_list *list,
                const crew_options *options)
{
    wc_crew crew = {.list = list, .options = options, .result = result};

    *result = (crew_result){.states = allocate(NULL, list->count)};
    memset(result->states, 0, list->count);
    batches_create(&crew.batches, list, options->processes);
    crew.count = options->processes < crew.batches.count ? options->processes
                                                         : crew.batches.count;
    crew.members = allocate(NULL, crew.count * sizeof(*crew.members));
    memset(crew.members, 0, crew.count * sizeof(*crew.members));
    for (size_t i = 0; i < crew.count; i++) {
        crew.members[i].number = i;
        member_start(&crew, &crew.members[i]);
    }

    progress_begin(&crew.progress, list->count, sum_of_costs(&crew.batches));
    feed_and_drain(&crew);
    progress_end(&crew.progress);
    dismiss(&crew);

    result->processes = crew.count;
    result->totals.words -= count_join(result->states, list->count);
    batches_free(&crew.batches);
    free(crew.members);
}

void crew_result_free(crew_result *result)
{
    table_free(&result->table);
    free(result->states);
}
