#include "faults.h"

#include "failing_new.h"

namespace fuzz {

OutOfMemory::OutOfMemory(unsigned k) : before_(allocations_left)
{
    if (k != 0) {
        allocations_left = static_cast<int>(k - 1);
        throwing_counts = true;
    }
}

OutOfMemory::~OutOfMemory()
{
    allocations_left = before_;
    throwing_counts = before_ >= 0;
}

}  // namespace fuzz
