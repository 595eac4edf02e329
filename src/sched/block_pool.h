// Floor 2. Memory for the blocks of inboxes: pages of the system, kept while there is work, given back by idle workers.
//
// Owner: the process; nothing is destroyed. Threads: any. A block is asked for once per thousand tasks.
#pragma once

#include "sched/inbox.h"

namespace execq::core {

struct BlockPool {
    using Block = WordBlock<StdAtomics, 2047>;
    static_assert(sizeof(Block) == 16 * 1024);
    static constexpr std::size_t reserve = 16;  // free blocks that trim() leaves: 256 KiB

    // Zeroed; null where memory is out.
    static Block* allocate();
    static void free(Block* block);
    // One step of giving memory back. False if there is nothing (any more), beyond a reserve.
    static bool trim();
};

}  // namespace execq::core
