/* execq._execq: the C half of the package execq, over the C ABI of libexecq. */
#include "binding.h"

static PyObject *set_future_class(PyObject *module, PyObject *value)
{
    (void)module;
    Py_XSETREF(execq_future_class, Py_NewRef(value));
    Py_RETURN_NONE;
}

static PyObject *set_full_error(PyObject *module, PyObject *value)
{
    (void)module;
    Py_XSETREF(execq_full_error, Py_NewRef(value));
    Py_RETURN_NONE;
}

/* set_exiting(1): nothing is accepted any more; (2): no thread may enter the interpreter. */
static PyObject *set_exiting(PyObject *module, PyObject *value)
{
    (void)module;
    execq_exiting = (int)PyLong_AsLong(value);
    Py_RETURN_NONE;
}

static PyObject *current_target(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return Py_NewRef(execq_here.target ? execq_here.target : Py_None);
}

static PyObject *current_pool(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return Py_NewRef(execq_here.pool ? (PyObject *)execq_here.pool : Py_None);
}

static PyObject *cancel_requested(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    PyObject *target = execq_here.target;
    if (!target)
        Py_RETURN_FALSE;
    if (PyObject_TypeCheck(target, &execq_future_type))
        return PyBool_FromLong(((Future *)target)->stop || execq_cancel_requested());
    return PyObject_CallMethod(target, "cancelled", NULL);
}

static PyObject *version(PyObject *module, PyObject *unused)
{
    (void)module;
    (void)unused;
    return PyUnicode_FromString(execq_version_string());
}

static PyMethodDef methods[] = {
    {"set_future_class", set_future_class, METH_O, "The class of the futures that executors make."},
    {"set_full_error", set_full_error, METH_O, "What a full executor raises."},
    {"set_exiting", set_exiting, METH_O, "The interpreter ends."},
    {"current_target", current_target, METH_NOARGS, "The future of the call that runs on this thread, or None."},
    {"current_pool", current_pool, METH_NOARGS, "The pool whose worker this thread is, or None."},
    {"cancel_requested", cancel_requested, METH_NOARGS, "Whether the call that runs on this thread was asked to stop."},
    {"library_version", version, METH_NOARGS, "The version of libexecq."},
    {"native_call", native_call, METH_VARARGS, "Submits a C function."},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "execq._execq", .m_size = -1,
                                        .m_methods = methods};

PyMODINIT_FUNC PyInit__execq(void)
{
    PyObject *module = PyModule_Create(&definition);
    if (!module)
        return NULL;
    if (future_names(module) || PyModule_AddType(module, &execq_future_type) ||
        PyModule_AddType(module, &execq_pool_type) || PyModule_AddType(module, &execq_executor_type) ||
        PyModule_AddType(module, &execq_port_type)) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
