#include "sched/watchdog.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <limits>
#include <new>
#include <pthread.h>
#include <utility>

#include "base/clock.h"
#include "base/futex.h"
#include "base/immortal.h"
#include "base/process.h"
#include "task/callbacks.h"
#include "task/error.h"
#include "task/unobserved.h"

namespace execq::core {

namespace {

constexpr std::int64_t resolution_ns = 1'000'000;  // it looks no more often
constexpr std::int64_t retry_ns = 10'000'000;      // where there was no memory to tell

std::int64_t later(std::int64_t from, std::int64_t by)
{
    return from > std::numeric_limits<std::int64_t>::max() - by ? std::numeric_limits<std::int64_t>::max() : from + by;
}

}  // namespace

class Watchdog {
public:
    static Watchdog& get()
    {
        static PerProcess<Watchdog> dog;
        return *dog;
    }

    // EXECQ_OK, and it has the list, or EXECQ_EAGAIN.
    execq_status take(WatchList& list)
    {
        {
            const MutexLock lock(mutex_);
            if (!running_ && !start())
                return EXECQ_EAGAIN;
            list.next_ = first_;
            first_ = &list;
        }
        wake();
        return EXECQ_OK;
    }
    void wake()
    {
        turn_.fetch_add(1, std::memory_order_release);
        futex_wake(&turn_, 1);
    }

private:
    bool start() EXECQ_REQUIRES(mutex_)
    {
        // The thread inherits the mask: it never runs the program's signal handlers.
        sigset_t all;
        sigset_t before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pthread_t thread{};
        const int error = pthread_create(&thread, nullptr, thread_main, this);
        pthread_sigmask(SIG_SETMASK, &before, nullptr);
        if (error != 0)
            return false;
        pthread_detach(thread);
        running_ = true;
        return true;
    }
    static void* thread_main(void* dog)
    {
        pthread_setname_np(pthread_self(), "execq-watch");
        static_cast<Watchdog*>(dog)->work();
        return nullptr;
    }
    void work()
    {
        for (;;) {
            const std::uint32_t turn = turn_.load(std::memory_order_acquire);
            WatchList* first = nullptr;
            {
                const MutexLock lock(mutex_);
                first = first_;
                running_ = first != nullptr;
            }
            if (first == nullptr)
                return;
            const std::int64_t now = now_ns();
            std::int64_t next = std::numeric_limits<std::int64_t>::max();
            // Only this thread changes what follows a list that it has.
            while (first != nullptr) {
                WatchList* list = std::exchange(first, first->next_);
                const bool over =
                    list->over_.load(std::memory_order_acquire);  // before the look, which then is the last
                next = std::min(next, list->look(now_ns()));
                if (over) {
                    take_off(*list);
                    delete list;
                }
            }
            futex_wait(&turn_, turn, Deadline::at(std::max(next, later(now, resolution_ns))));
        }
    }
    void take_off(WatchList& list)
    {
        const MutexLock lock(mutex_);
        WatchList** at = &first_;
        while (*at != &list)
            at = &(*at)->next_;
        *at = list.next_;
    }

