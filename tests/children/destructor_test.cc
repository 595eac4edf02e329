// Destructors of static and of thread-local objects that submit, wait, close and release: of objects that are constructed
// before the library is used and after it, in the main program, on threads of its own and on workers. Each in a process of
// its own, which begins anew, so that objects of namespace scope are constructed there.
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <execq/execq.hpp>
#include <execq/uv.h>
#include <gtest/gtest.h>
#include <optional>
#include <semaphore>
#include <string>
#include <thread>
#include <unistd.h>

#include "stress.h"

namespace {

constexpr int code = 7;
constexpr unsigned limit_s = 240;  // for a child that hangs

void tell(const char* word) { CHECK(write(STDERR_FILENO, word, std::strlen(word)) > 0); }

// Destroyed with an act that is chosen late.
struct AtEnd {
    void (*act)() = nullptr;
    AtEnd() = default;
    AtEnd(const AtEnd&) = delete;
    AtEnd& operator=(const AtEnd&) = delete;
    ~AtEnd()
    {
        if (act != nullptr)
            act();
    }
};

AtEnd before_main;  // destroyed after all that follows, and after the library's handler of exit()
std::optional<execq::scoped_executor> owned_before_main;
std::optional<execq::future<int>> future_before_main;
std::optional<execq::promise<int>> promise_before_main;
std::atomic<int> ran{0};

class Destructor : public ::testing::Test {
protected:
    Destructor() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};
using StaticDestructor = Destructor;
using ThreadLocalDestructor = Destructor;

std::int32_t count(void*, void**)
{
    ran.fetch_add(1);
    return 0;
}

execq_executor* new_executor(std::uint32_t threads, std::int64_t keepalive_ns = 0)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    options.keepalive_ns = keepalive_ns;
    execq_executor* executor = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    return executor;
}

void finish(execq_future* future)
{
    CHECK(execq_future_wait(future, -1) == EXECQ_OK && execq_future_result(future, nullptr) == EXECQ_OK);
    execq_future_release(future);
}

// What a program does with an executor, in short.
void use(execq_executor* executor)
{
    const int before = ran;
    std::atomic<int> told{0};
    const execq_done_fn tell_one = [](execq_future*, void* n) { static_cast<std::atomic<int>*>(n)->fetch_add(1); };
    const execq_async_fn start = [](execq_promise* promise, uv_loop_s*, void*) {
        CHECK(execq_promise_resolve(promise, nullptr) == EXECQ_OK);
        execq_promise_release(promise);
    };
    execq_future* future = nullptr;
    CHECK(execq_submit(executor, count, nullptr, nullptr) == EXECQ_OK);
    CHECK(execq_submit(executor, count, nullptr, &future) == EXECQ_OK);
    CHECK(execq_future_on_done(future, tell_one, &told, nullptr) == EXECQ_OK);
    finish(future);
    CHECK(execq_submit_async(executor, nullptr, start, nullptr, &future) == EXECQ_OK);
    finish(future);
    CHECK(execq_sleep(1000, &future) == EXECQ_OK);
    finish(future);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    CHECK(execq_queue_new(executor, nullptr, &options.queue) == EXECQ_OK);
    CHECK(execq_submit_with(nullptr, &options, count, nullptr, nullptr) == EXECQ_OK);
    CHECK(execq_queue_close(options.queue, EXECQ_DRAIN, &future) == EXECQ_OK);
    finish(future);
    execq_queue_release(options.queue);
    execq_group* group = nullptr;
    CHECK(execq_group_new(nullptr, &group) == EXECQ_OK);
    CHECK(execq_group_submit(group, executor, nullptr, count, nullptr, nullptr) == EXECQ_OK);
    CHECK(execq_group_join(group, -1) == EXECQ_OK);
    execq_group_release(group);
    while (ran < before + 4 || told < 1)
        std::this_thread::yield();
}

void end(execq_executor* executor)
{
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
}

// ---- static objects ----

execq_executor* own = nullptr;

