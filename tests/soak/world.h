// What the actors of the soak share for a round, and what an actor does.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "job.h"

// Made anew for each round, and joined at its end: then every figure has to be what it was.
class World {
public:
    World();
    // Closes and joins all, and sees that what was accepted without a handle has run.
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    Target elastic;              // resized; has asynchronous tasks
    Target single;               // one thread; loses it now and then
    Target bounded;              // has no room now and then
    execq_loop* host = nullptr;  // of a loop that a thread runs all the time
    execq_context* context = nullptr;
    std::atomic<std::uint64_t> plain_accepted{0};
    std::atomic<std::uint64_t> plain_ran{0};

private:
    std::thread host_thread_;
};

// An executor that is joined: each task that was accepted has ended, by its own count. One that another thread cancels may end a
// moment after the join.
void must_have_ended(const Target& target);

class Actor {
public:
    Actor(World& world, std::uint64_t seed) : world_(world), random_(seed) {}

    // One scenario, chosen at random, from its beginning to its end.
    void act();

    // Of all actors so far: how often each scenario ran, and how many calls the library got for it, about.
    static std::uint64_t operations();
    static std::string summary();

private:
    using Jobs = std::vector<Job>;

    std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
    bool one_in(std::uint32_t n) { return below(n) == 0; }
    Target& any_target();
    Act any_act(const Target& target);
    Jobs make_jobs(Target& target, std::uint32_t most);
    execq_task_options any_options();
    template <class Call>
    execq_status maybe_hungry(const Call& call);
    void submit(Job& job, const execq_task_options& options);
    void cancel_some(Jobs& jobs);
    void note(std::uint64_t n);

    void plain();
    void mixed();
    void many();
    void linked();
    void queue();
    void group();
    void loop();
    void completion_queue();
    void promises();
    void async();
    void periodic();
    void own_executor();
    void lift();
    void resize();
    void child();

    World& world_;
    std::mt19937_64 random_;
    std::size_t scenario_ = 0;
};

// Now and then the library finds no memory in a call.
template <class Call>
execq_status Actor::maybe_hungry(const Call& call)
{
    std::optional<Hunger> hunger;
    if (one_in(10))
        hunger.emplace(static_cast<int>(below(8)));
    return call();
}
