// bench. How many empty tasks a second: from foreign threads (A), with a future each (B), from inside tasks (C).
//
//   A  p foreign threads submit n tasks in all, as fast as they can: nothing slows a producer down, so the queue grows
//      where the workers fall behind. The clock runs from the first producer's start to the end of the last task.
//   B  one foreign thread submits n tasks and keeps the futures, then waits for each in order, reads its value and ends
//      it. With a window, it does so whenever it holds that many. The clock runs from its start to its end.
//   C  a binary tree of 2^k - 1 tasks: each task but the leaves submits two from inside its worker. The clock runs from
//      the submission of the root to the end of the last task.
//
// The pool lives through a sample. Its first round is not counted: it starts the threads and fills the allocators. Then
// rounds follow until they have lasted for least_ms in all.
#include <bit>
#include <cstdint>
#include <thread>
#include <vector>

#include "harness/clock.h"
#include "harness/gate.h"
#include "harness/runner.h"
#include "harness/tally.h"
#include "peers/all.h"

namespace bench {
namespace {

// Million tasks a second; a round answers how many nanoseconds it took.
template <class Round>
Figures rate(std::uint64_t tasks, std::int64_t least_ms, Round round)
{
    round();
    std::int64_t lasted = 0;
    std::uint64_t done = 0;
    do {
        lasted += round();
        done += tasks;
    } while (lasted < least_ms * 1'000'000);
    return {{"mtasks_per_s", static_cast<double>(done) / 1e6 / seconds(lasted)}};
}

struct Empty {
    static void* run(void*)
    {
        Tally::count();
        return nullptr;
    }
};

template <class Pool>
std::int64_t round_of_a(Pool& pool, unsigned producers, std::uint64_t each)
{
    const std::uint64_t target = Tally::total() + each * producers;
    Gate start;
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < producers; ++i)
        threads.emplace_back([&pool, &start, each] {
            typename Pool::Producer producer(pool);
            start.pass();
            for (std::uint64_t n = 0; n < each; ++n)
                producer.template submit<Empty>(nullptr);
        });
    start.await(producers);
    start.open();
    const std::int64_t end = Tally::await(target);
    for (std::thread& thread : threads)
        thread.join();
    return end - start.first_out_ns();
}

template <class Peer>
Figures run_a(const Params& params)
{
    typename Peer::Pool pool(params.threads);
    const std::uint64_t each = params.tasks / params.producers;
    return rate(each * params.producers, params.least_ms, [&] { return round_of_a(pool, params.producers, each); });
}

// Its value is its env, so that a lost or mixed up result is seen.
struct Echo {
    static void* run(void* env) { return env; }
};

template <class Pool>
std::int64_t round_of_b(typename Pool::Producer& producer, std::vector<typename Pool::Future>& futures,
                        std::uint64_t tasks)
{
    const std::int64_t begin = now_ns();
    for (std::uint64_t done = 0; done < tasks; done += futures.size()) {
        for (auto& future : futures)
            future = producer.template submit_future<Echo>(&future);
        for (auto& future : futures) {
            void* const expected = &future;
            require(Pool::get(future) == expected);
        }
    }
    return now_ns() - begin;
}

template <class Peer>
Figures run_b(const Params& params)
{
    using Pool = typename Peer::FuturePool;
    Pool pool(params.threads);
    typename Pool::Producer producer(pool);
    const std::uint64_t window = params.window == 0 ? params.tasks : params.window;
    const std::uint64_t tasks = (params.tasks + window - 1) / window * window;
    std::vector<typename Pool::Future> futures(window);
    return rate(tasks, params.least_ms, [&] { return round_of_b<Pool>(producer, futures, tasks); });
}

template <class Pool>
struct Tree {
    static inline Pool* pool = nullptr;

    // env is the height below this task.
    static void* run(void* env)
    {
        const auto height = reinterpret_cast<std::uintptr_t>(env);
        if (height > 0) {
            pool->template spawn<Tree>(reinterpret_cast<void*>(height - 1));
            pool->template spawn<Tree>(reinterpret_cast<void*>(height - 1));
        }
        Tally::count();
        return nullptr;
    }
};

template <class Peer>
Figures run_c(const Params& params)
{
    using Pool = typename Peer::Pool;
    Pool pool(params.threads);
    Tree<Pool>::pool = &pool;
    typename Pool::Producer producer(pool);
    const auto levels = static_cast<std::uintptr_t>(std::bit_width(params.tasks));
    const std::uint64_t tasks = (std::uint64_t{1} << levels) - 1;
    return rate(tasks, params.least_ms, [&] {
        const std::uint64_t target = Tally::total() + tasks;
        const std::int64_t begin = now_ns();
        producer.template submit<Tree<Pool>>(reinterpret_cast<void*>(levels - 1));
        return Tally::await(target) - begin;
    });
}

Case one_case(const char* scenario, unsigned threads, unsigned producers, std::uint64_t tasks, Suite suite)
{
    Case one;
    one.scenario = scenario;
    one.label = std::to_string(threads) + "/" + std::to_string(producers);
    one.params.threads = threads;
    one.params.producers = producers;
    one.params.tasks = tasks;
    one.params.least_ms = suite == Suite::full ? 200 : suite == Suite::smoke ? 0 : 60;
    one.repetitions = suite == Suite::full ? 5 : suite == Suite::smoke ? 1 : 3;
    return one;
}

std::vector<Case> growth()
{
    std::vector<Case> cases;
    for (const unsigned threads : {1U, 2U, 4U, 8U, 32U})
        cases.push_back(one_case("A", threads, 1, 500'000, Suite::growth));
    for (const unsigned producers : {2U, 4U, 8U})
        cases.push_back(one_case("A", 2, producers, 500'000, Suite::growth));
    return cases;
}

std::vector<Case> cases(Suite suite)
{
    if (suite == Suite::growth)
        return growth();
    const std::uint64_t scale = suite == Suite::full ? 1'000'000 : suite == Suite::quick ? 200'000 : 2'000;
    const std::uint64_t scale_of_a = suite == Suite::quick ? 500'000 : scale;
    std::vector<Case> cases;
    for (const auto& [threads, producers] : {std::pair{2U, 1U}, {4U, 1U}, {2U, 4U}})
        cases.push_back(one_case("A", threads, producers, scale_of_a, suite));
    cases.push_back(one_case("B", 2, 1, scale / 5, suite));
    for (const unsigned threads : {2U, 4U})
        cases.push_back(one_case("C", threads, 1, scale, suite));
    return cases;
}

Family family()
{
    return {{{"A", "empty tasks from foreign threads, million a second",
              pool_entries([]<class Peer>() -> Run { return run_a<Peer>; })},
             {"B", "the same with a future each, whose result is read",
              pool_entries([]<class Peer>() -> Run { return run_b<Peer>; })},
             {"C", "binary tree spawned from inside tasks, million a second",
              pool_entries([]<class Peer>() -> Run { return run_c<Peer>; })}},
            cases};
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::run_family(bench::family(), argc, argv); }
