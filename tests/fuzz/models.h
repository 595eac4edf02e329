// What the oracle knows of each thing that a program makes, and counts of what happened to it. Nothing here allocates: it is
// written in callbacks, also while memory is out.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "execq/execq.h"
#include "slots.h"
#include "stream.h"
#include "stress.h"

namespace fuzz {

constexpr unsigned max_lanes = 4;

using Count = std::atomic<std::uint32_t>;

struct Exec;
struct Job;

// Room for N; pointers stay good until the end of the input.
template <class T, std::size_t N>
class Pool {
public:
    T* make()
    {
        std::uint32_t n = used_.load(std::memory_order_relaxed);
        while (n < N && !used_.compare_exchange_weak(n, n + 1)) {
        }
        if (n >= N)
            return nullptr;
        things_[n].index = n;
        return &things_[n];
    }
    std::size_t size() const { return used_.load(); }
    T& operator[](std::size_t i) { return things_[i]; }
    void clear()
    {
        for (std::size_t i = 0; i < size(); ++i) {
            things_[i].~T();
            new (&things_[i]) T();
        }
        used_ = 0;
    }
    template <class Visit>
    void each(const Visit& visit)
    {
        for (std::size_t i = 0; i < size(); ++i)
            visit(things_[i]);
    }

private:
    Count used_{0};
    std::array<T, N> things_;
};

// What a task does, or a callback after it has counted.
struct Plan {
    std::uint8_t act = 0;
    Record nested;
};

// Where a piece of work stands with whoever submitted it.
enum class Entry : std::uint8_t { pending, refused, accepted };

enum class JobKind : std::uint8_t { task, async, series, loop_task, loop_async, call, promise, sleep, closed };

struct QueueModel {
    std::uint32_t index = 0;
    std::uint32_t max_in_flight = 1;
    bool may_block = false;
    Exec* exec = nullptr;
    Count running{0};
    // By thread and key: the last task that started, of a queue that runs one at a time.
    std::array<std::array<Count, 4>, max_lanes> last{};
};

struct GroupModel {
    std::uint32_t index = 0;
    std::uint32_t max_in_flight = 0;
    Exec* exec = nullptr;  // with a limit: where all of its tasks run
    Count running{0};
    Count joined{0};
};

struct SourceModel {
    std::uint32_t index = 0;
    Count canceled{0};  // times that a cancel was answered EXECQ_OK
};

struct CqModel {
    std::uint32_t index = 0;
    Count orphaned{0};  // it may have been given up open: tags may vanish
};

struct PortModel {
    std::uint32_t index = 0;
    unsigned lane = 0;
    Count detached{0};
};

struct VarModel {
    std::uint32_t index = 0;
    Count sets{0};
    Count drops{0};
};

struct ErrorModel {
    std::uint32_t index = 0;
    Count payload_drops{0};
};

// An executor, with what its hooks, its watchdog and its threads told.
struct Exec {
    std::uint32_t index = 0;
    char name[16] = {};
    bool manual = false;
    bool times = false;
    bool may_block = false;   // a submission without a limit may wait for room
    bool fails_init = false;  // thread_init will fail at some time
    bool hooked = false;
    bool watched = false;
    bool threads_told = false;  // has thread_init and thread_final
    std::uint32_t max_threads = 0;
    Kind<execq_executor, execq_executor_retain, execq_executor_release, Exec>::Slot
        audit;          // the oracle's reference; empty once it was given up early
    Count orphaned{0};  // audit was given up
    Count nameless{0};  // was what NULL stands for: who submitted there is not known exactly
    Count accepted{0};
    Count submits{0}, ends{0}, refusals{0}, hook_drops{0};
    Count stuck{0}, unstuck{0}, stuck_drops{0};
    Count inits{0}, failed_inits{0}, finals{0}, thread_drops{0};
    Count joined{0};
};

struct Value {
    Job* job = nullptr;
};

// The env of a task. With env_size the library has a copy of it.
struct Env {
    static constexpr std::uint64_t good = 0x6578656371656e76;
    Job* job = nullptr;
    std::uint64_t magic = good;
};

struct Job {
    std::uint32_t index = 0;
    char name[16] = {};
    JobKind kind = JobKind::task;
    Env env;
    Value value;
    Plan plan;
    unsigned depth = 0;
    bool has_drop = false;
    bool has_drop_result = false;
    bool named = false;
    Exec* exec = nullptr;
    QueueModel* queue = nullptr;
    GroupModel* group = nullptr;
    unsigned key = 0;
    int lane = -1;  // of which its place in the queue counts; -1: of none
    std::uint32_t turn = 0;
    std::atomic<Entry> entry{Entry::pending};
    std::atomic<std::int32_t> state{0};  // the final one, once somebody saw it
    Count runs{0}, inside{0}, drops{0}, result_drops{0}, taken{0};
    Count ok_returns{0}, failures{0}, unclear_ends{0}, completions{0};
    Count cancel_ok{0}, consumed{0}, forwarded{0}, reported{0};
    std::atomic<execq_future*> audit{nullptr};  // a reference of the oracle's own

    bool blocking() const
    {
        return kind == JobKind::task || kind == JobKind::series || kind == JobKind::loop_task || kind == JobKind::call;
    }
    bool accepted() const { return entry.load() == Entry::accepted; }
};

// A registration of a completion, or of a cancel callback.
enum class RegKind : std::uint8_t { done, on_loop, on_promise, to_cq, source, promise_cancel };

struct Reg {
    std::uint32_t index = 0;
    RegKind kind = RegKind::done;
    Job* job = nullptr;
    CqModel* cq = nullptr;
    PortModel* port = nullptr;
    bool has_drop = true;
    Plan plan;
    std::atomic<Entry> entry{Entry::pending};
    Count delivered{0}, drops{0};
};

// What it fails with, which tells whose failure one is that comes without a name.
constexpr std::int32_t first_code = 1000;
inline std::int32_t own_code(const Job& job) { return first_code + static_cast<std::int32_t>(job.index); }

inline void retain_error(const execq_error* error) { execq_error_retain(error); }
inline void release_error(const execq_error* error) { execq_error_release(error); }

using Executors = Kind<execq_executor, execq_executor_retain, execq_executor_release, Exec>;
using Futures = Kind<execq_future, execq_future_retain, execq_future_release, Job>;
using Promises = Kind<execq_promise, execq_promise_retain, execq_promise_release, Job>;
using Queues = Kind<execq_queue, execq_queue_retain, execq_queue_release, QueueModel>;
using Groups = Kind<execq_group, execq_group_retain, execq_group_release, GroupModel>;
using Sources = Kind<execq_cancel_source, execq_cancel_source_retain, execq_cancel_source_release, SourceModel>;
using Cqs = Kind<execq_cq, execq_cq_retain, execq_cq_release, CqModel>;
using Ports = Kind<execq_loop, execq_loop_retain, execq_loop_release, PortModel>;
using Contexts = Kind<execq_context, execq_context_retain, execq_context_release, VarModel>;
using Vars = Kind<execq_var, execq_var_retain, execq_var_release, VarModel>;
using Errors = Kind<const execq_error, retain_error, release_error, ErrorModel>;

}  // namespace fuzz
