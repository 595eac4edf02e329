// A delayed task, a sleep and a series are canceled while time passes: whoever was told that one never ran is right, none
// comes early, and a series has no run after its end.
#include "scenario.h"

using namespace schedules;

namespace {

constexpr std::int64_t delay_ns = 2'000'000;
std::int64_t begun_ns = 0;

struct Series {
    int runs = 0;
    int dropped = 0;
};

std::int32_t run_series(void* env, void**)
{
    auto& series = *static_cast<Series*>(env);
    CHECK(series.dropped == 0);
    ++series.runs;
    return 0;
}

std::int32_t run_delayed(void* env, void** value)
{
    CHECK(now_ns() >= begun_ns + delay_ns);
    return Task::body(env, value);
}

}  // namespace

SCHEDULE_WITH_TIME(timer_cancel)
{
    execq_executor* executor = make_executor(2);
    Task delayed;
    Series series;
    execq_future* sleep = nullptr;
    execq_future* all_runs = nullptr;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = Task::drop;
    options.delay_ns = delay_ns;
    begun_ns = now_ns();
    explore();
    delayed.submitted = execq_submit_with(executor, &options, run_delayed, &delayed, &delayed.future);
    CHECK_STATUS(delayed.submitted, EXECQ_OK);
    options.delay_ns = 0;
    options.drop = [](void* env) { ++static_cast<Series*>(env)->dropped; };
    CHECK_STATUS(
        execq_submit_periodic(executor, &options, delay_ns / 2, EXECQ_FIXED_RATE, run_series, &series, &all_runs),
        EXECQ_OK);
    CHECK_STATUS(execq_sleep(delay_ns, &sleep), EXECQ_OK);
    {
        const auto cancel_all = [&] {
            const execq_status of_delayed = execq_future_cancel(delayed.future);
            CHECK(of_delayed != EXECQ_OK || delayed.ran == 0);
            CHECK(execq_future_cancel(sleep) != EXECQ_EBUSY);
            const execq_status of_series = execq_future_cancel(all_runs);
            CHECK(of_series != EXECQ_OK || series.dropped == 1);
        };
        const Thread other([&] {
            (void)execq_future_wait(sleep, delay_ns * static_cast<std::int64_t>(choice(2)));
            cancel_all();
        });
        (void)execq_future_wait(delayed.future, delay_ns / 2 * static_cast<std::int64_t>(choice(4)));
        cancel_all();
        CHECK_STATUS(execq_future_wait(delayed.future, -1), EXECQ_OK);
        CHECK_STATUS(execq_future_wait(sleep, -1), EXECQ_OK);
        CHECK_STATUS(execq_future_wait(all_runs, -1), EXECQ_OK);
    }
    const int runs = series.runs;
    CHECK(series.dropped == 1 && execq_future_state(all_runs) == EXECQ_FUTURE_CANCELED);
    execq_future* later = nullptr;
    CHECK_STATUS(execq_sleep(delay_ns * 2, &later), EXECQ_OK);
    CHECK_STATUS(execq_future_wait(later, -1), EXECQ_OK);
    CHECK(series.runs == runs);
    for (execq_future* future : {sleep, all_runs, later})
        execq_future_release(future);
    end_executor(executor);
    delayed.check_end();
}
