#include "task/registration.h"

#include "task/callbacks.h"
#include "task/node.h"

namespace execq::core {

HeapRegistration* heap_of(Registration& registration)
{
    const bool inside = (reinterpret_cast<std::uintptr_t>(&registration) & 15) != 0;
    return inside ? nullptr : static_cast<HeapRegistration*>(&registration);
}

Node& node_of(Registration& registration)
{
    HeapRegistration* heap = heap_of(registration);
    return heap != nullptr ? *heap->node : static_cast<Node&>(registration);
}

void finish(Registration& registration, Port* port)
{
    Node& node = node_of(registration);
    delete heap_of(registration);
    node.release();
    if (port != nullptr)
        port->end_use();
}

void refuse(Registration& registration, Port* port)
{
    HeapRegistration* heap = heap_of(registration);
    if (heap != nullptr && heap->cancels) {
        const CallbackScope scope;
        heap->node->end_cancel_callback(*heap, false);
    } else if (heap != nullptr && !heap->withdrawn) {
        const CallbackScope scope;
        call_drop(heap->drop, heap->env);
    }
    finish(registration, port);
}

bool Port::take_back(HeapRegistration& registration)
{
    const MutexLock lock(mutex_);
    return unlist(registration);
}

bool Port::unlist(HeapRegistration& registration)
{
    if (registration.withdrawn)
        return false;
    listed_.remove(registration);
    return true;
}

void Port::withdraw_listed(execq_drop_fn drop_tag)
{
    const CallbackScope scope;
    for (;;) {
        HeapRegistration* registration = nullptr;
        bool completed = false;
        execq_drop_fn drop = nullptr;
        void* env = nullptr;
        {
            const MutexLock lock(mutex_);
            listing_closed_ = true;
            registration = listed_.front();
            if (registration == nullptr)
                return;
            listed_.remove(*registration);
            registration->withdrawn = true;  // from here on deliver() may free it, unless it is completed
            completed = registration->completed;
            drop = registration->drop != nullptr ? registration->drop : drop_tag;
            env = registration->env;
        }
        call_drop(drop, env);
        if (completed)
            finish(*registration, this);
    }
}

}  // namespace execq::core
