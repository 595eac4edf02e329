/* What compress_tree prints at its end. */
#ifndef REPORT_H
#define REPORT_H

#include <stdint.h>

#include "file_tree.h"

enum { REPORT_BEAT_MS = 10, REPORT_ROUNDS_MAX = 99, REPORT_WAYS = 3 };

/* What one way did. Files and bytes are those of the last round, times (nanoseconds) those of each. */
struct report_row {
    const char *way;
    uint64_t files;
    uint64_t bytes; /* read */
    uint64_t size;  /* compressed */
    uint64_t wall[REPORT_ROUNDS_MAX];
    uint64_t gap[REPORT_ROUNDS_MAX];
};

/* The table of medians, and how libexecq (the last row) compares: its gap with that of inline (the first), its wall time
 * with that of uv_queue_work (the second). Sorts the times. */
void report_table(struct report_row rows[REPORT_WAYS], int rounds);

/* Names the entries with an error on stderr: the first ten, and the number of them all. */
void report_unreadable(const struct tree_list *closed, const struct tree_list *files);

#endif
