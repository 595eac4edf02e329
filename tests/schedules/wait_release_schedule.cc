// A promise is completed while one thread waits for its future, another looks and gives its reference up, and the completing
// one gives up the promise: all see one outcome, and the value's owner ends once.
#include "scenario.h"

using namespace schedules;

namespace {

int results_dropped = 0;
void drop_result(void*) { ++results_dropped; }

}  // namespace

SCHEDULE(wait_release)
{
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    options.drop_result = drop_result;
    execq_promise* promise = nullptr;
    execq_future* future = nullptr;
    int value = 0;
    CHECK_STATUS(execq_promise_new(&options, &promise, &future), EXECQ_OK);
    execq_future_retain(future);
    bool taken = false;
    explore();
    {
        const Thread completes([&] {
            CHECK_STATUS(execq_promise_resolve(promise, &value), EXECQ_OK);
            execq_promise_release(promise);
        });
        const Thread looks([&] {
            void* seen = nullptr;
            const execq_status status = execq_future_take(future, &seen);
            CHECK(status == EXECQ_EPENDING || (status == EXECQ_OK && seen == &value));
            taken = status == EXECQ_OK;
            execq_future_release(future);
        });
        CHECK_STATUS(execq_future_wait(future, -1), EXECQ_OK);
        CHECK(execq_future_state(future) == EXECQ_FUTURE_OK);
        execq_future_release(future);
    }
    CHECK(results_dropped == (taken ? 0 : 1));
}
