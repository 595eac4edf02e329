// bench/peers. libexecq: the shared library, through its C functions.
#pragma once

#include <execq/execq.h>

#include <string>

#include "peers/peer.h"

namespace bench {

class ExecqPool {
public:
    explicit ExecqPool(unsigned threads)
    {
        execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
        options.max_threads = threads;
        require(execq_executor_new(&options, &executor_) == EXECQ_OK);
    }
    ExecqPool(const ExecqPool&) = delete;
    ExecqPool& operator=(const ExecqPool&) = delete;
    ~ExecqPool()
    {
        execq_executor_close(executor_, EXECQ_DRAIN);
        execq_executor_join(executor_, -1, nullptr);
        execq_executor_release(executor_);
    }

    using Future = execq_future*;

    class Producer {
    public:
        explicit Producer(ExecqPool& pool) : executor_(pool.executor_) {}

        template <class Body>
        void submit(void* env)
        {
            require(execq_submit(executor_, &entry<Body>, env, nullptr) == EXECQ_OK);
        }
        template <class Body>
        Future submit_future(void* env)
        {
            execq_future* future = nullptr;
            require(execq_submit(executor_, &entry<Body>, env, &future) == EXECQ_OK);
            return future;
        }

    private:
        execq_executor* executor_;
    };

    template <class Body>
    void spawn(void* env)
    {
        require(execq_submit(executor_, &entry<Body>, env, nullptr) == EXECQ_OK);
    }

    static void* get(Future& future)
    {
        void* value = nullptr;
        require(execq_future_wait(future, -1) == EXECQ_OK);
        require(execq_future_result(future, &value) == EXECQ_OK);
        execq_future_release(future);
        return value;
    }

    execq_executor* executor() const { return executor_; }

    template <class Body>
    static std::int32_t entry(void* env, void** result)
    {
        *result = Body::run(env);
        return 0;
    }

private:
    execq_executor* executor_ = nullptr;
};

struct Execq {
    static constexpr const char* name = "execq";
    static std::string version() { return execq_version_string(); }
    using Pool = ExecqPool;
    using FuturePool = ExecqPool;
};

}  // namespace bench
