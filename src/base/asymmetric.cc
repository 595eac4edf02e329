#include "base/asymmetric.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <linux/membarrier.h>
#include <sched.h>
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
        fence_other_threads();
    else
        full();
}

void AsymmetricFence::fence_other_threads()
{
    const int saved = errno;
    // The kernel may be short of memory for a moment; the registration is lost where a checkpoint was restored.
    constexpr int most_tries = 100;
    for (int tries = 0; syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) != 0; ++tries) {
        const int error = errno;
        if (tries == most_tries || (error != ENOMEM && !(error == EPERM && register_process()))) {
            std::fprintf(stderr,
                         "execq: membarrier(2) worked when the library was loaded and fails now: %s. A seccomp filter "
                         "has to allow it, or be loaded before the library.\n",
                         strerror(error));
            std::abort();
        }
        sched_yield();
    }
    errno = saved;
}

}  // namespace execq::core
