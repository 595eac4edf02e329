#include "sched/timekeeper.h"

#include <algorithm>
#include <csignal>
#include <new>
#include <pthread.h>
#include <utility>

#include "base/clock.h"
#include "sched/executor.h"
#include "task/callbacks.h"
#include "task/cancel.h"
#include "task/node_pool.h"

namespace execq::core {

namespace {

constexpr std::int64_t trim_after_ns = 100'000'000;  // without a timer
constexpr std::int64_t retry_ns = 10'000'000;        // where the executor could not take a run that is due

void free_sleep(Timer& timer)
{
    timer.~Timer();
    node_pool::free(&timer);
}

}  // namespace

Timekeeper::Timekeeper() : wheel_(now_ns()) {}

Timekeeper::Timekeeper(std::int64_t manual_now_ns) : manual_(true), at_ns_(manual_now_ns), wheel_(manual_now_ns, 1) {}

Timekeeper& Timekeeper::get()
{
    static PerProcess<Timekeeper> keeper;
    return *keeper;
}

namespace {

[[maybe_unused]] Timekeeper& made_when_loaded = Timekeeper::get();

}  // namespace

const InChild Timekeeper::in_child_([](void*) { on_its_thread_ = false; });

void Timer::withdraw() { keeper->withdraw(*this); }

// While one lives, a manual timekeeper does: what it counts may be the last thing that kept it.
class Timekeeper::Stay {
public:
    explicit Stay(Timekeeper& keeper) : keeper_(keeper)
    {
        if (keeper_.manual_)
            keeper_.references_.fetch_add(1, std::memory_order_relaxed);
    }
    ~Stay()
    {
        if (keeper_.manual_ && keeper_.references_.fetch_sub(1, std::memory_order_acq_rel) == 1)
            delete &keeper_;
    }
    Stay(const Stay&) = delete;
    Stay& operator=(const Stay&) = delete;

private:
    Timekeeper& keeper_;
};

// Inside a Stay, so that this frees nothing.
void Timekeeper::count(std::ptrdiff_t more)
{
    const bool had = timers_ != 0;
    timers_ += static_cast<std::size_t>(more);
    if (!manual_ || had == (timers_ != 0))
        return;
    references_.fetch_add(had ? ~std::uint32_t{0} : 1, std::memory_order_acq_rel);
}

// ---- any thread ----

execq_status Timekeeper::sleep(std::int64_t until_ns, Node** out, const ContextRef& context)
{
    const Stay stay(*this);
    void* record = node_pool::allocate();
    if (record == nullptr)
        return EXECQ_ENOMEM;
    Node* node = Node::make_sleep(context);
    if (node == nullptr) {
        node_pool::free(record);
        return EXECQ_ENOMEM;
    }
    auto* timer = new (record) Timer(*node);
    (void)timer->stage.let_go();
    timer->keeper = this;
    node->enter_sleep(*timer);
    execq_status status = EXECQ_OK;
    bool wake = false;
    {
        const MutexLock lock(mutex_);
        status = have_thread();
        if (status == EXECQ_OK) {
            count(1);
            wake = schedule(*timer, until_ns);
        }
    }
    if (status != EXECQ_OK) {
        free_sleep(*timer);
        node->discard();
        return status;
    }
    wake_if(wake);
    *out = node;
    return EXECQ_OK;
}

execq_status Timekeeper::enlist(std::size_t n)
{
    const MutexLock lock(mutex_);
    const execq_status status = have_thread();
    if (status == EXECQ_OK)
        count(static_cast<std::ptrdiff_t>(n));
    return status;
}

void Timekeeper::resign(std::size_t n)
{
    const Stay stay(*this);
    const MutexLock lock(mutex_);
    count(-static_cast<std::ptrdiff_t>(n));
}

void Timekeeper::keep(TaskTimer& timer)
{
    const Stay stay(*this);
    bool over = false;
    bool wake = false;
    {
        const MutexLock lock(mutex_);
        over = !timer.stage.let_go();
        if (over) {
            count(-1);
        } else {
            wake = timer.executor != nullptr ? lay_down(timer, *timer.executor, timer.times.due_ns)
                                             : schedule(timer, timer.times.limit_ns());
        }
    }
    wake_if(wake);
    if (over)
        end(timer);
}

void Timekeeper::cancel_late(TaskTimer& timer)
{
    Node& node = *timer.node;
    node.forget_timer();
    {
        const CallbackScope scope;
        node.drop_env();
        node.settle_canceled(Reference::give);
    }
    resign(1);
}

void Timekeeper::refuse_delayed(HookList<DelayLink>& delayed)
{
    bool wake = false;
    {
        const MutexLock lock(mutex_);
        delayed.for_each([&](DelayLink& link) EXECQ_NO_ANALYSIS {
            auto& timer = static_cast<TaskTimer&>(link);
            if (!timer.scheduled())  // the thread is at it, and is refused by the executor
                return;
            wheel_.remove(timer);
            wake = schedule(timer, 0) || wake;
        });
    }
    wake_if(wake);
}

bool Timekeeper::rest(Node& node, Executor& executor)
{
    if (executor.accept_delayed(1) != EXECQ_OK) {
        node.request_cancel(EXECQ_REASON_SHUTDOWN);  // only names the reason
        return false;
    }
    TaskTimer& timer = *node.task_timer();
    bool rests = false;
    bool wake = false;
    {
        const MutexLock lock(mutex_);
        rests = node.try_rest();
        if (rests) {
            timer.times.start_by_ns = TimerWheel::never;
            timer.times.due_ns = timer.times.next_due_ns(now());
            wake = lay_down(timer, executor, timer.times.due_ns);
        }
    }
    // From here on the series may be anywhere.
    wake_if(wake);
    if (!rests)
        executor.delay_ended();
    return rests;
}

bool Timekeeper::lay_down(TaskTimer& timer, Executor& executor, std::int64_t at_ns)
{
    timer.executor = &executor;
    executor.delayed().push_back(timer);
    if (timer.stage.held())
        return false;  // the thread is about to look at it
    if (timer.scheduled())
        wheel_.remove(timer);
    // An executor that has closed meanwhile may have looked at its list already.
    return schedule(timer, executor.open() ? std::min(at_ns, timer.times.limit_ns()) : 0);
}

void Timekeeper::withdraw(Timer& timer)
{
    const Stay stay(*this);
    {
        const MutexLock lock(mutex_);
        if (!timer.stage.withdraw())
            return;
        take_out(timer);
    }
    end(timer);
}

void Timekeeper::take_out(Timer& timer)
{
    if (timer.scheduled())
        wheel_.remove(timer);
    TaskTimer* task = timer.node->task_timer();
    if (task != nullptr && task->executor != nullptr)
        task->executor->delayed().remove(*task);
    count(-1);
}

Executor* Timekeeper::let_go(TaskTimer& timer)
{
    Executor* executor = std::exchange(timer.executor, nullptr);
    if (executor != nullptr)
        executor->delayed().remove(timer);
    return executor;
}

// Nobody else knows the timer any more.
void Timekeeper::end(Timer& timer)
{
    Node& node = *timer.node;
    TaskTimer* task = node.task_timer();
    Executor* executor = task != nullptr ? task->executor : nullptr;
    Turnstile* turnstile = executor != nullptr ? node.turnstile() : nullptr;
    if (task == nullptr)
        free_sleep(timer);
    node.release();
    if (executor != nullptr) {
        node.release();
        executor->delay_ended();
    }
    if (turnstile != nullptr)
        turnstile->drop_use();
}

bool Timekeeper::schedule(Timer& timer, std::int64_t at_ns)
{
    wheel_.insert(timer, at_ns);
    if (at_ns >= wakes_at_ns_)  // most often; while the thread is awake it is 0
        return false;
    const std::int64_t next = wheel_.next_deadline();
    if (next >= wakes_at_ns_)
        return false;
    wakes_at_ns_ = next;
    turn_.advance();
    return true;
}

void Timekeeper::wake_if(bool wanted)
{
    if (wanted)
        turn_.wake_one();
}

// ---- the thread ----

execq_status Timekeeper::have_thread()
{
    if (running_ || manual_)
        return EXECQ_OK;
    // The thread inherits the mask: it never runs the program's signal handlers.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread{};
    const int error = pthread_create(&thread, nullptr, thread_main, this);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (error != 0)
        return EXECQ_EAGAIN;
    pthread_detach(thread);
    running_ = true;
    wakes_at_ns_ = 0;
    return EXECQ_OK;
}

void* Timekeeper::thread_main(void* keeper)
{
    pthread_setname_np(pthread_self(), "execq-timer");
    on_its_thread_ = true;
    static_cast<Timekeeper*>(keeper)->work();
    return nullptr;
}

void Timekeeper::work()
{
    while (await_due(due_))
        see_to_due();
}

void Timekeeper::see_to_due()
{
    while (TimerEntry* entry = due_.front()) {
        due_.remove(*entry);
        see_to(static_cast<Timer&>(*entry));
    }
}

void Timekeeper::catch_up()
{
    {
        const MutexLock lock(mutex_);
        take_due(due_);
    }
    see_to_due();
}

bool Timekeeper::await_due(HookList<TimerEntry>& due)
{
    std::int64_t idle_since = 0;
    bool trimmed = false;
    for (;;) {
        std::uint32_t turn = 0;
        std::int64_t until = 0;
        {
            const MutexLock lock(mutex_);
            timers_ -= std::exchange(ended_, 0);
            const std::int64_t now = now_ns();
            take_due(due);
            if (!due.empty()) {
                wakes_at_ns_ = 0;
                return true;
            }
            if (idle_since == 0 || timers_ != 0)
                idle_since = now;
            if (timers_ == 0 && now - idle_since >= idle_ns_) {
                running_ = false;
                return false;
            }
            // Timers that are in no wheel may end, and then this may be idle, without a wake.
            until =
                std::min(wheel_.next_deadline(), idle_since + (trimmed ? idle_ns_ : std::min(idle_ns_, trim_after_ns)));
            turn = turn_.now();
            wakes_at_ns_ = until;
        }
        turn_.sleep(turn, Deadline::at(until));
        if (!trimmed && now_ns() >= idle_since + trim_after_ns) {
            trimmed = true;
            while (node_pool::trim()) {
            }
        }
    }
}

void Timekeeper::take_due(HookList<TimerEntry>& due)
{
    wheel_.advance(now(), [&due](TimerEntry& entry) {
        static_cast<Timer&>(entry).stage.hold();
        due.push_back(entry);
    });
}

// ---- a clock that is moved by hand ----

std::int64_t Timekeeper::next_ns()
{
    const MutexLock lock(mutex_);
    return fired_.empty() ? wheel_.next_deadline() : now();
}

bool Timekeeper::fire()
{
    const Stay stay(*this);
    TimerEntry* entry = nullptr;
    {
        const MutexLock lock(mutex_);
        if (fired_.empty())
            take_due(fired_);
        entry = fired_.front();
        if (entry != nullptr)
            fired_.remove(*entry);
    }
    if (entry == nullptr)
        return false;
    see_to(static_cast<Timer&>(*entry));
    const MutexLock lock(mutex_);
    const std::size_t ended = std::exchange(ended_, 0);  // the thread's, which is who fires
    if (ended != 0)
        count(-static_cast<std::ptrdiff_t>(ended));
    return true;
}

void Timekeeper::retire()
{
    const Stay stay(*this);
    for (;;) {
        Timer* timer = nullptr;
        {
            const MutexLock lock(mutex_);
            wheel_.advance(TimerWheel::never, [this](TimerEntry& entry) EXECQ_NO_ANALYSIS {
                static_cast<Timer&>(entry).stage.hold();
                fired_.push_back(entry);
            });
            TimerEntry* entry = fired_.front();
            if (entry == nullptr)
                break;
            fired_.remove(*entry);
            timer = static_cast<Timer*>(entry);
            // What a task still has of times never comes, and its end takes them along.
        }
        Node& node = *timer->node;
        node.retain();
        go_on_with(*timer, TimerWheel::never);
        if (node.task_timer() == nullptr)
            (void)cancel_unstarted(node, EXECQ_REASON_SHUTDOWN);
        node.release();
    }
    references_.fetch_sub(1, std::memory_order_acq_rel);  // the owner's; ours is left
}

// ---- what is due ----

void Timekeeper::see_to(Timer& timer)
{
    TaskTimer* task = timer.node->task_timer();
    if (task == nullptr)
        see_to_sleep(timer);
    else if (task->times.repeats())
        see_to_series(*task);
    else
        see_to_task(*task);
}

void Timekeeper::see_to_sleep(Timer& timer)
{
    Node& node = *timer.node;
    if (!node.try_claim_sleep()) {  // canceled meanwhile
        go_on_with(timer, TimerWheel::never);
        return;
    }
    node.forget_timer();
    free_sleep(timer);
    ++ended_;
    node.settle_value(nullptr, Reference::give);
}

void Timekeeper::see_to_task(TaskTimer& timer)
{
    Node& node = *timer.node;
    TaskTimes& times = timer.times;
    Executor* executor = timer.executor;
    const std::int64_t now = this->now();
    const bool up = times.limit_ns() <= now;
    bool handed_in = false;
    if (executor != nullptr && !up && times.due_ns <= now) {
        timer.due.store(true, std::memory_order_release);
        handed_in = executor->hand_in(node) == EXECQ_OK;
    }
    if (executor != nullptr) {
        if (!handed_in)
            cancel_unstarted(node, up ? EXECQ_REASON_DEADLINE : EXECQ_REASON_SHUTDOWN);
        end_delay(timer, handed_in);
    } else if (up && !cancel_unstarted(node, EXECQ_REASON_DEADLINE)) {
        times.start_by_ns = TimerWheel::never;
        if (times.end_by_ns <= now) {
            times.end_by_ns = TimerWheel::never;
            (void)cancel(node, EXECQ_REASON_DEADLINE);
        }
    }
    go_on_with(timer, times.limit_ns());
}

void Timekeeper::end_delay(TaskTimer& timer, bool handed_in)
{
    Executor* executor = nullptr;
    Turnstile* turnstile = timer.node->turnstile();
    {
        const MutexLock lock(mutex_);
        executor = let_go(timer);
    }
    if (!handed_in)
        timer.node->release();
    executor->delay_ended();
    if (turnstile != nullptr)
        turnstile->drop_use();
}

// Gives a timer back that the thread held.
void Timekeeper::go_on_with(Timer& timer, std::int64_t next_ns)
{
    {
        const MutexLock lock(mutex_);
        if (timer.stage.let_go()) {
            if (next_ns != TimerWheel::never)
                (void)schedule(timer, next_ns);  // by the thread itself
            return;
        }
        count(-1);
    }
    end(timer);
}

void Timekeeper::see_to_series(TaskTimer& timer)
{
    Node& node = *timer.node;
    Turn turn;
    {
        const MutexLock lock(mutex_);
        turn = begin_turn(timer);
    }
    switch (turn.kind) {
    case Turn::Kind::none:
        break;
    case Turn::Kind::over:
        end(timer);
        break;
    case Turn::Kind::asked:
        node.tell_cancel();
        node.release();
        break;
    case Turn::Kind::due:
        hand_in(timer, *turn.executor);
        break;
    case Turn::Kind::claimed:
        end_canceled(node);
        if (turn.executor != nullptr) {
            node.release();
            turn.executor->delay_ended();
        }
        break;
    }
}

Timekeeper::Turn Timekeeper::begin_turn(TaskTimer& timer)
{
    if (!timer.stage.let_go()) {
        take_out(timer);
        return {Turn::Kind::over};
    }
    Node& node = *timer.node;
    TaskTimes& times = timer.times;
    const std::int64_t now = this->now();
    bool asked = false;
    if (times.limit_ns() <= now) {
        if (node.try_claim_cancel(EXECQ_REASON_DEADLINE))
            return {Turn::Kind::claimed, let_go(timer)};
        times.start_by_ns = TimerWheel::never;
        if (times.end_by_ns <= now) {
            times.end_by_ns = TimerWheel::never;
            asked = node.request_cancel(EXECQ_REASON_DEADLINE);
        }
    } else if (timer.executor != nullptr && !timer.executor->open()) {
        if (node.try_claim_cancel(EXECQ_REASON_SHUTDOWN))
            return {Turn::Kind::claimed, let_go(timer)};
    }
    const bool rests = timer.executor != nullptr;
    const bool due = rests && times.due_ns <= now;
    Turn turn = due ? Turn{Turn::Kind::due, let_go(timer)} : Turn{};
    if (asked) {  // it runs, so it does not rest
        node.retain();
        turn.kind = Turn::Kind::asked;
    }
    const std::int64_t next = rests && !due ? std::min(times.due_ns, times.limit_ns()) : times.limit_ns();
    if (next != TimerWheel::never)
        (void)schedule(timer, next);  // by the thread itself
    return turn;
}

// The run that is due. Once the executor has it, the series may end at any moment.
void Timekeeper::hand_in(TaskTimer& timer, Executor& executor)
{
    Node& node = *timer.node;
    const execq_status status = executor.hand_in(node);
    if (status != EXECQ_OK) {
        // For want of memory, or of a first thread, a run is late, but the series is not lost.
        if (status != EXECQ_ECLOSED && put_back(timer, executor))
            return;
        cancel_unstarted(node, EXECQ_REASON_SHUTDOWN);
        node.release();
    }
    executor.delay_ended();
}

// False: somebody has canceled the series.
bool Timekeeper::put_back(TaskTimer& timer, Executor& executor)
{
    const MutexLock lock(mutex_);
    if (timer.node->phase() != Phase::pending)  // who claimed it later withdraws the timer later, too
        return false;
    (void)lay_down(timer, executor, now() + retry_ns);  // by the thread itself
    return true;
}

Timekeeper::Usage Timekeeper::usage()
{
    const MutexLock lock(mutex_);
    return {timers_, wheel_.size(), running_};
}

void Timekeeper::set_idle(std::int64_t idle_ns)
{
    {
        const MutexLock lock(mutex_);
        idle_ns_ = idle_ns;
        wakes_at_ns_ = 0;
        turn_.advance();
    }
    wake_if(true);
}

}  // namespace execq::core
