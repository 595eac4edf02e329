/* Native functions for the FFI tests: what a language passes whose own callbacks cannot run on foreign threads. */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include <dlfcn.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

#include <execq/execq.h>

#pragma GCC visibility push(default)
#include "helper.h"
#pragma GCC visibility pop

enum { MAX_TAGS = 100000 };

static uint64_t fib(uint64_t n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }

/* env is the number itself. */
int32_t helper_fib(void *env, void **result)
{
    *result = (void *)(uintptr_t)fib((uintptr_t)env);
    return 0;
}

/* env is the message. */
int32_t helper_fail(void *env, void **result)
{
    (void)result;
    return execq_fail(42, env);
}

static sem_t gate_entered;
static sem_t gate_opened;

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
        /* interrupted by a signal */
    }
}

void helper_gate_init(void)
{
    sem_init(&gate_entered, 0, 0);
    sem_init(&gate_opened, 0, 0);
}

int32_t helper_gate(void *env, void **result)
{
    (void)env;
    (void)result;
    sem_post(&gate_entered);
    wait_for(&gate_opened);
    return 0;
}

/* env points to the number, which is read behind the gate: what the host did to its own memory by then may not show. */
int32_t helper_gated_fib_at(void *env, void **result)
{
    helper_gate(env, result);
    *result = (void *)(uintptr_t)fib(*(const uint64_t *)env);
    return 0;
}

void helper_gate_await(void) { wait_for(&gate_entered); }

void helper_gate_open(void) { sem_post(&gate_opened); }

/* Each done callback should find its tag fresh, its future successful and itself on the thread that began the tally. */
static pthread_t tally_thread;
static atomic_uchar tally_seen[MAX_TAGS];
static atomic_uint_fast64_t tally_done;
static atomic_uint_fast64_t tally_dropped;
static atomic_uint_fast64_t tally_wrong;

void helper_tally_begin(void)
{
    tally_thread = pthread_self();
    for (size_t tag = 0; tag < MAX_TAGS; tag++) {
        atomic_store(&tally_seen[tag], 0);
    }
    atomic_store(&tally_done, 0);
    atomic_store(&tally_dropped, 0);
    atomic_store(&tally_wrong, 0);
}

/* env is the tag; the task was helper_fib of tag % 20. */
void helper_count_done(execq_future *future, void *env)
{
    uintptr_t tag = (uintptr_t)env;
    void *value = NULL;
    execq_status status = execq_future_result(future, &value);
    if (status != EXECQ_OK || tag >= MAX_TAGS || atomic_exchange(&tally_seen[tag], 1) != 0 ||
        (uintptr_t)value != fib(tag % 20) || !pthread_equal(tally_thread, pthread_self())) {
        atomic_fetch_add(&tally_wrong, 1);
    }
    atomic_fetch_add(&tally_done, 1);
}

void helper_count_drop(void *env)
{
    (void)env;
    atomic_fetch_add(&tally_dropped, 1);
}

uint64_t helper_tally_done(void) { return atomic_load(&tally_done); }

uint64_t helper_tally_dropped(void) { return atomic_load(&tally_dropped); }

uint64_t helper_tally_wrong(void) { return atomic_load(&tally_wrong); }

/* For execq_uv_table_load: looks everywhere in the process, or in the library whose dlopen handle env is. */
void *helper_sym(void *env, const char *name) { return dlsym(env != NULL ? env : RTLD_DEFAULT, name); }

/* The size that the C compiler gives a public struct; 0 for a name that is none. */
uint64_t helper_sizeof(const char *type)
{
    static const struct {
        const char *name;
        uint64_t size;
    } sizes[] = {
        {"execq_completion", sizeof(execq_completion)},
        {"execq_conf", sizeof(execq_conf)},
        {"execq_error_options", sizeof(execq_error_options)},
        {"execq_context_provider", sizeof(execq_context_provider)},
        {"execq_executor_options", sizeof(execq_executor_options)},
        {"execq_promise_options", sizeof(execq_promise_options)},
        {"execq_running_task", sizeof(execq_running_task)},
        {"execq_shutdown_report", sizeof(execq_shutdown_report)},
        {"execq_task_options", sizeof(execq_task_options)},
        {"execq_uv_table", sizeof(execq_uv_table)},
        {"execq_latency", sizeof(execq_latency)},
        {"execq_worker_stats", sizeof(execq_worker_stats)},
        {"execq_stats", sizeof(execq_stats)},
        {"execq_hooks", sizeof(execq_hooks)},
        {"execq_task_event", sizeof(execq_task_event)},
        {"execq_stuck_info", sizeof(execq_stuck_info)},
        {"execq_queue_options", sizeof(execq_queue_options)},
        {"execq_group_options", sizeof(execq_group_options)},
        {"execq_cancel_source_options", sizeof(execq_cancel_source_options)},
        {"execq_engine_task_info", sizeof(execq_engine_task_info)},
        {"execq_engine_vtable", sizeof(execq_engine_vtable)},
        {"execq_var_options", sizeof(execq_var_options)},
        {"execq_manual_options", sizeof(execq_manual_options)},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        if (strcmp(sizes[i].name, type) == 0) {
            return sizes[i].size;
        }
    }
    return 0;
}
