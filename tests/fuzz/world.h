// The oracle: everything that one input makes, with what is to be true of it at any time and at the end.
//
//  - An accepted submission runs its body at most once and ends in one state; a refused one does nothing but drop.
//  - Each drop, of an env, a value, a registration, a variable's value, a payload, comes once, and that of an env before the
//    future is done.
//  - Each registration is delivered or withdrawn, on the thread that it names.
//  - A cancel is answered EXECQ_OK at most once, and then the body never ran; of the completions of a promise one wins.
//  - Queues start in order and keep their limits; a group that was joined has no task left; the figures of an executor add up.
//  - A failure that nobody looked at is reported once, one that somebody looked at never.
//  - Every wait ends, and nothing is left: no task, thread, descriptor or memory (process.cc).
#pragma once

#include <uv.h>

#include <array>
#include <atomic>

#include "models.h"
#include "stream.h"

namespace fuzz {

constexpr std::int64_t us = 1000;
constexpr std::int64_t ms = 1000 * us;
// For what is to happen without fail: far more than a busy machine takes.
constexpr std::int64_t hang = 30000 * ms;

// What belongs to one of the threads that make calls.
struct LaneState {
    uv_loop_t loop;
    bool has_loop = false;
    std::uint32_t turn = 0;  // of the last submission to a queue
};

struct World {
    std::array<Executors::Slot, 4> executors;
    std::array<Futures::Slot, 16> futures;
    std::array<Promises::Slot, 6> promises;
    std::array<Queues::Slot, 3> queues;
    std::array<Groups::Slot, 3> groups;
    std::array<Sources::Slot, 3> sources;
    std::array<Cqs::Slot, 2> cqs;
    std::array<Ports::Slot, 4> ports;
    std::array<Contexts::Slot, 2> contexts;
    std::array<Vars::Slot, 3> vars;
    std::array<Errors::Slot, 3> errors;

    Pool<Exec, 6> exec_models;
    Pool<Job, 400> jobs;
    Pool<Reg, 400> regs;
    Pool<QueueModel, 16> queue_models;
    Pool<GroupModel, 16> group_models;
    Pool<SourceModel, 16> source_models;
    Pool<CqModel, 16> cq_models;
    Pool<PortModel, 16> port_models;
    Pool<VarModel, 32> var_models;
    Pool<ErrorModel, 32> error_models;

    std::array<LaneState, max_lanes> lanes;
    std::atomic<bool> configured{false};  // NULL stands for an executor of ours
    std::atomic<bool> closing{false};     // what starts now keeps nothing
    bool cancels_at_end = false;

    // Runs one program, from nothing to nothing.
    void run(const Stream& stream);

private:
    void finish();
    void audit();
};

World& world();

// The thread's number among those that make calls; -1: one of the library's.
extern thread_local constinit int this_lane;
// How deep the thread is in callbacks that must not block.
extern thread_local constinit int callbacks_here;

// ---- recording (record.cc) ----

Job* make_job(JobKind kind, unsigned depth);
// What the submission of a job was answered.
void settle(Job& job, execq_status status);
// A future of the job is at hand: where it is done, that has to agree with all that is known.
void note_future(Job& job, execq_future* future);
void note_result(Job& job, execq_status status);  // of execq_future_result and _take
void note_cancel(Job& job, execq_status status);
Reg* make_reg(RegKind kind, Job* job, Args& args);
void settle(Reg& reg, execq_status status);
std::int64_t monotonic_now();
// Until done says so; in vain, it is asked to say aloud what is missing.
void await(const char* what, bool (*done)(World& world, bool aloud));
void on_unobserved(const execq_error* error, const char* name, void* env);

// ---- what the library calls (bodies.cc) ----

int32_t task_body(void* env, void** result);
void async_start(execq_promise* promise, uv_loop_s* loop, void* env);
void env_drop(void* env);
void value_drop(void* value);
void reg_done(execq_future* future, void* env);
void reg_cancel(void* env);
void reg_drop(void* env);
void tag_drop(void* tag);

// Of the end of a promise: one of those that are tried wins.
bool promise_won(Job& job, execq_status status);
void resolve(execq_promise* promise, Job& job);
Plan read_plan(Args& args);

// ---- calls (ops.cc) ----

constexpr unsigned op_blocks = 1;     // not in callbacks
constexpr unsigned op_outermost = 2;  // not inside of anything

struct Op {
    const char* name;
    void (*run)(World& world, Args& args);
    unsigned flags;
};

// Runs one on this thread, if it may be run here.
void run_record(const Record& record, bool outermost);
bool is_barrier(const Record& record);

}  // namespace fuzz
