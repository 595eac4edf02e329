// Two threads complete the same promises: one wins, the other keeps its value; a third one cancels, a fourth one waits.
#include <array>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr std::size_t batch = 500;

struct Pair {
    execq_promise* promise = nullptr;
    execq_future* future = nullptr;
    std::array<execq_status, 2> status{};
    std::array<std::atomic<std::uint32_t>, 2> dropped{};
    std::atomic<std::uint32_t> delivered{0};
    std::atomic<std::uint32_t> arrived{0};
};

std::array<Pair, batch> pairs;

void drop_value(void* dropped) { static_cast<std::atomic<std::uint32_t>*>(dropped)->fetch_add(1); }

void done(execq_future*, void* pair) { static_cast<Pair*>(pair)->delivered.fetch_add(1); }

void prepare(std::size_t)
{
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    options.drop_result = drop_value;
    for (Pair& pair : pairs) {
        CHECK(execq_promise_new(&options, &pair.promise, &pair.future) == EXECQ_OK);
        CHECK(execq_future_on_done(pair.future, done, &pair, nullptr) == EXECQ_OK);
        execq_promise_retain(pair.promise);
        pair.dropped[0] = pair.dropped[1] = pair.delivered = pair.arrived = 0;
    }
}

// Role 1 rejects every third one instead.
void complete(Pair& pair, unsigned role, bool reject)
{
    // Waits a little for the other one, so that they meet, and not for ever, as it may not be running.
    pair.arrived.fetch_add(1);
    for (int spins = 0; spins < 2000 && pair.arrived < 2; ++spins)
        spin(1);
    pair.status[role] = reject ? execq_promise_reject(pair.promise, 5, "five")
                               : execq_promise_resolve(pair.promise, &pair.dropped[role]);
    CHECK(pair.status[role] == EXECQ_OK || pair.status[role] == EXECQ_EALREADY);
    execq_promise_release(pair.promise);
}

void check(Pair& pair, bool rejected)
{
    const unsigned winner = pair.status[0] == EXECQ_OK ? 0 : 1;
    CHECK(pair.status[winner] == EXECQ_OK && pair.status[1 - winner] == EXECQ_EALREADY);
    CHECK(pair.delivered == 1);
    void* value = nullptr;
    if (winner == 1 && rejected) {
        CHECK(execq_future_result(pair.future, &value) == EXECQ_EFAILED);
        CHECK(execq_error_code(execq_future_error(pair.future)) == 5);
    } else {
        CHECK(execq_future_result(pair.future, &value) == EXECQ_OK);
        CHECK(value == &pair.dropped[winner]);
    }
    CHECK(pair.dropped[0] == 0 && pair.dropped[1] == 0);
    execq_future_release(pair.future);
    CHECK(pair.dropped[1 - winner] == 0);  // the loser's value stays the loser's
    CHECK(pair.dropped[winner] == (winner == 1 && rejected ? 0 : 1));
}

}  // namespace

int main()
{
    const std::size_t rounds = stress_n(500'000, 50'000) / batch;
    std::array<std::size_t, 2> wins{};
    const auto rejects = [](std::size_t i) { return i % 3 == 0; };
    race_rounds(
        4, rounds, prepare,
        [&](unsigned role, std::size_t) {
            for (std::size_t i = 0; i < batch; ++i) {
                Pair& pair = pairs[i];
                if (role < 2)
                    complete(pair, role, role == 1 && rejects(i));
                else if (role == 2)
                    CHECK(execq_future_cancel(pair.future) != EXECQ_OK);  // it counts as running
                else
                    CHECK(execq_future_wait(pair.future, -1) == EXECQ_OK);
            }
        },
        [&](std::size_t) {
            for (std::size_t i = 0; i < batch; ++i) {
                ++wins[pairs[i].status[0] == EXECQ_OK ? 0 : 1];
                check(pairs[i], rejects(i));
            }
        });
    CHECK(wins[0] != 0 && wins[1] != 0);
    std::printf("%zu promises completed by two threads: %zu and %zu won, each was delivered once\n", rounds * batch,
                wins[0], wins[1]);
    return 0;
}
