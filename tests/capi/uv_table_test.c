/* The table of libuv functions: how it is loaded, and which tables are refused. */
#include "capi.h"

#include <dlfcn.h>

#include "uv_loop.h"

/* What the table had in its first version: up to unref. */
enum { FIRST_SIZE = offsetof(execq_uv_table, timer_size) };

static void *find_symbol(void *env, const char *name)
{
    if (env != NULL && strcmp(env, name) == 0) {
        return NULL;
    }
    return dlsym(RTLD_DEFAULT, name);
}

static unsigned old_version(void) { return (1 << 16) | (43 << 8) | 255; }

static void *find_old_version(void *env, const char *name)
{
    if (strcmp(name, "uv_version") == 0) {
        void *address = NULL;
        unsigned (*function)(void) = old_version;
        memcpy(&address, &function, sizeof address);
        return address;
    }
    return find_symbol(env, name);
}

static void check_table_is_here(const execq_uv_table *table)
{
    execq_uv_table here;
    execq_uv_table_here(&here);
    assert_int_equal(table->struct_size, sizeof *table);
    assert_int_equal(table->flags, 0);
    assert_int_equal(table->version, uv_version());
    assert_int_equal(table->reserved, 0);
    assert_ptr_equal(table->identity, uv_version_string());
    assert_int_equal(table->loop_size, sizeof(uv_loop_t));
    assert_int_equal(table->async_size, sizeof(uv_async_t));
    assert_memory_equal(table, &here, sizeof here);
}

static void the_inline_table_is_that_of_this_program(void **state)
{
    (void)state;
    execq_uv_table table;
    memset(&table, 0x7f, sizeof table);
    execq_uv_table_here(&table);
    check_table_is_here(&table);
}

static void a_table_is_loaded_by_symbols_or_from_the_librarys_own_libuv(void **state)
{
    (void)state;
    static const execq_symbol_fn lookups[] = {find_symbol, NULL};
    for (size_t i = 0; i < COUNT_OF(lookups); i++) {
        execq_uv_table table;
        memset(&table, 0, sizeof table);
        table.struct_size = sizeof table;
        assert_status(execq_uv_table_load(&table, lookups[i], NULL), EXECQ_OK);
        check_table_is_here(&table); /* one libuv in this process */
    }
}

/* Checks that a load fails so and leaves the table as it was. */
static void check_load_fails(execq_symbol_fn lookup, const char *missing, execq_status expected)
{
    execq_uv_table table;
    execq_uv_table before;
    memset(&table, 0x7f, sizeof table);
    table.struct_size = sizeof table;
    before = table;
    char name[64] = "";
    snprintf(name, sizeof name, "%s", missing);
    assert_status(execq_uv_table_load(&table, lookup, name), expected);
    assert_memory_equal(&table, &before, sizeof table);
}

static void a_missing_symbol_or_an_old_libuv_is_not_supported(void **state)
{
    (void)state;
    static const char *const needed[] = {"uv_version",    "uv_version_string", "uv_loop_size", "uv_handle_size",
                                         "uv_async_init", "uv_async_send",     "uv_close",     "uv_ref",
                                         "uv_unref",      "uv_loop_init",      "uv_run",       "uv_timer_start",
                                         "uv_walk"};
    for (size_t i = 0; i < COUNT_OF(needed); i++) {
        check_load_fails(find_symbol, needed[i], EXECQ_ENOTSUP);
    }
    check_load_fails(find_old_version, "", EXECQ_ENOTSUP);
}

static void a_load_refuses_bad_arguments(void **state)
{
    (void)state;
    static const uint32_t sizes[] = {0, 4, 16, FIRST_SIZE - 1};
    assert_status(execq_uv_table_load(NULL, NULL, NULL), EXECQ_EINVAL);
    assert_status(execq_uv_table_load(NULL, find_symbol, NULL), EXECQ_EINVAL);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        execq_uv_table table;
        execq_uv_table before;
        memset(&table, 0x7f, sizeof table);
        table.struct_size = sizes[i];
        before = table;
        assert_status(execq_uv_table_load(&table, NULL, NULL), EXECQ_EINVAL);
        assert_status(execq_uv_table_load(&table, find_symbol, NULL), EXECQ_EINVAL);
        assert_memory_equal(&table, &before, sizeof table);
    }
}

static void a_load_writes_no_more_than_this_version_knows(void **state)
{
    (void)state;
    struct {
        execq_uv_table table;
        uint64_t later;
    } grown;
    memset(&grown, 0, sizeof grown);
    grown.table.struct_size = sizeof grown;
    assert_status(execq_uv_table_load(&grown.table, NULL, NULL), EXECQ_OK);
    assert_int_equal(grown.table.struct_size, sizeof grown);
    assert_int_equal(grown.later, 0);
    assert_ptr_equal(grown.table.identity, uv_version_string());
}

/* Finds what the first version had, and nothing that came later. */
static void *find_first_symbol(void *env, const char *name)
{
    must(strcmp(name, "uv_run") != 0 && strcmp(name, "uv_loop_init") != 0);
    return find_symbol(env, name);
}

