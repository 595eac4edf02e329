/* Pools, and the executors in front of them. A pool outlives its executor for as long as it has tasks or threads. */
#include "binding.h"

#include <errno.h>
#include <time.h>

PyObject *raise_status(execq_status status, const char *what)
{
    if (status == EXECQ_ENOMEM)
        return PyErr_NoMemory();
    if (status == EXECQ_EFULL)
        PyErr_SetString(execq_full_error, "the executor is full");
    else if (status == EXECQ_ECLOSED)
        PyErr_SetString(PyExc_RuntimeError, "cannot schedule new futures after shutdown");
    else if (status == EXECQ_EAGAIN)
        PyErr_SetString(PyExc_RuntimeError, "can't start new thread");
    else if (status == EXECQ_EINVAL)
        PyErr_Format(PyExc_ValueError, "%s: %s", what, execq_status_text(status));
    else if (status == EXECQ_EMFILE)
        PyErr_Format(PyExc_OSError, "%s: %s", what, execq_status_text(status));
    else
        PyErr_Format(PyExc_RuntimeError, "%s: %s", what, execq_status_text(status));
    return NULL;
}

/* ---- the list ---- */

static void append(Pool *pool, Item *item)
{
    item->next = NULL;
    item->previous = pool->last;
    if (pool->last)
        pool->last->next = item;
    else
        pool->first = item;
    pool->last = item;
    item->waits = 1;
    pool->waiting++;
    if (!item->port)
        ((Future *)item->target)->item = item;
}

void pool_unlink(Pool *pool, Item *item)
{
    if (item->previous)
        item->previous->next = item->next;
    else
        pool->first = item->next;
    if (item->next)
        item->next->previous = item->previous;
    else
        pool->last = item->previous;
    item->waits = 0;
    pool->waiting--;
    if (!item->port)
        ((Future *)item->target)->item = NULL;
}

/* ---- pumps ---- */

static int32_t pump(void *env, void **result);

static execq_status start_pump(Pool *pool)
{
    Py_INCREF(pool);
    execq_status status = execq_submit(pool->native, pump, pool, NULL);
    if (status != EXECQ_OK)
        Py_DECREF(pool);
    return status;
}

/* Native tasks of the same pool wait: they get their turn, in the order of their priorities, and the pump goes on after. */
static int give_way(Pool *pool)
{
    return pool->optional && pool->waiting && !pool->forked && start_pump(pool) == EXECQ_OK;
}

enum { LINGER_NS = 2000000, WATCH_NS = 100000000 };

/* Waits for the semaphore, without the GIL. */
static void wait_for(sem_t *semaphore, long nanoseconds)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += nanoseconds;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    Py_BEGIN_ALLOW_THREADS while (sem_timedwait(semaphore, &until) && errno == EINTR) continue;
    Py_END_ALLOW_THREADS
}

static void call_lingering(Pool *pool)
{
    for (Py_ssize_t i = 0; i < pool->lingering; ++i)
        sem_post(&pool->more);
}

/* Before it ends, a pump waits a moment: a task that follows at once finds it, and neither wakes nor starts a thread. */
static int more_came(Pool *pool)
{
    if (pool->closed || pool->optional)
        return pool->first != NULL;
    pool->lingering++;
    wait_for(&pool->more, LINGER_NS);
    pool->lingering--;
    return pool->first != NULL;
}

static int32_t pump(void *env, void **result)
{
    Pool *pool = env;
    (void)result;
    Entry entry = enter_worker(pool);
    if (pool->watching)
        sem_post(&pool->began);
    int handed_on = 0;
    while (!handed_on && (pool->first || more_came(pool))) {
        Item *item = pool->first;
        pool_unlink(pool, item);
        pool->running++;
        item_run(item, 1);
        handed_on = give_way(pool);
    }
    if (!handed_on)
        pool->pumps--;
    Py_DECREF(pool);
    leave(entry);
    return 0;
}

