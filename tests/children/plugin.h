/* What the plug-ins of the dlopen tests have, to be found by name. */
#ifndef EXECQ_TESTS_PLUGIN_H
#define EXECQ_TESTS_PLUGIN_H

#ifdef __cplusplus
#define PLUGIN_API extern "C" __attribute__((visibility("default")))
#else
#define PLUGIN_API
#endif

struct execq_executor;

/* Makes an executor, runs tasks on it until all are done and its threads idle, and hands it over. Each counts one in *ran. */
PLUGIN_API struct execq_executor *plugin_start(int *ran);

/* The same, and the thread of one task will count one in *ended when it ends, by a thread-local object. */
PLUGIN_API struct execq_executor *plugin_arm(int *ended);

/* Ends an executor. */
PLUGIN_API void plugin_stop(struct execq_executor *executor);

/* Has the plug-in keep an executor of its own, with work on it that counts one in *ran each, until it is unloaded. */
PLUGIN_API void plugin_keep(int *ran);

/* How many plugin_start runs, and plugin_keep. */
enum { PLUGIN_TASKS = 30 };

#endif
