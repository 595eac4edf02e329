/* Futures: the C half of execq.Future. Where nobody waits there is no condition, and the GIL guards the fields; once there is
 * one, the methods of concurrent.futures.Future do their work under it, so that wait() and as_completed() find what they
 * look for. */
#include "binding.h"

PyObject *execq_pending, *execq_running, *execq_cancelled, *execq_notified, *execq_finished;
PyObject *execq_base_future, *execq_future_class, *execq_broken_pool, *execq_full_error;

PyObject *execq_cancelled_error;
static PyObject *condition_class;
static PyObject *base_set_result, *base_set_exception, *base_cancel, *base_start, *base_result, *base_exception;

static int name(PyObject *from, const char *attribute, PyObject **out)
{
    *out = from ? PyObject_GetAttrString(from, attribute) : NULL;
    return *out ? 0 : -1;
}

int future_names(PyObject *module)
{
    (void)module;
    PyObject *base = PyImport_ImportModule("concurrent.futures._base");
    PyObject *pool = PyImport_ImportModule("concurrent.futures.thread");
    PyObject *threading = PyImport_ImportModule("threading");
    int bad = !base || !pool || !threading || name(base, "PENDING", &execq_pending) ||
              name(base, "RUNNING", &execq_running) || name(base, "CANCELLED", &execq_cancelled) ||
              name(base, "CANCELLED_AND_NOTIFIED", &execq_notified) || name(base, "FINISHED", &execq_finished) ||
              name(base, "Future", &execq_base_future) || name(base, "CancelledError", &execq_cancelled_error) ||
              name(pool, "BrokenThreadPool", &execq_broken_pool) || name(threading, "Condition", &condition_class) ||
              name(execq_base_future, "set_result", &base_set_result) ||
              name(execq_base_future, "set_exception", &base_set_exception) ||
              name(execq_base_future, "cancel", &base_cancel) ||
              name(execq_base_future, "set_running_or_notify_cancel", &base_start) ||
              name(execq_base_future, "result", &base_result) || name(execq_base_future, "exception", &base_exception);
    Py_XDECREF(base);
    Py_XDECREF(pool);
    Py_XDECREF(threading);
    return bad ? -1 : 0;
}

static PyObject *future_alloc(PyTypeObject *type, PyObject *args, PyObject *kwargs)
{
    (void)args;
    (void)kwargs;
    Future *self = (Future *)type->tp_alloc(type, 0);
    if (self)
        self->state = Py_NewRef(execq_pending);
    return (PyObject *)self;
}

Future *future_new(void) { return (Future *)PyObject_CallNoArgs(execq_future_class); }

static int future_init(PyObject *self, PyObject *args, PyObject *kwargs)
{
    (void)self;
    if (PyTuple_GET_SIZE(args) || (kwargs && PyDict_GET_SIZE(kwargs))) {
        PyErr_SetString(PyExc_TypeError, "Future() takes no arguments");
        return -1;
    }
    return 0;
}

static int future_traverse(Future *self, visitproc visit, void *arg)
{
    Py_VISIT(self->state);
    Py_VISIT(self->result);
    Py_VISIT(self->exception);
    Py_VISIT(self->condition);
    Py_VISIT(self->waiters);
    Py_VISIT(self->callbacks);
    Py_VISIT(self->stop_calls);
    return 0;
}

static int future_clear(Future *self)
{
    Py_CLEAR(self->result);
    Py_CLEAR(self->exception);
    Py_CLEAR(self->condition);
    Py_CLEAR(self->waiters);
    Py_CLEAR(self->callbacks);
    Py_CLEAR(self->stop_calls);
    return 0;
}

static void future_dealloc(Future *self)
{
    PyObject_GC_UnTrack(self);
    future_clear(self);
    Py_CLEAR(self->state);
    execq_future_release(self->native);
    Py_TYPE(self)->tp_free((PyObject *)self);
}

static int is_done(Future *self)
{
    return self->state == execq_finished || self->state == execq_notified || self->state == execq_cancelled;
}

static void set_state(Future *self, PyObject *state)
{
    PyObject *old = self->state;
    self->state = Py_NewRef(state);
    Py_XDECREF(old);
}

static PyObject *get_condition(Future *self, void *unused)
{
    (void)unused;
    if (!self->condition) {
        PyObject *made = PyObject_CallNoArgs(condition_class);
        if (!made)
            return NULL;
        if (self->condition)
            Py_DECREF(made); /* another thread was faster while Python code ran */
        else
            self->condition = made;
    }
    return Py_NewRef(self->condition);
}

static int set_condition(Future *self, PyObject *value, void *unused)
{
    (void)unused;
    Py_XSETREF(self->condition, Py_XNewRef(value));
    return 0;
}

static PyObject *get_list(Future *self, void *offset)
{
    PyObject **list = (PyObject **)((char *)self + (size_t)offset);
    if (!*list)
        *list = PyList_New(0);
    return Py_XNewRef(*list);
}

