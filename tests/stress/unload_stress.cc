// A host that is not linked to the library loads a plug-in that is, from several threads at once, again and again, and
// unloads it while executors that it made go on: every task has run, and the library stays while its threads live.
#include <atomic>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <thread>
#include <vector>

#include "../children/plugin.h"
#include "stress.h"

namespace {

constexpr unsigned loaders = 3;

template <class Function>
Function find(void* library, const char* name)
{
    void* symbol = dlsym(library, name);
    CHECK(symbol != nullptr);
    return reinterpret_cast<Function>(symbol);
}

void load_and_unload(std::size_t rounds)
{
    int ran = 0;
    for (std::size_t round = 0; round < rounds; ++round) {
        void* plugin = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
        CHECK(plugin != nullptr);
        const auto start = find<decltype(&plugin_start)>(plugin, "plugin_start");
        const auto stop = find<decltype(&plugin_stop)>(plugin, "plugin_stop");
        execq_executor* executor = start(&ran);
        if (round % 2 == 0) {
            stop(executor);
        } else {
            void* library = dlopen(LIBEXECQ, RTLD_NOW | RTLD_LOCAL);  // as plug-ins are gone before their executors
            CHECK(library != nullptr && dlclose(plugin) == 0);
            find<void (*)(execq_executor*)>(library, "execq_executor_release")(executor);
            plugin = library;
        }
        CHECK(dlclose(plugin) == 0);
        void* there = dlopen(LIBEXECQ, RTLD_NOW | RTLD_NOLOAD);
        CHECK(there != nullptr && dlclose(there) == 0);
    }
    CHECK(ran == static_cast<int>(rounds) * PLUGIN_TASKS);
}

}  // namespace

TEST(UnloadStress, TheLibraryStaysWhilePluginsComeAndGo)
{
    const std::size_t rounds = stress_n(200, 20);
    std::vector<std::thread> crowd;
    for (unsigned i = 0; i < loaders; ++i)
        crowd.emplace_back(load_and_unload, rounds);
    for (std::thread& one : crowd)
        one.join();
}
