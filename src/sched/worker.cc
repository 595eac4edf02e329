#include "sched/worker.h"

#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <new>
#include <optional>

#include "base/unwind.h"
#include "sched/executor.h"
#include "sched/failure.h"

namespace execq::core {

namespace {

thread_local Worker* current_worker = nullptr;

constexpr std::size_t thread_name_size = 16;

// Ends a task that returned EXECQ_ECANCELED after a request to stop.
void settle_stopped(Node& node, Error* error)
{
    node.request_cancel(EXECQ_REASON_SHUTDOWN);  // names the reason where only the executor was asked
    if (error != nullptr)
        error->release();
    node.settle_canceled();
}

}  // namespace

// Puts a frame on the worker for as long as its body runs.
class FrameScope {
public:
    FrameScope(Worker& worker, Node& node) : worker_(worker), frame_{&node, coarse_now_ns(), worker.top_}
    {
        set_top(&frame_);
    }
    ~FrameScope() { set_top(frame_.outer); }
    FrameScope(const FrameScope&) = delete;
    FrameScope& operator=(const FrameScope&) = delete;

private:
    void set_top(Frame* frame)
    {
        const MutexLock lock(worker_.frames_mutex_);
        worker_.top_ = frame;
    }

    Worker& worker_;
    Frame frame_;
};

Worker* Worker::current() { return current_worker; }

execq_status Worker::start(Executor& executor, std::uint32_t number, Worker** out)
{
    auto* worker = new (std::nothrow) Worker(executor, number);
    if (worker == nullptr)
        return EXECQ_ENOMEM;
    // The new thread inherits the mask: workers never run the program's signal handlers.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread{};
    const int error = pthread_create(&thread, nullptr, thread_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0) {
        delete worker;
        return EXECQ_EAGAIN;
    }
    *out = worker;
    return EXECQ_OK;
}

// Not noexcept: pthread_exit in a task unwinds through here, and the destructor below still signs the worker off.
void* Worker::thread_main(void* argument)
{
    struct Leave {
        Worker* worker;
        ~Leave()
        {
            current_worker = nullptr;
            Executor& executor = worker->executor_;
            executor.worker_leaves(*worker);
            delete worker;
            executor.drop_use();
        }
    };
    const Leave leave{static_cast<Worker*>(argument)};
    current_worker = leave.worker;
    leave.worker->note_stack();
    leave.worker->name_thread();
    leave.worker->work();
    return nullptr;
}

void Worker::work()
{
    while (Node* node = executor_.next_task(*this)) {
        // The executor's reference: given back however the body ends.
        struct Release {
            Node* node;
            ~Release() { node->release(); }
        };
        const Release release{node};
        executor_.dispose(*this, *node);
    }
}

void Worker::run(Node& node)
{
    void* value = nullptr;
    std::int32_t code = 0;
    Error* error = nullptr;
    std::optional<FrameScope> frame(std::in_place, *this, node);
    try {
        const FailureScope failure;
        code = node.fn()(node.task_env(), &value);
        if (code != 0)
            error = FailureScope::take(code);
    } catch (const std::exception& exception) {
        code = EXECQ_EEXCEPTION;
        error = Error::make(code, exception.what());
    } catch (...) {
        if (is_thread_exit()) {  // this task and those around it fail, the thread goes
            node.drop_env();
            frame.reset();
            node.settle_code(EXECQ_EEXITED);
            throw;
        }
        code = EXECQ_EEXCEPTION;
    }
    node.drop_env();
    frame.reset();
    if (code == 0)
        node.settle_value(value);
    else if (code == EXECQ_ECANCELED && executor_.stop_requested(node))
        settle_stopped(node, error);
    else if (error != nullptr)
        node.settle_error(error);
    else
        node.settle_code(code);
}

bool Worker::is_running(const Node& node) const
{
    for (const Frame* frame = top_; frame != nullptr; frame = frame->outer) {
        if (frame->node == &node)
            return true;
    }
    return false;
}

Node* Worker::top_node() const { return top_ != nullptr ? top_->node : nullptr; }

void Worker::note_stack()
{
    pthread_attr_t attributes;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0)
        return;  // then stack_left() is 0 and nothing is run in place
    void* bottom = nullptr;
    std::size_t size = 0;
    if (pthread_attr_getstack(&attributes, &bottom, &size) == 0)
        stack_bottom_ = static_cast<const std::byte*>(bottom);
    pthread_attr_destroy(&attributes);
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
