#include "flow/lift_stack.h"

#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "white_box.h"

using namespace execq::core;

namespace {

TEST(LiftStack, GivesEverythingBackOldestFirst)
{
    LiftStack stack;
    TaskFifo tasks;
    std::vector<Node*> nodes;
    for (int i = 0; i < 5; ++i) {
        nodes.push_back(new_task());
        EXPECT_EQ(stack.push(*nodes.back()), i == 0 ? LiftStack::Push::first : LiftStack::Push::later);
    }
    EXPECT_FALSE(stack.empty());
    stack.take_all(tasks);
    EXPECT_TRUE(stack.empty());
    for (int i = 5; i < 8; ++i) {
        nodes.push_back(new_task());
        EXPECT_EQ(stack.push(*nodes.back()), i == 5 ? LiftStack::Push::first : LiftStack::Push::later);
    }
    stack.take_all(tasks);  // behind the others
    stack.take_all(tasks);
    EXPECT_EQ(tasks.size(), nodes.size());
    for (Node* node : nodes) {
        EXPECT_EQ(tasks.pop(), node);
        node->discard();
    }
}

TEST(LiftStack, RefusesWhatComesAfterItWasClosed)
{
    LiftStack stack;
    TaskFifo tasks;
    Node* before = new_task();
    Node* after = new_task();
    EXPECT_EQ(stack.push(*before), LiftStack::Push::first);
    stack.close(tasks);
    EXPECT_EQ(stack.push(*after), LiftStack::Push::closed);
    EXPECT_EQ(tasks.pop(), before);
    EXPECT_TRUE(tasks.empty());
    before->discard();
    after->discard();
}

TEST(LiftStack, LosesNothingOfWhatIsPushedWhileItIsTakenAndClosed)
{
    constexpr std::size_t pushes = sanitized ? 20'000 : 200'000;
    LiftStack stack;
    TaskFifo tasks;
    std::atomic<std::size_t> accepted{0};
    std::vector<std::thread> threads;
    Barrier start(3);
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            start.wait();
            for (std::size_t n = 0; n < pushes; ++n) {
                Node* node = new_task();
                if (stack.push(*node) == LiftStack::Push::closed) {
                    node->discard();
                    return;
                }
                accepted.fetch_add(1);
            }
        });
    }
    start.wait();
    std::size_t taken = 0;
    const auto count = [&] {
        while (Node* node = tasks.pop()) {
            ++taken;
            node->discard();
        }
    };
    while (taken < pushes) {
        stack.take_all(tasks);
        count();
    }
    stack.close(tasks);
    count();
    for (std::thread& thread : threads)
        thread.join();
    EXPECT_EQ(taken, accepted);
}

}  // namespace
