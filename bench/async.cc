// bench. Many asynchronous tasks at a time on few workers.
//
//   L    tasks that wait for 100 ms, all submitted at once, on two workers: from the first submission until the last one has
//        ended. "execq" begins a uv_timer in each (execq_submit_async); "execq_sleep" is what the library has for that alone,
//        a sleep whose done callback counts, on no worker; "uv_timer" is the same number of timers on one bare loop.
//   LS   the same while two further workers of the executor run tasks that sleep for 1 ms each, one after the other; the two
//        first ones are reserved for loops.
//   LB   the same with tasks that burn 1 ms each: where there are two processors, four threads share them.
//
//   total_ms, cpu_ms (processor time of the process); of the statistics the
//   loop lag (lag_p50_us, lag_p99_us, lag_max_us), the longest turn of a loop (turn_max_us), and how many there were (turns).
#include <execq/uv.h>
#include <uv.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "harness/clock.h"
#include "harness/process.h"
#include "harness/runner.h"
#include "peers/loop.h"

namespace bench {
namespace {

constexpr std::uint64_t wait_ms = 100;
constexpr unsigned loop_workers = 2;
constexpr unsigned blocking_workers = 2;

// The tasks that have not ended; the last one says when that was.
class Countdown {
public:
    explicit Countdown(std::uint64_t n) : left_(n) {}
    void count()
    {
        if (left_.fetch_sub(1, std::memory_order_acq_rel) != 1)
            return;
        end_ns_ = now_ns();
        over_.store(true, std::memory_order_release);
        over_.notify_all();
    }
    std::int64_t await()
    {
        over_.wait(false, std::memory_order_acquire);
        return end_ns_;
    }

private:
    alignas(64) std::atomic<std::uint64_t> left_;
    alignas(64) std::atomic<bool> over_{false};
    std::int64_t end_ns_ = 0;
};

// Keeps one worker busy with one task after the other, each of which submits the next.
class Busy {
public:
    Busy(execq_executor* executor, execq_fn body) : executor_(executor), body_(body) { submit(); }
    Busy(const Busy&) = delete;
    Busy& operator=(const Busy&) = delete;
    void stop() { stop_.store(true, std::memory_order_relaxed); }

private:
    void submit() { require(execq_submit(executor_, run, this, nullptr) == EXECQ_OK); }
    static std::int32_t run(void* env, void** result)
    {
        auto& self = *static_cast<Busy*>(env);
        self.body_(nullptr, result);
        if (!self.stop_.load(std::memory_order_relaxed))
            self.submit();
        return 0;
    }

    execq_executor* executor_;
    execq_fn body_;
    std::atomic<bool> stop_{false};
};

std::int32_t sleep_1ms(void*, void**)
{
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return 0;
}

std::int32_t burn_1ms(void*, void**)
{
    const std::int64_t end = now_ns() + 1'000'000;
    while (now_ns() < end) {
    }
    return 0;
}

struct Task {
    uv_timer_t timer;
    execq_promise* promise;
    Countdown* countdown;

