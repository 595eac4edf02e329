// Ten million operations of all kinds, from several threads at once: each has a number, which is seen once, by its body or by
// who canceled it before it ran; the sum of all numbers, and each count of drops, callbacks and deliveries, is exact.
#include <array>
#include <cinttypes>
#include <gtest/gtest.h>
#include <numeric>
#include <random>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "execq/uv.h"
#include "stress.h"

namespace {

constexpr std::size_t batch = 64;
constexpr unsigned producers = 3;

// Numbers that were seen, and their sum, in parts so that threads rarely meet.
class Ledger {
public:
    explicit Ledger(std::size_t n) : seen_(n) {}

    void see(std::size_t id)
    {
        CHECK(seen_[id].exchange(1, std::memory_order_relaxed) == 0);
        sums_[id / batch % parts].sum.fetch_add(id, std::memory_order_relaxed);
    }
    std::size_t unseen() const
    {
        std::size_t n = 0;
        for (const auto& flag : seen_)
            n += flag.load(std::memory_order_relaxed) == 0 ? 1 : 0;
        return n;
    }
    std::uint64_t sum() const
    {
        std::uint64_t all = 0;
        for (const Part& part : sums_)
            all += part.sum;
        return all;
    }
    std::size_t size() const { return seen_.size(); }

private:
    static constexpr std::size_t parts = 64;
    struct alignas(64) Part {
        std::atomic<std::uint64_t> sum{0};
    };
    std::vector<std::atomic<std::uint8_t>> seen_;
    std::array<Part, parts> sums_{};
};

Ledger* ledger = nullptr;
execq_executor* executor = nullptr;
std::atomic<std::size_t> next_id{0};
std::atomic<std::uint64_t> drops{0};
std::atomic<std::uint64_t> tellings{0};

std::size_t id_of(void* env) { return reinterpret_cast<std::uintptr_t>(env); }
void* env_of(std::size_t id) { return reinterpret_cast<void*>(id); }

std::int32_t body(void* env, void** result)
{
    ledger->see(id_of(env));
    *result = env;
    return 0;
}

void start(execq_promise* promise, uv_loop_s*, void* env)
{
    ledger->see(id_of(env));
    CHECK(execq_promise_resolve(promise, env) == EXECQ_OK);
    execq_promise_release(promise);
}

void drop(void*) { drops.fetch_add(1, std::memory_order_relaxed); }

void tell(execq_future* future, void* env)
{
    void* value = nullptr;
    CHECK(execq_future_result(future, &value) == EXECQ_OK && value == env);
    tellings.fetch_add(1, std::memory_order_relaxed);
}

// What one producer has done.
struct Counts {
    std::uint64_t with_drop = 0;
    std::uint64_t told = 0;
    std::uint64_t canceled = 0;
    std::uint64_t drained = 0;
};

class Producer {
public:
    explicit Producer(unsigned seed) : random_(seed)
    {
        CHECK(uv_loop_init(&loop_) == 0);
        CHECK(execq_loop_attach(&loop_, &port_) == EXECQ_OK);
        CHECK(execq_cq_new(&cq_) == EXECQ_OK);
        execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
        CHECK(execq_queue_new(executor, &options, &queue_) == EXECQ_OK);
    }
    ~Producer()
    {
        execq_queue_release(queue_);
        CHECK(execq_cq_close(cq_, nullptr) == EXECQ_OK);
        execq_cq_release(cq_);
        CHECK(execq_loop_detach(port_) == EXECQ_OK);
        execq_loop_release(port_);
        uv_run(&loop_, UV_RUN_DEFAULT);
        CHECK(uv_loop_close(&loop_) == 0);
    }
    Producer(const Producer&) = delete;
    Producer& operator=(const Producer&) = delete;

