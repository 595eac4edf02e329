// Random trees of groups: children that succeed, fail, cancel, add siblings, make inner groups and join them or give them up;
// some go through a limit, are asynchronous, delayed, in series, or told of in a queue. Others cancel and join meanwhile.
// A join of a worker is a deadlock only where threads are short, and the group has what no wait may run.
// When a join returns, each child that it covers has ended in exactly one way and was dropped once; what the join tells is
// what the children did; and no failure is reported as unseen.
#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "execq/execq.h"
#include "execq/uv.h"
#include "stress.h"
#include "white_box.h"

namespace {

using Random = std::minstd_rand;

constexpr int deepest = 6;
constexpr int most_children = 64;
constexpr std::uint32_t many_threads = most_children + 1;
constexpr std::int64_t us = 1'000;
constexpr std::int64_t hour = 3'600'000'000'000;

execq_executor* executor = nullptr;
bool threads_are_short = false;    // otherwise each of a tree's children may block one
execq_executor* helper = nullptr;  // completes asynchronous tasks; no worker of it joins anything
execq_cq* cq = nullptr;
std::atomic<std::size_t> unobserved{0};

struct Totals {
    std::atomic<std::size_t> succeeded{0};
    std::atomic<std::size_t> failed{0};
    std::atomic<std::size_t> canceled{0};  // their body never ran
    std::atomic<std::size_t> stopped{0};   // their body ended canceled
    std::atomic<std::size_t> refused{0};
    std::atomic<std::size_t> to_queue{0};
    std::atomic<std::size_t> groups{0};
    std::atomic<std::size_t> worker_joins{0};
    std::atomic<std::size_t> deadlocks{0};
    std::atomic<std::size_t> given_up{0};
    std::atomic<std::size_t> past_deadline{0};
} totals;

enum class Kind { succeed, fail, until_asked, spawn, nest, cancel, async, series, kinds };

struct Tree;
struct Scope;

// What is not atomic is ordered by the library alone: it is written in bodies and by who submits, and read after joins.
struct Child {
    Scope& scope;
    Kind kind;
    std::uint32_t seed;
    std::atomic<int> drops{0};
    int runs = 0;
    std::int32_t returned = 0;
    bool held_back = false;  // what a worker cannot run in place as soon as it likes
    bool accepted = false;
    execq_future* future = nullptr;  // under the scope's mutex, for those who cancel it
    execq_promise* promise = nullptr;
};

struct Scope {
    Tree& tree;
    Scope* outer;
    int depth;
    execq_group* group = nullptr;
    bool keeps_going = false;
    bool may_be_late = false;  // it or an outer one has a deadline
    bool given_up = false;     // without a join: the outer one gets the outcome; under the mutex
    std::uint32_t limit = 0;
    std::atomic<std::uint32_t> in_flight{0};
    std::mutex mutex;
    std::deque<std::unique_ptr<Child>> children;
    std::deque<std::unique_ptr<Scope>> inner;
};

struct Tree {
    bool doomed = false;  // is sure to be canceled: may have children that would not end by themselves
    std::atomic<int> budget{0};
    std::unique_ptr<Scope> root;
};

// ---- what is true after a join ----

struct Findings {
    bool failed = false;
    bool canceled = false;
    bool may_be_late = false;  // a deadline may be the reason
};

void verify_future(const Child& child, bool ran)
{
    const std::int32_t state = execq_future_state(child.future);
    if (!ran || child.returned == EXECQ_ECANCELED)
        CHECK(state == EXECQ_FUTURE_CANCELED && execq_future_cancel_reason(child.future) != EXECQ_REASON_NONE);
    else
        CHECK(state == (child.returned == 0 ? EXECQ_FUTURE_OK : EXECQ_FUTURE_FAILED));
}

void verify_child(const Child& child, Findings& findings)
{
    CHECK(child.drops == 1);
    if (!child.accepted) {
        CHECK(child.runs == 0);
        return;
    }
    if (child.kind == Kind::series) {  // may be canceled between two runs
        const std::int32_t state = execq_future_state(child.future);
        CHECK(state == EXECQ_FUTURE_FAILED || state == EXECQ_FUTURE_CANCELED);
        CHECK((state == EXECQ_FUTURE_FAILED) == (child.returned != 0));
        findings.failed = findings.failed || state == EXECQ_FUTURE_FAILED;
        findings.canceled = findings.canceled || state == EXECQ_FUTURE_CANCELED;
        return;
    }
    CHECK(child.runs <= 1);
    if (child.future != nullptr)
        verify_future(child, child.runs == 1);
    const bool canceled = child.runs == 0 || child.returned == EXECQ_ECANCELED;
    findings.canceled = findings.canceled || canceled;
    findings.failed = findings.failed || (!canceled && child.returned != 0);
}

// Of this one and, where they were given up, of those inside of it.
Findings verify(Scope& scope)
{
    Findings findings;
    const std::lock_guard lock(scope.mutex);
    CHECK(scope.in_flight == 0);
    findings.may_be_late = scope.may_be_late;
    for (const auto& child : scope.children)
        verify_child(*child, findings);
    for (const auto& inner : scope.inner) {
        const Findings below = verify(*inner);
        findings.failed = findings.failed || (inner->given_up && below.failed);
        findings.may_be_late = findings.may_be_late || (inner->given_up && below.may_be_late);
        findings.canceled = findings.canceled || (inner->given_up && below.canceled && !below.failed);  // one outcome
    }
    if (scope.given_up)
        return findings;  // the group may be gone
    const std::int32_t reason = execq_group_cancel_reason(scope.group);
    CHECK(!findings.canceled || reason != EXECQ_REASON_NONE);
    CHECK(!findings.failed || scope.keeps_going || reason != EXECQ_REASON_NONE);
    CHECK(reason != EXECQ_REASON_DEADLINE || findings.may_be_late);
    findings.canceled = reason != EXECQ_REASON_NONE;
    return findings;
}

void verify_joined(Scope& scope, execq_status status)
{
    const Findings findings = verify(scope);
    if (findings.failed)
        CHECK(status == EXECQ_EFAILED);
    else
        CHECK(status == (findings.canceled ? EXECQ_ECANCELED : EXECQ_OK));
    CHECK((execq_group_error(scope.group) != nullptr) == findings.failed);
    if (execq_group_cancel_reason(scope.group) == EXECQ_REASON_DEADLINE)
        ++totals.past_deadline;
    CHECK(execq_group_join(scope.group, 0) == status);
}

// ---- what children do ----

void submit_some(Scope& scope, Random& random, unsigned most);

void make_scope(Scope& scope, Random& random)
{
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.parent = scope.outer != nullptr ? scope.outer->group : nullptr;
    scope.keeps_going = random() % 2 == 0;
    scope.may_be_late = scope.outer != nullptr && scope.outer->may_be_late;
    options.flags = scope.keeps_going ? EXECQ_GROUP_KEEP_GOING : 0;
    if (random() % 6 == 0) {
        options.timeout_ns = 1 + static_cast<std::int64_t>(random() % 500) * us;
        scope.may_be_late = true;
    }
    if (random() % 4 == 0) {
        scope.limit = options.max_in_flight = 1 + random() % 3;
        options.executor = executor;
    }
    const execq_status status = execq_group_new(&options, &scope.group);
    CHECK(status == EXECQ_OK || (status == EXECQ_ECLOSED && scope.outer != nullptr));
    CHECK(status == EXECQ_OK || execq_group_cancel_reason(scope.outer->group) != EXECQ_REASON_NONE);
    totals.groups += status == EXECQ_OK ? 1 : 0;
}

// From here on its children alone have references, and who meddles keeps away. Its outcome goes to the outer one.
void give_up(Scope& scope)
{
    ++totals.given_up;
    {
        const std::lock_guard lock(scope.mutex);
        scope.given_up = true;
    }
    execq_group_release(scope.group);
}

// A task that no wait may claim: asynchronous, not due, or behind others of a limit.
bool holds_back(Scope& scope)
{
    const std::lock_guard lock(scope.mutex);
    const auto any = [](const auto& all, const auto& holds) { return std::any_of(all.begin(), all.end(), holds); };
    return any(scope.children, [](const auto& child) { return child->held_back; }) ||
           any(scope.inner, [](const auto& inner) { return holds_back(*inner); });
}

void join_inner(Scope& scope, Random& random)
{
    if (random() % 4 == 0) {
        const execq_status status = execq_group_join(scope.group, static_cast<std::int64_t>(random() % 20) * us);
        if (status != EXECQ_ETIMEDOUT && status != EXECQ_EDEADLK)
            return verify_joined(scope, status);
    }
    const execq_status status = execq_group_join(scope.group, -1);
    ++totals.worker_joins;
    if (status == EXECQ_EDEADLK) {
        ++totals.deadlocks;
        CHECK(threads_are_short && holds_back(scope));
        return give_up(scope);
    }
    verify_joined(scope, status);
}

void nest(Child& child, Random& random)
{
    auto made = std::make_unique<Scope>(child.scope.tree, &child.scope, child.scope.depth + 1);
    Scope& scope = *made;
    make_scope(scope, random);
    if (scope.group == nullptr)
        return;
    {
        const std::lock_guard lock(child.scope.mutex);
        child.scope.inner.push_back(std::move(made));
    }
    submit_some(scope, random, 6);
    if (random() % 8 == 0)
        (void)execq_group_cancel(scope.group);
    if (random() % 4 == 0)
        give_up(scope);
    else
        join_inner(scope, random);
}

void cancel_some_group(Child& child, Random& random)
{
    Scope* scope = &child.scope;
    while (scope->outer != nullptr && random() % 2 == 0)
        scope = scope->outer;
    const execq_status status = execq_group_cancel(scope->group);
    CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
    if (status == EXECQ_OK && scope == &child.scope)  // otherwise another thread may just be at it
        CHECK(execq_cancel_requested() == 1);
    CHECK(execq_group_cancel_reason(scope->group) != EXECQ_REASON_NONE);
    CHECK(execq_group_submit(
              scope->group, executor, nullptr, [](void*, void**) { return std::int32_t{0}; }, nullptr, nullptr) ==
          EXECQ_ECLOSED);
}

std::int32_t act(Child& child)
{
    Random random(child.seed);
    switch (child.kind) {
    case Kind::fail:
        return execq_fail(7, "seven");
    case Kind::until_asked:
        for (int i = 0; child.scope.tree.doomed || i < 200; ++i) {
            if (execq_cancel_requested() != 0)
                return EXECQ_ECANCELED;
            std::this_thread::yield();
        }
        return 0;
    case Kind::spawn:
        submit_some(child.scope, random, 4);
        return random() % 16 == 0 ? 8 : 0;
    case Kind::nest:
        nest(child, random);
        return random() % 32 == 0 ? 9 : 0;
    case Kind::cancel:
        cancel_some_group(child, random);
        return random() % 2 == 0 && execq_cancel_requested() != 0 ? EXECQ_ECANCELED : 0;
    default:
        return 0;
    }
}

std::int32_t body(void* env, void**)
{
    auto& child = *static_cast<Child*>(env);
    CHECK(child.drops == 0);
    Scope& scope = child.scope;
    CHECK(scope.in_flight.fetch_add(1) < (scope.limit != 0 ? scope.limit : ~0U));
    ++child.runs;
    child.returned = child.kind == Kind::series ? (child.runs == 3 ? 3 : 0) : act(child);
    scope.in_flight.fetch_sub(1);
    return child.returned;
}

std::int32_t complete(void* env, void**)
{
    auto& child = *static_cast<Child*>(env);
    execq_promise* promise = child.promise;
    child.returned = execq_promise_cancel_requested(promise) != 0 ? EXECQ_ECANCELED : (child.seed % 4 == 0 ? 4 : 0);
    const std::int32_t code = child.returned;
    CHECK((code == 0 ? execq_promise_resolve(promise, nullptr) : execq_promise_reject(promise, code, "async")) ==
          EXECQ_OK);
    execq_promise_release(promise);  // the child may be gone
    return 0;
}

void start(execq_promise* promise, uv_loop_t*, void* env)
{
    auto& child = *static_cast<Child*>(env);
    ++child.runs;
    child.promise = promise;
    if (child.seed % 3 == 0)
        (void)complete(env, nullptr);
    else
        CHECK(execq_submit(helper, complete, env, nullptr) == EXECQ_OK);
}

// The child's reference to its group: it may be the last one.
void drop(void* env)
{
    auto& child = *static_cast<Child*>(env);
    CHECK(child.drops.fetch_add(1) == 0);
    execq_group_release(child.scope.group);
}

// ---- submitting ----

Kind some_kind(const Scope& scope, Random& random)
{
    const unsigned at = random() % 64;
    if (at < 4)
        return Kind::fail;
    if (at < 8)
        return Kind::until_asked;
    if (at < 24)
        return Kind::spawn;
    if (at < 36)
        return scope.depth < deepest ? Kind::nest : Kind::spawn;
    if (at == 36)
        return Kind::cancel;
    if (at < 43)
        return Kind::async;
    if (at == 43)
        return scope.limit == 0 ? Kind::series : Kind::succeed;
    return Kind::succeed;
}

execq_status hand_in(Child& child, const execq_task_options& options, unsigned dice, execq_future** out)
{
    Scope& scope = child.scope;
    if (child.kind == Kind::async)
        return execq_submit_async(executor, &options, start, &child, out);
    if (child.kind == Kind::series)
        return execq_submit_periodic(executor, &options, us, EXECQ_FIXED_DELAY, body, &child, out);
    if (dice % 4 == 0) {
        const execq_status status = execq_submit_to_cq(executor, &options, body, &child, cq, &totals);
        totals.to_queue += status == EXECQ_OK ? 1 : 0;
        return status;
    }
    return execq_group_submit(scope.group, executor, &options, body, &child, dice % 4 == 1 ? nullptr : out);
}

void submit_child(Scope& scope, Random& random)
{
    Child* child = nullptr;
    {
        const std::lock_guard lock(scope.mutex);
        scope.children.emplace_back(new Child{scope, some_kind(scope, random), static_cast<std::uint32_t>(random())});
        child = scope.children.back().get();
    }
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop;
    options.group = scope.group;
    if (random() % 16 == 0)
        options.delay_ns =
            scope.tree.doomed && random() % 2 == 0 ? hour : static_cast<std::int64_t>(random() % 300) * us;
    if (random() % 32 == 0)
        options.priority = EXECQ_PRIORITY_HIGH;
    execq_group_retain(scope.group);
    execq_future* future = nullptr;
    child->held_back =
        scope.limit != 0 || options.delay_ns != 0 || child->kind == Kind::async || child->kind == Kind::series;
    const execq_status status = hand_in(*child, options, random(), &future);
    // Only a member knows that nobody has joined it: who is outside may find it finished by a join.
    CHECK(status == EXECQ_OK || status == EXECQ_ECLOSED);
    CHECK(status == EXECQ_OK || scope.outer == nullptr || execq_group_cancel_reason(scope.group) != EXECQ_REASON_NONE);
    const std::lock_guard lock(scope.mutex);
    child->accepted = status == EXECQ_OK;
    child->future = future;
}

void submit_some(Scope& scope, Random& random, unsigned most)
{
    for (unsigned n = 1 + random() % most; n != 0 && scope.tree.budget.fetch_sub(1) > 0; --n)
        submit_child(scope, random);
}

// ---- from outside ----

// Any scope that is there already.
Scope& some_scope(Scope& root, Random& random)
{
    Scope* scope = &root;
    while (random() % 3 != 0) {
        const std::lock_guard lock(scope->mutex);
        if (scope->inner.empty())
            break;
        scope = scope->inner[random() % scope->inner.size()].get();
    }
    return *scope;
}

void cancel_scope(Scope& scope)
{
    const std::lock_guard lock(scope.mutex);  // or it may be given up meanwhile
    if (!scope.given_up)
        (void)execq_group_cancel(scope.group);
}

void cancel_some_child(Scope& scope, Random& random)
{
    execq_future* future = nullptr;
    {
        const std::lock_guard lock(scope.mutex);
        if (!scope.children.empty())
            future = scope.children[random() % scope.children.size()]->future;
        execq_future_retain(future);
    }
    if (future != nullptr)
        (void)execq_future_cancel(future);
    execq_future_release(future);
}

void meddle(Tree& tree, Random random)
{
    for (unsigned n = random() % 8; n != 0; --n) {
        spin(random() % 4000);
        const unsigned what = random() % 8;
        if (what == 0)
            cancel_scope(some_scope(*tree.root, random));
        else if (what < 6)
            cancel_some_child(some_scope(*tree.root, random), random);
        else
            (void)execq_group_join(tree.root->group, static_cast<std::int64_t>(random() % 50) * us);
    }
    if (tree.doomed) {
        const execq_status status = execq_group_cancel(tree.root->group);
        CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
    }
    const execq_status status = execq_group_join(tree.root->group, -1);
    CHECK(status == execq_group_join(tree.root->group, -1));
}

void drain_queue()
{
    std::array<execq_completion, 64> got;
    std::size_t n = 0;
    do {
        CHECK(execq_cq_drain(cq, got.data(), got.size(), &n) == EXECQ_OK);
        totals.to_queue -= n;
        for (std::size_t i = 0; i < n; ++i)
            execq_future_release(got[i].future);
    } while (n != 0);
}

void count(const Child& child)
{
    if (!child.accepted)
        ++totals.refused;
    else if (child.runs == 0)
        ++totals.canceled;
    else if (child.future != nullptr && execq_future_state(child.future) == EXECQ_FUTURE_CANCELED)
        ++totals.stopped;
    else
        ++(child.returned == 0 ? totals.succeeded : child.returned == EXECQ_ECANCELED ? totals.stopped : totals.failed);
}

std::size_t take_down(Scope& scope)
{
    std::size_t n = scope.children.size();
    for (const auto& child : scope.children) {
        count(*child);
        execq_future_release(child->future);
    }
    for (const auto& inner : scope.inner)
        n += take_down(*inner);
    if (!scope.given_up)
        execq_group_release(scope.group);
    return n;
}

// Answers how many children there were.
std::size_t run_tree(std::uint32_t seed)
{
    Random random(seed);
    Tree tree;
    tree.doomed = random() % 4 == 0;
    tree.budget = most_children;
    tree.root = std::make_unique<Scope>(tree, nullptr, 1);
    make_scope(*tree.root, random);
    std::thread other;
    if (tree.doomed || random() % 2 == 0)
        other = std::thread(meddle, std::ref(tree), Random(random()));
    submit_some(*tree.root, random, 24);
    const execq_status status = execq_group_join(tree.root->group, -1);
    verify_joined(*tree.root, status);
    if (other.joinable())
        other.join();
    drain_queue();
    return take_down(*tree.root);
}

execq_executor* pool(std::uint32_t threads)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = threads;
    options.reserved_loop_workers =
        threads >= many_threads ? 1 : 0;  // where blocking tasks cannot delay asynchronous ones
    execq_executor* made = nullptr;
    CHECK(execq_executor_new(&options, &made) == EXECQ_OK);
    return made;
}

