// bench. What a pool costs while it does not work.
//
//   F         resident bytes of a queued task: the workers are held in gates while n tasks are queued; the growth of the
//             resident memory, divided by n. Then all run, the pool idles for pause_ms, and what has stayed is measured.
//   F-future  the same with a future each. The array that keeps the futures is made and written before, and not counted.
//   H         processor time of a pool that has nothing to do for pause_ms, begun 500 ms after work that used all its
//             threads; that of the measuring thread, which sleeps, does not count. The peers wait side by side, as none
//             of them should need a processor.
//   drain     million tasks a second at which one worker empties a queue that was filled to a given depth while it was
//             held, the median of the rounds (./run bench --growth).
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "harness/clock.h"
#include "harness/gate.h"
#include "harness/process.h"
#include "harness/runner.h"
#include "harness/statistics.h"
#include "harness/tally.h"
#include "peers/all.h"

namespace bench {
namespace {

struct Empty {
    static void* run(void* env)
    {
        Tally::count();
        return env;
    }
};

struct Pass {
    static void* run(void* gate)
    {
        static_cast<Gate*>(gate)->pass();
        return nullptr;
    }
};

struct Hold {
    static void* run(void* gate)
    {
        Pass::run(gate);
        Tally::count();
        return nullptr;
    }
};

void sleep_ms(std::int64_t ms) { std::this_thread::sleep_for(std::chrono::milliseconds(ms)); }

// Submits a gate for each worker, one after the other: a worker that takes several tasks at once gets no second one.
template <class Submit>
void hold_workers(Gate& gate, unsigned threads, Submit submit)
{
    for (unsigned held = 1; held <= threads; ++held) {
        submit(&gate);
        gate.await(held);
    }
}

Figures bytes(std::int64_t before, std::int64_t filled, std::int64_t after, std::uint64_t tasks)
{
    const auto each = [tasks](std::int64_t grown) { return static_cast<double>(grown) / static_cast<double>(tasks); };
    return {{"bytes_per_task", each(filled - before)}, {"kept_bytes_per_task", each(after - before)}};
}

// 700 bytes a task is above what any peer needs.
bool fits_into_memory(std::uint64_t tasks) { return static_cast<std::int64_t>(tasks) * 700 < available_bytes(); }

template <class Peer>
Figures run_f(const Params& params)
{
    using Pool = typename Peer::Pool;
    if (!fits_into_memory(params.tasks))
        return {};
    Pool pool(params.threads);
    typename Pool::Producer producer(pool);
    Gate gate;
    hold_workers(gate, params.threads, [&](void* env) { producer.template submit<Hold>(env); });
    const std::int64_t before = resident_bytes();
    for (std::uint64_t i = 0; i < params.tasks; ++i)
        producer.template submit<Empty>(nullptr);
    const std::int64_t filled = resident_bytes();
    gate.open();
    Tally::await(params.tasks + params.threads);
    sleep_ms(params.pause_ms);
    return bytes(before, filled, resident_bytes(), params.tasks);
}

template <class Peer>
Figures run_f_future(const Params& params)
{
    using Pool = typename Peer::FuturePool;
    using Future = typename Pool::Future;
    if (!fits_into_memory(params.tasks))
        return {};
    std::vector<Future> futures(params.tasks);  // its constructors write each page
    Pool pool(params.threads);
    typename Pool::Producer producer(pool);
    std::vector<Future> gates;
    Gate gate;
    hold_workers(gate, params.threads, [&](void* env) { gates.push_back(producer.template submit_future<Hold>(env)); });
    const std::int64_t before = resident_bytes();
    for (Future& future : futures)
        future = producer.template submit_future<Empty>(&future);
    const std::int64_t filled = resident_bytes();
    gate.open();
    for (Future& future : futures) {
        void* const expected = &future;
        require(Pool::get(future) == expected);
    }
    for (Future& future : gates)
        Pool::get(future);
    sleep_ms(params.pause_ms);
    return bytes(before, filled, resident_bytes(), params.tasks);
}

template <class Peer>
Figures run_h(const Params& params)
{
    using Pool = typename Peer::Pool;
    Pool pool(params.threads);
    typename Pool::Producer producer(pool);
    Gate gate;
    hold_workers(gate, params.threads, [&](void* env) { producer.template submit<Hold>(env); });
    for (std::uint64_t i = 0; i < params.tasks; ++i)
        producer.template submit<Empty>(nullptr);
    gate.open();
    Tally::await(params.tasks + params.threads);
    sleep_ms(std::min<std::int64_t>(500, params.pause_ms));
    const std::int64_t before = processor_of_others_ns();
    sleep_ms(params.pause_ms);
    // Two clocks make the figure, so that nothing can come out as a microsecond below zero.
    return {{"cpu_ms", std::max(0.0, static_cast<double>(processor_of_others_ns() - before) / 1e6)}};
}

// A task of a pool with one worker. The last one, whichever it is, says when it ran: the waiter's looks are too coarse
// for a short queue.
struct Countdown {
    static void* run(void*)
    {
        const std::uint64_t left = left_.load(std::memory_order_relaxed) - 1;  // one worker: nobody else writes it now
        left_.store(left, std::memory_order_relaxed);
        if (left == 0) [[unlikely]]
            end_ns_.store(now_ns(), std::memory_order_release);
        return nullptr;
    }

