#include "scheduler.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include "base/sync_point.h"

namespace schedules {

namespace {

enum class State { unused, ready, blocked, ended };

struct Thread {
    State state = State::unused;
    std::uint32_t go = 0;  // a futex: the turn is this thread's
    std::uint32_t number = 0;
    pthread_t handle{};
    bool handle_known = false;
    pid_t kernel_id = 0;
    // Why it is blocked.
    const void* address = nullptr;
    pollfd* descriptors = nullptr;
    std::size_t descriptor_count = 0;
    std::int64_t deadline_ns = never_ns;
    std::uint64_t since = 0;  // the first to come is the first to be woken
    bool expired = false;
    // Where it was last.
    const char* last = "start";
    const void* last_pc = nullptr;
    // How the seed sees it.
    std::int64_t priority = 0;
    bool yielded = false;

    void* (*main)(void*) = nullptr;
    void* argument = nullptr;
    int key_round = 0;
};

constexpr std::size_t most_threads = 64;
constexpr std::uint64_t most_steps = 400'000;
constexpr std::uint32_t fair_steps = 2'000;  // in a row while others could run: it spins
constexpr int destructor_rounds = 4;         // of glibc (PTHREAD_DESTRUCTOR_ITERATIONS)
// Later than any clock of the machine that was read before the first thread took part, as the library does when it is loaded.
constexpr std::int64_t clock_start_ns = 100'000'000'000'000'000;
constexpr std::int64_t clock_tick_ns = 1'000;

class Random {
public:
    explicit constexpr Random(std::uint64_t seed) : state_(seed * 0x9e3779b97f4a7c15U + 0x1234567) {}
    std::uint64_t next()
    {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15U);
        z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9U;
        z = (z ^ (z >> 27U)) * 0x94d049bb133111ebU;
        return z ^ (z >> 31U);
    }
    std::uint64_t below(std::uint64_t n) { return next() % n; }

private:
    std::uint64_t state_;
};

thread_local constinit Thread* self = nullptr;

// The state of the run: of whoever has the turn.
struct Run {
    std::array<Thread, most_threads> threads;
    std::uint32_t thread_count = 0;
    Report* report = nullptr;
    Plan plan;
    Random random{0};
    bool exploring = false;
    int held = 0;
    std::int64_t clock_ns = clock_start_ns;
    std::uint64_t arrivals = 0;
    std::uint64_t choices = 0;
    std::uint32_t in_a_row = 0;
    bool look_at_descriptors = true;
    pid_t leaving = 0;  // a thread that has given up its turn for good and may still be on its way out
    pthread_key_t key{};
    // Random walk: out of 64 chances so many to leave the thread. PCT: 0, and the steps at which priorities change.
    std::uint32_t leave_chances = 0;
    std::array<std::uint64_t, 5> changes{};
    std::uint32_t change_count = 0;
    std::int64_t lowest = 0;
};
Run run;

// ---- the choice ----

void draw_way()
{
    run.random = Random(run.plan.seed);
    constexpr std::array<std::uint32_t, 4> chances{32, 16, 6, 2};
    const std::uint64_t way = run.plan.seed % 8;
    if (way < chances.size()) {
        run.leave_chances = chances[way];
        return;
    }
    run.change_count = static_cast<std::uint32_t>(way - chances.size()) + 1;  // bugs of depth 2 to 5
    for (std::uint32_t i = 0; i < run.change_count; ++i)
        run.changes[i] = 1 + run.random.below(std::max<std::uint64_t>(run.plan.length, 1));
}

bool by_priority() { return run.exploring && run.plan.preempt && run.leave_chances == 0; }
bool by_chance() { return run.exploring && run.plan.preempt && run.leave_chances != 0; }

bool ready(const Thread& thread) { return thread.state == State::ready; }

template <class Visit>
void for_each_thread(const Visit& visit)
{
    for (std::uint32_t i = 0; i < run.thread_count; ++i)
        visit(run.threads[i]);
}

void make_ready(Thread& thread, bool expired)
{
    thread.state = State::ready;
    thread.expired = expired;
    thread.address = nullptr;
    thread.descriptors = nullptr;
}

void find_ready_descriptors()
{
    if (!run.look_at_descriptors)
        return;
    run.look_at_descriptors = false;
    for_each_thread([](Thread& thread) {
        if (thread.state != State::blocked || thread.descriptors == nullptr)
            return;
        if (real::call(SYS_poll, reinterpret_cast<long>(thread.descriptors), static_cast<long>(thread.descriptor_count),
                       0) > 0)
            make_ready(thread, false);
    });
}

// The wait that ends first, where nothing else can happen. False: there is none.
bool expire_one()
{
    Thread* first = nullptr;
    for_each_thread([&](Thread& thread) {
        if (thread.state == State::blocked && thread.deadline_ns != never_ns &&
            (first == nullptr || thread.deadline_ns < first->deadline_ns))
            first = &thread;
    });
    if (first == nullptr)
        return false;
    if (first->deadline_ns > run.clock_ns) {
        run.report->waited_ns += first->deadline_ns - run.clock_ns;
        run.clock_ns = first->deadline_ns;
    }
    make_ready(*first, true);
    return true;
}

Thread* best_by_priority(bool also_yielded)
{
    Thread* best = nullptr;
    for_each_thread([&](Thread& thread) {
        if (ready(thread) && (also_yielded || !thread.yielded) && (best == nullptr || thread.priority > best->priority))
            best = &thread;
    });
    return best;
}

Thread* any_other(const Thread* but)
{
    std::array<Thread*, most_threads> others;
    std::size_t n = 0;
    for_each_thread([&](Thread& thread) {
        if (ready(thread) && &thread != but && !thread.yielded)
            others[n++] = &thread;
    });
    return n == 0 ? nullptr : others[run.random.below(n)];
}

// The next in turn after the one that has it.
Thread* next_in_turn(const Thread& from)
{
    for (std::uint32_t i = 1; i <= run.thread_count; ++i) {
        Thread& thread = run.threads[(from.number + i) % run.thread_count];
        if (ready(thread))
            return &thread;
    }
    return nullptr;
}

Thread* choose_among_ready(Thread& from)
{
    if (by_priority()) {
        Thread* best = best_by_priority(false);
        return best != nullptr ? best : best_by_priority(true);
    }
    if (by_chance()) {
        if (Thread* other = any_other(&from))
            return other;
    }
    return next_in_turn(from);
}

// ---- the trace ----

void note(Thread& thread, const char* name, const void* pc)
{
    Report& report = *run.report;
    thread.last = name;
    thread.last_pc = pc;
    const std::uint64_t number = report.steps++;
    report.trace[number % trace_size] = {name, reinterpret_cast<std::uintptr_t>(pc), thread.number,
                                         static_cast<std::uint32_t>(number)};
    const std::uint64_t what =
        reinterpret_cast<std::uintptr_t>(name) * 31 + reinterpret_cast<std::uintptr_t>(pc) * 7 + thread.number;
    report.hash = (report.hash ^ what) * 0x100000001b3U;
    if (report.steps == most_steps)
        fail("livelock: %llu steps", static_cast<unsigned long long>(most_steps));
}

[[noreturn]] void report_deadlock() { fail("deadlock: nobody can run, and nobody is in a timed wait"); }

// ---- the turn ----

void await_turn(Thread& thread)
{
    while (__atomic_exchange_n(&thread.go, 0, __ATOMIC_ACQUIRE) == 0)
        real::call(SYS_futex, reinterpret_cast<long>(&thread.go), FUTEX_WAIT_PRIVATE, 0, 0);
    // Who leaves gives back its stack and its memory, which has to be done before the next one asks for some.
    if (const pid_t leaving = std::exchange(run.leaving, 0); leaving != 0) {
        const long process = real::call(SYS_getpid);
        while (real::call(SYS_tgkill, process, leaving, 0) == 0)
            real::call(SYS_sched_yield);
    }
}

void give_turn(Thread& thread)
{
    __atomic_store_n(&thread.go, 1, __ATOMIC_RELEASE);
    real::call(SYS_futex, reinterpret_cast<long>(&thread.go), FUTEX_WAKE_PRIVATE, 1);
}

// Never comes back where `from` has ended: then it is the last thing that the thread does.
void hand_over(Thread& from)
{
    const int error = errno;
    find_ready_descriptors();
    Thread* next = choose_among_ready(from);
    while (next == nullptr) {
        run.look_at_descriptors = true;
        find_ready_descriptors();
        next = choose_among_ready(from);
        if (next == nullptr && !expire_one())
            report_deadlock();
    }
    next->yielded = false;
    if (next == &from)
        return;
    run.in_a_row = 0;
    ++run.report->switches;
    if (from.state == State::ended)
        run.leaving = from.kernel_id;
    give_turn(*next);
    if (from.state != State::ended)
        await_turn(from);
    errno = error;
}

// Lets go of the processor as a spinning thread has to.
void step_back(Thread& thread)
{
    thread.yielded = true;
    thread.priority = --run.lowest;
    hand_over(thread);
}

bool wants_switch(Thread& thread)
{
    if (by_chance())
        return run.random.below(64) < run.leave_chances;
    if (!by_priority())
        return false;
    for (std::uint32_t i = 0; i < run.change_count; ++i) {
        if (run.changes[i] == run.report->decided)
            thread.priority = --run.lowest;
    }
    return true;
}

// ---- threads ----

Thread& add_thread()
{
    if (run.thread_count == most_threads)
        fail("more than %zu threads", most_threads);
    Thread& thread = run.threads[run.thread_count];
    thread.number = run.thread_count++;
    thread.state = State::ready;
    thread.priority = static_cast<std::int64_t>(run.random.below(1U << 20U)) + 1;
    return thread;
}

// The last of the thread's destructors: those of its thread-locals, and of other keys, have run.
void end_of_thread(void* argument)
{
    auto& thread = *static_cast<Thread*>(argument);
    if (++thread.key_round < destructor_rounds) {
        pthread_setspecific(run.key, &thread);
        return;
    }
    note(thread, "thread ends", nullptr);
    wake(&thread, static_cast<int>(most_threads));
    thread.state = State::ended;
    self = nullptr;
    hand_over(thread);
}

void* thread_main(void* argument)
{
    auto& thread = *static_cast<Thread*>(argument);
    thread.kernel_id = static_cast<pid_t>(real::call(SYS_gettid));
    await_turn(thread);
    self = &thread;
    pthread_setspecific(run.key, &thread);
    note(thread, "thread begins", nullptr);
    return thread.main(thread.argument);
}

// The youngest of those that had this handle.
Thread* find_thread(pthread_t handle)
{
    Thread* found = nullptr;
    for_each_thread([&](Thread& thread) {
        if (thread.handle_known && pthread_equal(thread.handle, handle) != 0)
            found = &thread;
    });
    return found;
}

void append(char*& at, const char* end, const char* format, ...) __attribute__((format(printf, 3, 4)));
void append(char*& at, const char* end, const char* format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(at, static_cast<std::size_t>(end - at), format, arguments);
    va_end(arguments);
    at += std::min<std::ptrdiff_t>(length, end - at - 1);
}

const char* state_name(const Thread& thread)
{
    if (thread.state == State::ended)
        return "has ended";
    if (thread.state == State::ready)
        return &thread == self ? "runs" : "could run";
    return thread.deadline_ns == never_ns ? "is blocked" : "is blocked for a time";
}

}  // namespace

