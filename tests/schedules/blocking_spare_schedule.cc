// Both threads of an executor block in a way that they have told it of; what frees them is a task that needs a spare thread.
#include "scenario.h"

using namespace schedules;

namespace {

struct Scene {
    Gate gate;
    int blocked = 0;
};

std::int32_t blocks(void* env, void**)
{
    auto& scene = *static_cast<Scene*>(env);
    execq_blocking_begin();
    scene.gate.pass();
    execq_blocking_end();
    ++scene.blocked;
    return 0;
}

std::int32_t frees(void* env, void**)
{
    static_cast<Scene*>(env)->gate.open();
    return 0;
}

}  // namespace

SCHEDULE(blocking_spare)
{
    execq_executor* executor = make_executor(2, 1);
    Scene scene;
    std::array<execq_future*, 3> futures{};
    explore();
    {
        const Thread other([&] { CHECK_STATUS(execq_submit(executor, blocks, &scene, &futures[0]), EXECQ_OK); });
        CHECK_STATUS(execq_submit(executor, blocks, &scene, &futures[1]), EXECQ_OK);
        CHECK_STATUS(execq_submit(executor, frees, &scene, &futures[2]), EXECQ_OK);
    }
    CHECK_STATUS(execq_future_wait_all(futures.data(), futures.size(), -1), EXECQ_OK);
    CHECK(scene.blocked == 2);
    for (execq_future* future : futures)
        execq_future_release(future);
    end_executor(executor);
}
