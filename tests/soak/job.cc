#include "job.h"

#include <array>
#include <cerrno>
#include <chrono>
#include <ctime>
#include <optional>
#include <pthread.h>
#include <stdexcept>
#include <thread>

execq_var* the_variable = nullptr;

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::int32_t own_failure = 77;
constexpr auto patience = std::chrono::milliseconds(3);

bool scarce(std::int32_t code) { return code == EXECQ_ENOMEM || code == EXECQ_EAGAIN || code == EXECQ_EMFILE; }

void nap()
{
    execq_blocking_begin();
    const timespec time{0, 50'000};
    CHECK(nanosleep(&time, nullptr) == 0 || errno == EINTR);
    execq_blocking_end();
}

std::int32_t until_asked()
{
    const auto end = Clock::now() + patience;
    while (Clock::now() < end) {
        if (execq_cancel_requested() != 0)
            return EXECQ_ECANCELED;
        std::this_thread::yield();
    }
    return 0;
}

// Some of the children find no memory.
std::int32_t nest(const Job& job)
{
    Target& target = *job.target;
    std::array<Job, 3> children{};
    {
        std::optional<Hunger> hunger;
        if (job.number % 4 == 0)
            hunger.emplace(job.number / 4 % 6);
        for (Job& child : children) {
            child.target = &target;
            child.act = Act::spin;
            execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
            options.drop = drop_job;
            options.flags = EXECQ_TASK_NO_WAIT;
            child.accepted = took(target, execq_submit_with(target.executor, &options, run_job, &child, &child.future));
            target.accepted.fetch_add(child.accepted ? 1 : 0);
        }
    }
    for (Job& child : children)
        settle(child);
    return 0;
}

std::int32_t use_loop()
{
    uv_loop_s* loop = nullptr;
    execq_future* sleep = nullptr;
    const execq_status status = execq_thread_loop(&loop);
    if (status != EXECQ_OK) {
        CHECK(scarce(status));
        return status;
    }
    CHECK(execq_sleep(100'000, &sleep) == EXECQ_OK);
    CHECK(execq_run_until(sleep, -1) == EXECQ_OK);
    execq_future_release(sleep);
    return 0;
}

std::int32_t check_context()
{
    void* value = nullptr;
    CHECK(execq_var_get(the_variable, &value) == 1 && value == the_value);
    return 0;
}

void resolve(Job& job)
{
    execq_promise* promise = job.promise;
    const execq_status status = execq_promise_resolve(promise, nullptr);  // the job may be gone from here on
    CHECK(status == EXECQ_OK);
    execq_promise_release(promise);
}

std::int32_t resolve_here(void* job, void**)
{
    resolve(*static_cast<Job*>(job));
    return 0;
}

void close_timer(uv_timer_t* timer)
{
    uv_close(reinterpret_cast<uv_handle_t*>(timer),
             [](uv_handle_t* handle) { resolve(*static_cast<Job*>(handle->data)); });
}

// Whether a job of this kind may end with this code.
bool may_fail(Act act, std::int32_t code)
{
    switch (act) {
    case Act::fail:
        return code == own_failure || scarce(code);
    case Act::raise:
        return code == EXECQ_EEXCEPTION || scarce(code);
    case Act::lose_thread:
        return code == EXECQ_EEXITED || scarce(code);
    default:
        return scarce(code);
    }
}

}  // namespace

bool took(const Target& target, execq_status status)
{
    if (status == EXECQ_OK)
        return true;
    const bool full = status == EXECQ_EFULL || status == EXECQ_EDEADLK || status == EXECQ_ETIMEDOUT;
    if (scarce(status)) {
        CHECK(Hunger::here() || status == EXECQ_EMFILE);
        faults.refusals.fetch_add(1);
    } else if (!(target.may_be_full && full) && !(target.may_be_closed && status == EXECQ_ECLOSED)) {
        std::fprintf(stderr, "soak: an unexpected %s\n", execq_status_name(status));
        CHECK(false);
    }
    return false;
}

std::int32_t run_job(void* env, void**)
{
    Job& job = *static_cast<Job*>(env);
    CHECK(job.runs.fetch_add(1) == 0 && job.drops == 0);
    if (job.started_last != nullptr) {
        CHECK(*job.started_last < job.number);
        *job.started_last = job.number;
    }
    switch (job.act) {
    case Act::nothing:
        return 0;
    case Act::spin:
        for (int i = 0; i < 300; ++i)
            asm volatile("");
        return 0;
    case Act::nap:
        nap();
        return 0;
    case Act::until_asked:
        return until_asked();
    case Act::fail:
        return execq_fail(own_failure, "on purpose");
    case Act::raise:
        throw std::runtime_error("on purpose");
    case Act::lose_thread:
        faults.lost_threads.fetch_add(1);
        pthread_exit(nullptr);
    case Act::nest:
        return nest(job);
    case Act::use_loop:
        return use_loop();
    case Act::check_context:
        return check_context();
    }
    return 0;
}

void start_job(execq_promise* promise, uv_loop_s* loop, void* env)
{
    Job& job = *static_cast<Job*>(env);
    CHECK(job.runs.fetch_add(1) == 0 && job.drops == 0);
    job.promise = promise;
    switch (job.number % 5) {
    case 0:
        resolve(job);
        break;
    case 1:
        CHECK(uv_timer_init(loop, &job.timer) == 0);
        job.timer.data = &job;
        CHECK(uv_timer_start(&job.timer, close_timer, 1, 0) == 0);
        break;
    case 2: {
        Target& target = *job.target;  // the job may be gone once that is submitted
        if (execq_submit(target.executor, resolve_here, &job, nullptr) == EXECQ_OK)
            target.accepted.fetch_add(1);
        else
            resolve(job);
        break;
    }
    case 3:
        CHECK(execq_promise_reject(promise, own_failure, "on purpose") == EXECQ_OK);
        execq_promise_release(promise);
        break;
    default:
        execq_promise_release(promise);  // breaks it
    }
}

void drop_job(void* env) { CHECK(static_cast<Job*>(env)->drops.fetch_add(1) == 0); }
void tell_job(execq_future*, void* env) { CHECK(static_cast<Job*>(env)->told.fetch_add(1) == 0); }
void end_registration(void* env) { CHECK(static_cast<Job*>(env)->ended.fetch_add(1) == 0); }

void settle(Job& job)
{
    if (!job.accepted) {
        CHECK(job.runs == 0 && job.drops == 1 && job.future == nullptr);
        return;
    }
    CHECK(execq_future_wait(job.future, -1) == EXECQ_OK);
    CHECK(job.drops == 1);
    const std::int32_t state = execq_future_state(job.future);
    CHECK(!job.canceled_first || (state == EXECQ_FUTURE_CANCELED && job.runs == 0));
    if (state == EXECQ_FUTURE_OK) {
        CHECK(job.runs == 1);
    } else if (state == EXECQ_FUTURE_FAILED) {
        const std::int32_t code = execq_error_code(execq_future_error(job.future));
        const bool is_async = job.promise != nullptr;
        CHECK(is_async ? code == own_failure || code == EXECQ_EBROKEN || scarce(code) : may_fail(job.act, code));
        CHECK(job.runs == 1 || scarce(code));
    } else {
        CHECK(state == EXECQ_FUTURE_CANCELED);
        CHECK(execq_future_cancel_reason(job.future) != EXECQ_REASON_NONE);
        CHECK(job.runs == 0 || job.act == Act::until_asked || job.promise != nullptr);
    }
    execq_future_release(job.future);
    job.future = nullptr;
}

void settle_by_drop(Job& job)
{
    while (job.drops == 0)
        std::this_thread::yield();
    CHECK(job.drops == 1 && (job.accepted || job.runs == 0));
}
