#include "sched/loop_place.h"

#include "execq/future.h"
#include "execq/status.h"
#include "sched/thread_loop.h"

namespace execq::core {

void LoopPlace::open(ThreadLoop& loop)
{
    loop.deliver_for(this);
    loop.measure(&times_);
    {
        const MutexLock lock(mutex_);
        listing_closed_ = false;
    }
    const MutexLock lock(place_mutex_);
    loop_ = &loop;
}

void LoopPlace::close()
{
    ThreadLoop* loop = nullptr;
    {
        const MutexLock lock(place_mutex_);
        loop = loop_;
        loop_ = nullptr;
    }
    if (loop != nullptr) {
        loop->measure(nullptr);
        loop->refuse_deliveries();
        loop->deliver_for(nullptr);
    }
    withdraw_listed(nullptr);
}

bool LoopPlace::enter(Node& node)
{
    uses_.begin();  // by the thread that looks at it
    node.note_started();
    const MutexLock lock(place_mutex_);
    (asks_ ? asked_ : open_).push_back(node.place_hook());
    ++open_count_;
    return !asks_;
}

void LoopPlace::leave(Node& node)
{
    {
        const MutexLock lock(place_mutex_);
        open_.remove(node.place_hook());  // of whichever list it is on
        --open_count_;
    }
    end_use();
}

// A task that is listed has not left, so who completes it still has a reference.
void LoopPlace::ask_all()
{
    for (;;) {
        Node* node = nullptr;
        {
            const MutexLock lock(place_mutex_);
            asks_ = true;
            Hook* hook = open_.front();
            if (hook == nullptr)
                return;
            open_.remove(*hook);
            asked_.push_back(*hook);
            node = &Node::of_place_hook(*hook);
            node->retain();
        }
        if (node->request_cancel(EXECQ_REASON_SHUTDOWN))
            node->tell_cancel();
        node->release();
    }
}

void LoopPlace::fail_all()
{
    HookList<Hook> failed;
    for (;;) {
        Node* node = nullptr;
        {
            const MutexLock lock(place_mutex_);
            Hook* hook = asked_.empty() ? open_.front() : asked_.front();
            if (hook == nullptr)
                break;
            asked_.remove(*hook);  // of whichever list it is on
            failed.push_back(*hook);
            node = &Node::of_place_hook(*hook);
            node->retain();
        }
        node->reject(EXECQ_EEXITED, nullptr);
        node->release();
    }
    // Those that somebody else completes just now.
    const MutexLock lock(place_mutex_);
    while (Hook* hook = failed.front()) {
        failed.remove(*hook);
        asked_.push_back(*hook);
    }
}

void LoopPlace::wake()
{
    const MutexLock lock(place_mutex_);
    if (loop_ != nullptr && loop_ != ThreadLoop::current())
        loop_->wake();
}

void LoopPlace::deliver(Registration& registration) noexcept
{
    bool posted = false;
    HeapRegistration* heap = heap_of(registration);
    bool wanted = true;
    if (heap != nullptr && heap->listed) {
        const MutexLock lock(mutex_);
        wanted = unlist(*heap);
    }
    if (wanted) {
        const MutexLock lock(place_mutex_);
        posted = loop_ != nullptr && loop_->post(registration);
    }
    if (!posted)
        refuse(registration, this);
}

void LoopPlace::end_use()
{
    if (uses_.end_as_guest())
        wake();
    free_if(uses_.end_guest());
}

}  // namespace execq::core
