#include "world.h"

#include <semaphore>

#include "execq/uv.h"

namespace {

void make_executor(Target& target, const char* name, std::uint32_t threads, std::uint32_t capacity)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.name = name;
    options.max_threads = threads;
    options.keepalive_ns = 20'000'000;  // threads come and go
    options.capacity = capacity;
    options.full_policy = EXECQ_FULL_REJECT;
    options.flags = EXECQ_EXECUTOR_TIMES;
    target.may_be_full = capacity != 0;
    CHECK(execq_executor_new(&options, &target.executor) == EXECQ_OK);
}

void end_executor(Target& target)
{
    CHECK(execq_executor_close(target.executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(target.executor, -1, nullptr) == EXECQ_OK);
    must_have_ended(target);
    execq_executor_release(target.executor);
}

}  // namespace

void must_have_ended(const Target& target)
{
    for (std::uint64_t ended = 0; ended != target.accepted; std::this_thread::yield()) {
        execq_stats stats = EXECQ_STATS_INIT;
        CHECK(execq_executor_stats(target.executor, &stats) == EXECQ_OK);
        CHECK(stats.submitted == target.accepted);
        ended = stats.completed_ok + stats.completed_failed + stats.completed_canceled;
        CHECK(ended <= stats.submitted);
    }
}

World::World()
{
    make_executor(elastic, "elastic", 4, 0);
    make_executor(single, "single", 1, 0);
    make_executor(bounded, "bounded", 2, 40);
    single.may_lose_threads = true;
    bounded.may_lose_threads = true;
    CHECK(execq_var_new(nullptr, &the_variable) == EXECQ_OK);
    execq_var_token token = 0;
    CHECK(execq_var_set(the_variable, the_value, &token) == EXECQ_OK);
    CHECK(execq_context_capture(&context) == EXECQ_OK);
    CHECK(execq_var_reset(the_variable, token) == EXECQ_OK);
    std::binary_semaphore attached(0);
    host_thread_ = std::thread([&] {
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

World::~World()
{
    execq_future* stop = nullptr;
    // The loop's thread knows its loop: the start function of an asynchronous task is told.
    const execq_async_fn stopping = [](execq_promise* promise, uv_loop_s* at, void*) {
        uv_stop(at);
        CHECK(execq_promise_resolve(promise, nullptr) == EXECQ_OK);
        execq_promise_release(promise);
    };
    CHECK(execq_loop_submit_async(host, nullptr, stopping, nullptr, &stop) == EXECQ_OK);
    execq_future_release(stop);
    host_thread_.join();
    end_executor(elastic);
    end_executor(single);
    end_executor(bounded);
    CHECK(plain_ran == plain_accepted);
    execq_context_release(context);
    execq_var_release(the_variable);
}
