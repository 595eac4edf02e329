// Two threads wait for any of three futures, which are completed by three threads: each wait names one that is done.
#include "scenario.h"

using namespace schedules;

SCHEDULE(wait_any)
{
    std::array<execq_promise*, 3> promises{};
    std::array<execq_future*, 3> futures{};
    for (std::size_t i = 0; i < promises.size(); ++i)
        CHECK_STATUS(execq_promise_new(nullptr, &promises[i], &futures[i]), EXECQ_OK);
    explore();
    {
        const auto wait = [&] {
            std::size_t index = futures.size();
            CHECK_STATUS(execq_future_wait_any(futures.data(), futures.size(), -1, &index), EXECQ_OK);
            CHECK(index < futures.size() && execq_future_state(futures[index]) == EXECQ_FUTURE_OK);
        };
        const auto complete = [&](std::size_t i) {
            CHECK_STATUS(execq_promise_resolve(promises[i], nullptr), EXECQ_OK);
        };
        const Thread other(wait);
        const Thread one([&] { complete(0); });
        const Thread two([&] { complete(1); });
        wait();
        CHECK_STATUS(execq_future_wait_all(futures.data(), 2, -1), EXECQ_OK);
        complete(2);
    }
    for (std::size_t i = 0; i < promises.size(); ++i) {
        execq_promise_release(promises[i]);
        execq_future_release(futures[i]);
    }
}
