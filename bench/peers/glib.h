// bench/peers. GLib: an exclusive GThreadPool, whose threads all start at once. A task is one pointer there, so function
// and env need a block of memory each; it comes from GLib's own slices.
#pragma once

#include <glib.h>

#include <new>
#include <string>
#include <utility>

#include "peers/peer.h"

namespace bench {

template <class Item>
class GlibPool {
public:
    explicit GlibPool(unsigned threads)
        : pool_(g_thread_pool_new(&run, nullptr, static_cast<gint>(threads), TRUE, nullptr))
    {
        require(pool_ != nullptr);
    }
    GlibPool(const GlibPool&) = delete;
    GlibPool& operator=(const GlibPool&) = delete;
    ~GlibPool() { g_thread_pool_free(pool_, FALSE, TRUE); }

    using Future = std::future<void*>;

    class Producer {
    public:
        explicit Producer(GlibPool& pool) : pool_(pool) {}

        template <class Body>
        void submit(void* env)
        {
            pool_.push(Item{&Body::run, env});
        }
        template <class Body>
        Future submit_future(void* env)
        {
            Future future;
            pool_.push(future_item<Body>(env, future));
            return future;
        }

    private:
        GlibPool& pool_;
    };

    template <class Body>
    void spawn(void* env)
    {
        push(Item{&Body::run, env});
    }

    static void* get(Future& future) { return future.get(); }

private:
    void push(Item&& item)
    {
        require(g_thread_pool_push(pool_, new (g_slice_alloc(sizeof(Item))) Item(std::move(item)), nullptr) == TRUE);
    }

    static void run(void* data, void*)
    {
        auto* item = static_cast<Item*>(data);
        item->run();
        item->~Item();
        g_slice_free1(sizeof(Item), item);
    }

    GThreadPool* pool_;
};

struct Glib {
    static constexpr const char* name = "glib";
    static std::string version()
    {
        return std::to_string(glib_major_version) + "." + std::to_string(glib_minor_version) + "." +
               std::to_string(glib_micro_version);
    }
    using Pool = GlibPool<PlainItem>;
    using FuturePool = GlibPool<FutureItem>;
};

}  // namespace bench
