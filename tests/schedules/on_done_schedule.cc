// Two threads register callbacks, of both kinds, while a third one completes the future: each is called once, when it is done.
#include "scenario.h"

using namespace schedules;

namespace {

struct Callback {
    int called = 0;
    int dropped = 0;
};

void done(execq_future* future, void* env)
{
    CHECK_STATUS(execq_future_result(future, nullptr), EXECQ_OK);
    CHECK(static_cast<Callback*>(env)->dropped == 0);
    ++static_cast<Callback*>(env)->called;
}
void drop(void* env) { ++static_cast<Callback*>(env)->dropped; }

}  // namespace

SCHEDULE(on_done)
{
    execq_promise* promise = nullptr;
    execq_future* future = nullptr;
    CHECK_STATUS(execq_promise_new(nullptr, &promise, &future), EXECQ_OK);
    std::array<Callback, 4> callbacks;
    explore();
    {
        // The second one of each moves what is in the node's own room, or finds it taken.
        const auto register_two = [&](std::size_t first) {
            CHECK_STATUS(execq_future_on_done(future, done, &callbacks[first], nullptr), EXECQ_OK);
            CHECK_STATUS(execq_future_on_done(future, done, &callbacks[first + 1], drop), EXECQ_OK);
        };
        const Thread one([&] { register_two(0); });
        const Thread two([&] { register_two(2); });
        CHECK_STATUS(execq_promise_resolve(promise, nullptr), EXECQ_OK);
    }
    for (std::size_t i = 0; i < callbacks.size(); ++i)
        CHECK(callbacks[i].called == 1 && callbacks[i].dropped == static_cast<int>(i % 2));
    execq_promise_release(promise);
    execq_future_release(future);
}
