// One of two threads is occupied, and the other one falls asleep, or leaves as soon as it is idle, while two threads submit,
// one task after the end of the other: none is left to a thread that is on its way out, or to one that is busy.
#include "scenario.h"

using namespace schedules;

namespace {

struct Occupant {
    Gate begun, end;
};

std::int32_t occupy(void* env, void**)
{
    auto& occupant = *static_cast<Occupant*>(env);
    occupant.begun.open();
    occupant.end.pass();
    return 0;
}

}  // namespace

SCHEDULE(idle_leave)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    options.max_spares = -1;
    options.keepalive_ns = choice(2) == 0 ? -1 : 0;
    execq_executor* executor = nullptr;
    CHECK_STATUS(execq_executor_new(&options, &executor), EXECQ_OK);
    std::array<Task, 4> tasks;
    Occupant occupant;
    CHECK_STATUS(execq_submit(executor, occupy, &occupant, nullptr), EXECQ_OK);
    occupant.begun.pass();
    explore();
    {
        const auto submit_two = [&](std::size_t first) {
            for (std::size_t i = first; i < first + 2; ++i) {
                tasks[i].submit(executor);
                CHECK(tasks[i].accepted());
                CHECK_STATUS(execq_future_wait(tasks[i].future, -1), EXECQ_OK);
            }
        };
        const Thread other([&] { submit_two(0); });
        submit_two(2);
    }
    occupant.end.open();
    end_executor(executor);
    for (Task& task : tasks)
        task.check_end();
}
