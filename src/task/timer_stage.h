// Floor 1. Who ends a timer, which is done once: who withdraws it, or who is at it meanwhile.
//
//   held ──let_go()──► kept ──hold()──► held        the submission at first, then the timekeeper each time it is due
//    └────withdraw()─► over                         let_go() tells the one who held it
//
// All of it under the timekeeper's mutex. While a timer is held, that is all who holds it need be told: it looks at the node
// outside of the mutex, which may be settled meanwhile by who has won that, but whose timer stays.
//
// The model in tests/model/timer_model.cc covers it.
#pragma once

#include <cstdint>

namespace execq::core {

class TimerStage {
public:
    bool held() const { return stage_ == Stage::held; }
    void hold() { stage_ = Stage::held; }
    // By who settles the node. True: the caller ends the timer; false: who holds it does.
    [[nodiscard]] bool withdraw()
    {
        if (!held())
            return true;
        stage_ = Stage::over;
        return false;
    }
    // By who holds it. True: it is kept from here on; false: it was withdrawn, and the caller ends it.
    [[nodiscard]] bool let_go()
    {
        if (stage_ == Stage::over)
            return false;
        stage_ = Stage::kept;
        return true;
    }

private:
    enum class Stage : std::uint32_t { held, over, kept };

    Stage stage_ = Stage::held;
};

}  // namespace execq::core
