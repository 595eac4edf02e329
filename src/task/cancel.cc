#include "task/cancel.h"

#include "task/callbacks.h"

namespace execq::core {

bool cancel_unstarted(Node& node, std::int32_t reason)
{
    if (!node.try_claim_cancel(reason))
        return false;
    end_canceled(node);
    return true;
}

void end_canceled(Node& node)
{
    const CallbackScope scope;
    node.drop_env();
    node.retain();  // for a registration that was set before the submission, which takes one with it
    node.settle_canceled(Reference::give);
}

execq_status cancel(Node& node, std::int32_t reason)
{
    if (cancel_unstarted(node, reason))
        return EXECQ_OK;
    if (!node.request_cancel(reason))
        return EXECQ_EALREADY;
    node.tell_cancel();
    return EXECQ_EBUSY;
}

}  // namespace execq::core