    Mutex mutex_;
    WatchList* first_ EXECQ_GUARDED_BY(mutex_) = nullptr;  // owned
    bool running_ EXECQ_GUARDED_BY(mutex_) = false;
    // Raised by who wants the thread to look, which sleeps on it.
    std::atomic<std::uint32_t> turn_{0};
};

namespace {

[[maybe_unused]] Watchdog& made_when_loaded = Watchdog::get();

}  // namespace

// ---- the list ----

WatchList::~WatchList()
{
    const CallbackScope scope;
    call_drop(spec_.drop, spec_.env);
}

void WatchList::add(Watched& watched)
{
    Shard& shard = shard_of(watched.thread);
    const MutexLock lock(shard.mutex);
    shard.running.push_back(watched);
}

void WatchList::remove(Watched& watched)
{
    Shard& shard = shard_of(watched.thread);
    {
        const MutexLock lock(shard.mutex);
        shard.running.remove(watched);
        StuckReport* report = std::exchange(watched.report, nullptr);
        if (report == nullptr)
            return;
        report->running_ns = now_ns() - watched.started_ns;
        shard.ended.push(*report);
    }
    Watchdog::get().wake();
}

// What is too long by now gets a report, and a copy of it is to be told.
std::int64_t WatchList::note_stuck(Shard& shard, std::int64_t now, Fifo<StuckReport>& stuck)
{
    std::int64_t next = later(now, spec_.after_ns);
    const MutexLock lock(shard.mutex);
    shard.running.for_each([&](Watched& watched) {
        const std::int64_t due = later(watched.started_ns, spec_.after_ns);
        if (watched.report != nullptr)
            return;
        if (due > now) {
            next = std::min(next, due);
            return;
        }
        auto* report = new (std::nothrow) StuckReport;
        auto* told = report != nullptr ? new (std::nothrow) StuckReport : nullptr;
        if (told == nullptr) {
            delete report;
            next = std::min(next, later(now, retry_ns));
            return;
        }
        std::strncpy(report->name.data(), watched.name, report->name.size() - 1);
        report->task = watched.task;
        report->worker = watched.worker;
        report->thread = watched.thread;
        report->running_ns = now - watched.started_ns;
        *told = *report;
        watched.report = report;
        stuck.push(*told);
    });
    return next;
}

std::int64_t WatchList::look(std::int64_t now)
{
    std::int64_t next = std::numeric_limits<std::int64_t>::max();
    for (Shard& shard : all_) {
        Fifo<StuckReport> stuck;
        Fifo<StuckReport> ended;
        next = std::min(next, note_stuck(shard, now, stuck));
        while (StuckReport* report = stuck.pop()) {
            tell(*report, false);
            delete report;
        }
        {
            const MutexLock lock(shard.mutex);
            ended.append(shard.ended);
        }
        while (StuckReport* report = ended.pop()) {
            tell(*report, true);
            delete report;
        }
    }
    return next;
}

namespace {

void print_stuck(const execq_stuck_info& info)
{
    constexpr double second = 1e9;
    const char* what = info.kind == EXECQ_STUCK_LOOP ? "a turn of the loop" : info.name[0] != '\0' ? "task" : "a task";
    const char* quote = info.name[0] != '\0' ? "'" : "";
    std::fprintf(stderr, "execq: %s%s%s%s%s on %s/%d (thread %lld) %s %.3f s\n", what, quote[0] != '\0' ? " " : "",
                 quote, info.name, quote, info.executor, info.worker, static_cast<long long>(info.thread),
                 info.ended != 0 ? "has ended after" : "has been running for",
                 static_cast<double>(info.running_ns) / second);
}

void call_stuck(execq_stuck_fn fn, const execq_stuck_info& info, void* env)
{
    const auto report = [](const char* what) {
        Error* error = Error::make(EXECQ_EEXCEPTION, what);
        report_unobserved("on_stuck", *error);
        error->release();
    };
    const CallbackScope scope;
    try {
        const UserCode user;
        fn(&info, env);
    } catch (const std::exception& exception) {
        report(exception.what());
    } catch (...) {
        report("not a std::exception");
    }
}

}  // namespace

void WatchList::tell(const StuckReport& report, bool ended) const
{
    const execq_stuck_info info{sizeof(execq_stuck_info),
                                report.task != 0 ? EXECQ_STUCK_TASK + 0U : EXECQ_STUCK_LOOP + 0U,
                                ended ? 1U : 0U,
                                report.worker,
                                report.task,
                                report.name.data(),
                                spec_.executor_name.c_str(),
                                report.running_ns,
                                report.thread};
    if (spec_.on_stuck != nullptr)
        call_stuck(spec_.on_stuck, info, spec_.env);
    else
        print_stuck(info);
}

// ---- the observer ----

execq_status WatchObserver::make(std::unique_ptr<WatchList> list, std::unique_ptr<WatchObserver>& out)
{
    const execq_status status = Watchdog::get().take(*list);
    if (status != EXECQ_OK)
        return status;
    WatchList& taken = *list.release();
    out.reset(new (std::nothrow) WatchObserver(taken));
    if (out != nullptr)
        return EXECQ_OK;
    taken.over_.store(true, std::memory_order_release);
    Watchdog::get().wake();
    return EXECQ_ENOMEM;
}

WatchObserver::~WatchObserver()
{
    list_.over_.store(true, std::memory_order_release);
    Watchdog::get().wake();
}

void WatchObserver::started(Observation& task) noexcept
{
    Watched& watched = task.watched();
    watched.started_ns = task.started_ns();
    watched.thread = current_thread_id();
    watched.task = task.id();
    watched.name = task.name();
    watched.worker = task.worker();
    list_.add(watched);
}

void WatchObserver::left(Observation& task) noexcept { list_.remove(task.watched()); }

WatchObserver::Turn::Turn(WatchObserver* watch, std::uint32_t worker) : watch_(watch)
{
    if (watch_ == nullptr)
        return;
    watched_.started_ns = now_ns();
    watched_.thread = current_thread_id();
    watched_.worker = static_cast<std::int32_t>(worker);
    watch_->list_.add(watched_);
}

WatchObserver::Turn::~Turn()
{
    if (watch_ != nullptr)
        watch_->list_.remove(watched_);
}

}  // namespace execq::core
