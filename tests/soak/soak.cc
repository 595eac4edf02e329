// Everything at once, for as long as is wanted: actors run scenarios with exact accounting against executors that are
// resized, closed and starved, in rounds of ten seconds. At the end of each round all is joined, and the process has as many
// descriptors and threads as before; at the end of all, what was resident is judged. The exit code tells.
//
//   soak [--minutes N | --seconds N] [--seed S] [--leak descriptors|threads|memory]
//
// A leak is for the test of the judge: one each second.
#include <cinttypes>
#include <cstring>
#include <fcntl.h>
#include <string_view>
#include <unistd.h>

#include "vitals.h"
#include "world.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t actors = 3;
constexpr std::int64_t round_seconds = 10;

struct Plan {
    std::int64_t seconds = 600;
    std::uint64_t seed = 1;
    std::string_view leak;
};

Plan parse(int argc, char** argv)
{
    Plan plan;
    for (int i = 1; i + 1 < argc; i += 2) {
        const std::string_view option = argv[i];
        if (option == "--minutes")
            plan.seconds = std::atoll(argv[i + 1]) * 60;
        else if (option == "--seconds")
            plan.seconds = std::atoll(argv[i + 1]);
        else if (option == "--seed")
            plan.seed = std::strtoull(argv[i + 1], nullptr, 10);
        else if (option == "--leak")
            plan.leak = argv[i + 1];
        else
            plan.seconds = 0;
    }
    if (argc % 2 == 0 || plan.seconds < 2) {
        std::fputs("usage: soak [--minutes N | --seconds N, at least 2] [--seed S]\n", stderr);
        std::exit(2);
    }
    return plan;
}

void leak_one(std::string_view what)
{
    if (what == "descriptors")
        CHECK(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
    if (what == "threads")
        std::thread([] {
            for (;;)
                pause();
        }).detach();
    if (what == "memory") {
        constexpr std::size_t size = std::size_t{64} * 1024 * 1024;
        char* memory = static_cast<char*>(std::malloc(size));
        CHECK(memory != nullptr);
        std::memset(memory, 1, size);
        static std::vector<char*> kept;
        kept.push_back(memory);
    }
}

Vitals most(const Vitals& a, const Vitals& b)
{
    return {std::max(a.descriptors, b.descriptors), std::max(a.threads, b.threads), std::max(a.resident, b.resident)};
}

// Lets the actors act until the time is over.
void run_round(const Plan& plan, std::uint64_t number, Clock::time_point end, Chart* chart, Vitals& peak)
{
    World world;
    std::atomic<bool> over{false};
    std::vector<std::thread> crowd;
    for (std::size_t i = 0; i < actors; ++i) {
        crowd.emplace_back([&, i] {
            Actor actor(world, plan.seed * 1'000'003 + number * 101 + i);
            while (!over)
                actor.act();
        });
    }
    auto sample = Clock::now() + std::chrono::seconds(1);
    while (Clock::now() < end) {
        std::this_thread::sleep_until(std::min(end, Clock::now() + std::chrono::milliseconds(200)));
        exhaust_descriptors();
        if (Clock::now() < sample)
            continue;
        sample += std::chrono::seconds(1);
        leak_one(plan.leak);
        const Vitals now = take_vitals();
        peak = most(peak, now);
        if (chart != nullptr)
            chart->note_busy(now);
    }
    over = true;
    for (std::thread& one : crowd)
        one.join();
}

void print_line(Clock::time_point begin, const Vitals& peak)
{
    const auto seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    std::printf("soak %5.0f s: %" PRIu64 " operations (%.0f a second); at most %zu descriptors, %zu threads, %.1f MiB; "
                "memory ran out %" PRIu64 " times (%" PRIu64 " calls refused), descriptors %" PRIu64
                ", children %" PRIu64 ", threads lost %" PRIu64 "\n",
                seconds, Actor::operations(), static_cast<double>(Actor::operations()) / seconds, peak.descriptors,
                peak.threads, static_cast<double>(peak.resident) / (1024.0 * 1024.0), faults.hungers.load(),
                faults.refusals.load(), faults.exhaustions.load(), faults.children.load(), faults.lost_threads.load());
    std::fflush(stdout);
}

}  // namespace

int main(int argc, char** argv)
{
    const Plan plan = parse(argc, argv);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_IGNORE_UNOBSERVED;
    CHECK(execq_init_conf(&conf) == EXECQ_OK);
    // The thread that keeps times would come and go by itself: it stays.
    execq_future* always = nullptr;
    CHECK(execq_sleep(INT64_MAX, &always) == EXECQ_OK);
    // What a first use makes for good is made before anything is counted.
    Plan first = plan;
    first.leak = "";
    Vitals peak;
    run_round(first, 0, Clock::now() + std::chrono::seconds(1), nullptr, peak);
    Vitals before = take_vitals();
    for (int i = 0; i < 1000; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        const Vitals now = take_vitals();
        before = {std::min(before.descriptors, now.descriptors), std::min(before.threads, now.threads), now.resident};
    }
    Chart chart(before, std::chrono::seconds(plan.leak.empty() ? 30 : 1));
    const auto begin = Clock::now();
    const auto end = begin + std::chrono::seconds(plan.seconds);
    std::printf("soak: seed %" PRIu64 ", %" PRId64 " s, %zu actors; %zu descriptors and %zu threads before\n",
                plan.seed, plan.seconds, actors, before.descriptors, before.threads);
    for (std::uint64_t number = 1; Clock::now() < end; ++number) {
        peak = {};
        const auto round = std::min<Clock::duration>(end - Clock::now(), std::chrono::seconds(round_seconds));
        run_round(plan, number, Clock::now() + round, &chart, peak);
        chart.note_rest();
        print_line(begin, peak);
    }
    std::printf("soak: %s\n", Actor::summary().c_str());
    const bool well = chart.judge();
    CHECK(execq_future_cancel(always) == EXECQ_OK);
    execq_future_release(always);
    std::printf("soak: %s\n", well ? "well" : "NOT WELL");
    return well ? 0 : 1;
}
