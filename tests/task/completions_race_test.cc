// Registering, settling and withdrawing at once: each registration ends in exactly one way.
#include <array>
#include <atomic>
#include <gtest/gtest.h>
#include <memory>

#include "task/node.h"
#include "test_port.h"
#include "white_box.h"

using namespace execq::core;

namespace {

struct Mark {
    std::atomic<int> delivered{0};
    std::atomic<int> dropped{0};

    static void done(execq_future* future, void* mark)
    {
        CHECK(execq::core::core_of(future)->done());
        static_cast<Mark*>(mark)->delivered.fetch_add(1);
    }
    static void drop(void* mark)
    {
        auto* self = static_cast<Mark*>(mark);
        CHECK(self->delivered == 1);
        self->dropped.fetch_add(1);
    }
};

TEST(CompletionsRace, EachIsDeliveredOnceHoweverItMeetsTheSettling)
{
    constexpr unsigned registrars = 3;
    constexpr std::size_t each = 2;
    const std::size_t rounds = stress_n(120'000, 4'000);
    std::array<Mark, registrars * each> marks;
    std::array<bool, registrars * each> dropped{};
    std::atomic<std::size_t> before{0};
    Node* node = nullptr;
    TestPort port;
    race_rounds(
        registrars + 1, rounds,
        [&](std::size_t) {
            node = new_promise();
            for (Mark& mark : marks)
                mark.delivered = mark.dropped = 0;
        },
        [&](unsigned role, std::size_t round) {
            if (role == registrars) {
                node->settle_value(nullptr);
                return;
            }
            for (std::size_t i = role * each; i < (role + 1) * each; ++i) {
                dropped[i] = (round + i) % 3 == 0;
                Port* to = (round + i) % 2 == 0 ? &port : nullptr;
                before += node->done() ? 0 : 1;
                CHECK(node->register_completion({Mark::done, &marks[i], dropped[i] ? Mark::drop : nullptr, to}) ==
                      EXECQ_OK);
            }
        },
        [&](std::size_t) {
            for (std::size_t i = 0; i < marks.size(); ++i) {
                ASSERT_EQ(marks[i].delivered, 1);
                ASSERT_EQ(marks[i].dropped, dropped[i] ? 1 : 0);
            }
            ASSERT_EQ(port.uses, 0);
            node->release();
            node->release();
        });
    EXPECT_GT(before, 0U);
    EXPECT_LT(before, rounds * marks.size());
}

// The settling may come while the room inside is being filled.
TEST(CompletionsRace, OneIsDeliveredOnceByTheRegistrarOrTheSettler)
{
    Node* node = nullptr;
    Mark mark;
    race_rounds(
        2, stress_n(1'000'000, 20'000),
        [&](std::size_t) {
            node = new_promise();
            mark.delivered = 0;
        },
        [&](unsigned role, std::size_t) {
            if (role == 0)
                node->settle_value(nullptr);
            else
                CHECK(node->register_completion({Mark::done, &mark, nullptr, nullptr}) == EXECQ_OK);
        },
        [&](std::size_t) {
            ASSERT_EQ(mark.delivered, 1);
            node->release();
            node->release();
        });
}

TEST(CompletionsRace, EachIsDeliveredOrWithdrawnButNotBoth)
{
    const std::size_t rounds = stress_n(100'000, 4'000);
    Node* node = nullptr;
    std::unique_ptr<TestPort> port;
    struct Ends {
        std::atomic<int> delivered{0};
        std::atomic<int> dropped{0};
        static void done(execq_future*, void* ends) { static_cast<Ends*>(ends)->delivered.fetch_add(1); }
        static void drop(void* ends) { static_cast<Ends*>(ends)->dropped.fetch_add(1); }
    } ends;
    std::size_t withdrawn = 0;
    execq_status status = EXECQ_OK;
    race_rounds(
        3, rounds,
        [&](std::size_t) {
            node = new_promise();
            port = std::make_unique<TestPort>();
            ends.delivered = ends.dropped = 0;
        },
        [&](unsigned role, std::size_t) {
            if (role == 0)
                node->settle_value(nullptr);
            else if (role == 1)
                port->withdraw();
            else
                status = node->register_completion({Ends::done, &ends, Ends::drop, port.get()});
        },
        [&](std::size_t) {
            ASSERT_EQ(ends.dropped, status == EXECQ_OK ? 1 : 0);
            ASSERT_LE(ends.delivered, ends.dropped);
            withdrawn += status == EXECQ_OK && ends.delivered == 0 ? 1 : 0;
            ASSERT_EQ(port->uses, 0);
            node->release();
            node->release();
        });
    EXPECT_GT(withdrawn, 0U);
}

}  // namespace
