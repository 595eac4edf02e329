/* The version compiled against (macros) and the version loaded (functions). */
#ifndef EXECQ_VERSION_H
#define EXECQ_VERSION_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXECQ_VERSION_MAJOR 0
#define EXECQ_VERSION_MINOR 1
#define EXECQ_VERSION_PATCH 0
#define EXECQ_VERSION ((EXECQ_VERSION_MAJOR << 16) | (EXECQ_VERSION_MINOR << 8) | EXECQ_VERSION_PATCH)

/* The loaded library's version as (major << 16) | (minor << 8) | patch.
 * Ownership: none. Threads: any. Blocks: never. Order: none. Errors: none. Since: 0.1. */
EXECQ_API uint32_t execq_version(void);

/* The loaded library's version as "major.minor.patch".
 * Ownership: the string is static. Threads: any. Blocks: never. Order: none. Errors: none. Since: 0.1. */
EXECQ_API const char *execq_version_string(void);

#ifdef __cplusplus
}
#endif

#endif
