// bench. Tasks that block among tasks that do not: every 100th sleeps for 5 ms, the others are empty.
//
//   mtasks_per_s     all tasks are submitted at once; from the first submission to the end of the last task. What the
//                    sleepers take is the least: their number times 5 ms, divided by the threads.
//   longest_wait_ms  bursts of 100 tasks, one of them a sleeper (its place in the burst moves on from burst to burst),
//                    every 2.5 ms: on average two of the four threads are asleep, so that one is always free. The
//                    longest time between the submission of a task and its start. Where a worker takes tasks along and
//                    then sleeps in one of them, this is 5 ms, though another worker is idle.
//   p99_wait_us      the same, 99th percentile.
//
// Two readings of the clock for each task, in the producer and in the task, for all peers alike.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "harness/clock.h"
#include "harness/runner.h"
#include "harness/statistics.h"
#include "harness/tally.h"
#include "peers/all.h"

namespace bench {
namespace {

constexpr std::size_t burst = 100;
constexpr std::chrono::milliseconds nap{5};
constexpr std::chrono::microseconds between_bursts{2'500};

struct Mark {
    std::int64_t submitted_ns = 0;
    std::int64_t started_ns = 0;
    bool sleeps = false;
};

struct Body {
    static void* run(void* env)
    {
        auto* mark = static_cast<Mark*>(env);
        mark->started_ns = now_ns();
        if (mark->sleeps)
            std::this_thread::sleep_for(nap);
        Tally::count();
        return nullptr;
    }
};

std::vector<Mark> marks(std::uint64_t tasks)
{
    std::vector<Mark> all(tasks / burst * burst);
    for (std::size_t i = 0; i < all.size() / burst; ++i)
        all[i * burst + i * 37 % burst].sleeps = true;
    return all;
}

template <class Producer>
void submit(Producer& producer, Mark& mark)
{
    mark.submitted_ns = now_ns();
    producer.template submit<Body>(&mark);
}

template <class Producer>
double throughput(Producer& producer, std::uint64_t tasks)
{
    std::vector<Mark> all = marks(tasks);
    const std::uint64_t target = Tally::total() + all.size();
    const std::int64_t begin = now_ns();
    for (Mark& mark : all)
        submit(producer, mark);
    return static_cast<double>(all.size()) / 1e6 / seconds(Tally::await(target) - begin);
}

// The waits in bursts, in milliseconds.
template <class Producer>
std::vector<double> waits(Producer& producer, std::uint64_t tasks)
{
    std::vector<Mark> all = marks(tasks);
    const std::uint64_t target = Tally::total() + all.size();
    auto next = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i % burst == 0) {
            std::this_thread::sleep_until(next);
            next += between_bursts;
        }
        submit(producer, all[i]);
    }
    Tally::await(target);
    std::vector<double> times;
    times.reserve(all.size());
    for (const Mark& mark : all)
        times.push_back(static_cast<double>(mark.started_ns - mark.submitted_ns) / 1e6);
    return times;
}

template <class Peer>
Figures run_m(const Params& params)
{
    using Pool = typename Peer::Pool;
    Pool pool(params.threads);
    typename Pool::Producer producer(pool);
    throughput(producer, burst * params.threads);  // starts the threads
    const double rate = throughput(producer, params.tasks);
    const std::vector<double> times = waits(producer, params.tasks);
    return {{"mtasks_per_s", rate},
            {"longest_wait_ms", percentile(times, 1)},
            {"p99_wait_us", percentile(times, 0.99) * 1e3}};
}

std::vector<Case> cases(Suite suite)
{
    std::vector<Case> cases;
    if (suite == Suite::growth)
        return cases;
    Case one{"M", "4/1", {}, suite == Suite::full ? 5U : suite == Suite::quick ? 2U : 1U};
    one.params.threads = 4;
    one.params.tasks = suite == Suite::smoke ? 400 : 20'000;
    cases.push_back(one);
    return cases;
}

Family family()
{
    return {{{"M", "every 100th task sleeps for 5 ms", pool_entries([]<class Peer>() -> Run { return run_m<Peer>; })}},
            cases};
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::run_family(bench::family(), argc, argv); }
