// Allocations of one thread that fail on demand: the operators new of the whole program are ours.
#pragma once

namespace fuzz {

// As long as one lives, the k-th allocation of this thread from here on fails, and all after it; k = 0: none.
class OutOfMemory {
public:
    explicit OutOfMemory(unsigned k);
    ~OutOfMemory();
    OutOfMemory(const OutOfMemory&) = delete;
    OutOfMemory& operator=(const OutOfMemory&) = delete;

private:
    int before_;
};

}  // namespace fuzz
