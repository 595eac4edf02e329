"""Judges a trace as its viewers do: check.py <file> [WISH…]

JSON; the fields that each phase needs; rows that are in the order of time; slices that nest on each row and all end; flows and
asynchronous tasks that begin once, end once, and lie inside slices; no two rows with the same name where that is a worker's.
Exits with 1, and a line for each fault. Wishes: rows=<executor>:<workers>, name=<an event's>, phases=<letters>, runs=<bodies>;
unfinished: what begins need not end.
"""

import bisect
import collections
import json
import sys

FIELDS = {
    "M": ("name", "args"),
    "X": ("ts", "dur", "name", "cat", "args"),
    "B": ("ts", "name", "cat", "args"),
    "E": ("ts",),
    "s": ("ts", "name", "cat", "id"),
    "t": ("ts", "name", "cat", "id"),
    "f": ("ts", "name", "cat", "id", "bp"),
    "b": ("ts", "name", "cat", "id"),
    "e": ("ts", "name", "cat", "id"),
    "C": ("ts", "name", "args"),
}
FIRST_WORKER_ROW = 1 << 22


def nanoseconds(us):
    return round(us * 1000)


def fields(events):
    for number, event in enumerate(events):
        phase = event.get("ph")
        if phase not in FIELDS:
            yield f"event {number}: phase {phase!r}"
            continue
        for name in ("pid", "tid", *FIELDS[phase]):
            if name not in event:
                yield f"event {number} ({phase}): no {name}"
        for name in ("ts", "dur"):
            if not isinstance(event.get(name, 0), (int, float)) or event.get(name, 0) < 0:
                yield f"event {number} ({phase}): {name} is {event[name]!r}"
    if len({event.get("pid") for event in events}) > 1:
        yield "more than one process"


def order(events):
    """In the file, what a row says comes in the order of time; a slice that is told at its end has begun before."""
    last = collections.defaultdict(int)
    for event in events:
        if event["ph"] == "M":
            continue
        row, at = event["tid"], nanoseconds(event["ts"])
        if at < last[row]:
            yield f"row {row}: {event['ph']} at {event['ts']} us comes after one at {last[row] / 1000} us"
        last[row] = at


def flow_step(event, inside, flows):
    phase, flow = event["ph"], (event["cat"], event["name"], event["id"])
    if not inside:
        yield f"flow {event['id']}: {phase} at {event['ts']} us lies in no slice"
    steps = flows.setdefault(flow, [])
    if (phase == "s") != (not steps) or (steps and steps[-1] == "f"):
        yield f"flow {event['id']}: {phase} after {steps}"
    steps.append(phase)


def slices_of(row, events, done):
    """Walks one row as viewers do, sorted by time, and takes note of finished slices: (name, depth, from, to)."""
    stack = []

    def pop_until(at):
        while stack and stack[-1][1] is not None and stack[-1][1] <= at:
            begin, end, name = stack.pop()
            done.append((name, len(stack), begin, end))

    for event in sorted(events, key=lambda event: nanoseconds(event["ts"])):
        at, phase = nanoseconds(event["ts"]), event["ph"]
        pop_until(at)
        if phase == "X":
            end = at + nanoseconds(event["dur"])
            if stack and stack[-1][1] is not None and stack[-1][1] < end:
                yield f"row {row}: {event['name']} at {event['ts']} us outlives the slice around it"
            stack.append((at, end, event["name"]))
        elif phase == "B":
            if stack and stack[-1][1] is not None:
                yield f"row {row}: {event['name']} at {event['ts']} us begins inside of a slice that has an end"
            stack.append((at, None, event["name"]))
        elif phase == "E":
            if not stack or stack[-1][1] is not None:
                yield f"row {row}: an end at {event['ts']} us that belongs to no slice"
                continue
            begin, _, name = stack.pop()
            done.append((name, len(stack), begin, at))
    pop_until(float("inf"))
    done += [(name, depth, begin, float("inf")) for depth, (begin, _, name) in enumerate(stack)]
    yield from (f"row {row}: {name} never ends" for _, _, name in stack)


