/* compress_tree: gzips every file under a folder, in memory, beside a libuv loop that should not stall.
 *
 * The same blocking function, gzip_file, goes through the same files in three ways:
 *
 *   inline          on the loop itself, one file in each iteration
 *   uv_queue_work   on libuv's own pool
 *   libexecq        on an executor, through execq_submit_to_loop
 *
 * A timer on the loop beats every 10 ms meanwhile. The longest gap between two beats is how long anything else on that
 * loop, a button or a socket, would have waited. The three ways stand side by side below.
 *
 * Only gzip_file runs on other threads, and it shares nothing: no lock in this file. */
#define _GNU_SOURCE

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <execq/execq.h>
#include <execq/uv.h>
#include <zlib.h>

#include "file_tree.h"
#include "gzip_file.h"
#include "report.h"

enum {
    WINDOW = 256,       /* files in flight at once, the same for both pools: bounds the memory */
    MAX_THREADS = 1024, /* libuv's own limit */
    WAYS = REPORT_WAYS
};

/* One file, and the work that is under way for it. */
struct file {
    struct tree_entry *entry;
    struct run *run;            /* the run that it is in flight for */
    uv_work_t request;          /* uv_queue_work: its node, which the caller has to keep alive, … */
    struct gzip_output *output; /* … and its outcome, for which it has no place: … */
    int error;                  /* … the bytes, or why there are none */
    bool known;                 /* size and crc are those of the first way that got through */
    bool differs;               /* a later way gave something else */
    size_t size;
    uint32_t crc;
};

/* A way to get the work done: starts one file, and calls file_done on the loop's thread once it is compressed. */
struct way {
    const char *name;
    size_t window;
    bool (*submit)(struct file *file);
};

/* One way's turn through all files. */
struct run {
    const struct way *way;
    struct demo *demo;
    size_t next; /* the first file not yet started */
    size_t in_flight;
    bool failed;            /* a submission was refused: finish what is in flight, start nothing more */
    struct report_row *row; /* where its figures go */
    uint64_t last_beat;
    uint64_t longest_gap;
    unsigned beats;
};

struct demo {
    const char *folder;
    int rounds;
    int threads;
    bool progress;
    struct tree_list tree;
    struct tree_list closed; /* folders that could not be opened */
    struct file *files;      /* one for each entry of the tree */
    uv_loop_t loop;
    uv_timer_t heartbeat;
    uv_idle_t idle;           /* the inline way */
    execq_executor *executor; /* the libexecq way: its pool, … */
    execq_loop *port;         /* … and the loop that its completions go to */
    struct report_row rows[WAYS];
};

