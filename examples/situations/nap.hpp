// Work for a loop, in C++: a timer. It stands for whatever libuv can do without blocking.
#ifndef NAP_HPP
#define NAP_HPP

#include "say.h"

#include <chrono>
#include <execq/execq.hpp>
#include <string>
#include <utility>

struct napping {
    uv_timer_t timer;
    execq::promise<std::string> promise;
};

// Completes the promise with "rested" after so long, on this loop.
inline void nap(execq::promise<std::string> promise, uv_loop_t* loop, std::chrono::milliseconds length)
{
    auto* self = new napping{{}, std::move(promise)};
    self->timer.data = self;
    must_uv("uv_timer_init", uv_timer_init(loop, &self->timer));
    const auto closed = [](uv_handle_t* timer) {
        auto* self = static_cast<napping*>(timer->data);
        self->promise.set_value("rested");  // nothing is left on the loop now
        delete self;
    };
    const auto due = [](uv_timer_t* timer) {
        say("its loop works: the timer is due");
        uv_close(reinterpret_cast<uv_handle_t*>(timer), closed);
    };
    must_uv("uv_timer_start", uv_timer_start(&self->timer, due, static_cast<std::uint64_t>(length.count()), 0));
}

#endif
