// Floor 0. What a thread does at its very end for this library, after its thread-locals were destroyed.
//
// The destructor of a thread-local would do, but the first use on each thread registers it, which takes memory, and glibc ends
// the process where there is none. A pthread key of a small number takes none. Who calls exit() gets no destructors of keys:
// for that thread a static object does the same, after the handlers of the program.
#pragma once

#include "base/process.h"

namespace execq::core {

// One part of that; never destroyed. Parts act in no order, each on what the thread has of it, if it has anything.
class AtThreadEnd {
public:
    using Act = void (*)();
    explicit AtThreadEnd(Act act);
    AtThreadEnd(const AtThreadEnd&) = delete;
    AtThreadEnd& operator=(const AtThreadEnd&) = delete;

    // From now on the end of the calling thread has the parts act. False: it is past that, or memory is out.
    static bool watch();
    // The calling thread is past that.
    static bool passed() { return state_ == State::passed; }

private:
    enum class State : unsigned char { unwatched, watched, passed };
    class Key;
    class AtExit;

    static void end();

    static inline thread_local constinit State state_ = State::unwatched;
    static inline constinit AtThreadEnd* first_ = nullptr;  // changed while the library is loaded
    const Act act_;
    AtThreadEnd* const next_;
};

}  // namespace execq::core
