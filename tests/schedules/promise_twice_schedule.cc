// Three threads complete one promise, in three ways: one wins, the others keep what they brought.
#include "scenario.h"

using namespace schedules;

namespace {

int results_dropped = 0;
void drop_result(void*) { ++results_dropped; }

}  // namespace

SCHEDULE(promise_twice)
{
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    options.drop_result = drop_result;
    execq_promise* promise = nullptr;
    execq_future* future = nullptr;
    std::array<int, 2> values{};
    std::array<execq_status, 3> said{};
    CHECK_STATUS(execq_promise_new(&options, &promise, &future), EXECQ_OK);
    explore();
    {
        const Thread one([&] { said[0] = execq_promise_resolve(promise, &values[0]); });
        const Thread two([&] { said[1] = execq_promise_resolve(promise, &values[1]); });
        said[2] = execq_promise_reject(promise, 7, "seven");
        void* value = nullptr;
        const execq_status status = execq_future_result(future, &value);
        CHECK(status == (said[2] == EXECQ_OK ? EXECQ_EFAILED : EXECQ_OK) || status == EXECQ_EPENDING);
    }
    int winners = 0;
    for (const execq_status status : said) {
        CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
        winners += status == EXECQ_OK ? 1 : 0;
    }
    CHECK(winners == 1);
    void* value = nullptr;
    const execq_status status = execq_future_result(future, &value);
    CHECK(status == (said[2] == EXECQ_OK ? EXECQ_EFAILED : EXECQ_OK));
    for (std::size_t i = 0; i < values.size(); ++i)
        CHECK((said[i] == EXECQ_OK) == (value == &values[i]));
    execq_promise_release(promise);
    execq_future_release(future);
    CHECK(results_dropped == (status == EXECQ_OK ? 1 : 0));
}
