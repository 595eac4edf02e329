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
    switch (node.claim_or_ask(reason)) {
    case Node::Canceled::claimed:
        end_canceled(node);
        return EXECQ_OK;
    case Node::Canceled::asked:
        node.tell_cancel();
        return EXECQ_EBUSY;
    default:
        return EXECQ_EALREADY;
    }
}

}  // namespace execq::core
