#include "base/uv_table.h"

#include <cerrno>
#include <cstdint>

#include "execq/uv.h"

namespace execq::core {

namespace {

constexpr std::uint32_t oldest_uv = 1U << 16 | 44U << 8;

// Looks symbols up one after the other and remembers whether one was missing.
class Lookup {
public:
    Lookup(execq_symbol_fn symbol, void* env) : symbol_(symbol), env_(env) {}

    template <class Function>
    Function find(const char* name)
    {
        void* address = symbol_(env_, name);
        complete_ = complete_ && address != nullptr;
        return reinterpret_cast<Function>(address);
    }
    template <class Function>
    void find(const char* name, Function& entry)
    {
        entry = find<Function>(name);
    }

    bool complete() const { return complete_; }

private:
    execq_symbol_fn symbol_;
    void* env_;
    bool complete_ = true;
};

void find_owning_entries(Lookup& lookup, execq_uv_table& table)
{
    lookup.find("uv_loop_init", table.loop_init);
    lookup.find("uv_loop_close", table.loop_close);
    lookup.find("uv_loop_alive", table.loop_alive);
    lookup.find("uv_backend_fd", table.backend_fd);
    lookup.find("uv_backend_timeout", table.backend_timeout);
    lookup.find("uv_run", table.run);
    lookup.find("uv_update_time", table.update_time);
    lookup.find("uv_timer_init", table.timer_init);
    lookup.find("uv_timer_start", table.timer_start);
    lookup.find("uv_timer_stop", table.timer_stop);
    lookup.find("uv_walk", table.walk);
    lookup.find("uv_is_closing", table.is_closing);
    lookup.find("uv_handle_get_type", table.handle_type);
    lookup.find("uv_handle_type_name", table.handle_type_name);
}

}  // namespace

execq_status load_uv_table(execq_symbol_fn symbol, void* env, std::size_t size, execq_uv_table* out)
{
    const bool owning = size >= owning_uv_table_size;
    Lookup lookup(symbol, env);
    const auto version = lookup.find<unsigned (*)()>("uv_version");
    const auto identity = lookup.find<const char* (*)()>("uv_version_string");
    const auto loop_size = lookup.find<std::size_t (*)()>("uv_loop_size");
    const auto handle_size = lookup.find<std::size_t (*)(uv_handle_type)>("uv_handle_size");
    execq_uv_table table{};
    table.struct_size = sizeof table;
    lookup.find("uv_async_init", table.async_init);
    lookup.find("uv_async_send", table.async_send);
    lookup.find("uv_close", table.close);
    lookup.find("uv_ref", table.ref);
    lookup.find("uv_unref", table.unref);
    if (owning)
        find_owning_entries(lookup, table);
    if (!lookup.complete() || version() < oldest_uv)
        return EXECQ_ENOTSUP;
    table.version = version();
    table.identity = identity();
    table.loop_size = loop_size();
    table.async_size = handle_size(UV_ASYNC);
    table.timer_size = owning ? handle_size(UV_TIMER) : 0;
    *out = table;
    return EXECQ_OK;
}

const execq_uv_table& own_uv_table()
{
    static const execq_uv_table table = [] {
        execq_uv_table here;
        execq_uv_table_here(&here);
        return here;
    }();
    return table;
}

// While the library is loaded: a child of fork() could not wait for another thread to do it.
[[maybe_unused]] static const execq_uv_table& made_when_loaded = own_uv_table();

execq_status check_uv_table(const execq_uv_table& table)
{
    const bool complete = table.identity != nullptr && table.loop_size != 0 && table.async_size != 0 &&
                          table.async_init != nullptr && table.async_send != nullptr && table.close != nullptr &&
                          table.ref != nullptr && table.unref != nullptr;
    if (!complete)
        return EXECQ_EINVAL;
    return table.version < oldest_uv ? EXECQ_ENOTSUP : EXECQ_OK;
}

bool can_own_loops(const execq_uv_table& table)
{
    return table.timer_size != 0 && table.loop_init != nullptr && table.loop_close != nullptr &&
           table.loop_alive != nullptr && table.backend_fd != nullptr && table.backend_timeout != nullptr &&
           table.run != nullptr && table.update_time != nullptr && table.timer_init != nullptr &&
           table.timer_start != nullptr && table.timer_stop != nullptr && table.walk != nullptr &&
           table.is_closing != nullptr && table.handle_type != nullptr && table.handle_type_name != nullptr;
}

execq_status status_of_uv(int error)
{
    switch (error) {
    case 0:
        return EXECQ_OK;
    case -ENOMEM:
        return EXECQ_ENOMEM;
    case -EMFILE:
    case -ENFILE:
        return EXECQ_EMFILE;
    default:
        return EXECQ_EINVAL;
    }
}

}  // namespace execq::core
