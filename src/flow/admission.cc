#include "flow/admission.h"

namespace execq::core {

namespace {

void dismiss_before(Node& node, const Membership* end)
{
    for (Membership* member = node.memberships(); member != end; member = member->next_scope)
        member->scope.dismiss(*member);
}

}  // namespace

execq_status admit(Node& node)
{
    for (Membership* member = node.memberships(); member != nullptr; member = member->next_scope) {
        const execq_status status = member->scope.admit(*member);
        if (status != EXECQ_OK) {
            dismiss_before(node, member);
            return status;
        }
    }
    if (node.memberships() != nullptr)
        node.retain();  // until enroll()
    return EXECQ_OK;
}

void dismiss(Node& node) { dismiss_before(node, nullptr); }

void enroll(Node& node)
{
    if (node.memberships() == nullptr)
        return;
    for (Membership* member = node.memberships(); member != nullptr; member = member->next_scope)
        member->scope.accepted(*member);
    node.release();
}

}  // namespace execq::core
