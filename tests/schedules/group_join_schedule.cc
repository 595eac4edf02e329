// A group is joined while its tasks end, one of them adds another, and a thread cancels it: the join comes back after the
// last one, and tells what happened.
#include "scenario.h"

using namespace schedules;

namespace {

struct Scene {
    execq_executor* executor = nullptr;
    execq_group* group = nullptr;
    Task parent, child, sibling;
};

void submit_to(Scene& scene, Task& task, execq_fn body, void* env)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = [](void*) {};
    task.submitted = execq_group_submit(scene.group, scene.executor, &options, body, env, &task.future);
}

std::int32_t run_parent(void* env, void**)
{
    auto& scene = *static_cast<Scene*>(env);
    ++scene.parent.ran;
    submit_to(
        scene, scene.child,
        [](void* task, void**) -> std::int32_t {
            ++static_cast<Task*>(task)->ran;
            return 0;
        },
        &scene.child);
    return 0;
}

std::int32_t run_sibling(void* env, void**)
{
    ++static_cast<Scene*>(env)->sibling.ran;
    return 0;
}

}  // namespace

SCHEDULE(group_join)
{
    Scene scene;
    scene.executor = make_executor(2);
    scene.child.submitted = EXECQ_ECLOSED;
    CHECK_STATUS(execq_group_new(nullptr, &scene.group), EXECQ_OK);
    execq_status canceled = EXECQ_EALREADY;
    explore();
    submit_to(scene, scene.parent, run_parent, &scene);
    submit_to(scene, scene.sibling, run_sibling, &scene);
    CHECK(scene.parent.accepted() && scene.sibling.accepted());
    {
        const Thread cancels([&] { canceled = execq_group_cancel(scene.group); });
        const execq_status joined = execq_group_join(scene.group, -1);
        int ended = 0, accepted = 0, ran = 0;
        for (const Task* task : {&scene.parent, &scene.child, &scene.sibling}) {
            if (!task->accepted())
                continue;
            ++accepted;
            ended += execq_future_wait(task->future, 0) == EXECQ_OK ? 1 : 0;
            ran += task->ran;
            CHECK(execq_future_result(task->future, nullptr) == (task->ran == 1 ? EXECQ_OK : EXECQ_ECANCELED));
        }
        CHECK(ended == accepted);
        CHECK(joined == EXECQ_OK || joined == EXECQ_ECANCELED);
        CHECK(joined == EXECQ_ECANCELED || ran == accepted);
        CHECK(scene.child.accepted() || scene.parent.ran == 0 || joined == EXECQ_ECANCELED);
        CHECK_STATUS(execq_group_join(scene.group, -1), joined);
        CHECK_STATUS(execq_group_submit(scene.group, scene.executor, nullptr, run_sibling, &scene, nullptr),
                     EXECQ_ECLOSED);
    }
    CHECK(canceled == EXECQ_OK || canceled == EXECQ_EALREADY);
    for (const Task* task : {&scene.parent, &scene.child, &scene.sibling})
        execq_future_release(task->future);
    execq_group_release(scene.group);
    end_executor(scene.executor);
}
