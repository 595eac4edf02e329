// Engines of the program's own, in C++.
#include "cpp.h"

#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace execq;

namespace {

// Keeps what it gets until the test runs it.
class Held : public engine {
public:
    explicit Held(std::atomic<int>& alive) : alive_(alive) { ++alive_; }
    ~Held() override { --alive_; }

    void submit(engine_task task) override
    {
        if (refuses == 1)
            throw error(EXECQ_EFULL);
        if (refuses == 2)
            throw std::runtime_error("no");
        tasks.push_back(std::move(task));
    }
    void cancel(engine_task task) override { told.push_back(std::move(task)); }
    void close(std::int32_t mode) override { closes.push_back(mode); }

    std::vector<engine_task> tasks;
    std::vector<engine_task> told;
    std::vector<std::int32_t> closes;
    int refuses = 0;

private:
    std::atomic<int>& alive_;
};

// A thread for each task.
class Threads : public engine {
public:
    explicit Threads(std::vector<std::thread>& threads) : threads_(threads) {}
    void submit(engine_task task) override
    {
        threads_.emplace_back([task = std::move(task)] { static_cast<void>(task.run()); });
    }

private:
    std::vector<std::thread>& threads_;  // joined by the test: the engine may end on one of them
};

TEST(CppEngine, a_lambda_runs_on_the_engine)
{
    std::vector<std::thread> threads;
    {
        const executor ex = make_executor(std::make_unique<Threads>(threads));
        const std::thread::id here = std::this_thread::get_id();
        EXPECT_NE(ex.submit([] { return std::this_thread::get_id(); }).get(), here);
        EXPECT_THROW(ex.submit([] { throw std::runtime_error("thrown"); }).get(), std::runtime_error);
    }
    for (std::thread& thread : threads)
        thread.join();
}

TEST(CppEngine, tasks_are_ended_by_the_engine_which_is_destroyed_after_the_last)
{
    std::atomic<int> alive{0};
    {
        auto made = std::make_unique<Held>(alive);
        Held& held = *made;
        const executor ex = make_executor(std::move(made), {.name = "held"});
        future<int> first = ex.submit([] { return 5; });
        future<int> second = ex.submit([] { return 6; });
        EXPECT_EQ(second.cancel(), cancel_result::prevented);
        ASSERT_EQ(held.told.size(), 1U);
        EXPECT_EQ(held.told[0].get(), held.tasks[1].get());
        EXPECT_FALSE(held.tasks[0].cancel_requested());
        EXPECT_EQ(held.tasks[0].info().priority, EXECQ_PRIORITY_NORMAL);
        EXPECT_EQ(held.tasks[0].run(), EXECQ_OK);
        EXPECT_EQ(held.tasks[0].run(), EXECQ_EALREADY);
        EXPECT_EQ(held.tasks[1].run(), EXECQ_ECANCELED);
        EXPECT_EQ(first.get(), 5);
        EXPECT_EQ(code_of([&] { static_cast<void>(held.tasks[0].info()); }), EXECQ_EALREADY);
        EXPECT_EQ(alive, 1);
    }
    EXPECT_EQ(alive, 0);
}

TEST(CppEngine, what_submit_throws_is_the_answer)
{
    std::atomic<int> alive{0};
    auto made = std::make_unique<Held>(alive);
    Held& held = *made;
    const executor ex = make_executor(std::move(made));
    held.refuses = 1;
    EXPECT_EQ(code_of([&] { static_cast<void>(ex.submit([] {})); }), EXECQ_EFULL);
    held.refuses = 2;
    EXPECT_EQ(code_of([&] { static_cast<void>(ex.submit([] {})); }), EXECQ_EEXCEPTION);
    EXPECT_TRUE(held.tasks.empty());
}

}  // namespace
