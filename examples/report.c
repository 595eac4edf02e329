#define _GNU_SOURCE

#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMED_MAX = 10 };

static int compare(const void *left, const void *right)
{
    uint64_t a = *(const uint64_t *)left;
    uint64_t b = *(const uint64_t *)right;

    return (a > b) - (a < b);
}

/* Sorts the values. */
static double median(uint64_t *values, int count)
{
    int low = (count - 1) / 2;
    int high = count / 2; /* the same one where the count is odd */

    qsort(values, (size_t)count, sizeof *values, compare);
    return ((double)values[low] + (double)values[high]) / 2;
}

void report_table(struct report_row rows[REPORT_WAYS], int rounds)
{
    double wall[REPORT_WAYS];
    double over[REPORT_WAYS]; /* what the longest gap exceeds a beat by */

    printf("%-14s %8s %14s %7s %11s %13s\n", "way", "files", "bytes", "ratio", "wall time", "longest gap");
    for (int i = 0; i < REPORT_WAYS; i++) {
        struct report_row *row = &rows[i];
        double gap = median(row->gap, rounds) / 1e6;
        wall[i] = median(row->wall, rounds) / 1e9;
        over[i] = gap > REPORT_BEAT_MS ? gap - REPORT_BEAT_MS : 0;
        printf("%-14s %8" PRIu64 " %14" PRIu64 " %7.3f %9.3f s %10.1f ms\n", row->way, row->files, row->bytes,
               row->bytes > 0 ? (double)row->size / (double)row->bytes : 0.0, wall[i], gap);
    }
    printf("\nlongest gap beyond %d ms: libexecq %.1f ms, inline %.1f ms", REPORT_BEAT_MS, over[2], over[0]);
    if (over[0] > 0)
        printf(", fraction %.3f", over[2] / over[0]);
    printf(" (wanted: at most 0.200)\nwall time, libexecq to uv_queue_work: %.3f (wanted: at most 1.000)\n",
           wall[2] / wall[1]);
}

static void name_errors(const struct tree_list *list, size_t *found)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct tree_entry *entry = &list->entries[i];
        if (entry->error == 0 || (*found)++ >= NAMED_MAX)
            continue;
        fprintf(stderr, "unreadable: %s: %s\n", entry->path, strerror(entry->error));
    }
}

void report_unreadable(const struct tree_list *closed, const struct tree_list *files)
{
    size_t found = 0;

    name_errors(closed, &found);
    name_errors(files, &found);
    if (found > NAMED_MAX)
        fprintf(stderr, "and %zu more\n", found - NAMED_MAX);
    if (found > 0)
        fprintf(stderr, "unreadable in all: %zu\n", found);
}