void use_own_after_the_default()
{
    CHECK(execq_submit(nullptr, count, nullptr, nullptr) == EXECQ_ECLOSED);
    use(own);
    end(own);
    execq_executor* another = new_executor(2);
    use(another);
    end(another);
    tell("after ");
}

void use_default()
{
    use(nullptr);
    tell("before ");
}

void close_default()
{
    execq_executor* standing = nullptr;
    CHECK(execq_executor_default(&standing) == EXECQ_OK);
    end(standing);
    CHECK(execq_submit(nullptr, count, nullptr, nullptr) == EXECQ_ECLOSED);
    tell("closed ");
}

void main_with_statics()
{
    alarm(limit_s);
    before_main.act = use_own_after_the_default;
    own = new_executor(2);
    CHECK(execq_submit(nullptr, count, nullptr, nullptr) == EXECQ_OK);
    static AtEnd closes;
    static AtEnd uses;
    closes.act = close_default;
    uses.act = use_default;
    std::exit(code);
}

TEST_F(StaticDestructor, submits_and_waits_and_closes_before_and_after_the_handler_of_the_library)
{
    EXPECT_EXIT(main_with_statics(), ::testing::ExitedWithCode(code), "^before closed after $");
}

void tell_how_many_ran()
{
    CHECK(ran == 101);
    tell("all");
}

void main_with_an_owned_executor()
{
    alarm(limit_s);
    static std::binary_semaphore over(0);
    before_main.act = tell_how_many_ran;
    owned_before_main.emplace(execq::executor_options{.max_threads = 1});
    const execq_fn wait_for_exit = [](void*, void**) -> std::int32_t {
        over.acquire();
        return count(nullptr, nullptr);
    };
    CHECK(execq_submit(owned_before_main->native(), wait_for_exit, nullptr, nullptr) == EXECQ_OK);
    for (int i = 0; i < 100; ++i)
        CHECK(execq_submit(owned_before_main->native(), count, nullptr, nullptr) == EXECQ_OK);
    static AtEnd opens;
    opens.act = [] { over.release(); };
    std::exit(code);
}

TEST_F(StaticDestructor, of_an_executor_drains_it_while_the_process_ends)
{
    EXPECT_EXIT(main_with_an_owned_executor(), ::testing::ExitedWithCode(code), "^all$");
}

void main_with_handles()
{
    alarm(limit_s);
    before_main.act = [] { tell("end"); };
    owned_before_main.emplace(execq::executor_options{.max_threads = 1});
    future_before_main = owned_before_main->submit([] { return ran.fetch_add(1); });
    promise_before_main.emplace();
    std::exit(code);
}

TEST_F(StaticDestructor, releases_futures_and_promises_and_executors)
{
    EXPECT_EXIT(main_with_handles(), ::testing::ExitedWithCode(code), "^end$");
}

void main_that_exits_in_a_task()
{
    alarm(limit_s);
    before_main.act = [] { tell("end"); };
    owned_before_main.emplace(execq::executor_options{.max_threads = 1});
    const execq_fn exits = [](void*, void**) -> std::int32_t { std::exit(code); };
    CHECK(execq_submit(owned_before_main->native(), count, nullptr, nullptr) == EXECQ_OK);
    CHECK(execq_submit(owned_before_main->native(), exits, nullptr, nullptr) == EXECQ_OK);
    for (;;)
        pause();
}

TEST_F(StaticDestructor, of_an_executor_does_not_hang_in_an_exit_of_its_own_task)
{
    EXPECT_EXIT(main_that_exits_in_a_task(), ::testing::ExitedWithCode(code), "^end$");
}

// ---- thread-local objects ----

execq_executor* shared = nullptr;
execq_loop* host = nullptr;
execq_var* variable = nullptr;
std::atomic<int> ends{0};

