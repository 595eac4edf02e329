// bench. From a libuv loop to a pool, and back by a callback on that loop.
//
//   E1  one job at a time: the time from the submission to the callback, median and 99th percentile.
//   E2  a window of jobs in flight: each callback submits the next. Million callbacks a second.
//
//   I   timers of 100 ms, all started at once: from the first start until the last one has ended, resident bytes of a timer
//       (its handle in an array included), processor time. libuv's on one loop, and libexecq's execq_sleep, whose futures
//       are waited for.
//
// A first round of E1 and E2, a tenth as long, is not counted.
#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "harness/clock.h"
#include "harness/process.h"
#include "harness/runner.h"
#include "harness/statistics.h"
#include "peers/loop.h"

namespace bench {
namespace {

// Keeps `window` jobs in flight until `total` are back. One at a time in a thread: callbacks find it by here().
template <class Peer>
class Pump {
    struct Back;
    using Port = typename Peer::template Port<Back>;
    using Job = typename Port::Job;

    struct Back {
        static void run(Job& job) { here_->came_back(job); }
    };

public:
    Pump(uv_loop_t* loop, const Params& params)
        : loop_(loop), port_(loop, params.threads), jobs_(params.window), begun_(params.window)
    {
        here_ = this;
        for (std::size_t i = 0; i < jobs_.size(); ++i)
            jobs_[i].number = i;
    }

    // Answers how many nanoseconds it took.
    std::int64_t run(std::uint64_t total)
    {
        total_ = total;
        submitted_ = back_ = 0;
        trips_us_.clear();
        trips_us_.reserve(total);
        const std::int64_t begin = now_ns();
        for (Job& job : jobs_)
            submit(job);
        while (back_ < total_)
            uv_run(loop_, UV_RUN_ONCE);
        return now_ns() - begin;
    }

    const std::vector<double>& trips_us() const { return trips_us_; }

private:
    void submit(Job& job)
    {
        if (submitted_ == total_)
            return;
        ++submitted_;
        if (jobs_.size() == 1)
            begun_[job.number] = now_ns();
        port_.submit(job);
    }

    void came_back(Job& job)
    {
        if (jobs_.size() == 1)
            trips_us_.push_back(static_cast<double>(now_ns() - begun_[job.number]) / 1e3);
        ++back_;
        submit(job);
    }

