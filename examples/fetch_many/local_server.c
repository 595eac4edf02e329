#define _GNU_SOURCE

#include "local_server.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uv.h>

enum {
    REQUEST_MAX = 1024,
    HEAD_MAX = 128,
    LINE_MAX_BYTES = 16, /* a line of a body */
    BODY_LINES = 500
};

struct local_server {
    uv_loop_t loop;
    uv_thread_t thread;
    uv_tcp_t listener;
    uv_async_t stop;
    int port;
    unsigned hold;          /* answer once so many are waiting; 0: at once */
    unsigned waiting_count; /* requests that are held back, … */
    struct client *waiting; /* … in a list */
};

struct client {
    uv_tcp_t tcp;
    struct local_server *server;
    struct client *previous; /* among those that wait */
    struct client *next;
    bool waits;
    size_t used;
    char request[REQUEST_MAX];
    uv_write_t sending;
    char answer[HEAD_MAX + LOCAL_SERVER_BODY_MAX];
};

size_t local_server_body(unsigned number, char *body)
{
    unsigned lines = number % BODY_LINES + 1;
    size_t size = 0;

    for (unsigned i = 0; i < lines; i++)
        size += (size_t)snprintf(body + size, LINE_MAX_BYTES + 1, "item %u\n", number);
    return size;
}

static void wait_begin(struct client *client)
{
    struct local_server *server = client->server;

    client->waits = true;
    client->previous = NULL;
    client->next = server->waiting;
    if (client->next)
        client->next->previous = client;
    server->waiting = client;
    server->waiting_count++;
}

static void wait_end(struct client *client)
{
    struct local_server *server = client->server;

    if (!client->waits)
        return;
    client->waits = false;
    if (client->previous)
        client->previous->next = client->next;
    else
        server->waiting = client->next;
    if (client->next)
        client->next->previous = client->previous;
    server->waiting_count--;
}

static void on_closed(uv_handle_t *tcp) { free(tcp->data); }

static void client_close(struct client *client)
{
    wait_end(client);
    if (!uv_is_closing((uv_handle_t *)&client->tcp))
        uv_close((uv_handle_t *)&client->tcp, on_closed);
}

static void on_sent(uv_write_t *sending, int status)
{
    (void)status;
    client_close(sending->data);
}

static void answer(struct client *client)
{
    char body[LOCAL_SERVER_BODY_MAX];
    const char *status = "404 Not Found";
    size_t size = 0;
    unsigned number;
    uv_buf_t buffer;
    int head;

    wait_end(client);
    uv_read_stop((uv_stream_t *)&client->tcp); /* one request is all that a client has */
    if (sscanf(client->request, "GET /%u HTTP/", &number) == 1) {
        status = "200 OK";
        size = local_server_body(number, body);
    }
    head = snprintf(client->answer, HEAD_MAX, "HTTP/1.0 %s\r\nContent-Length: %zu\r\n\r\n", status, size);
    memcpy(client->answer + head, body, size);
    buffer = uv_buf_init(client->answer, (unsigned)head + (unsigned)size);
    client->sending.data = client;
    if (uv_write(&client->sending, (uv_stream_t *)&client->tcp, &buffer, 1, on_sent) != 0)
        client_close(client);
}

/* A whole request is there. Once as many as wanted are, nothing is held back any more. */
static void on_request(struct client *client)
{
    struct local_server *server = client->server;

    wait_begin(client);
    if (server->waiting_count < server->hold)
        return;
    server->hold = 0;
    while (server->waiting)
        answer(server->waiting);
}

static void on_room(uv_handle_t *tcp, size_t suggested, uv_buf_t *buffer)
{
    struct client *client = tcp->data;

    (void)suggested;
    *buffer = uv_buf_init(client->request + client->used, (unsigned)(REQUEST_MAX - client->used - 1));
}

static void on_read(uv_stream_t *tcp, ssize_t count, const uv_buf_t *buffer)
{
    struct client *client = tcp->data;

    (void)buffer;
    if (count < 0) { /* gone, or its request is too long */
        client_close(client);
        return;
    }
    client->used += (size_t)count;
    client->request[client->used] = '\0';
    if (!client->waits && strstr(client->request, "\r\n\r\n"))
        on_request(client);
}

static void on_connection(uv_stream_t *listener, int status)
{
    struct local_server *server = listener->data;
    struct client *client;

    if (status != 0) {
        fprintf(stderr, "local server: accept: %s\n", uv_strerror(status));
        return;
    }
    client = calloc(1, sizeof *client);
    if (!client) {
        fprintf(stderr, "local server: accept: %s\n", uv_strerror(UV_ENOMEM));
        return;
    }
    client->server = server;
    client->tcp.data = client;
    uv_tcp_init(&server->loop, &client->tcp);
    if (uv_accept(listener, (uv_stream_t *)&client->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&client->tcp, on_room, on_read) != 0)
        client_close(client);
}

static void close_each(uv_handle_t *handle, void *server)
{
    if (uv_is_closing(handle))
        return;
    if (handle->data == server)
        uv_close(handle, NULL); /* the server's own */
    else
        client_close(handle->data);
}

static void on_stop(uv_async_t *stop)
{
    struct local_server *server = stop->data;

    uv_walk(&server->loop, close_each, server);
}

static void serve(void *server) { uv_run(&((struct local_server *)server)->loop, UV_RUN_DEFAULT); /* until on_stop */ }

/* Opens what the loop needs; returns 0 or a libuv error. What is open is to be closed either way. */
static int open_all(struct local_server *server)
{
    struct sockaddr_in address;
    int size = sizeof address;
    int error;

    uv_tcp_init(&server->loop, &server->listener);
    server->listener.data = server;
    uv_ip4_addr("127.0.0.1", 0, &address);
    error = uv_tcp_bind(&server->listener, (const struct sockaddr *)&address, 0);
    if (error == 0)
        error = uv_listen((uv_stream_t *)&server->listener, server->hold > SOMAXCONN ? (int)server->hold : SOMAXCONN,
                          on_connection);
    if (error == 0)
        error = uv_tcp_getsockname(&server->listener, (struct sockaddr *)&address, &size);
    server->port = ntohs(address.sin_port);
    if (error == 0)
        error = uv_thread_create(&server->thread, serve, server);
    return error;
}

int local_server_start(unsigned hold, struct local_server **out)
{
    struct local_server *server = calloc(1, sizeof *server);
    int error;

    if (!server)
        return UV_ENOMEM;
    server->hold = hold;
    error = uv_loop_init(&server->loop);
    if (error != 0) {
        free(server);
        return error;
    }
    error = uv_async_init(&server->loop, &server->stop, on_stop);
    if (error == 0) {
        server->stop.data = server;
        error = open_all(server);
        if (error == 0) {
            *out = server;
            return 0;
        }
        on_stop(&server->stop);
        uv_run(&server->loop, UV_RUN_DEFAULT);
    }
    uv_loop_close(&server->loop);
    free(server);
    return error;
}

int local_server_port(const struct local_server *server) { return server->port; }

void local_server_stop(struct local_server *server)
{
    uv_async_send(&server->stop);
    uv_thread_join(&server->thread);
    uv_loop_close(&server->loop);
    free(server);
}