    static void start(execq_promise* promise, uv_loop_t* loop, void* env)
    {
        auto* task = static_cast<Task*>(env);
        task->promise = promise;
        task->timer.data = task;
        require(uv_timer_init(loop, &task->timer) == 0);
        require(uv_timer_start(&task->timer, due, wait_ms, 0) == 0);
    }
    static void due(uv_timer_t* timer) { uv_close(reinterpret_cast<uv_handle_t*>(timer), closed); }
    static void closed(uv_handle_t* handle)
    {
        auto* task = static_cast<Task*>(handle->data);
        require(execq_promise_resolve(task->promise, nullptr) == EXECQ_OK);
        execq_promise_release(task->promise);
        task->countdown->count();
    }
};

double ms(std::int64_t ns) { return static_cast<double>(ns) / 1e6; }

// With another body for two more workers, the two first are reserved.
template <execq_fn beside>
Figures run_tasks(const Params& params)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = beside != nullptr ? loop_workers + blocking_workers : loop_workers;
    options.loop_workers = loop_workers;
    options.reserved_loop_workers = beside != nullptr ? loop_workers : 0;
    execq_executor* executor = nullptr;
    require(execq_executor_new(&options, &executor) == EXECQ_OK);
    std::vector<Task> tasks(params.tasks);
    Countdown countdown(params.tasks);
    for (Task& task : tasks)
        task.countdown = &countdown;
    std::vector<std::unique_ptr<Busy>> busy;
    for (unsigned i = 0; beside != nullptr && i < blocking_workers; ++i)
        busy.push_back(std::make_unique<Busy>(executor, beside));
    const std::int64_t processor = processor_ns();
    const std::int64_t begin = now_ns();
    for (Task& task : tasks)
        require(execq_submit_async(executor, nullptr, Task::start, &task, nullptr) == EXECQ_OK);
    const std::int64_t end = countdown.await();
    const std::int64_t used = processor_ns() - processor;
    execq_stats stats = EXECQ_STATS_INIT;
    require(execq_executor_stats(executor, &stats) == EXECQ_OK);
    for (const std::unique_ptr<Busy>& one : busy)
        one->stop();
    execq_executor_close(executor, EXECQ_DRAIN);
    execq_executor_join(executor, -1, nullptr);
    execq_executor_release(executor);
    return {{"total_ms", ms(end - begin)},
            {"cpu_ms", ms(used)},
            {"lag_p50_us", static_cast<double>(stats.loop_lag.p50_ns) / 1e3},
            {"lag_p99_us", static_cast<double>(stats.loop_lag.p99_ns) / 1e3},
            {"lag_max_us", static_cast<double>(stats.loop_lag.max_ns) / 1e3},
            {"turn_max_us", static_cast<double>(stats.loop_turn.max_ns) / 1e3},
            {"turns", static_cast<double>(stats.loop_lag.count)}};
}

Figures run_sleeps(const Params& params)
{
    Countdown countdown(params.tasks);
    const std::int64_t processor = processor_ns();
    const std::int64_t begin = now_ns();
    for (std::uint64_t i = 0; i < params.tasks; ++i) {
        execq_future* sleep = nullptr;
        require(execq_sleep(wait_ms * 1'000'000, &sleep) == EXECQ_OK);
        require(execq_future_on_done(
                    sleep, [](execq_future*, void* env) { static_cast<Countdown*>(env)->count(); }, &countdown,
                    nullptr) == EXECQ_OK);
        execq_future_release(sleep);
    }
    const std::int64_t end = countdown.await();
    return {{"total_ms", ms(end - begin)}, {"cpu_ms", ms(processor_ns() - processor)}};
}

Figures run_bare(const Params& params)
{
    uv_loop_t loop;
    require(uv_loop_init(&loop) == 0);
    std::vector<uv_timer_t> timers(params.tasks);
    const std::int64_t processor = processor_ns();
    const std::int64_t begin = now_ns();
    uv_update_time(&loop);
    for (uv_timer_t& timer : timers) {
        require(uv_timer_init(&loop, &timer) == 0);
        require(uv_timer_start(
                    &timer, [](uv_timer_t* due) { uv_close(reinterpret_cast<uv_handle_t*>(due), nullptr); }, wait_ms,
                    0) == 0);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    const std::int64_t end = now_ns();
    require(uv_loop_close(&loop) == 0);
    return {{"total_ms", ms(end - begin)}, {"cpu_ms", ms(processor_ns() - processor)}};
}

std::vector<Case> cases(Suite suite)
{
    std::vector<Case> cases;
    if (suite == Suite::growth)
        return cases;
    const bool smoke = suite == Suite::smoke;
    for (const char* scenario : {"L", "LS", "LB"}) {
        for (const std::uint64_t tasks : {10'000U, 100'000U}) {
            Case one{scenario, tasks == 10'000 ? "10^4" : "10^5", {}, smoke ? 1U : 5U};
            one.params.threads = loop_workers;
            one.params.tasks = smoke ? tasks / 1000 : tasks;
            cases.push_back(one);
        }
    }
    return cases;
}

Family family()
{
    return {{{"L",
              "tasks that wait for 100 ms",
              {{Execq::name, &Execq::version, run_tasks<nullptr>},
               {"execq_sleep", &Execq::version, run_sleeps},
               {"uv_timer", &UvLoop::version, run_bare}}},
             {"LS", "the same beside tasks that sleep", {{Execq::name, &Execq::version, run_tasks<sleep_1ms>}}},
             {"LB", "the same beside tasks that burn", {{Execq::name, &Execq::version, run_tasks<burn_1ms>}}}},
            cases};
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::run_family(bench::family(), argc, argv); }