/* A thread object for a pump that is one too many for those there are. As where a thread is started by its submitter, the
 * thread has begun when this returns, and with it the task; it does not come where others hold the workers. */
static int more_threads(Pool *pool)
{
    if (pool->pumps <= pool->threads)
        return 0;
    PyObject *answer = PyObject_CallMethod(pool->owner, "add", NULL);
    Py_XDECREF(answer);
    if (!answer)
        return -1;
    if (pool->optional)
        return 0;
    while (!sem_trywait(&pool->began))
        continue;
    pool->watching++;
    wait_for(&pool->began, WATCH_NS);
    pool->watching--;
    return 0;
}

static int tell_preempt(Pool *pool)
{
    if (!pool->preempt || pool->running < pool->max_workers || pool->loops < pool->running)
        return 0;
    PyObject *answer = PyObject_CallNoArgs(pool->preempt);
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

/* Puts the item into the list, and starts a pump if none is free for it. Takes the item, also where it fails. */
int pool_push(Pool *pool, Item *item)
{
    append(pool, item);
    if (pool->waiting <= pool->pumps - pool->running) {
        if (pool->lingering)
            sem_post(&pool->more);
        return 0;
    }
    if (pool->pumps >= pool->max_workers)
        return tell_preempt(pool);
    execq_status status = start_pump(pool);
    if (status == EXECQ_OK) {
        pool->pumps++;
        return more_threads(pool);
    }
    if (pool->pumps)
        return 0; /* it waits a little longer */
    pool_unlink(pool, item);
    item_drop(item);
    raise_status(status, "the executor");
    return -1;
}

/* Ends an item whose body never ran, and never will. */
static void cancel_item(Item *item)
{
    if (item->port) {
        item->outcome = PyObject_CallNoArgs(execq_cancelled_error);
        item->failed = 1;
        port_push(item->port, item);
        return;
    }
    PyObject *answer = PyObject_CallMethod(item->target, "cancel", NULL);
    if (!answer || future_start((Future *)item->target) < 0)
        PyErr_WriteUnraisable(item->target);
    Py_XDECREF(answer);
    item_drop(item);
}

/* ---- native tasks of their own ---- */

typedef struct {
    Item *item; /* until the body takes it */
    Pool *pool; /* the task's reference */
} Task;

static void link_task(Pool *pool, Item *item)
{
    item->next = pool->tasks;
    item->previous = NULL;
    if (pool->tasks)
        pool->tasks->previous = item;
    pool->tasks = item;
    pool->optional++;
}

static void unlink_task(Pool *pool, Item *item)
{
    if (item->previous)
        item->previous->next = item->next;
    else
        pool->tasks = item->next;
    if (item->next)
        item->next->previous = item->previous;
    pool->optional--;
}

static int32_t run_task(void *env, void **result)
{
    Task *task = env;
    (void)result;
    Entry entry = enter_worker(task->pool);
    Item *item = task->item;
    task->item = NULL;
    unlink_task(task->pool, item);
    if (task->pool->broken) {
        break_item(item);
    } else {
        item_run(item, 0);
    }
    leave(entry);
    return 0;
}

/* Ends the task; where the body never ran, the library canceled it. */
static void drop_task(void *env)
{
    Task *task = env;
    if (execq_exiting > 1)
        return;
    Entry entry = enter_any();
    Item *item = task->item;
    if (item) {
        unlink_task(task->pool, item);
        cancel_item(item);
    }
    Py_DECREF(task->pool);
    leave(entry);
}

static int submit_task(Pool *pool, Item *item, execq_task_options *options)
{
    Future *future = item->port ? NULL : (Future *)Py_NewRef(item->target);
    Task task = {item, (Pool *)Py_NewRef((PyObject *)pool)};
    execq_future *native = NULL;
    execq_status status;
    options->drop = drop_task;
    options->env_size = sizeof task;
    link_task(pool, item);
    call_lingering(pool);
    Py_BEGIN_ALLOW_THREADS status = execq_submit_with(pool->native, options, run_task, &task, future ? &native : NULL);
    Py_END_ALLOW_THREADS if (status != EXECQ_OK) raise_status(status, "the task's options");
    else if (future) future->native = native;
    Py_XDECREF(future);
    return status == EXECQ_OK ? 0 : -1;
}

/* ---- pools ---- */

int pool_ready(Pool *pool)
{
    if (pool->broken) {
        PyErr_SetObject(execq_broken_pool, pool->broken);
        return -1;
    }
    if (pool->forked)
        PyErr_SetString(PyExc_RuntimeError, "cannot schedule new futures after fork");
    else if (pool->closed)
        PyErr_SetString(PyExc_RuntimeError, "cannot schedule new futures after shutdown");
    else if (execq_exiting)
        PyErr_SetString(PyExc_RuntimeError, "cannot schedule new futures after interpreter shutdown");
    else
        return 0;
    return -1;
}

static PyObject *pool_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"max_workers", "name", "owner", "initializer", "initargs", "capacity", "policy", NULL};
    Py_ssize_t max_workers;
    const char *name;
    PyObject *owner, *initializer, *initargs;
    unsigned int capacity, policy;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "nsOOO!II:Pool", names, &max_workers, &name, &owner, &initializer,
                                     &PyTuple_Type, &initargs, &capacity, &policy))
        return NULL;
    if (max_workers > EXECQ_MAX_THREADS) {
        PyErr_Format(PyExc_ValueError, "max_workers must be at most %d", (int)EXECQ_MAX_THREADS);
        return NULL;
    }
    Pool *self = (Pool *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    sem_init(&self->more, 0, 0);
    sem_init(&self->began, 0, 0);
    self->owner = Py_NewRef(owner);
    self->initializer = initializer == Py_None ? NULL : Py_NewRef(initializer);
    self->initargs = Py_NewRef(initargs);
    self->max_workers = max_workers;
    self->direct = capacity != 0;
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.name = name;
    options.max_threads = options.min_threads = (uint32_t)max_workers;
    options.capacity = capacity;
    options.full_policy = policy;
    options.max_spares = -1;
    execq_status status = execq_executor_new(&options, &self->native);
    if (status == EXECQ_OK)
        return (PyObject *)self;
    Py_DECREF(self);
    return raise_status(status, "the executor's options");
}

