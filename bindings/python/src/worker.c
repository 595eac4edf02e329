/* The library's threads as Python threads: a thread state for the thread's whole life, a thread object, the initializer. */
#include "binding.h"

__thread Here execq_here;
int execq_exiting;

/* glibc's: destructors of thread-locals, as C++ has them. Those of pthread keys come too late, when Python's own key of this
 * thread is gone already. */
extern int __cxa_thread_atexit_impl(void (*call)(void *), void *env, void *module);
extern void *__dso_handle;

enum { HELD, KEPT, ENSURED };

/* A worker ends: so does its thread object, and the state with the thread's locals. After the interpreter's end there is
 * nothing left to do it with. */
static void thread_exit(void *here)
{
    (void)here;
    Here *self = &execq_here;
    if (!self->state || execq_exiting > 1)
        return;
    PyEval_RestoreThread(self->state);
    PyObject *owner = self->pool ? self->pool->owner : NULL;
    PyObject *answer = owner ? PyObject_CallMethod(owner, "left", "O", self->thread) : NULL;
    if (owner && !answer)
        PyErr_WriteUnraisable(owner);
    Py_XDECREF(answer);
    Py_CLEAR(self->thread);
    Py_CLEAR(self->pool);
    self->state = NULL;
    PyGILState_Release(self->gil);
}

Entry enter_any(void)
{
    Entry entry = {HELD, PyGILState_UNLOCKED};
    if (PyGILState_Check())
        return entry;
    if (execq_here.state) {
        entry.how = KEPT;
        PyEval_RestoreThread(execq_here.state);
    } else {
        entry.how = ENSURED;
        entry.gil = PyGILState_Ensure();
    }
    return entry;
}

void leave(Entry entry)
{
    if (entry.how == KEPT)
        PyEval_SaveThread();
    else if (entry.how == ENSURED)
        PyGILState_Release(entry.gil);
}

void break_item(Item *item)
{
    PyObject *error = PyObject_CallOneArg(execq_broken_pool, item->pool->broken);
    if (item->port) {
        item->outcome = error;
        item->failed = 1;
        port_push(item->port, item);
        return;
    }
    future_finish((Future *)item->target, NULL, error);
    item_drop(item);
}

/* Fails what waits and refuses what comes. */
static void pool_break(Pool *pool)
{
    if (!pool->broken)
        pool->broken = PyUnicode_FromString("A thread initializer failed, the thread pool is not usable anymore");
    while (pool->first) {
        Item *item = pool->first;
        pool_unlink(pool, item);
        break_item(item);
    }
}

static void initialize(Pool *pool)
{
    if (!pool->initializer)
        return;
    PyObject *answer = PyObject_Call(pool->initializer, pool->initargs, NULL);
    Py_XDECREF(answer);
    if (answer)
        return;
    PyObject *type, *error, *trace;
    PyErr_Fetch(&type, &error, &trace);
    PyErr_NormalizeException(&type, &error, &trace);
    if (trace)
        PyException_SetTraceback(error, trace);
    answer = PyObject_CallMethod(pool->owner, "initializer_failed", "O", error);
    if (!answer)
        PyErr_WriteUnraisable(pool->owner);
    Py_XDECREF(answer);
    Py_XDECREF(type);
    Py_XDECREF(error);
    Py_XDECREF(trace);
    pool_break(pool);
}

/* The first time on this thread: it is one of the pool's, as nobody else comes here without a thread state. */
static void adopt(Pool *pool)
{
    execq_here.state = PyThreadState_Get();
    execq_here.pool = (Pool *)Py_NewRef((PyObject *)pool);
    __cxa_thread_atexit_impl(thread_exit, &execq_here, &__dso_handle);
    execq_here.thread = PyObject_CallMethod(pool->owner, "came", NULL);
    if (!execq_here.thread)
        PyErr_WriteUnraisable(pool->owner);
    initialize(pool);
}

Entry enter_worker(Pool *pool)
{
    if (execq_here.state || PyGILState_GetThisThreadState())
        return enter_any();
    Entry entry = {KEPT, PyGILState_UNLOCKED};
    execq_here.gil = PyGILState_Ensure();
    adopt(pool);
    return entry;
}
