#include "sched/thread_loop.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <new>
#include <numeric>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <uv.h>

#include "base/annotations.h"
#include "base/immortal.h"
#include "base/on_stack.h"
#include "base/thread_end.h"
#include "base/uv_table.h"
#include "sched/worker.h"
#include "task/callbacks.h"

namespace execq::core {

namespace {

constexpr std::size_t alignment = alignof(std::max_align_t);
constexpr std::int64_t ns_per_ms = 1'000'000;
constexpr std::int64_t longest_ms = std::numeric_limits<std::int64_t>::max();
constexpr std::int64_t slept_ns = 2'000;  // what ends sooner was no sleep
// Close callbacks may close further handles; a handle may also stay closing until a thread of libuv's is done with it.
constexpr int closing_turns = 16;

constexpr std::size_t rounded(std::size_t size) { return (size + alignment - 1) / alignment * alignment; }

ThreadLoop*& owner_of(void* handle) { return *reinterpret_cast<ThreadLoop**>(static_cast<char*>(handle) - alignment); }

// libuv aborts if descriptors run out at a certain point of its first loop_init in the process (a pipe for signals that
// all loops share). So that many are opened and closed before: a loop takes four, the first one two more, and versions
// that use io_uring up to two. Another thread may still take the last ones in between; then only the first
// loop of the process is in danger.
class Reserve {
public:
    Reserve() = default;
    Reserve(const Reserve&) = delete;
    Reserve& operator=(const Reserve&) = delete;
    ~Reserve()
    {
        if (holds_zero_)
            ::close(0);
    }

    // EXECQ_OK, EXECQ_EMFILE, EXECQ_ENOMEM. The number 0 stays taken while this lives: backend_fd() of a loop whose
    // init failed before it opened anything is 0, which is then sure not to be the loop's.
    execq_status probe()
    {
        std::array<int, 8> fds;
        std::size_t n = 0;
        int error = 0;
        while (n < fds.size() && error == 0) {
            fds[n] = eventfd(0, EFD_CLOEXEC);
            if (fds[n] >= 0)
                ++n;
            else
                error = errno;
        }
        for (std::size_t i = 0; i < n; ++i) {
            if (fds[i] == 0)
                holds_zero_ = true;
            else
                ::close(fds[i]);
        }
        return status_of_uv(-error);
    }

private:
    bool holds_zero_ = false;
};

// So that of two threads that make their loops at the same time neither counts on the other's descriptors.
Mutex& opening()
{
    static PerProcess<Mutex> mutex;
    return *mutex;
}

[[maybe_unused]] Mutex& made_when_loaded = opening();

// Loops that were left with handles on them: still reachable, so that no leak checker blames us for the user's leak.
std::atomic<ThreadLoop*> left_loops{nullptr};

void print_leftovers(const LoopLeftovers& left, const execq_uv_table& table)
{
    char line[512] = "execq: a thread ended with work left on its loop, which is never closed:";
    const auto append = [&](std::uint32_t n, const char* what) {
        const std::size_t used = std::strlen(line);
        std::snprintf(line + used, sizeof line - used, " %u %s", n, what);
    };
    for (std::size_t type = 0; type < left.handles.size(); ++type) {
        const char* name = table.handle_type_name(static_cast<std::uint32_t>(type));
        if (left.handles[type] != 0)
            append(left.handles[type], name != nullptr ? name : "unknown");
    }
    if (left.busy_loops != 0)
        std::strncat(line, " requests", sizeof line - std::strlen(line) - 1);
    std::fprintf(stderr, "%s\n", line);
}

// Threads that are no workers close their loop when they end.
[[maybe_unused]] const AtThreadEnd close_loop([] {
    // On a worker that is exit() inside a task.
    const ThreadLoop* loop = Worker::current() == nullptr ? ThreadLoop::current() : nullptr;
    if (loop == nullptr)
        return;
    const execq_uv_table table = loop->table();
    const LoopLeftovers left = ThreadLoop::end_of_thread();
    if (left.loops != 0)
        print_leftovers(left, table);
});

}  // namespace

// ---- what is left ----

std::uint32_t LoopLeftovers::total_handles() const { return std::accumulate(handles.begin(), handles.end(), 0U); }

void LoopLeftovers::add(const LoopLeftovers& other)
{
    loops += other.loops;
    busy_loops += other.busy_loops;
    std::transform(handles.begin(), handles.end(), other.handles.begin(), handles.begin(), std::plus<>());
}

// The user's handles on the loop.
struct ThreadLoop::Census {
    const ThreadLoop* loop;
    LoopLeftovers open;
    std::uint32_t closing = 0;

