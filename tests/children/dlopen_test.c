/* A host that does not know the library: it loads and unloads it, and plug-ins that are linked to it, again and again and from
 * several threads, while executors live. The library itself stays (-z nodelete), plug-ins go. */
#include "capi.h"

#include <dlfcn.h>

#include "child.h"
#include "plugin.h"

enum { CODE = 7 };

static char text[4096];

static void in_child(void (*act)(void *env), void *env)
{
    child_exits(act, env, CODE, text, sizeof text);
    assert_string_equal(text, "");
}

static void *load(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        fprintf(stderr, "%s\n", dlerror());
    }
    must(library != NULL);
    return library;
}

static void unload(void *library) { must(dlclose(library) == 0); }

static int is_loaded(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);
    if (library != NULL) {
        unload(library);
    }
    return library != NULL;
}

/* A function of a library, as the pointer type of *function has it. */
static void find(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    must(symbol != NULL);
    memcpy(function, &symbol, sizeof symbol);
}

/* ---- the library ---- */

typedef struct functions {
    execq_status (*executor_new)(const execq_executor_options *options, execq_executor **out);
    execq_status (*executor_close)(execq_executor *executor, int32_t mode);
    execq_status (*executor_join)(execq_executor *executor, int64_t timeout_ns, execq_shutdown_report *report);
    void (*executor_release)(execq_executor *executor);
    execq_status (*submit)(execq_executor *executor, execq_fn fn, void *env, execq_future **out);
} functions;

static void find_all(void *library, functions *f)
{
    find(library, "execq_executor_new", &f->executor_new);
    find(library, "execq_executor_close", &f->executor_close);
    find(library, "execq_executor_join", &f->executor_join);
    find(library, "execq_executor_release", &f->executor_release);
    find(library, "execq_submit", &f->submit);
}

static counter ran;

enum { LOADERS = 4, TASKS = 20 };

