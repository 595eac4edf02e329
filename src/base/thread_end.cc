#include "base/thread_end.h"

#include <pthread.h>

#include "base/immortal.h"

namespace execq::core {

// Made while the library is loaded, when most of the small numbers are free.
class AtThreadEnd::Key {
public:
    Key() : made_(pthread_key_create(&key_, [](void*) { end(); }) == 0) {}
    bool set() const { return made_ && pthread_setspecific(key_, this) == 0; }

private:
    pthread_key_t key_{};
    const bool made_;
};

class AtThreadEnd::AtExit {
public:
    ~AtExit() { end(); }
    void exists() {}
};

namespace {

template <class T>
T& loaded()
{
    static Immortal<T> object;
    return *object;
}

}  // namespace

AtThreadEnd::AtThreadEnd(Act act) : act_(act), next_(first_)
{
    static AtExit at_exit;
    at_exit.exists();
    (void)loaded<Key>();
    first_ = this;
}

bool AtThreadEnd::watch()
{
    if (state_ == State::unwatched && loaded<Key>().set())
        state_ = State::watched;
    return state_ == State::watched;
}

void AtThreadEnd::end()
{
    state_ = State::passed;
    for (const AtThreadEnd* part = first_; part != nullptr; part = part->next_)
        part->act_();
}

}  // namespace execq::core
