-- LuaJIT on the bare library: tasks, a completion queue, a libuv loop, shutdown.
--
--     luajit luajit_test.lua libexecq.so libffi_helper.so execq_ffi.h helper.h
--
-- A Lua callback may not run on a foreign thread, so only native functions are passed.
local ffi = require("ffi")
local library, helper_library, header, helper_header = unpack(arg)

local TASKS = 10000
local ROUND = 100 -- tasks between two moments at which the queue is empty
local BATCH = 64 -- completions that one drain takes: a round needs several
local FOREVER = -1
local POLLIN = 1
local UV_RUN_DEFAULT = 0

local function cdef_file(path)
    local file = assert(io.open(path))
    ffi.cdef(file:read("*a"))
    file:close()
end

cdef_file(header)
cdef_file(helper_header)
ffi.cdef([[
struct pollfd { int fd; short events; short revents; };
int poll(struct pollfd *fds, unsigned long count, int timeout);

const char *uv_version_string(void);
size_t uv_loop_size(void);
int uv_loop_init(struct uv_loop_s *loop);
int uv_loop_close(struct uv_loop_s *loop);
int uv_run(struct uv_loop_s *loop, int mode);
]])

local uv = ffi.load("libuv.so.1", true) -- global, so that helper_sym finds it
local execq = ffi.load(library)
local helper = ffi.load(helper_library)

local function check(what, got, wanted)
    if got ~= wanted then
        error(string.format("%s: got %s, wanted %s", what, tostring(got), tostring(wanted)), 0)
    end
end

local function check_status(what, status, wanted)
    check(what, ffi.string(execq.execq_status_name(status)), wanted or "EXECQ_OK")
end

local function sized(kind)
    local value = ffi.new(kind)
    value.struct_size = ffi.sizeof(kind)
    return value
end

local function pointer(number)
    return ffi.cast("void *", number)
end

local function number(pointer_value)
    return tonumber(ffi.cast("uintptr_t", pointer_value))
end

local FIB = { [0] = 0, [1] = 1 }
for i = 2, 30 do
    FIB[i] = FIB[i - 1] + FIB[i - 2]
end

local function submit(executor, name, fn, env, env_size)
    local options = sized("execq_task_options")
    options.name = name
    options.env_size = env_size or 0
    local future = ffi.new("execq_future *[1]")
    check_status("submit_with", execq.execq_submit_with(executor, options, fn, env, future))
    return future[0]
end

local function the_version_is_that_of_the_library()
    local text = string.format("%d.%d.%d", execq.EXECQ_VERSION_MAJOR, execq.EXECQ_VERSION_MINOR,
        execq.EXECQ_VERSION_PATCH)
    check("version_string", ffi.string(execq.execq_version_string()), text)
    print("libexecq " .. text .. ", " .. jit.version)
end

