/* The public structs as they were in their first version and at 0.5.0, and the sizes between. Frozen: nothing here follows the
 * headers. What a program passes that was compiled then has these layouts for ever, and the members that today's headers
 * give it lie where they lay. tests/capi/struct_versions_test.c passes each size to each function that takes the struct.
 *
 * A struct that has grown gets a size here, and its layout at the release in which it has.
 *
 * Missing is the very first execq_uv_table, of 96 bytes: its last two entries were dropped before there was a library
 * (tests/abi/first passes it). */
#ifndef EXECQ_TESTS_ABI_V1_H
#define EXECQ_TESTS_ABI_V1_H

#include <stddef.h>

#include <execq/execq.h>
#include <execq/loop.h>

/* Each of the members lies in the frozen struct as in today's, and is as large. */
#define V1_SAME(version, name, member)                                                \
    _Static_assert(offsetof(version, member) == offsetof(name, member) &&             \
                       sizeof(((version *)0)->member) == sizeof(((name *)0)->member), \
                   #version "." #member)

typedef struct execq_completion_32 {
    void *tag;
    execq_future *future;
    void *value;
    execq_status status;
    int32_t reserved;
} execq_completion_32;
_Static_assert(sizeof(execq_completion_32) == 32, "execq_completion_32");
V1_SAME(execq_completion_32, execq_completion, tag);
V1_SAME(execq_completion_32, execq_completion, future);
V1_SAME(execq_completion_32, execq_completion, value);
V1_SAME(execq_completion_32, execq_completion, status);
V1_SAME(execq_completion_32, execq_completion, reserved);
#define EXECQ_COMPLETION_SIZES 32

typedef struct execq_conf_16 {
    uint32_t struct_size;
    uint32_t flags;
    execq_executor *executor;
} execq_conf_16;
_Static_assert(sizeof(execq_conf_16) == 16, "execq_conf_16");
V1_SAME(execq_conf_16, execq_conf, struct_size);
V1_SAME(execq_conf_16, execq_conf, flags);
V1_SAME(execq_conf_16, execq_conf, executor);

typedef struct execq_conf_64 {
    uint32_t struct_size;
    uint32_t flags;
    execq_executor *executor;
    execq_loop *main_loop;
    execq_unobserved_fn on_unobserved;
    void *unobserved_env;
    execq_drop_fn unobserved_drop;
    int32_t exit_policy;
    uint32_t reserved;
    int64_t exit_wait_ns;
} execq_conf_64;
_Static_assert(sizeof(execq_conf_64) == 64, "execq_conf_64");
V1_SAME(execq_conf_64, execq_conf, struct_size);
V1_SAME(execq_conf_64, execq_conf, flags);
V1_SAME(execq_conf_64, execq_conf, executor);
V1_SAME(execq_conf_64, execq_conf, main_loop);
V1_SAME(execq_conf_64, execq_conf, on_unobserved);
V1_SAME(execq_conf_64, execq_conf, unobserved_env);
V1_SAME(execq_conf_64, execq_conf, unobserved_drop);
V1_SAME(execq_conf_64, execq_conf, exit_policy);
V1_SAME(execq_conf_64, execq_conf, reserved);
V1_SAME(execq_conf_64, execq_conf, exit_wait_ns);
#define EXECQ_CONF_SIZES 16, 24, 48, 64

typedef struct execq_uv_table_80 {
    uint32_t struct_size;
    uint32_t flags;
    uint32_t version;
    uint32_t reserved;
    const char *identity;
    uint64_t loop_size;
    uint64_t async_size;
    int (*async_init)(struct uv_loop_s *loop, struct uv_async_s *async, void (*callback)(struct uv_async_s *async));
    int (*async_send)(struct uv_async_s *async);
    void (*close)(struct uv_handle_s *handle, void (*callback)(struct uv_handle_s *handle));
    void (*ref)(struct uv_handle_s *handle);
    void (*unref)(struct uv_handle_s *handle);
} execq_uv_table_80;
_Static_assert(sizeof(execq_uv_table_80) == 80, "execq_uv_table_80");
V1_SAME(execq_uv_table_80, execq_uv_table, struct_size);
V1_SAME(execq_uv_table_80, execq_uv_table, flags);
V1_SAME(execq_uv_table_80, execq_uv_table, version);
V1_SAME(execq_uv_table_80, execq_uv_table, reserved);
V1_SAME(execq_uv_table_80, execq_uv_table, identity);
V1_SAME(execq_uv_table_80, execq_uv_table, loop_size);
V1_SAME(execq_uv_table_80, execq_uv_table, async_size);
V1_SAME(execq_uv_table_80, execq_uv_table, async_init);
V1_SAME(execq_uv_table_80, execq_uv_table, async_send);
V1_SAME(execq_uv_table_80, execq_uv_table, close);
V1_SAME(execq_uv_table_80, execq_uv_table, ref);
V1_SAME(execq_uv_table_80, execq_uv_table, unref);

typedef struct execq_uv_table_200 {
    uint32_t struct_size;
    uint32_t flags;
    uint32_t version;
    uint32_t reserved;
    const char *identity;
    uint64_t loop_size;
    uint64_t async_size;
    int (*async_init)(struct uv_loop_s *loop, struct uv_async_s *async, void (*callback)(struct uv_async_s *async));
    int (*async_send)(struct uv_async_s *async);
    void (*close)(struct uv_handle_s *handle, void (*callback)(struct uv_handle_s *handle));
    void (*ref)(struct uv_handle_s *handle);
    void (*unref)(struct uv_handle_s *handle);
    uint64_t timer_size;
    int (*loop_init)(struct uv_loop_s *loop);
    int (*loop_close)(struct uv_loop_s *loop);
    int (*loop_alive)(const struct uv_loop_s *loop);
    int (*backend_fd)(const struct uv_loop_s *loop);
    int (*backend_timeout)(const struct uv_loop_s *loop);
    int (*run)(struct uv_loop_s *loop, uint32_t mode);
    void (*update_time)(struct uv_loop_s *loop);
    int (*timer_init)(struct uv_loop_s *loop, struct uv_timer_s *timer);
    int (*timer_start)(struct uv_timer_s *timer, void (*callback)(struct uv_timer_s *timer), uint64_t timeout,
                       uint64_t repeat);
    int (*timer_stop)(struct uv_timer_s *timer);
    void (*walk)(struct uv_loop_s *loop, void (*visit)(struct uv_handle_s *handle, void *env), void *env);
    int (*is_closing)(const struct uv_handle_s *handle);
    uint32_t (*handle_type)(const struct uv_handle_s *handle);
    const char *(*handle_type_name)(uint32_t type);
} execq_uv_table_200;
_Static_assert(sizeof(execq_uv_table_200) == 200, "execq_uv_table_200");
V1_SAME(execq_uv_table_200, execq_uv_table, struct_size);
V1_SAME(execq_uv_table_200, execq_uv_table, flags);
V1_SAME(execq_uv_table_200, execq_uv_table, version);
V1_SAME(execq_uv_table_200, execq_uv_table, reserved);
V1_SAME(execq_uv_table_200, execq_uv_table, identity);
V1_SAME(execq_uv_table_200, execq_uv_table, loop_size);
V1_SAME(execq_uv_table_200, execq_uv_table, async_size);
V1_SAME(execq_uv_table_200, execq_uv_table, async_init);
V1_SAME(execq_uv_table_200, execq_uv_table, async_send);
V1_SAME(execq_uv_table_200, execq_uv_table, close);
V1_SAME(execq_uv_table_200, execq_uv_table, ref);
V1_SAME(execq_uv_table_200, execq_uv_table, unref);
V1_SAME(execq_uv_table_200, execq_uv_table, timer_size);
V1_SAME(execq_uv_table_200, execq_uv_table, loop_init);
V1_SAME(execq_uv_table_200, execq_uv_table, loop_close);
V1_SAME(execq_uv_table_200, execq_uv_table, loop_alive);
V1_SAME(execq_uv_table_200, execq_uv_table, backend_fd);
V1_SAME(execq_uv_table_200, execq_uv_table, backend_timeout);
V1_SAME(execq_uv_table_200, execq_uv_table, run);
V1_SAME(execq_uv_table_200, execq_uv_table, update_time);
V1_SAME(execq_uv_table_200, execq_uv_table, timer_init);
V1_SAME(execq_uv_table_200, execq_uv_table, timer_start);
V1_SAME(execq_uv_table_200, execq_uv_table, timer_stop);
V1_SAME(execq_uv_table_200, execq_uv_table, walk);
V1_SAME(execq_uv_table_200, execq_uv_table, is_closing);
V1_SAME(execq_uv_table_200, execq_uv_table, handle_type);
V1_SAME(execq_uv_table_200, execq_uv_table, handle_type_name);
#define EXECQ_UV_TABLE_SIZES 80, 200

typedef struct execq_executor_options_24 {
    uint32_t struct_size;
    uint32_t flags;
    const char *name;
    uint32_t max_threads;
    uint32_t reserved;
} execq_executor_options_24;
_Static_assert(sizeof(execq_executor_options_24) == 24, "execq_executor_options_24");
V1_SAME(execq_executor_options_24, execq_executor_options, struct_size);
V1_SAME(execq_executor_options_24, execq_executor_options, flags);
V1_SAME(execq_executor_options_24, execq_executor_options, name);
V1_SAME(execq_executor_options_24, execq_executor_options, max_threads);

typedef struct execq_executor_options_160 {
    uint32_t struct_size;
    uint32_t flags;
    const char *name;
    uint32_t max_threads;
    uint32_t min_threads;
    int64_t keepalive_ns;
    uint32_t loop_workers;
    uint32_t reserved_loop_workers;
    const struct execq_uv_table *uv_table;
    uint32_t capacity;
    uint32_t full_policy;
    int32_t max_spares;
    uint32_t reserved_2;
    const struct execq_hooks *hooks;
    int64_t stuck_after_ns;
    execq_stuck_fn on_stuck;
    void *stuck_env;
    execq_drop_fn stuck_drop;
    execq_thread_init_fn thread_init;
    execq_thread_final_fn thread_final;
    void *thread_env;
    execq_drop_fn thread_drop;
    uint64_t stack_size;
    const uint32_t *affinity;
    uint32_t affinity_count;
    uint32_t reserved_3;
} execq_executor_options_160;
_Static_assert(sizeof(execq_executor_options_160) == 160, "execq_executor_options_160");
V1_SAME(execq_executor_options_160, execq_executor_options, struct_size);
V1_SAME(execq_executor_options_160, execq_executor_options, flags);
V1_SAME(execq_executor_options_160, execq_executor_options, name);
V1_SAME(execq_executor_options_160, execq_executor_options, max_threads);
V1_SAME(execq_executor_options_160, execq_executor_options, min_threads);
V1_SAME(execq_executor_options_160, execq_executor_options, keepalive_ns);
V1_SAME(execq_executor_options_160, execq_executor_options, loop_workers);
V1_SAME(execq_executor_options_160, execq_executor_options, reserved_loop_workers);
V1_SAME(execq_executor_options_160, execq_executor_options, uv_table);
V1_SAME(execq_executor_options_160, execq_executor_options, capacity);
V1_SAME(execq_executor_options_160, execq_executor_options, full_policy);
V1_SAME(execq_executor_options_160, execq_executor_options, max_spares);
V1_SAME(execq_executor_options_160, execq_executor_options, reserved_2);
V1_SAME(execq_executor_options_160, execq_executor_options, hooks);
V1_SAME(execq_executor_options_160, execq_executor_options, stuck_after_ns);
V1_SAME(execq_executor_options_160, execq_executor_options, on_stuck);
V1_SAME(execq_executor_options_160, execq_executor_options, stuck_env);
V1_SAME(execq_executor_options_160, execq_executor_options, stuck_drop);
V1_SAME(execq_executor_options_160, execq_executor_options, thread_init);
V1_SAME(execq_executor_options_160, execq_executor_options, thread_final);
V1_SAME(execq_executor_options_160, execq_executor_options, thread_env);
V1_SAME(execq_executor_options_160, execq_executor_options, thread_drop);
V1_SAME(execq_executor_options_160, execq_executor_options, stack_size);
V1_SAME(execq_executor_options_160, execq_executor_options, affinity);
V1_SAME(execq_executor_options_160, execq_executor_options, affinity_count);
V1_SAME(execq_executor_options_160, execq_executor_options, reserved_3);
#define EXECQ_EXECUTOR_OPTIONS_SIZES 24, 32, 48, 64, 104, 160

typedef struct execq_running_task_64 {
    char name[48];
    int64_t running_ns;
    uint64_t reserved;
} execq_running_task_64;
_Static_assert(sizeof(execq_running_task_64) == 64, "execq_running_task_64");
V1_SAME(execq_running_task_64, execq_running_task, name);
V1_SAME(execq_running_task_64, execq_running_task, running_ns);
V1_SAME(execq_running_task_64, execq_running_task, reserved);
#define EXECQ_RUNNING_TASK_SIZES 64

typedef struct execq_shutdown_report_56 {
    uint32_t struct_size;
    uint32_t flags;
    execq_running_task *running;
    uint64_t running_max;
    uint64_t running_count;
    uint64_t running_total;
    uint64_t queued;
    uint64_t threads;
} execq_shutdown_report_56;
_Static_assert(sizeof(execq_shutdown_report_56) == 56, "execq_shutdown_report_56");
V1_SAME(execq_shutdown_report_56, execq_shutdown_report, struct_size);
V1_SAME(execq_shutdown_report_56, execq_shutdown_report, flags);
V1_SAME(execq_shutdown_report_56, execq_shutdown_report, running);
V1_SAME(execq_shutdown_report_56, execq_shutdown_report, running_max);
V1_SAME(execq_shutdown_report_56, execq_shutdown_report, running_count);
V1_SAME(execq_shutdown_report_56, execq_shutdown_report, running_total);
V1_SAME(execq_shutdown_report_56, execq_shutdown_report, queued);
V1_SAME(execq_shutdown_report_56, execq_shutdown_report, threads);

typedef struct execq_shutdown_report_72 {
    uint32_t struct_size;
    uint32_t flags;
    execq_running_task *running;
    uint64_t running_max;
    uint64_t running_count;
    uint64_t running_total;
    uint64_t queued;
    uint64_t threads;
    uint64_t left_loops;
    uint64_t left_handles;
} execq_shutdown_report_72;
_Static_assert(sizeof(execq_shutdown_report_72) == 72, "execq_shutdown_report_72");
V1_SAME(execq_shutdown_report_72, execq_shutdown_report, struct_size);
V1_SAME(execq_shutdown_report_72, execq_shutdown_report, flags);
V1_SAME(execq_shutdown_report_72, execq_shutdown_report, running);
V1_SAME(execq_shutdown_report_72, execq_shutdown_report, running_max);
V1_SAME(execq_shutdown_report_72, execq_shutdown_report, running_count);
V1_SAME(execq_shutdown_report_72, execq_shutdown_report, running_total);
V1_SAME(execq_shutdown_report_72, execq_shutdown_report, queued);
V1_SAME(execq_shutdown_report_72, execq_shutdown_report, threads);
V1_SAME(execq_shutdown_report_72, execq_shutdown_report, left_loops);
V1_SAME(execq_shutdown_report_72, execq_shutdown_report, left_handles);
#define EXECQ_SHUTDOWN_REPORT_SIZES 56, 72

typedef struct execq_promise_options_24 {
    uint32_t struct_size;
    uint32_t flags;
    execq_drop_fn drop_result;
    const char *name;
} execq_promise_options_24;
_Static_assert(sizeof(execq_promise_options_24) == 24, "execq_promise_options_24");
V1_SAME(execq_promise_options_24, execq_promise_options, struct_size);
V1_SAME(execq_promise_options_24, execq_promise_options, flags);
V1_SAME(execq_promise_options_24, execq_promise_options, drop_result);
V1_SAME(execq_promise_options_24, execq_promise_options, name);
#define EXECQ_PROMISE_OPTIONS_SIZES 24

typedef struct execq_task_options_40 {
    uint32_t struct_size;
    uint32_t flags;
    execq_drop_fn drop;
    execq_drop_fn drop_result;
    const char *name;
    uint64_t env_size;
} execq_task_options_40;
_Static_assert(sizeof(execq_task_options_40) == 40, "execq_task_options_40");
V1_SAME(execq_task_options_40, execq_task_options, struct_size);
V1_SAME(execq_task_options_40, execq_task_options, flags);
V1_SAME(execq_task_options_40, execq_task_options, drop);
V1_SAME(execq_task_options_40, execq_task_options, drop_result);
V1_SAME(execq_task_options_40, execq_task_options, name);
V1_SAME(execq_task_options_40, execq_task_options, env_size);

typedef struct execq_task_options_120 {
    uint32_t struct_size;
    uint32_t flags;
    execq_drop_fn drop;
    execq_drop_fn drop_result;
    const char *name;
    uint64_t env_size;
    int64_t delay_ns;
    int64_t start_within_ns;
    int64_t timeout_ns;
    const char *uv_identity;
    int32_t priority;
    uint32_t reserved;
    execq_context *context;
    execq_queue *queue;
    uint64_t key;
    execq_group *group;
    execq_cancel_source *cancel_source;
} execq_task_options_120;
_Static_assert(sizeof(execq_task_options_120) == 120, "execq_task_options_120");
V1_SAME(execq_task_options_120, execq_task_options, struct_size);
V1_SAME(execq_task_options_120, execq_task_options, flags);
V1_SAME(execq_task_options_120, execq_task_options, drop);
V1_SAME(execq_task_options_120, execq_task_options, drop_result);
V1_SAME(execq_task_options_120, execq_task_options, name);
V1_SAME(execq_task_options_120, execq_task_options, env_size);
V1_SAME(execq_task_options_120, execq_task_options, delay_ns);
V1_SAME(execq_task_options_120, execq_task_options, start_within_ns);
V1_SAME(execq_task_options_120, execq_task_options, timeout_ns);
V1_SAME(execq_task_options_120, execq_task_options, uv_identity);
V1_SAME(execq_task_options_120, execq_task_options, priority);
V1_SAME(execq_task_options_120, execq_task_options, reserved);
V1_SAME(execq_task_options_120, execq_task_options, context);
V1_SAME(execq_task_options_120, execq_task_options, queue);
V1_SAME(execq_task_options_120, execq_task_options, key);
V1_SAME(execq_task_options_120, execq_task_options, group);
V1_SAME(execq_task_options_120, execq_task_options, cancel_source);
#define EXECQ_TASK_OPTIONS_SIZES 40, 64, 72, 120

typedef struct execq_queue_options_40 {
    uint32_t struct_size;
    uint32_t flags;
    const char *name;
    uint32_t max_in_flight;
    uint32_t full_policy;
    uint64_t capacity;
    uint32_t key_max_in_flight;
    uint32_t reserved;
} execq_queue_options_40;
_Static_assert(sizeof(execq_queue_options_40) == 40, "execq_queue_options_40");
V1_SAME(execq_queue_options_40, execq_queue_options, struct_size);
V1_SAME(execq_queue_options_40, execq_queue_options, flags);
V1_SAME(execq_queue_options_40, execq_queue_options, name);
V1_SAME(execq_queue_options_40, execq_queue_options, max_in_flight);
V1_SAME(execq_queue_options_40, execq_queue_options, full_policy);
V1_SAME(execq_queue_options_40, execq_queue_options, capacity);
V1_SAME(execq_queue_options_40, execq_queue_options, key_max_in_flight);
V1_SAME(execq_queue_options_40, execq_queue_options, reserved);
#define EXECQ_QUEUE_OPTIONS_SIZES 40

typedef struct execq_latency_32 {
    uint64_t count;
    int64_t p50_ns;
    int64_t p99_ns;
    int64_t max_ns;
} execq_latency_32;
_Static_assert(sizeof(execq_latency_32) == 32, "execq_latency_32");
V1_SAME(execq_latency_32, execq_latency, count);
V1_SAME(execq_latency_32, execq_latency, p50_ns);
V1_SAME(execq_latency_32, execq_latency, p99_ns);
V1_SAME(execq_latency_32, execq_latency, max_ns);
#define EXECQ_LATENCY_SIZES 32

typedef struct execq_worker_stats_96 {
    uint32_t number;
    uint32_t state;
    uint32_t has_loop;
    uint32_t reserved_for_loops;
    uint64_t async_open;
    uint64_t loop_delays;
    execq_latency loop_lag;
    execq_latency loop_turn;
} execq_worker_stats_96;
_Static_assert(sizeof(execq_worker_stats_96) == 96, "execq_worker_stats_96");
V1_SAME(execq_worker_stats_96, execq_worker_stats, number);
V1_SAME(execq_worker_stats_96, execq_worker_stats, state);
V1_SAME(execq_worker_stats_96, execq_worker_stats, has_loop);
V1_SAME(execq_worker_stats_96, execq_worker_stats, reserved_for_loops);
V1_SAME(execq_worker_stats_96, execq_worker_stats, async_open);
V1_SAME(execq_worker_stats_96, execq_worker_stats, loop_delays);
V1_SAME(execq_worker_stats_96, execq_worker_stats, loop_lag);
V1_SAME(execq_worker_stats_96, execq_worker_stats, loop_turn);
#define EXECQ_WORKER_STATS_SIZES 96

typedef struct execq_stats_216 {
    uint32_t struct_size;
    uint32_t flags;
    execq_worker_stats *workers;
    uint64_t workers_max;
    uint32_t worker_size;
    uint32_t reserved;
    uint64_t workers_count;
    uint64_t workers_total;
    uint64_t threads;
    uint64_t idle;
    uint64_t running;
    uint64_t threads_max;
    uint64_t queued;
    uint64_t queued_async;
    uint64_t delayed;
    uint64_t loops;
    uint64_t async_open;
    uint64_t threads_started;
    uint64_t wakes;
    uint64_t steals;
    uint64_t loop_delays;
    execq_latency loop_lag;
    execq_latency loop_turn;
} execq_stats_216;
_Static_assert(sizeof(execq_stats_216) == 216, "execq_stats_216");
V1_SAME(execq_stats_216, execq_stats, struct_size);
V1_SAME(execq_stats_216, execq_stats, flags);
V1_SAME(execq_stats_216, execq_stats, workers);
V1_SAME(execq_stats_216, execq_stats, workers_max);
V1_SAME(execq_stats_216, execq_stats, worker_size);
V1_SAME(execq_stats_216, execq_stats, reserved);
V1_SAME(execq_stats_216, execq_stats, workers_count);
V1_SAME(execq_stats_216, execq_stats, workers_total);
V1_SAME(execq_stats_216, execq_stats, threads);
V1_SAME(execq_stats_216, execq_stats, idle);
V1_SAME(execq_stats_216, execq_stats, running);
V1_SAME(execq_stats_216, execq_stats, threads_max);
V1_SAME(execq_stats_216, execq_stats, queued);
V1_SAME(execq_stats_216, execq_stats, queued_async);
V1_SAME(execq_stats_216, execq_stats, delayed);
V1_SAME(execq_stats_216, execq_stats, loops);
V1_SAME(execq_stats_216, execq_stats, async_open);
V1_SAME(execq_stats_216, execq_stats, threads_started);
V1_SAME(execq_stats_216, execq_stats, wakes);
V1_SAME(execq_stats_216, execq_stats, steals);
V1_SAME(execq_stats_216, execq_stats, loop_delays);
V1_SAME(execq_stats_216, execq_stats, loop_lag);
V1_SAME(execq_stats_216, execq_stats, loop_turn);

typedef struct execq_stats_376 {
    uint32_t struct_size;
    uint32_t flags;
    execq_worker_stats *workers;
    uint64_t workers_max;
    uint32_t worker_size;
    uint32_t reserved;
    uint64_t workers_count;
    uint64_t workers_total;
    uint64_t threads;
    uint64_t idle;
    uint64_t running;
    uint64_t threads_max;
    uint64_t queued;
    uint64_t queued_async;
    uint64_t delayed;
    uint64_t loops;
    uint64_t async_open;
    uint64_t threads_started;
    uint64_t wakes;
    uint64_t steals;
    uint64_t loop_delays;
    execq_latency loop_lag;
    execq_latency loop_turn;
    uint64_t spares;
    uint64_t most_spares;
    uint64_t blocked;
    uint64_t blocking_hints;
    uint64_t waits_in_place;
    uint64_t waits_compensated;
    uint64_t waits_refused;
    uint64_t submitted;
    uint64_t started;
    uint64_t completed_ok;
    uint64_t completed_failed;
    uint64_t completed_canceled;
    execq_latency queue_latency;
    execq_latency run_time;
} execq_stats_376;
_Static_assert(sizeof(execq_stats_376) == 376, "execq_stats_376");
V1_SAME(execq_stats_376, execq_stats, struct_size);
V1_SAME(execq_stats_376, execq_stats, flags);
V1_SAME(execq_stats_376, execq_stats, workers);
V1_SAME(execq_stats_376, execq_stats, workers_max);
V1_SAME(execq_stats_376, execq_stats, worker_size);
V1_SAME(execq_stats_376, execq_stats, reserved);
V1_SAME(execq_stats_376, execq_stats, workers_count);
V1_SAME(execq_stats_376, execq_stats, workers_total);
V1_SAME(execq_stats_376, execq_stats, threads);
V1_SAME(execq_stats_376, execq_stats, idle);
V1_SAME(execq_stats_376, execq_stats, running);
V1_SAME(execq_stats_376, execq_stats, threads_max);
V1_SAME(execq_stats_376, execq_stats, queued);
V1_SAME(execq_stats_376, execq_stats, queued_async);
V1_SAME(execq_stats_376, execq_stats, delayed);
V1_SAME(execq_stats_376, execq_stats, loops);
V1_SAME(execq_stats_376, execq_stats, async_open);
V1_SAME(execq_stats_376, execq_stats, threads_started);
V1_SAME(execq_stats_376, execq_stats, wakes);
V1_SAME(execq_stats_376, execq_stats, steals);
V1_SAME(execq_stats_376, execq_stats, loop_delays);
V1_SAME(execq_stats_376, execq_stats, loop_lag);
V1_SAME(execq_stats_376, execq_stats, loop_turn);
V1_SAME(execq_stats_376, execq_stats, spares);
V1_SAME(execq_stats_376, execq_stats, most_spares);
V1_SAME(execq_stats_376, execq_stats, blocked);
V1_SAME(execq_stats_376, execq_stats, blocking_hints);
V1_SAME(execq_stats_376, execq_stats, waits_in_place);
V1_SAME(execq_stats_376, execq_stats, waits_compensated);
V1_SAME(execq_stats_376, execq_stats, waits_refused);
V1_SAME(execq_stats_376, execq_stats, submitted);
V1_SAME(execq_stats_376, execq_stats, started);
V1_SAME(execq_stats_376, execq_stats, completed_ok);
V1_SAME(execq_stats_376, execq_stats, completed_failed);
V1_SAME(execq_stats_376, execq_stats, completed_canceled);
V1_SAME(execq_stats_376, execq_stats, queue_latency);
V1_SAME(execq_stats_376, execq_stats, run_time);
#define EXECQ_STATS_SIZES 216, 272, 376

typedef struct execq_error_options_56 {
    uint32_t struct_size;
    uint32_t flags;
    execq_drop_fn drop;
    void *payload;
    const void *kind;
    const char *message;
    const execq_error *cause;
    int32_t code;
    uint32_t reserved;
} execq_error_options_56;
_Static_assert(sizeof(execq_error_options_56) == 56, "execq_error_options_56");
V1_SAME(execq_error_options_56, execq_error_options, struct_size);
V1_SAME(execq_error_options_56, execq_error_options, flags);
V1_SAME(execq_error_options_56, execq_error_options, drop);
V1_SAME(execq_error_options_56, execq_error_options, payload);
V1_SAME(execq_error_options_56, execq_error_options, kind);
V1_SAME(execq_error_options_56, execq_error_options, message);
V1_SAME(execq_error_options_56, execq_error_options, cause);
V1_SAME(execq_error_options_56, execq_error_options, code);
V1_SAME(execq_error_options_56, execq_error_options, reserved);
#define EXECQ_ERROR_OPTIONS_SIZES 56

typedef struct execq_var_options_24 {
    uint32_t struct_size;
    uint32_t flags;
    execq_drop_fn drop;
    const char *name;
} execq_var_options_24;
_Static_assert(sizeof(execq_var_options_24) == 24, "execq_var_options_24");
V1_SAME(execq_var_options_24, execq_var_options, struct_size);
V1_SAME(execq_var_options_24, execq_var_options, flags);
V1_SAME(execq_var_options_24, execq_var_options, drop);
V1_SAME(execq_var_options_24, execq_var_options, name);
#define EXECQ_VAR_OPTIONS_SIZES 24

typedef struct execq_context_provider_56 {
    uint32_t struct_size;
    uint32_t flags;
    const char *name;
    execq_status (*capture)(void *env, void **state);
    execq_status (*enter)(void *env, void *state, void **entered);
    void (*leave)(void *env, void *state, void *entered);
    void (*release)(void *env, void *state);
    void *env;
} execq_context_provider_56;
_Static_assert(sizeof(execq_context_provider_56) == 56, "execq_context_provider_56");
V1_SAME(execq_context_provider_56, execq_context_provider, struct_size);
V1_SAME(execq_context_provider_56, execq_context_provider, flags);
V1_SAME(execq_context_provider_56, execq_context_provider, name);
V1_SAME(execq_context_provider_56, execq_context_provider, capture);
V1_SAME(execq_context_provider_56, execq_context_provider, enter);
V1_SAME(execq_context_provider_56, execq_context_provider, leave);
V1_SAME(execq_context_provider_56, execq_context_provider, release);
V1_SAME(execq_context_provider_56, execq_context_provider, env);
#define EXECQ_CONTEXT_PROVIDER_SIZES 56

typedef struct execq_group_options_48 {
    uint32_t struct_size;
    uint32_t flags;
    const char *name;
    execq_group *parent;
    execq_executor *executor;
    int64_t timeout_ns;
    uint32_t max_in_flight;
    uint32_t reserved;
} execq_group_options_48;
_Static_assert(sizeof(execq_group_options_48) == 48, "execq_group_options_48");
V1_SAME(execq_group_options_48, execq_group_options, struct_size);
V1_SAME(execq_group_options_48, execq_group_options, flags);
V1_SAME(execq_group_options_48, execq_group_options, name);
V1_SAME(execq_group_options_48, execq_group_options, parent);
V1_SAME(execq_group_options_48, execq_group_options, executor);
V1_SAME(execq_group_options_48, execq_group_options, timeout_ns);
V1_SAME(execq_group_options_48, execq_group_options, max_in_flight);
V1_SAME(execq_group_options_48, execq_group_options, reserved);

typedef struct execq_group_options_56 {
    uint32_t struct_size;
    uint32_t flags;
    const char *name;
    execq_group *parent;
    execq_executor *executor;
    int64_t timeout_ns;
    uint32_t max_in_flight;
    uint32_t reserved;
    execq_cancel_source *cancel_source;
} execq_group_options_56;
_Static_assert(sizeof(execq_group_options_56) == 56, "execq_group_options_56");
V1_SAME(execq_group_options_56, execq_group_options, struct_size);
V1_SAME(execq_group_options_56, execq_group_options, flags);
V1_SAME(execq_group_options_56, execq_group_options, name);
V1_SAME(execq_group_options_56, execq_group_options, parent);
V1_SAME(execq_group_options_56, execq_group_options, executor);
V1_SAME(execq_group_options_56, execq_group_options, timeout_ns);
V1_SAME(execq_group_options_56, execq_group_options, max_in_flight);
V1_SAME(execq_group_options_56, execq_group_options, reserved);
V1_SAME(execq_group_options_56, execq_group_options, cancel_source);
#define EXECQ_GROUP_OPTIONS_SIZES 48, 56

typedef struct execq_cancel_source_options_16 {
    uint32_t struct_size;
    uint32_t flags;
    execq_cancel_source *parent;
} execq_cancel_source_options_16;
_Static_assert(sizeof(execq_cancel_source_options_16) == 16, "execq_cancel_source_options_16");
V1_SAME(execq_cancel_source_options_16, execq_cancel_source_options, struct_size);
V1_SAME(execq_cancel_source_options_16, execq_cancel_source_options, flags);
V1_SAME(execq_cancel_source_options_16, execq_cancel_source_options, parent);
#define EXECQ_CANCEL_SOURCE_OPTIONS_SIZES 16

typedef struct execq_engine_vtable_48 {
    uint32_t struct_size;
    uint32_t flags;
    execq_drop_fn drop;
    execq_status (*submit)(void *engine, execq_engine_task *task);
    void (*cancel)(void *engine, execq_engine_task *task);
    void (*close)(void *engine, int32_t mode);
    const char *name;
} execq_engine_vtable_48;
_Static_assert(sizeof(execq_engine_vtable_48) == 48, "execq_engine_vtable_48");
V1_SAME(execq_engine_vtable_48, execq_engine_vtable, struct_size);
V1_SAME(execq_engine_vtable_48, execq_engine_vtable, flags);
V1_SAME(execq_engine_vtable_48, execq_engine_vtable, drop);
V1_SAME(execq_engine_vtable_48, execq_engine_vtable, submit);
V1_SAME(execq_engine_vtable_48, execq_engine_vtable, cancel);
V1_SAME(execq_engine_vtable_48, execq_engine_vtable, close);
V1_SAME(execq_engine_vtable_48, execq_engine_vtable, name);
#define EXECQ_ENGINE_VTABLE_SIZES 48

typedef struct execq_engine_task_info_48 {
    uint32_t struct_size;
    uint32_t flags;
    const char *name;
    uint64_t key;
    int32_t priority;
    uint32_t begun;
    execq_fn fn;
    void *env;
} execq_engine_task_info_48;
_Static_assert(sizeof(execq_engine_task_info_48) == 48, "execq_engine_task_info_48");
V1_SAME(execq_engine_task_info_48, execq_engine_task_info, struct_size);
V1_SAME(execq_engine_task_info_48, execq_engine_task_info, flags);
V1_SAME(execq_engine_task_info_48, execq_engine_task_info, name);
V1_SAME(execq_engine_task_info_48, execq_engine_task_info, key);
V1_SAME(execq_engine_task_info_48, execq_engine_task_info, priority);
V1_SAME(execq_engine_task_info_48, execq_engine_task_info, begun);
V1_SAME(execq_engine_task_info_48, execq_engine_task_info, fn);
V1_SAME(execq_engine_task_info_48, execq_engine_task_info, env);
#define EXECQ_ENGINE_TASK_INFO_SIZES 48

typedef struct execq_task_event_80 {
    uint32_t struct_size;
    uint32_t outcome;
    uint64_t task;
    uint64_t parent;
    const char *name;
    const char *executor;
    int32_t worker;
    int32_t code;
    int64_t thread;
    int64_t submitted_ns;
    int64_t started_ns;
    int64_t ended_ns;
} execq_task_event_80;
_Static_assert(sizeof(execq_task_event_80) == 80, "execq_task_event_80");
V1_SAME(execq_task_event_80, execq_task_event, struct_size);
V1_SAME(execq_task_event_80, execq_task_event, outcome);
V1_SAME(execq_task_event_80, execq_task_event, task);
V1_SAME(execq_task_event_80, execq_task_event, parent);
V1_SAME(execq_task_event_80, execq_task_event, name);
V1_SAME(execq_task_event_80, execq_task_event, executor);
V1_SAME(execq_task_event_80, execq_task_event, worker);
V1_SAME(execq_task_event_80, execq_task_event, code);
V1_SAME(execq_task_event_80, execq_task_event, thread);
V1_SAME(execq_task_event_80, execq_task_event, submitted_ns);
V1_SAME(execq_task_event_80, execq_task_event, started_ns);
V1_SAME(execq_task_event_80, execq_task_event, ended_ns);
#define EXECQ_TASK_EVENT_SIZES 80

typedef struct execq_hooks_48 {
    uint32_t struct_size;
    uint32_t flags;
    execq_drop_fn drop;
    void *env;
    execq_task_hook on_submit;
    execq_task_hook on_start;
    execq_task_hook on_end;
} execq_hooks_48;
_Static_assert(sizeof(execq_hooks_48) == 48, "execq_hooks_48");
V1_SAME(execq_hooks_48, execq_hooks, struct_size);
V1_SAME(execq_hooks_48, execq_hooks, flags);
V1_SAME(execq_hooks_48, execq_hooks, drop);
V1_SAME(execq_hooks_48, execq_hooks, env);
V1_SAME(execq_hooks_48, execq_hooks, on_submit);
V1_SAME(execq_hooks_48, execq_hooks, on_start);
V1_SAME(execq_hooks_48, execq_hooks, on_end);
#define EXECQ_HOOKS_SIZES 48

typedef struct execq_stuck_info_56 {
    uint32_t struct_size;
    uint32_t kind;
    uint32_t ended;
    int32_t worker;
    uint64_t task;
    const char *name;
    const char *executor;
    int64_t running_ns;
    int64_t thread;
} execq_stuck_info_56;
_Static_assert(sizeof(execq_stuck_info_56) == 56, "execq_stuck_info_56");
V1_SAME(execq_stuck_info_56, execq_stuck_info, struct_size);
V1_SAME(execq_stuck_info_56, execq_stuck_info, kind);
V1_SAME(execq_stuck_info_56, execq_stuck_info, ended);
V1_SAME(execq_stuck_info_56, execq_stuck_info, worker);
V1_SAME(execq_stuck_info_56, execq_stuck_info, task);
V1_SAME(execq_stuck_info_56, execq_stuck_info, name);
V1_SAME(execq_stuck_info_56, execq_stuck_info, executor);
V1_SAME(execq_stuck_info_56, execq_stuck_info, running_ns);
V1_SAME(execq_stuck_info_56, execq_stuck_info, thread);
#define EXECQ_STUCK_INFO_SIZES 56

typedef struct execq_manual_options_32 {
    uint32_t struct_size;
    uint32_t flags;
    uint64_t seed;
    const char *name;
    uint32_t capacity;
    uint32_t full_policy;
} execq_manual_options_32;
_Static_assert(sizeof(execq_manual_options_32) == 32, "execq_manual_options_32");
V1_SAME(execq_manual_options_32, execq_manual_options, struct_size);
V1_SAME(execq_manual_options_32, execq_manual_options, flags);
V1_SAME(execq_manual_options_32, execq_manual_options, seed);
V1_SAME(execq_manual_options_32, execq_manual_options, name);
V1_SAME(execq_manual_options_32, execq_manual_options, capacity);
V1_SAME(execq_manual_options_32, execq_manual_options, full_policy);
#define EXECQ_MANUAL_OPTIONS_SIZES 32

#endif
