#include "sched/tracer.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/trace_file.h"
#include "base/trace_line.h"
#include "sched/executor.h"
#include "sched/worker.h"
#include "task/node.h"

namespace execq::core {

namespace {

// Of this thread, in the session that it wrote to last. Of slices that are open only the number is needed, as they nest.
struct ThisRow {
    std::uint64_t session = 0;
    std::uint32_t row = 0;
    std::uint32_t open = 0;
};
thread_local constinit ThisRow this_row;

// A worker's row is that of its place, whichever thread is there now; its number is none of a thread's. Beyond 131,072
// executors rows are used again.
constexpr std::uint32_t first_worker_row = 1U << 22;
constexpr std::uint32_t places = 8192;
static_assert(places >= 2 * EXECQ_MAX_THREADS);

std::uint32_t row_of(const Worker& worker)
{
    return first_worker_row + static_cast<std::uint32_t>(worker.executor().serial() % (1U << 17)) * places +
           worker.number();
}

}  // namespace

// What one step of a task writes; it goes to the file at the end, in one piece.
class Tracer::Events {
public:
    Events() : session_(TraceFile::session())
    {
        if (session_ != 0 && this_row.session != session_)
            name_row();
    }
    ~Events()
    {
        if (!line_.empty())
            TraceFile::write(session_, this_row.row, line_.text());
    }
    Events(const Events&) = delete;
    Events& operator=(const Events&) = delete;

    std::uint64_t session() const { return session_; }

    // A slice that ends now.
    void slice(const char* what, const Observation& task, std::int64_t at_ns)
    {
        begin("X", at_ns).raw(",\"dur\":").time(std::max<std::int64_t>(now_ns() - at_ns, 1));
        line_.raw(",\"cat\":\"task\",\"name\":\"").raw(what).raw(" ").escaped(name_of(task));
        end(task);
    }
    // `what`: in front of the task's name.
    void open(const char* what, const Observation& task, std::int64_t at_ns)
    {
        ++this_row.open;
        begin("B", at_ns).raw(",\"cat\":\"task\",\"name\":\"").raw(what).escaped(name_of(task));
        end(task);
    }
    void close(std::int64_t at_ns)
    {
        if (this_row.open == 0)
            return;  // it was opened in another session
        --this_row.open;
        begin("E", at_ns).raw("}");
    }
    // "s", "t", "f": inside of the slice that is open at that time.
    void flow(const char* phase, const Observation& task, std::int64_t at_ns)
    {
        begin(phase, at_ns).raw(",\"cat\":\"flow\",\"name\":\"task\",\"id\":").number(task.id());
        line_.raw(*phase == 'f' ? ",\"bp\":\"e\"}" : "}");
    }
    // "b", "e"
    void async(const char* phase, const Observation& task, std::int64_t at_ns)
    {
        begin(phase, at_ns)
            .raw(",\"cat\":\"async\",\"name\":\"")
            .escaped(name_of(task))
            .raw("\",\"id\":")
            .number(task.id());
        line_.raw("}");
    }
    void waiting(const Observation& task, std::int64_t tasks, std::int64_t at_ns)
    {
        begin("C", at_ns)
            .raw(",\"name\":\"")
            .escaped(task.observers().executor_name())
            .raw(": waiting\",\"args\":{\"tasks\":");
        line_.number(std::max<std::int64_t>(tasks, 0)).raw("}}");
    }

private:
    static const char* name_of(const Observation& task) { return *task.name() != '\0' ? task.name() : "task"; }

    void name_row()
    {
        this_row = {session_, static_cast<std::uint32_t>(current_thread_id()), 0};
        const Worker* worker = Worker::current();
        if (worker != nullptr)
            this_row.row = row_of(*worker);
        line_.raw(",\n{\"ph\":\"M\",\"pid\":").number(getpid()).raw(",\"tid\":").number(this_row.row);
        line_.raw(",\"name\":\"thread_name\",\"args\":{\"name\":\"");
        if (worker != nullptr) {
            line_.escaped(worker->executor().name()).raw("/").number(worker->number());
        } else {
            std::array<char, 16> name{};
            pthread_getname_np(pthread_self(), name.data(), name.size());
            line_.escaped(getpid() == current_thread_id() ? "main" : name.data());
        }
        line_.raw("\"}}");
    }

    TraceLine& begin(const char* phase, std::int64_t at_ns)
    {
        line_.raw(",\n{\"ph\":\"").raw(phase).raw("\",\"pid\":").number(getpid()).raw(",\"tid\":").number(this_row.row);
        return line_.raw(",\"ts\":").time(at_ns - TraceFile::began_ns());
    }
    void end(const Observation& task)
    {
        line_.raw("\",\"args\":{\"task\":").number(task.id());
        if (task.parent() != 0)
            line_.raw(",\"parent\":").number(task.parent());
        line_.raw("}}");
    }

