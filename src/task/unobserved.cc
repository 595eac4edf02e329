#include "task/unobserved.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <new>
#include <pthread.h>
#include <utility>

#include "base/annotations.h"
#include "base/immortal.h"
#include "base/ref_count.h"
#include "task/callbacks.h"

namespace execq::core {

struct UnobservedHook : OfProcess {
    UnobservedHook(execq_unobserved_fn given, void* given_env, execq_drop_fn given_drop)
        : fn(given), env(given_env), drop(given_drop)
    {}

    execq_unobserved_fn fn;
    void* env;
    execq_drop_fn drop;
    // The configuration's, and one of each call that is under way; the last one drops and frees.
    RefCount references{1};

    void release()
    {
        if (!references.drop() || inherited())
            return;
        const CallbackScope scope;
        call_drop(drop, env);
        delete this;
    }
};

namespace {

struct Configured {
    Mutex mutex;
    UnobservedHook* hook EXECQ_GUARDED_BY(mutex) = nullptr;  // with one reference
    bool silent EXECQ_GUARDED_BY(mutex) = false;
    bool exiting EXECQ_GUARDED_BY(mutex) = false;

    // A child that is forked while another thread is in here has to find the mutex free.
    Configured()
    {
        pthread_atfork([] { lock(); }, [] { unlock(); }, [] { unlock(); });
    }

private:
    static void lock() EXECQ_NO_ANALYSIS;
    static void unlock() EXECQ_NO_ANALYSIS;
};

Configured& configured()
{
    static Immortal<Configured> instance;
    return *instance;
}

[[maybe_unused]] Configured& made_when_loaded = configured();

void Configured::lock() { configured().mutex.lock(); }
void Configured::unlock() { configured().mutex.unlock(); }

void configure(UnobservedHook* hook, bool silent)
{
    UnobservedHook* before = nullptr;
    {
        Configured& c = configured();
        const MutexLock lock(c.mutex);
        before = std::exchange(c.hook, hook);
        c.silent = silent;
    }
    if (before != nullptr)
        before->release();
}

// Registered with the first hook, that is after what this one needs was made, it runs before that is destroyed.
void stop_calling()
{
    Configured& c = configured();
    const MutexLock lock(c.mutex);
    c.exiting = true;
}

enum class Answer { line, nothing, call };

// With a reference, where it is to be called.
Answer current_answer(UnobservedHook*& hook)
{
    Configured& c = configured();
    const MutexLock lock(c.mutex);
    if (c.hook == nullptr)
        return c.silent ? Answer::nothing : Answer::line;
    if (c.exiting)
        return Answer::line;
    hook = c.hook;
    hook->references.add();
    return Answer::call;
}

void print_line(const char* name, const Error& error)
{
    char text[1024];
    const std::size_t length = format(error, text, sizeof text);
    std::replace_if(
        text, text + std::min(length, sizeof text - 1), [](char c) { return static_cast<unsigned char>(c) < ' '; },
        ' ');  // it is to stay one line
    const char* cut = length >= sizeof text ? " ..." : "";
    if (name[0] != '\0')
        std::fprintf(stderr, "execq: task '%s' failed and nobody looked: %s%s\n", name, text, cut);
    else
        std::fprintf(stderr, "execq: a task failed and nobody looked: %s%s\n", text, cut);
}

thread_local constinit bool inside_hook = false;

const InChild in_child([](void*) { inside_hook = false; });

}  // namespace

UnobservedHook* make_unobserved_hook(execq_unobserved_fn fn, void* env, execq_drop_fn drop)
{
    static const int registered = std::atexit(stop_calling);
    static_cast<void>(registered);
    return new (std::nothrow) UnobservedHook(fn, env, drop);
}

void hook_unobserved(UnobservedHook* hook) { configure(hook, false); }

void print_unobserved() { configure(nullptr, false); }

void ignore_unobserved() { configure(nullptr, true); }

void report_unobserved(const char* name, Error& error)
{
    const int kept = errno;
    UnobservedHook* hook = nullptr;
    const Answer answer = current_answer(hook);
    if (answer == Answer::line || (answer == Answer::call && inside_hook)) {
        print_line(name, error);
    } else if (answer == Answer::call) {
        const CallbackScope scope;
        inside_hook = true;
        call_unobserved(hook->fn, handle_of(&error), name, hook->env);
        inside_hook = false;
    }
    if (hook != nullptr)
        hook->release();
    errno = kept;
}

}  // namespace execq::core
