// A body registers a cancel callback, takes it back, and ends, while two threads ask it to stop: the callback runs at most
// once, never beside the body's end, and not after it was taken back.
#include "scenario.h"

using namespace schedules;

namespace {

struct Scene {
    int called = 0;
    bool may_be_called = false;
    Gate registered;
};

void called(void* env)
{
    auto& scene = *static_cast<Scene*>(env);
    CHECK(scene.may_be_called);
    point("inside the callback", nullptr);
    CHECK(scene.may_be_called);
    ++scene.called;
}

std::int32_t body(void* env, void**)
{
    auto& scene = *static_cast<Scene*>(env);
    execq_cancel_token token{};
    scene.may_be_called = true;
    CHECK_STATUS(execq_on_cancel(called, env, &token), EXECQ_OK);
    scene.registered.open();
    point("inside the body", nullptr);
    if (choice(2) == 0) {
        (void)execq_off_cancel(token);
        scene.may_be_called = false;
    }
    return 0;
}

// After the body's end, before the future is done.
void drop(void* env) { static_cast<Scene*>(env)->may_be_called = false; }

}  // namespace

SCHEDULE(on_cancel)
{
    execq_executor* executor = make_executor(1);
    Scene scene;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop;
    execq_future* future = nullptr;
    explore();
    CHECK_STATUS(execq_submit_with(executor, &options, body, &scene, &future), EXECQ_OK);
    {
        const auto ask = [&] { return execq_future_cancel(future); };
        const Thread early([&] {
            if (ask() == EXECQ_OK)
                scene.registered.open();  // it never runs
        });
        scene.registered.pass();
        (void)ask();
    }
    CHECK_STATUS(execq_future_wait(future, -1), EXECQ_OK);
    CHECK(scene.called <= 1);
    execq_future_release(future);
    end_executor(executor);
    CHECK(!scene.may_be_called);
}
