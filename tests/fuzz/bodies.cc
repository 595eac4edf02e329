// What programs have the library call: bodies, callbacks, drops. Each counts, checks, and may make one call itself.
#include <cstdlib>
#include <stdexcept>

#include "ops.h"

namespace fuzz {

namespace {

constexpr unsigned deepest = 3;

Job& job_of(void* env)
{
    const Env& given = *static_cast<Env*>(env);
    CHECK(given.magic == Env::good && given.job != nullptr);
    CHECK(given.job->env.job == given.job);  // of this program, not one before
    return *given.job;
}

// Takes that long, or until it is asked to stop.
void spin(std::int64_t ns)
{
    for (const std::int64_t begin = monotonic_now(); monotonic_now() - begin < ns;) {
        if (execq_cancel_requested() != 0)
            return;
    }
}

// The depth of the job whose body this thread is in, so that what it submits does not go on for ever.
thread_local constinit unsigned depth_here = 0;

void nested(const Plan& plan)
{
    if (depth_here <= deepest)
        run_record(plan.nested, false);
}

// A manual executor has no threads: only who makes calls can run its tasks, or a task of another one that does. Those start
// none on threads that have no name of ours: an asynchronous one is where it can be told.
void check_thread(const Job& job)
{
    CHECK(this_lane >= 0 || job.exec == nullptr || !job.exec->manual || depth_here > 0);
}

class InBody {
public:
    explicit InBody(Job& job) : job_(job), depth_(depth_here), callbacks_(callbacks_here)
    {
        check_thread(job);
        CHECK(job.entry != Entry::refused);
        CHECK(job.drops == 0);
        CHECK(job.cancel_ok == 0);
        CHECK(job.runs.fetch_add(1) == 0 || job.kind == JobKind::series);
        CHECK(job.inside.exchange(1) == 0);
        depth_here = job.depth + 1;
        callbacks_here = 0;
        enter_queue();
    }
    ~InBody()
    {
        if (job_.queue != nullptr)
            --job_.queue->running;
        if (job_.group != nullptr)
            --job_.group->running;
        depth_here = depth_;
        callbacks_here = callbacks_;
        CHECK(job_.inside.exchange(0) == 1);
    }
    InBody(const InBody&) = delete;
    InBody& operator=(const InBody&) = delete;

private:
    void enter_queue()
    {
        if (job_.group != nullptr) {
            const std::uint32_t n = ++job_.group->running;
            CHECK(job_.group->max_in_flight == 0 || n <= job_.group->max_in_flight);
        }
        QueueModel* queue = job_.queue;
        if (queue == nullptr)
            return;
        CHECK(++queue->running <= queue->max_in_flight);
        if (queue->max_in_flight == 1 && job_.lane >= 0) {
            Count& last = queue->last[static_cast<unsigned>(job_.lane)][job_.key];
            CHECK(last.exchange(job_.turn) < job_.turn);
        }
    }

