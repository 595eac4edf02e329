/* A small HTTP server for fetch_many, on a thread of its own with a libuv loop of its own: no executor in here.
 *
 * It holds all answers back until so many requests are there at once, so that who gets them has shown that it can keep so
 * many connections open. Main thread only, except for local_server_body. */
#ifndef LOCAL_SERVER_H
#define LOCAL_SERVER_H

#include <stddef.h>

enum { LOCAL_SERVER_BODY_MAX = 8 * 1024 };

struct local_server;

/* Listens on 127.0.0.1, at a port that the system chooses, and starts to serve. Returns 0 or a libuv error. */
int local_server_start(unsigned hold, struct local_server **out);

int local_server_port(const struct local_server *server);

/* Closes all connections, ends the thread, frees the server. */
void local_server_stop(struct local_server *server);

/* The body of the answer for "/<number>"; returns its size, at most LOCAL_SERVER_BODY_MAX. Any thread. */
size_t local_server_body(unsigned number, char *body);

#endif
