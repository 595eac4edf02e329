#include "base/asymmetric.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace execq::core {

bool AsymmetricFence::register_process()
{
    return syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

const bool AsymmetricFence::cheap_ = AsymmetricFence::register_process();

void AsymmetricFence::heavy()
{
    if (cheap_)
        syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    else
        full();
}

}  // namespace execq::core
