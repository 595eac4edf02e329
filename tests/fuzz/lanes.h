// The threads that make calls: the one that runs the programs, and those that help it, for the whole process.
#pragma once

#include <array>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "world.h"

namespace fuzz {

using LaneWork = void (*)(void* env);

class Lanes {
public:
    // Runs work(env) on the first n of them at a time.
    void run_all(unsigned n, LaneWork work, void* env);
    // On one of them.
    void run_on(unsigned lane, LaneWork work, void* env);

    static Lanes& all();

private:
    class Helper {
    public:
        void start(unsigned lane);
        void begin(LaneWork work, void* env);
        void finish();

    private:
        void live(unsigned lane);

        std::mutex mutex_;
        std::condition_variable changed_;
        LaneWork work_ = nullptr;  // guarded by mutex_, as env_
        void* env_ = nullptr;
    };

    Lanes();

    std::array<Helper, max_lanes> helpers_;  // the first is not used: it is the thread that asks
};

}  // namespace fuzz
