// An asynchronous task hands its promise to a thread, which completes it while another one cancels: the worker's loop is
// woken for whichever comes first, the cancel callback runs at most once and never after the end, and its env ends once.
#include <execq/uv.h>

#include "scenario.h"

using namespace schedules;

namespace {

struct Scene {
    execq_promise* promise = nullptr;
    Gate started;
    int asked = 0;
    int callback_dropped = 0;
    int dropped = 0;
    execq_status hooked = EXECQ_OK;
};

void asked(void* env)
{
    auto& scene = *static_cast<Scene*>(env);
    CHECK(scene.dropped == 0 && scene.callback_dropped == 0);
    ++scene.asked;
}

void start(execq_promise* promise, uv_loop_s*, void* env)
{
    auto& scene = *static_cast<Scene*>(env);
    scene.promise = promise;
    scene.started.open();
    scene.hooked =
        execq_promise_on_cancel(promise, asked, env, [](void* one) { ++static_cast<Scene*>(one)->callback_dropped; });
    CHECK(scene.hooked == EXECQ_OK || scene.hooked == EXECQ_EALREADY);
    execq_promise_release(promise);
}

}  // namespace

SCHEDULE(async_cancel)
{
    execq_executor* executor = make_executor(2);
    Scene scene;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = [](void* env) { ++static_cast<Scene*>(env)->dropped; };
    execq_future* future = nullptr;
    execq_status canceled = EXECQ_OK;
    explore();
    CHECK_STATUS(execq_submit_async(executor, &options, start, &scene, &future), EXECQ_OK);
    {
        const Thread cancels([&] { canceled = execq_future_cancel(future); });
        CHECK_STATUS(execq_future_wait(future, -1), EXECQ_OK);
    }
    // Never completed by hand: its last reference is given up in start, or it never started.
    CHECK(scene.dropped == 1);
    if (canceled == EXECQ_OK)
        CHECK(scene.promise == nullptr && execq_future_state(future) == EXECQ_FUTURE_CANCELED);
    else
        CHECK(scene.promise != nullptr && execq_future_state(future) >= EXECQ_FUTURE_FAILED);
    CHECK(scene.asked <= (canceled == EXECQ_EBUSY ? 1 : 0));
    end_executor(executor);
    CHECK(scene.callback_dropped == (scene.promise != nullptr && scene.hooked == EXECQ_OK ? 1 : 0) ||
          scene.hooked == EXECQ_EALREADY);
    (void)execq_future_error(future);
    execq_future_release(future);
}
