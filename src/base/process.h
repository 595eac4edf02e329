// Floor 0. Which process this is: the one that loaded the library, or a child of it by fork().
//
// A child has one thread, a copy of the one that forked. Whatever the others held stays held there for ever, and what they
// were about to change is half done. So a child takes no lock that was there before: it counts its generation up, by which
// whatever was made before is told (OfProcess), and every part of the library that is one per process, or has something of
// the thread's own, begins anew (InChild), while it is still alone and nobody in it uses the library yet. The old state is
// left where it is, for ever. Nothing is locked before the fork, so forking waits for nobody.
#pragma once

#include <atomic>
#include <cstdint>

namespace execq::core {

class Process {
public:
    // 0 in the process that loaded the library, one more in each child. Written in the child while it is alone.
    static std::uint32_t generation() { return generation_; }
    static bool forked() { return generation_ != 0; }
    // Ends a child at once, with status 0 and without exit handlers: these may want what only the parent's threads can give.
    [[noreturn, gnu::cold]] static void end_child();

private:
    static void enter_child();

    static inline constinit std::uint32_t generation_ = 0;
    static const bool watched_;
};

// Knows which process made it.
class OfProcess {
public:
    // It was made before the fork that began this process: not to be used, nor freed.
    bool inherited() const { return born_ != Process::generation(); }

private:
    const std::uint32_t born_ = Process::generation();
};

// Lives while a function of the user's runs. A child that was forked inside it does not come back into the library, whose
// frames further up the stack are about what is the parent's: it ends. The innermost scope, so that it is the first to end.
class UserCode {
public:
    UserCode() = default;
    ~UserCode()
    {
        if (made_.inherited()) [[unlikely]]
            Process::end_child();
    }
    UserCode(const UserCode&) = delete;
    UserCode& operator=(const UserCode&) = delete;

private:
    const OfProcess made_{};
};

// What a child does before anything else, on its only thread; never destroyed. It may neither lock nor allocate.
class InChild {
public:
    using Act = void (*)(void* env);
    explicit InChild(Act act, void* env = nullptr);
    InChild(const InChild&) = delete;
    InChild& operator=(const InChild&) = delete;

private:
    friend class Process;
    const Act act_;
    void* const env_;
    const InChild* next_;
    static inline constinit std::atomic<const InChild*> first_{nullptr};
};

}  // namespace execq::core
