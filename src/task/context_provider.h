// Floor 1. Contexts of other kinds: the tables of their functions, and what these captured together.
//
// Tables are added and never removed, so a count is all that a reader needs: those below it stay as they are.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "execq/context.h"
#include "execq/status.h"

namespace execq::core {

inline constexpr std::size_t max_providers = 8;

// Raised by add_provider() once the table is in place; read by every capture.
inline constinit std::atomic<std::uint32_t> provider_count{0};

// relaxed: who goes on by it reads the count once more.
inline bool has_providers() { return provider_count.load(std::memory_order_relaxed) != 0; }

// EXECQ_OK, EXECQ_EALREADY, EXECQ_ENOTSUP, EXECQ_ENOMEM. Every function that has to be there is.
execq_status add_provider(const execq_context_provider& table);

// What the providers captured at one moment.
class Foreign {
public:
    // What has been entered on one thread, for leave().
    struct Entered {
        std::array<void*, max_providers> of;
    };

    // From this thread. EXECQ_OK: owned by the caller, null where nobody had anything. EXECQ_ENOMEM, or what a provider
    // answered.
    static execq_status capture(Foreign** out);
    // Releases the states.
    ~Foreign();
    Foreign(const Foreign&) = delete;
    Foreign& operator=(const Foreign&) = delete;

    // All or nothing. EXECQ_OK, or what a provider answered.
    execq_status enter(Entered& entered) const;
    void leave(const Entered& entered) const;

private:
    explicit Foreign(std::uint32_t count) : count_(count) {}
    void leave_first(std::uint32_t n, const Entered& entered) const;

    const std::uint32_t count_;                  // of the providers that there were
    std::array<void*, max_providers> states_{};  // null: nothing to enter
};

}  // namespace execq::core
