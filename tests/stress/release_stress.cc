// Waiting, completing and releasing at once: each node is freed once, after its last user, with its value dropped.
#include <array>
#include <memory>

#include "stress.h"
#include "task/wait.h"
#include "white_box.h"

using namespace execq::core;

namespace {

constexpr std::size_t batch = 500;

struct Value {
    std::atomic<std::uint32_t> dropped{0};
    int written = 0;  // by the completing thread, read by the waiters: the node orders them

    static void drop(void* value) { static_cast<Value*>(value)->dropped.fetch_add(1); }
};

std::array<Node*, batch> nodes;
std::array<Value, batch> values;

void complete(std::size_t i)
{
    values[i].written = 1;
    CHECK(nodes[i]->try_claim_promise());
    nodes[i]->settle_value(&values[i]);
    nodes[i]->release_promise();
}

void wait_and_release(std::size_t i, bool any)
{
    const Deadline never = Deadline::after(-1);
    if (any)
        CHECK(block_on_any(&nodes[i], 1, never, nullptr) == EXECQ_OK);
    else
        CHECK(block_on(*nodes[i], never) == EXECQ_OK);
    void* value = nullptr;
    CHECK(nodes[i]->result(&value) == EXECQ_OK);
    CHECK(value == &values[i] && values[i].written == 1);
    CHECK(values[i].dropped == 0);
    nodes[i]->release();
}

}  // namespace

int main()
{
    const std::size_t rounds = stress_n(1'000'000, 50'000) / batch;
    race_rounds(
        3, rounds,
        [](std::size_t) {
            for (std::size_t i = 0; i < batch; ++i) {
                nodes[i] = new_promise(Value::drop);
                nodes[i]->retain();
                values[i].dropped = 0;
                values[i].written = 0;
            }
        },
        [](unsigned role, std::size_t round) {
            for (std::size_t i = 0; i < batch; ++i) {
                if (role == 0)
                    complete(i);
                else
                    wait_and_release(i, (round + i + role) % 2 == 0);
            }
        },
        [](std::size_t) {
            for (const Value& value : values)
                CHECK(value.dropped == 1);
        });
    std::printf("%zu nodes completed, waited for by two threads and released by three: each freed once\n",
                rounds * batch);
    return 0;
}
