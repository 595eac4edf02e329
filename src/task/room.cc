#include "task/room.h"

namespace execq::core {

template class BasicRoom<>;

}  // namespace execq::core