static int pool_traverse(Pool *self, visitproc visit, void *arg)
{
    Py_VISIT(self->owner);
    Py_VISIT(self->initializer);
    Py_VISIT(self->initargs);
    Py_VISIT(self->preempt);
    return 0;
}

static int pool_clear(Pool *self)
{
    Py_CLEAR(self->owner);
    Py_CLEAR(self->initializer);
    Py_CLEAR(self->initargs);
    Py_CLEAR(self->preempt);
    return 0;
}

static void pool_dealloc(Pool *self)
{
    PyObject_GC_UnTrack(self);
    pool_clear(self);
    Py_CLEAR(self->broken);
    if (execq_exiting < 2 && !self->forked)
        execq_executor_release(self->native);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyObject *pool_close(Pool *self, PyObject *unused)
{
    (void)unused;
    self->closed = 1;
    call_lingering(self);
    if (!self->forked)
        execq_executor_close(self->native, EXECQ_DRAIN);
    Py_RETURN_NONE;
}

/* Cancels the futures of what has not started. */
static PyObject *pool_cancel(Pool *self, PyObject *unused)
{
    (void)unused;
    while (self->first) {
        Item *item = self->first;
        pool_unlink(self, item);
        cancel_item(item);
    }
    Py_ssize_t count = 0;
    PyObject *futures = PyTuple_New(self->optional);
    if (!futures)
        return NULL;
    for (Item *item = self->tasks; item; item = item->next)
        PyTuple_SET_ITEM(futures, count++, Py_NewRef(item->port ? Py_None : item->target));
    for (Py_ssize_t i = 0; i < count; ++i) {
        if (PyTuple_GET_ITEM(futures, i) == Py_None)
            continue;
        PyObject *answer = PyObject_CallMethod(PyTuple_GET_ITEM(futures, i), "cancel", NULL);
        if (!answer)
            PyErr_WriteUnraisable(PyTuple_GET_ITEM(futures, i));
        Py_XDECREF(answer);
    }
    Py_DECREF(futures);
    Py_RETURN_NONE;
}

/* join(seconds): whether all is done and every thread has ended; only looks a short while, so that signals are heard. */
static PyObject *pool_join(Pool *self, PyObject *seconds)
{
    double wait = PyFloat_AsDouble(seconds);
    if (wait == -1.0 && PyErr_Occurred())
        return NULL;
    if (self->joined || self->forked)
        Py_RETURN_TRUE;
    execq_status status;
    Py_BEGIN_ALLOW_THREADS status = execq_executor_join(self->native, (int64_t)(wait * 1e9), NULL);
    Py_END_ALLOW_THREADS if (status == EXECQ_OK)
    {
        self->joined = 1;
        Py_RETURN_TRUE;
    }
    if (status == EXECQ_EDEADLK) {
        PyErr_SetString(PyExc_RuntimeError, "cannot join current thread");
        return NULL;
    }
    if (status == EXECQ_ETIMEDOUT)
        Py_RETURN_FALSE;
    return raise_status(status, "join");
}

static PyObject *pool_forked(Pool *self, PyObject *unused)
{
    (void)unused;
    self->forked = 1;
    Py_RETURN_NONE;
}

static PyObject *pool_set_preempt(Pool *self, PyObject *call)
{
    Py_XSETREF(self->preempt, call == Py_None ? NULL : Py_NewRef(call));
    Py_RETURN_NONE;
}

static PyObject *pool_loop(Pool *self, PyObject *begins)
{
    self->loops += PyObject_IsTrue(begins) ? 1 : -1;
    if (self->loops > 0 && self->waiting && tell_preempt(self))
        return NULL;
    Py_RETURN_NONE;
}

/* again(call): one more body of the pool's own, also after a close. */
static PyObject *pool_again(Pool *self, PyObject *call)
{
    if (self->forked)
        Py_RETURN_NONE;
    Item *item = item_new(self, &call, 0, NULL);
    if (!item)
        return NULL;
    item->target = (PyObject *)future_new();
    if (!item->target) {
        item_drop(item);
        return NULL;
    }
    if (pool_push(self, item))
        return NULL;
    Py_RETURN_NONE;
}

static int put(PyObject *into, const char *key, uint64_t value)
{
    PyObject *number = PyLong_FromUnsignedLongLong(value);
    int bad = !number || PyDict_SetItemString(into, key, number);
    Py_XDECREF(number);
    return bad;
}

static PyObject *pool_stats(Pool *self, PyObject *unused)
{
    (void)unused;
    if (self->forked) {
        PyErr_SetString(PyExc_RuntimeError, "this executor belongs to the parent process");
        return NULL;
    }
    execq_stats stats = EXECQ_STATS_INIT;
    execq_status status = execq_executor_stats(self->native, &stats);
    if (status != EXECQ_OK)
        return raise_status(status, "stats");
    PyObject *out = PyDict_New();
    uint64_t queued = (uint64_t)self->waiting + (uint64_t)self->optional;
    if (!out || put(out, "queued", queued) || put(out, "running", stats.running) ||
        put(out, "threads", stats.threads) || put(out, "idle", stats.idle) ||
        put(out, "threads_max", stats.threads_max) || put(out, "delayed", stats.delayed) ||
        put(out, "threads_started", stats.threads_started) || put(out, "wakes", stats.wakes) ||
        put(out, "steals", stats.steals)) {
        Py_XDECREF(out);
        return NULL;
    }
    return out;
}

static PyMethodDef pool_methods[] = {
    {"close", (PyCFunction)pool_close, METH_NOARGS, "Refuses what comes."},
    {"cancel", (PyCFunction)pool_cancel, METH_NOARGS, "Cancels what has not started."},
    {"join", (PyCFunction)pool_join, METH_O, "join(seconds): whether all is done and every thread has ended."},
    {"mark_forked", (PyCFunction)pool_forked, METH_NOARGS, "Leaves the native executor to the parent process."},
    {"set_preempt", (PyCFunction)pool_set_preempt, METH_O,
     "Whom to tell that a task waits while all workers run loops."},
    {"loop", (PyCFunction)pool_loop, METH_O, "loop(begins): the running body begins, or ends, to run an event loop."},
    {"again", (PyCFunction)pool_again, METH_O, "again(call): one more body of the pool's own, also after a close."},
    {"stats", (PyCFunction)pool_stats, METH_NOARGS, "What the pool does now, and did so far."},
    {NULL, NULL, 0, NULL}};

static PyMemberDef pool_members[] = {{"max_workers", T_PYSSIZET, offsetof(Pool, max_workers), READONLY, NULL},
                                     {"owner", T_OBJECT, offsetof(Pool, owner), READONLY, NULL},
                                     {"threads", T_PYSSIZET, offsetof(Pool, threads), 0, NULL},
                                     {"waiting", T_PYSSIZET, offsetof(Pool, waiting), READONLY, NULL},
                                     {"broken", T_OBJECT, offsetof(Pool, broken), READONLY, NULL},
                                     {"closed", T_BOOL, offsetof(Pool, closed), READONLY, NULL},
                                     {"joined", T_BOOL, offsetof(Pool, joined), READONLY, NULL},
                                     {"forked", T_BOOL, offsetof(Pool, forked), READONLY, NULL},
                                     {NULL, 0, 0, 0, NULL}};

PyTypeObject execq_pool_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "execq._execq.Pool",
    .tp_basicsize = sizeof(Pool),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "One native executor and the Python tasks that wait for it.",
    .tp_new = pool_new,
    .tp_dealloc = (destructor)pool_dealloc,
    .tp_traverse = (traverseproc)pool_traverse,
    .tp_clear = (inquiry)pool_clear,
    .tp_methods = pool_methods,
    .tp_members = pool_members,
};

