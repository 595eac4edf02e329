// Node with koffi on the bare library: tasks, a completion queue, Node's own main loop, shutdown.
//
//     node koffi_test.js <koffi's folder> libexecq.so libffi_helper.so execq_ffi.h helper.h
//
// JavaScript runs on its own thread only, so only native functions are passed: their addresses, as BigInts.
'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { promisify } = require('node:util');

const [koffiFolder, library, helperLibrary, header, helperHeader] = process.argv.slice(2);
const koffi = require(path.resolve(koffiFolder));

const TASKS = 10000;
const ROUND = 100; // tasks between two moments at which the queue is empty
const BATCH = 64; // completions that one drain takes: a round needs several
const FOREVER = -1;
const POLLIN = 1;
const COMPLETION_BYTES = 32;
const FIB = [0, 1];
while (FIB.length < 31) FIB.push(FIB.at(-1) + FIB.at(-2));

// Structs that are passed as objects. Completions come in arrays and are read from a buffer instead.
const STRUCTS = {
    execq_executor_options: koffi.struct('execq_executor_options', {
        struct_size: 'uint32_t', flags: 'uint32_t', name: 'const char *', max_threads: 'uint32_t',
        min_threads: 'uint32_t', keepalive_ns: 'int64_t', loop_workers: 'uint32_t',
        reserved_loop_workers: 'uint32_t', uv_table: 'void *',
        capacity: 'uint32_t', full_policy: 'uint32_t', max_spares: 'int32_t', reserved_2: 'uint32_t',
        hooks: 'void *', stuck_after_ns: 'int64_t', on_stuck: 'void *', stuck_env: 'void *', stuck_drop: 'void *',
        thread_init: 'void *', thread_final: 'void *', thread_env: 'void *', thread_drop: 'void *',
        stack_size: 'uint64_t', affinity: 'void *', affinity_count: 'uint32_t', reserved_3: 'uint32_t',
    }),
    execq_task_options: koffi.struct('execq_task_options', {
        struct_size: 'uint32_t', flags: 'uint32_t', drop: 'void *', drop_result: 'void *', name: 'const char *',
        env_size: 'uint64_t', delay_ns: 'int64_t', start_within_ns: 'int64_t', timeout_ns: 'int64_t',
        uv_identity: 'void *', priority: 'int32_t', reserved: 'uint32_t', context: 'void *', queue: 'void *',
        key: 'uint64_t', group: 'void *', cancel_source: 'void *',
    }),
    execq_queue_options: koffi.struct('execq_queue_options', {
        struct_size: 'uint32_t', flags: 'uint32_t', name: 'const char *', max_in_flight: 'uint32_t',
        full_policy: 'uint32_t', capacity: 'uint64_t', key_max_in_flight: 'uint32_t', reserved: 'uint32_t',
    }),
    execq_group_options: koffi.struct('execq_group_options', {
        struct_size: 'uint32_t', flags: 'uint32_t', name: 'const char *', parent: 'void *', executor: 'void *',
        timeout_ns: 'int64_t', max_in_flight: 'uint32_t', reserved: 'uint32_t', cancel_source: 'void *',
    }),
    execq_running_task: koffi.struct('execq_running_task', {
        name: koffi.array('char', 48, 'String'), running_ns: 'int64_t', reserved: 'uint64_t',
    }),
    execq_shutdown_report: koffi.struct('execq_shutdown_report', {
        struct_size: 'uint32_t', flags: 'uint32_t', running: 'void *', running_max: 'uint64_t',
        running_count: 'uint64_t', running_total: 'uint64_t', queued: 'uint64_t', threads: 'uint64_t',
        left_loops: 'uint64_t', left_handles: 'uint64_t',
    }),
    execq_uv_table: koffi.struct('execq_uv_table', {
        struct_size: 'uint32_t', flags: 'uint32_t', version: 'uint32_t', reserved: 'uint32_t', identity: 'void *',
        loop_size: 'uint64_t', async_size: 'uint64_t', async_init: 'void *', async_send: 'void *', close: 'void *',
        ref: 'void *', unref: 'void *', timer_size: 'uint64_t', loop_init: 'void *', loop_close: 'void *',
        loop_alive: 'void *', backend_fd: 'void *', backend_timeout: 'void *', run: 'void *', update_time: 'void *',
        timer_init: 'void *', timer_start: 'void *', timer_stop: 'void *', walk: 'void *', is_closing: 'void *',
        handle_type: 'void *', handle_type_name: 'void *',
    }),
};

