// What white-box tests and stress programs share: gates, races in rounds, nodes made by hand.
#pragma once

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <semaphore.h>
#include <thread>
#include <vector>

#include "stress.h"
#include "task/node.h"

class Semaphore {
public:
    explicit Semaphore(unsigned permits = 0) { sem_init(&sem_, 0, permits); }
    ~Semaphore() { sem_destroy(&sem_); }
    Semaphore(const Semaphore&) = delete;
    Semaphore& operator=(const Semaphore&) = delete;

    void post(int n = 1)
    {
        while (n-- > 0)
            sem_post(&sem_);
    }
    void take(int n = 1)
    {
        while (n > 0) {
            if (sem_wait(&sem_) == 0)
                --n;
            else
                CHECK(errno == EINTR);
        }
    }

private:
    sem_t sem_;
};

// A place where a thread says that it has arrived and stays until it is let through.
class Gate {
public:
    void pass()
    {
        entered_.post();
        opened_.take();
    }
    // Waits until n threads have arrived that nobody waited for yet.
    void await(int n = 1) { entered_.take(n); }
    // Lets n threads through, now or when they arrive.
    void open(int n = 1) { opened_.post(n); }

    // A task's body that passes the gate which is its env.
    static std::int32_t body(void* gate, void**)
    {
        static_cast<Gate*>(gate)->pass();
        return 0;
    }

private:
    Semaphore entered_;
    Semaphore opened_;
};

// A count that any thread may raise; fits where a drop is wanted.
struct Counter {
    std::atomic<std::uint64_t> n{0};

    static void hit(void* counter) { static_cast<Counter*>(counter)->n.fetch_add(1, std::memory_order_relaxed); }
    static std::int32_t body(void* counter, void**)
    {
        hit(counter);
        return 0;
    }
    static void done(execq_future*, void* counter) { hit(counter); }
};

// All of a number of threads leave together. It spins: the closer they leave, the tighter their race.
class Barrier {
public:
    explicit Barrier(unsigned threads) : threads_(threads) {}

    void wait()
    {
        const std::uint32_t turn = turn_.load(std::memory_order_acquire);
        if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == threads_) {
            arrived_.store(0, std::memory_order_relaxed);
            turn_.store(turn + 1, std::memory_order_release);
            return;
        }
        for (unsigned spins = 0; turn_.load(std::memory_order_acquire) == turn; ++spins) {
            if (spins > 200)
                std::this_thread::yield();
        }
    }

private:
    const unsigned threads_;
    std::atomic<std::uint32_t> arrived_{0};
    std::atomic<std::uint32_t> turn_{0};
};

inline void spin(std::size_t times)
{
    for (std::size_t i = 0; i < times; ++i)
        asm volatile("");  // keeps the loop
}

// A race, run many times: prepare(round) alone, then act(role, round) for each role on a thread of its own, all at once,
// then check(round) alone. Roles change threads and threads start after delays that move with the rounds, so that every
// order comes even where the threads only take turns.
// Two threads race the most closely: more than there are processors take turns.
template <class Prepare, class Act, class Check>
void race_rounds(unsigned threads, std::size_t rounds, const Prepare& prepare, const Act& act, const Check& check)
{
    Barrier barrier(threads);
    std::vector<unsigned> roles(threads);
    std::iota(roles.begin(), roles.end(), 0U);
    std::minstd_rand random(threads);
    const auto race = [&](unsigned thread, std::size_t round) {
        barrier.wait();
        spin((round * (thread * 7 + 3)) % 61);
        act(roles[thread], round);
        barrier.wait();
    };
    std::vector<std::thread> others;
    for (unsigned thread = 1; thread < threads; ++thread) {
        others.emplace_back([&, thread] {
            for (std::size_t round = 0; round < rounds; ++round)
                race(thread, round);
        });
    }
    for (std::size_t round = 0; round < rounds; ++round) {
        std::shuffle(roles.begin(), roles.end(), random);
        prepare(round);
        race(0, round);
        check(round);
    }
    for (std::thread& other : others)
        other.join();
}

// A pending task that nobody will run but the test; `references` in all, the executor's counted too.
inline execq::core::Node* new_task(const execq::core::TaskSpec& spec = {}, std::uint32_t references = 1,
                                   std::uint16_t executor_id = 0)
{
    execq::core::Node* node = execq::core::Node::make_task(spec, references - 1, executor_id);
    CHECK(node != nullptr);
    return node;
}

// A promise with its future: two references.
inline execq::core::Node* new_promise(execq_drop_fn drop_result = nullptr)
{
    execq::core::Node* node = execq::core::Node::make_promise(drop_result, nullptr);
    CHECK(node != nullptr);
    return node;
}

inline void* number(std::uintptr_t n) { return reinterpret_cast<void*>(n); }
