// Floor 0. Static objects that are never destroyed, without an allocation: threads may outlive static destruction.
#pragma once

#include <new>

#include "base/process.h"

namespace execq::core {

template <class T>
class Immortal {
public:
    Immortal() { new (storage_) T; }
    Immortal(const Immortal&) = delete;
    Immortal& operator=(const Immortal&) = delete;

    T& operator*() { return *std::launder(reinterpret_cast<T*>(storage_)); }

protected:
    void renew() { new (storage_) T; }

private:
    alignas(T) unsigned char storage_[sizeof(T)];
};

// The same for what each process has its own of: a child begins with a new one. Made while the library is loaded (the way to
// it stands in a variable besides), as a child could not wait for another thread to have made it.
template <class T>
class PerProcess : public Immortal<T> {
public:
    PerProcess() : in_child_([](void* self) { static_cast<PerProcess*>(self)->renew(); }, this) {}

private:
    InChild in_child_;
};

}  // namespace execq::core
