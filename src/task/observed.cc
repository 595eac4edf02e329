#include "task/observed.h"

#include <algorithm>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>

#include "base/clock.h"
#include "base/probes.h"
#include "base/process.h"
#include "execq/status.h"
#include "task/node.h"

namespace execq::core {

namespace {

std::uint64_t new_id()
{
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

thread_local constinit std::int64_t thread_id = 0;

}  // namespace

// What this thread is telling of; they nest, where an observer submits.
class Observation::Telling {
public:
    explicit Telling(const Node& node) : node_(node), outer_(innermost_) { innermost_ = this; }
    ~Telling() { innermost_ = outer_; }
    Telling(const Telling&) = delete;
    Telling& operator=(const Telling&) = delete;

    static bool of(const Node& node)
    {
        for (const Telling* telling = innermost_; telling != nullptr; telling = telling->outer_) {
            if (&telling->node_ == &node)
                return true;
        }
        return false;
    }

private:
    friend class Observation;
    static inline thread_local constinit const Telling* innermost_ = nullptr;
    const Node& node_;
    const Telling* const outer_;
};

// A forked child's thread is inside of nothing, and has another number.
const InChild Observation::in_child_([](void*) {
    Telling::innermost_ = nullptr;
    current_ = nullptr;
    thread_id = 0;
});

template <class Tell>
void Observation::tell(const Tell& tell)
{
    const Telling telling(node_);
    for (std::size_t i = 0; i < observers_.count_; ++i) {
        if ((wanted_ & 1U << i) != 0)
            tell(*observers_.all_[i]);
    }
}

Observation::Observation(Observers& observers, Node& node) : observers_(observers), node_(node), id_(new_id())
{
    observers_.retain();
}

Observation::~Observation()
{
    tell([this](TaskObserver& observer) { observer.gone(*this); });
    observers_.release();
}

bool Observation::telling_of(const Node& node) { return Telling::of(node); }

const char* Observation::name() const { return node_.name(); }

bool Observation::async() const { return node_.async(); }

std::int64_t Observation::ready_ns() const
{
    const TaskTimer* timer = node_.task_timer();
    return timer != nullptr ? std::max(submitted_ns_, timer->times.due_ns) : submitted_ns_;
}

void Observation::note_submitted()
{
    const Telling telling(node_);
    parent_ = current_ != nullptr ? current_->id_ : 0;
    submitted_ns_ = now_ns();
    EXECQ_PROBE3(submit, id_, name(), observers_.executor_name());
    for (std::size_t i = 0; i < observers_.count_; ++i)
        wanted_ |= observers_.all_[i]->submitted(*this) ? 1U << i : 0;
}

void Observation::note_refused()
{
    if (submitted_ns_ == 0)
        return;
    ended_ns_ = now_ns();
    tell([this](TaskObserver& observer) { observer.ended(*this, Ending::refused, EXECQ_OK); });
}

void Observation::note_rested()
{
    tell([this](TaskObserver& observer) { observer.rested(*this); });
    resting_ = true;
}

void Observation::note_ended(Ending ending, std::int32_t code)
{
    ended_ns_ = now_ns();
    EXECQ_PROBE3(complete, id_, name(), code);
    tell([&](TaskObserver& observer) { observer.ended(*this, ending, code); });
}

void Observation::Delivery::begin(Observation& observation)
{
    EXECQ_PROBE2(deliver, observation.id_, observation.name());
    observation.tell([&](TaskObserver& observer) { observer.delivered(observation); });
    observers_ = &observation.observers_;
    wanted_ = observation.wanted_;
    observers_->retain();
}

void Observation::Delivery::end()
{
    for (std::size_t i = 0; i < observers_->count_; ++i) {
        if ((wanted_ & 1U << i) != 0)
            observers_->all_[i]->returned();
    }
    observers_->release();
}

void Observation::Run::begin(std::int32_t worker)
{
    Observation& observation = *observation_;
    observation.worker_ = worker;
    observation.resting_ = false;
    observation.started_ns_ = now_ns();
    EXECQ_PROBE3(start, observation.id_, observation.name(), worker);
    observation.tell([&](TaskObserver& observer) { observer.started(observation); });
    outer_ = current_;
    current_ = observation_;
}

void Observation::Run::leave()
{
    Observation& observation = *std::exchange(observation_, nullptr);
    current_ = outer_;
    observation.left_ns_ = now_ns();
    EXECQ_PROBE2(end, observation.id_, observation.name());
    observation.tell([&](TaskObserver& observer) { observer.left(observation); });
}

std::int64_t current_thread_id()
{
    if (thread_id == 0)
        thread_id = syscall(SYS_gettid);
    return thread_id;
}

}  // namespace execq::core
