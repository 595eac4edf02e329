// bench. How long one task takes from its submission to the moment when the waiter has its result.
//
//   D   one after the other: median and 99th percentile.
//   DC  the same, with a pause before each, in which the workers and the waiter go to sleep.
//
// Beside the pools stand two floors, measured in the same shape with bare futexes: the waiter wakes a sleeping thread and
// sleeps until that thread wakes it. "futex" leaves the threads where the system puts them, as the pools do;
// "futex-pinned" keeps them on two processors.
#include <sched.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "harness/clock.h"
#include "harness/futex.h"
#include "harness/runner.h"
#include "harness/statistics.h"
#include "peers/all.h"

namespace bench {
namespace {

// The first rounds are not counted: they start the threads.
constexpr std::uint64_t warm_up = 20;

template <class Round>
Figures latency(const Params& params, Round round)
{
    for (std::uint64_t i = 0; i < warm_up; ++i)
        round();
    std::vector<double> times_us;
    times_us.reserve(params.rounds);
    for (std::uint64_t i = 0; i < params.rounds; ++i) {
        if (params.pause_ms > 0)
            std::this_thread::sleep_for(std::chrono::milliseconds(params.pause_ms));
        const std::int64_t begin = now_ns();
        round();
        times_us.push_back(static_cast<double>(now_ns() - begin) / 1e3);
    }
    Figures figures{{"p50_us", median(times_us)}};
    if (params.pause_ms == 0)  // a cold sample is too small for it
        figures.emplace_back("p99_us", percentile(times_us, 0.99));
    return figures;
}

struct Echo {
    static void* run(void* env) { return env; }
};

template <class Peer>
Figures run_pool(const Params& params)
{
    using Pool = typename Peer::FuturePool;
    Pool pool(params.threads);
    typename Pool::Producer producer(pool);
    return latency(params, [&producer] {
        auto future = producer.template submit_future<Echo>(&producer);
        require(Pool::get(future) == &producer);
    });
}

// A thread that answers each change of one word by a change of another one.
class Responder {
public:
    explicit Responder(bool pinned)
    {
        if (pinned)
            pin(0);
        thread_ = std::thread([this, pinned] {
            if (pinned)
                pin(1);
            answer();
        });
    }
    Responder(const Responder&) = delete;
    Responder& operator=(const Responder&) = delete;
    ~Responder()
    {
        stop_.store(true, std::memory_order_relaxed);  // seen with the change of asked_ that follows
        round();
        thread_.join();
    }

    void round()
    {
        const std::uint32_t turn = asked_.load(std::memory_order_relaxed) + 1;
        asked_.store(turn, std::memory_order_release);
        futex_wake_one(asked_);
        for (std::uint32_t seen = answered_.load(std::memory_order_acquire); seen != turn;
             seen = answered_.load(std::memory_order_acquire))
            futex_wait(answered_, seen);
    }

private:
    void answer()
    {
        std::uint32_t turn = 0;
        bool last = false;
        while (!last) {
            while (asked_.load(std::memory_order_acquire) == turn)
                futex_wait(asked_, turn);
            last =
                stop_.load(std::memory_order_relaxed);  // before the answer: after it, it may speak of the next round
            answered_.store(++turn, std::memory_order_release);
            futex_wake_one(answered_);
        }
    }

    // To the processor of this number among those that the process may use; to the last one if there are fewer.
    static void pin(unsigned number)
    {
        cpu_set_t allowed;
        CPU_ZERO(&allowed);
        require(sched_getaffinity(0, sizeof allowed, &allowed) == 0);
        std::size_t cpu = 0;
        unsigned seen = 0;
        for (std::size_t i = 0; i < CPU_SETSIZE && seen <= number; ++i) {
            if (CPU_ISSET(i, &allowed)) {
                cpu = i;
                ++seen;
            }
        }
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        require(sched_setaffinity(0, sizeof one, &one) == 0);
    }

    std::atomic<std::uint32_t> asked_{0};     // round() writes, answer() reads
    std::atomic<std::uint32_t> answered_{0};  // answer() writes, round() reads
    std::atomic<bool> stop_{false};           // the destructor writes, answer() reads
    std::thread thread_;
};

template <bool pinned>
Figures run_floor(const Params& params)
{
    Responder responder(pinned);
    return latency(params, [&responder] { responder.round(); });
}

std::vector<Entry> entries()
{
    std::vector<Entry> all = pool_entries([]<class Peer>() -> Run { return run_pool<Peer>; });
    const auto version = [] { return std::string("system call"); };
    all.push_back({"futex", version, run_floor<false>});
    all.push_back({"futex-pinned", version, run_floor<true>});
    return all;
}

std::vector<Case> cases(Suite suite)
{
    std::vector<Case> cases;
    if (suite == Suite::growth)
        return cases;
    const bool full = suite == Suite::full;
    const bool smoke = suite == Suite::smoke;
    Case hot{"D", "2/1", {}, full ? 5U : smoke ? 1U : 3U};
    hot.params.rounds = full ? 20'000 : smoke ? 100 : 5'000;
    cases.push_back(hot);
    Case cold{"DC", "2/1", {}, full ? 3U : smoke ? 1U : 2U};
    cold.params.rounds = full ? 10 : smoke ? 2 : 5;  // 30 and 10 in all
    cold.params.pause_ms = smoke ? 2 : 200;
    cases.push_back(cold);
    return cases;
}

Family family()
{
    return {{{"D", "submit one, wait for it", entries()}, {"DC", "the same after a pause", entries()}}, cases};
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::run_family(bench::family(), argc, argv); }
