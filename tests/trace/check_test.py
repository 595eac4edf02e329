"""The judge of traces finds what is wrong: each sample is a trace that is well-formed but for one thing."""

import copy
import json
import sys

import check


def event(phase, at=None, **more):
    timed = {} if at is None else {"ts": at}
    return {"ph": phase, "pid": 1, "tid": 5, **timed, **more}


NAMES = [event("M", name="thread_name", args={"name": "main"}),
         {**event("M", name="thread_name", args={"name": "pool/0"}), "tid": check.FIRST_WORKER_ROW}]
FLOW = {"cat": "flow", "name": "task", "id": 1}
TASK = {"cat": "task", "args": {"task": 1}}
ASYNC = {"cat": "async", "name": "task", "id": 1}
GOOD = [*NAMES, event("X", 1, dur=2.5, name="submit", **TASK), event("s", 1, **FLOW),
        event("B", 4, name="task", **TASK), event("t", 4, **FLOW), event("b", 4, **ASYNC), event("e", 5, **ASYNC),
        event("E", 6), event("X", 7, dur=1, name="complete", **TASK), event("f", 7, bp="e", **FLOW)]


def without(phase):
    return lambda events: [one for one in events if one["ph"] != phase]


def with_field(phase, **fields):
    def change(events):
        for one in events:
            if one["ph"] == phase:
                one.update(fields)
        return events
    return change


def lacking(phase, name):
    def change(events):
        for one in events:
            if one["ph"] == phase:
                one.pop(name, None)
        return events
    return change


BAD = {
    "an unknown phase": with_field("t", ph="?"),
    "a flow without end": without("f"),
    "a flow without begin": without("s"),
    "a flow of another number": with_field("f", id=2),
    "a flow that begins twice": lambda events: events[:4] + events[3:],
    "a flow outside of slices": with_field("f", ts=9),
    "a slice without end": without("E"),
    "an end without slice": without("B"),
    "slices that overlap": with_field("X", ts=3, dur=2),
    "an asynchronous task without end": without("e"),
    "an asynchronous task without begin": without("b"),
    "rows without names": without("M"),
    "a time that goes back": lambda events: events[:2] + events[-2:] + events[2:-2],
    "no time": lacking("B", "ts"),
    "no id": lacking("s", "id"),
    "no process": lacking("X", "pid"),
    "a negative time": with_field("X", ts=-1),
    "two rows of one worker": lambda events: [{**NAMES[1], "tid": check.FIRST_WORKER_ROW + 1}, *events],
    "a row with two names": lambda events: [event("M", name="thread_name", args={"name": "other"}), *events],
}
wrong = [f"the good one: {fault}" for fault in check.judge(json.dumps(GOOD), ("phases=XBE", "rows=pool:1", "runs=1"))]
for what, change in BAD.items():
    if not check.judge(json.dumps(change(copy.deepcopy(GOOD)))):
        wrong.append(f"{what} is not found")
for wish in ("rows=pool:2", "name=nobody", "phases=C", "runs=2", "what=ever"):
    if not check.judge(json.dumps(GOOD), (wish,)):
        wrong.append(f"{wish} is not found")
for text in ("", "[", json.dumps(GOOD)[:-1], "{}", "[1]", "[{}]"):
    if not check.judge(text):
        wrong.append(f"{text[:20]!r} is no trace")
if check.judge(json.dumps(without("E")(copy.deepcopy(GOOD))), ("unfinished",)):
    wrong.append("unfinished slices are not allowed where they should be")
print("\n".join(wrong) or "all is found")
sys.exit(1 if wrong else 0)
