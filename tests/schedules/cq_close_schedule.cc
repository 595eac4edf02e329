// A completion queue is drained by one thread and closed by another while tasks end: each tag comes out once, is dropped
// once, or was never taken.
#include "scenario.h"

using namespace schedules;

namespace {

struct Tag {
    int drained = 0;
    int dropped = 0;
    int ran = 0;
    execq_status submitted = EXECQ_OK;
};

std::int32_t body(void* env, void**)
{
    ++static_cast<Tag*>(env)->ran;
    return 0;
}
void drop(void* tag) { ++static_cast<Tag*>(tag)->dropped; }

execq_status drain(execq_cq* cq)
{
    std::array<execq_completion, 2> out;
    std::size_t n = 0;
    const execq_status status = execq_cq_drain(cq, out.data(), out.size(), &n);
    for (std::size_t i = 0; i < n; ++i) {
        CHECK(out[i].status == EXECQ_OK);
        ++static_cast<Tag*>(out[i].tag)->drained;
        execq_future_release(out[i].future);
    }
    return status;
}

}  // namespace

SCHEDULE(cq_close)
{
    execq_executor* executor = make_executor(2);
    execq_cq* cq = nullptr;
    CHECK_STATUS(execq_cq_new(&cq), EXECQ_OK);
    std::array<Tag, 3> tags;
    execq_status closed = EXECQ_OK;
    explore();
    {
        const Thread drains([&] {
            execq_status status = EXECQ_OK;
            while (status == EXECQ_OK) {
                status = execq_cq_wait(cq, -1);
                CHECK(status == EXECQ_OK || status == EXECQ_ECLOSED);
                if (status == EXECQ_OK)
                    status = drain(cq);
            }
            CHECK_STATUS(status, EXECQ_ECLOSED);
        });
        const Thread closes([&] {
            if (choice(2) == 0)
                point("before the close", nullptr);
            closed = execq_cq_close(cq, drop);
        });
        for (Tag& tag : tags) {
            tag.submitted = execq_submit_to_cq(executor, nullptr, body, &tag, cq, &tag);
            CHECK(tag.submitted == EXECQ_OK || tag.submitted == EXECQ_ECLOSED);
        }
    }
    CHECK_STATUS(closed, EXECQ_OK);
    for (const Tag& tag : tags)
        CHECK(tag.drained + tag.dropped == (tag.submitted == EXECQ_OK ? 1 : 0));
    end_executor(executor);
    for (const Tag& tag : tags)
        CHECK(tag.ran == (tag.submitted == EXECQ_OK ? 1 : 0));
    execq_cq_release(cq);
}
