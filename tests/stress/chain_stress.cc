// Chains of continuations, of forwards, callbacks and both, completed on threads with small stacks while others register: each
// link is told once, and in order along its chain; the stack stays flat.
#include <atomic>
#include <gtest/gtest.h>
#include <random>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "small_stack.h"
#include "stress.h"

namespace {

enum class Outcome : std::uint32_t { value, failure };

// Link i passes on the outcome of link i - 1, by a forward or by a callback that completes it.
struct Chain {
    struct Link {
        execq_promise* promise = nullptr;
        execq_future* future = nullptr;
        Link* next = nullptr;
        std::atomic<std::size_t>* told = nullptr;
        std::size_t number = 0;
        std::atomic<int> hits{0};
    };
    std::vector<Link> links;
    std::atomic<std::size_t> told{0};

    explicit Chain(std::size_t n) : links(n)
    {
        for (std::size_t i = 0; i < n; ++i) {
            Link& link = links[i];
            CHECK(execq_promise_new(nullptr, &link.promise, &link.future) == EXECQ_OK);
            link.next = i + 1 < n ? &links[i + 1] : nullptr;
            link.told = &told;
            link.number = i;
        }
    }
    ~Chain()
    {
        for (Link& link : links) {
            execq_promise_release(link.promise);
            execq_future_release(link.future);
        }
    }
    Chain(const Chain&) = delete;
    Chain& operator=(const Chain&) = delete;

    static void hit(execq_future*, void* env)
    {
        auto* link = static_cast<Link*>(env);
        CHECK(link->hits.fetch_add(1) == 0);
        link->told->fetch_add(1);
    }
    static void pass_on(execq_future* future, void* env)
    {
        auto* link = static_cast<Link*>(env);
        hit(future, env);
        if (link->next == nullptr)
            return;
        execq_promise* next = link->next->promise;
        void* value = nullptr;
        if (execq_future_result(future, &value) == EXECQ_OK)
            CHECK(execq_promise_resolve(next, value) == EXECQ_OK);
        else
            CHECK(execq_promise_reject_error(next, execq_future_error(future)) == EXECQ_OK);
    }
    // From either end, so that some chains are complete before they are whole.
    void bind(std::size_t i, bool forwards)
    {
        Link& link = links[i];
        if (forwards && link.next != nullptr) {
            CHECK(execq_future_on_done(link.future, hit, &link, nullptr) == EXECQ_OK);
            CHECK(execq_future_forward(link.future, link.next->promise) == EXECQ_OK);
        } else {
            CHECK(execq_future_on_done(link.future, pass_on, &link, nullptr) == EXECQ_OK);
        }
    }
    void complete(Outcome outcome)
    {
        execq_promise* first = links[0].promise;
        if (outcome == Outcome::value)
            CHECK(execq_promise_resolve(first, this) == EXECQ_OK);
        else
            CHECK(execq_promise_reject(first, 5, "five") == EXECQ_OK);
    }
};

void run_chain(std::size_t n, unsigned seed)
{
    std::mt19937 random(seed);
    Chain chain(n);
    const unsigned forwards_of_8 = random() % 9;
    const bool races = random() % 2 == 0;
    std::vector<bool> forwards(n);
    for (std::size_t i = 0; i < n; ++i)
        forwards[i] = random() % 8 < forwards_of_8;
    const auto outcome = static_cast<Outcome>(random() % 2);
    const auto bind = [&] {
        for (std::size_t i = n; i-- != 0;)
            chain.bind(i, forwards[i]);
    };
    if (!races)
        bind();
    std::thread completing([&] { on_small_stack([&] { chain.complete(outcome); }); });
    if (races)
        on_small_stack(bind);
    completing.join();
    CHECK(execq_future_wait(chain.links[n - 1].future, -1) == EXECQ_OK);
    while (chain.told != n)
        std::this_thread::yield();
    const execq_status last = execq_future_result(chain.links[n - 1].future, nullptr);
    CHECK(last == (outcome == Outcome::value ? EXECQ_OK : EXECQ_EFAILED));
    for (const Chain::Link& link : chain.links)
        CHECK(link.hits == 1);
}

}  // namespace

TEST(ChainStress, EachLinkIsToldOnceOnASmallStack)
{
    const std::size_t links = stress_n(20'000, 2'000);
    constexpr unsigned rounds = 12;
    execq_conf conf = EXECQ_CONF_INIT;
    conf.flags = EXECQ_CONF_IGNORE_UNOBSERVED;
    ASSERT_EQ(execq_init_conf(&conf), EXECQ_OK);
    std::vector<std::thread> crowd;
    for (unsigned i = 0; i < 3; ++i) {
        crowd.emplace_back([links, i] {
            for (unsigned round = 0; round < rounds; ++round)
                run_chain(links, i * rounds + round);
        });
    }
    for (std::thread& one : crowd)
        one.join();
}
