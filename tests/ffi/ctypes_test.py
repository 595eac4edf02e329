"""Python's ctypes on the bare library: tasks, a completion queue, a libuv loop, shutdown.

    ctypes_test.py libexecq.so libffi_helper.so
"""

import ctypes
import select
import sys
from ctypes import POINTER, byref, c_char, c_char_p, c_int, c_int32, c_int64, c_size_t, c_uint32, c_uint64, c_void_p

TASKS = 10_000
ROUND = 100  # tasks between two moments at which the queue is empty
BATCH = 64  # completions that one drain takes: a round needs several
FIB = [0, 1]
while len(FIB) < 31:
    FIB.append(FIB[-1] + FIB[-2])

OK, EINVAL, ENOTSUP, ECLOSED, EFAILED, ETIMEDOUT = 0, -1, -5, -6, -8, -10
DRAIN = 1
FOREVER = -1
UV_RUN_DEFAULT = 0

TaskFn = ctypes.CFUNCTYPE(c_int32, c_void_p, POINTER(c_void_p))
SymbolFn = ctypes.CFUNCTYPE(c_void_p, c_void_p, c_char_p)


class ExecutorOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("name", c_char_p), ("max_threads", c_uint32),
                ("min_threads", c_uint32), ("keepalive_ns", c_int64), ("loop_workers", c_uint32),
                ("reserved_loop_workers", c_uint32), ("uv_table", c_void_p), ("capacity", c_uint32),
                ("full_policy", c_uint32), ("max_spares", c_int32), ("reserved_2", c_uint32), ("hooks", c_void_p),
                ("stuck_after_ns", c_int64), ("on_stuck", c_void_p), ("stuck_env", c_void_p), ("stuck_drop", c_void_p),
                ("thread_init", c_void_p), ("thread_final", c_void_p), ("thread_env", c_void_p), ("thread_drop", c_void_p),
                ("stack_size", c_uint64), ("affinity", c_void_p), ("affinity_count", c_uint32), ("reserved_3", c_uint32)]


class TaskOptions(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("drop", c_void_p), ("drop_result", c_void_p),
                ("name", c_char_p), ("env_size", c_uint64), ("delay_ns", c_int64), ("start_within_ns", c_int64),
                ("timeout_ns", c_int64), ("uv_identity", c_void_p), ("priority", c_int32), ("reserved", c_uint32),
                ("context", c_void_p), ("queue", c_void_p), ("key", c_uint64), ("group", c_void_p),
                ("cancel_source", c_void_p)]


class Completion(ctypes.Structure):
    _fields_ = [("tag", c_void_p), ("future", c_void_p), ("value", c_void_p), ("status", c_int32),
                ("reserved", c_int32)]


class RunningTask(ctypes.Structure):
    _fields_ = [("name", c_char * 48), ("running_ns", c_int64), ("reserved", c_uint64)]


class ShutdownReport(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("running", POINTER(RunningTask)),
                ("running_max", c_uint64), ("running_count", c_uint64), ("running_total", c_uint64),
                ("queued", c_uint64), ("threads", c_uint64), ("left_loops", c_uint64), ("left_handles", c_uint64)]


class Latency(ctypes.Structure):
    _fields_ = [("count", c_uint64), ("p50_ns", c_int64), ("p99_ns", c_int64), ("max_ns", c_int64)]


class WorkerStats(ctypes.Structure):
    _fields_ = [("number", c_uint32), ("state", c_uint32), ("has_loop", c_uint32), ("reserved_for_loops", c_uint32),
                ("async_open", c_uint64), ("loop_delays", c_uint64), ("loop_lag", Latency), ("loop_turn", Latency)]


class Stats(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("workers", POINTER(WorkerStats)),
                ("workers_max", c_uint64), ("worker_size", c_uint32), ("reserved", c_uint32)] + [
                    (name, c_uint64) for name in (
                        "workers_count", "workers_total", "threads", "idle", "running", "threads_max", "queued",
                        "queued_async", "delayed", "loops", "async_open", "threads_started", "wakes", "steals",
                        "loop_delays")] + [("loop_lag", Latency), ("loop_turn", Latency)] + [
                    (name, c_uint64) for name in (
                        "spares", "most_spares", "blocked", "blocking_hints", "waits_in_place", "waits_compensated",
                        "waits_refused", "submitted", "started", "completed_ok", "completed_failed",
                        "completed_canceled")] + [("queue_latency", Latency), ("run_time", Latency)]


