#include "flow/uv_table.h"

#include <cstddef>
#include <cstdint>
#include <uv.h>

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

    bool complete() const { return complete_; }

private:
    execq_symbol_fn symbol_;
    void* env_;
    bool complete_ = true;
};

}  // namespace

execq_status load_uv_table(execq_symbol_fn symbol, void* env, execq_uv_table* out)
{
    Lookup lookup(symbol, env);
    const auto version = lookup.find<unsigned (*)()>("uv_version");
    const auto identity = lookup.find<const char* (*)()>("uv_version_string");
    const auto loop_size = lookup.find<std::size_t (*)()>("uv_loop_size");
    const auto handle_size = lookup.find<std::size_t (*)(uv_handle_type)>("uv_handle_size");
    execq_uv_table table{};
    table.struct_size = sizeof table;
    table.async_init = lookup.find<decltype(table.async_init)>("uv_async_init");
    table.async_send = lookup.find<decltype(table.async_send)>("uv_async_send");
    table.close = lookup.find<decltype(table.close)>("uv_close");
    table.ref = lookup.find<decltype(table.ref)>("uv_ref");
    table.unref = lookup.find<decltype(table.unref)>("uv_unref");
    if (!lookup.complete() || version() < oldest_uv)
        return EXECQ_ENOTSUP;
    table.version = version();
    table.identity = identity();
    table.loop_size = loop_size();
    table.async_size = handle_size(UV_ASYNC);
    *out = table;
    return EXECQ_OK;
}

const execq_uv_table& own_uv_table()
{
    static const execq_uv_table table = {sizeof(execq_uv_table),
                                         0,
                                         uv_version(),
                                         0,
                                         uv_version_string(),
                                         uv_loop_size(),
                                         uv_handle_size(UV_ASYNC),
                                         uv_async_init,
                                         uv_async_send,
                                         uv_close,
                                         uv_ref,
                                         uv_unref};
    return table;
}

execq_status check_uv_table(const execq_uv_table& table)
{
    const bool complete = table.identity != nullptr && table.loop_size != 0 && table.async_size != 0 &&
                          table.async_init != nullptr && table.async_send != nullptr && table.close != nullptr &&
                          table.ref != nullptr && table.unref != nullptr;
    if (!complete)
        return EXECQ_EINVAL;
    return table.version < oldest_uv ? EXECQ_ENOTSUP : EXECQ_OK;
}

}  // namespace execq::core
