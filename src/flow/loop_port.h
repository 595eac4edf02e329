// Floor 3. A port onto a caller's uv loop: completions and tasks are posted by any thread and run on the loop's thread.
//
// Life and keep-alive are one word, uses_ (see port_uses.h). While a batch of callbacks runs, what they register is counted on
// the side, and uses_ is written once, at the end of the batch. A task is one use until it has run, or, where it is an
// asynchronous one, until its promise is completed.
//
// The handle starts referenced with a wake on its way: the first iteration tells which thread runs the loop, and only
// then is the handle unreferenced. Without that, a registration on the attaching thread could race with a loop that is
// already run by another one.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>

#include "base/mailbox.h"
#include "base/thread_waits.h"
#include "execq/loop.h"
#include "flow/lift_stack.h"
#include "flow/port_uses.h"
#include "task/node.h"
#include "task/registration.h"
#include "task/this_thread.h"

namespace execq::core {

class LoopPort final : public Port, public Hook {  // Hook: the list of attached ports
public:
    // Loop thread. One handle to the caller. The table is complete and is copied.
    static execq_status attach(uv_loop_s* loop, const execq_uv_table& table, LoopPort** out);

    // Whether the calling thread is the loop's thread of any attached port, those of one loop left out.
    static bool this_thread_has_any(const uv_loop_s* but);

    // Loop thread. EXECQ_OK or EXECQ_EALREADY.
    execq_status detach();
    // Any thread. EXECQ_OK, EXECQ_ECLOSED, and for unhold EXECQ_EINVAL.
    execq_status hold();
    execq_status unhold();
    void retain() { handles_.fetch_add(1, std::memory_order_relaxed); }
    void release();

    // Any thread. Has the task run on the loop's thread; takes a reference over where it answers EXECQ_OK, else
    // EXECQ_ECLOSED.
    execq_status submit(Node& node);
    bool attached() const { return uses_.attached(); }
    bool on_loop_thread() const { return uses_.runs_on(std::this_thread::get_id()); }
    // Any thread. True if the loop's thread is blocked in a wait of ours right now, or drives another loop in one.
    bool thread_is_blocked();

    bool begin_use() override
    {
        if (this_thread.working_port != this)
            return begin_use_anywhere(Wake::if_needed);
        if (!attached())
            return false;
        ++begun_;
        return true;
    }
    void end_use() override;
    void add_guest() override { uses_.enter(); }
    void end_guest() override { give_up(Uses::guest_unit); }
    void deliver(Registration& registration) noexcept override;
    bool lists_all() const override { return false; }

private:
    using Uses = PortUses<std::thread::id>;
    static constexpr unsigned batch = 256;  // callbacks, and tasks, per wake, so that timers and sockets get their turn

    LoopPort(uv_loop_s* loop, const execq_uv_table& table) : uv_(table), loop_(loop) {}
    ~LoopPort() override;

    execq_status open();
    static void on_wake(uv_async_s* async);
    static void on_close(uv_handle_s* handle);
    uv_handle_s* handle() const { return reinterpret_cast<uv_handle_s*>(async_); }
    void send() const { uv_.async_send(async_); }
    void wake();
    bool post(Registration& registration);
    void collect(Link* posted);
    unsigned run_ready(unsigned limit);
    unsigned run_tasks(unsigned limit);
    unsigned cancel_tasks();
    void note_thread();
    void work();
    void run_batch();
    bool working() const;
    enum class Wake { if_needed, by_caller };
    bool begin_use_anywhere(Wake how);
    void end_use_anywhere();
    void reference(bool wanted);
    void give_up(std::uint64_t units);

    const execq_uv_table uv_;
    uv_loop_s* const loop_;
    uv_async_s* async_ = nullptr;  // owned, with a pointer to this port before it; freed by on_close
    // On lines of their own: workers write the one, the loop's thread looks at the other for each task.
    alignas(64) Mailbox<> mailbox_;
    LiftStack lifts_;

    alignas(64) Uses uses_{std::this_thread::get_id()};
    std::atomic<std::uint32_t> handles_{1};
    // Set by release() of the last handle while attached: the loop detaches itself.
    std::atomic<bool> abandoned_{false};
    // Each is also counted in uses_; detach gives up what is left of them.
    std::uint32_t holds_ EXECQ_GUARDED_BY(mutex_) = 0;
    // Of the loop's thread, with one reference; null where memory was out.
    ThreadWaits* thread_waits_ EXECQ_GUARDED_BY(mutex_) = nullptr;

    // ---- the loop's thread only ----
    Fifo<Registration> ready_;
    TaskFifo tasks_;
    const ThreadWaits* noted_waits_ = nullptr;  // what thread_waits_ is
    bool referenced_ = true;
    // Uses begun during this batch, less those that ended in their own call; not yet in uses_.
    std::uint64_t begun_ = 0;
};

inline execq_loop* handle_of(LoopPort* port) { return reinterpret_cast<execq_loop*>(port); }
inline LoopPort* core_of(execq_loop* loop) { return reinterpret_cast<LoopPort*>(loop); }

}  // namespace execq::core