    static void start(std::uint64_t tasks)
    {
        end_ns_.store(0, std::memory_order_relaxed);  // both are published by the submissions that follow
        left_.store(tasks, std::memory_order_relaxed);
    }

    static std::int64_t await()
    {
        std::int64_t end = 0;
        while ((end = end_ns_.load(std::memory_order_acquire)) == 0)
            std::this_thread::sleep_for(std::chrono::microseconds(50));
        return end;
    }

private:
    static inline std::atomic<std::uint64_t> left_{0};   // start() and the one worker write and read it in turn
    static inline std::atomic<std::int64_t> end_ns_{0};  // start() and the last task write it, await() reads it
};

// One worker, held while the queue is filled. The clock runs from the moment when it goes on.
template <class Peer>
std::int64_t drain_once(typename Peer::Pool& pool, std::uint64_t depth)
{
    typename Peer::Pool::Producer producer(pool);
    Gate gate;
    hold_workers(gate, 1, [&](void* env) { producer.template submit<Pass>(env); });
    Countdown::start(depth);
    for (std::uint64_t i = 0; i < depth; ++i)
        producer.template submit<Countdown>(nullptr);
    gate.open();
    return Countdown::await() - gate.first_out_ns();
}

template <class Peer>
Figures run_drain(const Params& params)
{
    if (!fits_into_memory(params.tasks))
        return {};
    typename Peer::Pool pool(1);
    drain_once<Peer>(pool, 1);
    std::vector<double> times;
    for (std::uint64_t i = 0; i < params.rounds; ++i)
        times.push_back(static_cast<double>(drain_once<Peer>(pool, params.tasks)));
    return {{"mtasks_per_s", static_cast<double>(params.tasks) * 1e3 / median(times)}};
}

std::vector<Case> growth()
{
    std::vector<Case> cases;
    std::uint64_t depth = 1;
    for (int power = 0; power <= 7; ++power, depth *= 10) {
        Case one{"drain", "10^" + std::to_string(power), {}, 3};
        one.params.threads = 1;
        one.params.tasks = depth;
        one.params.rounds = std::clamp<std::uint64_t>(1'000'000 / depth, 1, 200);
        cases.push_back(one);
        if (power < 3)
            continue;  // less than a page or two in all
        one.scenario = "F";
        one.params.threads = 2;
        one.params.pause_ms = 1'000;
        one.repetitions = 1;
        cases.push_back(one);
    }
    return cases;
}

std::vector<Case> cases(Suite suite)
{
    if (suite == Suite::growth)
        return growth();
    const bool full = suite == Suite::full;
    const bool smoke = suite == Suite::smoke;
    Case f{"F", "2/1", {}, full ? 3U : 1U};
    f.params.tasks = smoke ? 1'000 : 1'000'000;
    f.params.pause_ms = smoke ? 1 : 1'000;
    Case f_future = f;
    f_future.scenario = "F-future";
    Case h{"H", "4/1", {}, full ? 3U : 1U};
    h.params.threads = 4;
    h.params.tasks = smoke ? 1'000 : 100'000;
    h.params.pause_ms = smoke ? 20 : 5'000;
    std::vector<Case> cases{f, f_future, h};
    if (smoke) {
        Case drain{"drain", "10", {}, 1};
        drain.params.threads = 1;
        drain.params.tasks = 10;
        drain.params.rounds = 2;
        cases.push_back(drain);
    }
    return cases;
}

Family family()
{
    return {
        {{"F", "resident bytes of a queued task", pool_entries([]<class Peer>() -> Run { return run_f<Peer>; })},
         {"F-future", "the same with a future each",
          pool_entries([]<class Peer>() -> Run { return run_f_future<Peer>; })},
         {"H", "processor time of an idle pool", pool_entries([]<class Peer>() -> Run { return run_h<Peer>; }), true},
         {"drain", "how fast one worker empties a deep queue",
          pool_entries([]<class Peer>() -> Run { return run_drain<Peer>; })}},
        cases};
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::run_family(bench::family(), argc, argv); }
