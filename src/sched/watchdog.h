// Floor 2. The watchdog: one thread of the process, which tells of what holds threads of watched executors up for too long.
//
// A thread of its own, not the timekeeper's, as what it calls may block. It starts with the first watch, and ends with the
// last one.
//
// What runs is listed by the thread that runs it, in shards, so that threads seldom meet. The watchdog looks when the
// first of what it has seen may be told, and no later than one limit after the last look: so what it has not seen yet is
// not due before it looks again, and all is told in time without being asked for often.
//
// What was told of has a report, with which its end is told, too: no memory is needed for that.
//
// A watch list has two owners, its executor's observers and the watchdog, so that nobody has to wait for a call of on_stuck:
// once the first one has given it up, the second tells what is left to tell, and frees it.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "base/annotations.h"
#include "base/links.h"
#include "execq/observe.h"
#include "execq/status.h"
#include "task/observed.h"

namespace execq::core {

// What was told, or is to be: copied from what runs, which may end meanwhile.
struct StuckReport : Link {
    std::array<char, 48> name{};
    std::uint64_t task = 0;  // 0: a loop
    std::int32_t worker = Observation::no_worker;
    std::int64_t thread = 0;
    std::int64_t running_ns = 0;
};

struct WatchSpec {
    std::string executor_name;
    std::int64_t after_ns = 0;
    execq_stuck_fn on_stuck = nullptr;  // null: a line on stderr
    void* env = nullptr;
    execq_drop_fn drop = nullptr;
};

// What the threads of one executor are held up by now.
class WatchList {
public:
    explicit WatchList(WatchSpec spec) : spec_(std::move(spec)) {}
    ~WatchList();  // drops env
    WatchList(const WatchList&) = delete;
    WatchList& operator=(const WatchList&) = delete;

    // Both by the thread that it is about.
    void add(Watched& watched);
    void remove(Watched& watched);

private:
    friend class Watchdog;
    friend class WatchObserver;
    static constexpr std::size_t shards = 8;
    struct alignas(64) Shard {
        Mutex mutex;
        HookList<Watched> running EXECQ_GUARDED_BY(mutex);
        Fifo<StuckReport> ended EXECQ_GUARDED_BY(mutex);  // owned
    };
    Shard& shard_of(std::int64_t thread) { return all_[static_cast<std::uint64_t>(thread) % shards]; }

    // ---- the watchdog's thread ----
    // Tells what is to be told; answers when to look again.
    std::int64_t look(std::int64_t now);
    std::int64_t note_stuck(Shard& shard, std::int64_t now, Fifo<StuckReport>& stuck);
    void tell(const StuckReport& report, bool ended) const;

    const WatchSpec spec_;
    std::array<Shard, shards> all_;
    std::atomic<bool> over_{false};  // set by the observers, who are gone then; read by the watchdog
    WatchList* next_ = nullptr;      // the watchdog's
};

class WatchObserver final : public TaskObserver {
public:
    // EXECQ_OK, EXECQ_EAGAIN (no thread), EXECQ_ENOMEM.
    static execq_status make(std::unique_ptr<WatchList> list, std::unique_ptr<WatchObserver>& out);
    ~WatchObserver() override;

    void started(Observation& task) noexcept override;
    void left(Observation& task) noexcept override;

    // A turn of a worker's loop lasts as long as one lives. Null: nobody watches.
    class Turn {
    public:
        Turn(WatchObserver* watch, std::uint32_t worker);
        ~Turn();
        Turn(const Turn&) = delete;
        Turn& operator=(const Turn&) = delete;

    private:
        WatchObserver* const watch_;
        Watched watched_;
    };

private:
    explicit WatchObserver(WatchList& list) : list_(list) {}
    WatchList& list_;
};

}  // namespace execq::core