class UvTable(ctypes.Structure):
    _fields_ = [("struct_size", c_uint32), ("flags", c_uint32), ("version", c_uint32), ("reserved", c_uint32),
                ("identity", c_void_p), ("loop_size", c_uint64), ("async_size", c_uint64)] + [
                    (name, c_void_p) for name in ("async_init", "async_send", "close", "ref", "unref")] + [
                    ("timer_size", c_uint64)] + [
                    (name, c_void_p) for name in (
                        "loop_init", "loop_close", "loop_alive", "backend_fd", "backend_timeout", "run", "update_time",
                        "timer_init", "timer_start", "timer_stop", "walk", "is_closing", "handle_type", "handle_type_name")]


STRUCTS = {
    b"execq_executor_options": ExecutorOptions,
    b"execq_task_options": TaskOptions,
    b"execq_completion": Completion,
    b"execq_running_task": RunningTask,
    b"execq_shutdown_report": ShutdownReport,
    b"execq_uv_table": UvTable,
    b"execq_latency": Latency,
    b"execq_worker_stats": WorkerStats,
    b"execq_stats": Stats,
}

# name: result, then parameters. Functions are passed as bare addresses, so that None is NULL and no thunk is between.
EXECQ = {
    "execq_version": (c_uint32,),
    "execq_version_string": (c_char_p,),
    "execq_status_name": (c_char_p, c_int32),
    "execq_executor_new": (c_int32, c_void_p, c_void_p),
    "execq_executor_close": (c_int32, c_void_p, c_int32),
    "execq_executor_join": (c_int32, c_void_p, c_int64, c_void_p),
    "execq_executor_release": (None, c_void_p),
    "execq_submit": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p),
    "execq_submit_with": (c_int32, c_void_p, c_void_p, c_void_p, c_void_p, c_void_p),
    "execq_submit_to_loop": (c_int32,) + (c_void_p,) * 8,
    "execq_submit_to_cq": (c_int32,) + (c_void_p,) * 6,
    "execq_future_wait": (c_int32, c_void_p, c_int64),
    "execq_future_result": (c_int32, c_void_p, c_void_p),
    "execq_future_error": (c_void_p, c_void_p),
    "execq_future_release": (None, c_void_p),
    "execq_error_code": (c_int32, c_void_p),
    "execq_error_message": (c_char_p, c_void_p),
    "execq_cq_new": (c_int32, c_void_p),
    "execq_cq_fd": (c_int32, c_void_p, c_void_p),
    "execq_cq_drain": (c_int32, c_void_p, c_void_p, c_size_t, c_void_p),
    "execq_cq_close": (c_int32, c_void_p, c_void_p),
    "execq_cq_release": (None, c_void_p),
    "execq_uv_table_load": (c_int32, c_void_p, c_void_p, c_void_p),
    "execq_loop_attach_uv": (c_int32, c_void_p, c_void_p, c_void_p),
    "execq_loop_detach": (c_int32, c_void_p),
    "execq_loop_release": (None, c_void_p),
}
HELPER = {
    "helper_sizeof": (c_uint64, c_char_p),
    "helper_tally_done": (c_uint64,),
    "helper_tally_dropped": (c_uint64,),
    "helper_tally_wrong": (c_uint64,),
}
UV = {
    "uv_version_string": (c_void_p,),
    "uv_loop_size": (c_size_t,),
    "uv_loop_init": (c_int, c_void_p),
    "uv_loop_close": (c_int, c_void_p),
    "uv_run": (c_int, c_void_p, c_int),
}


def load(path, prototypes):
    library = ctypes.CDLL(path)
    for name, (result, *parameters) in prototypes.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = parameters
    return library


def address(function):
    return ctypes.cast(function, c_void_p).value


def sized(kind, **fields):
    return kind(struct_size=ctypes.sizeof(kind), **fields)


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"ctypes: {what}: got {got!r}, wanted {wanted!r}")


lib = load(sys.argv[1], EXECQ)
helper = load(sys.argv[2], HELPER)
uv = load("libuv.so.1", UV)


def submit(executor, name, fn, env, env_size=0):
    options = sized(TaskOptions, name=name, env_size=env_size)
    future = c_void_p()
    check("submit_with", lib.execq_submit_with(executor, byref(options), address(fn), env, byref(future)), OK)
    return future


def the_version_is_that_of_the_library():
    number = lib.execq_version()
    text = f"{number >> 16}.{number >> 8 & 255}.{number & 255}"
    check("version_string", lib.execq_version_string().decode(), text)
    print(f"libexecq {text}, Python {sys.version.split()[0]}")


def structs_have_the_sizes_of_c():
    for name, kind in STRUCTS.items():
        check(f"sizeof {name.decode()}", ctypes.sizeof(kind), helper.helper_sizeof(name))
    print(f"{len(STRUCTS)} structs have the sizes of C")


