// Floor 4: loop.h.
#include "execq/loop.h"

#include <algorithm>
#include <cstring>

#include "base/uv_table.h"
#include "edge.h"
#include "flow/loop_port.h"

using namespace execq::core;

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
    return loop != nullptr ? guarded([&] { return core_of(loop)->detach(); }) : EXECQ_EINVAL;
}

execq_status execq_loop_hold(execq_loop *loop)
{
    return loop != nullptr ? guarded([&] { return core_of(loop)->hold(); }) : EXECQ_EINVAL;
}

execq_status execq_loop_unhold(execq_loop *loop)
{
    return loop != nullptr ? guarded([&] { return core_of(loop)->unhold(); }) : EXECQ_EINVAL;
}

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
