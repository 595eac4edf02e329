// bench/peers. A hand-made pool on moodycamel's BlockingConcurrentQueue: a token for each producer and each consumer, as
// its documentation advises for speed.
//
// Two forms, because neither is better everywhere: "moodycamel" takes one item at a time; "moodycamel-bulk" takes up to
// 64 with one call, which is what the documentation calls fastest, at the price that items wait behind a blocked one.
#pragma once

#include <blockingconcurrentqueue.h>

#include <array>
#include <cstddef>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "peers/peer.h"

namespace bench {

template <class Item, std::size_t bulk>
class MoodycamelPool {
    using Queue = moodycamel::BlockingConcurrentQueue<Item>;

public:
    explicit MoodycamelPool(unsigned threads)
    {
        for (unsigned i = 0; i < threads; ++i)
            threads_.emplace_back([this] { work(); });
    }
    MoodycamelPool(const MoodycamelPool&) = delete;
    MoodycamelPool& operator=(const MoodycamelPool&) = delete;
    ~MoodycamelPool()
    {
        for (std::size_t i = 0; i < threads_.size(); ++i)
            require(queue_.enqueue(Item{}));
        for (std::thread& thread : threads_)
            thread.join();
    }

    using Future = std::future<void*>;

    class Producer {
    public:
        explicit Producer(MoodycamelPool& pool) : queue_(pool.queue_), token_(pool.queue_) {}

        template <class Body>
        void submit(void* env)
        {
            require(queue_.enqueue(token_, Item{&Body::run, env}));
        }
        template <class Body>
        Future submit_future(void* env)
        {
            Future future;
            require(queue_.enqueue(token_, future_item<Body>(env, future)));
            return future;
        }

    private:
        Queue& queue_;
        moodycamel::ProducerToken token_;
    };

    template <class Body>
    void spawn(void* env)
    {
        require(queue_.enqueue(*own_token_, Item{&Body::run, env}));
    }

    static void* get(Future& future) { return future.get(); }

private:
    void work()
    {
        moodycamel::ProducerToken own(queue_);
        own_token_ = &own;
        moodycamel::ConsumerToken token(queue_);
        if constexpr (bulk == 1) {
            Item item;
            for (;;) {
                queue_.wait_dequeue(token, item);
                if (item.is_stop())
                    return;
                item.run();
            }
        } else {
            std::array<Item, bulk> items;
            while (run_all(items, queue_.wait_dequeue_bulk(token, items.data(), bulk))) {
            }
        }
    }

    // False once a stop was among them; the stops of others that came along go back.
    bool run_all(std::array<Item, bulk>& items, std::size_t n)
    {
        std::size_t stops = 0;
        for (std::size_t i = 0; i < n; ++i) {
            if (items[i].is_stop())
                ++stops;
            else
                items[i].run();
        }
        for (std::size_t i = 1; i < stops; ++i)
            require(queue_.enqueue(Item{}));
        return stops == 0;
    }

    static inline constinit thread_local moodycamel::ProducerToken* own_token_ = nullptr;
    Queue queue_;
    std::vector<std::thread> threads_;
};

inline std::string moodycamel_version()
{
#ifdef BENCH_MOODYCAMEL_VERSION
    return BENCH_MOODYCAMEL_VERSION;  // of the package: the headers do not say
#else
    return "unknown";
#endif
}

struct Moodycamel {
    static constexpr const char* name = "moodycamel";
    static std::string version() { return moodycamel_version(); }
    using Pool = MoodycamelPool<PlainItem, 1>;
    using FuturePool = MoodycamelPool<FutureItem, 1>;
};

struct MoodycamelBulk {
    static constexpr const char* name = "moodycamel-bulk";
    static std::string version() { return moodycamel_version(); }
    using Pool = MoodycamelPool<PlainItem, 64>;
    using FuturePool = MoodycamelPool<FutureItem, 64>;
};

}  // namespace bench
