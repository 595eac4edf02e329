// bench/peers. oneTBB: from foreign threads task_arena::enqueue, from inside tasks task_group::run, as its documentation
// says for each.
#pragma once

#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/task_arena.h>
#include <oneapi/tbb/task_group.h>
#include <oneapi/tbb/version.h>

#include <string>
#include <utility>

#include "peers/peer.h"

namespace bench {

class TbbPool {
public:
    // The arena keeps no slot for foreign threads, so all its threads are workers, as in the other pools. The limit of
    // the process counts one foreign thread too.
    explicit TbbPool(unsigned threads)
        : limit_(tbb::global_control::max_allowed_parallelism, threads + 1), arena_(static_cast<int>(threads), 0)
    {
        arena_.initialize();
    }
    TbbPool(const TbbPool&) = delete;
    TbbPool& operator=(const TbbPool&) = delete;
    ~TbbPool()
    {
        arena_.execute([this] { group_.wait(); });
    }

    using Future = std::future<void*>;

    class Producer {
    public:
        explicit Producer(TbbPool& pool) : arena_(pool.arena_) {}

        template <class Body>
        void submit(void* env)
        {
            arena_.enqueue([env] { Body::run(env); });
        }
        template <class Body>
        Future submit_future(void* env)
        {
            FutureTask<Body> task{env, {}};
            Future future = task.promise.get_future();
            arena_.enqueue(std::move(task));
            return future;
        }

    private:
        tbb::task_arena& arena_;
    };

    template <class Body>
    void spawn(void* env)
    {
        group_.run([env] { Body::run(env); });
    }

    static void* get(Future& future) { return future.get(); }

private:
    tbb::global_control limit_;
    tbb::task_arena arena_;
    tbb::task_group group_;
};

struct Tbb {
    static constexpr const char* name = "tbb";
    static std::string version() { return TBB_runtime_version(); }
    using Pool = TbbPool;
    using FuturePool = TbbPool;
};

}  // namespace bench