static void a_load_into_a_table_of_the_first_size_writes_and_asks_no_more(void **state)
{
    (void)state;
    static const execq_symbol_fn lookups[] = {find_first_symbol, NULL};
    for (size_t i = 0; i < COUNT_OF(lookups); i++) {
        execq_uv_table table;
        execq_uv_table before;
        memset(&table, 0x7f, sizeof table);
        before = table;
        table.struct_size = FIRST_SIZE;
        assert_status(execq_uv_table_load(&table, lookups[i], NULL), EXECQ_OK);
        assert_int_equal(table.struct_size, FIRST_SIZE);
        assert_ptr_equal(table.identity, uv_version_string());
        assert_memory_equal((char *)&table + FIRST_SIZE, (char *)&before + FIRST_SIZE, sizeof table - FIRST_SIZE);
    }
}

/* Checks that attaching with this table is refused and leaves nothing behind. */
static void check_attach_refuses(const execq_uv_table *table, execq_status expected)
{
    uv_loop_t loop;
    execq_loop *port = UNTOUCHED;
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_status(execq_loop_attach_uv(&loop, table, &port), expected);
    assert_ptr_equal(port, UNTOUCHED);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void every_entry_of_a_table_is_needed(void **state)
{
    (void)state;
    static const size_t entries[] = {
        offsetof(execq_uv_table, identity),   offsetof(execq_uv_table, loop_size),
        offsetof(execq_uv_table, async_size), offsetof(execq_uv_table, async_init),
        offsetof(execq_uv_table, async_send), offsetof(execq_uv_table, close),
        offsetof(execq_uv_table, ref),        offsetof(execq_uv_table, unref),
    };
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        execq_uv_table table;
        execq_uv_table_here(&table);
        memset((char *)&table + entries[i], 0, sizeof(void *));
        check_attach_refuses(&table, EXECQ_EINVAL);
    }
}

static void a_table_of_an_old_libuv_is_not_supported(void **state)
{
    (void)state;
    execq_uv_table table;
    execq_uv_table_here(&table);
    table.version = old_version();
    check_attach_refuses(&table, EXECQ_ENOTSUP);
}

static int failing_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb callback)
{
    (void)loop;
    (void)async;
    (void)callback;
    return UV_EMFILE;
}

static int starving_init(uv_loop_t *loop, uv_async_t *async, uv_async_cb callback)
{
    (void)loop;
    (void)async;
    (void)callback;
    return UV_ENOMEM;
}

static void a_libuv_that_has_nothing_left_says_so(void **state)
{
    (void)state;
    execq_uv_table table;
    execq_uv_table_here(&table);
    table.async_init = failing_init;
    check_attach_refuses(&table, EXECQ_EMFILE);
    table.async_init = starving_init;
    check_attach_refuses(&table, EXECQ_ENOMEM);
}

/* Attaches by a table (NULL: the library's own), delivers once and detaches. */
static void check_attach_works(execq_uv_table *table)
{
    attached a;
    counter done = {0};
    assert_int_equal(uv_loop_init(&a.loop), 0);
    assert_status(execq_loop_attach_uv(&a.loop, table, &a.port), EXECQ_OK);
    if (table != NULL) {
        memset(table, 0, sizeof *table); /* it was copied */
    }
    execq_future *future = done_future(NULL);
    assert_status(execq_future_on_loop(future, a.port, count_done, &done, NULL), EXECQ_OK);
    assert_int_equal(uv_run(&a.loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(counter_get(&done), 1);
    execq_future_release(future);
    attached_close(&a);
}

static void a_loaded_table_an_inline_one_and_none_attach_alike(void **state)
{
    (void)state;
    execq_uv_table table = {.struct_size = sizeof table};
    assert_status(execq_uv_table_load(&table, find_symbol, NULL), EXECQ_OK);
    check_attach_works(&table);
    execq_uv_table_here(&table);
    check_attach_works(&table);
    execq_uv_table_here(&table);
    table.struct_size = FIRST_SIZE; /* attaching needs no more */
    memset((char *)&table + FIRST_SIZE, 0x7f, sizeof table - FIRST_SIZE);
    check_attach_works(&table);
    check_attach_works(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_inline_table_is_that_of_this_program),
        cmocka_unit_test(a_table_is_loaded_by_symbols_or_from_the_librarys_own_libuv),
        cmocka_unit_test(a_missing_symbol_or_an_old_libuv_is_not_supported),
        cmocka_unit_test(a_load_refuses_bad_arguments),
        cmocka_unit_test(a_load_writes_no_more_than_this_version_knows),
        cmocka_unit_test(a_load_into_a_table_of_the_first_size_writes_and_asks_no_more),
        cmocka_unit_test(every_entry_of_a_table_is_needed),
        cmocka_unit_test(a_table_of_an_old_libuv_is_not_supported),
        cmocka_unit_test(a_libuv_that_has_nothing_left_says_so),
        cmocka_unit_test(a_loaded_table_an_inline_one_and_none_attach_alike),
    };
    return cmocka_run_group_tests_name("capi.uv_table", tests, NULL, NULL);
}
