// Handles that several threads use at a time: who uses one has a reference of its own meanwhile.
#pragma once

#include <mutex>
#include <utility>

#include "execq/execq.h"

namespace fuzz {

template <class Handle, void (*retain)(Handle*), void (*release)(Handle*), class Model>
struct Kind {
    // A reference and what the oracle knows of the thing. Empty: there was none.
    class Ref {
    public:
        Ref() = default;
        Ref(Handle* handle, Model* model) : handle_(handle), model_(model) {}  // takes the reference over
        Ref(Ref&& other) noexcept
            : handle_(std::exchange(other.handle_, nullptr)), model_(std::exchange(other.model_, nullptr))
        {}
        Ref& operator=(Ref&& other) noexcept
        {
            std::swap(handle_, other.handle_);
            std::swap(model_, other.model_);
            return *this;
        }
        Ref(const Ref&) = delete;
        Ref& operator=(const Ref&) = delete;
        ~Ref() { release(handle_); }

        static Ref share(Handle* handle, Model* model)
        {
            retain(handle);
            return Ref(handle, model);
        }
        explicit operator bool() const { return handle_ != nullptr; }
        Handle* get() const { return handle_; }
        Model* operator->() const { return model_; }
        Model* model() const { return model_; }

    private:
        Handle* handle_ = nullptr;
        Model* model_ = nullptr;
    };

    class Slot {
    public:
        Ref borrow()
        {
            const std::lock_guard lock(mutex_);
            return held_ ? Ref::share(held_.get(), held_.model()) : Ref();
        }
        // What was there before is released by the caller, outside of the lock.
        Ref exchange(Ref with)
        {
            const std::lock_guard lock(mutex_);
            std::swap(held_, with);
            return with;
        }
        Ref take() { return exchange(Ref()); }

    private:
        std::mutex mutex_;
        Ref held_;
    };
};

}  // namespace fuzz
