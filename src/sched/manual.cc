#include "sched/manual.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "base/immortal.h"
#include "base/thread_waits.h"
#include "sched/executor.h"
#include "sched/loop_place.h"
#include "sched/worker.h"
#include "task/callbacks.h"
#include "task/cancel.h"

namespace execq::core {

namespace {

constexpr std::int64_t look_again_ns = 1'000'000;
constexpr int look_again_ms = 1;

struct All {
    Mutex mutex;
    HookList<Manual> list EXECQ_GUARDED_BY(mutex);
};

All& all()
{
    static PerProcess<All> instance;
    return *instance;
}

[[maybe_unused]] All& made_when_loaded = all();

// Turns over threads, as owners of manual executors.
std::atomic<std::uint64_t> last_thread{0};
std::atomic<std::uint64_t> last_turn{0};

// Never 0, and never used again.
std::uint64_t this_thread_id()
{
    static thread_local constinit std::uint64_t id = 0;
    if (id == 0)
        id = last_thread.fetch_add(1, std::memory_order_relaxed) + 1;
    return id;
}

std::uint64_t next_turn() { return last_turn.fetch_add(1, std::memory_order_relaxed) + 1; }

std::int64_t later(std::int64_t at_ns, std::int64_t by_ns)
{
    return by_ns > TimerWheel::never - 1 - at_ns ? TimerWheel::never - 1 : at_ns + by_ns;
}

}  // namespace

Manual::Use::~Use()
{
    if (manual_ != nullptr)
        manual_->executor_.drop_use();
}

// ---- who steps ----

// A thread at it; nested where it is already.
class Manual::Stepping {
public:
    explicit Stepping(Manual& manual) : manual_(manual)
    {
        const std::uint64_t self = this_thread_id();
        std::uint64_t nobody = 0;
        nested_ = manual.stepper_.load(std::memory_order_relaxed) == self;
        if (!nested_ && !manual.stepper_.compare_exchange_strong(nobody, self, std::memory_order_seq_cst)) {
            status_ = EXECQ_EBUSY;
            return;
        }
        if (!nested_ && manual.place_thread_ != 0 && manual.place_thread_ != self) {
            manual.stepper_.store(0, std::memory_order_seq_cst);
            status_ = EXECQ_EBUSY;
            return;
        }
        if (!nested_ && manual.owner_.load(std::memory_order_relaxed) != self) {
            manual.owner_.store(self, std::memory_order_relaxed);
            manual.made_or_stepped_.store(next_turn(), std::memory_order_relaxed);
        }
        manual.executor_.uses_.fetch_add(1, std::memory_order_relaxed);
    }
    // Of who dropped the last handle meanwhile and who ends a step, one sees the other.
    ~Stepping()
    {
        if (status_ != EXECQ_OK)
            return;
        if (!nested_) {
            if (manual_.abandoned_.load(std::memory_order_seq_cst))
                manual_.finish();
            manual_.stepper_.store(0, std::memory_order_seq_cst);
            if (manual_.abandoned_.load(std::memory_order_seq_cst))
                manual_.abandon();
        }
        manual_.executor_.drop_use();
    }
    Stepping(const Stepping&) = delete;
    Stepping& operator=(const Stepping&) = delete;

    execq_status status() const { return status_; }

private:
    Manual& manual_;
    bool nested_ = false;
    execq_status status_ = EXECQ_OK;
};

// The thread is the executor's worker.
class Manual::Visit {
public:
    explicit Visit(Manual& manual)
        : worker_(manual.executor_.workers_[0]),
          worker_before_(std::exchange(this_thread.worker, &worker_)),
          left_before_(std::exchange(this_thread.left, worker_.left())),
          served_before_(std::exchange(this_thread.served, manual.executor_.serial()))
    {
        worker_.note_visitor();
        worker_.note_loop(ThreadLoop::current());
        if (worker_before_ == &worker_)
            return;
        // The loop of a worker that is none of a manual executor's is not ours to use, nor one that we are not on.
        const bool lent =
            worker_before_ != nullptr && (worker_before_->executor().manual() == nullptr || worker_before_->loop_over);
        worker_.loop_over = lent || (manual.place_thread_ != 0 && manual.place_thread_ != this_thread_id());
    }
    ~Visit()
    {
        this_thread.worker = worker_before_;
        this_thread.left = left_before_;
        this_thread.served = served_before_;
        if (worker_before_ != nullptr && worker_before_->loop() != ThreadLoop::current())
            worker_before_->note_loop(ThreadLoop::current());
    }
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;

