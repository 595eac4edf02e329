#define _GNU_SOURCE

#include "fetch.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <execq/uv.h>

enum {
    REQUEST_MAX = 512,
    FIRST_ROOM = 1024,
    ANSWER_MAX = 1 << 20 /* bytes; a longer answer is a failure */
};

/* How far a fetch has come. Each step but the last may go wrong or be canceled, which leads to END, where what is left
 * (a lookup that runs, a handle that closes) is waited for. The fetch belongs to the task: completing the promise frees
 * it, so that is the last thing of all. */
enum step { RESOLVE, CONNECT, EXCHANGE, END };

static const char *const step_names[] = {"resolve", "connect", "exchange", "end"};

struct fetch {
    struct fetch_target *target;
    execq_promise *promise; /* one reference */
    uv_loop_t *loop;
    enum step step;
    int error;         /* what ended it early: a libuv error, … */
    char message[128]; /* … in words, with the step */
    uv_getaddrinfo_t resolution;
    struct addrinfo *addresses;
    const struct addrinfo *next; /* the address to try next */
    uv_tcp_t tcp;
    uv_connect_t connection;
    uv_write_t sending;
    struct fetch_answer *answer;
    size_t room;
    char request[REQUEST_MAX];
};

static void fetch_free(void *env)
{
    struct fetch *fetch = env;

    uv_freeaddrinfo(fetch->addresses);
    free(fetch->answer);
    free(fetch);
}

/* Completes the promise. Nothing of the fetch is on the loop any more; afterwards there is no fetch. */
static void finish(struct fetch *fetch)
{
    execq_promise *promise = fetch->promise;
    struct fetch_answer *answer = fetch->answer;

    if (fetch->error == 0) {
        fetch->answer = NULL;
        execq_promise_resolve(promise, answer);
    } else {
        execq_promise_reject(promise, fetch->error == UV_ECANCELED ? EXECQ_ECANCELED : -fetch->error, fetch->message);
    }
    execq_promise_release(promise);
}

static void note(struct fetch *fetch, int error, const char *why)
{
    fetch->error = error;
    snprintf(fetch->message, sizeof fetch->message, "%s: %s", step_names[fetch->step], why);
}

static void on_closed(uv_handle_t *tcp);

/* Leaves the step, whatever it is; finish follows from a callback. */
static void end(struct fetch *fetch)
{
    enum step step = fetch->step;

    fetch->step = END;
    if (step == RESOLVE) {
        uv_cancel((uv_req_t *)&fetch->resolution); /* where it runs already, it is waited for */
        return;
    }
    if (step == EXCHANGE)
        atomic_fetch_sub(&fetch->target->open, 1);
    if (!uv_is_closing((uv_handle_t *)&fetch->tcp))
        uv_close((uv_handle_t *)&fetch->tcp, on_closed);
}

static void fail(struct fetch *fetch, int error, const char *why)
{
    if (fetch->step == END)
        return;
    note(fetch, error, why);
    end(fetch);
}

/* The cancel callback, on the loop's thread: the time is up. */
static void on_cancel(void *env) { fail(env, UV_ECANCELED, "canceled"); }

/* ---- Exchange ---- */

static void count_connection(struct fetch_target *target)
{
    unsigned open = atomic_fetch_add(&target->open, 1) + 1;
    unsigned most = atomic_load(&target->most);

    while (open > most && !atomic_compare_exchange_weak(&target->most, &most, open))
        continue;
}

/* Whether the body has the length that the headers promise, if they do. Finds the body. */
static bool is_whole(struct fetch_answer *answer)
{
    const char *end = strstr(answer->bytes, "\r\n\r\n");
    const char *length = strcasestr(answer->bytes, "\r\nContent-Length:");

    if (!end)
        return false;
    answer->body = end + 4;
    answer->body_size = answer->size - (size_t)(answer->body - answer->bytes);
    if (!length || length >= end)
        return true; /* up to the end of the connection */
    return strtoull(strchr(length, ':') + 1, NULL, 10) == answer->body_size;
}

/* The server has said all it has to say. */
static void on_end(struct fetch *fetch)
{
    struct fetch_answer *answer = fetch->answer;
    char status[64];

    if (answer)
        answer->bytes[answer->size] = '\0'; /* there is room: see on_room */
    if (!answer || strncmp(answer->bytes, "HTTP/1.", 7) != 0) {
        fail(fetch, UV_EPROTO, "no HTTP answer");
    } else if (strncmp(answer->bytes + 8, " 200", 4) != 0) {
        snprintf(status, sizeof status, "%.*s", (int)strcspn(answer->bytes, "\r\n"), answer->bytes);
        fail(fetch, UV_EPROTO, status);
    } else if (!is_whole(answer)) {
        fail(fetch, UV_EPROTO, "the answer is cut off");
    } else {
        answer->loop = fetch->loop;
        end(fetch);
    }
}