// koffi's type for a C type: handles, function pointers and out-parameters are plain addresses.
function typeOf(c) {
    const named = /^(const )?(execq_\w+) \*$/.exec(c);
    if (named && STRUCTS[named[2]]) {
        const pointer = koffi.pointer(STRUCTS[named[2]]);
        return named[1] ? pointer : koffi.inout(pointer);
    }
    if (c === 'const char *') return c;
    if (c.endsWith('*') || /^execq_\w+_fn$|^execq_fn$/.test(c)) return 'void *';
    return { execq_status: 'int32_t', execq_var_token: 'uint64_t', execq_cancel_token: 'uint64_t' }[c] ?? c;
}

// Declares every function of a declarations-only header.
function declareAll(lib, file) {
    const declared = {};
    for (const [, result, name, list] of fs.readFileSync(file, 'utf8').matchAll(/^(\w[\w *]*?)(\w+)\((.*)\);$/gm)) {
        if (/^(typedef|struct|enum)\b/.test(result)) continue;
        const parameters = list === 'void' ? [] : list.split(', ').map((one) => one.replace(/\w+$/, '').trim());
        declared[name] = lib.func(name, typeOf(result.trim()), parameters.map(typeOf));
    }
    return declared;
}

function constantsOf(file) {
    const found = fs.readFileSync(file, 'utf8').matchAll(/^    (EXECQ_\w+) = (-?\d+),?$/gm);
    return Object.fromEntries([...found].map(([, name, value]) => [name, Number(value)]));
}

const C = constantsOf(header);
const execq = declareAll(koffi.load(library), header);
const helper = declareAll(koffi.load(helperLibrary, { global: true }), helperHeader); // for helper_sym's sake
const own = koffi.load(null); // Node's own symbols, its libuv among them, and the C library's
const uvDefaultLoop = own.func('uv_default_loop', 'void *', []);
const uvVersionString = own.func('uv_version_string', 'void *', []);
const poll = promisify(own.func('poll', 'int', ['void *', 'ulong', 'int']).async); // on a thread of libuv's pool
const futureWait = promisify(execq.execq_future_wait.async);

const addressOf = (name) => koffi.address(helper.helper_sym(null, name));
const sized = (name, fields) => ({ struct_size: koffi.sizeof(STRUCTS[name]), flags: 0, reserved: 0, ...fields });
const handle = () => new BigUint64Array(1);

function check(what, got, wanted) {
    assert.deepEqual(got, wanted, `koffi: ${what}: got ${got}, wanted ${wanted}`);
}

function checkStatus(what, status, wanted = 'EXECQ_OK') {
    check(what, execq.execq_status_name(status), wanted);
}

function submit(executor, name, fn, env, envSize = 0) {
    const options = sized('execq_task_options', {
        drop: null, drop_result: null, name, env_size: envSize, delay_ns: 0, start_within_ns: 0, timeout_ns: 0,
        priority: 0, context: null, queue: null, key: 0, group: null, cancel_source: null,
    });
    const out = handle();
    checkStatus('submit_with', execq.execq_submit_with(executor, options, addressOf(fn), env, out));
    return out[0];
}

function theVersionIsThatOfTheLibrary() {
    const text = `${C.EXECQ_VERSION_MAJOR}.${C.EXECQ_VERSION_MINOR}.${C.EXECQ_VERSION_PATCH}`;
    check('version_string', execq.execq_version_string(), text);
    console.log(`libexecq ${text}, Node ${process.versions.node}, koffi ${koffi.version}`);
}

function structsHaveTheSizesOfC() {
    for (const [name, type] of Object.entries(STRUCTS)) {
        check(`sizeof ${name}`, koffi.sizeof(type), Number(helper.helper_sizeof(name)));
    }
    check('sizeof execq_completion', COMPLETION_BYTES, Number(helper.helper_sizeof('execq_completion')));
    console.log(`${Object.keys(STRUCTS).length + 1} structs have the sizes of C`);
}

function nullIsAnsweredWithEinval() {
    const out = handle();
    const n = new BigUint64Array([7n]);
    const room = Buffer.alloc(COMPLETION_BYTES);
    const calls = {
        'executor_new without out': execq.execq_executor_new(null, null),
        'executor_close': execq.execq_executor_close(null, C.EXECQ_DRAIN),
        'executor_join': execq.execq_executor_join(null, 0, null),
        'submit without a function': execq.execq_submit(null, null, null, out),
        'submit_to_cq without a queue':
            execq.execq_submit_to_cq(null, null, addressOf('helper_fib'), null, null, null),
        'future_wait': execq.execq_future_wait(null, 0),
        'future_result': execq.execq_future_result(null, out),
        'cq_new without out': execq.execq_cq_new(null),
        'cq_drain': execq.execq_cq_drain(null, room, 1, n),
        'cq_close': execq.execq_cq_close(null, null),
        'uv_table_load': execq.execq_uv_table_load(null, null, null),
        'loop_attach_uv': execq.execq_loop_attach_uv(null, null, out),
        'loop_detach': execq.execq_loop_detach(null),
    };
    for (const [what, status] of Object.entries(calls)) checkStatus(`${what} (NULL)`, status, 'EXECQ_EINVAL');
    check('out-parameters after failures', [out[0], n[0]], [0n, 7n]);
    console.log(`${Object.keys(calls).length} calls with NULL answered EXECQ_EINVAL`);
}

