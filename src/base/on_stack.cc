#include "base/on_stack.h"

#include <cstdint>
#include <unwind.h>

namespace execq::core {

namespace {

struct Search {
    const void* function;
    bool found = false;
};

_Unwind_Reason_Code look_at(_Unwind_Context* context, void* argument)
{
    auto* search = static_cast<Search*>(argument);
    const auto call =
        reinterpret_cast<std::uintptr_t>(_Unwind_GetIP(context)) - 1;  // where it will return to, less one
    search->found = _Unwind_FindEnclosingFunction(reinterpret_cast<void*>(call)) == search->function;
    return search->found ? _URC_END_OF_STACK : _URC_NO_REASON;
}

}  // namespace

bool on_stack(const void* function)
{
    Search search{function};
    _Unwind_Backtrace(look_at, &search);
    return search.found;
}

}  // namespace execq::core
