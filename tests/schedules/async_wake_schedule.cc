// A worker has a loop with work on it, and sleeps there: promises that other threads complete, and blocking tasks that they
// submit, wake it, and all of it ends.
#include <execq/uv.h>

#include "scenario.h"

using namespace schedules;

namespace {

struct Scene {
    execq_executor* executor = nullptr;
    execq_promise* promise = nullptr;
    Gate started;
};

void start(execq_promise* promise, uv_loop_s* loop, void* env)
{
    auto& scene = *static_cast<Scene*>(env);
    CHECK(loop != nullptr);
    scene.promise = promise;
    scene.started.open();
}

}  // namespace

SCHEDULE(async_wake)
{
    Scene scene;
    scene.executor = make_executor(1 + static_cast<std::uint32_t>(choice(2)));
    execq_future* future = nullptr;
    Task task;
    int value = 0;
    explore();
    CHECK_STATUS(execq_submit_async(scene.executor, nullptr, start, &scene, &future), EXECQ_OK);
    {
        const Thread completes([&] {
            scene.started.pass();
            CHECK_STATUS(execq_promise_resolve(scene.promise, &value), EXECQ_OK);
            execq_promise_release(scene.promise);
        });
        task.submit(scene.executor);
        CHECK(task.accepted());
        CHECK_STATUS(execq_future_wait(task.future, -1), EXECQ_OK);
        CHECK_STATUS(execq_future_wait(future, -1), EXECQ_OK);
    }
    void* seen = nullptr;
    CHECK_STATUS(execq_future_result(future, &seen), EXECQ_OK);
    CHECK(seen == &value);
    execq_future_release(future);
    end_executor(scene.executor);
    task.check_end();
}
