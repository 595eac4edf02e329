// On a pool of one, a task submits two others and waits for them, while a thread from outside waits for one and cancels
// the other: nobody waits for ever, and the cancellation is told to one alone.
#include "scenario.h"

using namespace schedules;

namespace {

struct Scene {
    execq_executor* executor = nullptr;
    Task awaited, canceled;
    Gate submitted;
};

std::int32_t outer(void* env, void**)
{
    auto& scene = *static_cast<Scene*>(env);
    scene.awaited.submit(scene.executor);
    scene.canceled.submit(scene.executor);
    CHECK(scene.awaited.accepted() && scene.canceled.accepted());
    scene.submitted.open();
    CHECK_STATUS(execq_future_wait(scene.canceled.future, -1), EXECQ_OK);
    CHECK_STATUS(execq_future_wait(scene.awaited.future, -1), EXECQ_OK);
    CHECK(scene.awaited.ran == 1);
    return 0;
}

}  // namespace

SCHEDULE(nested_wait)
{
    Scene scene;
    scene.executor = make_executor(1);
    execq_future* future = nullptr;
    execq_status canceled = EXECQ_OK;
    explore();
    CHECK_STATUS(execq_submit(scene.executor, outer, &scene, &future), EXECQ_OK);
    {
        const Thread waits([&] {
            scene.submitted.pass();
            CHECK_STATUS(execq_future_wait(scene.awaited.future, -1), EXECQ_OK);
        });
        const Thread cancels([&] {
            scene.submitted.pass();
            canceled = execq_future_cancel(scene.canceled.future);
        });
        CHECK_STATUS(execq_future_wait(future, -1), EXECQ_OK);
    }
    CHECK_STATUS(execq_future_result(future, nullptr), EXECQ_OK);
    CHECK((canceled == EXECQ_OK) == (scene.canceled.ran == 0));
    execq_future_release(future);
    end_executor(scene.executor);
    scene.awaited.check_end();
    scene.canceled.check_end();
}
