// What scenarios are made of. One to a file: <name>_schedule.cc is the test schedules.<name>; <name>_toy.cc has a fault that
// has to be found.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <execq/execq.h>
#include <functional>
#include <mutex>
#include <pthread.h>

#include "scheduler.h"

namespace schedules {

// What a scenario may do beyond: a timed wait that ends because nothing else could run is a failure if all of them together
// took longer than this. The library sleeps in steps, and would hide a wake-up that was lost behind the next step's look.
constexpr std::int64_t patience_ns = 900'000;

struct Scenario {
    const char* name;
    void (*run)();
    std::int64_t patience_ns;
    bool faulty;
};
// The one of this program. Defined by each scenario, by one of these.
extern const Scenario scenario;
#define SCHEDULE(name)                                                                               \
    static void run_##name();                                                                        \
    const schedules::Scenario schedules::scenario{#name, run_##name, schedules::patience_ns, false}; \
    static void run_##name()
// Time passes in it.
#define SCHEDULE_WITH_TIME(name)                                                                  \
    static void run_##name();                                                                     \
    const schedules::Scenario schedules::scenario{#name, run_##name, schedules::never_ns, false}; \
    static void run_##name()
// Has a fault, which has to be found.
#define TOY(name)                                                                                   \
    static void run_##name();                                                                       \
    const schedules::Scenario schedules::scenario{#name, run_##name, schedules::patience_ns, true}; \
    static void run_##name()

#define CHECK(condition)                                                               \
    do {                                                                               \
        if (!(condition))                                                              \
            schedules::fail("%s:%d: not so: %s", __FILE_NAME__, __LINE__, #condition); \
    } while (0)
#define CHECK_STATUS(actual, expected)                                                                               \
    do {                                                                                                             \
        const execq_status status_ = (actual);                                                                       \
        if (status_ != (expected))                                                                                   \
            schedules::fail("%s:%d: %s is %s, not %s", __FILE_NAME__, __LINE__, #actual, execq_status_name(status_), \
                            #expected);                                                                              \
    } while (0)

// A thread that is joined where it goes out of scope.
class Thread {
public:
    explicit Thread(std::function<void()> body) : body_(std::move(body))
    {
        CHECK(pthread_create(&handle_, nullptr, main, this) == 0);
    }
    ~Thread() { join(); }
    Thread(const Thread&) = delete;
    Thread& operator=(const Thread&) = delete;
    void join()
    {
        if (!joined_)
            CHECK(pthread_join(handle_, nullptr) == 0);
        joined_ = true;
    }

private:
    static void* main(void* self)
    {
        static_cast<Thread*>(self)->body_();
        return nullptr;
    }

    std::function<void()> body_;
    pthread_t handle_{};
    bool joined_ = false;
};

// Closed until it is opened, by anybody.
class Gate {
public:
    void open()
    {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }
    void pass()
    {
        std::unique_lock lock(mutex_);
        while (!open_)
            changed_.wait(lock);
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool open_ = false;
};

inline execq_executor* make_executor(std::uint32_t threads, std::int32_t spares = -1)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    options.max_spares = spares;
    execq_executor* executor = nullptr;
    CHECK_STATUS(execq_executor_new(&options, &executor), EXECQ_OK);
    return executor;
}

inline void end_executor(execq_executor* executor)
{
    CHECK_STATUS(execq_executor_close(executor, EXECQ_DRAIN), EXECQ_OK);
    CHECK_STATUS(execq_executor_join(executor, -1, nullptr), EXECQ_OK);
    execq_executor_release(executor);
}

// A task, and all that happens to it.
struct Task {
    int ran = 0;
    int dropped = 0;
    execq_status submitted = EXECQ_OK;
    execq_future* future = nullptr;

    static std::int32_t body(void* env, void** value)
    {
        auto* task = static_cast<Task*>(env);
        CHECK(task->dropped == 0);
        ++task->ran;
        *value = task;
        return 0;
    }
    static void drop(void* env) { ++static_cast<Task*>(env)->dropped; }

    void submit(execq_executor* executor, execq_task_options options = EXECQ_TASK_OPTIONS_INIT)
    {
        options.drop = drop;
        submitted = execq_submit_with(executor, &options, body, this, &future);
        CHECK((submitted == EXECQ_OK) == (future != nullptr));
    }
    bool accepted() const { return submitted == EXECQ_OK; }
    std::int32_t state() const { return execq_future_state(future); }
    bool canceled() const { return execq_future_result(future, nullptr) == EXECQ_ECANCELED; }

    // Once it is over: ran or was canceled, was dropped once, and what it says is what happened.
    void check_end()
    {
        CHECK(dropped == 1);
        if (!accepted()) {
            CHECK(ran == 0);
            return;
        }
        void* value = nullptr;
        const execq_status status = execq_future_result(future, &value);
        CHECK(status == (ran == 1 ? EXECQ_OK : EXECQ_ECANCELED));
        CHECK(ran == 0 || (ran == 1 && value == this));
        execq_future_release(future);
    }
};

}  // namespace schedules
