#include "sched/block_pool.h"

#include <new>
#include <sys/mman.h>

#include "base/annotations.h"
#include "base/immortal.h"

namespace execq::core {

namespace {

using Block = BlockPool::Block;

constexpr std::size_t reserve_blocks = 16;  // that trim() leaves: 256 KiB

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
    static Immortal<FreeBlocks> instance;
    return *instance;
}

}  // namespace

Block* BlockPool::allocate()
{
    if (Block* used = free_blocks().pop(0))
        return new (used) Block{};
    void* pages = mmap(nullptr, sizeof(Block), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // Zero bytes are null links and words; constructing them would touch each page.
    return pages != MAP_FAILED ? std::launder(static_cast<Block*>(pages)) : nullptr;
}

void BlockPool::free(Block* block) { free_blocks().push(block); }

bool BlockPool::trim()
{
    Block* block = free_blocks().pop(reserve_blocks);
    return block != nullptr && munmap(block, sizeof(Block)) == 0;
}

}  // namespace execq::core
