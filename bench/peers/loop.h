// bench/peers. From a libuv loop to a pool and back to the loop.
//
// A port is a class template over what is to run on the loop when a job is back:
//
//   Port<Back>(uv_loop_t*, unsigned threads)
//   Job                                      what one job needs; the scenario keeps it and knows it by its `number`
//   submit(Job&)                             on the loop's thread: an empty task, then Back::run(Job&) on the loop
//   ~Port()                                  after the last job is back
//
// libuv brings jobs back itself, libexecq has execq_submit_to_loop. For the other pools it is written here as a careful
// user would: a vector under a mutex, and one uv_async_send for a batch.
//
// Threads: all of a port but the task belongs to the loop's thread.
#pragma once

#include <execq/uv.h>
#include <uv.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "peers/all.h"

namespace bench {

struct UvLoop {
    static constexpr const char* name = "uv_queue_work";
    static std::string version() { return uv_version_string(); }

    template <class Back>
    class Port {
    public:
        struct Job {
            std::size_t number = 0;
            uv_work_t request{};
        };

        // The size of libuv's pool is read from the environment by its first use in a process.
        Port(uv_loop_t* loop, unsigned threads) : loop_(loop)
        {
            require(setenv("UV_THREADPOOL_SIZE", std::to_string(threads).c_str(), 1) == 0);
        }

        void submit(Job& job)
        {
            job.request.data = &job;
            require(uv_queue_work(
                        loop_, &job.request, [](uv_work_t*) {},
                        [](uv_work_t* request, int) { Back::run(*static_cast<Job*>(request->data)); }) == 0);
        }

    private:
        uv_loop_t* loop_;
    };
};

struct ExecqLoop {
    static constexpr const char* name = Execq::name;
    static std::string version() { return Execq::version(); }

    template <class Back>
    class Port {
    public:
        struct Job {
            std::size_t number = 0;
        };

        Port(uv_loop_t* loop, unsigned threads) : pool_(threads)
        {
            require(execq_loop_attach(loop, &loop_) == EXECQ_OK);
        }
        Port(const Port&) = delete;
        Port& operator=(const Port&) = delete;
        ~Port()
        {
            execq_loop_detach(loop_);
            execq_loop_release(loop_);
        }

        void submit(Job& job)
        {
            require(execq_submit_to_loop(
                        pool_.executor(), nullptr, [](void*, void**) -> std::int32_t { return 0; }, nullptr, loop_,
                        [](execq_future*, void* back) { Back::run(*static_cast<Job*>(back)); }, &job,
                        nullptr) == EXECQ_OK);
        }

    private:
        ExecqPool pool_;
        execq_loop* loop_ = nullptr;
    };
};

template <class Peer>
struct PoolLoop {
    static constexpr const char* name = Peer::name;
    static std::string version() { return Peer::version(); }

    template <class Back>
    class Port {
        using Pool = typename Peer::Pool;

    public:
        struct Job {
            std::size_t number = 0;
            Port* port = nullptr;
        };

        Port(uv_loop_t* loop, unsigned threads) : pool_(threads), producer_(pool_)
        {
            require(uv_async_init(loop, &async_,
                                  [](uv_async_t* async) { static_cast<Port*>(async->data)->deliver(); }) == 0);
            async_.data = this;
        }
        Port(const Port&) = delete;
        Port& operator=(const Port&) = delete;
        ~Port()
        {
            uv_close(reinterpret_cast<uv_handle_t*>(&async_), nullptr);
            uv_run(async_.loop, UV_RUN_DEFAULT);
        }

        void submit(Job& job)
        {
            job.port = this;
            producer_.template submit<Task>(&job);
        }

    private:
        struct Task {
            static void* run(void* env)
            {
                auto* job = static_cast<Job*>(env);
                job->port->came_back(job);
                return nullptr;
            }
        };

        // On a worker. The send is inside the lock: the port is not closed before the last job was delivered.
        void came_back(Job* job)
        {
            const std::lock_guard lock(mutex_);
            back_.push_back(job);
            if (back_.size() == 1)
                uv_async_send(&async_);
        }

        void deliver()
        {
            {
                const std::lock_guard lock(mutex_);
                back_.swap(batch_);
            }
            for (Job* job : batch_)
                Back::run(*job);
            batch_.clear();
        }

        Pool pool_;
        typename Pool::Producer producer_;
        uv_async_t async_{};
        std::mutex mutex_;
        std::vector<Job*> back_;   // mutex_
        std::vector<Job*> batch_;  // the loop's thread
    };
};

}  // namespace bench
