// The part of the executor about workers' own loops: asynchronous tasks, and how a worker drives its loop beside them.
//
// Who may take an asynchronous task. Who holds one of the slots (loop_slots.h): a worker takes one before the task, and gives
// it back between two tasks once no promise is open on its loop.
//
// Who is called. A submission makes its task visible, then looks for a holder that sleeps, or calls another worker if
// there is a slot for it. Where all slots are held, or promised to those that were called, by workers that are awake, it
// calls nobody: each of these looks into the inbox after it has changed one of the counts, and all are sequentially
// consistent, so that of a submission and a look one sees the other. Who took a task and sees more calls the next.
//
// How a loop is driven. As long as promises are open on it, or a body has left handles that are alive, the worker runs it
// between its tasks, and sleeps in it when it has nothing to do: it announces itself as a sleeper like any other, but
// waits for the loop's descriptor. No callback runs while it is announced: one that blocks would hold up whoever counts
// on the sleeper. Then who takes it off the list ends its sleep through the place (loop_place.h).
//
// Whose turn it is to block. A worker that drives its loop leaves other tasks to those that do not, if one of those sleeps
// or may be started, or somebody is on the way, who wakes the next one if he finds more than he takes. Where one is
// between two tasks it leaves them to him for a moment, and then looks again, since he wakes nobody.
#include <algorithm>
#include <new>
#include <utility>

#include "base/uv_table.h"
#include "sched/body.h"
#include "sched/executor.h"
#include "sched/loop_place.h"
#include "sched/watchdog.h"
#include "task/cancel.h"

