#include "sched/exit.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

#include "base/annotations.h"
#include "base/immortal.h"
#include "base/thread_waits.h"
#include "sched/conf.h"
#include "sched/timekeeper.h"
#include "task/callbacks.h"

namespace execq::core {

namespace {

struct Policy {
    Mutex mutex;
    std::int32_t policy EXECQ_GUARDED_BY(mutex) = EXECQ_EXIT_CANCEL;
    std::int64_t wait_ns EXECQ_GUARDED_BY(mutex) = 5'000'000'000;
};

Policy& chosen()
{
    static PerProcess<Policy> instance;
    return *instance;
}

[[maybe_unused]] Policy& made_when_loaded = chosen();

// The process that expects its exit: in a child of it there are no threads to wait for. Written by expect_exit().
std::atomic<pid_t> expecting{0};

constexpr std::size_t most_named = 16;

void print_task(const execq_running_task& task)
{
    const double seconds = static_cast<double>(task.running_ns) / 1e9;
    if (task.name[0] != '\0')
        std::fprintf(stderr, " '%s' (%.3f s)", task.name, seconds);
    else
        std::fprintf(stderr, " one without a name (%.3f s)", seconds);
}

// One line, where tasks or threads are left.
void print_left(Executor& executor)
{
    std::array<execq_running_task, most_named> room{};
    execq_shutdown_report left = EXECQ_SHUTDOWN_REPORT_INIT;
    left.running = room.data();
    left.running_max = room.size();
    executor.report(left, this_thread.place);
    if (left.running_total == 0 && left.queued == 0 && left.threads == 0)
        return;
    flockfile(stderr);
    std::fprintf(stderr, "execq: exit leaves %llu running and %llu queued tasks and %llu threads of '%s' behind",
                 static_cast<unsigned long long>(left.running_total), static_cast<unsigned long long>(left.queued),
                 static_cast<unsigned long long>(left.threads), executor.name());
    for (std::uint64_t i = 0; i < left.running_count; ++i) {
        std::fputs(i == 0 ? ":" : ",", stderr);
        print_task(room[i]);
    }
    if (left.running_count < left.running_total)
        std::fputs(", ...", stderr);
    std::fputc('\n', stderr);
    funlockfile(stderr);
}

void at_exit()
{
    if (expecting.load(std::memory_order_relaxed) != getpid())
        return;
    std::int32_t policy = 0;
    std::int64_t wait_ns = 0;
    {
        const MutexLock lock(chosen().mutex);
        policy = chosen().policy;
        wait_ns = chosen().wait_ns;
    }
    if (policy == EXECQ_EXIT_ABANDON)
        return;
    const Deadline deadline = Deadline::after(std::max<std::int64_t>(wait_ns, 0));
    const StandingExecutors standing = end_configuration();
    for (Executor* executor : standing) {
        if (executor != nullptr)
            executor->close(policy == EXECQ_EXIT_DRAIN ? EXECQ_DRAIN : EXECQ_CANCEL);
    }
    for (Executor* executor : standing) {
        if (executor == nullptr)
            continue;
        const bool ended = executor->wait_at_exit(deadline);
        executor->close(EXECQ_CANCEL);  // from here on nothing is accepted from anybody
        if (!ended)
            print_left(*executor);
        executor->release();
    }
}

}  // namespace

void set_exit_policy(std::int32_t policy, std::int64_t wait_ns)
{
    const MutexLock lock(chosen().mutex);
    if (policy != 0)
        chosen().policy = policy;
    if (wait_ns != 0)
        chosen().wait_ns = wait_ns;
}

void expect_exit()
{
    static const int registered = std::atexit(at_exit);
    static_cast<void>(registered);
    expecting.store(getpid(), std::memory_order_relaxed);
}

// ---- the executor's part ----

// This thread does not come back, wherever it is: in a task, in thread_init or thread_final. It counts as one that has left,
// so that another one may be started for what is left, and what waits with it is for the others.
void Executor::sign_off(Worker& worker)
{
    give_slot_back(worker);
    {
        const MutexLock lock(mutex_);
        if (worker.reserved())
            reserved_threads_.fetch_sub(1, std::memory_order_seq_cst);
        else
            roster_.remove_thread();
        note_surplus();
    }
    hand_tasks_back(worker);
    if (work_visible())
        wake_if_wanted();
    if (loop_tasks_wait())
        wake_for_loop();
}

bool Executor::wait_at_exit(Deadline deadline)
{
    Worker* const place = this_thread.place;
    const bool own = place != nullptr && &place->executor() == this;
    if (own)
        sign_off(*place);
    if (Timekeeper::on_its_thread())  // what the close has canceled is told here, or never
        Timekeeper::get().catch_up();
    run_queued();
    note_running();
    const ThreadWaits::Scope blocked;
    // Hopeless only for what this thread is in the midst of.
    const execq_status delayed = wait_for_delayed(deadline);
    if (delayed == EXECQ_ETIMEDOUT)
        return false;
    if (engine_ != nullptr)
        return wait_for_engine_at_exit(deadline) && delayed == EXECQ_OK;
    if (wait_for_threads(deadline) != EXECQ_OK)
        return false;
    // In a destructor of a thread-local, the last thread is this one.
    const bool at_its_end = !own && Worker::serves(serial_);
    return (at_its_end || join_last(deadline) == EXECQ_OK) && delayed == EXECQ_OK;
}

}  // namespace execq::core
