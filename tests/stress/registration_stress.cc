// Registering against completing: each callback ran once and each env was dropped once, whichever came first.
#include <array>

#include "stress.h"
#include "white_box.h"

using namespace execq::core;

namespace {

constexpr std::size_t batch = 500;
constexpr unsigned registrars = 2;

struct Mark {
    std::atomic<std::uint32_t> delivered{0};
    std::atomic<std::uint32_t> dropped{0};

    static void done(execq_future* future, void* mark)
    {
        CHECK(execq::core::core_of(future)->done());
        static_cast<Mark*>(mark)->delivered.fetch_add(1);
    }
    static void drop(void* mark)
    {
        CHECK(static_cast<Mark*>(mark)->delivered == 1);
        static_cast<Mark*>(mark)->dropped.fetch_add(1);
    }
};

std::array<Node*, batch> nodes;
std::array<std::array<Mark, 2 * registrars>, batch> marks;

bool drops(std::size_t round, std::size_t i, std::size_t mark) { return (round + i + mark) % 3 == 0; }

void add(std::size_t round, std::size_t i, std::size_t mark)
{
    CHECK(nodes[i]->register_completion(
              {Mark::done, &marks[i][mark], drops(round, i, mark) ? Mark::drop : nullptr, nullptr}) == EXECQ_OK);
}

void check(std::size_t round)
{
    for (std::size_t i = 0; i < batch; ++i) {
        for (std::size_t mark = 0; mark < marks[i].size(); ++mark) {
            CHECK(marks[i][mark].delivered == 1);
            CHECK(marks[i][mark].dropped == (drops(round, i, mark) ? 1 : 0));
            marks[i][mark].delivered = marks[i][mark].dropped = 0;
        }
        nodes[i]->release();
        nodes[i]->release();
    }
}

}  // namespace

int main()
{
    const std::size_t rounds = stress_n(1'000'000, 50'000) / batch;
    std::atomic<std::size_t> before{0};
    race_rounds(
        registrars + 1, rounds,
        [](std::size_t) {
            for (Node*& node : nodes)
                node = new_promise();
        },
        [&](unsigned role, std::size_t round) {
            for (std::size_t i = 0; i < batch; ++i) {
                if (role == registrars) {
                    nodes[i]->settle_value(nullptr);
                    continue;
                }
                before += nodes[i]->done() ? 0 : 1;
                add(round, i, 2 * role);
                add(round, i, 2 * role + 1);
            }
        },
        check);
    const std::size_t total = rounds * batch * registrars;
    CHECK(before != 0 && before != total);
    std::printf("%zu pairs of registrations, %zu begun before the completion: each delivered and dropped once\n", total,
                before.load());
    return 0;
}
