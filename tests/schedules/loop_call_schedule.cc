// A thread calls onto a loop, with and without a limit, while the loop is run and detached: the function ran if and only if
// the call says so.
#include <execq/uv.h>

#include "scenario.h"

using namespace schedules;

namespace {

int ran = 0;
std::int32_t body(void* env, void** value)
{
    ++ran;
    *value = env;
    return 0;
}

}  // namespace

SCHEDULE_WITH_TIME(loop_call)
{
    uv_loop_t loop;
    execq_loop* port = nullptr;
    CHECK(uv_loop_init(&loop) == 0);
    CHECK_STATUS(execq_loop_attach(&loop, &port), EXECQ_OK);
    int calls_ran = 0;
    int calls_over = 0;
    explore();
    {
        const auto call = [&](std::int64_t timeout_ns) {
            void* value = nullptr;
            const execq_status status = execq_loop_call(port, body, &calls_ran, timeout_ns, &value);
            CHECK(status == EXECQ_OK || status == EXECQ_ETIMEDOUT || status == EXECQ_ECLOSED ||
                  status == EXECQ_ECANCELED);
            CHECK(status != EXECQ_OK || value == &calls_ran);
            CHECK(status != EXECQ_ETIMEDOUT || timeout_ns >= 0);
            calls_ran += status == EXECQ_OK ? 1 : 0;
            ++calls_over;
        };
        const Thread one([&] { call(choice(2) == 0 ? 1'000'000 : -1); });
        const Thread two([&] { call(-1); });
        for (std::uint64_t turns = choice(4); turns != 0 && calls_over < 2; --turns)
            uv_run(&loop, UV_RUN_NOWAIT);
        CHECK_STATUS(execq_loop_detach(port), EXECQ_OK);
    }
    CHECK(ran == calls_ran);
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
    execq_loop_release(port);
}