def null_is_answered_with_einval():
    out, n, room = c_void_p(), c_size_t(7), (Completion * 1)()
    calls = {
        "executor_new without out": lib.execq_executor_new(None, None),
        "executor_close": lib.execq_executor_close(None, DRAIN),
        "executor_join": lib.execq_executor_join(None, 0, None),
        "submit without a function": lib.execq_submit(None, None, None, byref(out)),
        "submit_to_cq without a queue":
            lib.execq_submit_to_cq(None, None, address(helper.helper_fib), None, None, None),
        "future_wait": lib.execq_future_wait(None, 0),
        "future_result": lib.execq_future_result(None, byref(out)),
        "cq_new without out": lib.execq_cq_new(None),
        "cq_drain": lib.execq_cq_drain(None, room, 1, byref(n)),
        "cq_close": lib.execq_cq_close(None, None),
        "uv_table_load": lib.execq_uv_table_load(None, None, None),
        "loop_attach_uv": lib.execq_loop_attach_uv(None, None, byref(out)),
        "loop_detach": lib.execq_loop_detach(None),
    }
    for what, status in calls.items():
        check(f"{what} (NULL)", lib.execq_status_name(status), b"EXECQ_EINVAL")
    check("out-parameters after failures", (out.value, n.value), (None, 7))
    print(f"{len(calls)} calls with NULL answered EXECQ_EINVAL")


def a_result_comes_back(executor):
    helper.helper_gate_init()
    number = c_uint64(30)
    future = submit(executor, b"fib", helper.helper_gated_fib_at, byref(number), ctypes.sizeof(number))
    number.value = 1  # the task has a copy
    helper.helper_gate_open()
    value = c_void_p()
    check("wait", lib.execq_future_wait(future, FOREVER), OK)
    check("result", lib.execq_future_result(future, byref(value)), OK)
    check("fib(30)", value.value, FIB[30])
    lib.execq_future_release(future)
    print(f"fib(30) = {value.value}")


def a_failure_has_a_code_and_a_message(executor):
    future = submit(executor, b"fail", helper.helper_fail, c_char_p(b"no such page"))
    value = c_void_p(7)
    check("wait", lib.execq_future_wait(future, FOREVER), OK)
    check("result of a failure", lib.execq_future_result(future, byref(value)), EFAILED)
    check("value of a failure", value.value, 7)
    error = lib.execq_future_error(future)
    check("code", lib.execq_error_code(error), 42)
    check("message", lib.execq_error_message(error), b"no such page")
    print(f"failure {lib.execq_error_code(error)}: {lib.execq_error_message(error).decode()}")
    lib.execq_future_release(future)


def a_python_function_may_be_a_task(executor):
    seen = []
    body = TaskFn(lambda env, result: seen.append(env) or 0)
    futures = [submit(executor, None, body, i) for i in range(1, 101)]
    for future in futures:
        check("wait", lib.execq_future_wait(future, FOREVER), OK)
        lib.execq_future_release(future)
    check("environments seen", sorted(seen), list(range(1, 101)))
    print("100 Python functions ran on workers")


def drain(queue, room, seen):
    """Takes one batch; returns how many completions it had."""
    n = c_size_t()
    check("drain", lib.execq_cq_drain(queue, room, len(room), byref(n)), OK)
    for completion in room[:n.value]:
        tag = completion.tag
        check(f"status of tag {tag}", completion.status, OK)
        check(f"value of tag {tag}", completion.value or 0, FIB[tag % 20])
        seen[tag] += 1
        lib.execq_future_release(completion.future)
    return n.value


def a_queue_is_drained_through_its_descriptor(executor):
    queue, fd = c_void_p(), c_int()
    check("cq_new", lib.execq_cq_new(byref(queue)), OK)
    check("cq_fd", lib.execq_cq_fd(queue, byref(fd)), OK)
    fib = address(helper.helper_fib)
    poll = select.poll()
    poll.register(fd.value, select.POLLIN)
    room, seen, total, polls = (Completion * BATCH)(), [0] * (TASKS + 1), 0, 0
    for first in range(1, TASKS + 1, ROUND):
        for tag in range(first, first + ROUND):
            check("submit_to_cq", lib.execq_submit_to_cq(executor, None, fib, tag % 20, queue, tag), OK)
        while total < first + ROUND - 1:
            check("poll", poll.poll(), [(fd.value, select.POLLIN)])
            polls += 1
            total += drain(queue, room, seen)
    check("tags that did not come once", [tag for tag in range(1, TASKS + 1) if seen[tag] != 1], [])
    check("a drain afterwards", drain(queue, room, seen), 0)
    check("cq_close", lib.execq_cq_close(queue, None), OK)
    check("poll of a closed queue", poll.poll(), [(fd.value, select.POLLIN)])
    check("drain of a closed queue", lib.execq_cq_drain(queue, room, 1, byref(c_size_t())), ECLOSED)
    lib.execq_cq_release(queue)
    print(f"{total} completions, each tag once, in {polls} polls of the descriptor")