local function structs_have_the_sizes_of_c()
    local kinds = { "execq_completion", "execq_conf", "execq_context_provider", "execq_error_options",
        "execq_executor_options", "execq_promise_options", "execq_running_task", "execq_shutdown_report",
        "execq_task_options", "execq_uv_table", "execq_latency", "execq_worker_stats", "execq_stats",
        "execq_hooks", "execq_task_event", "execq_stuck_info", "execq_queue_options", "execq_group_options",
        "execq_cancel_source_options", "execq_var_options", "execq_manual_options" }
    for _, kind in ipairs(kinds) do
        check("sizeof " .. kind, ffi.sizeof(kind), tonumber(helper.helper_sizeof(kind)))
    end
    print(#kinds .. " structs have the sizes of C")
end

local function null_is_answered_with_einval()
    local out = ffi.new("execq_future *[1]")
    local port = ffi.new("execq_loop *[1]")
    local value = ffi.new("void *[1]")
    local n = ffi.new("size_t[1]", 7)
    local room = ffi.new("execq_completion[1]")
    local calls = {
        { "executor_new without out", execq.execq_executor_new(nil, nil) },
        { "executor_close", execq.execq_executor_close(nil, execq.EXECQ_DRAIN) },
        { "executor_join", execq.execq_executor_join(nil, 0, nil) },
        { "submit without a function", execq.execq_submit(nil, nil, nil, out) },
        { "submit_to_cq without a queue", execq.execq_submit_to_cq(nil, nil, helper.helper_fib, nil, nil, nil) },
        { "future_wait", execq.execq_future_wait(nil, 0) },
        { "future_result", execq.execq_future_result(nil, value) },
        { "cq_new without out", execq.execq_cq_new(nil) },
        { "cq_drain", execq.execq_cq_drain(nil, room, 1, n) },
        { "cq_close", execq.execq_cq_close(nil, nil) },
        { "uv_table_load", execq.execq_uv_table_load(nil, nil, nil) },
        { "loop_attach_uv", execq.execq_loop_attach_uv(nil, nil, port) },
        { "loop_detach", execq.execq_loop_detach(nil) },
    }
    for _, call in ipairs(calls) do
        check_status(call[1] .. " (NULL)", call[2], "EXECQ_EINVAL")
    end
    check("out-parameters after failures", out[0] == nil and port[0] == nil and value[0] == nil and n[0] == 7, true)
    print(#calls .. " calls with NULL answered EXECQ_EINVAL")
end

local function a_result_comes_back(executor)
    helper.helper_gate_init()
    local env = ffi.new("uint64_t[1]", 30)
    local future = submit(executor, "fib", helper.helper_gated_fib_at, env, ffi.sizeof(env))
    env[0] = 1 -- the task has a copy
    helper.helper_gate_open()
    local value = ffi.new("void *[1]")
    check_status("wait", execq.execq_future_wait(future, FOREVER))
    check_status("result", execq.execq_future_result(future, value))
    check("fib(30)", number(value[0]), FIB[30])
    execq.execq_future_release(future)
    print("fib(30) = " .. number(value[0]))
end

local function a_failure_has_a_code_and_a_message(executor)
    local env = ffi.new("char[?]", 32, "no such page")
    local future = submit(executor, "fail", helper.helper_fail, env)
    local value = ffi.new("void *[1]", pointer(7))
    check_status("wait", execq.execq_future_wait(future, FOREVER))
    check_status("result of a failure", execq.execq_future_result(future, value), "EXECQ_EFAILED")
    check("value of a failure", number(value[0]), 7)
    local failure = execq.execq_future_error(future)
    local code, message = execq.execq_error_code(failure), ffi.string(execq.execq_error_message(failure))
    check("code", code, 42)
    check("message", message, "no such page")
    execq.execq_future_release(future)
    print("failure " .. code .. ": " .. message)
end

-- Takes one batch; returns how many completions it had.
local function drain(queue, room, seen)
    local n = ffi.new("size_t[1]")
    check_status("drain", execq.execq_cq_drain(queue, room, BATCH, n))
    for i = 0, tonumber(n[0]) - 1 do
        local tag = number(room[i].tag)
        check("status of tag " .. tag, room[i].status, execq.EXECQ_OK)
        check("value of tag " .. tag, number(room[i].value), FIB[tag % 20])
        seen[tag] = (seen[tag] or 0) + 1
        execq.execq_future_release(room[i].future)
    end
    return tonumber(n[0])
end

local function await_readable(poller)
    poller[0].revents = 0
    check("poll", ffi.C.poll(poller, 1, -1), 1)
    check("events of poll", poller[0].revents, POLLIN)
end

local function a_queue_is_drained_through_its_descriptor(executor)
    local out, fd = ffi.new("execq_cq *[1]"), ffi.new("int[1]")
    check_status("cq_new", execq.execq_cq_new(out))
    local queue = out[0]
    check_status("cq_fd", execq.execq_cq_fd(queue, fd))
    local poller = ffi.new("struct pollfd[1]", { { fd[0], POLLIN, 0 } })
    local room, seen, total, polls = ffi.new("execq_completion[?]", BATCH), {}, 0, 0
    for first = 1, TASKS, ROUND do
        for tag = first, first + ROUND - 1 do
            local env = pointer(tag % 20)
            local status = execq.execq_submit_to_cq(executor, nil, helper.helper_fib, env, queue, pointer(tag))
            check_status("submit_to_cq", status)
        end
        while total < first + ROUND - 1 do
            await_readable(poller)
            polls = polls + 1
            total = total + drain(queue, room, seen)
        end
    end
    for tag = 1, TASKS do
        check("times that tag " .. tag .. " came", seen[tag], 1)
    end
    check("completions", total, TASKS)
    check("a drain afterwards", drain(queue, room, seen), 0)
    check_status("cq_close", execq.execq_cq_close(queue, nil))
    await_readable(poller)
    check_status("drain of a closed queue", execq.execq_cq_drain(queue, room, 1, ffi.new("size_t[1]")), "EXECQ_ECLOSED")
    execq.execq_cq_release(queue)
    print(total .. " completions, each tag once, in " .. polls .. " polls of the descriptor")
end

-- TASKS completions on a loop of our own, through this table.
local function drive(executor, tbl, how)
    check("identity", tbl.identity, uv.uv_version_string())
    local memory = ffi.new("uint64_t[?]", math.ceil(tonumber(uv.uv_loop_size()) / 8))
    local loop = ffi.cast("struct uv_loop_s *", memory)
    local port = ffi.new("execq_loop *[1]")
    check("uv_loop_init", uv.uv_loop_init(loop), 0)
    check_status("loop_attach_uv", execq.execq_loop_attach_uv(loop, tbl, port))
    check("uv_run with nothing pending", uv.uv_run(loop, UV_RUN_DEFAULT), 0) -- ends: the loop is kept alive by need
    helper.helper_tally_begin()
    for tag = 0, TASKS - 1 do
        check_status("submit_to_loop", execq.execq_submit_to_loop(executor, nil, helper.helper_fib, pointer(tag % 20),
            port[0], helper.helper_count_done, pointer(tag), helper.helper_count_drop))
    end
    check("uv_run", uv.uv_run(loop, UV_RUN_DEFAULT), 0)
    check("callbacks", tonumber(helper.helper_tally_done()), TASKS)
    check("drops", tonumber(helper.helper_tally_dropped()), TASKS)
    check("wrong callbacks", tonumber(helper.helper_tally_wrong()), 0)
    check_status("loop_detach", execq.execq_loop_detach(port[0]))
    execq.execq_loop_release(port[0])
    check("uv_run after the detachment", uv.uv_run(loop, UV_RUN_DEFAULT), 0)
    check("uv_loop_close", uv.uv_loop_close(loop), 0)
    check("bytes of the loop", ffi.sizeof(memory) >= tonumber(tbl.loop_size), true) -- and memory is alive until here
    print(TASKS .. " native callbacks on a loop attached by " .. how .. ", then uv_run ended")
end

local function a_loop_is_attached_by_table(executor)
    local tbl = sized("execq_uv_table")
    check_status("uv_table_load with NULL", execq.execq_uv_table_load(tbl, nil, nil))
    drive(executor, tbl, "the library's own table")

    tbl = sized("execq_uv_table")
    check_status("uv_table_load with a lookup", execq.execq_uv_table_load(tbl, helper.helper_sym, nil))
    drive(executor, tbl, "a native symbol lookup")
end

local function shutdown_is_reported(executor)
    helper.helper_gate_init()
    local future = submit(executor, "held at the gate", helper.helper_gate, nil)
    helper.helper_gate_await()
    check_status("close", execq.execq_executor_close(executor, execq.EXECQ_DRAIN))
    check_status("submit to a closed executor", execq.execq_submit(executor, helper.helper_fib, nil, nil),
        "EXECQ_ECLOSED")
    local running = ffi.new("execq_running_task[4]")
    local report = sized("execq_shutdown_report")
    report.running, report.running_max = running, 4
    check_status("join in vain", execq.execq_executor_join(executor, 0, report), "EXECQ_ETIMEDOUT")
    check("running tasks", tonumber(report.running_total), 1)
    check("running tasks named", tonumber(report.running_count), 1)
    check("name", ffi.string(running[0].name), "held at the gate")
    print("join gave up: '" .. ffi.string(running[0].name) .. "' still ran, " .. tonumber(report.threads) .. " threads")
    helper.helper_gate_open()
    check_status("join", execq.execq_executor_join(executor, FOREVER, report))
    check("running after the join", tonumber(report.running_total), 0)
    check("queued after the join", tonumber(report.queued), 0)
    check("threads after the join", tonumber(report.threads), 0)
    execq.execq_future_release(future)
    execq.execq_executor_release(executor)
    print("joined: 0 running, 0 queued, 0 threads")
end

local function a_variable_is_set_captured_and_reset()
    local var, context, value = ffi.new("execq_var *[1]"), ffi.new("execq_context *[1]"), ffi.new("void *[1]")
    local token = ffi.new("execq_var_token[1]")
    check_status("var_new", execq.execq_var_new(nil, var))
    check("var_get", execq.execq_var_get(var[0], value), 0)
    check_status("var_set", execq.execq_var_set(var[0], var, token))
    check("var_get of a value", execq.execq_var_get(var[0], value), 1)
    check("the value", value[0], ffi.cast("void *", var))
    check_status("context_capture", execq.execq_context_capture(context))
    check("the captured one is empty", context[0] == execq.execq_context_empty(), false)
    execq.execq_context_release(context[0])
    check_status("var_reset", execq.execq_var_reset(var[0], token[0]))
    check_status("var_reset again", execq.execq_var_reset(var[0], token[0]), "EXECQ_EINVAL")
    check_status("context_capture of nothing", execq.execq_context_capture(context))
    check("the captured one is empty", context[0] == execq.execq_context_empty(), true)
    execq.execq_var_release(var[0])
    print("a variable was set, captured and reset")
end

local function main()
    the_version_is_that_of_the_library()
    structs_have_the_sizes_of_c()
    null_is_answered_with_einval()
    a_variable_is_set_captured_and_reset()
    local options, out = sized("execq_executor_options"), ffi.new("execq_executor *[1]")
    options.name, options.max_threads = "luajit", 4
    check_status("executor_new", execq.execq_executor_new(options, out))
    local executor = out[0]
    a_result_comes_back(executor)
    a_failure_has_a_code_and_a_message(executor)
    a_queue_is_drained_through_its_descriptor(executor)
    a_loop_is_attached_by_table(executor)
    shutdown_is_reported(executor)
    print("ok")
end

main()
