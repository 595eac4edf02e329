"""The bars: what libexecq is to reach beside its peers, in one run."""

from samples import median

OURS = "execq"
# One task at a time, as a pool has to where a task may block: the form that takes 64 leaves the rest of them behind a
# blocked one for as long as that lasts (its row of M), which no bar allows. Its figures stand in the table beside this.
MOODYCAMEL = ("moodycamel",)
RATE = "mtasks_per_s"
MET, NOT_MET, NOT_MEASURED = "met", "NOT MET", "not measured"


def bar(name, scenario, case, figure, unit, peers=(), at_least=None, at_most=None):
    """With peers the limit is a ratio to them, without it is a figure."""
    return {"name": name, "scenario": scenario, "case": case, "figure": figure, "unit": unit, "peers": peers,
            "at_least": at_least, "at_most": at_most}


BARS = [
    bar("A 2/1", "A", "2/1", RATE, "M/s", MOODYCAMEL, at_least=4),
    bar("A 4/1", "A", "4/1", RATE, "M/s", MOODYCAMEL, at_least=4),
    bar("A 2/4", "A", "2/4", RATE, "M/s", MOODYCAMEL, at_least=1.5),
    bar("B 2 threads", "B", "2/1", RATE, "M/s", MOODYCAMEL, at_least=6),
    bar("C 2 threads", "C", "2/1", RATE, "M/s", ("tbb",), at_least=5),
    bar("C 4 threads", "C", "4/1", RATE, "M/s", ("tbb",), at_least=5),
    bar("D, median", "D", "2/1", "p50_us", "us", at_most=1),
    bar("DC, median", "DC", "2/1", "p50_us", "us", ("futex",), at_most=1.1),
    bar("E1, median", "E1", "2/1", "p50_us", "us", ("uv_queue_work",), at_most=1),
    bar("E2 2 threads", "E2", "2/1", RATE, "M/s", ("uv_queue_work",), at_least=5),
    bar("E2 4 threads", "E2", "4/1", RATE, "M/s", ("uv_queue_work",), at_least=5),
    bar("F", "F", "2/1", "bytes_per_task", "bytes", at_most=64),
    bar("F with a future", "F-future", "2/1", "bytes_per_task", "bytes", at_most=80),
    # Given back: a tenth of the bar may stay.
    bar("F, kept after draining", "F", "2/1", "kept_bytes_per_task", "bytes", at_most=6.4),
    bar("F with a future, kept", "F-future", "2/1", "kept_bytes_per_task", "bytes", at_most=8),
    bar("H in 5 s", "H", "4/1", "cpu_ms", "ms", at_most=0.05),
    # A task behind a sleeping one waits for up to 5 ms; half of it tells that from a late wake-up.
    bar("M, longest wait", "M", "4/1", "longest_wait_ms", "ms", at_most=2.5),
    # Futures with a timer each; the handle that the caller keeps of each counts.
    bar("I, 100,000 timers", "I", "1/1", "total_ms", "ms", at_most=115),
    bar("I, each", "I", "1/1", "bytes_per_timer", "bytes", at_most=160),
    bar("L, 10,000 tasks", "L", "10^4", "total_ms", "ms", at_most=130),
    bar("L, 100,000 tasks", "L", "10^5", "total_ms", "ms", at_most=300),
    bar("LS, 10,000 beside sleepers", "LS", "10^4", "total_ms", "ms", at_most=130),
    bar("LS, 100,000", "LS", "10^5", "total_ms", "ms", at_most=300),
    bar("LS, loop lag, p99", "LS", "10^5", "lag_p99_us", "us", at_most=5_000),
    # Four threads that always want a processor: with fewer processors than that the system's slices are in the lag.
    bar("LB, 10,000 beside burners", "LB", "10^4", "total_ms", "ms", at_most=130),
    bar("LB, 100,000", "LB", "10^5", "total_ms", "ms", at_most=300),
    bar("LB, loop lag, p99", "LB", "10^5", "lag_p99_us", "us", at_most=5_000),
]


def judge(cases):
    """A row for each bar: the bar with ours, peer, theirs, ratio and verdict."""
    return [judge_one(cases, one) for one in BARS]


def judge_one(cases, one):
    def find(peer):
        return median(cases, one["scenario"], one["case"], peer, one["figure"])

    row = dict(one, ours=find(OURS), peer=None, theirs=None, ratio=None, verdict=NOT_MEASURED)
    best = max if one["at_least"] is not None else min
    measured = {peer: find(peer) for peer in one["peers"] if find(peer) is not None}
    if measured:
        row["peer"] = best(measured, key=measured.get)
        row["theirs"] = measured[row["peer"]]
        if row["ours"] is not None and row["theirs"] > 0:
            row["ratio"] = row["ours"] / row["theirs"]
    value = row["ratio"] if one["peers"] else row["ours"]
    if value is not None:
        reached = value >= one["at_least"] if one["at_least"] is not None else value <= one["at_most"]
        row["verdict"] = MET if reached else NOT_MET
    return row


def limit(row):
    """The bar as text: '>= 4x', '<= 64 bytes'."""
    sign, number = (">=", row["at_least"]) if row["at_least"] is not None else ("<=", row["at_most"])
    return f"{sign} {number:g}x" if row["peers"] else f"{sign} {number:g} {row['unit']}"