def flows_of(events, slices):
    """Flows are followed in the order of time, across rows; each step lies in a slice of its row."""
    flows = {}
    outermost = collections.defaultdict(list)
    for row, of_row in slices.items():
        outermost[row] = sorted((begin, end) for _, depth, begin, end in of_row if depth == 0)
    rank = {"s": 0, "t": 1, "f": 2}
    for event in sorted((event for event in events if event["ph"] in rank),
                        key=lambda event: (nanoseconds(event["ts"]), rank[event["ph"]])):
        at = nanoseconds(event["ts"])
        outer = outermost[event["tid"]]
        before = bisect.bisect_right(outer, (at, float("inf"))) - 1
        inside = before >= 0 and at < max(outer[before][1], outer[before][0] + 1)
        yield from flow_step(event, inside, flows)
    for (_, _, number), steps in flows.items():
        if steps[-1] != "f":
            yield f"flow {number} never ends: {steps}"


def asyncs_of(events):
    open_ones = {}
    for event in sorted((event for event in events if event["ph"] in "be"), key=lambda event: nanoseconds(event["ts"])):
        key = (event["cat"], event["name"], event["id"])
        if (event["ph"] == "b") == (key in open_ones):
            yield f"asynchronous {key}: {event['ph']} at {event['ts']} us"
        if event["ph"] == "b":
            open_ones[key] = event
        else:
            open_ones.pop(key, None)
    yield from (f"asynchronous {key} never ends" for key in open_ones)


def rows_of(events):
    """row → name, and what is wrong with that."""
    names, wrong = {}, []
    for event in events:
        if event["ph"] != "M" or event["name"] != "thread_name":
            continue
        name = event["args"]["name"]
        if names.setdefault(event["tid"], name) != name:
            wrong.append(f"row {event['tid']} has two names")
    for event in events:
        if event["ph"] not in "MC" and event["tid"] not in names:
            wrong.append(f"row {event['tid']} has no name")
            names[event["tid"]] = ""
    workers = [name for row, name in names.items() if row >= FIRST_WORKER_ROW]
    wrong += [f"two rows are {name}" for name, n in collections.Counter(workers).items() if n > 1]
    return names, wrong


def wanted(events, names, wish):
    kind, _, what = wish.partition("=")
    if kind == "rows":
        prefix, _, number = what.rpartition(":")
        found = sum(name.startswith(prefix + "/") for name in names.values())
        if found != int(number):
            yield f"{found} rows of {prefix}, not {number}"
    elif kind == "name":
        if not any(event.get("name") == what for event in events):
            yield f"nothing is named {what!r}"
    elif kind == "phases":
        missing = set(what) - {event["ph"] for event in events}
        yield from (f"no event is a {phase}" for phase in sorted(missing))
    elif kind == "runs":
        found = sum(event["ph"] == "B" and not event["name"].startswith("deliver ") for event in events)
        if found != int(what):
            yield f"{found} runs, not {what}"
    else:
        yield f"{wish}: unknown"


def judge(text, wishes=()):
    try:
        events = json.loads(text)
    except ValueError as error:
        return [f"no JSON: {error}"]
    if not isinstance(events, list) or not all(isinstance(event, dict) for event in events):
        return ["no list of events"]
    wrong = list(fields(events))
    if wrong:
        return wrong
    names, wrong = rows_of(events)
    wrong += order(events)
    slices = collections.defaultdict(list)
    by_row = collections.defaultdict(list)
    for event in events:
        if event["ph"] in "XBE":
            by_row[event["tid"]].append(event)
    for row, of_row in by_row.items():
        wrong += slices_of(row, of_row, slices[row])
    wrong += flows_of(events, slices)
    wrong += asyncs_of(events)
    for wish in wishes:
        if wish != "unfinished":
            wrong += wanted(events, names, wish)
    if "unfinished" in wishes:
        wrong = [fault for fault in wrong if "never ends" not in fault]
    return wrong


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8", errors="strict") as file:
        faults = judge(file.read(), sys.argv[2:])
    print("\n".join(faults[:50]) or "the trace is well-formed")
    sys.exit(1 if faults else 0)
