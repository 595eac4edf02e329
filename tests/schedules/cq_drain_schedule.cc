// Three completions come to a queue whose receiver takes one at a time and waits in between, while another thread takes some,
// too: nobody waits while something is there, and each comes out once.
#include "scenario.h"

using namespace schedules;

namespace {

int drained = 0;

std::int32_t body(void*, void**) { return 0; }

// False: there was nothing.
bool drain_one(execq_cq* cq)
{
    execq_completion out;
    std::size_t n = 0;
    CHECK_STATUS(execq_cq_drain(cq, &out, 1, &n), EXECQ_OK);
    if (n == 0)
        return false;
    ++*static_cast<int*>(out.tag);
    ++drained;
    execq_future_release(out.future);
    return true;
}

}  // namespace

SCHEDULE(cq_drain)
{
    execq_executor* executor = make_executor(2);
    execq_cq* cq = nullptr;
    CHECK_STATUS(execq_cq_new(&cq), EXECQ_OK);
    std::array<int, 3> tags{};
    const std::uint64_t looks = choice(3);
    explore();
    {
        const Thread other([&] {
            for (std::uint64_t i = 0; i < looks; ++i)
                (void)drain_one(cq);
            // Whether this one took the last, while the other one sleeps: it is told by a completion of its own.
            CHECK_STATUS(execq_submit_to_cq(executor, nullptr, body, nullptr, cq, tags.data()), EXECQ_OK);
        });
        for (int& tag : tags)
            CHECK_STATUS(execq_submit_to_cq(executor, nullptr, body, nullptr, cq, &tag), EXECQ_OK);
        while (drained < 4) {
            CHECK_STATUS(execq_cq_wait(cq, -1), EXECQ_OK);
            (void)drain_one(cq);
        }
    }
    CHECK(tags == (std::array<int, 3>{2, 1, 1}));
    CHECK(!drain_one(cq));
    CHECK_STATUS(execq_cq_close(cq, nullptr), EXECQ_OK);
    execq_cq_release(cq);
    end_executor(executor);
}