    static void visit(uv_handle_s* handle, void* env)
    {
        auto* self = static_cast<Census*>(env);
        if (handle == self->loop->async_handle() || handle == self->loop->timer_handle())
            return;
        const std::uint32_t type = self->loop->uv_.handle_type(handle);
        self->closing += self->loop->uv_.is_closing(handle) != 0 ? 1U : 0U;
        ++self->open.handles[type < self->open.handles.size() ? type : 0];
    }
};

ThreadLoop::Census ThreadLoop::take_census()
{
    Census census{this, {}, 0};
    uv_.walk(loop_, Census::visit, &census);
    return census;
}

// ---- the beginning ----

// The loop of the thread that forked polls descriptors that it shares with the parent: a child makes another one.
const InChild ThreadLoop::in_child_([](void*) {
    current_ = nullptr;
    table_ = nullptr;
    left_loops.store(nullptr, std::memory_order_relaxed);
});

execq_status ThreadLoop::open(ThreadLoop** out)
{
    if (current_ == nullptr) {
        if (AtThreadEnd::passed())
            return EXECQ_ECLOSED;
        if (!AtThreadEnd::watch())
            return EXECQ_ENOMEM;
        const execq_uv_table& table = table_ != nullptr ? *table_ : own_uv_table();
        if (!can_own_loops(table))
            return EXECQ_ENOTSUP;
        auto* loop = new (std::nothrow) ThreadLoop(table);
        if (loop == nullptr)
            return EXECQ_ENOMEM;
        const execq_status status = loop->init();
        if (status != EXECQ_OK) {
            delete loop;
            return status;
        }
        current_ = loop;
        if (Worker* worker = Worker::current())
            worker->note_loop(loop);
    }
    *out = current_;
    return EXECQ_OK;
}

ThreadLoop::ThreadLoop(const execq_uv_table& table) : uv_(table), process_(getpid()) {}

ThreadLoop::~ThreadLoop() { std::free(memory_); }

execq_status ThreadLoop::init()
{
    const std::size_t async_at = rounded(uv_.loop_size) + alignment;
    const std::size_t timer_at = async_at + rounded(uv_.async_size) + alignment;
    memory_ = static_cast<char*>(std::calloc(1, timer_at + rounded(uv_.timer_size)));
    if (memory_ == nullptr)
        return EXECQ_ENOMEM;
    loop_ = reinterpret_cast<uv_loop_s*>(memory_);
    async_ = reinterpret_cast<uv_async_s*>(memory_ + async_at);
    timer_ = reinterpret_cast<uv_timer_s*>(memory_ + timer_at);
    owner_of(async_) = owner_of(timer_) = this;
    const execq_status status = init_loop();
    if (status != EXECQ_OK)
        return status;
    const int error = uv_.async_init(loop_, async_, on_wake);
    if (error != 0) {
        uv_.loop_close(loop_);
        return status_of_uv(error);
    }
    uv_.timer_init(loop_, timer_);  // cannot fail
    uv_.unref(async_handle());
    uv_.unref(timer_handle());
    set_timer(0);
    return EXECQ_OK;
}

execq_status ThreadLoop::init_loop()
{
    const MutexLock lock(opening());
    Reserve reserve;
    const execq_status status = reserve.probe();
    if (status != EXECQ_OK)
        return status;
    const int error = uv_.loop_init(loop_);
    // 1.44 leaves this one open where a later step fails; newer versions have set it to -1.
    if (error != 0 && uv_.backend_fd(loop_) > 0)
        ::close(uv_.backend_fd(loop_));
    return status_of_uv(error);
}

// ---- running ----

void ThreadLoop::on_wake(uv_async_s* async)
{
    ThreadLoop& self = *owner_of(async);
    self.collect(self.mailbox_.take_all());
    if (!self.ready_.empty())
        self.run_ready();
}

void ThreadLoop::collect(Link* posted)
{
    while (posted != nullptr) {
        Link* after = posted->next;
        ready_.push(*static_cast<Registration*>(posted));
        posted = after;
    }
}

void ThreadLoop::run_ready()
{
    const CallbackScope scope;
    while (Registration* registration = ready_.pop()) {
        run_now(*registration, port_);
        run_queued();
    }
}

void ThreadLoop::refuse_deliveries()
{
    collect(mailbox_.take_all());
    while (Registration* registration = ready_.pop())
        refuse(*registration, port_);
}

void ThreadLoop::on_timer(uv_timer_s* timer)
{
    ThreadLoop& self = *owner_of(timer);
    if (self.running_)
        self.set_timer(1);  // it may have been due when uv_run began, which then still waits
    else
        self.marked_ = true;
}

void ThreadLoop::set_timer(std::uint64_t timeout_ms) { uv_.timer_start(timer_, on_timer, timeout_ms, 0); }

// Unwound by a pthread_exit, too.
class ThreadLoop::Run {
public:
    explicit Run(ThreadLoop& loop) : loop_(loop)
    {
        loop_.running_ = true;
        loop_.uv_.ref(loop_.async_handle());
        loop_.uv_.timer_stop(loop_.timer_);
    }
    ~Run()
    {
        loop_.uv_.unref(loop_.async_handle());
        loop_.set_timer(0);
        loop_.running_ = false;
    }
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;

private:
    ThreadLoop& loop_;
};

// uv_run waits once whatever it did before: if timers were due when it began, that would not be the end of it. So what is
// due already runs without waiting, and for a timer that becomes due in this very moment we set our own behind it, which
// starts again for as long as the run goes on.
void ThreadLoop::run_once(Deadline deadline)
{
    const Run scope(*this);
    uv_.update_time(loop_);
    const int next_ms = uv_.backend_timeout(loop_);
    if (next_ms == 0 || deadline.passed()) {
        run(UV_RUN_NOWAIT);
        return;
    }
    std::int64_t limit_ms = next_ms > 0 ? std::int64_t{next_ms} : longest_ms;
    if (!deadline.never())
        limit_ms = std::min(limit_ms, deadline.left_ns() / ns_per_ms);
    // One more, as both clocks are cut to milliseconds; that may still be early: the caller looks.
    if (limit_ms != longest_ms)
        set_timer(static_cast<std::uint64_t>(limit_ms) + 1);
    run(UV_RUN_ONCE);
}

void ThreadLoop::run_nowait()
{
    const Run scope(*this);
    run(UV_RUN_NOWAIT);
}

// A callback that ends the thread is unwound through libuv, which then has handles of the loop in lists that are gone.
void ThreadLoop::run(int mode)
{
    const ContextScope apart(nullptr);  // the callbacks belong to nobody who waits here
    torn_ = true;
    if (times_ == nullptr)
        uv_.run(loop_, static_cast<std::uint32_t>(mode));
    else
        run_measured(mode);
    torn_ = false;
}

// ---- how late it is run ----

void ThreadLoop::measure(LoopTimes* times)
{
    times_ = times;
    idle_ns_ = unknown;
}

void ThreadLoop::run_measured(int mode)
{
    const std::int64_t begin = now_ns();
    if (idle_ns_ != unknown)
        times_->lag.add(begin - idle_ns_);
    uv_.run(loop_, static_cast<std::uint32_t>(mode));
    idle_ns_ = now_ns();
    if (mode == UV_RUN_NOWAIT)  // others sleep
        times_->turn.add(idle_ns_ - begin);
}

// Where the descriptors were ready at once, they may have been so since the last turn.
void ThreadLoop::note_sleep(std::int64_t began_ns)
{
    const std::int64_t now = now_ns();
    if (now - began_ns < slept_ns)
        return;
    idle_ns_ = std::min(now, timer_ns_);
    const std::int64_t woken = woken_ns_.load(std::memory_order_relaxed);
    if (woken >= began_ns)
        idle_ns_ = std::min(idle_ns_, woken);
}

int ThreadLoop::quiet_ms()
{
    const Run scope(*this);
    const std::int64_t now_ms = times_ != nullptr ? now_ns() / ns_per_ms : 0;
    uv_.update_time(loop_);
    const int next_ms = uv_.backend_timeout(loop_);
    timer_ns_ = next_ms > 0 ? (now_ms + next_ms) * ns_per_ms : std::numeric_limits<std::int64_t>::max();
    return next_ms;
}

bool ThreadLoop::sleep(int timeout_ms)
{
    const std::int64_t begin = times_ != nullptr ? now_ns() : 0;
    pollfd events{uv_.backend_fd(loop_), POLLIN, 0};
    const bool ready = poll(&events, 1, timeout_ms) != 0;
    if (times_ != nullptr)
        note_sleep(begin);
    return ready;
}

bool ThreadLoop::alive()
{
    if (running_)
        uv_.unref(async_handle());
    const bool alive = uv_.loop_alive(loop_) != 0;
    if (running_)
        uv_.ref(async_handle());
    return alive;
}

bool ThreadLoop::running()
{
    if (running_)
        return true;
    if (!marked_ && !alive())  // a run that our timer has not marked has only begun, for a timer of the user's
        return false;
    if (on_stack(reinterpret_cast<const void*>(uv_.run)))
        return true;
    marked_ = false;
    set_timer(0);
    return false;
}

// ---- the end ----

// True if nothing of the user's is left. While a handle is open nothing runs.
bool ThreadLoop::finish_closing()
{
    for (int turn = 0; turn < closing_turns; ++turn) {
        const Census census = take_census();
        if (census.open.total_handles() == 0)
            return !alive();
        if (census.closing != census.open.total_handles())
            return false;
        run_nowait();
    }
    return false;
}

void ThreadLoop::shut()
{
    mailbox_.close();
    uv_.close(async_handle(), nullptr);
    uv_.close(timer_handle(), nullptr);
    uv_.run(loop_, UV_RUN_NOWAIT);
    uv_.loop_close(loop_);
}

execq_status ThreadLoop::close()
{
    ThreadLoop* loop = current_;
    if (loop == nullptr)
        return EXECQ_EALREADY;
    if (loop->drivers_ != 0 || loop->running() || !loop->finish_closing())
        return EXECQ_EBUSY;
    current_ = nullptr;
    loop->shut();
    delete loop;
    return EXECQ_OK;
}

LoopLeftovers ThreadLoop::end_of_thread()
{
    ThreadLoop* loop = current_;
    if (loop == nullptr)
        return {};
    // In a child that was forked the descriptors are shared with the parent's loop, and under a uv_run (exit() in a
    // callback) the process is about to end: the loop is left, and nobody is to blame.
    const bool ours = loop->process_ == getpid() && loop->drivers_ == 0 && !loop->running();
    if (ours && !loop->torn_ && close() == EXECQ_OK)
        return {};
    LoopLeftovers left;
    if (ours) {
        left = loop->take_census().open;
        left.loops = 1;
        left.busy_loops = left.total_handles() == 0 ? 1 : 0;
    }
    current_ = nullptr;
    loop->left_before_ = left_loops.exchange(loop, std::memory_order_acq_rel);
    return left;
}

}  // namespace execq::core
