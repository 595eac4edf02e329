// How a worker falls asleep: it spins for what may come, naps while others have tasks that may stand still, then sleeps in
// steps, each with something to do first. The order of its looks and notes: see schedule.cc.
#include <array>
#include <utility>

#include "base/spin.h"
#include "sched/executor.h"
#include "task/node_pool.h"

namespace execq::core {

namespace {

constexpr std::uint32_t patient_misses = 16;
constexpr std::int64_t spin_ns = 10'000;        // how long one worker stays awake for what may come
constexpr unsigned spin_pauses = 16;            // between two looks: what comes faster is taken together
constexpr std::int64_t short_wake_ns = 50'000;  // not worth a wake
constexpr std::uint32_t many_fetches = 8;
constexpr std::int64_t fetch_ns = 25'000;  // at least so often
constexpr std::int64_t nap_ns = 100'000;
constexpr std::int64_t fence_after_ns = 1'000'000;   // asleep
constexpr std::int64_t trim_after_ns = 100'000'000;  // asleep

}  // namespace

// True: look again. False: leave.
bool Executor::rest(Worker& worker)
{
    if (worker.surplus) [[unlikely]]
        return true;
    if (look() == Sight::work) {
        // Somebody is between the two halves of a push, or of a fetch, and may have lost its processor there.
        if (++worker.turns.misses > patient_misses)
            StdAtomics::yield();
        return true;
    }
    return spin(worker) || lie(worker);
}

// One worker at a time stays awake for a moment, if a processor is left for those who submit. True: there is work.
bool Executor::spin(Worker& worker)
{
    if (roster_.awake() >= cpus_ || mode() != Mode::open || !roster_.try_begin_wake())
        return false;
    const bool visible = spin_for(spin_ns, spin_pauses, [this] { return work_seems_visible(); });
    roster_.end_wake(thread_limit());  // before the last look
    worker.turns.fresh = true;
    return visible || look() == Sight::work;
}

// True where the last wake was hardly worth it, as the others took what came many times over since the sleep before.
bool Executor::others_keep_up(Worker& worker)
{
    Worker::Turns& turns = worker.turns;
    const std::int64_t now = now_ns();
    const std::uint32_t fetches = others_fetches(worker);
    const std::uint32_t fetched = fetches - std::exchange(turns.others_fetches, fetches);
    const std::int64_t passed = now - std::exchange(turns.lain_ns, now);
    return roster_.awake() > 1 && now - turns.woken_ns < short_wake_ns && fetched >= many_fetches &&
           passed < fetched * fetch_ns;
}

std::uint32_t Executor::others_fetches(const Worker& worker) const
{
    std::uint32_t sum = 0;
    for_each_worker([&](const Worker& other) { sum += &other != &worker ? other.fetches() : 0; });
    return sum;
}

// Announces the sleep, or a nap: where another worker is there to do what comes, or has begun it.
Executor::Rest Executor::lie_down(Worker& worker)
{
    const bool nap = others_keep_up(worker) || look() == Sight::batches;
    const MutexLock lock(mutex_);
    if (mode() != Mode::open)
        return Rest::none;
    if (surplus() != 0)
        return Rest::aside;
    worker.napping = nap && !somebody_naps_;
    somebody_naps_ = somebody_naps_ || nap;
    worker.idle = true;
    worker.on_loop = false;
    idle_apart_.fetch_add(1, std::memory_order_seq_cst);
    if (worker.loop_slot)
        loop_slots_.add_idle_holder();
    idle_.push_front(worker);
    roster_.add_sleeper(worker.napping);
    return worker.napping ? Rest::nap : Rest::sleep;
}

// Takes the announcement back. False: somebody is waking the worker already.
bool Executor::get_up(Worker& worker)
{
    const MutexLock lock(mutex_);
    if (!worker.idle)
        return false;
    take_off_idle(worker);
    return true;
}

bool Executor::somebody_naps()
{
    const MutexLock lock(mutex_);
    return somebody_naps_;
}

// True: look again. False: leave.
bool Executor::lie(Worker& worker)
{
    const Rest rest = lie_down(worker);
    if (rest == Rest::none)
        return work_visible() || loop_work_for(worker);
    if (rest == Rest::aside)
        return worker.surplus = worker.attends = true;  // see stand_aside()
    const Sight sight = look();
    // Who naps watches over what others have fetched.
    if ((sight == Sight::work || (sight == Sight::batches && rest == Rest::sleep && !somebody_naps()) ||
         loop_work_for(worker)) &&
        get_up(worker)) {
        worker.turns.fresh = true;  // others may have relied on the nap
        return true;
    }
    const bool stays = rest == Rest::nap ? nap(worker) : sleep(worker);
    worker.turns.woken_ns = now_ns();
    return stays;
}

// Sleeps for moments, as long as all others get on with what they have fetched, and nothing else is there.
bool Executor::nap(Worker& worker)
{
    do {
        watch_others(worker);
        if (worker.parker().park(Deadline::after(nap_ns))) {
            arrive(worker);
            return true;
        }
    } while (look() == Sight::batches && !another_stands_still(worker));
    if (!get_up(worker))
        return sleep(worker);   // for a moment: somebody is about to wake us
    worker.turns.fresh = true;  // nobody was woken meanwhile
    return true;
}

// Until woken (true), or it is time to leave.
bool Executor::sleep(Worker& worker)
{
    const std::int64_t since = now_ns();
    for (const IdleStep& step : idle_steps_) {
        if (worker.parker().park(Deadline::at(since + step.after_ns))) {
            arrive(worker);
            return true;
        }
        const Next next = (this->*step.act)(worker);
        if (next != Next::sleep_on)
            return next == Next::look;
    }
    worker.parker().park();
    arrive(worker);
    return true;
}

std::array<Executor::IdleStep, 3> Executor::idle_steps(std::int64_t keepalive_ns)
{
    constexpr std::int64_t longest = std::numeric_limits<std::int64_t>::max() / 2;
    std::array<IdleStep, 3> steps{{
        {fence_after_ns, &Executor::look_behind_fence},
        {trim_after_ns, &Executor::trim_memory},
        {std::clamp<std::int64_t>(keepalive_ns, 0, longest), &Executor::leave_if_spare},
    }};
    std::sort(steps.begin(), steps.end(), [](const IdleStep& a, const IdleStep& b) { return a.after_ns < b.after_ns; });
    return steps;
}

Executor::Next Executor::look_behind_fence(Worker& worker)
{
    StdAtomics::heavy_fence();
    return work_visible() && get_up(worker) ? Next::look : Next::sleep_on;
}

Executor::Next Executor::trim_memory(Worker&)
{
    while (!work_visible() && (node_pool::trim() || BlockPool::trim())) {
    }
    return Next::sleep_on;
}

Executor::Next Executor::leave_if_spare(Worker& worker)
{
    const MutexLock lock(mutex_);
    if (!worker.idle || roster_.threads() - leaving_ <= min_threads_)
        return Next::sleep_on;
    take_off_idle(worker);
    worker.leaving = true;
    ++leaving_;
    return Next::leave;
}

}  // namespace execq::core
