#include "flow/loop_port.h"

#include <cstddef>
#include <cstdlib>
#include <new>
#include <utility>

#include "base/immortal.h"
#include "base/sync_point.h"
#include "base/uv_table.h"
#include "execq/status.h"
#include "sched/body.h"
#include "task/callbacks.h"
#include "task/node.h"

namespace execq::core {

namespace {

// The handle's memory: a pointer to the port, then the uv_async_t of the caller's libuv, whose layout we do not know.
constexpr std::size_t prefix = alignof(std::max_align_t);

LoopPort*& port_of(void* async) { return *reinterpret_cast<LoopPort**>(static_cast<char*>(async) - prefix); }

struct AttachedPorts {
    Mutex mutex;
    HookList<LoopPort> list EXECQ_GUARDED_BY(mutex);
};

AttachedPorts& attached_ports()
{
    static PerProcess<AttachedPorts> ports;
    return *ports;
}

[[maybe_unused]] AttachedPorts& made_when_loaded = attached_ports();

void free_handle(void* async) { std::free(static_cast<char*>(async) - prefix); }

}  // namespace

// ---- attaching and detaching (loop thread) ----

execq_status LoopPort::attach(uv_loop_s* loop, const execq_uv_table& table, LoopPort** out)
{
    auto* port = new (std::nothrow) LoopPort(loop, table);
    if (port == nullptr)
        return EXECQ_ENOMEM;
    const execq_status status = port->open();
    if (status != EXECQ_OK) {
        delete port;
        return status;
    }
    *out = port;
    return EXECQ_OK;
}

LoopPort::~LoopPort()
{
    if (thread_waits_ != nullptr)
        thread_waits_->release();
}

execq_status LoopPort::open()
{
    void* memory = std::calloc(1, prefix + uv_.async_size);
    if (memory == nullptr)
        return EXECQ_ENOMEM;
    async_ = reinterpret_cast<uv_async_s*>(static_cast<char*>(memory) + prefix);
    port_of(async_) = this;
    const int error = uv_.async_init(loop_, async_, on_wake);
    if (error != 0) {
        std::free(memory);
        return status_of_uv(error);
    }
    note_thread();
    {
        AttachedPorts& ports = attached_ports();
        const MutexLock lock(ports.mutex);
        ports.list.push_back(*this);
    }
    wake();  // see the top of the header
    return EXECQ_OK;
}

bool LoopPort::this_thread_has_any(const uv_loop_s* but)
{
    AttachedPorts& ports = attached_ports();
    const MutexLock lock(ports.mutex);
    bool any = false;
    ports.list.for_each([&](const LoopPort& port) { any = any || (port.loop_ != but && port.on_loop_thread()); });
    return any;
}

execq_status LoopPort::detach()
{
    EXECQ_SYNC_POINT("loop detaches");
    // From here on nobody can register; what is complete is still delivered.
    if (!Uses::attached_in(uses_.enter(std::exchange(begun_, 0))) || !uses_.try_detach()) {
        give_up(Uses::guest_unit);
        return EXECQ_EALREADY;
    }
    {
        AttachedPorts& ports = attached_ports();
        const MutexLock lock(ports.mutex);
        ports.list.remove(*this);
    }
    note_thread();
    std::uint64_t over = cancel_tasks();  // whose completions here are then delivered
    collect(mailbox_.close());
    while (!ready_.empty())
        over += run_ready(batch);
    withdraw_listed(nullptr);
    {
        const MutexLock lock(mutex_);
        over += std::exchange(holds_, 0);
    }
    uv_.close(handle(), on_close);
    give_up(Uses::guest_unit + over);
    return EXECQ_OK;
}

void LoopPort::on_close(uv_handle_s* handle) { free_handle(handle); }

void LoopPort::release()
{
    if (inherited() || handles_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    abandoned_.store(true, std::memory_order_relaxed);  // published by the wake
    // An idle loop has to go round once more. A use, so that a thread which runs the loop from now on keeps off the handle.
    if (begin_use_anywhere(Wake::by_caller)) {
        wake();
        give_up(1);
    }
    give_up(Uses::handles_unit);
}

// ---- keeping the loop alive ----

bool LoopPort::working() const { return this_thread.working_port == this; }

// For a use that does not end in a delivery, on the thread that began it.
void LoopPort::end_use()
{
    if (working() && begun_ != 0)
        --begun_;
    else
        end_use_anywhere();
}

// By the caller: who wakes the loop in any case, after this.
bool LoopPort::begin_use_anywhere(Wake how)
{
    switch (uses_.begin(std::this_thread::get_id())) {
    case Uses::Begun::refused:
        give_up(1);
        return false;
    case Uses::Begun::here:
        reference(true);
        break;
    case Uses::Begun::first:
        if (how == Wake::if_needed)
            wake();
        break;
    case Uses::Begun::later:
        break;
    }
    return true;
}

// The loop may have to notice that nothing is pending any more.
void LoopPort::end_use_anywhere()
{
    if (uses_.end_as_guest())
        wake();
    give_up(Uses::guest_unit);
}

void LoopPort::give_up(std::uint64_t units)
{
    if (uses_.give_up(units))
        delete this;
}

void LoopPort::reference(bool wanted)
{
    if (referenced_ == wanted)
        return;
    referenced_ = wanted;
    wanted ? uv_.ref(handle()) : uv_.unref(handle());
}

execq_status LoopPort::hold()
{
    const MutexLock lock(mutex_);
    if (!begin_use_anywhere(Wake::if_needed))  // another thread may end it before the batch ends
        return EXECQ_ECLOSED;
    ++holds_;
    return EXECQ_OK;
}

execq_status LoopPort::unhold()
{
    {
        const MutexLock lock(mutex_);
        if (!attached())
            return EXECQ_ECLOSED;
        if (holds_ == 0)
            return EXECQ_EINVAL;
        --holds_;
    }
    end_use_anywhere();
    return EXECQ_OK;
}

// ---- delivery ----

void LoopPort::wake()
{
    mailbox_.poke([this] { send(); });
}

bool LoopPort::post(Registration& registration)
{
    return mailbox_.post(registration, [this] { send(); });
}

void LoopPort::deliver(Registration& registration) noexcept
{
    EXECQ_SYNC_POINT("loop delivers");
    HeapRegistration* heap = heap_of(registration);
    if (heap != nullptr && heap->listed) {
        const MutexLock lock(mutex_);
        if (!heap->withdrawn) {
            // Off the list first: once posted it may be run and freed.
            unlist(*heap);
            if (!post(registration)) {
                heap->completed = true;  // detach() is under way and will find it on the list
                listed_.push_back(*heap);
            }
            return;
        }
    } else if (post(registration)) {
        return;
    }
    refuse(registration, this);
}

void LoopPort::collect(Link* posted)
{
    while (posted != nullptr) {
        Link* after = posted->next;
        ready_.push(*static_cast<Registration*>(posted));
        posted = after;
    }
}

// Returns how many ran; their uses are for the caller to give up.
unsigned LoopPort::run_ready(unsigned limit)
{
    const CallbackScope scope;
    unsigned count = 0;
    while (count != limit) {
        Registration* registration = ready_.pop();
        if (registration == nullptr)
            break;
        ++count;
        run_now(*registration, nullptr);
        run_queued();
    }
    return count;
}

// ---- tasks ----

execq_status LoopPort::submit(Node& node)
{
    const bool inside = working();  // whose batch ends with a look at what came
    if (inside ? !begin_use() : !begin_use_anywhere(Wake::by_caller))
        return EXECQ_ECLOSED;
    switch (lifts_.push(node)) {
    case LiftStack::Push::first:
        if (!inside)
            wake();
        return EXECQ_OK;
    case LiftStack::Push::later:
        return EXECQ_OK;
    case LiftStack::Push::closed:
        break;
    }
    end_use();
    return EXECQ_ECLOSED;
}

// Returns how many uses are over; one that an asynchronous task goes on with is not.
unsigned LoopPort::run_tasks(unsigned limit)
{
    unsigned over = 0;
    for (unsigned count = 0; count != limit; ++count) {
        Node* node = tasks_.pop();
        if (node == nullptr)
            break;
        const Node::Start start = node->start_taken();
        if (start != Node::Start::lost && node->async()) {
            run_start(*node, *this, loop_);
            continue;
        }
        ++over;
        if (start != Node::Start::lost)
            run_body(*node, start);
        else
            node->release();
    }
    return over;
}

unsigned LoopPort::cancel_tasks()
{
    lifts_.close(tasks_);
    const CallbackScope scope;
    unsigned over = 0;
    while (Node* node = tasks_.pop()) {
        ++over;
        if (node->try_claim_cancel(EXECQ_REASON_SHUTDOWN)) {
            node->drop_env();
            node->settle_canceled(Reference::give);
            run_queued();
        } else {
            node->release();
        }
    }
    return over;
}

bool LoopPort::thread_is_blocked()
{
    const MutexLock lock(mutex_);
    return thread_waits_ != nullptr && thread_waits_->blocked_for(loop_);
}

// The caller is the loop's thread from now on.
void LoopPort::note_thread()
{
    uses_.note_thread(std::this_thread::get_id());
    if (ThreadWaits::is_mine(noted_waits_))
        return;
    ThreadWaits* mine = ThreadWaits::of_this_thread();
    noted_waits_ = mine;
    ThreadWaits* before = nullptr;
    {
        const MutexLock lock(mutex_);
        before = std::exchange(thread_waits_, mine);
    }
    if (before != nullptr)
        before->release();
}

void LoopPort::on_wake(uv_async_s* async)
{
    EXECQ_SYNC_POINT("loop wakes");
    LoopPort& port = *port_of(async);
    if (!port.inherited()) [[likely]]  // else a child runs its copy of the loop
        port.work();
}

void LoopPort::work()
{
    uses_.enter();
    note_thread();
    collect(mailbox_.take_all([](Link& item) { node_of(static_cast<Registration&>(item)).prefetch_trail(); }));
    lifts_.take_all(tasks_);
    if (abandoned_.load(std::memory_order_relaxed))
        detach();
    else
        run_batch();
    const Uses::Sight sight = uses_.look();
    if (sight.attached) {  // not detached by one of the callbacks
        if (!ready_.empty() || !tasks_.empty() || !lifts_.empty())
            wake();
        reference(sight.pending || abandoned_.load(std::memory_order_relaxed));
    }
    give_up(Uses::guest_unit);
}

void LoopPort::run_batch()
{
    LoopPort* const outer =
        std::exchange(this_thread.working_port, this);  // of another loop that a callback of ours runs
    std::uint64_t over = run_ready(batch);
    over += run_tasks(batch);
    this_thread.working_port = outer;
    // One step for the whole batch: what it began less what is over; the word cannot reach 0, work() is a guest.
    uses_.settle(std::exchange(begun_, 0), over);
}

}  // namespace execq::core