async function aResultComesBack(executor) {
    helper.helper_gate_init();
    const number = new BigUint64Array([30n]);
    const future = submit(executor, 'fib', 'helper_gated_fib_at', number, number.byteLength);
    number[0] = 1n; // the task has a copy
    helper.helper_gate_open();
    const value = handle();
    checkStatus('wait', await futureWait(future, FOREVER));
    checkStatus('result', execq.execq_future_result(future, value));
    check('fib(30)', Number(value[0]), FIB[30]);
    execq.execq_future_release(future);
    console.log(`fib(30) = ${value[0]}`);
}

async function aFailureHasACodeAndAMessage(executor) {
    const text = Buffer.from('no such page\0');
    const future = submit(executor, 'fail', 'helper_fail', text);
    const value = new BigUint64Array([7n]);
    checkStatus('wait', await futureWait(future, FOREVER));
    checkStatus('result of a failure', execq.execq_future_result(future, value), 'EXECQ_EFAILED');
    check('value of a failure', value[0], 7n);
    check('the message, alive until here', text.length, 13);
    const error = execq.execq_future_error(future);
    const [code, message] = [execq.execq_error_code(error), execq.execq_error_message(error)];
    check('code', code, 42);
    check('message', message, 'no such page');
    execq.execq_future_release(future);
    console.log(`failure ${code}: ${message}`);
}

async function awaitReadable(fd) {
    const pollfd = Buffer.alloc(8); // int fd; short events, revents;
    new DataView(pollfd.buffer, pollfd.byteOffset).setInt32(0, fd, true);
    pollfd.writeInt16LE(POLLIN, 4);
    check('poll', await poll(pollfd, 1, -1), 1);
    check('events of poll', pollfd.readInt16LE(6), POLLIN);
}

// Takes one batch; returns how many completions it had.
function drain(queue, room, seen) {
    const n = handle();
    checkStatus('drain', execq.execq_cq_drain(queue, room, BATCH, n));
    for (let at = 0; at < Number(n[0]) * COMPLETION_BYTES; at += COMPLETION_BYTES) {
        const tag = Number(room.readBigUInt64LE(at));
        check(`status of tag ${tag}`, room.readInt32LE(at + 24), C.EXECQ_OK);
        check(`value of tag ${tag}`, Number(room.readBigUInt64LE(at + 16)), FIB[tag % 20]);
        seen[tag] += 1;
        execq.execq_future_release(room.readBigUInt64LE(at + 8));
    }
    return Number(n[0]);
}

async function aQueueIsDrainedThroughItsDescriptor(executor) {
    const [out, fd, fib] = [handle(), new Int32Array(1), addressOf('helper_fib')];
    checkStatus('cq_new', execq.execq_cq_new(out));
    const queue = out[0];
    checkStatus('cq_fd', execq.execq_cq_fd(queue, fd));
    const room = Buffer.alloc(BATCH * COMPLETION_BYTES);
    const seen = new Array(TASKS + 1).fill(0);
    let [total, polls] = [0, 0];
    for (let first = 1; first <= TASKS; first += ROUND) {
        for (let tag = first; tag < first + ROUND; tag++) {
            const status = execq.execq_submit_to_cq(executor, null, fib, BigInt(tag % 20), queue, BigInt(tag));
            checkStatus('submit_to_cq', status);
        }
        while (total < first + ROUND - 1) {
            await awaitReadable(fd[0]);
            polls += 1;
            total += drain(queue, room, seen);
        }
    }
    check('tags that did not come once', [...seen.keys()].filter((tag) => tag > 0 && seen[tag] !== 1), []);
    check('a drain afterwards', drain(queue, room, seen), 0);
    checkStatus('cq_close', execq.execq_cq_close(queue, null));
    await awaitReadable(fd[0]);
    checkStatus('drain of a closed queue', execq.execq_cq_drain(queue, room, 1, handle()), 'EXECQ_ECLOSED');
    execq.execq_cq_release(queue);
    console.log(`${total} completions, each tag once, in ${polls} polls of the descriptor`);
}

