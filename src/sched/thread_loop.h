// Floor 2. The libuv loop that a thread has of its own: at most one, made at its first use, through a libuv table.
//
// Who runs it. Its thread, by run_once() and run_nowait(); on a thread that is no worker the user may also call uv_run
// on it. uv_run is not re-entrant, so running() has to know of both. Of our own runs a flag tells. Of the user's we only
// see the beginning: our timer is due whenever we do not run the loop ourselves, and marks that somebody does. Whether
// that uv_run is still under way, the stack tells.
//
// Who wakes it. Any thread, by wake(), as long as the loop lives: the mailbox's protocol (base/mailbox.h), with pokes.
//
// Our own handles, an async for wakes and a timer for deadlines, are unreferenced, so that alive() speaks of the user's
// work alone; while we run the loop the async is referenced, as uv_run would not wait for anything otherwise.
//
// How late it is run. Once measure() was called, each turn counts for how long it was kept from beginning, and how long it
// lasts: idle_ns_ is the last moment at which the loop had what it needed, as far as is known: the end of the last turn,
// or what ended the last sleep. What that is worth is said in execq/stats.h.
//
// Its end. Only a loop without any work left is closed. One that still has handles is never closed by force, as they
// are the user's memory: at the end of its thread it is counted, put on a list, and stays as it is.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <sys/types.h>

#include "base/clock.h"
#include "base/histogram.h"
#include "base/mailbox.h"
#include "base/process.h"
#include "execq/loop.h"
#include "execq/status.h"
#include "task/registration.h"

namespace execq::core {

// What users left on loops when their threads ended.
struct LoopLeftovers {
    std::uint32_t loops = 0;                  // that could not be closed
    std::uint32_t busy_loops = 0;             // of these, without handles, but with requests under way
    std::array<std::uint32_t, 32> handles{};  // by uv_handle_type; one that is unknown here is under 0

    std::uint32_t total_handles() const;
    void add(const LoopLeftovers& other);
};

// How late a loop is run, and for how long.
struct LoopTimes {
    Histogram lag;
    Histogram turn;
};

class ThreadLoop {
public:
    ThreadLoop(const ThreadLoop&) = delete;
    ThreadLoop& operator=(const ThreadLoop&) = delete;

    // ---- the calling thread's ----
    // Null if it has none.
    static ThreadLoop* current() { return current_; }
    // Makes it if there is none. EXECQ_OK, EXECQ_ENOMEM, EXECQ_EMFILE, EXECQ_ENOTSUP (the table attaches loops only),
    // EXECQ_ECLOSED (the thread is ending).
    static execq_status open(ThreadLoop** out);
    // The libuv of a loop that is made from now on; outlives that. Null: the one that this library is linked to.
    static void use_table(const execq_uv_table* table) { table_ = table; }
    // Closes and frees it, after close callbacks that are due. EXECQ_OK, EXECQ_EALREADY (there is none), EXECQ_EBUSY
    // (running, driven, or the user's work is left: it lives on).
    static execq_status close();
    // The thread ends: closes it, or leaves it for ever, and tells what was on it then.
    static LoopLeftovers end_of_thread();

    // ---- any thread, as long as the loop lives ----
    // Ends a run_once() that blocks, or the next one.
    void wake()
    {
        mailbox_.poke([this] { send(); });
    }

    // Has the registration run on the loop's thread, wherever that runs the loop.
    bool post(Registration& registration)
    {
        return mailbox_.post(registration, [this] { send(); });
    }

    // ---- its thread only ----
    // Whose uses the posted registrations hold; it lives as long as anybody posts.
    void deliver_for(Port* port) { port_ = port; }
    Port* port() const { return port_; }
    // Gives up what was posted and has not run; nobody posts any more.
    void refuse_deliveries();
    uv_loop_s* loop() const { return loop_; }
    const execq_uv_table& table() const { return uv_; }
    // While one lives, somebody counts on the loop between its turns: it is not closed.
    class Driven {
    public:
        explicit Driven(ThreadLoop& loop) : loop_(loop) { ++loop_.drivers_; }
        ~Driven() { --loop_.drivers_; }
        Driven(const Driven&) = delete;
        Driven& operator=(const Driven&) = delete;

