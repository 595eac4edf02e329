/* Traces by way of the C functions: their statuses, and whose tasks are in them. tests/trace judges what is in the files. */
#include "capi.h"

#include <execq/trace.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[] = "/tmp/execq-trace-XXXXXX";
static char path[64];

static int make_folder(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "%s/trace.json", mkdtemp(folder));
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static char text[1 << 16];

/* What is in the file, all of it. */
static const char *content(void)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static int times_in(const char *where, const char *what)
{
    int n = 0;
    for (const char *at = strstr(where, what); at != NULL; at = strstr(at + 1, what)) {
        n++;
    }
    return n;
}

static int runs(void) { return times_in(content(), "\"ph\":\"B\""); }

static void a_file_that_cannot_be_written_is_refused(void **state)
{
    (void)state;
    char name[128];
    assert_status(execq_trace_start(NULL), EXECQ_EINVAL);
    assert_status(execq_trace_start(""), EXECQ_EINVAL);
    snprintf(name, sizeof name, "%s/no/trace.json", folder);
    assert_status(execq_trace_start(name), EXECQ_EUNWRITABLE);
    assert_int_equal(errno, ENOENT);
    assert_status(execq_trace_start(folder), EXECQ_EUNWRITABLE);
    assert_int_equal(errno, EISDIR);
    snprintf(name, sizeof name, "%s/pipe", folder);
    assert_int_equal(mkfifo(name, 0600), 0);
    const int reader = open(name, O_RDONLY | O_NONBLOCK); /* a writer could be opened */
    assert_status(execq_trace_start(name), EXECQ_EUNWRITABLE);
    close(reader);
    assert_status(execq_trace_start(name), EXECQ_EUNWRITABLE);
    unlink(name);
    assert_status(execq_trace_stop(), EXECQ_EALREADY);
}

static void there_is_one_trace_at_a_time(void **state)
{
    (void)state;
    assert_status(execq_trace_stop(), EXECQ_EALREADY);
    assert_status(execq_trace_start(path), EXECQ_OK);
    assert_status(execq_trace_start("/dev/null"), EXECQ_EALREADY);
    assert_status(execq_trace_stop(), EXECQ_OK);
    assert_status(execq_trace_stop(), EXECQ_EALREADY);
    assert_int_equal(strncmp(content(), "[\n{", 3), 0);
    assert_string_equal(text + strlen(text) - 4, "}\n]\n");
    assert_status(execq_trace_start(path), EXECQ_OK);
    assert_status(execq_trace_stop(), EXECQ_OK);
}

static void executors_that_are_made_during_a_trace_are_traced_then_and_later(void **state)
{
    (void)state;
    execq_executor *before = pool_new(1);
    assert_status(execq_trace_start(path), EXECQ_OK);
    execq_executor *during = pool_new(1);
    finish(spawn(before, do_nothing, NULL));
    finish(spawn(during, do_nothing, NULL));
    finish(spawn(during, do_nothing, NULL));
    assert_status(execq_trace_stop(), EXECQ_OK);
    assert_int_equal(runs(), 2);

    finish(spawn(during, do_nothing, NULL));
    assert_int_equal(runs(), 2);
    assert_status(execq_trace_start(path), EXECQ_OK);
    finish(spawn(during, do_nothing, NULL));
    assert_status(execq_trace_stop(), EXECQ_OK);
    assert_int_equal(runs(), 1);
    pool_end(before);
    pool_end(during);
}

/* A device that is full takes nothing: the trace ends all the same, tasks do not notice. */
static void what_cannot_be_written_is_told_at_the_stop(void **state)
{
    (void)state;
    assert_status(execq_trace_start("/dev/full"), EXECQ_OK);
    execq_executor *pool = pool_new(1);
    for (int i = 0; i < 1000; i++) {
        finish(spawn(pool, do_nothing, NULL));
    }
    pool_end(pool);
    assert_status(execq_trace_stop(), EXECQ_EUNWRITABLE);
    assert_status(execq_trace_stop(), EXECQ_EALREADY);
    assert_status(execq_trace_start(path), EXECQ_OK);
    assert_status(execq_trace_stop(), EXECQ_OK);
}

/* One that goes over the size which one buffer has, many times. */
static void all_of_a_long_trace_is_in_its_file(void **state)
{
    (void)state;
    enum { TASKS = 5000 };
    assert_status(execq_trace_start(path), EXECQ_OK);
    execq_executor *pool = pool_new(2);
    for (int i = 0; i < TASKS; i++) {
        finish(spawn(pool, do_nothing, NULL));
    }
    pool_end(pool);
    assert_status(execq_trace_stop(), EXECQ_OK);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int bodies = 0;
    int ends = 0;
    while (fgets(text, sizeof text, file) != NULL) {
        bodies += times_in(text, "\"ph\":\"B\"");
        ends += times_in(text, "\"ph\":\"f\"");
    }
    fclose(file);
    assert_int_equal(bodies, TASKS);
    assert_int_equal(ends, TASKS);
}

/* The sanitizers' own threads do not survive a fork. */
static void a_child_leaves_the_trace_of_its_parent_alone(void **state)
{
    (void)state;
    if (SANITIZED) {
        skip();
    }
    char name[96];
    snprintf(name, sizeof name, "%s/child.%%p.json", folder);
    assert_status(execq_trace_start(path), EXECQ_OK);
    execq_executor *pool = pool_new(1);
    finish(spawn(pool, do_nothing, NULL));
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) { /* exit() writes nothing of the parent's, and stops its own */
        if (execq_trace_stop() != EXECQ_EALREADY || execq_trace_start(name) != EXECQ_OK)
            _exit(1);
        execq_executor *own = NULL;
        if (execq_executor_new(NULL, &own) != EXECQ_OK || execq_submit(own, do_nothing, NULL, NULL) != EXECQ_OK)
            _exit(2);
        exit(0);
    }
    int status = -1;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    assert_int_equal(status, 0);
    finish(spawn(pool, do_nothing, NULL));
    pool_end(pool);
    assert_status(execq_trace_stop(), EXECQ_OK);
    assert_int_equal(runs(), 2);
    assert_int_equal(times_in(content(), "\n]\n"), 1);
    snprintf(name, sizeof name, "%s/child.%d.json", folder, (int)child);
    assert_int_equal(access(name, R_OK), 0);
    unlink(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_cannot_be_written_is_refused),
        cmocka_unit_test(there_is_one_trace_at_a_time),
        cmocka_unit_test(executors_that_are_made_during_a_trace_are_traced_then_and_later),
        cmocka_unit_test(what_cannot_be_written_is_told_at_the_stop),
        cmocka_unit_test(all_of_a_long_trace_is_in_its_file),
        cmocka_unit_test(a_child_leaves_the_trace_of_its_parent_alone),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