void begin(const Plan& plan, Report& report)
{
    run.plan = plan;
    run.report = &report;
    draw_way();
    pthread_key_create(&run.key, end_of_thread);
    Thread& first = add_thread();
    first.handle = pthread_self();
    first.handle_known = true;
    first.kernel_id = static_cast<pid_t>(real::call(SYS_gettid));
    self = &first;
}

void explore()
{
    run.exploring = true;
    point("explore", nullptr);
}

void fail(const char* format, ...)
{
    Report& report = *run.report;
    char* at = report.text;
    const char* end = at + sizeof report.text;
    va_list arguments;
    va_start(arguments, format);
    at += std::min<int>(vsnprintf(at, sizeof report.text, format, arguments), static_cast<int>(sizeof report.text) - 1);
    va_end(arguments);
    append(at, end, "\n");
    for_each_thread([&](const Thread& thread) {
        append(at, end, "  thread %u %s, last: %s", thread.number, state_name(thread), thread.last);
        append(at, end, thread.last_pc != nullptr ? " @%p\n" : "\n", thread.last_pc);
    });
    report.failed = 1;
    _exit(1);
}

std::int64_t waited_ns() { return run.report->waited_ns; }

std::uint64_t choice(std::uint64_t n) { return Random(run.plan.seed * 977 + ++run.choices).below(n); }

