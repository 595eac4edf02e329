// Floor 0. A static object that is never destroyed, without an allocation: threads may outlive static destruction.
#pragma once

#include <new>

namespace execq::core {

template <class T>
class Immortal {
public:
    Immortal() { new (storage_) T; }
    Immortal(const Immortal&) = delete;
    Immortal& operator=(const Immortal&) = delete;

    T& operator*() { return *std::launder(reinterpret_cast<T*>(storage_)); }

private:
    alignas(T) unsigned char storage_[sizeof(T)];
};

}  // namespace execq::core