    Job& job_;
    unsigned depth_;
    int callbacks_;
};

int32_t failed(const Job& job) { return execq_fail(own_code(job), "as planned"); }

// A task of the same executor, which is waited for without a limit: it runs in place, or on another thread.
void child_and_wait(Job& parent)
{
    const Executors::Ref executor = parent.exec != nullptr ? parent.exec->audit.borrow() : Executors::Ref();
    if (!executor)
        return;
    Job* child = make_job(JobKind::task, deepest);
    if (child == nullptr)
        return;
    child->exec = parent.exec;
    child->has_drop = true;
    child->named = true;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.flags = EXECQ_TASK_NO_WAIT;
    options.drop = env_drop;
    options.name = child->name;
    execq_future* future = nullptr;
    const execq_status status = execq_submit_with(executor.get(), &options, task_body, &child->env, &future);
    settle(*child, status);
    if (status != EXECQ_OK)
        return;
    const execq_status waited = execq_future_wait(future, -1);
    CHECK(waited == EXECQ_OK || waited == EXECQ_EDEADLK || waited == EXECQ_ENOMEM);
    note_future(*child, future);
    execq_future_release(future);
}

struct CancelCall {
    Job* job;
    Count calls{0};
};

void call_of_body(void* env)
{
    CancelCall& call = *static_cast<CancelCall*>(env);
    CHECK(call.job->inside == 1);
    CHECK(++call.calls == 1);
}

void with_cancel_call(Job& job, bool takes_back)
{
    CancelCall call{&job};
    execq_cancel_token token = 0;
    const execq_status status = execq_on_cancel(call_of_body, &call, &token);
    CHECK(status == EXECQ_OK || status == EXECQ_ENOMEM);
    if (status != EXECQ_OK)
        return;
    spin(50 * us);
    // Its env is on this stack.
    const execq_status off = execq_off_cancel(token);
    CHECK(off == EXECQ_OK || off == EXECQ_EALREADY);
    CHECK(call.calls == (off == EXECQ_OK ? 0 : 1));
    if (takes_back)
        CHECK(execq_off_cancel(token) == EXECQ_EINVAL || off == EXECQ_EALREADY);
}

int32_t act_on(Job& job)
{
    switch (job.plan.act % 16) {
    case 0:
    case 1:
        return 0;
    case 2:
        return failed(job);
    case 3:
        return execq_cancel_requested() != 0 ? EXECQ_ECANCELED : 0;
    case 4:
        spin(100 * us);
        return execq_cancel_requested() != 0 ? EXECQ_ECANCELED : 0;
    case 5:
    case 6:
        nested(job.plan);
        return 0;
    case 7:
        nested(job.plan);
        return failed(job);
    case 8:
        if (job.depth < 2)
            child_and_wait(job);
        return 0;
    case 9:
        throw std::runtime_error("as planned");
    case 10:
        with_cancel_call(job, false);
        return 0;
    case 11:
        with_cancel_call(job, true);
        return execq_cancel_requested() != 0 ? EXECQ_ECANCELED : failed(job);
    case 12:
        execq_blocking_begin();
        nested(job.plan);
        if (job.plan.nested.lane % 2 != 0)
            execq_blocking_end();
        return 0;
    case 13:
        return EXECQ_ECANCELED;  // unasked it is a failure like others
    case 14: {
        const Errors::Ref error = world().errors[job.plan.nested.lane % 3].borrow();
        return execq_fail_error(error.get());
    }
    default:
        execq_fail(7, "not this one");
        return failed(job);
    }
}

}  // namespace

unsigned current_depth() { return depth_here; }

Plan read_plan(Args& args)
{
    Plan plan;
    plan.act = args.byte();
    plan.nested.code = args.byte();
    plan.nested.lane = args.byte();
    std::uint8_t rest[3];
    for (std::uint8_t& byte : rest)
        byte = args.byte();
    plan.nested.args = Args(rest, sizeof rest);
    return plan;
}

int32_t task_body(void* env, void** result)
{
    Job& job = job_of(env);
    CHECK(*result == nullptr);
    const InBody inside(job);
    int32_t code = 0;
    try {
        code = act_on(job);
    } catch (...) {
        ++job.failures;
        throw;
    }
    if (code == 0) {
        ++job.ok_returns;
        *result = &job.value;
    } else if (code == EXECQ_ECANCELED) {
        ++job.unclear_ends;
    } else {
        ++job.failures;
    }
    return code;
}

bool promise_won(Job& job, execq_status status)
{
    CHECK(status == EXECQ_OK || status == EXECQ_EALREADY || status == EXECQ_ENOMEM);
    if (status == EXECQ_OK)
        CHECK(job.completions.fetch_add(1) == 0);
    return status == EXECQ_OK;
}

void resolve(execq_promise* promise, Job& job)
{
    // Counted before: the value may be dropped before this returns.
    if (promise_won(job, execq_promise_resolve(promise, &job.value)))
        ++job.ok_returns;
}

namespace {

// What an asynchronous task has on its loop. Its memory is not that of operator new, which may fail here.
struct Timer {
    uv_timer_t timer;
    execq_promise* promise;
    Job* job;
};

void timer_closed(uv_handle_t* handle)
{
    auto* timer = static_cast<Timer*>(handle->data);
    resolve(timer->promise, *timer->job);
    execq_promise_release(timer->promise);
    std::free(timer);
}

void timer_fired(uv_timer_t* timer) { uv_close(reinterpret_cast<uv_handle_t*>(timer), timer_closed); }

void resolve_later(execq_promise* promise, Job& job, uv_loop_s* loop)
{
    auto* timer = static_cast<Timer*>(std::malloc(sizeof(Timer)));
    CHECK(timer != nullptr);
    timer->promise = promise;
    timer->job = &job;
    CHECK(uv_timer_init(loop, &timer->timer) == 0);
    timer->timer.data = timer;
    CHECK(uv_timer_start(&timer->timer, timer_fired, job.plan.nested.lane % 2, 0) == 0);
}

// What was there before goes, which may fail its future.
void give_away(execq_promise* promise, Job& job)
{
    Promises::Slot& slot = world().promises[job.plan.nested.lane % world().promises.size()];
    slot.exchange(Promises::Ref(promise, &job));
    if (world().closing)
        slot.take();  // nobody may look there any more
}

void start_plan(execq_promise* promise, uv_loop_s* loop, Job& job)
{
    switch (job.plan.act % 8) {
    case 0:
        resolve(promise, job);
        break;
    case 1:
        resolve_later(promise, job, loop);
        return;
    case 2:
    case 3:
        if (world().closing)
            break;
        give_away(promise, job);
        return;
    case 4:
        break;  // broken
    case 5:
        if (promise_won(job, execq_promise_reject(promise, own_code(job), "as planned")))
            ++job.failures;
        break;
    case 6:
        give_away(promise, job);  // its reference stays the task's
        throw std::runtime_error("as planned");
    default:
        nested(job.plan);
        resolve(promise, job);
    }
    execq_promise_release(promise);
}

}  // namespace

void async_start(execq_promise* promise, uv_loop_s* loop, void* env)
{
    Job& job = job_of(env);
    CHECK(promise != nullptr && loop != nullptr);
    check_thread(job);
    CHECK(job.entry != Entry::refused);
    CHECK(job.cancel_ok == 0);
    CHECK(job.runs.fetch_add(1) == 0);
    const unsigned depth = depth_here;
    depth_here = job.depth + 1;
    ++callbacks_here;  // on a loop nothing may block
    struct Leave {
        unsigned depth;
        ~Leave()
        {
            depth_here = depth;
            --callbacks_here;
        }
    } const leave{depth};
    start_plan(promise, loop, job);
}

void env_drop(void* env)
{
    Job& job = job_of(env);
    CHECK(job.has_drop);
    CHECK(job.drops.fetch_add(1) == 0);
    CHECK(job.inside == 0);
    static_cast<Env*>(env)->magic = env == &job.env ? Env::good : 0;
}

void value_drop(void* value)
{
    if (value == nullptr)
        return;
    Job& job = *static_cast<Value*>(value)->job;
    CHECK(job.has_drop_result);
    const std::uint32_t drops = ++job.result_drops;
    CHECK(drops + job.taken <= 1 || job.kind == JobKind::series);
}

void reg_done(execq_future* future, void* env)
{
    Reg& reg = *static_cast<Reg*>(env);
    CHECK(reg.entry != Entry::refused);
    CHECK(reg.delivered.fetch_add(1) == 0);
    CHECK(reg.drops == 0);
    CHECK(execq_future_state(future) >= EXECQ_FUTURE_OK);
    if (reg.job != nullptr)
        note_future(*reg.job, future);
    if (reg.port != nullptr)
        CHECK(this_lane == static_cast<int>(reg.port->lane));
    ++callbacks_here;
    const unsigned depth = depth_here;
    depth_here = depth + 1;
    if (reg.plan.act % 4 == 0 && !world().closing)
        nested(reg.plan);
    depth_here = depth;
    --callbacks_here;
}

// These make no calls: two that complete each other's promises would wait for each other.
void reg_cancel(void* env)
{
    Reg& reg = *static_cast<Reg*>(env);
    CHECK(reg.entry != Entry::refused);
    CHECK(reg.delivered.fetch_add(1) == 0);
    CHECK(reg.drops == 0);
}

void reg_drop(void* env)
{
    Reg& reg = *static_cast<Reg*>(env);
    CHECK(reg.drops.fetch_add(1) == 0);
}

void tag_drop(void* tag)
{
    Reg& reg = *static_cast<Reg*>(tag);
    CHECK(reg.delivered == 0);
    CHECK(reg.drops.fetch_add(1) == 0);
}

}  // namespace fuzz
