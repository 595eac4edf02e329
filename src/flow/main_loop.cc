#include "flow/main_loop.h"

#include <utility>

#include "base/annotations.h"
#include "base/immortal.h"

namespace execq::core {

namespace {

struct MainLoop {
    Mutex mutex;
    LoopPort* port EXECQ_GUARDED_BY(mutex) = nullptr;
};

MainLoop& configured()
{
    static PerProcess<MainLoop> instance;
    return *instance;
}

[[maybe_unused]] MainLoop& made_when_loaded = configured();

}  // namespace

void configure_main_loop(LoopPort* port)
{
    if (port != nullptr)
        port->retain();
    LoopPort* before = nullptr;
    {
        MainLoop& main = configured();
        const MutexLock lock(main.mutex);
        before = std::exchange(main.port, port);
    }
    if (before != nullptr)
        before->release();
}

LoopPort* main_loop()
{
    MainLoop& main = configured();
    const MutexLock lock(main.mutex);
    if (main.port != nullptr)
        main.port->retain();
    return main.port;
}

}  // namespace execq::core
