#include "sched/block_pool.h"

#include <gtest/gtest.h>
#include <set>
#include <sys/mman.h>
#include <vector>

using namespace execq::core;

namespace {

using Block = BlockPool::Block;

bool is_zero(const Block& block)
{
    if (block.next.load() != nullptr)
        return false;
    for (const auto& word : block.words) {
        if (word.load() != 0)
            return false;
    }
    return true;
}

bool is_mapped(Block* block)
{
    unsigned char resident[sizeof(Block) / 4096 + 1];
    return mincore(block, sizeof(Block), resident) == 0;
}

std::vector<Block*> take(std::size_t n)
{
    std::vector<Block*> blocks(n);
    for (Block*& block : blocks)
        block = BlockPool::allocate();
    return blocks;
}

void give(const std::vector<Block*>& blocks)
{
    for (Block* block : blocks)
        BlockPool::free(block);
}

TEST(BlockPool, GivesEachBlockToOne)
{
    const std::vector<Block*> blocks = take(20);
    EXPECT_EQ(std::set<Block*>(blocks.begin(), blocks.end()).size(), blocks.size());
    give(blocks);
}

TEST(BlockPool, GivesZeroedBlocksAlsoWhereTheyWereUsed)
{
    Block* block = BlockPool::allocate();
    EXPECT_TRUE(is_zero(*block));
    for (auto& word : block->words)
        word.store(7);
    block->next.store(block);
    BlockPool::free(block);
    Block* again = BlockPool::allocate();
    EXPECT_EQ(again, block);
    EXPECT_TRUE(is_zero(*again));
    BlockPool::free(again);
}

TEST(BlockPool, GivesBackAllButItsReserve)
{
    const std::size_t more = 30;
    const std::vector<Block*> blocks = take(BlockPool::reserve + more);
    while (BlockPool::trim()) {
    }
    give(blocks);
    std::size_t steps = 0;
    while (BlockPool::trim())
        ++steps;
    EXPECT_GE(steps, more);
    std::size_t mapped = 0;
    for (Block* block : blocks)
        mapped += is_mapped(block) ? 1 : 0;
    EXPECT_LE(mapped, BlockPool::reserve);
}

}  // namespace
