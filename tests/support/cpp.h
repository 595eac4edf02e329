// What the tests of the C++ side share: gates, counted objects, exceptions, a loop.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <execq/execq.hpp>
#include <execq/uv.h>
#include <gtest/gtest.h>
#include <mutex>
#include <semaphore>
#include <thread>
#include <utility>
#include <vector>

// A place where a thread says that it has arrived and stays until it is let through.
class Gate {
public:
    void pass()
    {
        entered_.release();
        opened_.acquire();
    }
    void await() { entered_.acquire(); }
    void open() { opened_.release(); }

private:
    std::counting_semaphore<> entered_{0};
    std::counting_semaphore<> opened_{0};
};

// An object that is counted while it lives; moved, not copied.
class Counted {
public:
    explicit Counted(std::atomic<int>& alive) : alive_(&alive) { alive_->fetch_add(1); }
    Counted(Counted&& other) noexcept : alive_(other.alive_) { alive_->fetch_add(1); }
    Counted& operator=(Counted&&) = delete;
    ~Counted() { alive_->fetch_sub(1); }
    const void* self() const { return this; }

private:
    std::atomic<int>* alive_;
};

// An exception that is no std::exception, and one that is.
struct Oddity {
    int number;
};
class Mishap : public std::runtime_error {
public:
    Mishap(const char* text, int which) : std::runtime_error(text), number(which) {}
    int number;
};

// A worker that is kept busy until the gate is opened; scoped so that a failing test lets it go.
class Blocked {
public:
    explicit Blocked(const execq::executor& executor) : done_(executor.submit([this] { gate_.pass(); }))
    {
        gate_.await();
    }
    ~Blocked()
    {
        open();
        done_.wait();
    }
    Blocked(const Blocked&) = delete;
    Blocked& operator=(const Blocked&) = delete;
    void open()
    {
        if (!std::exchange(opened_, true))
            gate_.open();
    }

private:
    Gate gate_;
    bool opened_ = false;
    execq::future<void> done_;
};

// A libuv loop with a port.
class TestLoop {
public:
    TestLoop() : port(execq::attach(init(uv_))) {}
    ~TestLoop()
    {
        execq_loop_detach(port.native());  // unless the test did
        run();
        EXPECT_EQ(uv_loop_close(&uv_), 0);
    }
    TestLoop(const TestLoop&) = delete;
    TestLoop& operator=(const TestLoop&) = delete;
    void run() { uv_run(&uv_, UV_RUN_DEFAULT); }
    uv_loop_t* uv() { return &uv_; }
    template <class T>
    void run_until(const execq::future<T>& future)
    {
        const execq::loop_hold hold = port.hold();
        while (!future.done())
            uv_run(&uv_, UV_RUN_ONCE);
    }

private:
    static uv_loop_t* init(uv_loop_t& loop)
    {
        EXPECT_EQ(uv_loop_init(&loop), 0);
        return &loop;
    }
    uv_loop_t uv_;

public:
    execq::loop port;
};

// Keeps an exception until the program ends. Else its last owner may be the thread that it came from, which frees it: libstdc++
// counts owners where ThreadSanitizer does not see it, and so nothing orders that behind what the catcher reads.
inline void keep_exception()
{
    static std::mutex mutex;
    static std::vector<std::exception_ptr> kept;
    const std::lock_guard lock(mutex);
    kept.push_back(std::current_exception());
}

// The exception of type E that a call throws; fails if it throws none.
template <class E, class Call>
E thrown_by(const Call& call)
{
    try {
        call();
    } catch (const E& thrown) {
        keep_exception();
        return thrown;
    }
    std::fputs("nothing was thrown\n", stderr);
    std::abort();
}
template <class Call>
std::int32_t code_of(const Call& call)
{
    return thrown_by<execq::error>(call).code();
}
template <class Call>
execq::cancel_reason reason_of(const Call& call)
{
    return thrown_by<execq::canceled>(call).reason();
}