    private:
        ThreadLoop& loop_;
    };
    // One turn of the loop; not while running(). Blocks until something happened on it, it was woken, or the deadline
    // has passed (which the caller looks at).
    void run_once(Deadline deadline = Deadline::after(-1));
    void run_nowait();
    // How long nothing will happen on it by itself, in milliseconds: 0 if it has to be run, -1: for ever. Up to then, and as
    // long as nothing becomes ready, sleep() may take the place of running it.
    int quiet_ms();
    // Until something is ready to happen on the loop, or it is woken (true), or that time is over. Runs nothing: no
    // callback is inside.
    bool sleep(int timeout_ms);
    // From now on each turn adds to these, which live as long as this; null: no more.
    void measure(LoopTimes* times);
    // Work begins on the loop, if it had none.
    void note_work()
    {
        if (times_ != nullptr && idle_ns_ == unknown)
            idle_ns_ = now_ns();
    }
    // There is nothing to do on the loop, and nobody runs it: what comes is not late.
    void note_rest() { idle_ns_ = unknown; }
    // The user has work on it: active handles that are referenced, handles that are closing, requests.
    bool alive();
    // The same for a run of ours only.
    bool running_by_us() const { return running_; }
    // uv_run of this loop is under way further up the stack: it must not be run, nor closed.
    bool running();

private:
    class Run;
    struct Census;

    explicit ThreadLoop(const execq_uv_table& table);
    ~ThreadLoop();

    execq_status init();
    execq_status init_loop();
    void send()
    {
        woken_ns_.store(now_ns(), std::memory_order_relaxed);
        uv_.async_send(async_);
    }
    void run_measured(int mode);
    void note_sleep(std::int64_t began_ns);
    static void on_wake(uv_async_s* async);
    static void on_timer(uv_timer_s* timer);
    uv_handle_s* async_handle() const { return reinterpret_cast<uv_handle_s*>(async_); }
    uv_handle_s* timer_handle() const { return reinterpret_cast<uv_handle_s*>(timer_); }
    void set_timer(std::uint64_t timeout_ms);
    Census take_census();
    bool finish_closing();
    void shut();
    void run(int mode);
    void collect(Link* posted);
    void run_ready();

    static inline thread_local constinit ThreadLoop* current_ = nullptr;
    static inline thread_local constinit const execq_uv_table* table_ = nullptr;
    static const InChild in_child_;

    const execq_uv_table uv_;
    const pid_t process_;  // a child that was forked must not touch it
    // One block: the loop, a pointer to this object, the async behind it, a pointer again, the timer; all of sizes that
    // only the table knows.
    char* memory_ = nullptr;
    uv_loop_s* loop_ = nullptr;
    uv_async_s* async_ = nullptr;
    uv_timer_s* timer_ = nullptr;
    Mailbox<> mailbox_;
    Port* port_ = nullptr;
    Fifo<Registration, Link> ready_;     // taken from the mailbox; a callback that ends the thread leaves the rest
    bool running_ = false;               // by us
    std::uint32_t drivers_ = 0;          // see Driven
    bool torn_ = false;                  // uv_run has begun and did not return: a callback may end the thread in it
    bool marked_ = false;                // by the user, at some time since nobody was known to run it
    ThreadLoop* left_before_ = nullptr;  // the list of loops that were left

    // See the top of the file; the thread's own but for woken_ns_, which who wakes the loop writes and the thread reads.
    // Relaxed: a figure, which may be missed.
    static constexpr std::int64_t unknown = 0;
    LoopTimes* times_ = nullptr;
    std::int64_t idle_ns_ = unknown;
    std::int64_t timer_ns_ = 0;  // when the next timer is due, as of the last quiet_ms()
    std::atomic<std::int64_t> woken_ns_{0};
};

}  // namespace execq::core
