// Plain tasks without a future come from two threads and from a task, to one worker or two: all of them run, without anybody
// who waits for them in the library.
#include "scenario.h"

using namespace schedules;

namespace {

constexpr int all = 6;

struct Scene {
    execq_executor* executor = nullptr;
    int ran = 0;
    Gate over;

    void count()
    {
        if (++ran == all)
            over.open();
    }
};

std::int32_t count(void* env, void**)
{
    static_cast<Scene*>(env)->count();
    return 0;
}

std::int32_t submit_more(void* env, void**)
{
    auto& scene = *static_cast<Scene*>(env);
    scene.count();
    CHECK_STATUS(execq_submit(scene.executor, count, env, nullptr), EXECQ_OK);
    CHECK_STATUS(execq_submit(scene.executor, count, env, nullptr), EXECQ_OK);
    return 0;
}

}  // namespace

SCHEDULE(fire_and_forget)
{
    Scene scene;
    scene.executor = make_executor(1 + static_cast<std::uint32_t>(choice(2)));
    explore();
    {
        const Thread other([&] {
            CHECK_STATUS(execq_submit(scene.executor, count, &scene, nullptr), EXECQ_OK);
            CHECK_STATUS(execq_submit(scene.executor, count, &scene, nullptr), EXECQ_OK);
        });
        CHECK_STATUS(execq_submit(scene.executor, submit_more, &scene, nullptr), EXECQ_OK);
        CHECK_STATUS(execq_submit(scene.executor, count, &scene, nullptr), EXECQ_OK);
    }
    scene.over.pass();  // the close would wake who was forgotten
    end_executor(scene.executor);
    CHECK(scene.ran == all);
}
