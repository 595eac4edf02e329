// Running something where a recursion over a long chain cannot end well: on a thread with a stack of 64 KiB.
#pragma once

#include <cstddef>
#include <pthread.h>

#include "stress.h"

template <class Act>
void on_small_stack(const Act& act)
{
    pthread_attr_t attributes;
    CHECK(pthread_attr_init(&attributes) == 0);
    CHECK(pthread_attr_setstacksize(&attributes, std::size_t{sanitized ? 512U : 64U} * 1024) == 0);
    pthread_t thread{};
    const auto run = [](void* env) -> void* {
        (*static_cast<const Act*>(env))();
        return nullptr;
    };
    CHECK(pthread_create(&thread, &attributes, run, const_cast<Act*>(&act)) == 0);
    CHECK(pthread_join(thread, nullptr) == 0);
    pthread_attr_destroy(&attributes);
}
