/* Configuration of the process: what a NULL executor stands for. */
#ifndef EXECQ_CONF_H
#define EXECQ_CONF_H

#include <execq/types.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EXECQ_CONF_CLEAR_EXECUTOR = 1 /* forget the configured executor; an error together with one */
};

typedef struct execq_conf {
    uint32_t struct_size;
    uint32_t flags;           /* EXECQ_CONF_CLEAR_… */
    execq_executor *executor; /* what NULL stands for from now on; NULL: keep the earlier one */
} execq_conf;
#define EXECQ_CONF_INIT {(uint32_t)sizeof(execq_conf), 0, NULL}

/* Configures the process. Unset fields keep their earlier value; EXECQ_CONF_CLEAR_… clears one. Submissions resolve
 * NULL each time: the executor given here, else the library's own default.
 * Ownership: what is configured is retained until it is replaced or cleared. Threads: any. Blocks: never.
 * Order: submissions made after it returned see the change.
 * Errors: EXECQ_EINVAL (conf NULL, struct_size, clear and set together), EXECQ_ENOTSUP (flags, unknown bytes). On an
 *   error nothing changes. Since: 0.1. */
EXECQ_API execq_status execq_init_conf(const execq_conf *conf);

#ifdef __cplusplus
}
#endif

#endif
