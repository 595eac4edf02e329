// Time: sleeps that need no thread.
#ifndef EXECQ_CPP_TIME_HPP
#define EXECQ_CPP_TIME_HPP

#include <chrono>
#include <execq/cpp/error.hpp>
#include <execq/cpp/future.hpp>
#include <execq/execq.h>

namespace execq {

// A future that succeeds once the time has passed, never early; cancelling it ends it at once. Any number may be under way.
// Ownership: the sleep goes on without its future. Blocks: never; what waits for it by on_done() or then() runs on the thread
// that keeps times. Errors: as execq_sleep.
template <class Rep, class Period>
future<void> sleep(std::chrono::duration<Rep, Period> duration)
{
    execq_future* made = nullptr;
    detail::check(execq_sleep(detail::to_ns(duration), &made));
    return future<void>::adopt(made);
}

// The same for co_await: co_await sleep_for(100ms). A cancellation of the coroutine ends it at once.
template <class Rep, class Period>
future<void> sleep_for(std::chrono::duration<Rep, Period> duration)
{
    return sleep(duration);
}
// Up to a point in time: what is left by now on its clock, measured on the monotonic one.
template <class Clock, class Duration>
future<void> sleep_until(std::chrono::time_point<Clock, Duration> point)
{
    return sleep(point - Clock::now());
}

}  // namespace execq

#endif