/* For what leaves nothing to demonstrate. */
static _Noreturn void die(const char *what, const char *why)
{
    fprintf(stderr, "compress_tree: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

/* ---- The three ways: each starts one file and ends in file_done, on the loop's thread ---- */

/* Takes note of an outcome, and starts the next file. The output stays the caller's. */
static void file_done(struct file *file, int error, const struct gzip_output *output);

static void inline_turn(uv_idle_t *idle)
{
    struct file *file = idle->data;
    struct gzip_output *output = NULL;

    uv_idle_stop(idle);
    int error = gzip_file(file->entry->path, &output); /* the loop stands still meanwhile */
    file_done(file, error, output);
    free(output);
}

/* An idle handle runs once in each iteration: the timers get their chance between two files. */
static bool inline_submit(struct file *file)
{
    uv_idle_t *idle = &file->run->demo->idle;

    idle->data = file;
    return uv_idle_start(idle, inline_turn) == 0;
}

static void uv_work(uv_work_t *request)
{
    struct file *file = request->data;

    file->output = NULL;
    file->error = gzip_file(file->entry->path, &file->output);
}

static void uv_work_done(uv_work_t *request, int status)
{
    struct file *file = request->data;

    (void)status; /* nonzero only where somebody cancelled */
    file_done(file, file->error, file->output);
    free(file->output);
}

static bool uv_submit(struct file *file)
{
    int status;

    file->request.data = file;
    status = uv_queue_work(&file->run->demo->loop, &file->request, uv_work, uv_work_done);
    if (status != 0)
        fprintf(stderr, "compress_tree: uv_queue_work: %s\n", uv_strerror(status));
    return status == 0;
}

/* The outcome travels through the future: a value, or a code that says why there is none (an errno value will do). */
static int32_t execq_work(void *env, void **result)
{
    const struct file *file = env;
    struct gzip_output *output = NULL;
    int error = gzip_file(file->entry->path, &output);

    *result = output;
    return error;
}

/* The future and its value are borrowed: the value ends by drop_result after this. Nobody cancels here: what is not OK
 * has failed. */
static void execq_work_done(execq_future *future, void *env)
{
    void *output = NULL;
    int error = 0;

    if (execq_future_result(future, &output) != EXECQ_OK)
        error = execq_error_code(execq_future_error(future));
    file_done(env, error, output);
}

static bool execq_submit_file(struct file *file)
{
    struct demo *demo = file->run->demo;
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    execq_status status;

    options.drop_result = free;
    status = execq_submit_to_loop(demo->executor, &options, execq_work, file, demo->port, execq_work_done, file, NULL);
    if (status != EXECQ_OK)
        fprintf(stderr, "compress_tree: execq_submit_to_loop: %s\n", execq_status_text(status));
    return status == EXECQ_OK;
}

static const struct way ways[WAYS] = {
    {"inline", 1, inline_submit},
    {"uv_queue_work", WINDOW, uv_submit},
    {"libexecq", WINDOW, execq_submit_file},
};

/* ---- A run: one way through all files, with the heartbeat beside it ---- */

/* Measures from beat to beat, and from the last beat to the end of the run: a stall counts there, too. */
static void run_beat(struct run *run)
{
    uint64_t now = uv_hrtime();

    if (now - run->last_beat > run->longest_gap)
        run->longest_gap = now - run->last_beat;
    run->last_beat = now;
}

static void on_heartbeat(uv_timer_t *timer)
{
    struct run *run = timer->data;

    run_beat(run);
    if (!run->demo->progress || ++run->beats % 10 != 0)
        return;
    fprintf(stderr, "\r%s: %zu of %zu files\033[K", run->way->name, run->next - run->in_flight, run->demo->tree.count);
}

/* Fills the window; with nothing in flight the run is over, and without a timer uv_run ends. */
static void run_more(struct run *run)
{
    struct demo *demo = run->demo;

    while (!run->failed && run->in_flight < run->way->window && run->next < demo->tree.count) {
        struct file *file = &demo->files[run->next];
        file->run = run;
        if (run->way->submit(file)) {
            run->next++;
            run->in_flight++;
        } else {
            run->failed = true;
        }
    }
    if (run->in_flight == 0)
        uv_timer_stop(&demo->heartbeat);
}

static void file_done(struct file *file, int error, const struct gzip_output *output)
{
    struct run *run = file->run;

    if (error != 0) {
        file->entry->error = error;
    } else {
        run->row->files++;
        run->row->bytes += output->original;
        run->row->size += output->size;
        if (!file->known) {
            file->known = true;
            file->size = output->size;
            file->crc = output->crc;
        } else if (file->size != output->size || file->crc != output->crc) {
            file->differs = true;
        }
    }
    run->in_flight--;
    run_more(run);
}

/* Sends all files through one way; false if a submission was refused. */
static bool run_way(struct demo *demo, int way, int round)
{
    struct report_row *row = &demo->rows[way];
    struct run run = {.way = &ways[way], .demo = demo, .row = row};
    uint64_t start;

    row->way = run.way->name;
    row->files = row->bytes = row->size = 0;
    demo->heartbeat.data = &run;
    uv_update_time(&demo->loop); /* the loop's clock stood still since the run before */
    uv_timer_start(&demo->heartbeat, on_heartbeat, REPORT_BEAT_MS, REPORT_BEAT_MS);
    start = run.last_beat = uv_hrtime();
    run_more(&run);
    uv_run(&demo->loop, UV_RUN_DEFAULT);
    run_beat(&run);
    row->wall[round] = run.last_beat - start;
    row->gap[round] = run.longest_gap;
    if (demo->progress)
        fprintf(stderr, "\r\033[K");
    return !run.failed;
}

/* Says whether each file came out the same in every way that could read it. */
static bool check_outputs(const struct file *files, size_t count)
{
    uLong crc = crc32(0, NULL, 0);
    uint64_t size = 0;
    bool same = true;

    for (size_t i = 0; i < count; i++) {
        const struct file *file = &files[i];
        if (file->differs) {
            fprintf(stderr, "compress_tree: the ways differ in %s (did it change meanwhile?)\n", file->entry->path);
            same = false;
        }
        if (!file->known)
            continue;
        crc = crc32_combine(crc, file->crc, (z_off_t)file->size);
        size += file->size;
    }
    if (same)
        printf("output: the same in all ways, %" PRIu64 " bytes, CRC-32 %08lx\n", size, crc);
    return same;
}

/* ---- The program ---- */

static void usage(FILE *stream)
{
    fprintf(stream,
            "usage: compress_tree [--rounds N] [--threads N] [folder]\n"
            "Gzips every file under a folder (default /usr/include) in memory, in three ways, beside a heartbeat.\n"
            "  --rounds N   go through all three ways N times and show medians (1 to %d, default 5)\n"
            "  --threads N  threads of each of the two pools (1 to %d, default: one per processor)\n"
            "  --help       show this text\n",
            REPORT_ROUNDS_MAX, MAX_THREADS);
}

/* A whole number from 1 to most; anything else ends the program. */
static int parse_number(const char *text, int most)
{
    char *end;
    long number;

    errno = 0;
    number = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || number < 1 || number > most) {
        fprintf(stderr, "compress_tree: not a number from 1 to %d: %s\n", most, text);
        usage(stderr);
        exit(2);
    }
    return (int)number;
}

static void parse_arguments(struct demo *demo, int argc, char **argv)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'},
        {"threads", required_argument, NULL, 't'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'r':
            demo->rounds = parse_number(optarg, REPORT_ROUNDS_MAX);
            break;
        case 't':
            demo->threads = parse_number(optarg, MAX_THREADS);
            break;
        case 'h':
            usage(stdout);
            exit(EXIT_SUCCESS);
        default:
            usage(stderr);
            exit(2);
        }
    }
    if (argc - optind > 1 || (optind < argc && argv[optind][0] == '\0')) {
        usage(stderr);
        exit(2);
    }
    if (optind < argc)
        demo->folder = argv[optind];
}

