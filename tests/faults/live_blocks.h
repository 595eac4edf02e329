// Blocks that are allocated and not freed yet.
#pragma once

#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstdio>

namespace faults {

// A hash table of fixed size, as it must not allocate. Nothing is kept before begin(), nor where a sanitizer finds leaks.
class LiveBlocks {
public:
    void begin()
    {
#ifndef FAULTS_WRAP
        dl_iterate_phdr(find_loader, this);
        keeping_.store(true, std::memory_order_release);
#endif
    }

    void add(void* memory, void* caller)
    {
        if (memory == nullptr || !keeping_.load(std::memory_order_acquire))
            return;
        const auto called_from = reinterpret_cast<std::uintptr_t>(caller);
        if (called_from >= loader_from_ && called_from < loader_to_)
            return;
        const Lock lock(*this);
        for (std::size_t at = place_of(memory);; at = (at + 1) % places) {
            if (block_[at].memory == nullptr || block_[at].memory == removed()) {
                block_[at] = {memory, caller};
                ++count_;
                return;
            }
        }
    }

    void remove(void* memory)
    {
        if (memory == nullptr || !keeping_.load(std::memory_order_acquire))
            return;
        const Lock lock(*this);
        for (std::size_t at = place_of(memory); block_[at].memory != nullptr; at = (at + 1) % places) {
            if (block_[at].memory == memory) {
                block_[at].memory = block_[(at + 1) % places].memory == nullptr ? nullptr : removed();
                --count_;
                return;
            }
        }
    }

    long count()
    {
        const Lock lock(*this);
        return keeping_.load(std::memory_order_acquire) ? count_ : -1;
    }

    void print()
    {
        const Lock lock(*this);
        for (const Block& block : block_) {
            Dl_info info{};
            if (block.memory == nullptr || block.memory == removed() || dladdr(block.caller, &info) == 0)
                continue;
            std::fprintf(stderr, "  a block of %s+0x%tx (%s)\n", info.dli_fname,
                         static_cast<char*>(block.caller) - static_cast<char*>(info.dli_fbase),
                         info.dli_sname != nullptr ? info.dli_sname : "?");
        }
    }

private:
    static constexpr std::size_t places = 1U << 15U;
    struct Block {
        void* memory;
        void* caller;
    };
    class Lock {
    public:
        explicit Lock(LiveBlocks& blocks) : blocks_(blocks)
        {
            while (blocks_.locked_.exchange(true, std::memory_order_acquire)) {
            }
        }
        ~Lock() { blocks_.locked_.store(false, std::memory_order_release); }
        Lock(const Lock&) = delete;
        Lock& operator=(const Lock&) = delete;

    private:
        LiveBlocks& blocks_;
    };

    // The dynamic linker keeps the thread-locals of ended threads together with their stacks, for the next ones: as many as
    // there were at a time.
    static int find_loader(dl_phdr_info* object, std::size_t /*size*/, void* env)
    {
        auto* self = static_cast<LiveBlocks*>(env);
        if (object->dlpi_addr != getauxval(AT_BASE))
            return 0;
        self->loader_from_ = object->dlpi_addr;
        for (int i = 0; i < object->dlpi_phnum; ++i) {
            const auto& part = object->dlpi_phdr[i];
            self->loader_to_ =
                std::max<std::uintptr_t>(self->loader_to_, object->dlpi_addr + part.p_vaddr + part.p_memsz);
        }
        return 1;
    }

    static void* removed() { return reinterpret_cast<void*>(1); }
    static std::size_t place_of(const void* memory)
    {
        return (reinterpret_cast<std::uintptr_t>(memory) >> 4U) * 0x9e3779b97f4a7c15U >> 49U;
    }

    std::atomic<bool> keeping_{false};
    std::atomic<bool> locked_{false};  // a spin lock: a mutex may be what is being made
    std::uintptr_t loader_from_ = 0;
    std::uintptr_t loader_to_ = 0;
    long count_ = 0;
    Block block_[places] = {};
};

inline constinit LiveBlocks live;

}  // namespace faults