    const std::uint64_t session_;
    TraceLine line_;
};

// ---- the observer ----

bool Tracer::submitted(Observation& task) noexcept
{
    Events events;
    if (events.session() == 0)
        return false;
    task.trace().store(events.session(), std::memory_order_relaxed);
    events.slice("submit", task, task.submitted_ns());
    events.flow("s", task, task.submitted_ns());
    events.waiting(task, waiting_.fetch_add(1, std::memory_order_relaxed) + 1, task.submitted_ns());
    return true;
}

void Tracer::started(Observation& task) noexcept
{
    const std::int64_t waiting = waiting_.fetch_sub(1, std::memory_order_relaxed) - 1;
    Events events;
    if (events.session() == 0)
        return;
    events.open("", task, task.started_ns());
    if (task.trace().load(std::memory_order_relaxed) == events.session()) {
        events.flow("t", task, task.started_ns());
        if (task.async())
            events.async("b", task, task.started_ns());
    }
    events.waiting(task, waiting, task.started_ns());
}

void Tracer::left(Observation& task) noexcept
{
    Events events;
    if (events.session() != 0)
        events.close(task.left_ns());
}

void Tracer::rested(Observation& task) noexcept
{
    if (!task.running())
        return;  // the host of an engine ran it
    const std::int64_t waiting = waiting_.fetch_add(1, std::memory_order_relaxed) + 1;
    Events events;
    if (events.session() != 0)
        events.waiting(task, waiting, task.left_ns());
}

void Tracer::ended(Observation& task, Ending ending, std::int32_t) noexcept
{
    const bool ran = task.running();
    const std::int64_t waiting = ran ? 0 : waiting_.fetch_sub(1, std::memory_order_relaxed) - 1;
    Events events;
    if (events.session() == 0)
        return;
    static constexpr std::array<const char*, 4> said{"complete", "fail", "cancel", "refuse"};
    events.slice(said[static_cast<std::size_t>(ending)], task, task.ended_ns());
    const bool flows = task.trace().load(std::memory_order_relaxed) == events.session();
    if (flows && ran && task.async())
        events.async("e", task, task.ended_ns());
    const bool goes_on = ending != Ending::refused && task.node().registered();
    if (flows && goes_on)
        events.flow("t", task, task.ended_ns());
    else if (flows && task.trace().exchange(0, std::memory_order_acq_rel) != 0)
        events.flow("f", task, task.ended_ns());
    if (!ran)
        events.waiting(task, waiting, task.ended_ns());
}

// Those of one future may be called on several threads at once: the flow ends at one of them.
void Tracer::delivered(Observation& task) noexcept
{
    Events events;
    if (events.session() == 0)
        return;
    const std::int64_t now = now_ns();
    events.open("deliver ", task, now);
    std::uint64_t session = events.session();
    if (task.trace().compare_exchange_strong(session, 0, std::memory_order_acq_rel))
        events.flow("f", task, now);
}

void Tracer::returned() noexcept
{
    Events events;
    if (events.session() != 0)
        events.close(now_ns());
}

void Tracer::gone(Observation& task) noexcept
{
    if (task.trace().load(std::memory_order_relaxed) == 0)
        return;
    Events events;
    if (events.session() == 0 || task.trace().exchange(0, std::memory_order_relaxed) != events.session())
        return;
    const std::int64_t now = now_ns();
    events.slice("withdraw", task, now);
    events.flow("f", task, now);
}

// ---- starting and stopping ----

execq_status Tracer::start(const char* path)
{
    TraceLine first;
    first.raw("{\"ph\":\"M\",\"pid\":").number(getpid()).raw(",\"tid\":").number(getpid());
    first.raw(",\"name\":\"process_name\",\"args\":{\"name\":\"").escaped(program_invocation_short_name).raw("\"}}");
    const TraceFile::Outcome outcome = TraceFile::start(path, first.text());
    switch (outcome.started) {
    case TraceFile::Started::yes:
        return EXECQ_OK;
    case TraceFile::Started::already:
        return EXECQ_EALREADY;
    case TraceFile::Started::no_memory:
        return EXECQ_ENOMEM;
    default:
        errno = outcome.error;
        return EXECQ_EUNWRITABLE;
    }
}

execq_status Tracer::stop()
{
    switch (TraceFile::stop()) {
    case TraceFile::Stopped::yes:
        return EXECQ_OK;
    case TraceFile::Stopped::no_trace:
        return EXECQ_EALREADY;
    default:
        return EXECQ_EUNWRITABLE;
    }
}

bool Tracer::wanted()
{
    [[maybe_unused]] static const bool asked = [] {
        const char* path = secure_getenv("EXECQ_TRACE");
        if (path == nullptr || *path == '\0')
            return false;
        const execq_status status = start(path);
        if (status != EXECQ_OK && status != EXECQ_EALREADY)
            std::fprintf(stderr, "execq: EXECQ_TRACE=%s: no trace: %s\n", path,
                         status == EXECQ_EUNWRITABLE ? std::strerror(errno) : "out of memory");
        return status == EXECQ_OK;
    }();
    return TraceFile::session() != 0;
}

}  // namespace execq::core