/* ---- executors ---- */

static PyObject *executor_submit(Executor *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    Pool *pool = self->pool;
    if (nargs < 1) {
        PyErr_SetString(PyExc_TypeError, "ThreadPoolExecutor.submit() missing 1 required positional argument: 'fn'");
        return NULL;
    }
    if (!pool) {
        PyErr_SetString(PyExc_RuntimeError, "the executor is not initialized");
        return NULL;
    }
    if (pool_ready(pool))
        return NULL;
    Item *item = item_new(pool, args, nargs - 1, kwnames);
    if (!item)
        return NULL;
    PyObject *future = (PyObject *)future_new();
    if (!future) {
        item_drop(item);
        return NULL;
    }
    item->target = Py_NewRef(future);
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    if (pool->direct ? submit_task(pool, item, &options) : pool_push(pool, item))
        Py_CLEAR(future);
    return future;
}

/* submit_with((priority, start_within, timeout, delay, no_wait, context), future, fn, *args, **kwargs); times in seconds,
 * None: none; context: copy the caller's. */
static PyObject *executor_submit_with(Executor *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    int no_wait, context;
    long long start_within, timeout, delay;
    if (nargs < 3 || !self->pool ||
        !PyArg_ParseTuple(args[0], "iLLLpp", &options.priority, &start_within, &timeout, &delay, &no_wait, &context))
        return NULL;
    if (pool_ready(self->pool))
        return NULL;
    options.start_within_ns = start_within;
    options.timeout_ns = timeout;
    options.delay_ns = delay;
    options.flags = no_wait ? EXECQ_TASK_NO_WAIT : 0;
    Item *item = item_new(self->pool, args + 2, nargs - 3, kwnames);
    if (!item)
        return NULL;
    item->target = Py_NewRef(args[1]);
    if (context && !(item->context = PyContext_CopyCurrent())) {
        item_drop(item);
        return NULL;
    }
    int plain = !self->pool->direct && !options.priority && !start_within && !timeout && !delay;
    if (plain ? pool_push(self->pool, item) : submit_task(self->pool, item, &options))
        return NULL;
    return Py_NewRef(args[1]);
}

