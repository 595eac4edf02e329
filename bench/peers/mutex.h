// bench/peers. The pool that everybody writes first: a deque under a mutex, and a condition variable.
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "peers/peer.h"

namespace bench {

template <class Item>
class MutexPool {
public:
    explicit MutexPool(unsigned threads)
    {
        for (unsigned i = 0; i < threads; ++i)
            threads_.emplace_back([this] { work(); });
    }
    MutexPool(const MutexPool&) = delete;
    MutexPool& operator=(const MutexPool&) = delete;
    ~MutexPool()
    {
        for (std::size_t i = 0; i < threads_.size(); ++i)
            push(Item{});
        for (std::thread& thread : threads_)
            thread.join();
    }

    using Future = std::future<void*>;

    class Producer {
    public:
        explicit Producer(MutexPool& pool) : pool_(pool) {}

        template <class Body>
        void submit(void* env)
        {
            pool_.push(Item{&Body::run, env});
        }
        template <class Body>
        Future submit_future(void* env)
        {
            Future future;
            pool_.push(future_item<Body>(env, future));
            return future;
        }

    private:
        MutexPool& pool_;
    };

    template <class Body>
    void spawn(void* env)
    {
        push(Item{&Body::run, env});
    }

    static void* get(Future& future) { return future.get(); }

private:
    void push(Item item)
    {
        {
            const std::lock_guard lock(mutex_);
            items_.push_back(std::move(item));
        }
        filled_.notify_one();  // after the unlock: the woken thread finds the mutex free
    }

    void work()
    {
        for (;;) {
            std::unique_lock lock(mutex_);
            filled_.wait(lock, [this] { return !items_.empty(); });
            Item item = std::move(items_.front());
            items_.pop_front();
            lock.unlock();
            if (item.is_stop())
                return;
            item.run();
        }
    }

    std::mutex mutex_;
    std::condition_variable filled_;
    std::deque<Item> items_;  // mutex_
    std::vector<std::thread> threads_;
};

struct Mutex {
    static constexpr const char* name = "mutex";
    static std::string version() { return "libstdc++ " + std::to_string(__GLIBCXX__); }
    using Pool = MutexPool<PlainItem>;
    using FuturePool = MutexPool<FutureItem>;
};

}  // namespace bench