bool taking_part() { return self != nullptr; }

void point(const char* name, const void* pc)
{
    Thread* thread = self;
    if (thread == nullptr)
        return;
    note(*thread, name, pc);
    if (!run.exploring || run.held != 0)
        return;
    ++run.report->decided;
    if (++run.in_a_row >= fair_steps)
        step_back(*thread);
    else if (wants_switch(*thread))
        hand_over(*thread);
}

void yield(const char* name)
{
    Thread* thread = self;
    note(*thread, name, nullptr);
    if (run.held == 0)
        step_back(*thread);
}

bool block(const void* address, std::int64_t deadline_ns, const char* name)
{
    Thread& thread = *self;
    note(thread, name, nullptr);
    thread.state = State::blocked;
    thread.address = address;
    thread.deadline_ns = deadline_ns;
    thread.since = ++run.arrivals;
    hand_over(thread);
    return !thread.expired;
}

bool block_on_descriptors(pollfd* descriptors, std::size_t n, std::int64_t deadline_ns, const char* name)
{
    self->descriptors = descriptors;
    self->descriptor_count = n;
    run.look_at_descriptors = true;
    return block(nullptr, deadline_ns, name);
}

int wake(const void* address, int most)
{
    int woken = 0;
    for (; woken < most; ++woken) {
        Thread* first = nullptr;
        for_each_thread([&](Thread& thread) {
            if (thread.state == State::blocked && thread.address == address && thread.descriptors == nullptr &&
                (first == nullptr || thread.since < first->since))
                first = &thread;
        });
        if (first == nullptr)
            break;
        make_ready(*first, false);
    }
    return woken;
}

