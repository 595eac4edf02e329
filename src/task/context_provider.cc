#include "task/context_provider.h"

#include <cstring>
#include <memory>
#include <new>

#include "base/annotations.h"
#include "base/immortal.h"
#include "task/guarded.h"

namespace execq::core {

namespace {

// Held to add one.
Mutex& adding()
{
    static PerProcess<Mutex> mutex;
    return *mutex;
}

[[maybe_unused]] Mutex& made_when_loaded = adding();

// A child goes on with those that were complete.
constinit std::array<execq_context_provider, max_providers> tables{};

const execq_context_provider& provider(std::uint32_t i) { return tables[i]; }

// What a function of a provider's answers, or throws.
template <class Call>
execq_status answer(const Call& call)
{
    try {
        return call();
    } catch (...) {
        if (is_thread_exit())
            throw;
        return EXECQ_EEXCEPTION;
    }
}

}  // namespace

execq_status add_provider(const execq_context_provider& table)
{
    const MutexLock lock(adding());
    const std::uint32_t n = provider_count.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < n; ++i) {
        if (tables[i].capture == table.capture && tables[i].env == table.env)
            return EXECQ_EALREADY;
    }
    if (n == max_providers)
        return EXECQ_ENOTSUP;
    char* name = nullptr;
    if (table.name != nullptr) {
        const std::size_t size = std::strlen(table.name) + 1;
        name = new (std::nothrow) char[size];
        if (name == nullptr)
            return EXECQ_ENOMEM;
        std::memcpy(name, table.name, size);
    }
    tables[n] = table;
    tables[n].name = name;
    provider_count.store(n + 1, std::memory_order_release);
    return EXECQ_OK;
}

execq_status Foreign::capture(Foreign** out)
{
    std::unique_ptr<Foreign> made(new (std::nothrow) Foreign(provider_count.load(std::memory_order_acquire)));
    if (made == nullptr)
        return EXECQ_ENOMEM;
    bool any = false;
    for (std::uint32_t i = 0; i < made->count_; ++i) {
        const execq_context_provider& table = provider(i);
        void* state = nullptr;
        const execq_status status = answer([&] { return table.capture(table.env, &state); });
        if (status != EXECQ_OK)
            return status;
        made->states_[i] = state;
        any = any || state != nullptr;
    }
    *out = any ? made.release() : nullptr;
    return EXECQ_OK;
}

Foreign::~Foreign()
{
    for (std::uint32_t i = 0; i < count_; ++i) {
        const execq_context_provider& table = provider(i);
        if (states_[i] != nullptr && table.release != nullptr)
            guarded_call("context provider's release", [&] { table.release(table.env, states_[i]); });
    }
}

execq_status Foreign::enter(Entered& entered) const
{
    for (std::uint32_t i = 0; i < count_; ++i) {
        entered.of[i] = nullptr;
        if (states_[i] == nullptr)
            continue;
        const execq_context_provider& table = provider(i);
        const execq_status status = answer([&] { return table.enter(table.env, states_[i], &entered.of[i]); });
        if (status != EXECQ_OK) {
            leave_first(i, entered);
            return status;
        }
    }
    return EXECQ_OK;
}

void Foreign::leave(const Entered& entered) const { leave_first(count_, entered); }

void Foreign::leave_first(std::uint32_t n, const Entered& entered) const
{
    while (n-- != 0) {
        const execq_context_provider& table = provider(n);
        if (states_[n] != nullptr)
            guarded_call("context provider's leave", [&] { table.leave(table.env, states_[n], entered.of[n]); });
    }
}

}  // namespace execq::core
