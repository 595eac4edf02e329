// Groups from inside: what a cancellation, an end, a join, a release and an admission are to each other.
#include "flow/group.h"

#include <gtest/gtest.h>
#include <vector>

#include "flow/submission.h"
#include "pool.h"
#include "task/cancel.h"

using namespace execq::core;

namespace {

Group* make(const GroupSpec& spec = {})
{
    Group* group = nullptr;
    EXPECT_EQ(Group::make(spec, &group), EXECQ_OK);
    return group;
}

Group* inside(Group* parent)
{
    GroupSpec spec;
    spec.parent = parent;
    return make(spec);
}

TaskSpec spec_in(Group& group, execq_fn fn = nullptr, void* env = nullptr)
{
    TaskSpec spec;
    spec.fn = fn;
    spec.env = env;
    spec.scopes.all[1] = &group;
    return spec;
}

// With one reference for the caller, and one in the place of the executor's.
Node* admitted(Group& group, bool accept = true)
{
    Node* node = new_task(spec_in(group), 2);
    EXPECT_EQ(group.admit(*node->memberships()), EXECQ_OK);
    if (accept)
        group.accepted(*node->memberships());
    return node;
}

// As a worker does at the end of a body.
void settle(Node* node, std::int32_t code)
{
    if (code == 0)
        node->settle_value(nullptr, Reference::give);
    else
        node->settle_code(code, Reference::give);
}

void run(Node* node, std::int32_t code)
{
    EXPECT_TRUE(node->try_start());
    settle(node, code);
}

void release(Node* node)
{
    node->release();
    node->release();
}

TEST(Group, IsFinishedByAJoinOnlyWhenNothingIsLeft)
{
    Group* group = make();
    Node* node = admitted(*group);
    EXPECT_EQ(group->join(only_look()), EXECQ_ETIMEDOUT);
    Node* other = admitted(*group);
    run(node, 0);
    EXPECT_EQ(group->join(only_look()), EXECQ_ETIMEDOUT);
    run(other, 0);
    EXPECT_EQ(group->join(only_look()), EXECQ_OK);
    Node* late = new_task(spec_in(*group));
    EXPECT_EQ(group->admit(*late->memberships()), EXECQ_ECLOSED);
    late->discard();
    EXPECT_EQ(group->cancel(EXECQ_REASON_GROUP), EXECQ_EALREADY);
    node->release();
    other->release();
    group->release();
}

TEST(Group, WhatIsDismissedWasNeverThere)
{
    Group* group = make();
    Node* node = new_task(spec_in(*group));
    EXPECT_EQ(group->admit(*node->memberships()), EXECQ_OK);
    EXPECT_EQ(group->join(only_look()), EXECQ_ETIMEDOUT);
    EXPECT_EQ(group->cancel(EXECQ_REASON_GROUP), EXECQ_OK);
    EXPECT_EQ(node->phase(), Phase::pending) << "nobody has accepted it: it is left alone";
    group->dismiss(*node->memberships());
    EXPECT_EQ(group->join(only_look()), EXECQ_ECANCELED);
    node->discard();
    group->release();
}

TEST(Group, WhatIsJustBeingSubmittedIsCanceledAsItIsAccepted)
{
    Group* group = make();
    Node* node = admitted(*group, false);
    EXPECT_EQ(group->cancel(EXECQ_REASON_DEADLINE), EXECQ_OK);
    EXPECT_EQ(node->phase(), Phase::pending);
    group->accepted(*node->memberships());
    EXPECT_EQ(node->phase(), Phase::canceled);
    EXPECT_EQ(node->cancel_reason(), EXECQ_REASON_DEADLINE);
    EXPECT_EQ(group->join(only_look()), EXECQ_ECANCELED);
    release(node);
    group->release();
}

TEST(Group, AFailureReachesTheWholeSubtreeAndNothingElse)
{
    GroupSpec keeping;
    keeping.keep_going = true;
    Group* outer = make(keeping);
    Group* failing = inside(outer);
    Group* below = inside(failing);
    Group* beside = inside(outer);
    Node* first = admitted(*failing);
    Node* deep = admitted(*below);
    Node* stranger = admitted(*beside);
    run(first, 7);
    EXPECT_EQ(deep->phase(), Phase::canceled);
    EXPECT_EQ(deep->cancel_reason(), EXECQ_REASON_GROUP);
    EXPECT_EQ(stranger->phase(), Phase::pending);
    EXPECT_EQ(failing->join(only_look()), EXECQ_EFAILED);
    EXPECT_EQ(below->join(only_look()), EXECQ_ECANCELED);
    EXPECT_EQ(outer->error(), nullptr) << "it is for who joins that group";
    run(stranger, 0);
    EXPECT_EQ(outer->join(only_look()), EXECQ_OK);
    first->release();
    release(deep);
    stranger->release();
    for (Group* group : {beside, below, failing, outer})
        group->release();
}

TEST(Group, ALongChainEndsWithItsLastMember)
{
    Group* outermost = make();
    std::vector<Group*> chain{outermost};
    for (int i = 0; i < 1'000; ++i)
        chain.push_back(inside(chain.back()));
    Node* node = admitted(*chain.back());
    for (std::size_t i = 1; i < chain.size(); ++i)
        chain[i]->release();
    EXPECT_EQ(outermost->join(only_look()), EXECQ_ETIMEDOUT);
    run(node, 7);
    EXPECT_EQ(outermost->join(only_look()), EXECQ_EFAILED) << "given up, each passes its outcome on";
    node->release();
    outermost->release();
}

// Each level passes the failure on to the next: a walk of all that is inside at each would take minutes.
TEST(Group, ALongChainThatFailsIsWalkedOnce)
{
    constexpr std::size_t levels = sanitized ? 10'000 : 50'000;
    Group* outermost = make();
    std::vector<Group*> chain{outermost};
    while (chain.size() < levels)
        chain.push_back(inside(chain.back()));
    Node* node = admitted(*chain.back());
    for (std::size_t i = 1; i < chain.size(); ++i)
        chain[i]->release();
    run(node, 5);
    node->release();
    EXPECT_EQ(outermost->join(only_look()), EXECQ_EFAILED);
    outermost->release();
}

// Its handle goes with what is dropped as the group is canceled.
TEST(Group, OutlivesItsOwnCancellation)
{
    Group* group = make();
    TaskSpec spec = spec_in(*group, nullptr, group);
    spec.drop = [](void* env) { static_cast<Group*>(env)->release(); };
    Node* node = new_task(spec, 2);
    EXPECT_EQ(group->admit(*node->memberships()), EXECQ_OK);
    group->accepted(*node->memberships());
    EXPECT_EQ(group->cancel(EXECQ_REASON_GROUP), EXECQ_OK);
    EXPECT_EQ(node->phase(), Phase::canceled);
    release(node);
}

TEST(Group, ALinkEndsWithTheGroup)
{
    Counter drops;
    CancelSource* source = CancelSource::make(nullptr);
    GroupSpec spec;
    spec.source = source;
    Group* joined = make(spec);
    Group* given_up = make(spec);
    Group* held = make(spec);
    EXPECT_EQ(joined->join(only_look()), EXECQ_OK);
    given_up->release();
    EXPECT_TRUE(source->cancel());
    EXPECT_EQ(joined->cancel_reason(), EXECQ_REASON_NONE);
    EXPECT_EQ(held->cancel_reason(), EXECQ_REASON_CALLER);
    EXPECT_EQ(held->join(only_look()), EXECQ_ECANCELED);
    EXPECT_EQ(source->on_cancel([](void*) {}, &drops, Counter::hit, nullptr), EXECQ_OK);
    Group* late = make(spec);
    EXPECT_EQ(late->cancel_reason(), EXECQ_REASON_CALLER);
    EXPECT_EQ(late->join(only_look()), EXECQ_ECANCELED);
    source->release();
    for (Group* group : {joined, held, late})
        group->release();
}

// Each of them may be the one that ends it; nothing is lost, and nothing is told twice.
TEST(Group, ASourceAFailureAndAReleaseRace)
{
    CancelSource* source = nullptr;
    Group* outer = nullptr;
    Group* group = nullptr;
    Node* failing = nullptr;
    Node* waiting = nullptr;
    Counter ended;
    const std::size_t rounds = stress_n(10'000, 1'000);
    race_rounds(
        3, rounds,
        [&](std::size_t) {
            source = CancelSource::make(nullptr);
            outer = make();
            GroupSpec spec;
            spec.parent = outer;
            spec.source = source;
            group = make(spec);
            failing = admitted(*group);
            waiting = admitted(*group);
            EXPECT_EQ(waiting->register_completion({Counter::done, &ended, nullptr, nullptr}), EXECQ_OK);
        },
        [&](unsigned role, std::size_t) {
            if (role == 0) {
                EXPECT_TRUE(source->cancel());
                source->release();
            } else if (role == 1) {
                if (failing->try_start())
                    settle(failing, 7);
                else
                    failing->release();
            } else {
                group->release();
            }
        },
        [&](std::size_t round) {
            EXPECT_EQ(waiting->phase(), Phase::canceled);
            EXPECT_EQ(ended.n, round + 1);
            const bool failed = failing->phase() == Phase::failed;
            EXPECT_EQ(outer->join(only_look()), failed ? EXECQ_EFAILED : EXECQ_ECANCELED);
            const std::int32_t reason = waiting->cancel_reason();
            EXPECT_TRUE(reason == EXECQ_REASON_CALLER || (failed && reason == EXECQ_REASON_GROUP));
            failing->release();
            release(waiting);
            outer->release();
        });
}

// Two joiners, the end of the last member, and one who cancels: all see one outcome.
TEST(Group, AJoinAnEndAndACancellationRace)
{
    Group* group = nullptr;
    Node* node = nullptr;
    execq_status joined = EXECQ_OK;
    execq_status canceled = EXECQ_OK;
    const std::size_t rounds = stress_n(10'000, 1'000);
    race_rounds(
        3, rounds,
        [&](std::size_t) {
            group = make();
            node = admitted(*group);
        },
        [&](unsigned role, std::size_t) {
            if (role == 0) {
                joined = group->join(never());
            } else if (role == 1) {
                canceled = group->cancel(EXECQ_REASON_GROUP);
            } else if (node->try_start()) {
                settle(node, 0);
            } else {
                node->release();
            }
        },
        [&](std::size_t) {
            EXPECT_EQ(joined, canceled == EXECQ_OK ? EXECQ_ECANCELED : EXECQ_OK);
            EXPECT_EQ(group->join(only_look()), joined);
            node->release();
            group->release();
        });
}

struct Meeting {
    Executor* executor;
    Group* group;
    Gate* joins;
    execq_status seen = EXECQ_OK;
};

std::int32_t join_here(void* env, void**)
{
    auto& meeting = *static_cast<Meeting*>(env);
    meeting.joins->pass();
    meeting.seen = meeting.group->join(never());
    return 0;
}

// One worker, in a join; what is added meanwhile it can run by itself, whenever it comes.
TEST(Group, WhatComesBetweenTwoLooksOfAJoinIsRunByIt)
{
    Pool pool(1);
    Pool elsewhere(1);
    Gate joins;
    Counter ran;
    const std::size_t rounds = stress_n(3'000, 300);
    for (std::size_t round = 0; round < rounds; ++round) {
        Group* group = make();
        Gate held;
        EXPECT_EQ(submit(elsewhere.get(), spec_in(*group, Gate::body, &held), nullptr), EXECQ_OK);
        Meeting meeting{pool.get(), group, &joins};
        Node* joiner = pool.submit(join_here, &meeting);
        joins.await();
        joins.open();
        for (int i = 0; i < 20; ++i) {
            spin((round * 7 + static_cast<std::size_t>(i) * 131) % 3001);
            EXPECT_EQ(submit(pool.get(), spec_in(*group, Counter::body, &ran), nullptr), EXECQ_OK);
        }
        held.await();
        held.open();
        EXPECT_EQ(finish(joiner), EXECQ_OK);
        EXPECT_EQ(group->join(never()), EXECQ_OK);
        EXPECT_EQ(meeting.seen, EXECQ_OK) << round;
        group->release();
    }
    EXPECT_EQ(ran.n, rounds * 20);
}

}  // namespace
