// N tasks fail. K of them are asked for their failure, by one of several means, on one of several threads; nobody asks for
// the others, some of which never had a future. Exactly N - K failures are reported, each once.
#include <atomic>
#include <random>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr unsigned consumers = 4;

std::vector<std::atomic<std::uint8_t>>* reported = nullptr;  // by the task's number, which is its code less 1

void note(const execq_error* error, const char*, void* env)
{
    (*reported)[static_cast<std::size_t>(execq_error_code(error)) - 1].fetch_add(1, std::memory_order_relaxed);
    Counter::hit(env);
}

// With a message or without, as the number has it.
std::int32_t fail(void* env, void**)
{
    const auto code = static_cast<std::int32_t>(reinterpret_cast<std::uintptr_t>(env));
    return code % 3 == 0 ? execq_fail(code, "failed") : code;
}

enum Means { wait_only, by_result, by_take, by_error, by_forward, forward_and_look, by_callback, callback_only, means };

constexpr bool consumes(unsigned way)
{
    return way == by_result || way == by_take || way == by_error || way == forward_and_look || way == by_callback;
}

void look(execq_future* future, void*) { CHECK(execq_future_result(future, nullptr) == EXECQ_EFAILED); }

execq_future* forwarded(execq_future* source)
{
    execq_promise* promise = nullptr;
    execq_future* future = nullptr;
    CHECK(execq_promise_new(nullptr, &promise, &future) == EXECQ_OK);
    CHECK(execq_future_forward(source, promise) == EXECQ_OK);
    execq_promise_release(promise);
    return future;
}

void treat(execq_future* future, unsigned way, bool waits)
{
    void* value = nullptr;
    execq_future* target = way == by_forward || way == forward_and_look ? forwarded(future) : nullptr;
    if (way == by_callback)
        CHECK(execq_future_on_done(future, look, nullptr, nullptr) == EXECQ_OK);
    if (way == callback_only)
        CHECK(execq_future_on_done(
                  future, [](execq_future*, void*) {}, nullptr, nullptr) == EXECQ_OK);
    if (waits || (consumes(way) && way != by_callback))
        CHECK(execq_future_wait(target != nullptr ? target : future, -1) == EXECQ_OK);
    if (way == by_result)
        CHECK(execq_future_result(future, &value) == EXECQ_EFAILED);
    if (way == by_take)
        CHECK(execq_future_take(future, &value) == EXECQ_EFAILED);
    if (way == by_error)
        CHECK(execq_future_error(future) != nullptr);
    if (way == forward_and_look)
        CHECK(execq_future_error(target) != nullptr);
    execq_future_release(target);
    execq_future_release(future);
}

}  // namespace

int main()
{
    const std::size_t n = stress_n(1'000'000, 60'000);
    std::vector<std::atomic<std::uint8_t>> counts(n);
    reported = &counts;
    Counter reports;
    execq_conf conf = EXECQ_CONF_INIT;
    conf.on_unobserved = note;
    conf.unobserved_env = &reports;
    CHECK(execq_init_conf(&conf) == EXECQ_OK);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 3;
    execq_executor* executor = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    std::vector<std::uint8_t> consumed(n);
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < consumers; ++thread) {
        threads.emplace_back([&, thread] {
            std::minstd_rand random(thread + 1);
            for (std::size_t i = thread; i < n; i += consumers) {
                void* env = number(i + 1);
                if (random() % 4 == 0) {  // nobody has a future; with options it has a node
                    execq_task_options named = EXECQ_TASK_OPTIONS_INIT;
                    named.name = "named";
                    const execq_task_options* chosen = random() % 2 == 0 ? &named : nullptr;
                    CHECK(execq_submit_with(executor, chosen, fail, env, nullptr) == EXECQ_OK);
                    continue;
                }
                execq_future* future = nullptr;
                CHECK(execq_submit(executor, fail, env, &future) == EXECQ_OK);
                const auto way = static_cast<unsigned>(random() % means);
                consumed[i] = consumes(way) ? 1 : 0;
                treat(future, way, random() % 8 == 0);
            }
        });
    }
    for (std::thread& thread : threads)
        thread.join();
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
    std::size_t k = 0;
    for (std::size_t i = 0; i < n; ++i) {
        k += consumed[i];
        CHECK(counts[i] == 1 - consumed[i]);
    }
    CHECK(reports.n == n - k);
    CHECK(k != 0 && k != n);
    std::printf("%zu tasks failed, %zu were asked for: %zu were reported, each once\n", n, k, n - k);
    return 0;
}