// As the library itself keeps something per thread, it may be gone by now, or not.
void use_at_thread_end()
{
    use(shared);
    uv_loop_s* loop = nullptr;
    const execq_status status = execq_thread_loop(&loop);
    CHECK(status == EXECQ_OK || status == EXECQ_ECLOSED);
    if (status == EXECQ_OK) {
        execq_future* sleep = nullptr;
        CHECK(execq_sleep(1000, &sleep) == EXECQ_OK);
        CHECK(execq_run_until(sleep, -1) == EXECQ_OK);
        execq_future_release(sleep);
    }
    const execq_fn fails = [](void*, void**) -> std::int32_t { return execq_fail(5, "five"); };
    CHECK(execq_loop_call(host, count, nullptr, -1, nullptr) == EXECQ_OK);
    CHECK(execq_loop_call(host, fails, nullptr, -1, nullptr) == EXECQ_EFAILED);
    CHECK(execq_error_code(execq_loop_call_error()) == 5);  // kept until the thread has ended
    CHECK(execq_var_set(variable, nullptr, nullptr) == EXECQ_OK);
    use(shared);  // with a context
    ends.fetch_add(1);
}

thread_local AtEnd first_of_thread;
thread_local AtEnd last_of_thread;

// Constructed before this thread has used the library, and after it.
void arm(void (*act)())
{
    first_of_thread.act = act;
    use(shared);
    execq_future* sleep = nullptr;
    uv_loop_s* loop = nullptr;
    CHECK(execq_thread_loop(&loop) == EXECQ_OK);
    CHECK(execq_sleep(1000, &sleep) == EXECQ_OK);
    CHECK(execq_run_until(sleep, -1) == EXECQ_OK);
    execq_future_release(sleep);
    CHECK(execq_loop_call(host, count, nullptr, -1, nullptr) == EXECQ_OK);
    last_of_thread.act = act;
}

// A loop that a thread runs, for as long as it lives.
class Host {
public:
    Host()
    {
        std::binary_semaphore attached(0);
        thread_ = std::thread([&] {
            uv_loop_t loop;
            CHECK(uv_loop_init(&loop) == 0);
            CHECK(execq_loop_attach(&loop, &host) == EXECQ_OK);
            CHECK(execq_loop_hold(host) == EXECQ_OK);
            attached.release();
            uv_run(&loop, UV_RUN_DEFAULT);
            CHECK(execq_loop_detach(host) == EXECQ_OK);
            execq_loop_release(host);
            uv_run(&loop, UV_RUN_DEFAULT);
            CHECK(uv_loop_close(&loop) == 0);
        });
        attached.acquire();
    }
    ~Host()
    {
        CHECK(execq_loop_unhold(host) == EXECQ_OK);
        thread_.join();
    }
    Host(const Host&) = delete;
    Host& operator=(const Host&) = delete;

private:
    std::thread thread_;
};

void prepare()
{
    alarm(limit_s);
    shared = new_executor(2);
    CHECK(execq_var_new(nullptr, &variable) == EXECQ_OK);
}

void main_with_threads()
{
    prepare();
    {
        const Host at_host;
        for (int i = 0; i < 10; ++i)
            std::thread(arm, use_at_thread_end).join();
    }
    CHECK(ends == 20);
    end(shared);
    execq_var_release(variable);
    std::exit(code);
}

TEST_F(ThreadLocalDestructor, of_a_thread_of_the_program_uses_all_of_the_library)
{
    EXPECT_EXIT(main_with_threads(), ::testing::ExitedWithCode(code), "^$");
}

// Those of the main thread are destroyed within exit(), before all static ones.
void main_with_its_own()
{
    prepare();
    static Host at_host;
    before_main.act = [] {
        CHECK(ends == 2);
        end(shared);
        execq_var_release(variable);
        tell("end");
    };
    arm(use_at_thread_end);
    std::exit(code);
}

TEST_F(ThreadLocalDestructor, of_the_main_thread_uses_all_of_the_library)
{
    EXPECT_EXIT(main_with_its_own(), ::testing::ExitedWithCode(code), "^end$");
}

std::int32_t arm_in_task(void*, void**)
{
    arm(use_at_thread_end);
    return 0;
}

