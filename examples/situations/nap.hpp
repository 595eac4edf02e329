// Work for a loop, in C++: a timer. It stands for whatever libuv can do without blocking.
#ifndef NAP_HPP
#define NAP_HPP

#include "say.h"

#include <chrono>
#include <cstdint>
#include <execq/execq.hpp>
#include <string>
#include <utility>

class napper {
public:
    explicit napper(execq::promise<std::string> promise) : promise_(std::move(promise)) { timer_.data = this; }

    void start(uv_loop_t* loop, std::uint64_t milliseconds)
    {
        must_uv("uv_timer_init", uv_timer_init(loop, &timer_));
        must_uv("uv_timer_start", uv_timer_start(&timer_, due, milliseconds, 0));
    }

private:
    static void due(uv_timer_t* timer)
    {
        say("its loop works: the timer is due");
        uv_close(reinterpret_cast<uv_handle_t*>(timer), closed);
    }
    // Nothing is left on the loop now: only then is the promise completed.
    static void closed(uv_handle_t* timer)
    {
        auto* self = static_cast<napper*>(timer->data);
        self->promise_.set_value("rested");
        delete self;
    }

    uv_timer_t timer_;
    execq::promise<std::string> promise_;
};

// Completes the promise with "rested" after so long, on this loop.
inline void nap(execq::promise<std::string> promise, uv_loop_t* loop, std::chrono::milliseconds length)
{
    auto* self = new napper(std::move(promise));  // deletes itself
    self->start(loop, static_cast<std::uint64_t>(length.count()));
}

// The same on the calling thread's own loop, as a future.
inline execq::future<std::string> nap(std::chrono::milliseconds length)
{
    execq::promise<std::string> promise;
    auto rest = promise.get_future();
    nap(std::move(promise), execq::thread_loop(), length);
    return rest;
}

#endif
