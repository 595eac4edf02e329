// bench/peers. What every adapter offers, so that the scenarios are written once.
//
// An adapter is a struct:
//
//   struct Peer {
//       static constexpr const char* name;   as on the command line and in the tables
//       static std::string version();
//       using Pool, FuturePool;              one class where the peer queues both alike
//   };
//
// and a pool is a class:
//
//   explicit Pool(unsigned threads);         ~Pool(): all that was submitted has run
//   class Producer                           made by a foreign thread for itself: Producer(Pool&)
//       submit<Body>(env)                    fire and forget
//       submit_future<Body>(env) -> Future   (FuturePool)
//   static void* get(Future&)                waits, gives the value and ends the future
//   spawn<Body>(env)                         from inside a task of this pool
//
// A Body is a type with `static void* run(void* env)`. Each pool calls it in the way that is cheapest for it (a lambda,
// a function pointer beside the env, a function of the signature that it wants); nothing between a scenario and a peer
// is a virtual call or a std::function.
#pragma once

#include <exception>
#include <future>
#include <utility>

namespace bench {

// What a queue holds whose pool has no task type of its own: function and env, 16 bytes.
struct PlainItem {
    void* (*fn)(void*) = nullptr;
    void* env = nullptr;

    bool is_stop() const { return fn == nullptr; }
    void run() { fn(env); }
};

// The same with a promise. It travels inside the item: nothing is allocated beyond what std::promise itself needs.
struct FutureItem {
    void* (*fn)(void*) = nullptr;
    void* env = nullptr;
    std::promise<void*> promise;

    bool is_stop() const { return fn == nullptr; }
    void run()
    {
        std::promise<void*> mine = std::move(promise);  // ends here, not when the item is written over
        mine.set_value(fn(env));
    }
};

// What to queue for a body, and the future that goes with it.
template <class Body>
FutureItem future_item(void* env, std::future<void*>& future)
{
    FutureItem item{&Body::run, env, {}};
    future = item.promise.get_future();
    return item;
}

// The same as a function object, for pools that take those. operator() is const because oneTBB calls it so.
template <class Body>
struct FutureTask {
    void* env;
    mutable std::promise<void*> promise;

    void operator()() const { promise.set_value(Body::run(env)); }
};

// A call of a peer that must not fail did.
inline void require(bool ok)
{
    if (!ok) [[unlikely]]
        std::terminate();
}

}  // namespace bench
