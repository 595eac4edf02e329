// What is written before a submission is read by the task, and what the task writes by whoever learns of its end, in each
// way of learning: memory that nothing else protects. The values are exact; under ThreadSanitizer the order is proved, too.
#include <array>
#include <cstdint>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "execq/uv.h"
#include "stress.h"

namespace {

constexpr std::size_t words = 16;

struct Packet {
    std::array<std::uint64_t, words> there{};
    std::array<std::uint64_t, words> back{};
    std::uint64_t seed = 0;

    void write(std::uint64_t with)
    {
        seed = with;
        for (std::size_t i = 0; i < words; ++i)
            there[i] = with + i;
        back.fill(0);
    }
    void answer()
    {
        for (std::size_t i = 0; i < words; ++i) {
            CHECK(there[i] == seed + i);
            back[i] = there[i] * 3;
        }
    }
    void check() const
    {
        for (std::size_t i = 0; i < words; ++i)
            CHECK(back[i] == (seed + i) * 3);
    }
};

execq_executor* executor = nullptr;

std::int32_t answer(void* packet, void** result)
{
    static_cast<Packet*>(packet)->answer();
    *result = packet;
    return 0;
}

void start(execq_promise* promise, uv_loop_s*, void* packet)
{
    static_cast<Packet*>(packet)->answer();
    CHECK(execq_promise_resolve(promise, packet) == EXECQ_OK);
    execq_promise_release(promise);
}

void check(execq_future*, void* packet) { static_cast<const Packet*>(packet)->check(); }

std::int32_t add(void* sum, void**)
{
    *static_cast<std::uint64_t*>(sum) += 1;
    return 0;
}

// One thread's packets, there and back.
class Courier {
public:
    Courier()
    {
        CHECK(uv_loop_init(&loop_) == 0 && execq_loop_attach(&loop_, &port_) == EXECQ_OK);
        CHECK(execq_cq_new(&cq_) == EXECQ_OK && execq_queue_new(executor, nullptr, &strand_) == EXECQ_OK);
    }
    ~Courier()
    {
        execq_queue_release(strand_);
        CHECK(execq_cq_close(cq_, nullptr) == EXECQ_OK);
        execq_cq_release(cq_);
        CHECK(execq_loop_detach(port_) == EXECQ_OK);
        execq_loop_release(port_);
        uv_run(&loop_, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&loop_) == 0);
    }
    Courier(const Courier&) = delete;
    Courier& operator=(const Courier&) = delete;

    void carry(std::uint64_t round)
    {
        for (std::uint64_t i = 0; i < ways; ++i)
            packets_[i].write(round * 1000 + i);
        execq_future* future = nullptr;
        CHECK(execq_submit(executor, answer, &packets_[0], &future) == EXECQ_OK);
        CHECK(execq_future_wait(future, -1) == EXECQ_OK);
        packets_[0].check();
        execq_future_release(future);

        CHECK(execq_submit(executor, answer, &packets_[1], &future) == EXECQ_OK);
        while (execq_future_state(future) != EXECQ_FUTURE_OK)  // to look is enough, too
            std::this_thread::yield();
        packets_[1].check();
        CHECK(execq_future_on_done(future, check, &packets_[1], nullptr) == EXECQ_OK);
        execq_future_release(future);

        CHECK(execq_submit_to_loop(executor, nullptr, answer, &packets_[2], port_, check, &packets_[2], nullptr) ==
              EXECQ_OK);
        uv_run(&loop_, UV_RUN_DEFAULT);
        packets_[2].check();

        CHECK(execq_submit_to_cq(executor, nullptr, answer, &packets_[3], cq_, &packets_[3]) == EXECQ_OK);
        execq_completion completion{};
        for (std::size_t n = 0; n == 0;) {
            CHECK(execq_cq_wait(cq_, -1) == EXECQ_OK);
            CHECK(execq_cq_drain(cq_, &completion, 1, &n) == EXECQ_OK);
        }
        static_cast<const Packet*>(completion.tag)->check();
        execq_future_release(completion.future);

        execq_group* group = nullptr;
        CHECK(execq_group_new(nullptr, &group) == EXECQ_OK);
        CHECK(execq_group_submit(group, executor, nullptr, answer, &packets_[4], nullptr) == EXECQ_OK);
        CHECK(execq_group_join(group, -1) == EXECQ_OK);
        packets_[4].check();
        execq_group_release(group);

        CHECK(execq_submit_async(executor, nullptr, start, &packets_[5], &future) == EXECQ_OK);
        CHECK(execq_future_wait(future, -1) == EXECQ_OK);
        packets_[5].check();
        forward(future);
        execq_future_release(future);

        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.queue = strand_;
        for (int i = 0; i < 4; ++i)
            CHECK(execq_submit_with(nullptr, &options, add, &sum_, i == 3 ? &future : nullptr) == EXECQ_OK);
        CHECK(execq_future_wait(future, -1) == EXECQ_OK);
        CHECK(sum_ == 4 * (round + 1));
        execq_future_release(future);
    }

private:
    static constexpr std::uint64_t ways = 7;

    // From one future to another, and to a callback of that.
    void forward(execq_future* from)
    {
        execq_promise* promise = nullptr;
        execq_future* to = nullptr;
        CHECK(execq_promise_new(nullptr, &promise, &to) == EXECQ_OK);
        execq_future* running = nullptr;
        CHECK(execq_submit(executor, answer, &packets_[6], &running) == EXECQ_OK);
        CHECK(execq_future_forward(running, promise) == EXECQ_OK);
        execq_promise_release(promise);
        CHECK(execq_future_wait(to, -1) == EXECQ_OK);
        packets_[6].check();
        CHECK(execq_future_on_done(from, check, &packets_[5], nullptr) == EXECQ_OK);
        execq_future_release(running);
        execq_future_release(to);
    }

    std::array<Packet, ways> packets_{};
    std::uint64_t sum_ = 0;
    uv_loop_t loop_;
    execq_loop* port_ = nullptr;
    execq_cq* cq_ = nullptr;
    execq_queue* strand_ = nullptr;
};

}  // namespace

TEST(VisibilityStress, WhatIsWrittenBeforeIsReadAfterInEachWay)
{
    const std::size_t rounds = stress_n(2'500, 300);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 3;
    ASSERT_EQ(execq_executor_new(&options, &executor), EXECQ_OK);
    std::vector<std::thread> couriers;
    for (int i = 0; i < 3; ++i) {
        couriers.emplace_back([rounds] {
            Courier courier;
            for (std::size_t round = 0; round < rounds; ++round)
                courier.carry(round);
        });
    }
    for (std::thread& courier : couriers)
        courier.join();
    ASSERT_EQ(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    ASSERT_EQ(execq_executor_join(executor, -1, nullptr), EXECQ_OK);
    execq_executor_release(executor);
}
