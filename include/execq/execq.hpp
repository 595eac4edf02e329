// libexecq for C++20: header only, over the C ABI of execq/execq.h.
//
//   executor, scoped_executor   pools of workers: submit(f, args...), post(f, args...), submit_async(f), close, join
//   future<T>, promise<T>       one outcome: get(), wait(), run_until(), cancel(), then(f), on_done(f), on_loop(loop, f)
//   when_all, when_any          one future of several
//   task<T>                     coroutines: co_await of a future, a task, sleep_for(time), schedule(executor), on_loop(loop);
//                               submit_async(task) runs one on a worker's loop, start(task) here
//   sleep, sleep_until          futures that time completes
//   loop, completion_queue      where outcomes are delivered; loop.submit(f), call(f), submit_async(f) run work there
//   thread_loop, run_until      the loop that each thread has of its own
//   queue, scoped_queue         order, limits and keys in front of an executor; since 0.4
//   group                       tasks with one join, one cancellation, one deadline; since 0.4
//   context, var<T>, scoped_set variables that follow the work; since 0.4
//   manual_executor             stepped by hand, on its own clock, for tests; since 0.5
//   on_cancel, cancel_source    callbacks and requests to stop; since 0.4
//   error, canceled             what the library throws; what a body throws comes back as it was
//
// Callables, arguments and results need no more than a move. The conventions of execq/execq.h hold: names and meanings are
// those of the C functions, whose comments have the details. Works with -fno-rtti; needs exceptions.
//
// Each comment says, where it is not plain: Ownership; Threads; Blocks; Errors. Since: 0.3, where nothing else is said.
#ifndef EXECQ_EXECQ_HPP
#define EXECQ_EXECQ_HPP

#include <execq/cpp/async.hpp>
#include <execq/cpp/await.hpp>
#include <execq/cpp/cancel.hpp>
#include <execq/cpp/context.hpp>
#include <execq/cpp/engine.hpp>
#include <execq/cpp/error.hpp>
#include <execq/cpp/executor.hpp>
#include <execq/cpp/future.hpp>
#include <execq/cpp/group.hpp>
#include <execq/cpp/loop.hpp>
#include <execq/cpp/manual.hpp>
#include <execq/cpp/observe.hpp>
#include <execq/cpp/promise.hpp>
#include <execq/cpp/queue.hpp>
#include <execq/cpp/stats.hpp>
#include <execq/cpp/task.hpp>
#include <execq/cpp/then.hpp>
#include <execq/cpp/time.hpp>
#include <execq/cpp/when.hpp>
#include <execq/execq.h>

#endif
