/* fetch_many: fetches thousands of HTTP answers at once, with two threads.
 *
 * Each fetch is an asynchronous task (fetch.c): it waits for names and sockets on a worker's loop, so one worker has
 * thousands of them open, and this file reads like any program that blocks: submit all, wait for all, look at each. Which
 * of the two workers a fetch is on is decided when one is free to start it; nothing spreads them evenly.
 *
 * Without a server to ask, it brings its own (local_server.c), which answers nobody until all connections are open. */
#define _GNU_SOURCE

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <execq/execq.h>
#include <execq/uv.h>

#include "fetch.h"
#include "local_server.h"

enum {
    WORKERS = 2,
    COUNT_MAX = 20000,     /* connections to one address; the system has some 28,000 ports for them */
    TIMEOUT_MAX = 3600000, /* milliseconds */
    SPARE_FILES = 64,      /* descriptors for all but connections */
    REASONS_MAX = 8        /* kinds of failure that are told apart */
};

struct options {
    unsigned count;
    unsigned timeout; /* milliseconds */
    char *server;     /* "host:port"; NULL: the local one */
};

struct tally {
    unsigned fetched;
    unsigned failed;
    const struct uv_loop_s *loops[WORKERS]; /* the different ones that answers came by */
    unsigned workers;
    struct reason {
        char text[160];
        unsigned count;
    } reasons[REASONS_MAX];
};

static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "fetch_many: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

/* ---- The outcomes ---- */

static void count_worker(struct tally *tally, const struct uv_loop_s *loop)
{
    for (unsigned i = 0; i < tally->workers; i++) {
        if (tally->loops[i] == loop)
            return;
    }
    if (tally->workers < WORKERS)
        tally->loops[tally->workers++] = loop;
}

/* The last reason takes in all for which there is no place. */
static void count_failure(struct tally *tally, const char *text)
{
    struct reason *reason = tally->reasons;

    while (reason->count > 0 && strcmp(reason->text, text) != 0 && reason < &tally->reasons[REASONS_MAX - 1])
        reason++;
    if (reason == &tally->reasons[REASONS_MAX - 1])
        text = "other reasons";
    snprintf(reason->text, sizeof reason->text, "%s", text);
    reason->count++;
    tally->failed++;
}

/* What another server says is not known, only that it is complete. */
static bool is_right(const struct fetch_answer *answer, const struct options *options, unsigned number)
{
    char body[LOCAL_SERVER_BODY_MAX];
    size_t size;

    if (options->server)
        return true;
    size = local_server_body(number, body);
    return size == answer->body_size && memcmp(body, answer->body, size) == 0;
}

static void look_at(execq_future *future, const struct options *options, unsigned number, struct tally *tally)
{
    void *value = NULL;
    execq_status status = execq_future_result(future, &value);

    if (status == EXECQ_OK) {
        const struct fetch_answer *answer = value;
        count_worker(tally, answer->loop);
        if (is_right(answer, options, number))
            tally->fetched++;
        else
            count_failure(tally, "the body is wrong");
    } else if (execq_future_cancel_reason(future) == EXECQ_REASON_DEADLINE) {
        count_failure(tally, "timed out");
    } else if (status == EXECQ_EFAILED) {
        count_failure(tally, execq_error_message(execq_future_error(future)));
    } else {
        count_failure(tally, execq_status_text(status));
    }
}

/* ---- The fetches ---- */

static execq_executor *executor_open(void)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    execq_executor *executor;
    execq_status status;

    options.name = "fetch";
    options.max_threads = WORKERS;
    options.loop_workers = WORKERS;
    status = execq_executor_new(&options, &executor);
    if (status != EXECQ_OK)
        die("execq_executor_new", execq_status_text(status));
    return executor;
}

/* Starts all, then waits for all; a fetch that cannot even be started counts as failed. */
static void fetch_all(struct fetch_target *target, const struct options *options, struct tally *tally)
{
    int64_t timeout_ns = (int64_t)options->timeout * 1000000;
    execq_future **futures = calloc(options->count, sizeof(execq_future *));
    execq_executor *executor;
    unsigned started = 0;
    execq_status status = EXECQ_OK;

    if (!futures)
        die("memory", strerror(ENOMEM));
    executor = executor_open();
    while (started < options->count && status == EXECQ_OK) {
        char path[32] = "/";
        if (!options->server)
            snprintf(path, sizeof path, "/%u", started);
        status = fetch_submit(executor, target, path, timeout_ns, &futures[started]);
        if (status == EXECQ_OK)
            started++;
    }
    for (unsigned i = started; i < options->count; i++)
        count_failure(tally, execq_status_text(status));
    status = execq_future_wait_all(futures, started, -1); /* each has its own time limit */
    if (status != EXECQ_OK)
        die("execq_future_wait_all", execq_status_text(status));
    for (unsigned i = 0; i < started; i++) {
        look_at(futures[i], options, i, tally);
        execq_future_release(futures[i]);
    }
    free(futures);
    execq_executor_close(executor, EXECQ_DRAIN);
    execq_executor_join(executor, -1, NULL);
    execq_executor_release(executor);
}

