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
    bool hooked = false;
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
    execq_promise* promise = task.promise.load();
    resolve(task, promise);
    execq_promise_release(promise);
}

void timer_due(uv_timer_t* timer) { uv_close(reinterpret_cast<uv_handle_t*>(timer), timer_closed); }

void cancel_called(void* env)
{
    auto& task = *static_cast<Task*>(env);
    CHECK(task.drops == 0);
    count(task.cancel_calls);
    execq_promise_reject(task.promise.load(), EXECQ_ECANCELED, nullptr);
}

void start(execq_promise* promise, uv_loop_t* loop, void* env)
{
    auto& task = *static_cast<Task*>(env);
    count(task.starts);
    CHECK(uv_timer_init(loop, &task.timer) == 0);
    task.timer.data = &task;
    CHECK(uv_timer_start(&task.timer, timer_due, task.timed ? 0 : 1, 0) == 0);
    execq_promise_retain(promise);  // for who completes it from outside
    task.promise.store(promise);
    task.hooked = execq_promise_on_cancel(promise, cancel_called, &task, [](void* dropped) {
                      count(static_cast<Task*>(dropped)->cancel_drops);
                  }) == EXECQ_OK;
}

void prepare(std::size_t round)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 1 + static_cast<std::uint32_t>(round % 3);
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    execq_task_options with_drop = EXECQ_TASK_OPTIONS_INIT;
    with_drop.drop = [](void* env) { count(static_cast<Task*>(env)->drops); };
    for (std::size_t i = 0; i < per_round; ++i) {
        tasks[i] = std::make_unique<Task>();
        tasks[i]->timed = i % 4 == 0;
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
            if (execq_promise* promise = task.promise.load())
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
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
    for (std::size_t i = 0; i < per_round; ++i) {
        Task& task = *tasks[i];
        const int state = execq_future_state(task.future);
        CHECK(state == EXECQ_FUTURE_OK || state == EXECQ_FUTURE_CANCELED);
        CHECK(task.starts <= 1 && task.drops == 1 && task.done == 1 && task.cancel_calls <= 1);
        CHECK(task.cancel_drops == (task.hooked ? 1 : 0) || (task.starts == 1 && !task.hooked));
        CHECK(task.wins == (state == EXECQ_FUTURE_OK ? 1 : 0));
        if (canceled_ok[i].exchange(false)) {
            CHECK(task.starts == 0);
            ++sums.canceled_ok;
        }
        if (state == EXECQ_FUTURE_OK)
            ++sums.resolved;
        else
            ++(task.starts == 0 ? sums.canceled_before : sums.canceled_open);
        if (execq_promise* promise = task.promise.load())
            execq_promise_release(promise);
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