static int set_list(Future *self, PyObject *value, void *offset)
{
    PyObject **list = (PyObject **)((char *)self + (size_t)offset);
    Py_XSETREF(*list, Py_XNewRef(value));
    return 0;
}

/* Nobody can wait, or wants to be told: the GIL is enough, and no Python code has to run. */
static int alone(Future *self) { return self->condition == NULL; }

int future_start(Future *self)
{
    if (alone(self)) {
        if (self->state == execq_pending) {
            set_state(self, execq_running);
            return 1;
        }
        if (self->state == execq_cancelled) {
            set_state(self, execq_notified);
            return 0;
        }
    }
    PyObject *answer = PyObject_CallOneArg(base_start, (PyObject *)self);
    if (!answer)
        return -1;
    int started = PyObject_IsTrue(answer);
    Py_DECREF(answer);
    return started;
}

void future_finish(Future *self, PyObject *value, PyObject *exception)
{
    if (alone(self) && !is_done(self)) {
        Py_XSETREF(self->result, value);
        Py_XSETREF(self->exception, exception);
        set_state(self, execq_finished);
        return;
    }
    PyObject *answer = exception ? PyObject_CallFunctionObjArgs(base_set_exception, (PyObject *)self, exception, NULL)
                                 : PyObject_CallFunctionObjArgs(base_set_result, (PyObject *)self, value, NULL);
    if (!answer)
        PyErr_WriteUnraisable((PyObject *)self);
    Py_XDECREF(answer);
    Py_XDECREF(value);
    Py_XDECREF(exception);
}

static PyObject *set_result(Future *self, PyObject *value)
{
    if (alone(self) && !is_done(self)) {
        future_finish(self, Py_NewRef(value), NULL);
        Py_RETURN_NONE;
    }
    return PyObject_CallFunctionObjArgs(base_set_result, (PyObject *)self, value, NULL);
}

static PyObject *set_exception(Future *self, PyObject *value)
{
    if (alone(self) && !is_done(self)) {
        future_finish(self, NULL, Py_NewRef(value));
        Py_RETURN_NONE;
    }
    return PyObject_CallFunctionObjArgs(base_set_exception, (PyObject *)self, value, NULL);
}

static PyObject *start(Future *self, PyObject *unused)
{
    (void)unused;
    int started = future_start(self);
    return started < 0 ? NULL : PyBool_FromLong(started);
}

static execq_status cancel_native(Future *self)
{
    return self->native ? execq_future_cancel(self->native) : EXECQ_EBUSY;
}

/* Asks the running body to stop, once. */
static int ask_to_stop(Future *self)
{
    if (self->stop || self->state != execq_running)
        return 0;
    self->stop = 1;
    cancel_native(self);
    PyObject *calls = self->stop_calls;
    self->stop_calls = NULL;
    for (Py_ssize_t i = 0; calls && i < PyList_GET_SIZE(calls); ++i) {
        PyObject *answer = PyObject_CallNoArgs(PyList_GET_ITEM(calls, i));
        if (!answer)
            PyErr_WriteUnraisable(PyList_GET_ITEM(calls, i));
        Py_XDECREF(answer);
    }
    Py_XDECREF(calls);
    return 0;
}

static PyObject *cancel(Future *self, PyObject *unused)
{
    (void)unused;
    PyObject *answer;
    if (self->call && !is_done(self))
        return PyBool_FromLong(cancel_native(self) == EXECQ_OK);
    if (alone(self)) {
        if (self->state == execq_pending)
            set_state(self, execq_cancelled);
        answer = Py_NewRef(self->state == execq_cancelled || self->state == execq_notified ? Py_True : Py_False);
    } else {
        answer = PyObject_CallOneArg(base_cancel, (PyObject *)self);
        if (!answer)
            return NULL;
    }
    if (answer == Py_False)
        ask_to_stop(self);
    else
        cancel_native(self); /* makes room where tasks are counted */
    return answer;
}

static PyObject *raise_exception(PyObject *exception)
{
    PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
    return NULL;
}

/* A worker that waits for what waits for a worker runs it itself. */
static void run_in_place(Future *self)
{
    Item *item = self->item;
    if (!item || !item->waits || execq_here.pool != item->pool || Py_EnterRecursiveCall(" while waiting for a task")) {
        PyErr_Clear();
        return;
    }
    pool_unlink(item->pool, item);
    item_run(item, 0);
    Py_LeaveRecursiveCall();
}

/* The outcome, if it is there; 0: it is not, or has to be waited for. */
static int outcome_is_there(Future *self, PyObject *timeout)
{
    if (!is_done(self) && timeout == Py_None)
        run_in_place(self);
    if (self->state != execq_finished)
        return 0;
    self->retrieved = 1;
    return 1;
}

static PyObject *wait_for(Future *self, PyObject *method, PyObject *timeout)
{
    PyObject *answer = PyObject_CallFunctionObjArgs(method, (PyObject *)self, timeout, NULL);
    if (is_done(self))
        self->retrieved = 1;
    return answer;
}

