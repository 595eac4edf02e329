// Four threads make lines, pass them around at random and free them; threads come and go, and trim in between. A line
// carries the number of its owner's making in every word, so that a line in two hands is seen.
#include <array>
#include <atomic>
#include <latch>
#include <random>
#include <thread>
#include <vector>

#include "stress.h"
#include "task/node_pool.h"

using namespace execq::core;

namespace {

constexpr unsigned threads = 4;
constexpr std::size_t most_in_hand = 400;  // more than a thread caches
constexpr std::size_t words = node_pool::line_size / sizeof(std::uint64_t);

struct Stamped {
    std::array<std::uint64_t, words> stamp;

    static Stamped* make(std::uint64_t number)
    {
        auto* line = static_cast<Stamped*>(node_pool::allocate());
        CHECK(line != nullptr);
        CHECK(reinterpret_cast<std::uintptr_t>(line) % node_pool::line_size == 0);
        line->stamp.fill(number);
        return line;
    }
    std::uint64_t checked() const
    {
        for (const std::uint64_t word : stamp)
            CHECK(word == stamp[0]);
        return stamp[0];
    }
};
static_assert(sizeof(Stamped) == node_pool::line_size);

// Where lines wait for whoever comes by.
std::array<std::atomic<Stamped*>, 512> places;

// What was made and what was freed. The two sums see it if one line is freed twice and another one never.
struct Account {
    std::uint64_t made = 0, freed = 0, passed = 0, trims = 0;
    std::uint64_t sum = 0, squares = 0;  // of the numbers made, less those freed; they wrap around

    void make(std::uint64_t number)
    {
        ++made;
        sum += number;
        squares += number * number;
    }
    void free(Stamped* line)
    {
        const std::uint64_t number = line->checked();
        line->stamp.fill(0);
        node_pool::free(line);
        ++freed;
        sum -= number;
        squares -= number * number;
    }
    void add(const Account& other)
    {
        made += other.made;
        freed += other.freed;
        passed += other.passed;
        trims += other.trims;
        sum += other.sum;
        squares += other.squares;
    }
};

class Hand {
public:
    Hand(unsigned thread, std::size_t round) : next_((std::uint64_t{round} * threads + thread + 1) << 32)
    {
        random_.seed(static_cast<std::uint32_t>(round * threads + thread + 1));
    }

    Account play(std::size_t steps)
    {
        for (std::size_t step = 0; step < steps; ++step) {
            const std::size_t n = random_() % 100;
            switch (random_() % 4) {
            case 0:
                make(n);
                break;
            case 1:
                free(n);
                break;
            default:
                pass(n);
            }
            if (random_() % 256 == 0)
                account_.trims += node_pool::trim() ? 1 : 0;
        }
        free(most_in_hand);
        return account_;
    }

private:
    void make(std::size_t n)
    {
        for (; n != 0 && lines_.size() < most_in_hand; --n) {
            account_.make(next_);
            lines_.push_back(Stamped::make(next_++));
        }
    }

    void free(std::size_t n)
    {
        for (; n != 0 && !lines_.empty(); --n)
            account_.free(take_any());
    }

    void pass(std::size_t n)
    {
        for (; n != 0 && !lines_.empty(); --n) {
            Stamped* got = places[random_() % places.size()].exchange(take_any(), std::memory_order_acq_rel);
            if (got == nullptr)
                continue;
            got->checked();
            lines_.push_back(got);
            ++account_.passed;
        }
    }

    Stamped* take_any()
    {
        std::swap(lines_[random_() % lines_.size()], lines_.back());
        Stamped* line = lines_.back();
        lines_.pop_back();
        return line;
    }

    std::minstd_rand random_;
    std::uint64_t next_;
    std::vector<Stamped*> lines_;
    Account account_;
};

// The threads of a round end with it and leave their lines in the places.
void play_round(std::size_t round, std::size_t steps, Account& total)
{
    std::array<Account, threads> accounts;
    std::vector<std::thread> hands;
    std::latch start(threads);
    for (unsigned thread = 0; thread < threads; ++thread)
        hands.emplace_back([&, thread] {
            start.arrive_and_wait();
            accounts[thread] = Hand(thread, round).play(steps);
        });
    for (std::thread& hand : hands)
        hand.join();
    std::uint64_t left = 0;
    for (const auto& place : places)
        left += place.load(std::memory_order_relaxed) != nullptr ? 1 : 0;  // relaxed: the threads are joined
    for (const Account& account : accounts)
        total.add(account);
    CHECK(total.made - total.freed == left);
    CHECK(node_pool::usage().lines == left);  // no cache has outlived its thread
}

}  // namespace

int main()
{
    constexpr std::size_t steps = 5'000;
    const std::size_t wanted = stress_n(40'000'000, 4'000'000);
    Account total;
    std::size_t round = 0;
    // Goes on until lines were passed and trimmed, too.
    for (; total.made < wanted || total.passed == 0 || total.trims == 0; ++round)
        play_round(round, steps, total);
    for (auto& place : places) {
        if (Stamped* line = place.exchange(nullptr))
            total.free(line);
    }
    CHECK(total.made == total.freed && total.sum == 0 && total.squares == 0);
    while (node_pool::trim()) {
    }
    CHECK(node_pool::usage().lines == 0);
    CHECK(node_pool::usage().slabs <= node_pool::reserve_slabs);
    std::printf("%llu lines made by %zu threads, passed %llu times, each freed once; %llu steps of trimming\n",
                static_cast<unsigned long long>(total.made), round * threads,
                static_cast<unsigned long long>(total.passed), static_cast<unsigned long long>(total.trims));
    return 0;
}
