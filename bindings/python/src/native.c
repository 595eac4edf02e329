/* Native calls: a C function runs on a worker, which holds the interpreter only to tell the outcome.
 *
 * Integers and pointers travel in one set of registers and floating-point numbers in another, each filled in order, on both
 * processors that this knows. So a call that hands over six integers and eight doubles serves every function that takes no
 * more than these, in any order. */
#include "binding.h"

enum { INTEGERS = 6, DOUBLES = 8 };

#if defined(__x86_64__) || defined(__aarch64__)
#define EXECQ_HAS_NATIVE_CALLS 1
#else
#define EXECQ_HAS_NATIVE_CALLS 0
#endif

typedef struct {
    Pool *pool;       /* the task's reference */
    Future *future;   /* the task's reference; NULL once the outcome was told */
    PyObject *keep;   /* what the pointers point to */
    PyObject *decode; /* makes the value of the eight bytes that came back */
    void *function;
    int64_t integers[INTEGERS];
    double doubles[DOUBLES];
    int gives; /* 'v', 'i', 'd' or 'f': what comes back */
} Call;

#define TYPES \
    int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, double, double, double, double, double, double, double, double
#define VALUES(c)                                                                                               \
    (c)->integers[0], (c)->integers[1], (c)->integers[2], (c)->integers[3], (c)->integers[4], (c)->integers[5], \
        (c)->doubles[0], (c)->doubles[1], (c)->doubles[2], (c)->doubles[3], (c)->doubles[4], (c)->doubles[5],   \
        (c)->doubles[6], (c)->doubles[7]

static void call_function(Call *call, unsigned char out[8])
{
    memset(out, 0, 8);
    if (call->gives == 'd') {
        double value = ((double (*)(TYPES))call->function)(VALUES(call));
        memcpy(out, &value, sizeof value);
    } else if (call->gives == 'f') {
        float value = ((float (*)(TYPES))call->function)(VALUES(call));
        memcpy(out, &value, sizeof value);
    } else {
        int64_t value = ((int64_t(*)(TYPES))call->function)(VALUES(call));
        memcpy(out, &value, sizeof value);
    }
}

static void tell(Call *call, const unsigned char out[8])
{
    Future *future = call->future;
    call->future = NULL;
    future->call = 0;
    if (future_start(future) > 0) {
        PyObject *value = PyObject_CallFunction(call->decode, "y#", (const char *)out, (Py_ssize_t)8);
        PyObject *error = NULL;
        if (!value) {
            PyObject *type, *trace;
            PyErr_Fetch(&type, &error, &trace);
            PyErr_NormalizeException(&type, &error, &trace);
            Py_XDECREF(type);
            Py_XDECREF(trace);
        }
        Py_CLEAR(call->keep);
        future_finish(future, value, error);
    }
    Py_DECREF(future);
}

static int32_t run_call(void *env, void **result)
{
    Call *call = env;
    unsigned char out[8];
    (void)result;
    call_function(call, out);
    Entry entry = enter_worker(call->pool);
    tell(call, out);
    leave(entry);
    return 0;
}

static void drop_call(void *env)
{
    Call *call = env;
    if (execq_exiting > 1)
        return;
    Entry entry = enter_any();
    if (call->future) {
        call->future->call = 0;
        PyObject *answer = PyObject_CallMethod((PyObject *)call->future, "cancel", NULL);
        if (!answer || future_start(call->future))
            PyErr_WriteUnraisable((PyObject *)call->future);
        Py_XDECREF(answer);
        Py_DECREF(call->future);
    }
    Py_XDECREF(call->keep);
    Py_XDECREF(call->decode);
    Py_DECREF(call->pool);
    leave(entry);
}

static int fill(Call *call, PyObject *integers, PyObject *doubles)
{
    Py_ssize_t count = PyTuple_GET_SIZE(integers), reals = PyTuple_GET_SIZE(doubles);
    if (count > INTEGERS || reals > DOUBLES) {
        PyErr_Format(PyExc_ValueError,
                     "a native function takes at most %d integers and pointers, and %d floating-point numbers",
                     INTEGERS, DOUBLES);
        return -1;
    }
    for (Py_ssize_t i = 0; i < count; ++i)
        call->integers[i] = (int64_t)PyLong_AsUnsignedLongLongMask(PyTuple_GET_ITEM(integers, i));
    for (Py_ssize_t i = 0; i < reals; ++i) {
        if (PyBytes_GET_SIZE(PyTuple_GET_ITEM(doubles, i)) != 8) {
            PyErr_SetString(PyExc_ValueError, "a floating-point number comes as eight bytes");
            return -1;
        }
        memcpy(&call->doubles[i], PyBytes_AS_STRING(PyTuple_GET_ITEM(doubles, i)), 8);
    }
    return PyErr_Occurred() ? -1 : 0;
}

/* native_call(pool, future, address, integers, doubles, gives, keep, decode) */
PyObject *native_call(PyObject *module, PyObject *args)
{
    (void)module;
    PyObject *pool, *future, *integers, *doubles, *keep, *decode;
    unsigned long long address;
    int gives;
    if (!PyArg_ParseTuple(args, "O!O!KO!O!COO", &execq_pool_type, &pool, &execq_future_type, &future, &address,
                          &PyTuple_Type, &integers, &PyTuple_Type, &doubles, &gives, &keep, &decode))
        return NULL;
    if (!EXECQ_HAS_NATIVE_CALLS) {
        PyErr_SetString(PyExc_NotImplementedError, "native calls are not implemented for this processor");
        return NULL;
    }
    if (pool_ready((Pool *)pool))
        return NULL;
    Call call = {.function = (void *)(uintptr_t)address, .gives = gives};
    if (fill(&call, integers, doubles))
        return NULL;
    call.pool = (Pool *)Py_NewRef(pool);
    call.future = (Future *)Py_NewRef(future);
    call.keep = Py_NewRef(keep);
    call.decode = Py_NewRef(decode);
    call.future->call = 1;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop_call;
    options.env_size = sizeof call;
    execq_future *native = NULL;
    execq_status status;
    Py_BEGIN_ALLOW_THREADS status = execq_submit_with(((Pool *)pool)->native, &options, run_call, &call, &native);
    Py_END_ALLOW_THREADS if (status != EXECQ_OK) return raise_status(status, "the native call");
    ((Future *)future)->native = native;
    return Py_NewRef(future);
}