void descriptors_changed() { run.look_at_descriptors = true; }

std::int64_t now_ns() { return run.clock_ns += clock_tick_ns; }

bool returns_early() { return by_chance() && run.random.below(32) == 0; }

void hold_turn() { ++run.held; }
void let_go() { --run.held; }

int start(pthread_t* handle, const pthread_attr_t* attributes, void* (*main)(void*), void* argument)
{
    point("pthread_create", nullptr);
    Thread& thread = add_thread();
    thread.main = main;
    thread.argument = argument;
    const int error = real::create(&thread.handle, attributes, thread_main, &thread);
    if (error != 0) {
        thread.state = State::ended;
        return error;
    }
    thread.handle_known = true;
    *handle = thread.handle;
    point("thread created", nullptr);
    return 0;
}

int await_end(pthread_t handle, std::int64_t deadline_ns)
{
    point("pthread_join", nullptr);
    Thread* thread = find_thread(handle);
    if (thread == nullptr)
        return ESRCH;
    while (thread->state != State::ended) {
        if (!block(thread, deadline_ns, "pthread_join") && thread->state != State::ended)
            return ETIMEDOUT;
    }
    return 0;
}

bool has_ended(pthread_t handle)
{
    point("pthread_tryjoin", nullptr);
    const Thread* thread = find_thread(handle);
    return thread != nullptr && thread->state == State::ended;
}

}  // namespace schedules

extern "C" void execq_sync_point(const char* name) { schedules::point(name, nullptr); }
