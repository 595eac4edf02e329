/* Items: one submitted call each, from its submission to the delivery of its outcome. */
#include "binding.h"

Item *item_new(Pool *pool, PyObject *const *call, Py_ssize_t nargs, PyObject *kwnames)
{
    Py_ssize_t total = nargs + (kwnames ? PyTuple_GET_SIZE(kwnames) : 0);
    Item *item = malloc(sizeof *item + (size_t)(total + 2) * sizeof(PyObject *));
    if (!item) {
        PyErr_NoMemory();
        return NULL;
    }
    memset(item, 0, sizeof *item);
    item->pool = (Pool *)Py_NewRef((PyObject *)pool);
    item->kwnames = Py_XNewRef(kwnames);
    item->nargs = nargs;
    item->total = total;
    item->call[0] = NULL;
    for (Py_ssize_t i = 0; i < total + 1; ++i)
        item->call[i + 1] = Py_NewRef(call[i]);
    return item;
}

/* Lets go of what the call needed, before its outcome is told: who waits must not find the arguments alive. */
static void clear_call(Item *item)
{
    for (Py_ssize_t i = 0; i < item->total + 1; ++i)
        Py_CLEAR(item->call[i + 1]);
    item->total = -1;
    Py_CLEAR(item->kwnames);
    Py_CLEAR(item->context);
}

void item_drop(Item *item)
{
    clear_call(item);
    Py_CLEAR(item->target);
    Py_CLEAR(item->outcome);
    Py_CLEAR(item->port);
    Py_CLEAR(item->pool);
    free(item);
}

/* 1: the body is to be run; 0: it was canceled. */
static int begin(Item *item)
{
    if (!item->port)
        return future_start((Future *)item->target);
    PyObject *answer = PyObject_CallMethod(item->target, "cancelled", NULL);
    if (!answer)
        return -1;
    int canceled = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return !canceled;
}

/* What came with a context is of execq.aio, which promises the thread a loop of its own. */
static int ensure_loop(Item *item)
{
    if (execq_here.pool != item->pool)
        return 0;
    execq_here.has_loop = 1;
    PyObject *answer = PyObject_CallMethod(item->pool->owner, "ensure_loop", "O", execq_here.thread);
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

/* A function that gave a coroutine: that runs on a loop of the pool, and has the outcome. */
static int hand_on(Item *item, PyObject *coroutine)
{
    PyObject *port = item->port ? (PyObject *)item->port : Py_None;
    PyObject *answer =
        PyObject_CallMethod(item->pool->owner, "coroutine", "OOOO", coroutine, item->target, port, item->context);
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

static PyObject *call(Item *item)
{
    if (item->context && PyContext_Enter(item->context))
        return NULL;
    if (item->context && !execq_here.has_loop && ensure_loop(item)) {
        PyContext_Exit(item->context);
        return NULL;
    }
    PyObject *value = PyObject_Vectorcall(item->call[1], item->call + 2,
                                          (size_t)item->nargs | PY_VECTORCALL_ARGUMENTS_OFFSET, item->kwnames);
    if (item->context) {
        PyObject *type, *error, *trace;
        PyErr_Fetch(&type, &error, &trace);
        PyContext_Exit(item->context);
        PyErr_Restore(type, error, trace);
    }
    return value;
}

/* The exception that is set, with its traceback. */
static PyObject *fetch_exception(void)
{
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace)
        PyException_SetTraceback(error, trace);
    Py_XDECREF(type);
    Py_XDECREF(trace);
    return error;
}

static void deliver(Item *item, PyObject *value, PyObject *error)
{
    if (!item->port) {
        future_finish((Future *)item->target, value, error);
        item_drop(item);
        return;
    }
    item->outcome = error ? error : value;
    item->failed = error != NULL;
    port_push(item->port, item);
}

/* Done callbacks are the user's code and may block: until they have run, the worker is not free. */
static int has_callbacks(Item *item)
{
    PyObject *callbacks = item->port ? NULL : ((Future *)item->target)->callbacks;
    return callbacks && PyList_Check(callbacks) && PyList_GET_SIZE(callbacks);
}

/* Runs the body, tells the outcome, and ends the item. What a pump runs counts as running, from the moment when it left the
 * list until the body has ended: who hears of the end and submits more needs no second worker for it. */
void item_run(Item *item, int pumped)
{
    Pool *pool = pumped ? (Pool *)Py_NewRef((PyObject *)item->pool) : NULL;
    int go = begin(item);
    if (go <= 0) {
        if (go < 0)
            PyErr_WriteUnraisable(item->target);
        item_drop(item);
    } else {
        PyObject *outer = execq_here.target;
        execq_here.target = item->target;
        PyObject *value = call(item);
        int moved = value && item->context && PyCoro_CheckExact(value);
        if (moved && hand_on(item, value)) {
            moved = 0;
            Py_CLEAR(value);
        }
        PyObject *error = value ? NULL : fetch_exception();
        execq_here.target = outer;
        clear_call(item);
        if (pool && !has_callbacks(item)) {
            pool->running--;
            Py_CLEAR(pool);
        }
        if (moved) {
            Py_DECREF(value);
            item_drop(item);
        } else {
            deliver(item, value, error);
        }
    }
    if (pool) {
        pool->running--;
        Py_DECREF(pool);
    }
}
