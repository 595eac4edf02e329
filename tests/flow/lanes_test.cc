#include "flow/lanes.h"

#include <algorithm>
#include <deque>
#include <gtest/gtest.h>
#include <map>
#include <memory>
#include <random>
#include <vector>

#include "task/node.h"

using namespace execq::core;

namespace {

class NoScope final : public TaskScope {
public:
    execq_status admit(Membership&) override { return EXECQ_OK; }
    void dismiss(Membership&) noexcept override {}
    void accepted(Membership&) noexcept override {}
    void ended(Membership&) noexcept override {}
};

class LanesTest : public testing::Test {
protected:
    Membership& member(Lanes& lanes, std::uint64_t key)
    {
        members_.push_back(std::make_unique<Membership>(scope_, *node_, key, nullptr));
        lanes.enter(*members_.back(), key);
        return *members_.back();
    }
    Membership& waiting(Lanes& lanes, std::uint64_t key)
    {
        Membership& made = member(lanes, key);
        lanes.push(made);
        return made;
    }
    static void run(Lanes& lanes, Membership& member)
    {
        lanes.start(member);
        lanes.end(member);
        lanes.leave(member);
    }
    // Starts and ends what is next, n times; how often each key came.
    static std::map<std::uint64_t, int> run_next(Lanes& lanes, int n)
    {
        std::map<std::uint64_t, int> starts;
        for (int i = 0; i < n; ++i) {
            Membership* next = lanes.next();
            if (next == nullptr)
                break;
            ++starts[next->key];
            run(lanes, *next);
        }
        return starts;
    }

    ~LanesTest() override { node_->release(); }

private:
    NoScope scope_;
    Node* node_ = Node::make_task({}, 0);
    std::vector<std::unique_ptr<Membership>> members_;
};

TEST_F(LanesTest, OneLaneIsFirstInFirstOut)
{
    Lanes lanes(0);
    std::vector<Membership*> all;
    for (int i = 0; i < 10; ++i)
        all.push_back(&waiting(lanes, 0));
    for (Membership* expected : all) {
        ASSERT_EQ(lanes.next(), expected);
        run(lanes, *expected);
    }
    EXPECT_EQ(lanes.next(), nullptr);
    EXPECT_EQ(lanes.any(), nullptr);
    EXPECT_EQ(lanes.waiting(), 0U);
    EXPECT_EQ(lanes.count(), 0U);
}

TEST_F(LanesTest, KeysTakeTurnsByWeight)
{
    Lanes lanes(0);
    lanes.configure(2, 2, 0);
    lanes.configure(3, 5, 0);
    for (std::uint64_t key = 1; key <= 3; ++key) {
        for (int i = 0; i < 1000; ++i)
            waiting(lanes, key);
    }
    const auto starts = run_next(lanes, 800);
    EXPECT_NEAR(starts.at(1), 100, 2);
    EXPECT_NEAR(starts.at(2), 200, 2);
    EXPECT_NEAR(starts.at(3), 500, 2);
    run_next(lanes, 3000);
    EXPECT_EQ(lanes.count(), 2U);  // those with a weight of their own stay
    lanes.configure(2, 1, 0);
    lanes.configure(3, 1, 0);
    EXPECT_EQ(lanes.count(), 0U);
}

TEST_F(LanesTest, WhoHadNothingToDoSavesNoTurnsUp)
{
    Lanes lanes(0);
    for (int i = 0; i < 1000; ++i)
        waiting(lanes, 1);
    run_next(lanes, 500);
    for (int i = 0; i < 500; ++i)
        waiting(lanes, 2);
    const auto starts = run_next(lanes, 100);
    EXPECT_NEAR(starts.at(1), 50, 1);
    EXPECT_NEAR(starts.at(2), 50, 1);
    run_next(lanes, 1000);
}

TEST_F(LanesTest, ACapLetsOthersPass)
{
    Lanes lanes(1);
    Membership& first = waiting(lanes, 1);
    Membership& second = waiting(lanes, 1);
    Membership& other = waiting(lanes, 2);
    ASSERT_EQ(lanes.next(), &first);
    lanes.start(first);
    ASSERT_EQ(lanes.next(), &other);
    lanes.start(other);
    EXPECT_EQ(lanes.next(), nullptr);
    EXPECT_EQ(lanes.any(), &second);
    lanes.configure(1, 1, 2);
    ASSERT_EQ(lanes.next(), &second);
    lanes.configure(1, 1, 0);
    EXPECT_EQ(lanes.next(), nullptr);
    lanes.end(first);
    lanes.leave(first);
    ASSERT_EQ(lanes.next(), &second);
    run(lanes, second);
    lanes.end(other);
    lanes.leave(other);
    EXPECT_EQ(lanes.count(), 0U);
}

TEST_F(LanesTest, RandomlyAsAPlainModel)
{
    std::mt19937 random(20261125);
    Lanes lanes(3);
    std::map<std::uint64_t, std::deque<Membership*>> model;
    std::map<std::uint64_t, std::uint32_t> in_flight;
    std::vector<Membership*> started;
    std::size_t waiting_count = 0;
    for (int step = 0; step < 20'000; ++step) {
        const std::uint64_t key = random() % 5;
        switch (random() % 4) {
        case 0:
        case 1:
            model[key].push_back(&waiting(lanes, key));
            ++waiting_count;
            break;
        case 2:  // a start, or the withdrawal of a waiting one
            if (random() % 4 == 0 && !model[key].empty()) {
                const std::size_t at = random() % model[key].size();
                Membership* gone = model[key][at];
                model[key].erase(model[key].begin() + static_cast<std::ptrdiff_t>(at));
                lanes.take_back(*gone);
                lanes.leave(*gone);
                --waiting_count;
            } else if (Membership* next = lanes.next()) {
                ASSERT_EQ(model[next->key].front(), next);
                ASSERT_LT(in_flight[next->key], 3U);
                model[next->key].pop_front();
                ++in_flight[next->key];
                lanes.start(*next);
                started.push_back(next);
                --waiting_count;
            } else {
                for (const auto& [each, queue] : model)
                    ASSERT_TRUE(queue.empty() || in_flight[each] >= 3);
            }
            break;
        default:
            if (!started.empty()) {
                std::swap(started[random() % started.size()], started.back());
                Membership* ended = started.back();
                started.pop_back();
                --in_flight[ended->key];
                lanes.end(*ended);
                lanes.leave(*ended);
            }
        }
        ASSERT_EQ(lanes.waiting(), waiting_count);
    }
    for (Membership* ended : started) {
        lanes.end(*ended);
        lanes.leave(*ended);
    }
    while (Membership* next = lanes.next())
        run(lanes, *next);
    EXPECT_EQ(lanes.count(), 0U);
}

}  // namespace
