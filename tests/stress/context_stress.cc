// Contexts are captured, run, set over and released on many threads at once: every value is dropped exactly once, and nobody
// sees a value that is not his.
#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr unsigned producers = 4;
constexpr std::size_t vars = 40;
constexpr std::size_t shared_contexts = 8;

std::atomic<std::uint64_t> made{0};
std::atomic<std::uint64_t> dropped{0};

// A value knows the variable that it is for, and whose it is.
struct Value {
    std::size_t var;
    std::uint64_t owner;

    static void drop(void* value)
    {
        delete static_cast<Value*>(value);
        dropped.fetch_add(1, std::memory_order_relaxed);
    }
};

std::array<execq_var*, vars> all_vars;

void set(std::size_t var, std::uint64_t owner, execq_var_token* token)
{
    made.fetch_add(1, std::memory_order_relaxed);
    CHECK(execq_var_set(all_vars[var], new Value{var, owner}, token) == EXECQ_OK);
}

// 0: not set.
std::uint64_t owner_of(std::size_t var)
{
    void* value = nullptr;
    if (execq_var_get(all_vars[var], &value) == 0)
        return 0;
    CHECK(static_cast<Value*>(value)->var == var);
    return static_cast<Value*>(value)->owner;
}

struct Job {
    std::size_t var;
    std::uint64_t owner;
    std::atomic<std::uint64_t>* ran;
};

// The task sees its submitter's value; what it sets is seen in what it submits, and by nobody else.
std::int32_t look(void* env, void**)
{
    std::unique_ptr<Job> job(static_cast<Job*>(env));
    CHECK(owner_of(job->var) == job->owner);
    execq_var_token token = 0;
    set(job->var, job->owner + 1, &token);
    CHECK(owner_of(job->var) == job->owner + 1);
    if (job->owner % 3 == 0)
        CHECK(execq_var_reset(all_vars[job->var], token) == EXECQ_OK);
    job->ran->fetch_add(1, std::memory_order_relaxed);
    return 0;
}

std::int32_t look_for_nothing(void* env, void**)
{
    for (std::size_t var = 0; var < vars; ++var)
        CHECK(owner_of(var) == 0);
    set(5, 1, nullptr);
    static_cast<std::atomic<std::uint64_t>*>(env)->fetch_add(1, std::memory_order_relaxed);
    return 0;
}

// Where threads leave contexts for each other.
std::array<std::atomic<execq_context*>, shared_contexts> shared;

void run_shared(void* env)
{
    for (std::size_t var = 0; var < vars; ++var)
        CHECK(owner_of(var) == 0 || owner_of(var) % 1000 == var);
    set(*static_cast<std::size_t*>(env), *static_cast<std::size_t*>(env) + 1000, nullptr);
}

void exchange_contexts(std::minstd_rand& random)
{
    execq_context* mine = nullptr;
    CHECK(execq_context_capture(&mine) == EXECQ_OK);
    execq_context* theirs = shared[random() % shared_contexts].exchange(mine);
    if (theirs == nullptr)
        return;
    std::size_t var = random() % vars;
    CHECK(execq_context_run(theirs, run_shared, &var) == EXECQ_OK);
    execq_context_release(theirs);
}

void produce(execq_executor* executor, unsigned producer, std::size_t rounds, std::atomic<std::uint64_t>& ran)
{
    std::minstd_rand random(producer + 1);
    for (std::size_t round = 0; round < rounds; ++round) {
        const std::size_t var = random() % vars;
        const std::uint64_t owner = (producer * rounds + round + 1) * 1000 + var;
        execq_var_token token = 0;
        set(var, owner, round % 2 != 0 ? &token : nullptr);
        CHECK(execq_submit(executor, look, new Job{var, owner, &ran}, nullptr) == EXECQ_OK);
        if (round % 4 == 0) {
            execq_future* future = nullptr;
            CHECK(execq_submit(executor, look, new Job{var, owner, &ran}, &future) == EXECQ_OK);
            if (round % 8 == 0)
                CHECK(execq_future_wait(future, -1) == EXECQ_OK);
            execq_future_release(future);
        } else if (round % 4 == 2) {
            execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
            options.context = EXECQ_CONTEXT_EMPTY;
            CHECK(execq_submit_with(executor, &options, look_for_nothing, &ran, nullptr) == EXECQ_OK);
        }
        exchange_contexts(random);
        if (token != 0)
            CHECK(execq_var_reset(all_vars[var], token) == EXECQ_OK);
    }
}

}  // namespace

int main()
{
    const std::size_t rounds = stress_n(40'000, 4'000);
    execq_var_options var_options = EXECQ_VAR_OPTIONS_INIT;
    var_options.drop = Value::drop;
    for (execq_var*& var : all_vars)
        CHECK(execq_var_new(&var_options, &var) == EXECQ_OK);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 3;
    execq_executor* executor = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    std::atomic<std::uint64_t> ran{0};
    std::vector<std::thread> threads;
    for (unsigned producer = 0; producer < producers; ++producer)
        threads.emplace_back([&, producer] { produce(executor, producer, rounds, ran); });
    for (std::thread& thread : threads)
        thread.join();
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
    CHECK(ran.load() == producers * (rounds + (rounds + 3) / 4 + (rounds + 1) / 4));
    for (auto& context : shared)
        execq_context_release(context.exchange(nullptr));
    CHECK(dropped.load() == made.load());
    for (execq_var* var : all_vars)
        execq_var_release(var);
    return 0;
}
