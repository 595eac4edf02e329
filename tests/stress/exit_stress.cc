// Processes by the dozen that end by exit() in the midst of work, from the main thread, another one, a task, a callback, the
// thread that keeps times, or two of these at once, under each policy. Each ends by itself, with the code that was given, and
// leaves nothing behind.
#include <array>
#include <cstdlib>
#include <gtest/gtest.h>
#include <random>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

#include "execq/execq.h"
#include "stress.h"

namespace {

constexpr int code = 7;
constexpr unsigned limit_s = 240;  // for one that hangs
constexpr std::int64_t hour_ns = 3'600'000'000'000;

std::int32_t spin_a_little(void*, void**)
{
    for (int i = 0; i < 2000; ++i)
        asm volatile("");
    return 0;
}

std::int32_t exit_in_task(void*, void**) { std::exit(code); }
void exit_in_done(execq_future*, void*) { std::exit(code); }

std::int32_t stop_when_asked(void*, void**)
{
    while (execq_cancel_requested() == 0)
        std::this_thread::yield();
    return EXECQ_ECANCELED;
}

void submit_until_refused()
{
    execq_status status = EXECQ_OK;
    while (status == EXECQ_OK)
        status = execq_submit(nullptr, spin_a_little, nullptr, nullptr);
    CHECK(status == EXECQ_ECLOSED);
}

// In a child. Never returns.
void end_in_the_midst(unsigned seed)
{
    alarm(limit_s);
    std::mt19937 random(seed);
    execq_conf conf = EXECQ_CONF_INIT;
    // A drain would wait for what never ends unless it is asked to.
    const bool drains = random() % 3 == 0;
    conf.exit_policy = drains ? EXECQ_EXIT_DRAIN : EXECQ_EXIT_CANCEL;
    conf.exit_wait_ns = hour_ns;
    CHECK(execq_init_conf(&conf) == EXECQ_OK);
    execq_future* future = nullptr;
    CHECK(execq_submit(nullptr, drains ? spin_a_little : stop_when_asked, nullptr, &future) == EXECQ_OK);
    CHECK(execq_submit_periodic(nullptr, nullptr, 1'000'000, EXECQ_FIXED_RATE, spin_a_little, nullptr, nullptr) ==
          EXECQ_OK);
    const unsigned load = random() % 500;
    for (unsigned i = 0; i < load; ++i)
        CHECK(execq_submit(nullptr, spin_a_little, nullptr, nullptr) == EXECQ_OK);
    if (!drains || random() % 2 == 0)
        std::thread(submit_until_refused).detach();
    const bool twice = !sanitized && random() % 4 == 0;
    for (int i = 0; i < (twice ? 2 : 1); ++i) {
        execq_future* sleep = nullptr;
        switch (random() % 5) {
        case 0:
            std::thread([] { std::exit(code); }).detach();
            break;
        case 1:
            static_cast<void>(execq_submit(nullptr, exit_in_task, nullptr, nullptr));
            break;
        case 2:
            if (execq_submit(nullptr, spin_a_little, nullptr, &sleep) == EXECQ_OK)
                static_cast<void>(execq_future_on_done(sleep, exit_in_done, nullptr, nullptr));
            break;
        case 3:
            if (execq_sleep(static_cast<std::int64_t>(random() % 3'000'000), &sleep) == EXECQ_OK)
                static_cast<void>(execq_future_on_done(sleep, exit_in_done, nullptr, nullptr));
            break;
        default:
            std::exit(code);
        }
    }
    for (;;)
        pause();
}

}  // namespace

TEST(ExitStress, EachProcessEndsByItselfWithItsCode)
{
    const std::size_t children = stress_n(150, 8);
    for (std::size_t i = 0; i < children; ++i) {
        std::array<int, 2> ends{};
        ASSERT_EQ(pipe(ends.data()), 0);
        const pid_t child = fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            CHECK(dup2(ends[1], STDERR_FILENO) == STDERR_FILENO && close(ends[0]) == 0 && close(ends[1]) == 0);
            end_in_the_midst(static_cast<unsigned>(i));
        }
        close(ends[1]);
        std::string text;
        std::array<char, 512> part{};
        for (ssize_t n = 0; (n = read(ends[0], part.data(), part.size())) > 0;)
            text.append(part.data(), static_cast<std::size_t>(n));
        close(ends[0]);
        EXPECT_EQ(text, "") << "child " << i;  // such as a line about what is left
        int status = -1;
        ASSERT_EQ(waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == code) << "child " << i << " ended with " << status;
    }
}
