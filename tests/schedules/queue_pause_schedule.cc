// A queue of one at a time in front of two workers, which a thread pauses and resumes while another one submits: first in,
// first out, never two at once, and none starts while it is paused.
#include <vector>

#include "scenario.h"

using namespace schedules;

namespace {

constexpr std::size_t all = 3;

int running = 0;
Gate over;
std::vector<int> started;

struct Numbered {
    int number;
};

std::int32_t body(void* env, void**)
{
    CHECK(running == 0);
    ++running;
    started.push_back(static_cast<Numbered*>(env)->number);
    point("inside the body", nullptr);
    --running;
    if (started.size() == all)
        over.open();
    return 0;
}

}  // namespace

SCHEDULE(queue_pause)
{
    execq_executor* executor = make_executor(2);
    execq_queue* queue = nullptr;
    CHECK_STATUS(execq_queue_new(executor, nullptr, &queue), EXECQ_OK);
    std::array<Numbered, all> tasks{{{0}, {1}, {2}}};
    execq_future* closed = nullptr;
    explore();
    {
        const Thread pauses([&] {
            CHECK_STATUS(execq_queue_pause(queue), EXECQ_OK);
            const std::size_t before = started.size();
            point("paused", nullptr);
            point("paused", nullptr);
            CHECK(started.size() == before || (started.size() == before + 1 && running == 0) || running == 1);
            CHECK_STATUS(execq_queue_resume(queue), EXECQ_OK);
        });
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.queue = queue;
        for (Numbered& task : tasks)
            CHECK_STATUS(execq_submit_with(nullptr, &options, body, &task, nullptr), EXECQ_OK);
    }
    over.pass();  // a drain would resume it
    CHECK_STATUS(execq_queue_close(queue, EXECQ_DRAIN, &closed), EXECQ_OK);
    CHECK_STATUS(execq_future_wait(closed, -1), EXECQ_OK);
    CHECK(started == (std::vector<int>{0, 1, 2}) && running == 0);
    execq_future_release(closed);
    execq_queue_release(queue);
    end_executor(executor);
}
