// Floor 2. Traces: what becomes of the tasks of an executor, as events for Perfetto or chrome://tracing (execq/trace.h).
//
//   row of the submitter   X submit, s         the flow begins
//   row of who runs it     B, t … E            each body, each start function
//   row of who ends it     X complete, t or f  the flow ends here unless a completion is registered, …
//   row of the receiver    B, f … E            … and here, at the first of those that are called, if one is
//   all                    b … e               asynchronous tasks, from start to end
//   of the process         C                   tasks that wait, by executor
//
// A flow whose completion is withdrawn ends when its task is freed. Flows, and slices, belong to the session of the file that
// they began in; another one gets no ends of theirs.
#pragma once

#include <atomic>
#include <cstdint>

#include "execq/status.h"
#include "task/observed.h"

namespace execq::core {

class Tracer final : public TaskObserver {
public:
    // Whether an executor that is made now gets one: a trace goes on. The first call reads EXECQ_TRACE.
    static bool wanted();
    // EXECQ_OK, EXECQ_EALREADY, EXECQ_EUNWRITABLE, EXECQ_ENOMEM.
    static execq_status start(const char* path);
    // EXECQ_OK, EXECQ_EALREADY (there is none), EXECQ_EUNWRITABLE (some of it is lost).
    static execq_status stop();

    bool submitted(Observation& task) noexcept override;
    void started(Observation& task) noexcept override;
    void left(Observation& task) noexcept override;
    void rested(Observation& task) noexcept override;
    void ended(Observation& task, Ending ending, std::int32_t code) noexcept override;
    void delivered(Observation& task) noexcept override;
    void returned() noexcept override;
    void gone(Observation& task) noexcept override;

private:
    class Events;

    // Tasks that have not started, or rest.
    std::atomic<std::int64_t> waiting_{0};
};

}  // namespace execq::core