static PyObject *timeout_of(PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames, const char *where)
{
    Py_ssize_t named = kwnames ? PyTuple_GET_SIZE(kwnames) : 0;
    if (nargs + named > 1 ||
        (named && PyUnicode_CompareWithASCIIString(PyTuple_GET_ITEM(kwnames, 0), "timeout") != 0)) {
        PyErr_Format(PyExc_TypeError, "Future.%s() takes one argument, timeout", where);
        return NULL;
    }
    return nargs + named ? args[0] : Py_None;
}

static PyObject *result(Future *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *timeout = timeout_of(args, nargs, kwnames, "result");
    if (!timeout)
        return NULL;
    if (!outcome_is_there(self, timeout))
        return wait_for(self, base_result, timeout);
    if (self->exception && self->exception != Py_None)
        return raise_exception(self->exception);
    return Py_NewRef(self->result ? self->result : Py_None);
}

static PyObject *exception(Future *self, PyObject *const *args, Py_ssize_t nargs, PyObject *kwnames)
{
    PyObject *timeout = timeout_of(args, nargs, kwnames, "exception");
    if (!timeout)
        return NULL;
    if (!outcome_is_there(self, timeout))
        return wait_for(self, base_exception, timeout);
    return Py_NewRef(self->exception ? self->exception : Py_None);
}

static PyObject *done(Future *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(is_done(self));
}

static PyObject *running(Future *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(self->state == execq_running);
}

static PyObject *cancelled(Future *self, PyObject *unused)
{
    (void)unused;
    return PyBool_FromLong(self->state == execq_cancelled || self->state == execq_notified);
}

static PyObject *add_stop_call(Future *self, PyObject *call)
{
    if (self->stop) {
        PyObject *answer = PyObject_CallNoArgs(call);
        if (!answer)
            return NULL;
        Py_DECREF(answer);
        Py_RETURN_NONE;
    }
    if (!self->stop_calls)
        self->stop_calls = PyList_New(0);
    if (!self->stop_calls || PyList_Append(self->stop_calls, call))
        return NULL;
    Py_RETURN_NONE;
}

#define FAST(function) ((PyCFunction)(void (*)(void))(function))

static PyMethodDef methods[] = {
    {"set_result", (PyCFunction)set_result, METH_O, "Gives the future its value."},
    {"set_exception", (PyCFunction)set_exception, METH_O, "Gives the future its exception."},
    {"set_running_or_notify_cancel", (PyCFunction)start, METH_NOARGS,
     "Marks the future as running; False: it was canceled."},
    {"cancel", (PyCFunction)cancel, METH_NOARGS,
     "Cancels what has not started (True); asks what runs to stop (False; see execq.cancel_requested)."},
    {"result", FAST(result), METH_FASTCALL | METH_KEYWORDS, "The value, as concurrent.futures.Future.result."},
    {"exception", FAST(exception), METH_FASTCALL | METH_KEYWORDS,
     "The exception, as concurrent.futures.Future.exception."},
    {"done", (PyCFunction)done, METH_NOARGS, "Whether the future is finished or canceled."},
    {"running", (PyCFunction)running, METH_NOARGS, "Whether the body runs."},
    {"cancelled", (PyCFunction)cancelled, METH_NOARGS, "Whether the future was canceled."},
    {"_on_stop", (PyCFunction)add_stop_call, METH_O, "Has a callable called when the running body is asked to stop."},
    {NULL, NULL, 0, NULL}};

static PyMemberDef members[] = {{"_state", T_OBJECT, offsetof(Future, state), 0, NULL},
                                {"_result", T_OBJECT, offsetof(Future, result), 0, NULL},
                                {"_exception", T_OBJECT, offsetof(Future, exception), 0, NULL},
                                {"_retrieved", T_BOOL, offsetof(Future, retrieved), 0, NULL},
                                {"_stop", T_BOOL, offsetof(Future, stop), READONLY, NULL},
                                {NULL, 0, 0, 0, NULL}};

static PyGetSetDef fields[] = {
    {"_condition", (getter)get_condition, (setter)set_condition, NULL, NULL},
    {"_waiters", (getter)get_list, (setter)set_list, NULL, (void *)offsetof(Future, waiters)},
    {"_done_callbacks", (getter)get_list, (setter)set_list, NULL, (void *)offsetof(Future, callbacks)},
    {NULL, NULL, NULL, NULL, NULL}};

PyTypeObject execq_future_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "execq._execq.FutureBase",
    .tp_basicsize = sizeof(Future),
    .tp_flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC,
    .tp_doc = "The fields and the fast ways of execq.Future.",
    .tp_new = future_alloc,
    .tp_init = future_init,
    .tp_dealloc = (destructor)future_dealloc,
    .tp_traverse = (traverseproc)future_traverse,
    .tp_clear = (inquiry)future_clear,
    .tp_methods = methods,
    .tp_members = members,
    .tp_getset = fields,
};