namespace execq::core {

namespace {

constexpr std::int64_t loop_turn_ns = 50'000;  // between two turns of a loop while tasks are there to be run
constexpr int fence_after_ms = 1;              // asleep: see look_behind_fence()
constexpr std::uint32_t patient_misses = 16;

}  // namespace

bool Executor::runs_uv(const char* identity) const
{
    return identity == nullptr || identity == (has_uv_table_ ? uv_table_ : own_uv_table()).identity;
}

// ---- slots ----

// A holder of a slot; if there is a slot for another one, best who has a loop already.
Worker* Executor::idle_for_loop()
{
    Worker* best = nullptr;
    int best_rank = 0;
    const bool room = loop_slots_.has_room();
    idle_.for_each([&](Worker& worker) {
        const int rank = worker.loop_slot ? 3 : !room ? 0 : worker.loop() != nullptr ? 2 : 1;
        if (rank > best_rank) {
            best = &worker;
            best_rank = rank;
        }
    });
    return best;
}

// For who has seen an asynchronous task.
void Executor::wake_for_loop()
{
    if (reserved_ != 0)
        call_reserved();
    else
        call_for_loop();
}

void Executor::call_for_loop()
{
    if (!loop_slots_.wants_worker() || !roster_.may_wake(thread_limit()))
        return;
    Worker* called = nullptr;
    {
        const MutexLock lock(mutex_);
        called = idle_for_loop();
        if (called != nullptr) {
            take_off_idle(*called);
            called->loop_called = true;
            ++wakes_;
            loop_slots_.call();
        } else if (loop_slots_.wants_worker() && roster_.threads() < thread_limit() && loop_tasks_wait()) {
            start_worker(false, Call::loop);  // if it cannot be started, those that are there will look
        }
    }
    if (called != nullptr)
        called->wake();
}

bool Executor::claim_slot(Worker& worker, bool beyond_limit)
{
    if (worker.loop_slot)
        return true;
    const MutexLock lock(mutex_);
    if (!has_free_slot() && !beyond_limit)
        return false;
    loop_slots_.take();
    worker.loop_slot = worker.attends = true;
    return true;
}

void Executor::give_slot_back(Worker& worker)
{
    if (!worker.loop_slot)
        return;
    {
        const MutexLock lock(mutex_);
        loop_slots_.give_back();
        worker.loop_slot = false;
    }
    if (loop_tasks_wait())
        wake_for_loop();
}

void Executor::settle_slot(Worker& worker)
{
    if (worker.loop_slot && !worker.place_used())
        give_slot_back(worker);
}

// One at a time, as they cannot be taken from a worker again.
Item Executor::take_loop_task(Worker& worker)
{
    if (loop_slots_.limit() == 0 || loop_tasks_settle_empty() || !claim_slot(worker, false))
        return {};
    return take_loop_item(worker);
}

// ---- starting ----

execq_status Executor::open_place(Worker& worker, ThreadLoop** loop)
{
    if (worker.loop_over)
        return EXECQ_ECLOSED;
    const execq_status status = ThreadLoop::open(loop);
    if (status != EXECQ_OK || worker.place_open)
        return status;
    if ((*loop)->port() != nullptr && (*loop)->port() != worker.place())
        return EXECQ_EBUSY;  // who steps several manual executors has one loop
    if (worker.place() == nullptr) {
        auto* place = new (std::nothrow) LoopPlace;
        if (place == nullptr)
            return EXECQ_ENOMEM;
        bool canceling = false;
        {
            const MutexLock lock(mutex_);
            worker.publish_place(place);
            canceling = mode() == Mode::canceling;
        }
        if (canceling)
            place->ask_all();
    }
    worker.place()->open(**loop);
    worker.place_open = true;
    return EXECQ_OK;
}

// The caller has started it; takes a reference.
void Executor::start_async(Worker& worker, Node& node)
{
    if (Turnstile* turnstile = node.turnstile())
        turnstile->starts(node);
    if (loop_tasks_wait())
        wake_for_loop();
    ThreadLoop* loop = nullptr;
    const execq_status status = open_place(worker, &loop);
    if (status != EXECQ_OK) {
        node.drop_env();
        node.settle_code(status, Reference::give);
        return;
    }
    if (!worker.place()->enter(node))
        node.request_cancel(EXECQ_REASON_SHUTDOWN);
    loop->note_work();
    run_start(node, *worker.place(), loop->loop(), static_cast<std::int32_t>(worker.number()));
}

// The queue finds it lost later. Beyond the limit if need be: the loop is driven for it in any case.
void Executor::start_async_here(Worker& worker, Node& node)
{
    if (mode() == Mode::canceling) {
        (void)cancel_unstarted(node, EXECQ_REASON_SHUTDOWN);
    } else if (start_waiting(node)) {
        if (!worker.reserved())
            claim_slot(worker, true);
        const HintPause pause(worker);
        node.retain();
        start_async(worker, node);
    }
}

// ---- driving ----

// A drain waits for what was accepted, not for handles that somebody left.
bool Executor::drives(const Worker& worker) const
{
    return worker.place_used() || (worker.loop() != nullptr && mode() == Mode::open && worker.loop()->alive());
}

// See the top of the file.
bool Executor::leaves_to_others() const
{
    return idle_apart_.load(std::memory_order_seq_cst) != 0 || roster_.threads() < thread_limit() ||
           roster_.waking_one();
}

// Somebody without a loop to drive is between two tasks.
bool Executor::another_is_free(const Worker& worker)
{
    const MutexLock lock(mutex_);
    bool free = false;
    for_each_worker([&](const Worker& other) {
        free = free || (&other != &worker && !other.reserved() && other.present && !other.idle && !other.leaving &&
                        !other.benched && !other.loop_slot && !other.busy());
    });
    return free;
}

// Whether a worker that drives its loop takes other tasks, too.
bool Executor::may_take_others(Worker& worker)
{
    if (!worker.has_tasks() && look() == Sight::nothing) {
        worker.turns.was_patient = false;
        return false;
    }
    return !leaves_to_others() && (std::exchange(worker.turns.was_patient, false) || !another_is_free(worker));
}

void Executor::turn_loop(Worker& worker)
{
    if (worker.loop() == nullptr)
        return;
    if (!drives(worker)) {
        worker.loop()->note_rest();
        return;
    }
    if (now_ns() - worker.turns.looped_ns < loop_turn_ns)
        return;
    {
        const WatchObserver::Turn turn(observers_.watch, worker.number());
        worker.loop()->run_nowait();
    }
    worker.turns.looped_ns = now_ns();
}

Executor::Attended Executor::attend(Worker& worker, Item& item)
{
    close_hints(worker);
    if (std::exchange(worker.surplus, false) && !stand_aside(worker))
        return Attended::leave;
    turn_loop(worker);
    settle_slot(worker);
    const bool driving = drives(worker);
    const bool takes_others = driving && may_take_others(worker);
    worker.turns.loop_first = !worker.turns.loop_first;
    if (!worker.turns.loop_first && takes_others && (item = find_beside_loop(worker)))
        return Attended::found;
    if ((item = take_loop_task(worker)))
        return Attended::found;
    worker.attends = worker.loop() != nullptr || worker.loop_slot;
    if (!driving)
        return Attended::no;
    if (takes_others && (item = find_beside_loop(worker)))
        return Attended::found;
    // Who was woken passes it on for what others have fetched, too: they may have relied on him.
    if (std::exchange(worker.turns.fresh, false) ? work_visible() : sees_tasks(worker))
        wake_if_wanted();
    lie_on_loop(worker);
    return Attended::again;
}

// For who has announced its sleep. Where others are to take what is there, one of them is woken.
Executor::Watch Executor::watch(Worker& worker)
{
    if (loop_work_for(worker) || !drives(worker))
        return Watch::get_up;
    const bool tasks = sees_tasks(worker);
    if (!tasks && look() == Sight::nothing)
        return Watch::sleep;
    if (leaves_to_others()) {
        if (tasks)
            wake_if_wanted();
        return Watch::sleep;
    }
    if (!tasks)
        return Watch::look_again;  // at what others have fetched: they may be blocked
    if (worker.turns.was_patient || !another_is_free(worker))
        return Watch::get_up;
    worker.turns.was_patient = true;  // once: he may be in a callback that blocks
    return Watch::look_again;
}

bool Executor::announce_on_loop(Worker& worker)
{
    ThreadLoop* loop = nullptr;
    if (open_place(worker, &loop) != EXECQ_OK)
        return false;
    const MutexLock lock(mutex_);
    worker.napping = false;
    worker.idle = true;
    worker.on_loop = true;
    if (worker.loop_slot)
        loop_slots_.add_idle_holder();
    idle_.push_back(worker);
    roster_.add_sleeper();
    return true;
}

// Until something happens on the loop, or somebody wakes the worker.
void Executor::lie_on_loop(Worker& worker)
{
    ThreadLoop& loop = *worker.loop();
    worker.turns.looped_ns = 0;  // its turn comes first when this is over
    const int quiet_ms = loop.quiet_ms();
    if (quiet_ms == 0)
        return;
    if (!announce_on_loop(worker)) {
        loop.sleep(fence_after_ms);  // no memory: looks now and then
        return;
    }
    const Watch first = watch(worker);
    if (first != Watch::get_up) {
        const int short_ms = quiet_ms < 0 ? fence_after_ms : std::min(quiet_ms, fence_after_ms);
        if (!loop.sleep(short_ms) && quiet_ms != short_ms && first == Watch::sleep) {
            StdAtomics::heavy_fence();
            if (watch(worker) == Watch::sleep)
                loop.sleep(quiet_ms < 0 ? quiet_ms : quiet_ms - short_ms);
        }
    } else if (++worker.turns.misses > patient_misses) {
        StdAtomics::yield();  // for who is between the two halves of a push
    }
    if (!get_up(worker)) {
        worker.parker().park();  // for a moment: somebody is about to wake us
        arrive(worker);
    }
}

// ---- the end ----

void Executor::end_loop(Worker& worker)
{
    close_hints(worker);
    worker.surplus = false;
    worker.loop_over = true;
    if (std::exchange(worker.place_open, false)) {
        worker.place()->fail_all();  // there are any only where the thread is lost to a pthread_exit
        worker.place()->close();
    }
    note_leftovers(ThreadLoop::end_of_thread());
    ThreadLoop::use_table(nullptr);
    worker.note_loop(nullptr);
    give_slot_back(worker);
    worker.loop_over = false;  // for the next thread
}

}  // namespace execq::core
