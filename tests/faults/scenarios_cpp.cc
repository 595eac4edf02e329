// execq.hpp: what it allocates itself, by operator new, and what it makes of the statuses below it.
#include <execq/execq.hpp>

#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "scenarios.h"
#include "tools.h"

namespace faults {

namespace {

// Counts how many of its kind live. Moved, not copied.
class Counted {
public:
    explicit Counted(std::atomic<int>& alive) : alive_(&alive) { alive_->fetch_add(1); }
    Counted(Counted&& other) noexcept : alive_(other.alive_) { alive_->fetch_add(1); }
    Counted& operator=(Counted&&) = delete;
    ~Counted() { alive_->fetch_sub(1); }

private:
    std::atomic<int>* alive_;
};

// Calls it with the faults on; where that throws what a fault may be the reason of, once more without.
template <class Call>
void attempt_cpp(const Run& run, const Call& call)
{
    try {
        const UnderFaults on;
        call();
        return;
    } catch (const std::bad_alloc&) {
        FAULTS_EXPECT(run.excused(EXECQ_ENOMEM));
    } catch (const execq::error& failure) {
        FAULTS_EXPECT(run.excused(failure.code()));
    }
    const Calm calm;
    call();
}

void tasks(Run& run)
{
    std::atomic<int> alive{0};
    {
        execq::scoped_executor pool({.max_threads = 2});
        attempt_cpp(run, [&] {
            FAULTS_EXPECT(pool.submit([counted = Counted(alive)] { return std::make_unique<int>(7); }).get() !=
                          nullptr);
        });
        attempt_cpp(run, [&] { pool.post([counted = Counted(alive)] {}); });
    }
    FAULTS_EXPECT(alive == 0);
}

void then(Run& run)
{
    std::atomic<int> alive{0};
    {
        execq::scoped_executor pool({.max_threads = 2});
        attempt_cpp(run, [&] {
            auto chain = pool.submit([counted = Counted(alive)] { return 1; })
                             .then([counted = Counted(alive)](int n) { return n + 1; })
                             .then(pool, [counted = Counted(alive)](int n) { return n * 10; })
                             .then([counted = Counted(alive)](int n) { return std::to_string(n); });
            FAULTS_EXPECT(chain.get() == "20");
        });
    }
    FAULTS_EXPECT(alive == 0);
}

void when(Run& run)
{
    execq::scoped_executor pool({.max_threads = 2});
    attempt_cpp(run, [&] {
        std::vector<execq::future<int>> some;
        for (int i = 0; i < 3; ++i)
            some.push_back(pool.submit([i] { return i; }));
        const std::vector<int> values = execq::when_all(std::move(some)).get();
        FAULTS_EXPECT(values.size() == 3 && values[2] == 2);
    });
    attempt_cpp(run, [&] {
        std::vector<execq::future<int>> some;
        for (int i = 0; i < 3; ++i)
            some.push_back(pool.submit([i] { return i; }));
        auto any = execq::when_any(std::move(some)).get();
        FAULTS_EXPECT(any.futures[any.index].get() == static_cast<int>(any.index));
    });
}

void promises(Run& run)
{
    std::atomic<int> alive{0};
    execq_conf quiet = EXECQ_CONF_INIT;
    quiet.flags = EXECQ_CONF_IGNORE_UNOBSERVED;  // promises that are given up on the way
    FAULTS_EXPECT_OK(execq_init_conf(&quiet));
    attempt_cpp(run, [&] {
        execq::promise<int> promise;
        execq::future<int> future = promise.get_future();
        promise.on_cancel([counted = Counted(alive)] {});
        execq::promise<int> target;
        execq::future<int> forwarded = target.get_future();
        std::move(future).forward(target);
        (void)promise.set_value(3);
        FAULTS_EXPECT(forwarded.get() == 3);
    });
    FAULTS_EXPECT(alive == 0);
}

execq::task<int> add(int a, int b, const Counted& /*counted*/) { co_return a + b; }

execq::task<int> sum(execq::scoped_executor& pool, std::atomic<int>& alive)
{
    const Counted counted(alive);
    const int one = co_await pool.submit([] { return 1; });
    co_return co_await add(one, 2, counted);
}

void coroutines(Run& run)
{
    std::atomic<int> alive{0};
    {
        execq::scoped_executor pool({.max_threads = 2});
        attempt_cpp(run, [&] { FAULTS_EXPECT(execq::start(sum(pool, alive)).get() == 3); });
    }
    FAULTS_EXPECT(alive == 0);
}

constexpr Scenario scenarios[] = {
    {"cpp.submit_post", tasks},    {"cpp.then", then}, {"cpp.when_all_when_any", when}, {"cpp.promise", promises},
    {"cpp.coroutine", coroutines},
};

}  // namespace

Scenarios cpp_scenarios() { return {scenarios, std::size(scenarios)}; }

}  // namespace faults
