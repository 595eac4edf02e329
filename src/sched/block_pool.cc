#include "sched/block_pool.h"

#include <new>
#include <sys/mman.h>

#include "base/annotations.h"
#include "base/immortal.h"
#include "task/node_pool.h"

#ifdef EXECQ_POOL_ASAN
#include <sanitizer/lsan_interface.h>
#endif

namespace execq::core {

namespace {

using Block = BlockPool::Block;

// The free blocks, linked by `next`.
struct FreeBlocks {
    Mutex mutex;
    Block* first EXECQ_GUARDED_BY(mutex) = nullptr;
    std::size_t count EXECQ_GUARDED_BY(mutex) = 0;

    Block* pop(std::size_t more_than)
    {
        const MutexLock lock(mutex);
        Block* block = count > more_than ? first : nullptr;
        if (block != nullptr) {
            first = block->next.load(std::memory_order_relaxed);
            --count;
        }
        return block;
    }

    void push(Block* block)
    {
        const MutexLock lock(mutex);
        block->next.store(first, std::memory_order_relaxed);
        first = block;
        ++count;
    }
};

FreeBlocks& free_blocks()
{
    static PerProcess<FreeBlocks> instance;
    return *instance;
}

[[maybe_unused]] FreeBlocks& made_when_loaded = free_blocks();

}  // namespace

Block* BlockPool::allocate()
{
    if (Block* used = free_blocks().pop(0))
        return new (used) Block{};
    void* pages = mmap(nullptr, sizeof(Block), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED)
        return nullptr;
#ifdef EXECQ_POOL_ASAN
    __lsan_register_root_region(pages, sizeof(Block));  // a queued task may hold the only pointer to a user's memory
#endif
    // Zero bytes are null links and words; constructing them would touch each page.
    return std::launder(static_cast<Block*>(pages));
}

void BlockPool::free(Block* block) { free_blocks().push(block); }

bool BlockPool::trim()
{
    Block* block = free_blocks().pop(reserve);
    if (block == nullptr)
        return false;
#ifdef EXECQ_POOL_ASAN
    __lsan_unregister_root_region(block, sizeof(Block));
#endif
    if (munmap(block, sizeof(Block)) == 0)
        return true;
#ifdef EXECQ_POOL_ASAN
    __lsan_register_root_region(block, sizeof(Block));
#endif
    free(block);  // the system had no room to split a mapping
    return false;
}

}  // namespace execq::core