/* submit_to_port(port, future, fn, *args, **kwargs): runs fn in a copy of the caller's context; its outcome goes to the
 * future of the port's event loop. */
static PyObject *executor_submit_to_port(Executor *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    if (nargs < 3 || !self->pool || !Py_IS_TYPE(args[0], &execq_port_type)) {
        PyErr_SetString(PyExc_TypeError, "submit_to_port(port, future, fn, ...)");
        return NULL;
    }
    if (pool_ready(self->pool))
        return NULL;
    Item *item = item_new(self->pool, args + 2, nargs - 3, kwnames);
    if (!item)
        return NULL;
    item->port = (Port *)Py_NewRef(args[0]);
    item->target = Py_NewRef(args[1]);
    item->context = PyContext_CopyCurrent();
    if (!item->context) {
        item_drop(item);
        return NULL;
    }
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.flags = EXECQ_TASK_NO_WAIT; /* an event loop must not be blocked */
    if (self->pool->direct ? submit_task(self->pool, item, &options) : pool_push(self->pool, item))
        return NULL;
    return Py_NewRef(args[1]);
}

static PyObject *executor_get_pool(Executor *self, void *unused)
{
    (void)unused;
    return Py_NewRef(self->pool ? (PyObject *)self->pool : Py_None);
}

