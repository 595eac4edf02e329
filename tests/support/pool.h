// An executor for white-box tests, closed and joined at the end of its scope.
#pragma once

#include <cstdio>
#include <string>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched/executor.h"
#include "task/wait.h"
#include "white_box.h"

inline execq::core::Deadline never() { return execq::core::Deadline::after(-1); }
inline execq::core::Deadline only_look() { return execq::core::Deadline::after(0); }

class Pool {
public:
    explicit Pool(std::uint32_t max_threads, const char* name = nullptr)
        : Pool(execq::core::ExecutorSpec{name, max_threads, 0, 0})
    {}
    explicit Pool(const execq::core::ExecutorSpec& spec)
    {
        CHECK(execq::core::Executor::make(spec, &executor_) == EXECQ_OK);
    }
    ~Pool()
    {
        executor_->close(EXECQ_DRAIN);
        CHECK(executor_->join(never()) == EXECQ_OK);
        executor_->release();
    }
    Pool(const Pool&) = delete;
    Pool& operator=(const Pool&) = delete;

    execq::core::Executor* operator->() const { return executor_; }
    execq::core::Executor* get() const { return executor_; }

    // One task with one reference for the caller, who releases it; null if it was refused.
    execq::core::Node* submit(const execq::core::TaskSpec& spec, execq_status* status = nullptr)
    {
        execq::core::Node* node = new_task(spec, 2, executor_->id());
        execq::core::TaskFifo batch;
        batch.push(*node);
        const execq_status got = executor_->submit(batch);
        if (status != nullptr)
            *status = got;
        if (got == EXECQ_OK)
            return node;
        CHECK(status != nullptr && batch.size() == 1);
        node->discard();
        return nullptr;
    }
    execq::core::Node* submit(execq_fn fn, void* env)
    {
        execq::core::TaskSpec spec;
        spec.fn = fn;
        spec.env = env;
        return submit(spec);
    }
    void submit_and_forget(execq_fn fn, void* env) { submit(fn, env)->release(); }

    std::uint64_t threads() const { return report().threads; }
    execq_shutdown_report report(execq_running_task* room = nullptr, std::uint64_t max = 0) const
    {
        execq_shutdown_report report = EXECQ_SHUTDOWN_REPORT_INIT;
        report.running = room;
        report.running_max = max;
        executor_->report(report);
        return report;
    }

private:
    execq::core::Executor* executor_ = nullptr;
};

// Waits for a node and gives up a reference to it; answers what it ended with.
inline execq_status finish(execq::core::Node* node)
{
    CHECK(execq::core::block_on(*node, never()) == EXECQ_OK);
    const execq_status status = node->result(nullptr);
    node->release();
    return status;
}

inline pid_t thread_id() { return static_cast<pid_t>(syscall(SYS_gettid)); }

// Until a thread of this process sleeps for good. Once its task is done, a worker that nobody disturbs only does so when
// idle; a mutex, or a sanitizer's own, may have it sleep for a moment.
inline void wait_until_asleep(pid_t thread)
{
    const std::string path = "/proc/self/task/" + std::to_string(thread) + "/stat";
    for (int seen = 0; seen < 50; std::this_thread::yield()) {
        char state = 0;
        std::FILE* file = std::fopen(path.c_str(), "re");
        CHECK(file != nullptr);
        CHECK(std::fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
        std::fclose(file);
        seen = state == 'S' ? seen + 1 : 0;
    }
}