/* Every other time the threads are left to end by themselves, long after the library was unloaded. */
static void *load_and_unload(void *env)
{
    const int rounds = *(int *)env;
    for (int round = 0; round < rounds; round++) {
        functions f;
        void *library = load(LIBEXECQ);
        find_all(library, &f);
        execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
        execq_executor *executor = NULL;
        options.max_threads = 2;
        must(f.executor_new(&options, &executor) == EXECQ_OK);
        for (int i = 0; i < TASKS; i++) {
            must(f.submit(executor, counter_fn, &ran, NULL) == EXECQ_OK);
        }
        if (round % 2 == 0) {
            must(f.executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
            must(f.executor_join(executor, -1, NULL) == EXECQ_OK);
        }
        f.executor_release(executor);
        unload(library);
        must(is_loaded(LIBEXECQ));
    }
    return NULL;
}

static void load_from_threads(void *env)
{
    pthread_t threads[LOADERS];
    for (int i = 0; i < LOADERS; i++) {
        threads[i] = thread_start(load_and_unload, env);
    }
    for (int i = 0; i < LOADERS; i++) {
        must(pthread_join(threads[i], NULL) == 0);
    }
    while (counter_get(&ran) != LOADERS * TASKS * *(int *)env) {
        sched_yield();
    }
    exit(CODE);
}

static void several_threads_load_and_unload_the_library_under_its_own_threads(void **state)
{
    (void)state;
    int rounds = SCALED(50, 10);
    in_child(load_from_threads, &rounds);
}

/* ---- plug-ins ---- */

typedef struct plugin {
    void *library;
    execq_executor *(*start)(int *ran);
    execq_executor *(*arm)(int *ended);
    void (*stop)(execq_executor *executor);
    void (*keep)(int *ran);
} plugin;

static plugin plugin_load(void)
{
    plugin p;
    p.library = load(PLUGIN);
    find(p.library, "plugin_start", &p.start);
    find(p.library, "plugin_arm", &p.arm);
    find(p.library, "plugin_stop", &p.stop);
    find(p.library, "plugin_keep", &p.keep);
    return p;
}

/* Its executor lives on, idle, or ends by itself, or is used by the host. */
static void unload_before_the_end(void *env)
{
    enum { rounds = 9 };
    functions f;
    execq_executor *left[rounds];
    (void)env;
    for (int round = 0; round < rounds; round++) {
        int count = 0;
        const plugin p = plugin_load();
        left[round] = p.start(&count);
        must(__atomic_load_n(&count, __ATOMIC_RELAXED) == PLUGIN_TASKS);
        unload(p.library);
        must(!is_loaded(PLUGIN));
    }
    void *library = load(LIBEXECQ);
    find_all(library, &f);
    for (int round = 0; round < rounds; round++) {
        must(f.submit(left[round], counter_fn, &ran, NULL) == EXECQ_OK);
        if (round % 3 == 0) {
            must(f.executor_close(left[round], EXECQ_DRAIN) == EXECQ_OK);
            must(f.executor_join(left[round], -1, NULL) == EXECQ_OK);
        }
        if (round % 3 != 2) {
            f.executor_release(left[round]);
        }
    }
    while (counter_get(&ran) != rounds) {
        sched_yield();
    }
    unload(library);
    exit(CODE);
}

static void a_plugin_may_be_unloaded_while_its_executor_lives(void **state)
{
    (void)state;
    in_child(unload_before_the_end, NULL);
}

static void *start_and_stop(void *env)
{
    const int rounds = *(int *)env;
    for (int round = 0; round < rounds; round++) {
        int count = 0;
        const plugin p = plugin_load();
        p.stop(p.start(&count));
        must(count == PLUGIN_TASKS);
        unload(p.library);
    }
    return NULL;
}

static void unload_after_the_end(void *env)
{
    pthread_t threads[LOADERS];
    for (int i = 0; i < LOADERS; i++) {
        threads[i] = thread_start(start_and_stop, env);
    }
    for (int i = 0; i < LOADERS; i++) {
        must(pthread_join(threads[i], NULL) == 0);
    }
    must(!is_loaded(PLUGIN));
    exit(CODE);
}

static void a_plugin_may_be_unloaded_after_its_executor_was_joined(void **state)
{
    (void)state;
    int rounds = SCALED(50, 10);
    in_child(unload_after_the_end, &rounds);
}

static void unload_with_work(void *env)
{
    for (int round = 0; round < *(int *)env; round++) {
        int count = 0;
        const plugin p = plugin_load();
        p.keep(&count);
        unload(p.library); /* its destructor drains and joins */
        must(count == PLUGIN_TASKS);
        must(!is_loaded(PLUGIN));
    }
    exit(CODE);
}

static void a_static_destructor_of_a_plugin_may_join_while_it_is_unloaded(void **state)
{
    (void)state;
    int rounds = SCALED(50, 10);
    in_child(unload_with_work, &rounds);
}

/* The C library keeps a plug-in whose thread-local objects have to be destroyed yet. */
static void unload_with_a_thread_local(void *env)
{
    functions f;
    void *library = load(LIBEXECQ);
    (void)env;
    find_all(library, &f);
    for (int round = 0; round < 10; round++) {
        int ended = 0;
        const plugin p = plugin_load();
        execq_executor *executor = p.arm(&ended);
        unload(p.library);
        must(__atomic_load_n(&ended, __ATOMIC_ACQUIRE) == 0);
        must(f.executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
        must(f.executor_join(executor, -1, NULL) == EXECQ_OK);
        must(__atomic_load_n(&ended, __ATOMIC_ACQUIRE) == 1);
        f.executor_release(executor);
    }
    unload(library);
    exit(CODE);
}

static void thread_local_objects_of_an_unloaded_plugin_are_destroyed_when_the_worker_ends(void **state)
{
    (void)state;
    in_child(unload_with_a_thread_local, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_threads_load_and_unload_the_library_under_its_own_threads),
        cmocka_unit_test(a_plugin_may_be_unloaded_while_its_executor_lives),
        cmocka_unit_test(a_plugin_may_be_unloaded_after_its_executor_was_joined),
        cmocka_unit_test(a_static_destructor_of_a_plugin_may_join_while_it_is_unloaded),
        cmocka_unit_test(thread_local_objects_of_an_unloaded_plugin_are_destroyed_when_the_worker_ends),
    };
    return cmocka_run_group_tests_name("children.dlopen", tests, NULL, NULL);
}
