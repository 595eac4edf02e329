#include "sched/interrupt.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <unistd.h>

#include "base/annotations.h"
#include "base/immortal.h"
#include "base/process.h"
#include "sched/body.h"

#ifndef sigev_notify_thread_id  // glibc has no name for it everywhere
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace execq::core {

namespace {

constexpr long at_once_ns = 1;
constexpr long first_repeat_ns = 100'000;
constexpr long longest_repeat_ns = 100'000'000;

sigset_t only(int signal)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, signal);
    return set;
}

bool is_default(const struct sigaction& action)
{
    return (action.sa_flags & SA_SIGINFO) == 0 && action.sa_handler == SIG_DFL;
}

// Null action: asks. False: there is no such signal.
bool exchange_action(int signal, const struct sigaction* action, struct sigaction& before)
{
    return sigaction(signal, action, &before) == 0;
}

// Held to choose the signal.
Mutex& choosing()
{
    static PerProcess<Mutex> mutex;
    return *mutex;
}

[[maybe_unused]] Mutex& made_when_loaded = choosing();

}  // namespace

// One running body, on its thread.
class Interrupter {
public:
    Interrupter() = default;
    ~Interrupter();
    Interrupter(const Interrupter&) = delete;
    Interrupter& operator=(const Interrupter&) = delete;

    // The signal, with its handler. 0: none is left.
    static int signal();
    // Called once. EXECQ_OK, EXECQ_EAGAIN (the kernel has no timer), EXECQ_ENOMEM.
    execq_status begin();
    void pause();
    void resume();

private:
    static int claim_signal();
    static void handle(int number, siginfo_t* info, void* context);
    static void ask(void* self);  // the cancel callback
    void set_timer(long after_ns) const;
    void start_signals() EXECQ_REQUIRES(mutex_);
    void repeat();
    bool block() const;
    void unblock() const;
    void take_off() const;

    timer_t timer_{};
    pid_t owner_ = 0;  // the process that has the timer; 0: none
    bool blocked_before_ = false;
    bool blocked_in_body_ = false;  // while paused
    execq_cancel_token token_ = 0;  // 0: no callback
    std::atomic<long> next_ns_{0};  // until the next repetition; the handler's, while signals come
    Mutex mutex_;
    bool asked_ EXECQ_GUARDED_BY(mutex_) = false;
    bool paused_ EXECQ_GUARDED_BY(mutex_) = false;
};

namespace {

std::int32_t run_interruptible(void* env, void** result)
{
    const Node& node = *running_node();
    Interrupter interrupter;
    const execq_status status = interrupter.begin();
    if (status != EXECQ_OK)
        return status;
    const UserCode user;
    return node.inner_fn()(env, result);
}

}  // namespace

int Interrupter::signal()
{
    static std::atomic<int> chosen{0};
    if (const int known = chosen.load(std::memory_order_acquire))
        return known;
    const MutexLock lock(choosing());
    if (chosen.load(std::memory_order_relaxed) == 0)
        chosen.store(claim_signal(), std::memory_order_release);
    return chosen.load(std::memory_order_relaxed);
}

// The last one is left to tools that run programs under them.
int Interrupter::claim_signal()
{
    struct sigaction ours {};
    ours.sa_sigaction = handle;
    ours.sa_flags = SA_SIGINFO | SA_ONSTACK;  // no SA_RESTART
    sigemptyset(&ours.sa_mask);
    for (int number = SIGRTMAX - 1; number >= SIGRTMIN; --number) {
        struct sigaction before {};
        if (!exchange_action(number, nullptr, before) || !is_default(before))
            continue;
        if (!exchange_action(number, &ours, before))
            continue;
        if (is_default(before))
            return number;
        (void)exchange_action(number, &before, before);  // somebody took it meanwhile
    }
    return 0;
}

void Interrupter::handle(int, siginfo_t* info, void*)
{
    if (info->si_code != SI_TIMER)
        return;
    Interrupter* self = this_thread.interrupter.load(std::memory_order_relaxed);
    if (self == nullptr || info->si_value.sival_ptr != self)
        return;
    const int kept = errno;
    self->repeat();
    errno = kept;
}

execq_status Interrupter::begin()
{
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = signal();
    event.sigev_value.sival_ptr = this;
    event.sigev_notify_thread_id = gettid();
    if (timer_create(CLOCK_MONOTONIC, &event, &timer_) != 0)
        return EXECQ_EAGAIN;
    owner_ = getpid();
    blocked_before_ = block();
    this_thread.interrupter.store(this, std::memory_order_relaxed);
    unblock();
    return on_cancel(ask, this, &token_);
}

Interrupter::~Interrupter()
{
    if (owner_ == 0)
        return;
    if (token_ != 0)
        (void)off_cancel(token_);  // nobody sets the timer any more, but for the handler
    (void)block();
    this_thread.interrupter.store(nullptr, std::memory_order_relaxed);
    if (getpid() == owner_)  // a child that was forked inside has no timer, or one of its own by that name
        (void)timer_delete(timer_);
    take_off();
    if (!blocked_before_)
        unblock();
}

void Interrupter::ask(void* self)
{
    auto& asked = *static_cast<Interrupter*>(self);
    const MutexLock lock(asked.mutex_);
    asked.asked_ = true;
    if (!asked.paused_)
        asked.start_signals();
}

void Interrupter::pause()
{
    blocked_in_body_ = block();
    {
        const MutexLock lock(mutex_);
        paused_ = true;
    }
    this_thread.interrupter.store(nullptr, std::memory_order_relaxed);
    set_timer(0);
    take_off();
}

void Interrupter::resume()
{
    this_thread.interrupter.store(this, std::memory_order_relaxed);
    {
        const MutexLock lock(mutex_);
        paused_ = false;
        if (asked_)
            start_signals();
    }
    if (!blocked_in_body_)
        unblock();
}

void Interrupter::start_signals()
{
    next_ns_.store(first_repeat_ns, std::memory_order_relaxed);
    set_timer(at_once_ns);
}

// In the handler.
void Interrupter::repeat()
{
    const long after_ns = next_ns_.load(std::memory_order_relaxed);
    next_ns_.store(std::min(2 * after_ns, longest_repeat_ns), std::memory_order_relaxed);
    set_timer(after_ns);
}

// 0: not any more. Once it has returned, the timer of before sends nothing.
void Interrupter::set_timer(long after_ns) const
{
    itimerspec once{};
    once.it_value.tv_nsec = after_ns;
    (void)timer_settime(timer_, 0, &once, nullptr);
}

// Whether it was.
bool Interrupter::block() const
{
    const sigset_t ours = only(signal());
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &ours, &before);
    return sigismember(&before, signal()) == 1;
}

void Interrupter::unblock() const
{
    const sigset_t ours = only(signal());
    pthread_sigmask(SIG_UNBLOCK, &ours, nullptr);
}

// What is pending while it is blocked.
void Interrupter::take_off() const
{
    const sigset_t ours = only(signal());
    const timespec now{};
    while (sigtimedwait(&ours, nullptr, &now) > 0 || errno == EINTR) {
    }
}

execq_status make_interruptible(TaskSpec& spec)
{
    if (Interrupter::signal() == 0)
        return EXECQ_ENOTSUP;
    spec.inner = spec.fn;
    spec.fn = run_interruptible;
    return EXECQ_OK;
}

void InterruptPause::begin() { paused_->pause(); }

void InterruptPause::end() { paused_->resume(); }

}  // namespace execq::core