void end_pool(execq_executor* ended)
{
    CHECK(execq_executor_close(ended, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(ended, -1, nullptr) == EXECQ_OK);
    execq_executor_release(ended);
}

}  // namespace

int main()
{
    execq_conf conf = EXECQ_CONF_INIT;
    conf.on_unobserved = [](const execq_error*, const char*, void*) { ++unobserved; };
    CHECK(execq_init_conf(&conf) == EXECQ_OK);
    CHECK(execq_cq_new(&cq) == EXECQ_OK);
    helper = pool(1);
    const std::size_t wanted = stress_n(100'000, 10'000);
    std::size_t n = 0;
    std::uint32_t seed = 1;
    for (std::uint32_t threads : {1U, 2U, 4U, many_threads}) {
        executor = pool(threads);
        threads_are_short = threads < many_threads;
        const std::size_t until = n + (wanted + 3) / 4;
        while (n < until)
            n += run_tree(seed++);
        end_pool(executor);
    }
    end_pool(helper);
    drain_queue();
    CHECK(totals.to_queue == 0);
    execq_cq_release(cq);
    CHECK(unobserved == 0);
    CHECK(totals.succeeded + totals.failed + totals.canceled + totals.stopped + totals.refused == n);
    CHECK(totals.worker_joins != 0 && totals.past_deadline != 0 && totals.stopped != 0 && totals.refused != 0 &&
          totals.given_up != 0);
    std::printf(
        "%zu children in %zu groups of %u trees: %zu succeeded, %zu failed, %zu were canceled, %zu stopped, %zu refused\n"
        "%zu joins by workers, %zu of them deadlocks; %zu given up; %zu deadlines\n",
        n, totals.groups.load(), seed - 1, totals.succeeded.load(), totals.failed.load(), totals.canceled.load(),
        totals.stopped.load(), totals.refused.load(), totals.worker_joins.load(), totals.deadlocks.load(),
        totals.given_up.load(), totals.past_deadline.load());
    return 0;
}
