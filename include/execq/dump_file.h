/* execq_dump onto a stream of the C library; the only header that needs <stdio.h>. */
#ifndef EXECQ_DUMP_FILE_H
#define EXECQ_DUMP_FILE_H

#include <execq/types.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes what execq_dump tells onto a stream, and flushes it.
 * Ownership: executor as for execq_dump; the stream is the caller's. Threads: as execq_dump. Blocks: as execq_dump, and as
 *   the stream does, holding nothing of the library's. Order: as execq_dump.
 * Errors: EXECQ_EINVAL (file NULL), EXECQ_ENOMEM. What the stream does not take is lost, and its error indicator is set.
 * Since: 0.5. */
EXECQ_API execq_status execq_dump_file(execq_executor *executor, FILE *file);

#ifdef __cplusplus
}
#endif

#endif
