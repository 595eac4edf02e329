// Floor 1. Calls of the user's functions that have nobody to tell of an exception.
#pragma once

#include <exception>

#include "base/unwind.h"

namespace execq::core {

// On stderr; `where` names the kind of callback.
void report_exception(const char* where, const char* what);

template <class Call>
void guarded_call(const char* where, const Call& call)
{
    try {
        call();
    } catch (const std::exception& exception) {
        report_exception(where, exception.what());
    } catch (...) {
        if (is_thread_exit())
            throw;
        report_exception(where, "not a std::exception");
    }
}

}  // namespace execq::core
