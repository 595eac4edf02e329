#include "flow/admission.h"

#include "sched/turnstile.h"

namespace execq::core {

namespace {

void dismiss_before(Node& node, const Membership* end)
{
    for (Membership* member = node.memberships(); member != end; member = member->next_scope)
        member->scope.dismiss(*member);
}

}  // namespace

Admission::~Admission()
{
    if (reserved_ != 0)
        turnstile_->give_back(reserved_);
}

execq_status Admission::begin()
{
    if (turnstile_ == nullptr)
        return EXECQ_OK;
    const execq_status status = turnstile_->reserve(n_, no_wait_);
    reserved_ = status == EXECQ_OK ? n_ : 0;
    return status;
}

execq_status Admission::admit(Node& node)
{
    for (Membership* member = node.memberships(); member != nullptr; member = member->next_scope) {
        const execq_status status = member->scope.admit(*member);
        if (status != EXECQ_OK) {
            dismiss_before(node, member);
            return status;
        }
        if (turnstile_ != nullptr && member == node.memberships())
            --reserved_;  // the queue is the first scope; from here on it is the member's
    }
    if (scoped_)
        node.retain();  // until enroll()
    return EXECQ_OK;
}

void Admission::dismiss(Node& node) { dismiss_before(node, nullptr); }

void Admission::enroll(Node& node) const
{
    if (!scoped_)
        return;
    for (Membership* member = node.memberships(); member != nullptr; member = member->next_scope)
        member->scope.accepted(*member);
    node.release();
}

}  // namespace execq::core
