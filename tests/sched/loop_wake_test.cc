// A worker that drives its loop and was woken passes the wake on, whatever it leaves to others.
#include <cerrno>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pthread.h>

#include "base/clock.h"
#include "execq/promise.h"
#include "pool.h"

using namespace execq::core;

namespace {

std::atomic<bool> refuse_threads{false};
std::atomic<bool> hold_polls{false};
Gate polls;

template <class Function>
Function next_of(const char* name)
{
    return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

// These stand before the system's functions of that name, for the library too.
extern "C" int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*fn)(void*), void* env)
{
    static const auto original = next_of<decltype(&pthread_create)>("pthread_create");
    return refuse_threads ? EAGAIN : original(thread, attributes, fn, env);
}

extern "C" int poll(pollfd* fds, nfds_t n, int timeout_ms)
{
    static const auto original = next_of<decltype(&poll)>("poll");
    const int ready = original(fds, n, timeout_ms);
    if (hold_polls && ready > 0)
        polls.pass();
    return ready;
}

namespace {

execq_promise* open_promise = nullptr;
pid_t loop_thread = 0;
Semaphore started;

void start(execq_promise* promise, uv_loop_s*, void*)
{
    open_promise = promise;
    loop_thread = thread_id();
    started.post();
}

struct Pair {
    Semaphore second;
    Semaphore over;
};

std::int32_t wait_for_second(void* pair, void**)
{
    static_cast<Pair*>(pair)->second.take();
    static_cast<Pair*>(pair)->over.post();
    return 0;
}

std::int32_t second(void* pair, void**)
{
    static_cast<Pair*>(pair)->second.post();
    return 0;
}

void submit(Pool& pool, execq_fn fn, void* env) { CHECK(pool->submit(Item(fn, env)) == EXECQ_OK); }

// The one that was woken finds nothing but what another worker has fetched, which blocks on it.
TEST(LoopWake, WhoLeavesToOthersWhatIsFetchedHasOneOfThemStarted)
{
    ExecutorSpec spec{"wakes", 3, 0, 0};
    spec.loop_workers = 1;
    Pool pool(spec);
    Node* task = Node::make_async({}, start, 1, pool->id());
    CHECK(task != nullptr);
    CHECK(pool->submit_async(*task) == EXECQ_OK);
    started.take();
    Gate busy;
    submit(pool, Gate::body, &busy);
    busy.await();  // a second thread, as the first one drives its loop
    wait_until_asleep(loop_thread);

    // The first one is woken, since a third cannot be started, and is held on its way.
    hold_polls = refuse_threads = true;
    Counter ran;
    submit(pool, Counter::body, &ran);
    polls.await();
    refuse_threads = false;
    Pair pair;
    submit(pool, wait_for_second, &pair);
    submit(pool, second, &pair);
    const std::int64_t until = now_ns() + 150'000'000;  // until a thread that could not be started is tried again
    while (now_ns() < until)
        std::this_thread::yield();
    busy.open();  // fetches all three, and blocks on the last one
    while (ran.n == 0)
        std::this_thread::yield();
    hold_polls = false;
    polls.open();
    pair.over.take();

    execq_promise_resolve(open_promise, nullptr);
    execq_promise_release(open_promise);
    EXPECT_EQ(finish(task), EXECQ_OK);
}

}  // namespace
