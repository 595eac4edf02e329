#!/usr/bin/env python3
"""Deliberate faults of the library, and how many seeds tests/schedules needs to find each.

mutants.py [--jobs N] [--seeds N] ROOT [NAME…]: copies the sources to build/mutants, makes one change at a time there, and
runs the scenarios that it concerns until a seed fails. Ends with 1 where a mutant is not found by any.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys

# Name, what it breaks, file, (what stands there, what is put there)…, scenarios.
MUTANTS = [
    ("sleep_without_look", "a worker announces its sleep and takes no second look", "src/sched/sleep.cc",
     [("    const Sight sight = look();\n    // Who naps", "    const Sight sight = Sight::nothing;\n    // Who naps")],
     ["fire_and_forget", "resize_submit", "idle_leave"]),
    ("lost_bit", "who gives the waking bit back does not look again", "src/sched/schedule.cc",
     [("    } while (roster_.end_wake(may_start ? thread_limit() : 0) && work_visible());",
       "    } while ((roster_.end_wake(may_start ? thread_limit() : 0), false));")],
     ["fire_and_forget", "resize_submit", "idle_leave"]),
    ("leave_without_look", "a worker that leaves does not look for what counted on it", "src/sched/executor.cc",
     [("    if (work_visible())\n        wake_if_wanted();\n    if (loop_tasks_wait())", "    if (loop_tasks_wait())")],
     ["idle_leave", "resize_submit"]),
    ("cancel_in_two_steps", "a cancellation claims a task by a load and a store", "src/task/node.cc",
     [("        if (state_.compare_exchange_weak(word, moved, std::memory_order_acq_rel, std::memory_order_relaxed)) {\n"
       "            if ((word & extended_flag) != 0)",
       "        state_.store(moved, std::memory_order_release);\n        {\n            if ((word & extended_flag) != 0)")],
     ["cancel_start", "nested_wait", "timer_cancel"]),
    ("complete_in_two_steps", "a promise is claimed by a load and a store: it can be completed twice",
     "src/task/promise.cc",
     [("    } while (!state_.compare_exchange_weak(word, with_phase(word, Phase::settling), std::memory_order_acq_rel,\n"
       "                                           std::memory_order_relaxed));\n    if ((word & hooked_flag) != 0)",
       "    } while ((state_.store(with_phase(word, Phase::settling)), false));\n    if ((word & hooked_flag) != 0)")],
     ["promise_twice", "wait_release"]),
    ("old_word", "a settlement looks for waiters in the word from before its step", "src/task/node.cc",
     [("    std::uint64_t settled = 0;\n    do {",
       "    std::uint64_t settled = 0;\n    const std::uint64_t old = word;\n    do {"),
      ("    if ((word & waiter_flag) != 0)\n", "    if ((old & waiter_flag) != 0)\n")],
     ["wait_release", "nested_wait", "cancel_start"]),
    ("flag_before_ticket", "who waits for any of several sets the flag, then leaves the ticket", "src/task/wait.cc",
     [("        leave_ticket(tickets[left]);\n        pending = nodes[left]->announce_lot_waiter();",
       "        pending = nodes[left]->announce_lot_waiter();\n        leave_ticket(tickets[left]);")],
     ["wait_any"]),
    ("chain_over_closed", "a registration is put over the mark of a future that is done", "src/task/completions.cc",
     [("        if (seen == closed) {\n            delete moved;", "        if (alone) {\n            delete moved;")],
     ["on_done", "loop_detach", "cq_close"]),
    ("found_full", "a registration finds the room inside busy, and leaves it to who was there", "src/task/completions.cc",
     [("        if (seen == closed) {  // settle() found us busy", "        if (seen != closed) {  // settle() found us busy")],
     ["on_done", "loop_detach"]),
    ("drained_signal", "a drain clears the signal of what it leaves", "src/flow/cq.cc",
     [("        if (!ready_.empty() || listing_closed_)\n            signal();\n", "")],
     ["cq_drain"]),
    ("clear_after_look", "a drain takes first and clears the signal then", "src/flow/cq.cc",
     [("    clear();\n    Fifo<Registration> taken;", "    Fifo<Registration> taken;"),
      ("    *n = 0;\n    while (Registration* registration = taken.pop()) {",
       "    clear();\n    *n = 0;\n    while (Registration* registration = taken.pop()) {")],
     ["cq_close", "cq_drain"]),
    ("resume_starts_nothing", "a queue that is resumed asks for no turns", "src/flow/queue.cc",
     [("        paused_ = false;\n        (void)ask_for_turns();", "        paused_ = false;")],
     ["queue_pause"]),
    ("sleep_on_new_turn", "who joins a group reads the turn after it has looked", "src/flow/group.cc",
     [("        const ThreadWaits::Scope blocked;\n        futex_wait(&turn_, turn, deadline);",
       "        const ThreadWaits::Scope blocked;\n        turn = turn_.load();\n        futex_wait(&turn_, turn, deadline);")],
     ["group_join"]),
    ("callback_not_awaited", "the end of a body does not wait for its cancel callback", "src/task/cancel_calls.cc",
     [("        if (!take_back(*call))\n            await_end(*call);\n        this_thread.calls",
       "        (void)take_back(*call);\n        this_thread.calls")],
     ["on_cancel"]),
    ("permit_overwritten", "park() overwrites a permit that came before it", "src/base/futex.h",
     [("        if (word_.exchange(parked, std::memory_order::acquire) != notified) {               // re-check: true",
       "        word_.store(parked, std::memory_order::relaxed);\n        if (word_.load() != notified) {")],
     ["fire_and_forget", "resize_submit", "async_wake"]),
    ("close_under_send", "a mailbox is closed while somebody is inside send()", "src/base/mailbox.h",
     [("        while (senders_.load(std::memory_order::acquire) != 0)  // re-check\n            Atomics::yield();\n", "")],
     ["loop_detach"]),
]


def run(command, **options):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)


def copy_sources(root, tree):
    """Brings the copy up to date, and leaves alone what has not changed, so that little is built."""
    listed = run(["git", "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard"]).stdout.split("\n")
    for name in listed:
        source, target = root / name, tree / name
        if not name or not source.is_file():
            continue
        if target.exists() and target.read_bytes() == source.read_bytes():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def build(tree, jobs, scenarios):
    targets = ["schedules." + name for name in scenarios]
    result = run(["cmake", "--build", str(tree / "build/dev"), "--parallel", str(jobs), "--target", *targets])
    return None if result.returncode == 0 else result.stdout[-3000:]


def find(tree, scenario, seeds):
    """The number of the seed that fails, and how; None: none does."""
    program = tree / "build/dev/tests/schedules" / ("schedules." + scenario)
    result = run([str(program), "--seeds", str(seeds)])
    if result.returncode == 0:
        return None
    how = result.stdout.split("\n", 2)
    if how[0].startswith("without any preemption"):
        return 0, how[1]
    found = re.search(r"found by seed number (\d+)", result.stdout)
    return (int(found.group(1)) if found else 0), how[0]


def try_mutant(mutant, tree, arguments):
    name, what, path, changes, scenarios = mutant
    target = tree / path
    original = target.read_text()
    text = original
    for old, new in changes:
        if text.count(old) != 1:
            return f"{name}: {path} does not have it once: {old!r}", False
        text = text.replace(old, new)
    target.write_text(text)
    try:
        trouble = build(tree, arguments.jobs, scenarios)
        if trouble:
            return f"{name}: does not build: {trouble}", False
        lines, caught = [], False
        for scenario in scenarios:
            found = find(tree, scenario, arguments.seeds)
            if found is None:
                lines.append(f"    {scenario}: not in {arguments.seeds} seeds")
                continue
            caught = True
            how = re.sub(r"^\S+: seed \d+: ", "", found[1])
            lines.append(f"    {scenario}: by seed number {found[0]}: {how}" if found[0] else
                         f"    {scenario}: before the first seed: {how}")
        return f"{name}: {what}: {'found' if caught else 'NOT FOUND'}\n" + "\n".join(lines), caught
    finally:
        target.write_text(original)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", default=os.cpu_count())
    parser.add_argument("--seeds", type=int, default=2000)
    parser.add_argument("root", type=pathlib.Path)
    parser.add_argument("names", nargs="*")
    arguments = parser.parse_args()
    tree = arguments.root / "build/mutants"
    copy_sources(arguments.root, tree)
    configured = run(["cmake", "--preset", "dev", "-DEXECQ_BUILD_BENCH=OFF", "-DEXECQ_BUILD_EXAMPLES=OFF"], cwd=tree)
    if configured.returncode != 0:
        sys.exit(configured.stdout)
    chosen = [mutant for mutant in MUTANTS if not arguments.names or mutant[0] in arguments.names]
    caught = 0
    for mutant in chosen:
        text, found = try_mutant(mutant, tree, arguments)
        print(text, flush=True)
        caught += found
    print(f"{caught} of {len(chosen)} mutants found")
    sys.exit(0 if caught == len(chosen) else 1)


main()
