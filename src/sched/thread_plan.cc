#include "sched/thread_plan.h"

#include <algorithm>
#include <csignal>
#include <exception>
#include <unistd.h>

#include "base/process.h"
#include "base/unwind.h"
#include "task/callbacks.h"
#include "task/context.h"
#include "task/error.h"

namespace execq::core {

namespace {

constexpr std::uint64_t library_needs = 48 * 1024;  // beside what the system asks for

bool stack_fits(std::uint64_t size)
{
    const long least = sysconf(_SC_THREAD_STACK_MIN);
    const std::uint64_t system_needs = least > 0 ? static_cast<std::uint64_t>(least) : 0;
    return size == 0 || (size >= std::max<std::uint64_t>(EXECQ_MIN_STACK_SIZE, system_needs + library_needs) &&
                         size <= EXECQ_MAX_STACK_SIZE);
}

std::size_t whole_pages(std::uint64_t size)
{
    const auto page = static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
    return static_cast<std::size_t>((size + page - 1) / page * page);
}

struct Trial {
    cpu_set_t wanted;
    bool works;
};

// Whether a thread can be on just these is what only a thread can find out: a cpuset may be smaller or larger than the mask.
void* try_cpus(void* argument)
{
    auto& trial = *static_cast<Trial*>(argument);
    cpu_set_t got;
    CPU_ZERO(&got);
    trial.works = pthread_setaffinity_np(pthread_self(), sizeof trial.wanted, &trial.wanted) == 0 &&
                  pthread_getaffinity_np(pthread_self(), sizeof got, &got) == 0 && CPU_EQUAL(&got, &trial.wanted) != 0;
    return nullptr;
}

int start_masked(pthread_t* thread, const pthread_attr_t* attributes, void* (*main)(void*), void* argument)
{
    // The new thread inherits the mask: workers never run the program's signal handlers.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int error = pthread_create(thread, attributes, main, argument);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return error;
}

}  // namespace

execq_status ThreadPlan::check(const ThreadSpec& spec)
{
    if (!stack_fits(spec.stack_size) || (spec.cpus == nullptr) != (spec.cpu_count == 0) ||
        std::any_of(spec.cpus, spec.cpus + spec.cpu_count, [](std::uint32_t cpu) { return cpu >= CPU_SETSIZE; }))
        return EXECQ_EINVAL;
    if (spec.cpu_count == 0)
        return EXECQ_OK;
    Trial trial{ThreadPlan(spec).cpus_, false};
    pthread_t thread{};
    if (start_masked(&thread, nullptr, try_cpus, &trial) != 0)
        return EXECQ_EAGAIN;
    pthread_join(thread, nullptr);
    return trial.works ? EXECQ_OK : EXECQ_EINVAL;
}

ThreadPlan::ThreadPlan(const ThreadSpec& spec)
    : init_(spec.init),
      final_(spec.final),
      env_(spec.env),
      drop_(spec.drop),
      stack_size_(whole_pages(spec.stack_size)),
      pinned_(spec.cpu_count != 0)
{
    CPU_ZERO(&cpus_);
    for (std::uint32_t i = 0; i < spec.cpu_count; ++i)
        CPU_SET(spec.cpus[i], &cpus_);
}

int ThreadPlan::start(void* (*main)(void*), void* argument) const
{
    pthread_t thread{};
    if (stack_size_ == 0)
        return start_masked(&thread, nullptr, main, argument);
    pthread_attr_t attributes;
    if (const int error = pthread_attr_init(&attributes))
        return error;
    int error = pthread_attr_setstacksize(&attributes, stack_size_);
    if (error == 0)
        error = start_masked(&thread, &attributes, main, argument);
    pthread_attr_destroy(&attributes);
    return error;
}

std::size_t ThreadPlan::stack_size() const
{
    std::size_t size = stack_size_;
    pthread_attr_t attributes;
    if (size == 0 && pthread_attr_init(&attributes) == 0) {
        (void)pthread_attr_getstacksize(&attributes, &size);
        pthread_attr_destroy(&attributes);
    }
    return size;
}

void ThreadPlan::settle_here() const
{
    if (pinned_)
        (void)pthread_setaffinity_np(pthread_self(), sizeof cpus_, &cpus_);
}

std::int32_t ThreadPlan::begin(Error*& error) const
{
    if (init_ == nullptr)
        return EXECQ_OK;
    std::int32_t code = 0;
    try {
        const ContextScope context(nullptr);
        const UserCode user;
        code = init_(env_);
        if (code != 0)
            error = Error::make(code, "a thread's initializer failed");
    } catch (const std::exception& exception) {
        code = EXECQ_EEXCEPTION;
        error = Error::make(code, exception.what());
    } catch (...) {
        if (is_thread_exit())
            throw;
        code = EXECQ_EEXCEPTION;
    }
    return code;
}

void ThreadPlan::end() const
{
    if (final_ != nullptr)
        call_thread_final(final_, env_);
}

void ThreadPlan::give_up() const
{
    const CallbackScope scope;
    call_drop(drop_, env_);
}

}  // namespace execq::core
