// Several submit to one queue, several drain it, then it is closed: each tag that was accepted came back once.
#include <array>
#include <memory>
#include <thread>
#include <vector>

#include "execq/execq.h"
#include "stress.h"
#include "white_box.h"

namespace {

constexpr unsigned producers = 3;
constexpr unsigned consumers = 3;
constexpr std::size_t tags_per_producer = 200;

struct Tag {
    std::atomic<std::uint32_t> ran{0};
    std::atomic<std::uint32_t> drained{0};
    std::atomic<std::uint32_t> dropped{0};
    bool accepted = false;
};

using Tags = std::array<std::array<Tag, tags_per_producer>, producers>;

std::int32_t body(void* env, void** result)
{
    static_cast<Tag*>(env)->ran.fetch_add(1);
    *result = env;
    return 0;
}

void drop_tag(void* tag) { static_cast<Tag*>(tag)->dropped.fetch_add(1); }

void produce(execq_executor* executor, execq_cq* cq, std::array<Tag, tags_per_producer>& tags)
{
    for (Tag& tag : tags) {
        const execq_status status = execq_submit_to_cq(executor, nullptr, body, &tag, cq, &tag);
        CHECK(status == EXECQ_OK || status == EXECQ_ECLOSED);
        tag.accepted = status == EXECQ_OK;
        if (!tag.accepted)
            return;
    }
}

void consume(execq_cq* cq)
{
    std::array<execq_completion, 7> out;
    for (;;) {
        const execq_status waited = execq_cq_wait(cq, -1);
        std::size_t n = 0;
        const execq_status status = execq_cq_drain(cq, out.data(), out.size(), &n);
        for (std::size_t i = 0; i < n; ++i) {
            CHECK(out[i].status == EXECQ_OK && out[i].value == out[i].tag);
            static_cast<Tag*>(out[i].tag)->drained.fetch_add(1);
            execq_future_release(out[i].future);
        }
        if (status == EXECQ_ECLOSED)
            return;
        CHECK(status == EXECQ_OK && (waited == EXECQ_OK || waited == EXECQ_ECLOSED));
    }
}

void close_queue(execq_cq* cq, std::size_t round, Tags& tags)
{
    if (round % 4 == 0) {  // everything comes through before the close
        for (auto& each : tags) {
            for (Tag& tag : each) {
                while (tag.drained == 0)
                    std::this_thread::yield();
            }
        }
    } else {
        spin(round % 23 * 5000);
    }
    CHECK(execq_cq_close(cq, drop_tag) == EXECQ_OK);
    execq_cq_release(cq);
}

struct Totals {
    std::size_t drained = 0;
    std::size_t dropped = 0;
    std::size_t refused = 0;
};

void account(Tags& tags, std::size_t round, Totals& totals)
{
    for (auto& each : tags) {
        for (Tag& tag : each) {
            CHECK(tag.drained + tag.dropped == (tag.accepted ? 1 : 0));
            CHECK(round % 4 != 0 || tag.drained == 1);
            CHECK(tag.ran == (tag.accepted ? 1 : 0));
            totals.drained += tag.drained;
            totals.dropped += tag.dropped;
            totals.refused += tag.accepted ? 0 : 1;
        }
    }
}

void play_round(std::size_t round, Totals& totals)
{
    auto tags = std::make_unique<Tags>();
    execq_executor_options options = EXECQ_EXECUTOR_OPTIONS_INIT;
    options.max_threads = 2;
    execq_executor* executor = nullptr;
    execq_cq* cq = nullptr;
    CHECK(execq_executor_new(&options, &executor) == EXECQ_OK);
    CHECK(execq_cq_new(&cq) == EXECQ_OK);
    std::vector<std::thread> threads;
    for (unsigned i = 0; i < producers + consumers; ++i) {
        execq_cq_retain(cq);
        threads.emplace_back([&, i] {
            if (i < producers)
                produce(executor, cq, (*tags)[i]);
            else
                consume(cq);
            execq_cq_release(cq);
        });
    }
    close_queue(cq, round, *tags);
    for (std::thread& thread : threads)
        thread.join();
    CHECK(execq_executor_close(executor, EXECQ_DRAIN) == EXECQ_OK);
    CHECK(execq_executor_join(executor, -1, nullptr) == EXECQ_OK);
    execq_executor_release(executor);
    account(*tags, round, totals);
}

}  // namespace

int main()
{
    const std::size_t wanted = stress_n(2'000, 200);
    Totals totals;
    std::size_t rounds = 0;
    // Goes on until every end has been seen.
    while (rounds < wanted || totals.drained == 0 || totals.dropped == 0 || totals.refused == 0)
        play_round(rounds++, totals);
    std::printf(
        "%zu queues with %u producers and %u consumers: %zu tags drained, %zu dropped by the close, none twice\n",
        rounds, producers, consumers, totals.drained, totals.dropped);
    return 0;
}
