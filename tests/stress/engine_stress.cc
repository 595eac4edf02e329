// Tasks of a host's engine, some of them behind a queue, while others cancel them and the executor closes: each ends once, each
// drop runs once, no body runs that was canceled, and the engine is dropped once, after the last.
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <random>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"

namespace {

// Two threads, each of which runs its tasks here, or begins them and ends them as if they had run elsewhere.
class Engine {
public:
    Engine()
    {
        for (unsigned i = 0; i < 2; ++i)
            threads_.emplace_back([this, i] { work(i); });
    }
    ~Engine()
    {
        {
            const std::lock_guard lock(mutex_);
            over_ = true;
        }
        wake_.notify_all();
        for (std::thread& thread : threads_)
            thread.join();
        CHECK(tasks_.empty());
    }

    static execq_status submit(void* self, execq_engine_task* task)
    {
        auto& engine = *static_cast<Engine*>(self);
        if (++engine.submissions_ % 16 == 0)
            return EXECQ_EFULL;
        {
            const std::lock_guard lock(engine.mutex_);
            engine.tasks_.push_back(task);
        }
        engine.wake_.notify_one();
        return EXECQ_OK;
    }
    static void cancel(void* self, execq_engine_task* task)
    {
        auto& engine = *static_cast<Engine*>(self);
        (void)execq_engine_task_cancel_requested(task);
        ++engine.told;
    }
    static void drop(void* self)
    {
        (void)self;
        drops.fetch_add(1);
        drops.notify_one();
    }

    std::atomic<int> told{0};
    static inline std::atomic<std::size_t> drops{0};  // of all: whoever lets go last may still be telling of it

private:
    void work(unsigned seed)
    {
        std::minstd_rand random(seed + 1);
        for (;;) {
            execq_engine_task* task = nullptr;
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [this] { return over_ || !tasks_.empty(); });
                if (tasks_.empty())
                    return;
                task = tasks_.front();
                tasks_.pop_front();
            }
            end(task, random() % 4);
        }
    }
    static void end(execq_engine_task* task, std::uint_fast32_t how)
    {
        if (how == 0) {
            const execq_status status = execq_engine_task_run(task);
            CHECK(status == EXECQ_OK || status == EXECQ_ECANCELED);
        } else if (how == 1) {
            const execq_status status = execq_engine_task_cancel(task);
            CHECK(status == EXECQ_OK || status == EXECQ_ECANCELED);
        } else {
            const execq_status begun = execq_engine_task_begin(task);
            CHECK(begun == EXECQ_OK || begun == EXECQ_ECANCELED);
            if (begun == EXECQ_OK)
                CHECK((how == 2 ? execq_engine_task_resolve(task, nullptr)
                                : execq_engine_task_reject(task, EXECQ_ECANCELED, nullptr)) == EXECQ_OK);
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<execq_engine_task*> tasks_;
    bool over_ = false;
    std::atomic<unsigned> submissions_{0};
    std::vector<std::thread> threads_;
};

struct Task {
    std::atomic<int> runs{0};
    std::atomic<int> drops{0};
    execq_future* future = nullptr;
    bool accepted = false;
    bool prevented = false;

    static std::int32_t body(void* env, void**)
    {
        CHECK(static_cast<Task*>(env)->runs.fetch_add(1) == 0);
        return 0;
    }
    static void drop(void* env) { CHECK(static_cast<Task*>(env)->drops.fetch_add(1) == 0); }
};

void produce(execq_executor* executor, execq_queue* queue, Task* tasks, std::size_t n)
{
    for (std::size_t i = 0; i < n; ++i) {
        Task& task = tasks[i];
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        options.drop = Task::drop;
        options.queue = i % 2 == 0 ? queue : nullptr;
        options.start_within_ns = i % 8 == 1 ? 20'000 : 0;
        const execq_status status = execq_submit_with(executor, &options, Task::body, &task, &task.future);
        task.accepted = status == EXECQ_OK;
        CHECK(task.accepted || status == EXECQ_EFULL || status == EXECQ_ECLOSED);
        if (task.accepted && i % 3 == 0)
            task.prevented = execq_future_cancel(task.future) == EXECQ_OK;
    }
}

void check(Task& task)
{
    CHECK(task.drops == 1);
    if (!task.accepted) {
        CHECK(task.runs == 0 && task.future == nullptr);
        return;
    }
    const execq_status status = execq_future_result(task.future, nullptr);
    CHECK(status == EXECQ_OK || status == EXECQ_ECANCELED || status == EXECQ_EFAILED);
    CHECK(!task.prevented || (task.runs == 0 && status == EXECQ_ECANCELED));
    CHECK(task.runs == 0 || status == EXECQ_OK);
    execq_future_release(task.future);
}

TEST(EngineStress, each_task_ends_once_whoever_ends_it)
{
    constexpr std::size_t per_producer = 100;
    const std::size_t rounds = stress_n(200, 20);
    for (std::size_t round = 0; round < rounds; ++round) {
        Engine engine;
        execq_engine_vtable vtable = EXECQ_ENGINE_VTABLE_INIT;
        vtable.submit = Engine::submit;
        vtable.cancel = Engine::cancel;
        vtable.drop = Engine::drop;
        execq_executor* executor = nullptr;
        ASSERT_EQ(execq_executor_from_vtable(&vtable, &engine, &executor), EXECQ_OK);
        execq_queue* queue = nullptr;
        execq_queue_options three = EXECQ_QUEUE_OPTIONS_INIT;
        three.max_in_flight = 3;
        ASSERT_EQ(execq_queue_new(executor, &three, &queue), EXECQ_OK);
        const auto tasks = std::make_unique<Task[]>(2 * per_producer);
        std::thread first([&] { produce(executor, queue, tasks.get(), per_producer); });
        std::thread second([&] { produce(executor, queue, tasks.get() + per_producer, per_producer); });
        if (round % 2 == 0) {
            CHECK(execq_executor_close(executor, EXECQ_CANCEL) == EXECQ_OK);
        }
        first.join();
        second.join();
        CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
        CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
        for (std::size_t i = 0; i < 2 * per_producer; ++i) {
            if (tasks[i].accepted)
                CHECK(execq_future_wait(tasks[i].future, -1) == EXECQ_OK);
            check(tasks[i]);
        }
        execq_queue_release(queue);
        execq_executor_release(executor);
        Engine::drops.wait(round);
        CHECK(Engine::drops == round + 1);
    }
}

}  // namespace
