/* Processes that end on purpose, for tests in C: forked while the test has no other threads. Include capi.h first. */
#ifndef EXECQ_TESTS_CHILD_H
#define EXECQ_TESTS_CHILD_H

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Seconds after which a child that hangs is killed: far more than any may take on a busy machine. */
enum { CHILD_LIMIT_S = 240 };

/* Runs act(env) in a child, which is to end by itself, and reads what it wrote to stderr. Answers what waitpid() says. */
static inline int child_run(void (*act)(void *env), void *env, char *text, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(CHILD_LIMIT_S);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        act(env);
        _exit(99);
    }
    close(ends[1]);
    size_t length = 0;
    ssize_t got = 0;
    while (length < size - 1 && (got = read(ends[0], text + length, size - 1 - length)) > 0) {
        length += (size_t)got;
    }
    text[length] = '\0';
    close(ends[0]);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

/* The same for one that is to end by exit(code); says what it wrote where it does not. */
static inline void child_exits(void (*act)(void *env), void *env, int code, char *text, size_t size)
{
    const int status = child_run(act, env, text, size);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
        fail_msg("the child ended with %s %d and wrote: %s", WIFEXITED(status) ? "code" : "signal",
                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status), text);
    }
}

#endif