    Worker& worker() const { return worker_; }

private:
    Worker& worker_;
    Worker* const worker_before_;
    std::uint8_t* const left_before_;
    const std::uint64_t served_before_;
};

// A child steps nothing that was there before.
const InChild Manual::in_child_([](void*) { how_many_.store(0, std::memory_order_relaxed); });

// ---- life ----

execq_status Manual::make(const ManualOptions& options, const ManualSpec& spec, Executor** out)
{
    ExecutorSpec executor;
    executor.name = options.name;
    executor.capacity = options.capacity;
    executor.full_policy = options.full_policy;
    executor.max_threads = 1;
    executor.loop_workers = 1;
    executor.max_spares = -1;
    executor.manual = &spec;
    return Executor::make(executor, out);
}

Manual::Manual(Executor& executor, const ManualSpec& spec)
    : executor_(executor),
      keeper_(*Timekeeper::make_manual()),
      seed_(spec.seed),
      stands_still_(spec.stands_still),
      state_(spec.seed),
      owner_(this_thread_id()),
      made_or_stepped_(next_turn())
{
    const MutexLock lock(all().mutex);
    all().list.push_back(*this);
    how_many_.fetch_add(1, std::memory_order_relaxed);
}

Manual::~Manual()
{
    {
        const MutexLock lock(all().mutex);
        all().list.remove(*this);
        how_many_.fetch_sub(1, std::memory_order_relaxed);
    }
    keeper_.retire();
}

bool Manual::is_here() const { return owner_.load(std::memory_order_relaxed) == this_thread_id(); }

Manual::Use Manual::next_here(std::uint64_t after)
{
    const MutexLock lock(all().mutex);
    Manual* first = nullptr;
    all().list.for_each([&](Manual& manual) {
        if (manual.is_here() && manual.executor_.serial() > after &&
            (first == nullptr || manual.executor_.serial() < first->executor_.serial()))
            first = &manual;
    });
    return first != nullptr && first->executor_.try_retain_use() ? Use(*first) : Use();
}

bool Manual::find_here() { return static_cast<bool>(next_here(0)); }

bool Manual::has_here(std::uint16_t executor_id)
{
    std::uint64_t after = 0;
    while (const Use manual = next_here(after)) {
        if (manual->executor_.id() == executor_id)
            return true;
        after = manual->executor_.serial();
    }
    return false;
}

Manual::Use Manual::of_this_thread()
{
    if (how_many_.load(std::memory_order_relaxed) == 0) [[likely]]
        return {};
    const Worker* worker = Worker::current();
    if (worker != nullptr && worker->executor().manual() != nullptr)
        return worker->executor().try_retain_use() ? Use(*worker->executor().manual()) : Use();
    Use newest;
    std::uint64_t after = 0;
    while (Use manual = next_here(after)) {
        after = manual->executor_.serial();
        if (!newest || manual->made_or_stepped_.load(std::memory_order_relaxed) >
                           newest->made_or_stepped_.load(std::memory_order_relaxed))
            newest = std::move(manual);
    }
    return newest;
}

// ---- stepping ----

execq_status Manual::step(bool& ran)
{
    ran = false;
    run_queued();
    const Stepping stepping(*this);
    if (stepping.status() != EXECQ_OK)
        return stepping.status();
    Visit visit(*this);
    ran = run_one(visit);
    return EXECQ_OK;
}

// For who goes on after a body that may have released the last handle.
Manual::Use Manual::use_of()
{
    executor_.uses_.fetch_add(1, std::memory_order_relaxed);
    return Use(*this);
}

execq_status Manual::run(std::uint64_t& ran)
{
    ran = 0;
    const Use use = use_of();
    for (bool again = true; again; ran += again ? 1 : 0) {
        const execq_status status = step(again);
        if (status != EXECQ_OK)
            return status;
    }
    return EXECQ_OK;
}

// To the next time that something is due, but not beyond that one. False: there it is.
bool Manual::move_on(std::int64_t until_ns)
{
    const std::int64_t now = keeper_.now();
    const std::int64_t due = std::max(keeper_.next_ns(), now);
    keeper_.move_to(std::max(now, std::min(due, until_ns)));
    return due <= until_ns;
}

execq_status Manual::advance(std::int64_t by_ns)
{
    run_queued();
    const Stepping stepping(*this);
    if (stepping.status() != EXECQ_OK)
        return stepping.status();
    const Visit visit(*this);
    const std::int64_t until = later(keeper_.now(), by_ns);
    do {
        while (keeper_.fire()) {
        }
    } while (move_on(until));
    return EXECQ_OK;
}

execq_status Manual::run_for(std::int64_t by_ns, std::uint64_t& ran)
{
    ran = 0;
    const Use use = use_of();
    const std::int64_t until = later(keeper_.now(), by_ns);
    for (bool more = true; more;) {
        std::uint64_t ran_now = 0;
        const execq_status status = run(ran_now);
        ran += ran_now;
        if (status != EXECQ_OK)
            return status;
        const Stepping stepping(*this);
        if (stepping.status() != EXECQ_OK)
            return stepping.status();
        more = move_on(until);
    }
    return EXECQ_OK;
}

bool Manual::run_one(Visit& visit)
{
    Worker& worker = visit.worker();
    while (keeper_.fire()) {
    }
    turn_loop();
    for (;;) {
        const Item item = take();
        if (!item) {
            settle_place();
            return false;
        }
        const bool runs =
            executor_.mode() != Executor::Mode::canceling && (!item.is_node() || item.node().phase() == Phase::pending);
        {
            struct End {
                Manual& manual;
                ~End() { manual.settle_place(); }
            };
            const End end{*this};
            executor_.dispose_stepped(worker, item);
        }
        if (runs)
            return true;
    }
}

// What is on it may hand tasks in, and end others.
void Manual::turn_loop()
{
    ThreadLoop* loop = ThreadLoop::current();
    if (!executor_.workers_[0].place_open || loop == nullptr || loop->running())
        return;
    loop->run_nowait();
    run_queued();
    while (keeper_.fire()) {
    }
}

// After anything that may have begun, or ended, an asynchronous task.
void Manual::settle_place()
{
    Worker& worker = executor_.workers_[0];
    if (place_thread_ != 0 && place_thread_ != this_thread_id())
        return;
    if (worker.place_open && !drives_) {
        drives_.emplace(*ThreadLoop::current());
        place_thread_ = this_thread_id();
    }
    if (worker.place_open && !worker.place_used() && !ThreadLoop::current()->running()) {
        worker.place_open = false;
        worker.place()->close();
        drives_.reset();
        place_thread_ = 0;
    }
    executor_.settle_slot(worker);
}

std::uint64_t Manual::random()
{
    state_ += 0x9e37'79b9'7f4a'7c15;
    std::uint64_t mixed = state_;
    mixed = (mixed ^ (mixed >> 30)) * 0xbf58'476d'1ce4'e5b9;
    mixed = (mixed ^ (mixed >> 27)) * 0x94d0'49bb'1331'11eb;
    return mixed ^ (mixed >> 31);
}

Item Manual::take()
{
    if (seed_ == 0)
        return executor_.find_for_visitor(executor_.workers_[0]);
    gather();
    if (taken() == 0)  // nothing is there, or no memory to choose in
        return executor_.find_for_visitor(executor_.workers_[0]);
    const MutexLock lock(taken_mutex_);
    const auto at = taken_.begin() + static_cast<std::ptrdiff_t>(random() % taken_.size());
    const Item item = *at;
    taken_.erase(at);
    return item;
}

// Everything that is in the executor's queues, in its order. Where memory is out the rest stays there.
void Manual::gather()
{
    for (;;) {
        {
            const MutexLock lock(taken_mutex_);
            try {
                if (taken_.size() == taken_.capacity())
                    taken_.reserve(std::max<std::size_t>(2 * taken_.size(), 16));
            } catch (const std::exception&) {
                return;
            }
        }
        const Item item = executor_.find_for_visitor(executor_.workers_[0]);
        if (!item)
            return;
        const MutexLock lock(taken_mutex_);
        taken_.push_back(item);
    }
}

std::size_t Manual::taken()
{
    const MutexLock lock(taken_mutex_);
    return taken_.size();
}

// ---- the end ----

bool Manual::drained()
{
    const Worker& worker = executor_.workers_[0];
    return executor_.delayed_count_.load(std::memory_order_acquire) == 0 &&
           stepper_.load(std::memory_order_acquire) == 0 && !worker.place_used() && taken() == 0 &&
           !executor_.work_visible() && !executor_.loop_tasks_wait();
}

execq_status Manual::join(Deadline deadline)
{
    struct Drain final : Awaited {
        explicit Drain(Manual& one) : manual(one) {}
        bool done() override { return manual.drained(); }
        bool ours() override { return manual.is_here() && !manual.executor_.workers_[0].place_used(); }
        bool takes_real_time() override { return !manual.is_here(); }
        void sleep(Deadline until) override { sleep_until(until); }
        Manual& manual;
    };
    Drain drain(*this);
    return await(drain, deadline);
}

void Manual::abandon()
{
    abandoned_.store(true, std::memory_order_seq_cst);
    const std::uint64_t self = this_thread_id();
    if (stepper_.load(std::memory_order_seq_cst) == self)
        return;  // the end of that step sees to it
    std::uint64_t nobody = 0;
    if (!stepper_.compare_exchange_strong(nobody, self, std::memory_order_seq_cst))
        return;
    finish();
    stepper_.store(0, std::memory_order_seq_cst);
}

// Nobody has a handle.
void Manual::finish()
{
    if (std::exchange(finished_, true))
        return;
    const bool elsewhere = place_thread_ != 0 && place_thread_ != this_thread_id();
    Visit visit(*this);
    while (run_one(visit)) {
    }
    Worker& worker = visit.worker();
    if (!worker.place_used() || elsewhere)
        return;
    // Nobody turns the loop for those that are open any more.
    worker.place()->ask_all();
    turn_loop();
    settle_place();
    if (worker.place_open && !ThreadLoop::current()->running()) {
        worker.place_open = false;
        worker.place()->close();
        drives_.reset();
        place_thread_ = 0;
    }
}

// ---- waits ----

// One task of any of the thread's own. any: there are some.
bool Manual::step_all(bool& any)
{
    any = false;
    std::uint64_t after = 0;
    while (const Use manual = next_here(after)) {
        any = true;
        after = manual->executor_.serial();
        bool ran = false;
        if (manual->step(ran) == EXECQ_OK && ran)
            return true;
    }
    return false;
}

// All by the same time: to what is due first, or to that point on this one's clock. False: neither is to come.
bool Manual::jump(const Manual& clock, std::int64_t until_ns)
{
    std::int64_t by = until_ns == TimerWheel::never ? TimerWheel::never : until_ns - clock.keeper_.now();
    std::uint64_t after = 0;
    while (const Use manual = next_here(after)) {
        after = manual->executor_.serial();
        const std::int64_t due = manual->keeper_.next_ns();
        if (!manual->stands_still_ && due != TimerWheel::never)
            by = std::min(by, std::max<std::int64_t>(due - manual->keeper_.now(), 0));
    }
    if (by == TimerWheel::never)
        return false;
    after = 0;
    while (const Use manual = next_here(after)) {
        after = manual->executor_.serial();
        const Stepping stepping(*manual);
        if (stepping.status() == EXECQ_OK && !manual->stands_still_)
            manual->keeper_.move_to(later(manual->keeper_.now(), by));
    }
    return true;
}

bool Manual::holds_place() const { return executor_.workers_[0].place_used(); }

// What happens on the loop happens in its own time. False: nothing will by itself.
bool Manual::wait_on_loop(bool in_any_case)
{
    ThreadLoop* loop = ThreadLoop::current();
    if (loop == nullptr || loop->running() || !loop->alive())
        return false;
    bool wanted = in_any_case;
    std::uint64_t after = 0;
    while (const Use manual = next_here(after)) {
        after = manual->executor_.serial();
        wanted = wanted || manual->holds_place();
    }
    if (!wanted)
        return false;
    const int quiet_ms = loop->quiet_ms();
    if (quiet_ms != 0)
        (void)loop->sleep(quiet_ms < 0 ? look_again_ms : std::min(quiet_ms, look_again_ms));
    if (in_any_case)
        loop->run_nowait();  // else a step does
    return true;
}

execq_status Manual::await(Awaited& awaited, Deadline deadline)
{
    const Use clock = of_this_thread();
    const bool bounded = clock && !deadline.never() && !awaited.takes_real_time();
    const std::int64_t until = bounded ? later(clock->keeper_.now(), deadline.timeout_ns()) : TimerWheel::never;
    for (;;) {
        run_queued();
        if (awaited.done())
            return EXECQ_OK;
        bool any = false;
        const bool ran = step_all(any);
        run_queued();
        if (awaited.done())
            return EXECQ_OK;
        if (deadline.only_look() || (!bounded && deadline.passed()))
            return EXECQ_ETIMEDOUT;
        if (ran || wait_on_loop(awaited.drives_loop()))
            continue;
        if (bounded && clock->keeper_.now() >= until)
            return EXECQ_ETIMEDOUT;
        if (bounded && clock->stands_still_)
            return EXECQ_EDEADLK;
        if (any && !awaited.takes_real_time() && jump(*clock, until))
            continue;
        if (awaited.ours())
            return EXECQ_EDEADLK;
        const ThreadWaits::Scope blocked;
        awaited.sleep(Deadline::at(now_ns() + look_again_ns));
    }
}

}  // namespace execq::core
