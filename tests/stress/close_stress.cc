// Submitting against closing: what was accepted ends, what was refused is dropped, nothing comes after the join.
#include <array>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr unsigned submitters = 3;

struct Counts {
    std::atomic<std::uint64_t> tried{0};
    std::atomic<std::uint64_t> accepted{0};
    std::atomic<std::uint64_t> ran{0};
    std::atomic<std::uint64_t> dropped{0};
    std::atomic<std::uint64_t> canceled{0};
    std::atomic<std::uint64_t> done{0};
} counts;

execq_executor* executor = nullptr;

std::int32_t body(void*, void**)
{
    counts.ran.fetch_add(1);
    return 0;
}

void drop(void*) { counts.dropped.fetch_add(1); }

void note_end(execq_future* future, void*)
{
    const execq_status status = execq_future_result(future, nullptr);
    CHECK(status == EXECQ_OK || status == EXECQ_ECANCELED);
    if (status == EXECQ_ECANCELED)
        counts.canceled.fetch_add(1);
    counts.done.fetch_add(1);
}

// Until it is refused; some go by twos, which are accepted or refused together.
void submit_until_closed(unsigned role)
{
    execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
    options.drop = drop;
    for (unsigned i = role;; ++i) {
        const std::size_t n = 1 + i % 2;
        std::array<execq_future*, 2> futures{};
        counts.tried.fetch_add(n);
        const execq_status status = execq_submit_many(executor, &options, n, body, nullptr, futures.data());
        if (status != EXECQ_OK) {
            CHECK(status == EXECQ_ECLOSED);
            CHECK(futures[0] == nullptr && futures[1] == nullptr);
            return;
        }
        counts.accepted.fetch_add(n);
        for (std::size_t k = 0; k < n; ++k) {
            CHECK(execq_future_on_done(futures[k], note_end, nullptr, nullptr) == EXECQ_OK);
            execq_future_release(futures[k]);
        }
    }
}

void close_and_join(std::size_t round)
{
    spin(round % 17 * 2000);
    const std::int32_t mode = round % 2 == 0 ? EXECQ_DRAIN : EXECQ_CANCEL;
    CHECK(execq_executor_close(executor, mode) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    const std::uint64_t ran = counts.ran;
    const std::uint64_t canceled = counts.canceled;
    CHECK(execq_executor_join(executor, 0, nullptr) == EXECQ_OK);
    CHECK(counts.ran == ran);  // nothing runs after a join
    CHECK(mode == EXECQ_CANCEL || canceled == 0);
}

}  // namespace

int main()
{
    const std::size_t rounds = stress_n(2'000, 300);
    std::uint64_t accepted = 0;
    race_rounds(
        submitters + 1, rounds,
        [](std::size_t) {
            counts.tried = counts.accepted = counts.ran = counts.dropped = counts.canceled = counts.done = 0;
            execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
            options.max_threads = 2;
            CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
        },
        [](unsigned role, std::size_t round) {
            if (role == submitters)
                close_and_join(round);
            else
                submit_until_closed(role);
        },
        [&](std::size_t) {
            CHECK(counts.ran + counts.canceled == counts.accepted);
            CHECK(counts.done == counts.accepted);
            CHECK(counts.dropped == counts.tried);
            accepted += counts.accepted;
            execq_executor_release(executor);
        });
    CHECK(accepted != 0);
    std::printf("%zu executors closed under %u submitters: %llu tasks accepted, each ended and was dropped once\n",
                rounds, submitters, static_cast<unsigned long long>(accepted));
    return 0;
}
