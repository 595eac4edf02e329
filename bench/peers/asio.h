// bench/peers. Boost.Asio: thread_pool, post from foreign threads, defer from inside a task (the form that its
// documentation has for a continuation of the task that runs).
#pragma once

#include <boost/asio/defer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/version.hpp>

#include <string>
#include <utility>

#include "peers/peer.h"

namespace bench {

class AsioPool {
public:
    explicit AsioPool(unsigned threads) : pool_(threads) {}
    AsioPool(const AsioPool&) = delete;
    AsioPool& operator=(const AsioPool&) = delete;
    ~AsioPool() { pool_.join(); }

    using Future = std::future<void*>;

    class Producer {
    public:
        explicit Producer(AsioPool& pool) : pool_(pool.pool_) {}

        template <class Body>
        void submit(void* env)
        {
            boost::asio::post(pool_, [env] { Body::run(env); });
        }
        template <class Body>
        Future submit_future(void* env)
        {
            FutureTask<Body> task{env, {}};
            Future future = task.promise.get_future();
            boost::asio::post(pool_, std::move(task));
            return future;
        }

    private:
        boost::asio::thread_pool& pool_;
    };

    template <class Body>
    void spawn(void* env)
    {
        boost::asio::defer(pool_, [env] { Body::run(env); });
    }

    static void* get(Future& future) { return future.get(); }

private:
    boost::asio::thread_pool pool_;
};

struct Asio {
    static constexpr const char* name = "asio";
    static std::string version() { return "Boost " BOOST_LIB_VERSION; }
    using Pool = AsioPool;
    using FuturePool = AsioPool;
};

}  // namespace bench