/* Each connection takes a descriptor, and another one where the server is in this process. */
static void allow_files(const struct options *options)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)options->count * (options->server ? 1 : 2) + SPARE_FILES;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("getrlimit", strerror(errno));
    limit.rlim_cur = limit.rlim_max;
    if (limit.rlim_max != RLIM_INFINITY && limit.rlim_max < wanted) {
        fprintf(stderr, "fetch_many: %u at once need %llu descriptors, the limit is %llu (ulimit -Hn)\n",
                options->count, (unsigned long long)wanted, (unsigned long long)limit.rlim_max);
        exit(EXIT_FAILURE);
    }
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        die("setrlimit", strerror(errno));
}

/* ---- The program ---- */

static void usage(FILE *stream)
{
    fprintf(
        stream,
        "usage: fetch_many [--timeout MS] [count [host:port]]\n"
        "Fetches so many HTTP answers at once (1 to %d, default 2000) with %d threads: from a server of its own, which\n"
        "answers once all have connected and whose answers are checked, or the page / from another one.\n"
        "  --timeout SECONDS   gives up on a fetch after so long (1 to %d, default 60)\n"
        "  --help              show this text\n",
        COUNT_MAX, WORKERS, TIMEOUT_MAX);
}

static _Noreturn void refuse(const char *what, const char *text)
{
    fprintf(stderr, "fetch_many: %s: %s\n", what, text);
    usage(stderr);
    exit(2);
}

static unsigned parse_number(const char *what, const char *text, unsigned most)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 1 || number > (long)most)
        refuse(what, text);
    return (unsigned)number;
}

static void parse_arguments(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        {"timeout", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 't':
            options->timeout = parse_number("not a number of milliseconds", optarg, TIMEOUT_MAX);
            break;
        case 'h':
            usage(stdout);
            exit(EXIT_SUCCESS);
        default:
            usage(stderr);
            exit(2);
        }
    }
    if (argc - optind > 2)
        refuse("one argument too many", argv[optind + 2]);
    if (optind < argc)
        options->count = parse_number("not a count", argv[optind], COUNT_MAX);
    if (optind + 1 < argc)
        options->server = argv[optind + 1];
}

/* Splits "host:port", in place; an IPv6 address stands in brackets. */
static void split_server(char *server, struct fetch_target *target)
{
    char *colon = strrchr(server, ':');

    if (!colon || colon == server)
        refuse("not host:port", server);
    parse_number("not a port", colon + 1, 65535);
    *colon = '\0';
    if (server[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        server++;
    }
    target->host = server;
    target->port = colon + 1;
}

int main(int argc, char **argv)
{
    struct options options = {.count = 2000, .timeout = 60000};
    struct fetch_target target = {.host = "localhost"};
    struct local_server *local = NULL;
    struct tally tally = {0};
    char port[16];

    parse_arguments(&options, argc, argv);
    signal(SIGPIPE, SIG_IGN); /* libuv writes to whoever is gone like anybody else */
    if (options.server)
        split_server(options.server, &target);
    allow_files(&options);
    if (!options.server) {
        int error = local_server_start(options.count, &local);
        if (error != 0)
            die("the local server", uv_strerror(error));
        snprintf(port, sizeof port, "%d", local_server_port(local));
        target.port = port;
    }
    fetch_all(&target, &options, &tally);
    if (local)
        local_server_stop(local);

    for (struct reason *reason = tally.reasons; reason < tally.reasons + REASONS_MAX && reason->count > 0; reason++)
        fprintf(stderr, "failed: %u, %s\n", reason->count, reason->text);
    printf("%u fetched, %u failed, at most %u at once, on %u worker%s\n", tally.fetched, tally.failed,
           atomic_load(&target.most), tally.workers, tally.workers == 1 ? "" : "s");
    if (fflush(stdout) != 0)
        die("standard output", strerror(errno));
    return tally.failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
