// Floor 3. What the submission of nodes with scopes does besides: room in the queue for all of them, then each is admitted to
// its scopes before anything is accepted, and at last either enrolled or dismissed. Nothing for nodes without scopes.
#pragma once

#include <cstddef>

#include "task/node.h"

namespace execq::core {

class Admission {
public:
    // For n nodes that are made of this.
    explicit Admission(const TaskSpec& spec, std::size_t n = 1)
        : turnstile_(spec.turnstile), n_(n), no_wait_(spec.no_wait), scoped_(spec.scopes.count() != 0)
    {}
    ~Admission();
    Admission(const Admission&) = delete;
    Admission& operator=(const Admission&) = delete;

    // May block.
    execq_status begin();
    // For each. On failure nothing is left to undo for this one.
    execq_status admit(Node& node);

    // The node was not accepted.
    static void dismiss(Node& node);
    // It was, and may have ended by now: one that has scopes stays until then, any other one may be gone.
    void enroll(Node& node) const;

private:
    Turnstile* const turnstile_;
    const std::size_t n_;
    const bool no_wait_;
    const bool scoped_;
    std::size_t reserved_ = 0;  // and not taken by a node
};

}  // namespace execq::core
