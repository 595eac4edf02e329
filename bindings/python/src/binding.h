/* What the files of the extension share. Everything here is guarded by the GIL unless a comment says otherwise.
 *
 * A pool is one native executor. Plain tasks wait in a list of the pool, and native "pump" tasks run them: a pump takes the
 * GIL once and runs what waits, one after the other. There are as many pumps as tasks that could run side by side, at most
 * max_workers. What has options (a priority, a deadline), or belongs to a pool with a capacity, is a native task of its own,
 * so that the library, and not this file, keeps their promises. */
#ifndef EXECQ_PYTHON_BINDING_H
#define EXECQ_PYTHON_BINDING_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <execq/execq.h>

#include <semaphore.h>

struct Port;
struct Pool;

/* One call that was submitted. Its memory is malloc's, as a native task's drop frees it without the GIL. */
typedef struct Item {
    struct Item *next; /* in the pool's list, or the port's */
    struct Item *previous;
    struct Pool *pool; /* the item's reference */
    struct Port *port; /* the item's reference; NULL: target is a Future of ours */
    PyObject *target;  /* Future, or the asyncio future that the port completes */
    PyObject *context; /* to run in; NULL: that of the thread */
    PyObject *outcome; /* for a port: the value or the exception */
    PyObject *kwnames; /* as in a vectorcall; NULL: none */
    int failed;        /* outcome is an exception */
    int waits;         /* in the pool's list */
    Py_ssize_t nargs;  /* positional ones */
    Py_ssize_t total;  /* entries of call, without the first two */
    PyObject *call[];  /* room for a vectorcall to scribble in, the function, the arguments */
} Item;

/* A concurrent.futures.Future whose condition is made when somebody waits. */
typedef struct {
    PyObject_HEAD PyObject *state; /* one of the five strings of concurrent.futures */
    PyObject *result;
    PyObject *exception;
    PyObject *condition; /* NULL: nobody waits, no callbacks: the GIL alone guards the future */
    PyObject *waiters;
    PyObject *callbacks;
    PyObject *stop_calls; /* what to call when a running body is asked to stop; NULL: nothing */
    Item *item;           /* while it waits in the pool's list */
    execq_future *native; /* of a task with options */
    char stop;            /* a running body was asked to stop */
    char retrieved;       /* somebody looked at the outcome */
    char call;            /* a native call: whether it runs, the library knows alone */
} Future;

typedef struct Pool {
    PyObject_HEAD execq_executor *native;
    PyObject *owner;       /* Python side of the pool (execq._pool.Workers): makes and ends thread objects */
    PyObject *initializer; /* NULL: none */
    PyObject *initargs;
    PyObject *broken;  /* the message, once an initializer failed */
    PyObject *preempt; /* told that a task waits for the only worker, which runs a loop; NULL: nobody */
    Item *first;
    Item *last;
    Item *tasks;         /* native tasks of their own that have not started */
    Py_ssize_t waiting;  /* in the list */
    Py_ssize_t pumps;    /* submitted and not ended */
    Py_ssize_t running;  /* of these, inside a body */
    Py_ssize_t loops;    /* of these, bodies that run an event loop */
    Py_ssize_t optional; /* how many tasks has */
    Py_ssize_t max_workers;
    Py_ssize_t threads;   /* thread objects made */
    Py_ssize_t lingering; /* pumps that wait for more before they end */
    Py_ssize_t watching;  /* submitters that wait for a new thread to begin */
    sem_t more;           /* one for each lingering pump that is called */
    sem_t began;          /* one for each watching submitter whose thread began */
    char direct;          /* has a capacity: every task is a native one */
    char closed;
    char joined;
    char forked; /* inherited by a child process: the native executor must not be touched */
} Pool;

typedef struct {
    PyObject_HEAD Pool *pool;
} Executor;

typedef struct Port {
    PyObject_HEAD execq_cq *cq;
    int fd;
    char signaled; /* a completion is in the queue, or on its way */
    char closed;
    Item *first;
    Item *last;
} Port;

/* What this thread is to the extension. */
typedef struct {
    PyThreadState *state; /* kept for the thread's whole life; NULL: not a worker that we have met */
    PyGILState_STATE gil;
    Pool *pool;       /* whose worker it is */
    PyObject *thread; /* its thread object */
    int has_loop;     /* an asyncio loop of its own was made */
    PyObject *target; /* of the call that runs here */
} Here;

extern __thread Here execq_here;
extern int execq_exiting;

/* Names that are looked up once. */
extern PyObject *execq_pending, *execq_running, *execq_cancelled, *execq_notified, *execq_finished;
extern PyObject *execq_cancelled_error, *execq_base_future, *execq_future_class, *execq_broken_pool, *execq_full_error;

extern PyTypeObject execq_future_type, execq_pool_type, execq_executor_type, execq_port_type;

/* future.c */
int future_names(PyObject *module);
Future *future_new(void);
int future_start(Future *future);
void future_finish(Future *future, PyObject *value, PyObject *exception); /* takes both references; one is NULL */

/* item.c */
Item *item_new(Pool *pool, PyObject *const *call, Py_ssize_t nargs, PyObject *kwnames);
void item_run(Item *item, int pumped);
void item_drop(Item *item); /* lets go of every reference and of the memory */

/* pool.c */
int pool_ready(Pool *pool);
int pool_push(Pool *pool, Item *item);
void pool_unlink(Pool *pool, Item *item);
PyObject *raise_status(execq_status status, const char *what);

/* native.c */
PyObject *native_call(PyObject *module, PyObject *args);

/* worker.c */
typedef struct {
    int how;
    PyGILState_STATE gil;
} Entry;
void break_item(Item *item); /* fails it, as an initializer failed */
Entry enter_worker(Pool *pool);
Entry enter_any(void);
void leave(Entry entry);

/* port.c */
void port_push(Port *port, Item *item);

#endif
