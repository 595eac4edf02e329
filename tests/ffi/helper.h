/* The helper library's functions. Declarations only and no preprocessor lines: helper.c includes this file, LuaJIT and
 * the Node test parse it as it is. */

/* Tasks. */
int32_t helper_fib(void *env, void **result);
int32_t helper_fail(void *env, void **result);

/* Tasks that stay in their body until helper_gate_open. helper_gate_await returns once one of them is there. */
int32_t helper_gate(void *env, void **result);
int32_t helper_gated_fib_at(void *env, void **result);
void helper_gate_init(void);
void helper_gate_await(void);
void helper_gate_open(void);

/* Callbacks, and what they counted since helper_tally_begin. */
void helper_count_done(execq_future *future, void *env);
void helper_count_drop(void *env);
void helper_tally_begin(void);
uint64_t helper_tally_done(void);
uint64_t helper_tally_dropped(void);
uint64_t helper_tally_wrong(void);

void *helper_sym(void *env, const char *name);
uint64_t helper_sizeof(const char *type);
