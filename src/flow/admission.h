// Floor 3. What the submission of a node with scopes does besides: the node is admitted to each before anything is accepted,
// and then either enrolled or dismissed. All three are nothing for a node without scopes.
#pragma once

#include "task/node.h"

namespace execq::core {

// May block (a full queue). On failure nothing is left to undo.
execq_status admit(Node& node);
// The node was not accepted.
void dismiss(Node& node);
// It was, and may have ended by now: an admitted node stays until then.
void enroll(Node& node);

}  // namespace execq::core