static int executor_set_pool(Executor *self, PyObject *pool, void *unused)
{
    (void)unused;
    if (!pool || !Py_IS_TYPE(pool, &execq_pool_type)) {
        PyErr_SetString(PyExc_TypeError, "_pool is a Pool");
        return -1;
    }
    Py_XSETREF(self->pool, (Pool *)Py_NewRef(pool));
    return 0;
}

static int executor_traverse(Executor *self, visitproc visit, void *arg)
{
    Py_VISIT(self->pool);
    return 0;
}

static int executor_clear(Executor *self)
{
    Pool *pool = self->pool;
    self->pool = NULL;
    if (pool && !pool->closed)
        Py_DECREF(pool_close(pool, NULL));
    Py_XDECREF(pool);
    return 0;
}

static void executor_dealloc(Executor *self)
{
    PyObject_GC_UnTrack(self);
    executor_clear(self);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef executor_methods[] = {
    {"submit", FAST(executor_submit), METH_FASTCALL | METH_KEYWORDS,
     "submit(fn, /, *args, **kwargs)\n--\n\nRuns fn(*args, **kwargs) on a worker. Returns its Future."},
    {"_submit_with", FAST(executor_submit_with), METH_FASTCALL | METH_KEYWORDS, NULL},
    {"_submit_to_port", FAST(executor_submit_to_port), METH_FASTCALL | METH_KEYWORDS, NULL},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef executor_fields[] = {{"_pool", (getter)executor_get_pool, (setter)executor_set_pool, NULL, NULL},
                                        {NULL, NULL, NULL, NULL, NULL}};

PyTypeObject execq_executor_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "execq._execq.ExecutorBase",
    .tp_basicsize = sizeof(Executor),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "Submits to a pool, and closes it at the end.",
    .tp_new = PyType_GenericNew,
    .tp_dealloc = (destructor)executor_dealloc,
    .tp_traverse = (traverseproc)executor_traverse,
    .tp_clear = (inquiry)executor_clear,
    .tp_methods = executor_methods,
    .tp_getset = executor_fields,
};
