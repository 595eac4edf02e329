#include "sched/thread_loop.h"

#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <gtest/gtest.h>
#include <pthread.h>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <uv.h>
#include <vector>

#include "base/uv_table.h"
#include "descriptors.h"
#include "pool.h"
#include "sched/worker.h"

using namespace execq::core;

namespace {

ThreadLoop& open_loop()
{
    ThreadLoop* loop = nullptr;
    CHECK(ThreadLoop::open(&loop) == EXECQ_OK);
    return *loop;
}

void close_loop()
{
    CHECK(ThreadLoop::close() == EXECQ_OK);
    CHECK(ThreadLoop::current() == nullptr);
}

// A timer of the user's that counts and may act in its callback.
struct Ticker {
    uv_timer_t timer;
    int ticks = 0;
    void (*act)(Ticker&) = nullptr;

    void start(ThreadLoop& loop, std::uint64_t timeout, std::uint64_t repeat = 0)
    {
        CHECK(uv_timer_init(loop.loop(), &timer) == 0);
        timer.data = this;
        CHECK(uv_timer_start(&timer, tick, timeout, repeat) == 0);
    }
    uv_handle_t* handle() { return reinterpret_cast<uv_handle_t*>(&timer); }

private:
    static void tick(uv_timer_t* timer)
    {
        auto* self = static_cast<Ticker*>(timer->data);
        ++self->ticks;
        if (self->act != nullptr)
            self->act(*self);
    }
};

template <class Function>
void on_a_thread(const Function& function)
{
    std::thread(function).join();
}

// ---- the beginning ----

TEST(ThreadLoop, IsMadeAtFirstUseAndIsTheThreadsOwn)
{
    EXPECT_EQ(ThreadLoop::current(), nullptr);
    ThreadLoop& loop = open_loop();
    EXPECT_EQ(ThreadLoop::current(), &loop);
    EXPECT_EQ(&open_loop(), &loop);
    on_a_thread([&loop] {
        EXPECT_EQ(ThreadLoop::current(), nullptr);
        EXPECT_NE(&open_loop(), &loop);
    });
    close_loop();
}

TEST(ThreadLoop, LeavesNoDescriptorAfterTenThousandRounds)
{
    open_loop();
    close_loop();  // what libuv keeps for the process
    const int before = descriptors_open();
    for (int i = 0; i < 10'000; ++i) {
        ThreadLoop& loop = open_loop();
        if (i % 3 == 0) {
            loop.wake();
            loop.run_once();
        }
        close_loop();
    }
    EXPECT_EQ(descriptors_open(), before);
}

TEST(ThreadLoop, IsClosedWhenItsThreadEnds)
{
    open_loop();
    close_loop();
    const int before = descriptors_open();
    for (int i = 0; i < 200; ++i)
        on_a_thread([] { open_loop(); });
    EXPECT_EQ(descriptors_open(), before);
}

TEST(ThreadLoop, IsStillThereForDestructorsOfThreadLocals)
{
    static execq_status status = EXECQ_ECLOSED;
    struct Late {
        ~Late()
        {
            ThreadLoop* loop = nullptr;
            status = ThreadLoop::open(&loop);
        }
    };
    open_loop();
    close_loop();
    const int before = descriptors_open();
    on_a_thread([] {
        static thread_local Late late;
        EXPECT_NE(&late, nullptr);
        open_loop();
    });
    EXPECT_EQ(status, EXECQ_OK);
    EXPECT_EQ(descriptors_open(), before);
}

TEST(ThreadLoop, IsNotMadeAgainOnAThreadThatIsEnding)
{
    static execq_status status = EXECQ_OK;
    pthread_key_t key{};  // of a larger number than the library's: its destructor goes after that
    ASSERT_EQ(pthread_key_create(&key,
                                 [](void*) {
                                     ThreadLoop* loop = nullptr;
                                     status = ThreadLoop::open(&loop);
                                 }),
              0);
    on_a_thread([key] {
        EXPECT_EQ(pthread_setspecific(key, &status), 0);
        open_loop();
    });
    pthread_key_delete(key);
    EXPECT_EQ(status, EXECQ_ECLOSED);
}

TEST(ThreadLoop, NeedsATableThatOwnsLoops)
{
    execq_uv_table table = own_uv_table();
    table.run = nullptr;
    ThreadLoop::use_table(&table);
    ThreadLoop* loop = nullptr;
    EXPECT_EQ(ThreadLoop::open(&loop), EXECQ_ENOTSUP);
    EXPECT_EQ(loop, nullptr);
    table = own_uv_table();
    EXPECT_EQ(ThreadLoop::open(&loop), EXECQ_OK);
    close_loop();
    ThreadLoop::use_table(nullptr);
}

std::atomic<int> inits_of_another_copy{0};

TEST(ThreadLoop, IsMadeThroughTheTableOfItsThread)
{
    static execq_uv_table table = own_uv_table();
    table.loop_init = [](uv_loop_t* loop) {
        ++inits_of_another_copy;
        return uv_loop_init(loop);
    };
    on_a_thread([] {
        ThreadLoop::use_table(&table);
        open_loop();
    });
    EXPECT_EQ(inits_of_another_copy, 1);
    open_loop();
    close_loop();
    EXPECT_EQ(inits_of_another_copy, 1);
}

// ---- scarcity ----

int loop_init_that_starves(uv_loop_t*) { return UV_ENOMEM; }
int async_init_that_starves(uv_loop_t*, uv_async_t*, uv_async_cb) { return UV_EMFILE; }

TEST(ThreadLoop, SaysSoAndLeavesNothingWhereLibuvFails)
{
    open_loop();
    close_loop();
    const int before = descriptors_open();
    execq_uv_table table = own_uv_table();
    ThreadLoop::use_table(&table);
    ThreadLoop* loop = nullptr;
    table.loop_init = loop_init_that_starves;
    EXPECT_EQ(ThreadLoop::open(&loop), EXECQ_ENOMEM);
    table = own_uv_table();
    table.async_init = async_init_that_starves;
    EXPECT_EQ(ThreadLoop::open(&loop), EXECQ_EMFILE);
    ThreadLoop::use_table(nullptr);
    EXPECT_EQ(loop, nullptr);
    EXPECT_EQ(descriptors_open(), before);
    EXPECT_NE(fcntl(STDIN_FILENO, F_GETFD), -1) << "what a failed loop_init left in backend_fd was not its own";
}

// Allows that many descriptors more, all below the limit being taken, as long as it lives.
class Ration {
public:
    explicit Ration(int descriptors)
    {
        descriptors_refuse(&saved_);
        rlimit limit{};
        getrlimit(RLIMIT_NOFILE, &limit);
        limit.rlim_cur += static_cast<rlim_t>(descriptors);
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    ~Ration() { descriptors_allow(&saved_); }
    Ration(const Ration&) = delete;
    Ration& operator=(const Ration&) = delete;

private:
    rlimit saved_{};
};

int left_to_loop_init = 0;

int rationed_loop_init(uv_loop_t* loop)
{
    const Ration ration(left_to_loop_init);
    return uv_loop_init(loop);
}

// Descriptors that run out inside loop_init, as another thread may have taken them after they were counted.
TEST(ThreadLoop, LeavesNothingWhereDescriptorsRunOutInsideLibuv)
{
    open_loop();  // libuv aborts if that happens to the first one
    close_loop();
    const int before = descriptors_open();
    execq_uv_table table = own_uv_table();
    table.loop_init = rationed_loop_init;
    ThreadLoop::use_table(&table);
    ThreadLoop* loop = nullptr;
    execq_status status = EXECQ_EMFILE;
    for (left_to_loop_init = 0; left_to_loop_init < 20; ++left_to_loop_init) {
        status = ThreadLoop::open(&loop);
        if (status == EXECQ_OK)
            break;
        EXPECT_EQ(status, EXECQ_EMFILE) << left_to_loop_init;
        EXPECT_EQ(loop, nullptr);
        EXPECT_EQ(descriptors_open(), before) << left_to_loop_init;
    }
    EXPECT_EQ(status, EXECQ_OK);
    EXPECT_GE(left_to_loop_init, 3) << "the ration did not bite";
    close_loop();
    ThreadLoop::use_table(nullptr);
    EXPECT_EQ(descriptors_open(), before);
}

// In a process that has made no loop yet, where libuv would abort.
void sweep_the_first_loop()
{
    const int before = descriptors_open();
    int ration = 0;
    ThreadLoop* loop = nullptr;
    for (execq_status status = EXECQ_EMFILE; status != EXECQ_OK; ++ration) {
        CHECK(ration < 20);
        {
            const Ration few(ration);
            status = ThreadLoop::open(&loop);
        }
        CHECK(status == EXECQ_OK || status == EXECQ_EMFILE);
        CHECK(status == EXECQ_OK || (loop == nullptr && descriptors_open() == before));
    }
    CHECK(ration > 6);  // it takes six
    close_loop();
    CHECK(descriptors_open() == before + 2);  // libuv keeps a pipe
    for (int round = 0; round < 2; ++round) {
        open_loop();
        close_loop();
        CHECK(descriptors_open() == before + 2);
    }
    std::exit(0);
}

TEST(ThreadLoopDeathTest, ThatIsTheFirstSurvivesAnyLackOfDescriptors)
{
    GTEST_FLAG_SET(death_test_style, "threadsafe");  // a process of its own
    EXPECT_EXIT(sweep_the_first_loop(), testing::ExitedWithCode(0), "");
}

// ---- running ----

TEST(ThreadLoop, IsWokenByAnyThreadAndLosesNoWake)
{
    constexpr int rounds = 100'000;
    std::atomic<int> asked{0};
    std::atomic<int> seen{0};
    ThreadLoop& loop = open_loop();
    std::thread other([&] {
        for (int i = 1; i <= rounds; ++i) {
            asked.store(i, std::memory_order_relaxed);  // the wake carries it over
            loop.wake();
            while (seen.load(std::memory_order_acquire) != i)
                std::this_thread::yield();
        }
    });
    for (int i = 1; i <= rounds; ++i) {
        while (asked.load(std::memory_order_relaxed) != i)
            loop.run_once();
        seen.store(i, std::memory_order_release);
    }
    other.join();
    close_loop();
}

TEST(ThreadLoop, GathersWakesFromManyThreads)
{
    constexpr int each = 20'000;
    std::atomic<int> asked{0};
    ThreadLoop& loop = open_loop();
    std::vector<std::thread> others;
    for (int t = 0; t < 3; ++t) {
        others.emplace_back([&] {
            for (int i = 0; i < each; ++i) {
                asked.fetch_add(1, std::memory_order_relaxed);
                loop.wake();
            }
        });
    }
    while (asked.load(std::memory_order_relaxed) != 3 * each)
        loop.run_once();
    for (std::thread& other : others)
        other.join();
    close_loop();
}

TEST(ThreadLoop, TakesAWakeThatCameBeforeTheRun)
{
    ThreadLoop& loop = open_loop();
    loop.wake();
    loop.wake();
    loop.run_once();  // would block for ever otherwise
    loop.wake();
    loop.run_once();
    close_loop();
}

TEST(ThreadLoop, RunsNoLongerThanToTheDeadlineAndNotShorter)
{
    ThreadLoop& loop = open_loop();
    for (const std::int64_t timeout : {std::int64_t{1}, std::int64_t{999'999}, std::int64_t{5'000'000}}) {
        const std::int64_t start = now_ns();
        const Deadline deadline = Deadline::after(timeout);
        int turns = 0;
        while (!deadline.passed() && ++turns != 0)
            loop.run_once(deadline);
        EXPECT_GE(now_ns() - start, timeout);
        EXPECT_LE(turns, 3) << "it has to sleep rather than spin";
        Ticker later;  // of the user's: it does not move the deadline
        later.start(loop, 3'600'000);
        loop.run_once(Deadline::after(timeout));
        EXPECT_EQ(later.ticks, 0);
        uv_close(later.handle(), nullptr);
        loop.run_once();
    }
    loop.run_once(only_look());
    loop.run_nowait();
    close_loop();
}

TEST(ThreadLoop, RunsTheUsersWorkOneTurnAtATime)
{
    ThreadLoop& loop = open_loop();
    Ticker ticker;
    ticker.start(loop, 0, 1);
    while (ticker.ticks < 3) {
        const int before = ticker.ticks;
        loop.run_once();
        EXPECT_LE(ticker.ticks, before + 2);
    }
    uv_close(ticker.handle(), nullptr);
    close_loop();
}

// uv_run in its mode "once" would run them, and then wait for ever.
TEST(ThreadLoop, ReturnsAfterTimersThatWereDueAtTheBeginning)
{
    ThreadLoop& loop = open_loop();
    Ticker ticker;
    for (int i = 0; i < 200; ++i) {
        ticker.start(loop, static_cast<std::uint64_t>(i % 3));
        const int before = ticker.ticks;
        spin(static_cast<std::size_t>(i) * 10'000);  // becomes due at any moment around the beginning
        while (ticker.ticks == before)
            loop.run_once();
        uv_close(ticker.handle(), nullptr);
        loop.run_once();
    }
    close_loop();
}

int late_run(uv_loop_t* loop, std::uint32_t mode)
{
    const std::int64_t until = now_ns() + 3'000'000;
    while (mode == UV_RUN_ONCE && now_ns() < until) {
    }
    return uv_run(loop, static_cast<uv_run_mode>(mode));
}

// Between the question what is due and uv_run.
TEST(ThreadLoop, ReturnsAfterATimerOrADeadlineThatComesInBetween)
{
    execq_uv_table table = own_uv_table();
    table.run = late_run;
    ThreadLoop::use_table(&table);
    ThreadLoop& loop = open_loop();
    Ticker ticker;
    ticker.start(loop, 2);
    while (ticker.ticks == 0)
        loop.run_once();
    const Deadline deadline = Deadline::after(2'000'000);
    while (!deadline.passed())
        loop.run_once(deadline);
    uv_close(ticker.handle(), nullptr);
    close_loop();
    ThreadLoop::use_table(nullptr);
}

TEST(ThreadLoop, IsAliveByTheUsersWorkAlone)
{
    ThreadLoop& loop = open_loop();
    EXPECT_FALSE(loop.alive());
    loop.wake();
    EXPECT_FALSE(loop.alive());
    static ThreadLoop* current = nullptr;
    static bool alive_inside = true;
    current = &loop;
    Ticker ticker;
    ticker.act = [](Ticker&) { alive_inside = current->alive(); };
    ticker.start(loop, 0);
    EXPECT_TRUE(loop.alive());
    while (ticker.ticks == 0)
        loop.run_nowait();
    EXPECT_FALSE(alive_inside) << "its only timer has expired, and our own handle is referenced there";
    EXPECT_FALSE(loop.alive());
    uv_timer_start(
        &ticker.timer, [](uv_timer_t*) {}, 3'600'000, 0);
    EXPECT_TRUE(loop.alive());
    uv_unref(ticker.handle());
    EXPECT_FALSE(loop.alive());
    uv_close(ticker.handle(), nullptr);
    EXPECT_TRUE(loop.alive()) << "until it is closed";
    loop.run_nowait();
    EXPECT_FALSE(loop.alive());
    close_loop();
}

bool seen_running = false;
execq_status status_of_closing_inside = EXECQ_OK;

void look_inside()
{
    seen_running = ThreadLoop::current()->running();
    status_of_closing_inside = ThreadLoop::close();
}

void expect_it_was_running()
{
    EXPECT_TRUE(seen_running);
    EXPECT_EQ(status_of_closing_inside, EXECQ_EBUSY);
    seen_running = false;
    status_of_closing_inside = EXECQ_OK;
}

TEST(ThreadLoop, KnowsThatItIsRunning)
{
    ThreadLoop& loop = open_loop();
    EXPECT_FALSE(loop.running());
    Ticker ticker;
    ticker.act = [](Ticker&) { look_inside(); };
    ticker.start(loop, 0);
    EXPECT_FALSE(loop.running());
    while (ticker.ticks == 0)
        loop.run_once();
    expect_it_was_running();
    EXPECT_FALSE(loop.running());
    uv_close(ticker.handle(), nullptr);
    close_loop();
}

TEST(ThreadLoop, KnowsThatTheUserRunsIt)
{
    ThreadLoop& loop = open_loop();
    Ticker ticker;
    ticker.act = [](Ticker&) { look_inside(); };
    ticker.start(loop, 0);  // in the callback of the very first timer
    EXPECT_EQ(uv_run(loop.loop(), UV_RUN_DEFAULT), 0);
    expect_it_was_running();
    EXPECT_FALSE(loop.running());
    // In the last callback, with nothing left on the loop.
    ticker.act = nullptr;
    uv_close(ticker.handle(), [](uv_handle_t*) { look_inside(); });
    EXPECT_EQ(uv_run(loop.loop(), UV_RUN_DEFAULT), 0);
    expect_it_was_running();
    EXPECT_FALSE(loop.running());
    close_loop();
}

TEST(ThreadLoop, IsNotTakenForAnotherLoopOfTheThread)
{
    ThreadLoop& loop = open_loop();
    uv_loop_t other;
    uv_timer_t timer;
    ASSERT_EQ(uv_loop_init(&other), 0);
    uv_timer_init(&other, &timer);
    static ThreadLoop* current = nullptr;
    static bool running = true;
    current = &loop;
    uv_timer_start(
        &timer,
        [](uv_timer_t* self) {
            running = current->running();
            current->run_nowait();
            uv_close(reinterpret_cast<uv_handle_t*>(self), nullptr);
        },
        0, 0);
    uv_run(&other, UV_RUN_DEFAULT);
    EXPECT_FALSE(running);
    EXPECT_EQ(uv_loop_close(&other), 0);
    close_loop();
}

// ---- the end ----

TEST(ThreadLoop, ClosesOnlyWithNothingLeftOnIt)
{
    EXPECT_EQ(ThreadLoop::close(), EXECQ_EALREADY);
    ThreadLoop& loop = open_loop();
    Ticker ticker;
    ticker.start(loop, 0);
    EXPECT_EQ(ThreadLoop::close(), EXECQ_EBUSY);
    EXPECT_EQ(ticker.ticks, 0) << "nothing ran";
    uv_timer_stop(&ticker.timer);
    uv_unref(ticker.handle());
    EXPECT_EQ(ThreadLoop::close(), EXECQ_EBUSY) << "neither active nor referenced, but open";
    EXPECT_EQ(ThreadLoop::current(), &loop);
    loop.wake();
    loop.run_once();  // it goes on
    static int closed = 0;
    closed = 0;
    uv_close(ticker.handle(), [](uv_handle_t*) { ++closed; });
    EXPECT_EQ(ThreadLoop::close(), EXECQ_OK);
    EXPECT_EQ(closed, 1);
    EXPECT_EQ(ThreadLoop::close(), EXECQ_EALREADY);
}

// Each close callback closes the next.
struct Chain {
    uv_timer_t timers[10];
    int closed = 0;

    void close_next()
    {
        timers[closed].data = this;
        uv_close(reinterpret_cast<uv_handle_t*>(&timers[closed]), [](uv_handle_t* handle) {
            auto* self = static_cast<Chain*>(handle->data);
            if (++self->closed < 10) {
                uv_timer_init(handle->loop, &self->timers[self->closed]);
                self->close_next();
            }
        });
    }
};

TEST(ThreadLoop, FinishesWhatIsClosing)
{
    ThreadLoop& loop = open_loop();
    Chain chain;
    uv_timer_init(loop.loop(), &chain.timers[0]);
    chain.close_next();
    close_loop();
    EXPECT_EQ(chain.closed, 10);
}

TEST(ThreadLoop, WaitsForRequests)
{
    static Gate gate;
    static int done = 0;
    ThreadLoop& loop = open_loop();
    uv_work_t work;
    ASSERT_EQ(uv_queue_work(
                  loop.loop(), &work, [](uv_work_t*) { gate.pass(); }, [](uv_work_t*, int) { ++done; }),
              0);
    gate.await();
    EXPECT_EQ(ThreadLoop::close(), EXECQ_EBUSY);
    gate.open();
    while (done == 0)
        loop.run_once();
    close_loop();
}

TEST(ThreadLoop, ThatHasHandlesAtTheEndOfItsThreadIsCountedAndLeft)
{
    static uv_timer_t timers[2];
    static uv_async_t async;
    LoopLeftovers left;
    on_a_thread([&left] {
        ThreadLoop& loop = open_loop();
        for (uv_timer_t& timer : timers)
            uv_timer_init(loop.loop(), &timer);
        uv_async_init(loop.loop(), &async, nullptr);
        left = ThreadLoop::end_of_thread();
        EXPECT_EQ(ThreadLoop::current(), nullptr);
        EXPECT_EQ(uv_async_send(&async), 0) << "the user's handles are as they were";
    });
    EXPECT_EQ(left.loops, 1U);
    EXPECT_EQ(left.busy_loops, 0U);
    EXPECT_EQ(left.total_handles(), 3U);
    EXPECT_EQ(left.handles[UV_TIMER], 2U);
    EXPECT_EQ(left.handles[UV_ASYNC], 1U);
    LoopLeftovers sum = left;
    sum.add(left);
    EXPECT_EQ(sum.loops, 2U);
    EXPECT_EQ(sum.total_handles(), 6U);
}

TEST(ThreadLoop, AtTheEndOfItsThreadTellsNothingIfNothingIsLeft)
{
    EXPECT_EQ(ThreadLoop::end_of_thread().loops, 0U) << "no loop";
    open_loop();
    EXPECT_EQ(ThreadLoop::end_of_thread().loops, 0U);
    EXPECT_EQ(ThreadLoop::current(), nullptr);
}

void end_a_thread_with_handles()
{
    static uv_timer_t timers[2];
    static uv_async_t async;
    on_a_thread([] {
        ThreadLoop& loop = open_loop();
        for (uv_timer_t& timer : timers)
            uv_timer_init(loop.loop(), &timer);
        uv_async_init(loop.loop(), &async, nullptr);
    });
    std::exit(0);
}

TEST(ThreadLoopDeathTest, SaysOnStderrWhatAThreadLeftOnIt)
{
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(end_a_thread_with_handles(), testing::ExitedWithCode(0),
                "^execq: a thread ended with work left on its loop, which is never closed: 1 async 2 timer\n$");
}

void exit_in_a_callback()
{
    Ticker ticker;
    ticker.act = [](Ticker&) { std::exit(3); };
    ThreadLoop& loop = open_loop();
    ticker.start(loop, 0);
    for (;;)
        loop.run_once();
}

TEST(ThreadLoopDeathTest, IsLeftAloneByAnExitInItsCallback)
{
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(exit_in_a_callback(), testing::ExitedWithCode(3), "^$");
}

TEST(ThreadLoop, IsNotTouchedByAChildThatWasForked)
{
    static int received = 0;
    ThreadLoop& loop = open_loop();
    uv_async_t async;
    uv_async_init(loop.loop(), &async, [](uv_async_t*) { ++received; });
    uv_async_send(&async);
    const pid_t child = fork();
    if (child == 0) {
        const bool silent = ThreadLoop::end_of_thread().loops == 0 && ThreadLoop::current() == nullptr;
        _exit(silent ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_EQ(received, 0);
    loop.run_nowait();
    EXPECT_EQ(received, 1) << "the child took the wake";
    uv_close(reinterpret_cast<uv_handle_t*>(&async), nullptr);
    close_loop();
}

// ---- workers ----

std::int32_t open_on_worker(void*, void**)
{
    open_loop();
    return 0;
}

TEST(ThreadLoop, OfAWorkerIsClosedWhenItsThreadLeaves)
{
    open_loop();
    close_loop();
    const int before = descriptors_open();
    for (int i = 0; i < 50; ++i) {
        Pool pool(2);
        EXPECT_EQ(finish(pool.submit(open_on_worker, nullptr)), EXECQ_OK);
        EXPECT_GT(descriptors_open(), before);
    }
    EXPECT_EQ(descriptors_open(), before);
}

TEST(ThreadLoop, OfAWorkerIsClosedAfterAPthreadExit)
{
    open_loop();
    close_loop();
    const int before = descriptors_open();
    {
        Pool pool(1);
        for (int i = 0; i < 20; ++i) {
            EXPECT_EQ(finish(pool.submit(
                          [](void*, void**) -> std::int32_t {
                              open_loop();
                              pthread_exit(nullptr);
                          },
                          nullptr)),
                      EXECQ_EFAILED);
        }
        EXPECT_EQ(pool->leftovers().loops, 0U);
    }
    EXPECT_EQ(descriptors_open(), before);
}

TEST(ThreadLoop, OfAWorkerThatIsLeftIsCountedByItsExecutor)
{
    static uv_timer_t timers[3];
    Pool pool(1);
    for (uv_timer_t& timer : timers) {
        EXPECT_EQ(finish(pool.submit(
                      [](void* env, void**) -> std::int32_t {
                          uv_timer_init(open_loop().loop(), static_cast<uv_timer_t*>(env));
                          pthread_exit(nullptr);
                      },
                      &timer)),
                  EXECQ_EFAILED);
    }
    pool->close(EXECQ_DRAIN);
    ASSERT_EQ(pool->join(never()), EXECQ_OK);
    const LoopLeftovers left = pool->leftovers();
    EXPECT_EQ(left.loops, 3U);
    EXPECT_EQ(left.handles[UV_TIMER], 3U);
    EXPECT_EQ(left.total_handles(), 3U);
}

// ---- how late it is run ----

HistogramSum sum_of(const Histogram& histogram)
{
    HistogramSum sum;
    histogram.add_to(sum);
    return sum;
}

constexpr std::int64_t a_while_ns = 3'000'000;

void pass(std::int64_t ns)
{
    const std::int64_t end = now_ns() + ns;
    while (now_ns() < end) {
    }
}

class Measured : public testing::Test {
protected:
    Measured() { loop.measure(&times); }
    ~Measured() override { close_loop(); }
    std::int64_t latest() const { return sum_of(times.lag).max(); }
    std::uint64_t turns() const { return sum_of(times.lag).count(); }

    LoopTimes times;
    ThreadLoop& loop = open_loop();
};

TEST_F(Measured, ATurnIsLateByWhatCameBetweenItAndTheOneBefore)
{
    loop.note_work();
    loop.run_nowait();
    const std::int64_t before = now_ns();
    loop.run_nowait();
    pass(a_while_ns);
    loop.run_nowait();
    EXPECT_EQ(turns(), 3U);
    EXPECT_GE(latest(), a_while_ns);
    EXPECT_LE(latest(), now_ns() - before);
    EXPECT_EQ(sum_of(times.turn).count(), 3U);
}

TEST_F(Measured, ALoopWithoutWorkIsNotLate)
{
    loop.run_nowait();
    EXPECT_EQ(turns(), 0U) << "since when is not known";
    loop.note_rest();
    pass(a_while_ns);
    loop.run_nowait();
    EXPECT_EQ(turns(), 0U);
    loop.note_work();
    loop.note_rest();
    const std::int64_t begin = now_ns();
    loop.note_work();
    pass(a_while_ns);
    loop.note_work();  // it has some already
    loop.run_nowait();
    EXPECT_EQ(turns(), 1U);
    EXPECT_GE(latest(), a_while_ns);
    EXPECT_LE(latest(), now_ns() - begin);
}

TEST_F(Measured, CallbacksCountAsTheTurnAndNotAsLate)
{
    Ticker ticker;
    ticker.start(loop, 0);
    static std::int64_t callback_end = 0;
    ticker.act = [](Ticker&) {
        pass(a_while_ns);
        callback_end = now_ns();
    };
    loop.note_work();
    loop.run_nowait();
    EXPECT_EQ(ticker.ticks, 1);
    EXPECT_GE(sum_of(times.turn).max(), a_while_ns);
    const std::int64_t before = latest();
    loop.run_nowait();
    EXPECT_LE(latest(), std::max(before, now_ns() - callback_end));
    uv_close(ticker.handle(), nullptr);
    loop.run_nowait();
}

// Until the system says that the thread sleeps.
void await_sleep(pid_t thread)
{
    const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
    for (char state = 'R'; state != 'S'; sched_yield()) {
        std::string line;
        std::getline(std::ifstream(path), line);
        state = line.at(line.rfind(')') + 2);
    }
}

TEST_F(Measured, AWakeUpOfASleeperCountsFromWhenItWasSent)
{
    loop.note_work();
    loop.run_nowait();
    std::int64_t sent_after = 0;
    std::int64_t sent_before = 0;
    std::thread waker([&, sleeper = gettid()] {
        await_sleep(sleeper);
        pass(a_while_ns);
        sent_after = now_ns();
        loop.wake();
        sent_before = now_ns();
    });
    EXPECT_TRUE(loop.sleep(loop.quiet_ms()));
    waker.join();
    pass(a_while_ns);
    const std::int64_t earliest = now_ns() - sent_before;
    const std::uint64_t before = turns();
    loop.run_nowait();
    EXPECT_EQ(turns(), before + 1);
    EXPECT_GE(latest(), earliest);
    EXPECT_LE(latest(), now_ns() - sent_after);
}

TEST_F(Measured, ATimerCountsFromWhenItWasDue)
{
    Ticker ticker;
    ticker.start(loop, 5);
    loop.note_work();
    loop.run_nowait();
    const std::int64_t begin = now_ns();
    while (const int quiet_ms = loop.quiet_ms())
        loop.sleep(quiet_ms);
    pass(a_while_ns);
    loop.run_nowait();
    EXPECT_EQ(ticker.ticks, 1);
    EXPECT_GE(latest(), a_while_ns);
    EXPECT_LE(latest(), now_ns() - begin);
    uv_close(ticker.handle(), nullptr);
    loop.run_nowait();
}

TEST_F(Measured, NothingIsCountedAnyMoreOnceItIsOver)
{
    loop.note_work();
    loop.run_nowait();
    loop.measure(nullptr);
    loop.note_work();
    loop.run_nowait();
    loop.wake();
    loop.run_once();
    EXPECT_EQ(turns(), 1U);
    EXPECT_EQ(sum_of(times.turn).count(), 1U);
}

}  // namespace