def drive(executor, table, how):
    """TASKS completions on a loop of our own, through this table."""
    check("identity", table.identity, uv.uv_version_string())
    loop = ctypes.create_string_buffer(uv.uv_loop_size())
    port = c_void_p()
    check("uv_loop_init", uv.uv_loop_init(loop), 0)
    check("loop_attach_uv", lib.execq_loop_attach_uv(loop, byref(table), byref(port)), OK)
    check("uv_run with nothing pending", uv.uv_run(loop, UV_RUN_DEFAULT), 0)  # ends: the loop is kept alive by need
    helper.helper_tally_begin()
    fib, done, drop = (address(f) for f in (helper.helper_fib, helper.helper_count_done, helper.helper_count_drop))
    for tag in range(TASKS):
        check("submit_to_loop", lib.execq_submit_to_loop(executor, None, fib, tag % 20, port, done, tag, drop), OK)
    check("uv_run", uv.uv_run(loop, UV_RUN_DEFAULT), 0)
    check("callbacks, drops, wrong ones", (helper.helper_tally_done(), helper.helper_tally_dropped(),
                                           helper.helper_tally_wrong()), (TASKS, TASKS, 0))
    check("loop_detach", lib.execq_loop_detach(port), OK)
    lib.execq_loop_release(port)
    check("uv_run after the detachment", uv.uv_run(loop, UV_RUN_DEFAULT), 0)
    check("uv_loop_close", uv.uv_loop_close(loop), 0)
    print(f"{TASKS} native callbacks on a loop attached by {how}, then uv_run ended")


def a_loop_is_attached_by_table(executor):
    table = sized(UvTable)
    check("uv_table_load with NULL", lib.execq_uv_table_load(byref(table), None, None), OK)
    drive(executor, table, "the library's own table")

    asked = []

    def symbol(env, name):
        asked.append(name.decode())
        return address(getattr(uv, asked[-1]))

    table = sized(UvTable)
    check("uv_table_load with a lookup", lib.execq_uv_table_load(byref(table), SymbolFn(symbol), None), OK)
    drive(executor, table, f"a Python lookup of {len(set(asked))} symbols")

    table = sized(UvTable)
    check("uv_table_load with no symbol", lib.execq_uv_table_load(byref(table), SymbolFn(lambda env, name: None), None),
          ENOTSUP)
    check("the table afterwards", bytes(table), bytes(sized(UvTable)))


def shutdown_is_reported(executor):
    helper.helper_gate_init()
    future = submit(executor, b"held at the gate", helper.helper_gate, None)
    helper.helper_gate_await()
    check("close", lib.execq_executor_close(executor, DRAIN), OK)
    check("submit to a closed executor", lib.execq_submit(executor, address(helper.helper_fib), None, None), ECLOSED)
    running = (RunningTask * 4)()
    report = sized(ShutdownReport, running=running, running_max=4)
    check("join in vain", lib.execq_executor_join(executor, 0, byref(report)), ETIMEDOUT)
    check("running tasks", (report.running_count, report.running_total, running[0].name), (1, 1, b"held at the gate"))
    print(f"join gave up: {running[0].name.decode()!r} still ran, {report.threads} threads")
    helper.helper_gate_open()
    check("join", lib.execq_executor_join(executor, FOREVER, byref(report)), OK)
    check("report", (report.running_total, report.queued, report.threads), (0, 0, 0))
    lib.execq_future_release(future)
    lib.execq_executor_release(executor)
    print("joined: 0 running, 0 queued, 0 threads")


def main():
    the_version_is_that_of_the_library()
    structs_have_the_sizes_of_c()
    null_is_answered_with_einval()
    options, executor = sized(ExecutorOptions, name=b"ctypes", max_threads=4), c_void_p()
    check("executor_new", lib.execq_executor_new(byref(options), byref(executor)), OK)
    a_result_comes_back(executor)
    a_failure_has_a_code_and_a_message(executor)
    a_python_function_may_be_a_task(executor)
    a_queue_is_drained_through_its_descriptor(executor)
    a_loop_is_attached_by_table(executor)
    shutdown_is_reported(executor)
    print("ok")


main()