    static inline Pump* here_ = nullptr;
    uv_loop_t* loop_;
    Port port_;
    std::vector<Job> jobs_;
    std::vector<std::int64_t> begun_;
    std::vector<double> trips_us_;
    std::uint64_t total_ = 0;
    std::uint64_t submitted_ = 0;
    std::uint64_t back_ = 0;
};

// A loop for the length of a sample.
class Loop {
public:
    Loop() { require(uv_loop_init(&loop_) == 0); }
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop()
    {
        uv_run(&loop_, UV_RUN_DEFAULT);
        require(uv_loop_close(&loop_) == 0);
    }
    uv_loop_t* get() { return &loop_; }

private:
    uv_loop_t loop_{};
};

template <class Peer>
Figures run_e1(const Params& params)
{
    Loop loop;
    Pump<Peer> pump(loop.get(), params);
    pump.run(params.tasks / 10 + 1);
    pump.run(params.tasks);
    return {{"p50_us", median(pump.trips_us())}, {"p99_us", percentile(pump.trips_us(), 0.99)}};
}

template <class Peer>
Figures run_e2(const Params& params)
{
    Loop loop;
    Pump<Peer> pump(loop.get(), params);
    pump.run(params.tasks / 10 + 1);
    std::int64_t lasted = 0;
    std::uint64_t done = 0;
    do {
        lasted += pump.run(params.tasks);
        done += params.tasks;
    } while (lasted < params.least_ms * 1'000'000);
    return {{"mtasks_per_s", static_cast<double>(done) / 1e6 / seconds(lasted)}};
}

Figures run_i(const Params& params)
{
    Loop loop;
    const std::int64_t before = resident_bytes();
    const std::int64_t processor = processor_ns();
    std::vector<uv_timer_t> timers(params.tasks);
    const std::int64_t begin = now_ns();
    uv_update_time(loop.get());
    for (uv_timer_t& timer : timers) {
        require(uv_timer_init(loop.get(), &timer) == 0);
        require(uv_timer_start(
                    &timer, [](uv_timer_t*) {}, 100, 0) == 0);
    }
    const auto grown = static_cast<double>(resident_bytes() - before);
    uv_run(loop.get(), UV_RUN_DEFAULT);
    const Figures figures{{"total_ms", static_cast<double>(now_ns() - begin) / 1e6},
                          {"bytes_per_timer", grown / static_cast<double>(params.tasks)},
                          {"cpu_ms", static_cast<double>(processor_ns() - processor) / 1e6}};
    for (uv_timer_t& timer : timers)
        uv_close(reinterpret_cast<uv_handle_t*>(&timer), nullptr);
    uv_run(loop.get(), UV_RUN_DEFAULT);
    return figures;
}

Figures run_i_execq(const Params& params)
{
    const std::int64_t before = resident_bytes();
    const std::int64_t processor = processor_ns();
    std::vector<execq_future*> sleeps(params.tasks);
    const std::int64_t begin = now_ns();
    for (execq_future*& sleep : sleeps)
        require(execq_sleep(100'000'000, &sleep) == EXECQ_OK);
    const auto grown = static_cast<double>(resident_bytes() - before);
    require(execq_future_wait_all(sleeps.data(), sleeps.size(), -1) == EXECQ_OK);
    const Figures figures{{"total_ms", static_cast<double>(now_ns() - begin) / 1e6},
                          {"bytes_per_timer", grown / static_cast<double>(params.tasks)},
                          {"cpu_ms", static_cast<double>(processor_ns() - processor) / 1e6}};
    for (execq_future* sleep : sleeps)
        execq_future_release(sleep);
    return figures;
}

// The pools that deliver through the port of PoolLoop.
template <class Peer>
constexpr bool has_own_port = false;
template <>
constexpr bool has_own_port<Execq> = true;

template <class RunOf>
std::vector<Entry> loop_entries(RunOf run_of)
{
    std::vector<Entry> entries;
    const auto add = [&]<class Peer>() {
        entries.push_back({Peer::name, &Peer::version, run_of.template operator()<Peer>()});
    };
    add.template operator()<ExecqLoop>();
    add.template operator()<UvLoop>();
    for_each_peer([&add]<class Peer>() {
        if constexpr (!has_own_port<Peer>)
            add.template operator()<PoolLoop<Peer>>();
    });
    return entries;
}

std::vector<Case> cases(Suite suite)
{
    std::vector<Case> cases;
    if (suite == Suite::growth)
        return cases;
    const bool full = suite == Suite::full;
    const bool smoke = suite == Suite::smoke;
    Case e1{"E1", "2/1", {}, full ? 5U : smoke ? 1U : 3U};
    e1.params.threads = 2;
    e1.params.window = 1;
    e1.params.tasks = full ? 5'000 : smoke ? 50 : 2'000;
    cases.push_back(e1);
    for (const unsigned threads : {2U, 4U}) {
        Case e2 = e1;
        e2.scenario = "E2";
        e2.label = std::to_string(threads) + "/1";
        e2.params.threads = threads;
        e2.params.window = 1'000;
        e2.params.tasks = smoke ? 2'000 : 200'000;
        e2.params.least_ms = full ? 200 : 0;
        cases.push_back(e2);
    }
    Case i{"I", "1/1", {}, full ? 3U : 1U};
    i.params.threads = 1;
    i.params.tasks = smoke ? 100 : 100'000;
    cases.push_back(i);
    return cases;
}

Family family()
{
    return {
        {{"E1", "loop to pool and back, one at a time", loop_entries([]<class Peer>() -> Run { return run_e1<Peer>; })},
         {"E2", "loop to pool and back, 1000 in flight, million a second",
          loop_entries([]<class Peer>() -> Run { return run_e2<Peer>; })},
         {"I",
          "timers of 100 ms",
          {{Execq::name, &Execq::version, run_i_execq}, {"uv_timer", &UvLoop::version, run_i}}}},
        cases};
}

}  // namespace
}  // namespace bench

int main(int argc, char** argv) { return bench::run_family(bench::family(), argc, argv); }
