// Floor 4: loop.h.
#include "execq/loop.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/thread_end.h"
#include "base/uv_table.h"
#include "edge.h"
#include "flow/lift.h"
#include "flow/loop_port.h"
#include "task_options.h"

using namespace execq::core;

namespace {

// Why this thread's last execq_loop_call failed; with one reference.
thread_local constinit Error *call_failure = nullptr;

// Takes the reference. What nothing would end with the thread is not kept.
void set_call_failure(Error *error)
{
    if (error != nullptr && !AtThreadEnd::watch()) {
        error->release();
        error = Error::out_of_memory();
    }
    if (Error *before = std::exchange(call_failure, error))
        before->release();
}

[[maybe_unused]] const AtThreadEnd forget_call_failure([] { set_call_failure(nullptr); });

// A loop starts tasks in the order of their submission, on a thread that is not the library's.
bool fits_loops(const TaskSpec &spec)
{
    return !spec.times.delayed() && spec.turnstile == nullptr && spec.priority == EXECQ_PRIORITY_NORMAL &&
           !spec.interrupt;
}

}  // namespace

execq_status execq_uv_table_load(execq_uv_table *table, execq_symbol_fn sym, void *env)
{
    if (table == nullptr)
        return EXECQ_EINVAL;
    // Only its size and what lies beyond this version's fields are the caller's to set.
    execq_uv_table read;
    const execq_status status = read_options<first_uv_table_size>(table, ~std::uint32_t{0}, read);
    if (status != EXECQ_OK)
        return status;
    return guarded([&]() -> execq_status {
        execq_uv_table loaded = own_uv_table();
        const execq_status found = sym != nullptr ? load_uv_table(sym, env, table->struct_size, &loaded) : EXECQ_OK;
        if (found == EXECQ_OK) {
            loaded.struct_size = table->struct_size;
            std::memcpy(table, &loaded, std::min<std::size_t>(loaded.struct_size, sizeof loaded));
        }
        return found;
    });
}

execq_status execq_loop_attach_uv(struct uv_loop_s *loop, const execq_uv_table *table, execq_loop **out)
{
    if (loop == nullptr || out == nullptr)
        return EXECQ_EINVAL;
    execq_uv_table read;
    execq_status status = read_options<first_uv_table_size>(table != nullptr ? table : &own_uv_table(), 0, read);
    if (status == EXECQ_OK)
        status = check_uv_table(read);
    if (status != EXECQ_OK)
        return status;
    return guarded([&]() -> execq_status {
        LoopPort *port = nullptr;
        const execq_status attached = LoopPort::attach(loop, read, &port);
        if (attached == EXECQ_OK)
            *out = handle_of(port);
        return attached;
    });
}

execq_status execq_loop_detach(execq_loop *loop)
{
    const execq_status ours = check(core_of(loop));
    return ours == EXECQ_OK ? guarded([&] { return core_of(loop)->detach(); }) : ours;
}

execq_status execq_loop_hold(execq_loop *loop)
{
    const execq_status ours = check(core_of(loop));
    return ours == EXECQ_OK ? guarded([&] { return core_of(loop)->hold(); }) : ours;
}

execq_status execq_loop_unhold(execq_loop *loop)
{
    const execq_status ours = check(core_of(loop));
    return ours == EXECQ_OK ? guarded([&] { return core_of(loop)->unhold(); }) : ours;
}

execq_status execq_loop_submit(execq_loop *loop, const execq_task_options *options, execq_fn fn, void *env,
                               execq_future **out)
{
    TaskSpec spec;
    execq_status status = read_task_options(options, env, spec);
    spec.fn = fn;
    if (status == EXECQ_OK)
        status = fn != nullptr ? check(core_of(loop)) : EXECQ_EINVAL;
    if (status == EXECQ_OK && !fits_loops(spec))
        status = EXECQ_ENOTSUP;
    if (status != EXECQ_OK)
        return reject(status, drop_of(options), env);
    return guarded([&] { return lift(*core_of(loop), spec, out); });
}

execq_status execq_loop_submit_async(execq_loop *loop, const execq_task_options *options, execq_async_fn start,
                                     void *env, execq_future **out)
{
    TaskSpec spec;
    execq_status status = read_task_options(options, env, spec);
    if (status == EXECQ_OK)
        status = start != nullptr ? check(core_of(loop)) : EXECQ_EINVAL;
    if (status == EXECQ_OK && !fits_loops(spec))
        status = EXECQ_ENOTSUP;
    if (status != EXECQ_OK)
        return reject(status, drop_of(options), env);
    return guarded([&] { return lift_async(*core_of(loop), spec, start, out); });
}

execq_status execq_loop_call(execq_loop *loop, execq_fn fn, void *env, int64_t timeout_ns, void **result)
{
    set_call_failure(nullptr);
    const execq_status ours = fn != nullptr ? check(core_of(loop)) : EXECQ_EINVAL;
    if (ours != EXECQ_OK)
        return ours;
    return guarded([&] {
        Error *failure = nullptr;
        const execq_status status =
            call_on_loop(*core_of(loop), fn, env, Deadline::after(timeout_ns), result, &failure);
        set_call_failure(failure);
        return status;
    });
}

const execq_error *execq_loop_call_error(void) { return handle_of(call_failure); }

void execq_loop_retain(execq_loop *loop)
{
    if (loop != nullptr)
        core_of(loop)->retain();
}

void execq_loop_release(execq_loop *loop)
{
    if (loop != nullptr)
        core_of(loop)->release();
}