void main_with_workers()
{
    prepare();
    {
        const Host at_host;
        for (const std::int64_t keepalive_ns : {std::int64_t{-1}, std::int64_t{0}}) {
            execq_executor* passing = new_executor(2, keepalive_ns);
            execq_future* armed = nullptr;
            CHECK(execq_submit(passing, arm_in_task, nullptr, &armed) == EXECQ_OK);
            finish(armed);
            end(passing);
        }
    }
    CHECK(ends == 4);
    end(shared);
    execq_var_release(variable);
    std::exit(code);
}

TEST_F(ThreadLocalDestructor, of_a_worker_uses_all_of_the_library)
{
    EXPECT_EXIT(main_with_workers(), ::testing::ExitedWithCode(code), "^$");
}

execq_executor* passing = nullptr;
std::counting_semaphore<> entered(0), opened(0);

// The worker's own executor has no use for it any more; whoever destroys this has to get answers, not to hang.
void use_own_at_worker_end()
{
    execq_future* future = nullptr;
    CHECK(execq_executor_close(passing, EXECQ_DRAIN) == EXECQ_OK);
    const execq_status status = execq_submit(passing, count, nullptr, &future);
    CHECK(status == EXECQ_ECLOSED && future == nullptr);
    CHECK(execq_executor_join(passing, 0, nullptr) != EXECQ_OK);
    execq_executor_release(passing);
    ends.fetch_add(1);
}

void main_with_the_last_reference()
{
    alarm(limit_s);
    for (int round = 1; round <= 20; ++round) {
        passing = new_executor(1);
        // The task closes it, and what is left is the destructor's: the last reference.
        const execq_fn arms = [](void*, void**) -> std::int32_t {
            first_of_thread.act = [] { ends.fetch_add(1); };
            last_of_thread.act = use_own_at_worker_end;
            opened.acquire();  // it is lent to the submission until that returns
            return execq_executor_close(passing, EXECQ_DRAIN);
        };
        execq_future* armed = nullptr;
        CHECK(execq_submit(passing, arms, nullptr, &armed) == EXECQ_OK);
        opened.release();
        finish(armed);
        while (ends != 2 * round)
            std::this_thread::yield();
    }
    std::exit(code);
}

TEST_F(ThreadLocalDestructor, of_a_worker_gives_up_the_last_reference_to_its_own_executor)
{
    EXPECT_EXIT(main_with_the_last_reference(), ::testing::ExitedWithCode(code), "^$");
}

std::atomic<int> accepted{0};

void submit_at_worker_end()
{
    const execq_status status = execq_submit(passing, count, nullptr, nullptr);
    CHECK(status == EXECQ_OK || status == EXECQ_ECLOSED);
    accepted.fetch_add(status == EXECQ_OK ? 1 : 0);
    ends.fetch_add(1);
}

// Of three workers two have to leave: the executor goes on without them.
void main_with_workers_that_leave()
{
    alarm(limit_s);
    passing = new_executor(3);
    const execq_fn arms = [](void*, void**) -> std::int32_t {
        last_of_thread.act = submit_at_worker_end;
        entered.release();
        opened.acquire();
        return 0;
    };
    for (int i = 0; i < 3; ++i)
        CHECK(execq_submit(passing, arms, nullptr, nullptr) == EXECQ_OK);
    for (int i = 0; i < 3; ++i)
        entered.acquire();
    CHECK(execq_executor_resize(passing, 1, 1) == EXECQ_OK);
    opened.release(3);
    while (ends != 2 || ran != 2)
        std::this_thread::yield();
    CHECK(accepted == 2);
    end(passing);
    CHECK(ends == 3 && accepted == 2 && ran == 2);  // the last one was told that it is closed
    std::exit(code);
}

TEST_F(ThreadLocalDestructor, of_a_worker_that_leaves_submits_to_its_executor)
{
    EXPECT_EXIT(main_with_workers_that_leave(), ::testing::ExitedWithCode(code), "^$");
}

}  // namespace