/* Lends the rest of the answer's room, less one byte for a terminator; nothing where there can be no more. */
static void on_room(uv_handle_t *tcp, size_t suggested, uv_buf_t *buffer)
{
    struct fetch *fetch = tcp->data;
    struct fetch_answer *answer = fetch->answer;
    size_t used = answer ? answer->size : 0;

    (void)suggested;
    *buffer = uv_buf_init(NULL, 0);
    if (fetch->room - used <= 1) {
        size_t room = fetch->room ? fetch->room * 2 : FIRST_ROOM;
        if (room > ANSWER_MAX || !(answer = realloc(answer, sizeof *answer + room)))
            return;
        answer->size = used;
        fetch->answer = answer;
        fetch->room = room;
    }
    *buffer = uv_buf_init(answer->bytes + used, (unsigned)(fetch->room - used - 1));
}

static void on_read(uv_stream_t *tcp, ssize_t count, const uv_buf_t *buffer)
{
    struct fetch *fetch = tcp->data;

    (void)buffer;
    if (count == UV_EOF)
        on_end(fetch);
    else if (count == UV_ENOBUFS)
        fail(fetch, UV_ENOBUFS, "no room for the answer");
    else if (count < 0)
        fail(fetch, (int)count, uv_strerror((int)count));
    else
        fetch->answer->size += (size_t)count;
}

static void on_sent(uv_write_t *sending, int status)
{
    if (status != 0)
        fail(sending->data, status, uv_strerror(status));
}

static void exchange(struct fetch *fetch)
{
    uv_buf_t request = uv_buf_init(fetch->request, (unsigned)strlen(fetch->request));
    uv_stream_t *tcp = (uv_stream_t *)&fetch->tcp;
    int error;

    fetch->step = EXCHANGE;
    count_connection(fetch->target);
    fetch->sending.data = fetch;
    error = uv_read_start(tcp, on_room, on_read);
    if (error == 0)
        error = uv_write(&fetch->sending, tcp, &request, 1, on_sent);
    if (error != 0)
        fail(fetch, error, uv_strerror(error));
}

/* ---- Connect: to one address after the other ---- */

static void connection_failed(struct fetch *fetch, int error)
{
    if (fetch->next)
        uv_close((uv_handle_t *)&fetch->tcp, on_closed);
    else
        fail(fetch, error, uv_strerror(error));
}

static void on_connected(uv_connect_t *connection, int status)
{
    struct fetch *fetch = connection->data;

    if (fetch->step == END) /* canceled; the handle is closing */
        return;
    if (status == 0)
        exchange(fetch);
    else
        connection_failed(fetch, status);
}

static void connect_next(struct fetch *fetch)
{
    const struct addrinfo *address = fetch->next;
    int error;

    fetch->step = CONNECT;
    fetch->next = address->ai_next;
    uv_tcp_init(fetch->loop, &fetch->tcp); /* makes no socket yet, so it cannot fail */
    fetch->tcp.data = fetch;
    fetch->connection.data = fetch;
    error = uv_tcp_connect(&fetch->connection, &fetch->tcp, address->ai_addr, on_connected);
    if (error != 0)
        connection_failed(fetch, error);
}

static void on_closed(uv_handle_t *tcp)
{
    struct fetch *fetch = tcp->data;

    if (fetch->step == END)
        finish(fetch);
    else
        connect_next(fetch);
}

/* ---- Resolve ---- */

static void on_resolved(uv_getaddrinfo_t *resolution, int status, struct addrinfo *addresses)
{
    struct fetch *fetch = resolution->data;

    fetch->addresses = addresses;
    fetch->next = addresses;
    if (fetch->step != END && status == 0) {
        connect_next(fetch);
        return;
    }
    if (fetch->step != END)
        note(fetch, status, uv_strerror(status));
    finish(fetch);
}

/* Begins, on a worker. Lookups run on libuv's own pool, four at a time where UV_THREADPOOL_SIZE says nothing else. */
static void start(execq_promise *promise, uv_loop_t *loop, void *env)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct fetch *fetch = env;
    int error;

    fetch->promise = promise;
    fetch->loop = loop;
    fetch->resolution.data = fetch;
    error = uv_getaddrinfo(loop, &fetch->resolution, on_resolved, fetch->target->host, fetch->target->port, &hints);
    if (error != 0) {
        note(fetch, error, uv_strerror(error));
        finish(fetch);
    } else if (execq_promise_on_cancel(promise, on_cancel, fetch, NULL) != EXECQ_OK) {
        fail(fetch, UV_ENOMEM, uv_strerror(UV_ENOMEM));
    }
}

execq_status fetch_submit(execq_executor *executor, struct fetch_target *target, const char *path, int64_t timeout_ns,
                          execq_future **future)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    struct fetch *fetch = calloc(1, sizeof *fetch);
    int length;

    if (!fetch)
        return EXECQ_ENOMEM;
    fetch->target = target;
    length = snprintf(fetch->request, sizeof fetch->request, "GET %s HTTP/1.0\r\nHost: %s:%s\r\n\r\n", path,
                      target->host, target->port);
    if (length < 0 || (size_t)length >= sizeof fetch->request) {
        free(fetch);
        return EXECQ_EINVAL;
    }
    options.name = "fetch";
    options.timeout_ns = timeout_ns;
    options.drop = fetch_free; /* also where the submission fails */
    options.drop_result = free;
    return execq_submit_async_uv(executor, &options, start, fetch, future);
}
