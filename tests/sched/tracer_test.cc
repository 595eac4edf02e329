// Who is traced pays for it, and nobody else does.
#include "sched/tracer.h"

#include <gtest/gtest.h>

#include "sched/executor.h"
#include "sched/observer.h"

namespace execq::core {
namespace {

Executor* make()
{
    ExecutorSpec spec;
    EXPECT_EQ(make_observers({}, spec.observers), EXECQ_OK);
    Executor* executor = nullptr;
    EXPECT_EQ(Executor::make(spec, &executor), EXECQ_OK);
    return executor;
}

TEST(Tracer, ExecutorsThatAreMadeWithoutATraceKeepTheirShortWays)
{
    Executor* before = make();
    ASSERT_EQ(Tracer::start("/dev/null"), EXECQ_OK);
    Executor* during = make();
    EXPECT_TRUE(before->direct());
    EXPECT_FALSE(during->direct());
    EXPECT_NE(during->observers(), nullptr);
    ASSERT_EQ(Tracer::stop(), EXECQ_OK);
    Executor* after = make();
    EXPECT_TRUE(after->direct());
    EXPECT_EQ(after->observers(), nullptr);
    for (Executor* executor : {before, during, after}) {
        executor->close(EXECQ_CANCEL);
        EXPECT_EQ(executor->join(Deadline::after(-1)), EXECQ_OK);
        executor->release();
    }
}

}  // namespace
}  // namespace execq::core