    Counts run()
    {
        for (;;) {
            first_ = next_id.fetch_add(batch);
            if (first_ >= ledger->size())
                return counts_;
            const std::uint32_t kind = random_() % 100;
            if (kind < 50)
                plain();
            else if (kind < 68)
                many();
            else if (kind < 80)
                futures();
            else if (kind < 85)
                in_queue();
            else if (kind < 90)
                in_group();
            else if (kind < 93)
                to_cq();
            else if (kind < 96)
                to_loop();
            else if (kind < 98)
                canceled();
            else
                async();
        }
    }

private:
    void plain() const
    {
        for (std::size_t i = 0; i < batch; ++i)
            CHECK(execq_submit(executor, body, env_of(first_ + i), nullptr) == EXECQ_OK);
    }
    void many()
    {
        std::array<void*, batch> envs{};
        for (std::size_t i = 0; i < batch; ++i)
            envs[i] = env_of(first_ + i);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.drop = drop;
        CHECK(execq_submit_many(executor, &options, batch, body, envs.data(), nullptr) == EXECQ_OK);
        counts_.with_drop += batch;
    }
    void settle(std::size_t i)
    {
        void* value = nullptr;
        CHECK(execq_future_result(futures_[i], &value) == EXECQ_OK && value == env_of(first_ + i));
        execq_future_release(futures_[i]);
    }
    void futures()
    {
        for (std::size_t i = 0; i < batch; ++i) {
            CHECK(execq_submit(executor, body, env_of(first_ + i), &futures_[i]) == EXECQ_OK);
            if (i % 2 == 0) {
                CHECK(execq_future_on_done(futures_[i], tell, env_of(first_ + i), drop) == EXECQ_OK);
                ++counts_.told;
                ++counts_.with_drop;
            }
        }
        CHECK(execq_future_wait_all(futures_.data(), batch, -1) == EXECQ_OK);
        for (std::size_t i = 0; i < batch; ++i)
            settle(i);
    }
    void in_queue()
    {
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.queue = queue_;
        options.drop = drop;
        for (std::size_t i = 0; i < batch; ++i)
            CHECK(execq_submit_with(nullptr, &options, body, env_of(first_ + i), nullptr) == EXECQ_OK);
        counts_.with_drop += batch;
    }
    void in_group()
    {
        execq_group* group = nullptr;
        CHECK(execq_group_new(nullptr, &group) == EXECQ_OK);
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        for (std::size_t i = 0; i < batch; ++i) {
            options.priority = static_cast<std::int32_t>(i % 3) - 1;
            CHECK(execq_group_submit(group, executor, &options, body, env_of(first_ + i), nullptr) == EXECQ_OK);
        }
        CHECK(execq_group_join(group, -1) == EXECQ_OK);
        execq_group_release(group);
    }
    void to_cq()
    {
        for (std::size_t i = 0; i < batch; ++i)
            CHECK(execq_submit_to_cq(executor, nullptr, body, env_of(first_ + i), cq_, env_of(first_ + i)) == EXECQ_OK);
        for (std::size_t left = batch; left != 0;) {
            std::array<execq_completion, batch> some{};
            std::size_t n = 0;
            CHECK(execq_cq_wait(cq_, -1) == EXECQ_OK);
            CHECK(execq_cq_drain(cq_, some.data(), left, &n) == EXECQ_OK);
            for (std::size_t i = 0; i < n; ++i) {
                CHECK(some[i].status == EXECQ_OK && some[i].value == some[i].tag);
                execq_future_release(some[i].future);
            }
            counts_.drained += n;
            left -= n;
        }
    }
    void to_loop()
    {
        for (std::size_t i = 0; i < batch; ++i) {
            CHECK(execq_submit_to_loop(executor, nullptr, body, env_of(first_ + i), port_, tell, env_of(first_ + i),
                                       drop) == EXECQ_OK);
        }
        uv_run(&loop_, UV_RUN_DEFAULT);
        counts_.told += batch;
        counts_.with_drop += batch;
    }
    // Who cancels a task first sees its number in its place.
    void canceled()
    {
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.drop = drop;
        for (std::size_t i = 0; i < batch; ++i) {
            CHECK(execq_submit_with(executor, &options, body, env_of(first_ + i), &futures_[i]) == EXECQ_OK);
        }
        counts_.with_drop += batch;
        for (std::size_t i = batch; i-- != 0;) {
            const bool first = execq_future_cancel(futures_[i]) == EXECQ_OK;
            if (!first) {
                CHECK(execq_future_wait(futures_[i], -1) == EXECQ_OK);
                settle(i);
                continue;
            }
            ledger->see(first_ + i);
            ++counts_.canceled;
            CHECK(execq_future_result(futures_[i], nullptr) == EXECQ_ECANCELED);
            execq_future_release(futures_[i]);
        }
    }
    void async()
    {
        for (std::size_t i = 0; i < batch; ++i)
            CHECK(execq_submit_async(executor, nullptr, start, env_of(first_ + i), &futures_[i]) == EXECQ_OK);
        CHECK(execq_future_wait_all(futures_.data(), batch, -1) == EXECQ_OK);
        for (std::size_t i = 0; i < batch; ++i)
            settle(i);
    }

    std::mt19937 random_;
    std::size_t first_ = 0;
    std::array<execq_future*, batch> futures_{};
    Counts counts_;
    uv_loop_t loop_;
    execq_loop* port_ = nullptr;
    execq_cq* cq_ = nullptr;
    execq_queue* queue_ = nullptr;
};

}  // namespace

TEST(MixStress, EachOfTenMillionOperationsIsSeenOnce)
{
    const std::size_t n = stress_n(10'000'000, 200'000) / batch * batch;
    Ledger all(n);
    ledger = &all;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 4;
    ASSERT_EQ(execq_executor_new(&options, &executor), EXECQ_OK);
    std::vector<std::thread> threads;
    std::array<Counts, producers> counts{};
    for (unsigned i = 0; i < producers; ++i)
        threads.emplace_back([&counts, i] { counts[i] = Producer(i + 1).run(); });
    for (std::thread& thread : threads)
        thread.join();
    ASSERT_EQ(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    ASSERT_EQ(execq_executor_join(executor, -1, nullptr), EXECQ_OK);
    execq_executor_release(executor);
    Counts sum;
    for (const Counts& one : counts) {
        sum.with_drop += one.with_drop;
        sum.told += one.told;
        sum.canceled += one.canceled;
        sum.drained += one.drained;
    }
    EXPECT_EQ(all.unseen(), 0U);
    EXPECT_EQ(all.sum(), std::uint64_t{n} * (n - 1) / 2);
    EXPECT_EQ(drops.load(), sum.with_drop);
    EXPECT_EQ(tellings.load(), sum.told);
    std::printf("%zu operations: each number once; %" PRIu64 " drops, %" PRIu64 " callbacks, %" PRIu64
                " canceled, %" PRIu64 " through queues of completions\n",
                n, sum.with_drop, sum.told, sum.canceled, sum.drained);
}
