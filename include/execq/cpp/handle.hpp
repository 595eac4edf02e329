// The reference-counted handles of C as values.
#ifndef EXECQ_CPP_HANDLE_HPP
#define EXECQ_CPP_HANDLE_HPP

#include <execq/execq.h>
#include <utility>

namespace execq::detail {

// One reference to a C object, or none. A copy has a reference of its own.
template <class T, void (*Retain)(T*), void (*Release)(T*)>
class handle {
public:
    handle() noexcept = default;
    // Takes the caller's reference over.
    explicit handle(T* owned) noexcept : object_(owned) {}
    handle(const handle& other) noexcept : object_(other.object_)
    {
        if (object_ != nullptr)
            Retain(object_);
    }
    handle(handle&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    handle& operator=(handle other) noexcept
    {
        std::swap(object_, other.object_);
        return *this;
    }
    ~handle()
    {
        if (object_ != nullptr)
            Release(object_);
    }

    T* get() const noexcept { return object_; }

private:
    T* object_ = nullptr;
};

using future_handle = handle<execq_future, execq_future_retain, execq_future_release>;
using error_handle = handle<const execq_error, execq_error_retain, execq_error_release>;
using executor_handle = handle<execq_executor, execq_executor_retain, execq_executor_release>;
using loop_handle = handle<execq_loop, execq_loop_retain, execq_loop_release>;
using queue_handle = handle<execq_queue, execq_queue_retain, execq_queue_release>;
using cq_handle = handle<execq_cq, execq_cq_retain, execq_cq_release>;

}  // namespace execq::detail

#endif
