// Asynchronous tasks: completed by their timer, from another thread, canceled, and cut off by a close, all at once. Each
// reaches one end, its env and its cancel callback's env are dropped once, and nothing is called after a completion.
#include <array>
#include <memory>

#include "execq/execq.h"
#include "execq/uv.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr std::size_t per_round = 64;
constexpr std::uint32_t threads = 3;  // that complete, cancel, and close

struct Task {
    uv_timer_t timer;
    std::atomic<execq_promise*> promise{nullptr};
    execq_future* future = nullptr;
    bool timed = false;
    std::atomic<std::uint32_t> starts{0};
    std::atomic<std::uint32_t> drops{0};
    std::atomic<std::uint32_t> cancel_calls{0};
    std::atomic<std::uint32_t> cancel_drops{0};
    std::atomic<std::uint32_t> done{0};
    std::atomic<std::uint32_t> wins{0};
};

std::array<std::unique_ptr<Task>, per_round> tasks;
execq_executor* executor = nullptr;

void count(std::atomic<std::uint32_t>& counter) { counter.fetch_add(1, std::memory_order_relaxed); }

void resolve(Task& task, execq_promise* promise)
{
    const execq_status status = execq_promise_resolve(promise, &task);
    CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
    if (status == EXECQ_OK)
        count(task.wins);
}

void timer_closed(uv_handle_t* handle)
{
    auto& task = *static_cast<Task*>(handle->data);
    if (execq_promise_cancel_requested(task.promise.load()) != 0)
        execq_promise_reject(task.promise.load(), EXECQ_ECANCELED, nullptr);
    else
        resolve(task, task.promise.load());
}

void timer_due(uv_timer_t* timer) { uv_close(reinterpret_cast<uv_handle_t*>(timer), timer_closed); }

void cancel_called(void* env)
{
    auto& task = *static_cast<Task*>(env);
    CHECK(task.drops == 0);
    count(task.cancel_calls);
    if (!task.timed)
        execq_promise_reject(task.promise.load(), EXECQ_ECANCELED, nullptr);
    else if (uv_is_closing(reinterpret_cast<uv_handle_t*>(&task.timer)) == 0)
        timer_due(&task.timer);
}

void start(execq_promise* promise, uv_loop_t* loop, void* env)
{
    auto& task = *static_cast<Task*>(env);
    count(task.starts);
    if (task.timed) {
        CHECK(uv_timer_init(loop, &task.timer) == 0);
        task.timer.data = &task;
        CHECK(uv_timer_start(&task.timer, timer_due, reinterpret_cast<std::uintptr_t>(env) / 256 % 3, 0) == 0);
    }
    execq_promise_retain(promise);  // until the end of this: others may complete it from here on
    task.promise.store(promise);    // its reference is given up by check()
    const execq_status hooked = execq_promise_on_cancel(
        promise, cancel_called, &task, [](void* dropped) { count(static_cast<Task*>(dropped)->cancel_drops); });
    CHECK(hooked == EXECQ_OK || (hooked == EXECQ_EALREADY && !task.timed));
    execq_promise_release(promise);
}

void prepare(std::size_t round)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.reserved_loop_workers = static_cast<std::uint32_t>(round / 3 % 3);
    options.max_threads = 1 + static_cast<std::uint32_t>(round % 3) + options.reserved_loop_workers;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    execq_task_options with_drop = EXECQ_TASK_OPTIONS_INIT;
    with_drop.drop = [](void* env) { count(static_cast<Task*>(env)->drops); };
    for (std::size_t i = 0; i < per_round; ++i) {
        tasks[i] = std::make_unique<Task>();
        tasks[i]->timed = i % 4 < 2;
        CHECK(execq_submit_async_uv(executor, &with_drop, start, tasks[i].get(), &tasks[i]->future) == EXECQ_OK);
        CHECK(execq_future_on_done(
                  tasks[i]->future, [](execq_future*, void* env) { count(static_cast<Task*>(env)->done); },
                  tasks[i].get(), nullptr) == EXECQ_OK);
    }
}

struct Sums {
    std::size_t resolved = 0;
    std::size_t canceled_before = 0;
    std::size_t canceled_open = 0;
    std::size_t canceled_ok = 0;
};

Sums sums;
std::array<std::atomic<bool>, per_round> canceled_ok;

void act(unsigned role, std::size_t round)
{
    for (std::size_t i = 0; i < per_round; ++i) {
        Task& task = *tasks[i];
        if (role == 0) {
            execq_promise* promise = task.promise.load();
            if (promise != nullptr && !task.timed)
                resolve(task, promise);
            execq_submit(
                executor, [](void*, void**) { return 0; }, nullptr, nullptr);  // refused once it is closed
        } else if (role == 1 && i % 2 == 0) {
            canceled_ok[i] = execq_future_cancel(task.future) == EXECQ_OK;
        } else if (role == 2 && i == per_round / 2) {
            CHECK(execq_executor_close(executor, round % 2 == 0 ? EXECQ_CANCEL : EXECQ_DRAIN) == EXECQ_OK);
        }
    }
}

void check(std::size_t)
{
    for (const std::unique_ptr<Task>& task : tasks) {
        while (!task->timed && execq_future_wait(task->future, 0) != EXECQ_OK) {
            if (execq_promise* promise = task->promise.load())
                resolve(*task, promise);
            else
                std::this_thread::yield();
        }
    }
    execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
    CHECK(execq_executor_join(executor, -1, &report) == EXECQ_OK);
    CHECK(report.left_handles == 0 && report.running_total == 0 && report.queued == 0);
    execq_executor_release(executor);
    for (std::size_t i = 0; i < per_round; ++i) {
        Task& task = *tasks[i];
        const int state = execq_future_state(task.future);
        CHECK(state == EXECQ_FUTURE_OK || state == EXECQ_FUTURE_CANCELED);
        CHECK(task.starts <= 1 && task.drops == 1 && task.done == 1 && task.cancel_calls <= 1);
        // Where there was no hook, the promise was completed before, and the failing call dropped.
        CHECK(task.cancel_drops == task.starts);
        CHECK(task.wins == (state == EXECQ_FUTURE_OK ? 1 : 0));
        if (canceled_ok[i].exchange(false)) {
            CHECK(task.starts == 0);
            ++sums.canceled_ok;
        }
        if (state == EXECQ_FUTURE_OK)
            ++sums.resolved;
        else
            ++(task.starts == 0 ? sums.canceled_before : sums.canceled_open);
        if (task.starts == 1)
            execq_promise_release(task.promise.load());
        execq_future_release(task.future);
    }
}

}  // namespace

int main()
{
    const std::size_t rounds = stress_n(1'500, 150);
    race_rounds(threads, rounds, prepare, act, check);
    CHECK(sums.resolved + sums.canceled_before + sums.canceled_open == rounds * per_round);
    CHECK(sums.resolved != 0 && sums.canceled_before != 0);
    std::printf(
        "%zu asynchronous tasks: %zu completed, %zu canceled before they started (%zu by their caller), %zu while "
        "they were open\n",
        rounds * per_round, sums.resolved, sums.canceled_before, sums.canceled_ok, sums.canceled_open);
    return 0;
}
