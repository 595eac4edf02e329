#include "lanes.h"

namespace fuzz {

void Lanes::Helper::start(unsigned lane)
{
    std::thread([this, lane] { live(lane); }).detach();
}

void Lanes::Helper::live(unsigned lane)
{
    this_lane = static_cast<int>(lane);
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return work_ != nullptr; });
        lock.unlock();
        work_(env_);
        lock.lock();
        work_ = nullptr;
        changed_.notify_all();
    }
}

void Lanes::Helper::begin(LaneWork work, void* env)
{
    const std::lock_guard lock(mutex_);
    work_ = work;
    env_ = env;
    changed_.notify_all();
}

void Lanes::Helper::finish()
{
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return work_ == nullptr; });
}

Lanes::Lanes()
{
    this_lane = 0;
    for (unsigned i = 1; i < max_lanes; ++i)
        helpers_[i].start(i);
}

Lanes& Lanes::all()
{
    static auto* const lanes = new Lanes;  // its threads never end
    return *lanes;
}

void Lanes::run_all(unsigned n, LaneWork work, void* env)
{
    for (unsigned i = 1; i < n; ++i)
        helpers_[i].begin(work, env);
    work(env);
    for (unsigned i = 1; i < n; ++i)
        helpers_[i].finish();
}

void Lanes::run_on(unsigned lane, LaneWork work, void* env)
{
    if (lane == 0) {
        work(env);
        return;
    }
    helpers_[lane].begin(work, env);
    helpers_[lane].finish();
}

}  // namespace fuzz
