// From a libuv loop to a pool and back, beside uv_queue_work: one at a time, and a thousand in flight.
//
// Compare rows of one run only; repetitions are interleaved so that noise hits all rows alike.
#include <benchmark/benchmark.h>
#include <uv.h>

#include <array>
#include <cstdint>
#include <cstdlib>

#include "execq/execq.h"
#include "execq/uv.h"

namespace {

constexpr std::uint32_t threads = 2;

// Keeps `window` jobs in flight until `total` came back.
class Pump {
public:
    Pump(std::int64_t window, std::int64_t total) : window_(window), total_(total) {}
    virtual ~Pump() = default;
    virtual void submit(std::int64_t slot) = 0;

    void run(uv_loop_t* loop)
    {
        submitted_ = returned_ = 0;
        while (submitted_ < window_)
            submit(submitted_++);
        while (returned_ < total_)
            uv_run(loop, UV_RUN_ONCE);
    }
    void came_back(std::int64_t slot)
    {
        ++returned_;
        if (submitted_ < total_) {
            ++submitted_;
            submit(slot);
        }
    }

private:
    const std::int64_t window_;
    const std::int64_t total_;
    std::int64_t submitted_ = 0;
    std::int64_t returned_ = 0;
};

constexpr std::size_t most = 1000;

class UvPump final : public Pump {
public:
    UvPump(uv_loop_t* loop, std::int64_t window, std::int64_t total) : Pump(window, total), loop_(loop) {}
    void submit(std::int64_t slot) override
    {
        uv_work_t& request = requests_[static_cast<std::size_t>(slot)];
        request.data = this;
        uv_queue_work(
            loop_, &request, [](uv_work_t*) {},
            [](uv_work_t* done, int) {
                auto* pump = static_cast<UvPump*>(done->data);
                pump->came_back(done - pump->requests_.data());
            });
    }

private:
    uv_loop_t* loop_;
    std::array<uv_work_t, most> requests_{};
};

class ExecqPump final : public Pump {
public:
    ExecqPump(execq_executor* executor, execq_loop* loop, std::int64_t window, std::int64_t total)
        : Pump(window, total), executor_(executor), loop_(loop)
    {
        for (Slot& slot : slots_)
            slot.pump = this;
    }
    void submit(std::int64_t slot) override
    {
        execq_submit_to_loop(
            executor_, nullptr, [](void*, void**) -> std::int32_t { return 0; }, nullptr, loop_,
            [](execq_future*, void* env) {
                auto* back = static_cast<Slot*>(env);
                back->pump->came_back(back - back->pump->slots_.data());
            },
            &slots_[static_cast<std::size_t>(slot)], nullptr);
    }

private:
    struct Slot {
        ExecqPump* pump = nullptr;
    };
    execq_executor* executor_;
    execq_loop* loop_;
    std::array<Slot, most> slots_;
};

void uv_queue_work_row(benchmark::State& state)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    UvPump pump(&loop, state.range(0), state.range(1));
    for (auto iteration : state)
        pump.run(&loop);
    state.SetItemsProcessed(state.iterations() * state.range(1));
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

void execq_row(benchmark::State& state)
{
    uv_loop_t loop;
    uv_loop_init(&loop);
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    execq_executor* executor = nullptr;
    execq_loop* port = nullptr;
    if (execq_executor_new(&options, &executor) != EXECQ_OK || execq_loop_attach(&loop, &port) != EXECQ_OK)
        std::abort();
    ExecqPump pump(executor, port, state.range(0), state.range(1));
    for (auto iteration : state)
        pump.run(&loop);
    state.SetItemsProcessed(state.iterations() * state.range(1));
    execq_loop_detach(port);
    execq_loop_release(port);
    execq_executor_release(executor);
    uv_run(&loop, UV_RUN_DEFAULT);
    uv_loop_close(&loop);
}

// {jobs in flight, jobs in all}
#define ROWS ->Args({1, 2000})->Args({1000, 200000})->ArgNames({"in_flight", "jobs"})->UseRealTime()
BENCHMARK(uv_queue_work_row)->Name("uv_queue_work") ROWS;
BENCHMARK(execq_row)->Name("execq_submit_to_loop") ROWS;

}  // namespace

int main(int argc, char** argv)
{
    setenv("UV_THREADPOOL_SIZE", "2", 1);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 2;
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}
