/* Ports: the way of outcomes to one event loop. Workers put them into a list, and one completion into the port's execq_cq
 * when the list was empty; the loop's thread polls the queue's descriptor and takes the whole list at once. */
#include "binding.h"

/* Makes the descriptor readable: a promise that is kept at once is the queue's only way to be told something. */
static execq_status signal_port(Port *self)
{
    execq_promise *promise;
    execq_future *future;
    execq_status status = execq_promise_new(NULL, &promise, &future);
    if (status != EXECQ_OK)
        return status;
    status = execq_future_on_cq(future, self->cq, self);
    execq_promise_resolve(promise, NULL);
    execq_promise_release(promise);
    execq_future_release(future);
    return status;
}

static void append_or_drop(Port *self, Item *item)
{
    if (self->closed) {
        item_drop(item);
        return;
    }
    item->next = NULL;
    if (self->last)
        self->last->next = item;
    else
        self->first = item;
    self->last = item;
    if (!self->signaled)
        self->signaled = signal_port(self) == EXECQ_OK;
}

/* Takes the item, and the reference to this port that it may have: the port would never go with what nobody drains. */
void port_push(Port *self, Item *item)
{
    Port *reference = item->port;
    item->port = NULL;
    append_or_drop(self, item);
    Py_XDECREF(reference);
}

static Item *take_all(Port *self)
{
    Item *first = self->first;
    self->first = self->last = NULL;
    return first;
}

static PyObject *str_done, *str_set_result, *str_set_exception, *str_cancel, *cancelled_errors;

static int was_canceled(Item *item)
{
    return item->failed && PyErr_GivenExceptionMatches(item->outcome, cancelled_errors);
}

static int settle(Item *item)
{
    PyObject *done = PyObject_CallMethodNoArgs(item->target, str_done);
    if (!done)
        return -1;
    int is_done = PyObject_IsTrue(done);
    Py_DECREF(done);
    if (is_done)
        return 0;
    PyObject *answer;
    if (was_canceled(item))
        answer = PyObject_CallMethodNoArgs(item->target, str_cancel);
    else
        answer =
            PyObject_CallMethodOneArg(item->target, item->failed ? str_set_exception : str_set_result, item->outcome);
    Py_XDECREF(answer);
    return answer ? 0 : -1;
}

/* asyncio's futures refuse StopIteration: it becomes the cause of a RuntimeError, as where it leaves a coroutine. */
static void tame_stop_iteration(Item *item)
{
    if (!item->failed || !PyErr_GivenExceptionMatches(item->outcome, PyExc_StopIteration))
        return;
    PyObject *error = PyObject_CallFunction(PyExc_RuntimeError, "s", "the function raised StopIteration");
    if (!error) {
        PyErr_Clear();
        return;
    }
    PyException_SetCause(error, item->outcome);
    item->outcome = error;
}

static PyObject *port_drain(Port *self, PyObject *unused)
{
    (void)unused;
    execq_completion got[8];
    size_t count = 0;
    while (execq_cq_drain(self->cq, got, 8, &count) == EXECQ_OK && count)
        for (size_t i = 0; i < count; ++i)
            execq_future_release(got[i].future);
    self->signaled = 0;
    Py_ssize_t settled = 0;
    for (Item *item = take_all(self), *next; item; item = next, ++settled) {
        next = item->next;
        tame_stop_iteration(item);
        if (settle(item))
            PyErr_WriteUnraisable(item->target);
        item_drop(item);
    }
    return PyLong_FromSsize_t(settled);
}

/* An outcome from elsewhere (a future of another executor, a coroutine on a worker's loop). */
static PyObject *port_post(Port *self, PyObject *args)
{
    PyObject *target, *outcome;
    int failed;
    if (!PyArg_ParseTuple(args, "OOp", &target, &outcome, &failed))
        return NULL;
    Item *item = calloc(1, sizeof *item + 2 * sizeof(PyObject *));
    if (!item)
        return PyErr_NoMemory();
    item->total = -1;
    item->target = Py_NewRef(target);
    item->outcome = Py_NewRef(outcome);
    item->failed = failed;
    port_push(self, item);
    Py_RETURN_NONE;
}

static PyObject *port_fileno(Port *self, PyObject *unused)
{
    (void)unused;
    return PyLong_FromLong(self->fd);
}

static PyObject *port_close(Port *self, PyObject *unused)
{
    (void)unused;
    self->closed = 1;
    for (Item *item = take_all(self), *next; item; item = next) {
        next = item->next;
        item_drop(item);
    }
    Py_RETURN_NONE;
}

static int import_errors(void)
{
    PyObject *asyncio = PyImport_ImportModule("asyncio"), *futures = PyImport_ImportModule("concurrent.futures");
    PyObject *first = asyncio ? PyObject_GetAttrString(asyncio, "CancelledError") : NULL;
    PyObject *second = futures ? PyObject_GetAttrString(futures, "CancelledError") : NULL;
    if (first && second)
        cancelled_errors = PyTuple_Pack(2, first, second);
    Py_XDECREF(asyncio);
    Py_XDECREF(futures);
    Py_XDECREF(first);
    Py_XDECREF(second);
    return cancelled_errors ? 0 : -1;
}

static PyObject *port_new(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, ":Port", names))
        return NULL;
    if (!str_done) {
        str_done = PyUnicode_InternFromString("done");
        str_set_result = PyUnicode_InternFromString("set_result");
        str_set_exception = PyUnicode_InternFromString("set_exception");
        str_cancel = PyUnicode_InternFromString("cancel");
    }
    if (!cancelled_errors && import_errors())
        return NULL;
    Port *self = (Port *)type->tp_alloc(type, 0);
    if (!self)
        return NULL;
    execq_status status = execq_cq_new(&self->cq);
    if (status == EXECQ_OK)
        status = execq_cq_fd(self->cq, &self->fd);
    if (status != EXECQ_OK) {
        Py_DECREF(self);
        return raise_status(status, "a completion queue");
    }
    return (PyObject *)self;
}

static int port_traverse(Port *self, visitproc visit, void *arg)
{
    for (Item *item = self->first; item; item = item->next) {
        Py_VISIT(item->target);
        Py_VISIT(item->outcome);
    }
    return 0;
}

static int port_clear(Port *self)
{
    Py_DECREF(port_close(self, NULL));
    return 0;
}

static void port_dealloc(Port *self)
{
    PyObject_GC_UnTrack(self);
    Py_DECREF(port_close(self, NULL));
    if (execq_exiting < 2)
        execq_cq_release(self->cq);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static PyMethodDef methods[] = {
    {"drain", (PyCFunction)port_drain, METH_NOARGS, "Settles every future whose outcome is there; says how many."},
    {"post", (PyCFunction)port_post, METH_VARARGS,
     "post(future, outcome, failed): has the loop's thread settle the future."},
    {"fileno", (PyCFunction)port_fileno, METH_NOARGS, "The descriptor to poll for reading."},
    {"close", (PyCFunction)port_close, METH_NOARGS, "Drops what is there and what comes."},
    {NULL, NULL, 0, NULL}};

PyTypeObject execq_port_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "execq._execq.Port",
    .tp_basicsize = sizeof(Port),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The way of outcomes to one event loop.",
    .tp_new = port_new,
    .tp_dealloc = (destructor)port_dealloc,
    .tp_traverse = (traverseproc)port_traverse,
    .tp_clear = (inquiry)port_clear,
    .tp_methods = methods,
};
