// Plain tasks without a future come from two threads and from a task, and the executor's last reference is given up while
// they do: all of them run, and the executor ends by itself.
#include "scenario.h"

using namespace schedules;

namespace {

struct Scene {
    execq_executor* executor = nullptr;
    int ran = 0;
};

std::int32_t count(void* env, void**)
{
    ++static_cast<Scene*>(env)->ran;
    return 0;
}

std::int32_t submit_more(void* env, void**)
{
    auto& scene = *static_cast<Scene*>(env);
    ++scene.ran;
    CHECK_STATUS(execq_submit(scene.executor, count, env, nullptr), EXECQ_OK);
    CHECK_STATUS(execq_submit(scene.executor, count, env, nullptr), EXECQ_OK);
    return 0;
}

}  // namespace

SCHEDULE(fire_and_forget)
{
    Scene scene;
    scene.executor = make_executor(2);
    explore();
    {
        const Thread other([&] {
            CHECK_STATUS(execq_submit(scene.executor, count, &scene, nullptr), EXECQ_OK);
            CHECK_STATUS(execq_submit(scene.executor, count, &scene, nullptr), EXECQ_OK);
        });
        CHECK_STATUS(execq_submit(scene.executor, submit_more, &scene, nullptr), EXECQ_OK);
        CHECK_STATUS(execq_submit(scene.executor, count, &scene, nullptr), EXECQ_OK);
    }
    end_executor(scene.executor);
    CHECK(scene.ran == 6);
}