// Inside Node both lookups find Node's libuv, never a second copy.
function nodesTable() {
    const table = sized('execq_uv_table', {});
    checkStatus('uv_table_load with a lookup', execq.execq_uv_table_load(table, addressOf('helper_sym'), null));
    check('identity', koffi.address(table.identity), koffi.address(uvVersionString()));
    const linked = sized('execq_uv_table', {});
    checkStatus('uv_table_load with NULL', execq.execq_uv_table_load(linked, null, null));
    check("the library's own identity", koffi.address(linked.identity), koffi.address(table.identity));
    return table;
}

function nodesLoopIsAttached() {
    const out = handle();
    checkStatus('loop_attach_uv', execq.execq_loop_attach_uv(uvDefaultLoop(), nodesTable(), out));
    return out[0];
}

// Puts TASKS completions on the loop that runs this script.
function nodesLoopIsGivenWork(executor, port) {
    helper.helper_tally_begin();
    const [fib, done, drop] = ['helper_fib', 'helper_count_done', 'helper_count_drop'].map(addressOf);
    for (let tag = 0; tag < TASKS; tag++) {
        const [env, doneEnv] = [BigInt(tag % 20), BigInt(tag)];
        checkStatus('submit_to_loop',
            execq.execq_submit_to_loop(executor, null, fib, env, port, done, doneEnv, drop));
    }
}

function nodesLoopEndedByItself(port) {
    check('callbacks', Number(helper.helper_tally_done()), TASKS);
    check('drops', Number(helper.helper_tally_dropped()), TASKS);
    check('wrong callbacks', Number(helper.helper_tally_wrong()), 0);
    checkStatus('loop_detach', execq.execq_loop_detach(port));
    execq.execq_loop_release(port);
    console.log(`${TASKS} native callbacks on Node's loop (libuv ${process.versions.uv}), then the loop ended`);
}

function shutdownIsReported(executor) {
    helper.helper_gate_init();
    const future = submit(executor, 'held at the gate', 'helper_gate', null);
    helper.helper_gate_await();
    checkStatus('close', execq.execq_executor_close(executor, C.EXECQ_DRAIN));
    checkStatus('submit to a closed executor', execq.execq_submit(executor, addressOf('helper_fib'), null, null),
        'EXECQ_ECLOSED');
    const running = koffi.alloc('execq_running_task', 4);
    const zeros = { running_count: 0, running_total: 0, queued: 0, threads: 0 };
    const report = sized('execq_shutdown_report', { running, running_max: 4, ...zeros });
    checkStatus('join in vain', execq.execq_executor_join(executor, 0, report), 'EXECQ_ETIMEDOUT');
    const { name } = koffi.decode(running, 'execq_running_task');
    check('running tasks', [report.running_count, report.running_total, name], [1, 1, 'held at the gate']);
    console.log(`join gave up: '${name}' still ran, ${report.threads} threads`);
    helper.helper_gate_open();
    checkStatus('join', execq.execq_executor_join(executor, FOREVER, report));
    check('report', [report.running_total, report.queued, report.threads], [0, 0, 0]);
    koffi.free(running);
    execq.execq_future_release(future);
    execq.execq_executor_release(executor);
    console.log('joined: 0 running, 0 queued, 0 threads');
}

async function main() {
    theVersionIsThatOfTheLibrary();
    structsHaveTheSizesOfC();
    nullIsAnsweredWithEinval();
    const out = handle();
    const options = sized('execq_executor_options', { name: 'koffi', max_threads: 4, min_threads: 0, keepalive_ns: 0 });
    checkStatus('executor_new', execq.execq_executor_new(options, out));
    const executor = out[0];
    await aResultComesBack(executor);
    await aFailureHasACodeAndAMessage(executor);
    await aQueueIsDrainedThroughItsDescriptor(executor);
    const port = nodesLoopIsAttached();
    // From here no JavaScript is pending, and Node emits beforeExit each time that its loop has ended: once with
    // nothing to wait for, then, kept alive by the pending completions alone, after the last of them.
    process.once('beforeExit', () => {
        nodesLoopIsGivenWork(executor, port);
        process.once('beforeExit', () => {
            nodesLoopEndedByItself(port);
            shutdownIsReported(executor);
            process.exitCode = 0;
            console.log('ok');
        });
    });
}

process.exitCode = 1; // until the last line
process.on('exit', (code) => code === 0 || console.error("koffi: the loop ended before the script's last line"));
main();