/* Sets up the loop with both pools. */
static void demo_open(struct demo *demo)
{
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    char threads[16];
    execq_status status;
    int error;

    /* libuv takes the size of its pool from the environment, at the first use. */
    snprintf(threads, sizeof threads, "%d", demo->threads);
    if (setenv("UV_THREADPOOL_SIZE", threads, 1) != 0)
        die("setenv", strerror(errno));
    error = uv_loop_init(&demo->loop);
    if (error != 0)
        die("uv_loop_init", uv_strerror(error));
    uv_timer_init(&demo->loop, &demo->heartbeat);
    uv_idle_init(&demo->loop, &demo->idle);

    options.name = "compress";
    options.max_threads = (uint32_t)demo->threads;
    status = execq_executor_new(&options, &demo->executor);
    if (status != EXECQ_OK)
        die("execq_executor_new", execq_status_text(status));
    status = execq_loop_attach(&demo->loop, &demo->port);
    if (status != EXECQ_OK)
        die("execq_loop_attach", execq_status_text(status));
}

static void demo_close(struct demo *demo)
{
    execq_executor_close(demo->executor, EXECQ_DRAIN);
    execq_executor_join(demo->executor, -1, NULL);
    execq_executor_release(demo->executor);
    execq_loop_detach(demo->port);
    execq_loop_release(demo->port);
    uv_close((uv_handle_t *)&demo->heartbeat, NULL);
    uv_close((uv_handle_t *)&demo->idle, NULL);
    uv_run(&demo->loop, UV_RUN_DEFAULT); /* the handles, the port's too, are closed in here */
    uv_loop_close(&demo->loop);
}

/* Interleaves the ways, so that a change in the machine's load meets all of them; false if one was refused. */
static bool run_rounds(struct demo *demo)
{
    for (int round = 0; round < demo->rounds; round++) {
        for (int way = 0; way < WAYS; way++) {
            if (!run_way(demo, way, round))
                return false;
        }
    }
    return true;
}

/* Compares the ways on a tree that is not empty; false if anything went wrong but an unreadable file. */
static bool demo_run(struct demo *demo)
{
    size_t count = demo->tree.count;
    bool fine;

    demo->files = calloc(count, sizeof *demo->files);
    if (!demo->files)
        die(demo->folder, strerror(ENOMEM));
    for (size_t i = 0; i < count; i++) {
        demo->files[i].entry = &demo->tree.entries[i];
        /* Read once, or the first way alone would pay for the disk. Errors will be met again. */
        (void)gzip_file_warm_up(demo->tree.entries[i].path);
    }
    demo_open(demo);
    fine = run_rounds(demo);
    demo_close(demo);
    report_unreadable(&demo->closed, &demo->tree);
    if (fine) {
        printf("%s, %d threads, median of %d\n\n", demo->folder, demo->threads, demo->rounds);
        report_table(demo->rows, demo->rounds);
        fine = check_outputs(demo->files, count);
    }
    free(demo->files);
    return fine;
}

int main(int argc, char **argv)
{
    static struct demo demo = {.folder = "/usr/include", .rounds = 5};
    bool fine = true;
    int error;

    /* Compressing keeps a processor busy: more threads than processors would only crowd the loop's out. */
    demo.threads = (int)uv_available_parallelism();
    parse_arguments(&demo, argc, argv);
    demo.progress = isatty(STDERR_FILENO);
    error = tree_walk(demo.folder, &demo.tree, &demo.closed);
    if (error != 0)
        die(demo.folder, strerror(error));
    if (demo.tree.count > 0) {
        fine = demo_run(&demo);
    } else {
        report_unreadable(&demo.closed, &demo.tree);
        printf("no files under %s: nothing to compress\n", demo.folder);
    }
    tree_list_free(&demo.tree);
    tree_list_free(&demo.closed);
    if (fflush(stdout) != 0)
        die("standard output", strerror(errno));
    return fine ? EXIT_SUCCESS : EXIT_FAILURE;
}
