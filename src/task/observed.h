// Floor 1. Observed tasks: what those who look at an executor from inside are told of each of its tasks, and when.
//
// An executor is observed, or it is not, from its making on. Each task of one that is has an Observation behind its node;
// others have none, and pay nothing. An observation tells, each time on the thread that it happens on:
//
//   submitted ──► started ──► left ──► ended           a blocking task
//       │            └─► ended (a promise completed) ──► left: the other order, or another thread, of an asynchronous one
//       │            └─► left ──► rested ──► started   between two runs of a series
//       ├─► ended                                      canceled before it started
//       └─► refused                                    not accepted after all: the submission fails
//
//   submitted    once, by who submits, before the task is accepted, so that nothing else comes before it
//   started      a body, or a start function, is about to be called; left: this thread is out of it, its env dropped
//   ended        once, before the future is done: who has seen the one finds the other counted
//   delivered    for each completion that is called, or drained from a queue, on the thread that does so; returned: that is over
//   gone         once, when nobody has a reference any more
//
// All under no lock. An observer must not throw, nor end its thread.
//
// The observation holds a reference to its node until the task has ended, and its executor's Observers, which may outlive
// that, for as long as the node lives.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/links.h"
#include "base/process.h"

namespace execq::core {

class Node;
class Observation;
struct StuckReport;

enum class Ending : std::uint32_t { ok, failed, canceled, refused };

// Who looks on. Called by many threads at once; owned by its Observers.
class TaskObserver {
public:
    TaskObserver() = default;
    TaskObserver(const TaskObserver&) = delete;
    TaskObserver& operator=(const TaskObserver&) = delete;
    virtual ~TaskObserver() = default;

    // False: it is told nothing more of this task.
    virtual bool submitted(Observation&) noexcept { return true; }
    virtual void started(Observation&) noexcept {}
    virtual void left(Observation&) noexcept {}
    virtual void rested(Observation&) noexcept {}
    // The code: EXECQ_OK, the failure's, EXECQ_ECANCELED; of a submission that was refused EXECQ_OK, it says why itself.
    virtual void ended(Observation&, Ending, std::int32_t) noexcept {}
    virtual void delivered(Observation&) noexcept {}
    // That call is over, on the same thread. The task may be gone.
    virtual void returned() noexcept {}
    // The task is about to be freed, with the last reference to its future.
    virtual void gone(Observation&) noexcept {}
};

// Those of one executor, in the order in which they are told. Counted: by the executor, and by each observation.
class Observers {
public:
    static constexpr std::size_t most = 5;

    // One reference to the caller.
    Observers() = default;
    Observers(const Observers&) = delete;
    Observers& operator=(const Observers&) = delete;

    // ---- before the first task ----
    // At most `most`.
    void add(std::unique_ptr<TaskObserver> observer) { all_.at(count_++) = std::move(observer); }
    // The executor's own; a serial is never used again.
    void belong_to(const std::string& executor_name, std::uint64_t executor_serial)
    {
        name_ = executor_name;
        serial_ = executor_serial;
    }

    void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
    void release()
    {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete this;
    }

    const char* executor_name() const { return name_.c_str(); }
    std::uint64_t executor_serial() const { return serial_; }

private:
    friend class Observation;
    ~Observers() = default;

    std::string name_;
    std::uint64_t serial_ = 0;
    std::array<std::unique_ptr<TaskObserver>, most> all_;
    std::size_t count_ = 0;
    std::atomic<std::uint32_t> references_{1};
};

// What holds a thread up now, for who lists that (sched/watchdog.h): the body of a task, or something else.
struct Watched : Hook {
    std::int64_t started_ns = 0;
    std::int64_t thread = 0;
    std::uint64_t task = 0;  // 0: none
    const char* name = "";
    std::int32_t worker = -1;
    StuckReport* report = nullptr;  // it was told; owned by the list
};

// One task, as its observers see it. Written by whoever moves the task, in the order above; each step publishes it to the
// next, as it does the node.
class Observation {
public:
    static constexpr std::int32_t no_worker = -1;

