// Floor 3. The turns of a queue: what it has asked its executor for, and what it owes to those that wait.
//
// For each task that may start one turn is on its way. Where none can be had the queue owes it: who ends a turn then takes
// the next task as well. An engine is given no turns: whoever changed what may start owes that, and one thread at a time
// gives tasks to the engine until nothing is owed any more (pumps).
//
// All of it under the queue's mutex. The model in tests/model/queue_model.cc covers it.
#pragma once

#include <cstddef>
#include <utility>

namespace execq::core {

class QueueTurns {
public:
    // ---- asking, where the executor has workers ----
    // One more, where so many may start now, and so many wait.
    bool wants_one(std::size_t may, std::size_t waiting) const { return asked_ < may && asked_ < waiting; }
    void asked() { ++asked_; }
    // One that was asked for has come.
    void taken() { --asked_; }
    bool any_asked() const { return asked_ != 0; }

    // ---- owing ----
    void owe(bool owes = true) { owes_ = owes; }
    bool owes() const { return owes_; }

    // ---- pumping, where it has an engine ----
    // True: the caller pumps, until pumps_on() answers false.
    [[nodiscard]] bool try_pump()
    {
        if (pumping_ || !owes_)
            return false;
        pumping_ = true;
        return true;
    }
    // Takes over what is owed. False: nothing is, and the next one to owe pumps by itself.
    [[nodiscard]] bool pumps_on()
    {
        pumping_ = std::exchange(owes_, false);
        return pumping_;
    }

private:
    std::size_t asked_ = 0;  // and not taken
    bool owes_ = false;
    bool pumping_ = false;
};

}  // namespace execq::core
