#include "sched/worker.h"

#include <cstdio>
#include <cstring>
#include <exception>
#include <utility>

#include "base/probes.h"
#include "base/process.h"
#include "base/unwind.h"
#include "sched/body.h"
#include "sched/executor.h"
#include "sched/failure.h"
#include "sched/loop_place.h"
#include "sched/thread_loop.h"
#include "sched/timekeeper.h"
#include "task/unobserved.h"

namespace execq::core {

namespace {

constexpr std::size_t thread_name_size = 16;

}  // namespace

// Puts a frame on the worker for as long as its body runs.
class FrameScope {
public:
    FrameScope(Worker& worker, Node& node, bool plain)
        : worker_(worker),
          frame_{&node, plain || !node.extended() ? 0 : start_of(node), worker.top_.load(std::memory_order_relaxed)}
    {
        worker_.top_.store(&frame_, std::memory_order_release);
    }
    ~FrameScope()
    {
        if (running_)
            end();
    }
    FrameScope(const FrameScope&) = delete;
    FrameScope& operator=(const FrameScope&) = delete;

    const Frame& frame() const { return frame_; }
    // 0: for who asks first to note.
    static std::int64_t start_of(const Node& node)
    {
        if (const Observation* observation = node.observation()) [[unlikely]]
            return observation->started_ns();
        return node.named() ? coarse_now_ns() : 0;
    }
    void end()
    {
        worker_.lock_.as_owner(
            [worker = &worker_, outer = frame_.outer] { worker->top_.store(outer, std::memory_order_release); });
        running_ = false;
    }

private:
    Worker& worker_;
    Frame frame_;
    bool running_ = true;
};

// The end of a body: its cancel callbacks end with it.
class CallsScope {
public:
    CallsScope(Worker& worker, const FrameScope& scope) : worker_(worker), scope_(scope) {}
    ~CallsScope()
    {
        if ((worker_.left_ & calls_left) != 0) [[unlikely]]
            worker_.end_frame_calls(scope_.frame());
    }
    CallsScope(const CallsScope&) = delete;
    CallsScope& operator=(const CallsScope&) = delete;

private:
    Worker& worker_;
    const FrameScope& scope_;
};

// The same for a body around which there was nothing to be kept apart from: with it ends all that it left.
class LeftScope {
public:
    LeftScope(Worker& worker, const FrameScope& scope) : worker_(worker), scope_(scope) {}
    ~LeftScope()
    {
        if (worker_.left_ != 0) [[unlikely]]
            worker_.end_left(scope_.frame());
    }
    LeftScope(const LeftScope&) = delete;
    LeftScope& operator=(const LeftScope&) = delete;

private:
    Worker& worker_;
    const FrameScope& scope_;
};

Worker::~Worker()
{
    if (LoopPlace* own = place())
        own->let_go();
}

void Worker::wake()
{
    const bool in_loop = on_loop;  // it is ours to read until the thread has the permit
    EXECQ_PROBE2(wake, executor_.name(), number_);
    parker_.unpark();
    if (in_loop)
        place()->wake();
}

bool Worker::place_used() const
{
    const LoopPlace* own = place();
    return own != nullptr && own->used();
}

execq_status Worker::start() { return executor_.plan().start(thread_main, this) == 0 ? EXECQ_OK : EXECQ_EAGAIN; }

// Not noexcept: pthread_exit in a task unwinds through here, and the destructor below still signs the worker off.
void* Worker::thread_main(void* argument)
{
    struct Leave {
        Worker* worker;
        bool begun = false;
        ~Leave()
        {
            Executor& executor = worker->executor_;
            executor.end_loop(*worker);  // close callbacks may still run, on a worker
            this_thread.worker = nullptr;
            this_thread.left = nullptr;
            if (begun)
                executor.plan().end();
            executor.worker_leaves(*worker);  // from here on the place is somebody else's
            this_thread.place = nullptr;
            executor.drop_use();
        }
    };
    Leave leave{static_cast<Worker*>(argument)};
    this_thread.worker = this_thread.place = leave.worker;
    this_thread.served = leave.worker->executor_.serial();
    this_thread.left = &leave.worker->left_;
    leave.worker->mine_ = &this_thread;
    ThreadLoop::use_table(leave.worker->executor_.uv_table());
    leave.worker->note_stack();
    if (leave.worker->stack_bottom_ == nullptr) [[unlikely]]
        leave.worker->guess_stack();
    leave.worker->name_thread();
    leave.worker->executor_.plan().settle_here();
    leave.worker->executor_.enter(*leave.worker);
    leave.begun = leave.worker->begin();
    leave.worker->work();
    return nullptr;
}

// False: an initializer failed, and the executor with it.
bool Worker::begin()
{
    struct Broken {
        Executor& executor;
        std::int32_t code = EXECQ_EEXITED;  // where it does not come back
        Error* error = nullptr;
        ~Broken()
        {
            if (code != 0)
                executor.break_down(code, error);
        }
    };
    if (executor_.broken() != 0)
        return false;  // it is there to end what is queued
    Broken broken{executor_};
    broken.code = executor_.plan().begin(broken.error);
    return broken.code == 0;
}

void Worker::work()
{
    const bool for_loops = reserved();
    // One call of dispose, so that it is part of this loop.
    while (const Item item = for_loops ? executor_.next_loop_task(*this) : executor_.next_task(*this)) {
        executor_.dispose(*this, item);
        if ((left_ & context_left) != 0) [[unlikely]]
            forget_context();
    }
}

void Worker::run_plain(execq_fn fn, void* env)
{
    struct Scope {
        explicit Scope(Worker& owner) : worker(owner)
        {
            worker.plain_frame_.started_ns.store(0, std::memory_order_relaxed);
            worker.top_.store(&worker.plain_frame_, std::memory_order_release);
        }
        ~Scope() { worker.top_.store(nullptr, std::memory_order_release); }
        Worker& worker;
    };
    std::int32_t code = 0;
    Error* error = nullptr;
    {
        const Scope scope(*this);
        try {
            void* value = nullptr;
            code = fn(env, &value);
        } catch (const std::exception& exception) {
            code = EXECQ_EEXCEPTION;
            error = Error::make(code, exception.what());
        } catch (...) {
            code = is_thread_exit() ? EXECQ_EEXITED : EXECQ_EEXCEPTION;
            if (code == EXECQ_EEXITED) {
                top_.store(nullptr, std::memory_order_release);  // nothing runs any more where the failure is told
                end_plain(code, nullptr);
                throw;
            }
        }
    }
    if (code != 0 || left_ != 0) [[unlikely]]
        end_plain(code, error);
}

// The end of a plain task that failed, which nobody has a handle of, or that left something behind. Takes the error.
void Worker::end_plain(std::int32_t code, Error* error)
{
    if ((left_ & forked_left) != 0)
        Process::end_child();
    if ((left_ & calls_left) != 0) {
        const WaitScope busy(this);
        end_frame_calls(plain_frame_);
    }
    if ((std::exchange(left_, left_ & context_left) & failure_left) != 0) {
        if (error == nullptr)
            error = FailureScope::take(code);
        FailureScope::forget();
    }
    if (code != 0 && !(code == EXECQ_ECANCELED && executor_.stop_requested(nullptr))) {
        if (error == nullptr)
            error = Error::of_code(code);
        report_unobserved("", *error);
    }
    if (error != nullptr)
        error->release();
}

// What was set outside of all scopes, as plain tasks and callbacks of the loop are.
void Worker::forget_context()
{
    left_ = static_cast<std::uint8_t>(left_ & ~context_left);
    forget_changes(*mine_);
}

void Worker::end_frame_calls(const Frame& frame)
{
    end_calls(&frame);
    if (!has_calls())
        left_ = static_cast<std::uint8_t>(left_ & ~calls_left);
}

void Worker::run(Node& node, Node::Start start, Reference reference)
{
    if (node.extended()) [[unlikely]]
        run_as<true>(node, start, reference);
    else
        run_as<false>(node, start, reference);
}

template <bool extended>
void Worker::run_as(Node& node, Node::Start start, Reference reference)
{
    const bool plain = start == Node::Start::alone;
    void* value = nullptr;
    std::int32_t code = 0;
    Error* error = nullptr;
    bool goes_on = false;
    {
        Observation::Run run(extended ? node.observation() : nullptr, static_cast<std::int32_t>(number_));
        FrameScope frame(*this, node, plain);
        try {
            Context* context = extended ? node.context() : nullptr;
            if (context != nullptr || has_changes(*mine_) || mine_->failure != nullptr) [[unlikely]] {
                code = run_apart(node, frame, context, value, error);
            } else {
                const LeftScope left(*this, frame);
                code = node.fn()(node.task_env(), &value);
                if (code != 0) [[unlikely]]
                    error = FailureScope::take(code);
            }
        } catch (const std::exception& exception) {
            code = EXECQ_EEXCEPTION;
            error = Error::make(code, exception.what());
        } catch (...) {
            if (is_thread_exit()) {  // this task and those around it fail, the thread goes
                drop_env(node, frame);
                frame.end();
                run.end();
                node.settle_code(EXECQ_EEXITED, reference);
                throw;
            }
            code = EXECQ_EEXCEPTION;
        }
        if constexpr (extended) {
            const CallsScope calls(*this, frame);  // of a drop
            goes_on = node.end_run(code, value);
        }
    }
    if (plain && code == 0) [[likely]]
        node.free_alone();
    else if (goes_on) [[unlikely]]
        go_on(node);
    else if (code == 0)
        node.settle_value(value, reference);
    else
        settle_failed(node, code, error, executor_.stop_requested(&node), reference);
}

// In a context of its own, apart from what the body around it, or a callback before it, has set and said.
std::int32_t Worker::run_apart(Node& node, const FrameScope& frame, Context* context, void*& value, Error*& error)
{
    const CallsScope calls(*this, frame);
    const FailureScope failure(*mine_);
    const ContextScope scope(context, *mine_);
    std::int32_t code = scope.status();
    if (code == EXECQ_OK) [[likely]] {
        const UserCode user;
        code = node.fn()(node.task_env(), &value);
    }
    if (code != 0)
        error = FailureScope::take(code);
    return code;
}

void Worker::end_left(const Frame& frame)
{
    if ((left_ & forked_left) != 0)
        Process::end_child();
    if ((left_ & calls_left) != 0)
        end_frame_calls(frame);
    if ((left_ & failure_left) != 0)
        FailureScope::forget();
    left_ = static_cast<std::uint8_t>(left_ & ~failure_left);
    if ((left_ & context_left) != 0)
        forget_context();
}

// A drop that runs before the frame ends may have callbacks, too.
void Worker::drop_env(Node& node, const FrameScope& frame)
{
    const CallsScope calls(*this, frame);
    node.drop_env();
}

void Worker::go_on(Node& node)
{
    if (Observation* observation = node.observation()) [[unlikely]]
        observation->note_rested();
    if (executor_.keeper().rest(node, executor_))
        return;
    {
        const FrameScope frame(*this, node, false);
        drop_env(node, frame);
    }
    node.settle_canceled(Reference::give);
}

bool Worker::is_running(const Node& node) const
{
    for (const Frame* frame = top_.load(std::memory_order_relaxed); frame != nullptr; frame = frame->outer) {
        if (frame->node == &node)
            return true;
    }
    return false;
}

Node* Worker::top_node() const
{
    const Frame* top = top_frame();
    return top != nullptr ? top->node : nullptr;
}

void Worker::note_visitor()
{
    static thread_local constinit const std::byte* bottom = nullptr;  // asking costs some microseconds
    if (bottom == nullptr) {
        note_stack();
        bottom = stack_bottom_;
    }
    stack_bottom_ = bottom;
    mine_ = &this_thread;
}

void Worker::note_stack()
{
    stack_bottom_ = nullptr;  // the predecessor's
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;
    void* bottom = nullptr;
    std::size_t size = 0;
    if (pthread_attr_getstack(&attributes, &bottom, &size) == 0)
        stack_bottom_ = static_cast<const std::byte*>(bottom);
    pthread_attr_destroy(&attributes);
}

// On a thread of ours, at its beginning: asking for the stack takes memory, which may be out, and without an answer nothing is
// run in place, ever. Rather too high than too low.
void Worker::guess_stack()
{
    constexpr std::size_t above_and_guard = 128 * 1024;  // thread-locals, frames, pages that nobody may touch
    const std::size_t size = executor_.plan().stack_size();
    if (size > above_and_guard)
        stack_bottom_ = static_cast<const std::byte*>(__builtin_frame_address(0)) - (size - above_and_guard);
}

std::size_t Worker::stack_left() const
{
    const auto* here = static_cast<const std::byte*>(__builtin_frame_address(0));
    return stack_bottom_ != nullptr && here > stack_bottom_ ? static_cast<std::size_t>(here - stack_bottom_) : 0;
}

void Worker::name_thread() const
{
    char name[thread_name_size];
    std::snprintf(name, sizeof name, "%s/%u", executor_.name(), number_);
    pthread_setname_np(pthread_self(), name);
}

}  // namespace execq::core