    Observation(Observers& observers, Node& node);
    ~Observation();
    Observation(const Observation&) = delete;
    Observation& operator=(const Observation&) = delete;

    // Of the task that this thread is inside of, innermost of those that are observed; null: of none.
    static Observation* current() { return current_; }
    // Whether this thread is telling somebody of that task: who waits for it would do so for ever.
    static bool telling_of(const Node& node);

    std::uint64_t id() const { return id_; }          // unique in the process; from 1 on
    std::uint64_t parent() const { return parent_; }  // the task inside of which it was submitted; 0: none
    const char* name() const;                         // "" if none; lives as long as this
    bool async() const;
    const Node& node() const { return node_; }
    const Observers& observers() const { return observers_; }
    // On the clock of now_ns(); 0: not yet. Of a series: of its last run.
    std::int64_t submitted_ns() const { return submitted_ns_; }
    std::int64_t ready_ns() const;  // when it might have started: submitted, or due; once it has started
    std::int64_t started_ns() const { return started_ns_; }
    std::int64_t left_ns() const { return left_ns_; }
    std::int64_t ended_ns() const { return ended_ns_; }
    // It has started, and is not at rest.
    bool running() const { return started_ns_ != 0 && !resting_; }
    // Of its executor, where it runs or ran; no_worker: on another thread, which submitted it.
    std::int32_t worker() const { return worker_; }

    // The watchdog's, from started() to left().
    Watched& watched() { return watched_; }
    // The tracer's: the session that the task's flow is open in; 0: it is not.
    std::atomic<std::uint64_t>& trace() { return trace_; }

    // ---- for who moves the task ----
    void note_submitted();
    void note_refused();  // does nothing unless it was submitted
    void note_rested();
    void note_ended(Ending ending, std::int32_t code);

    // The body runs on this thread for as long as one lives, or until end(). Null: it is not observed.
    class Run {
    public:
        Run(Observation* observation, std::int32_t worker) : observation_(observation)
        {
            if (observation_ != nullptr) [[unlikely]]
                begin(worker);
        }
        ~Run() { end(); }
        Run(const Run&) = delete;
        Run& operator=(const Run&) = delete;

        void end()
        {
            if (observation_ != nullptr) [[unlikely]]
                leave();
        }

    private:
        void begin(std::int32_t worker);
        void leave();

        Observation* observation_;
        Observation* outer_ = nullptr;
    };

    // A completion is called on this thread for as long as one lives; the task may go before that. Null: it is not observed.
    class Delivery {
    public:
        explicit Delivery(Observation* observation)
        {
            if (observation != nullptr) [[unlikely]]
                begin(*observation);
        }
        ~Delivery()
        {
            if (observers_ != nullptr) [[unlikely]]
                end();
        }
        Delivery(const Delivery&) = delete;
        Delivery& operator=(const Delivery&) = delete;

    private:
        void begin(Observation& observation);
        void end();

        Observers* observers_ = nullptr;
        std::uint32_t wanted_ = 0;
    };

private:
    class Telling;
    template <class Tell>
    void tell(const Tell& tell);

    static inline thread_local constinit Observation* current_ = nullptr;
    static const InChild in_child_;

    Observers& observers_;
    Node& node_;
    const std::uint64_t id_;
    std::uint64_t parent_ = 0;
    std::int64_t submitted_ns_ = 0;
    std::int64_t started_ns_ = 0;
    std::int64_t left_ns_ = 0;
    std::int64_t ended_ns_ = 0;
    std::int32_t worker_ = no_worker;
    bool resting_ = false;
    std::uint32_t wanted_ = 0;  // a bit for each observer
    Watched watched_;
    std::atomic<std::uint64_t> trace_{0};
};

// The calling thread's, as the system numbers it; asked for once.
std::int64_t current_thread_id();

}  // namespace execq::core
