// Floor 3. A completion queue: outcomes behind one pollable descriptor.
//
// The eventfd is written on the step from empty to non-empty and cleared by drain() before it takes anything; a drain
// that leaves something behind writes it again, for pollers that watch edges. Its value means nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

#include "base/clock.h"
#include "execq/cq.h"
#include "execq/status.h"
#include "task/registration.h"

namespace execq::core {

class Cq final : public Port {
public:
    // One handle to the caller. EXECQ_OK, EXECQ_ENOMEM, EXECQ_EMFILE.
    static execq_status make(Cq** out);

    void retain() { handles_.fetch_add(1, std::memory_order_relaxed); }
    void release();

    int fd() const { return fd_; }
    // EXECQ_OK or EXECQ_ECLOSED.
    execq_status drain(execq_completion* out, std::size_t max, std::size_t* n);
    // EXECQ_OK, EXECQ_ETIMEDOUT, EXECQ_ECLOSED.
    execq_status wait(Deadline deadline);
    // EXECQ_OK or EXECQ_EALREADY.
    execq_status close(execq_drop_fn drop_tag);

    bool begin_use() override;
    void end_use() override;
    void deliver(Registration& registration) noexcept override;
    bool lists_all() const override { return true; }

private:
    explicit Cq(int fd) : fd_(fd) {}
    ~Cq() override;
    void signal() const;
    struct Arrival;
    execq_status await_signal(Deadline deadline);
    void clear() const;

    const int fd_;  // owned
    // Done and not yet drained. Their records are off the list.
    Fifo<Registration> ready_ EXECQ_GUARDED_BY(mutex_);
    // Set by close(); read without the mutex to refuse early.
    std::atomic<bool> closed_{false};
    std::atomic<std::uint32_t> handles_{1};
    // The handles together, and each registration not yet over; the last one frees.
    std::atomic<std::uint64_t> uses_{1};
};

inline execq_cq* handle_of(Cq* cq) { return reinterpret_cast<execq_cq*>(cq); }
inline Cq* core_of(execq_cq* cq) { return reinterpret_cast<Cq*>(cq); }

}  // namespace execq::core
