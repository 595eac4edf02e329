// A loop is detached while two threads send to it: each completion was delivered before, or is withdrawn, or was refused;
// and the loop closes with nothing left.
#include <execq/uv.h>

#include "scenario.h"

using namespace schedules;

namespace {

bool detached = false;
bool closing = false;

// The libuv of this program, but for a look at whether the handle is still there.
int send(uv_async_t* async)
{
    point("before the send", nullptr);
    CHECK(!closing);
    return uv_async_send(async);
}
void close(uv_handle_t* handle, uv_close_cb callback)
{
    closing = true;
    uv_close(handle, callback);
}

execq_loop* attach(uv_loop_t& loop)
{
    execq_uv_table table;
    execq_uv_table_here(&table);
    table.async_send = send;
    table.close = close;
    execq_loop* port = nullptr;
    CHECK_STATUS(execq_loop_attach_uv(&loop, &table, &port), EXECQ_OK);
    return port;
}

struct Job {
    int delivered = 0;
    int dropped = 0;
    execq_status submitted = EXECQ_OK;
};

std::int32_t body(void*, void**) { return 0; }
void done(execq_future* future, void* env)
{
    CHECK(!detached);
    CHECK_STATUS(execq_future_result(future, nullptr), EXECQ_OK);
    ++static_cast<Job*>(env)->delivered;
}
void drop(void* env) { ++static_cast<Job*>(env)->dropped; }

}  // namespace

SCHEDULE(loop_detach)
{
    execq_executor* executor = make_executor(1);
    uv_loop_t loop;
    CHECK(uv_loop_init(&loop) == 0);
    execq_loop* port = attach(loop);
    execq_promise* promise = nullptr;
    execq_future* future = nullptr;
    CHECK_STATUS(execq_promise_new(nullptr, &promise, &future), EXECQ_OK);
    std::array<Job, 3> jobs;
    explore();
    {
        const Thread submits([&] {
            jobs[0].submitted = execq_submit_to_loop(executor, nullptr, body, nullptr, port, done, &jobs[0], nullptr);
            jobs[1].submitted = execq_submit_to_loop(executor, nullptr, body, nullptr, port, done, &jobs[1], drop);
        });
        const Thread completes([&] {
            jobs[2].submitted = execq_future_on_loop(future, port, done, &jobs[2], drop);
            CHECK_STATUS(execq_promise_resolve(promise, nullptr), EXECQ_OK);
        });
        const std::uint64_t turns = choice(4);
        if (turns == 3) {  // all of it
            CHECK_STATUS(execq_loop_hold(port), EXECQ_OK);
            while (jobs[0].delivered + jobs[1].delivered + jobs[2].delivered < 3)
                uv_run(&loop, UV_RUN_ONCE);
            CHECK_STATUS(execq_loop_unhold(port), EXECQ_OK);
        } else {
            for (std::uint64_t i = 0; i < turns; ++i)
                uv_run(&loop, UV_RUN_NOWAIT);
        }
        CHECK_STATUS(execq_loop_detach(port), EXECQ_OK);
        detached = true;
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&loop) == 0);
    for (std::size_t i = 0; i < jobs.size(); ++i) {
        const Job& job = jobs[i];
        CHECK(job.submitted == EXECQ_OK || job.submitted == EXECQ_ECLOSED);
        CHECK(job.delivered <= 1 && (job.delivered == 0 || job.submitted == EXECQ_OK));
        CHECK(job.dropped == (i == 0 ? 0 : 1));
    }
    execq_promise_release(promise);
    execq_future_release(future);
    execq_loop_release(port);
    end_executor(executor);
}
