#include "base/asymmetric.h"

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <thread>
#include <vector>

#include "white_box.h"

using namespace execq::core;

namespace {

// One thread counts up, and looks at the other's count, behind a light fence each time; so does the other, behind a
// heavy one. They do not wait for each other, so that the steps of one meet those of the other in every way.
class Counting {
public:
    explicit Counting(std::size_t turns) : seen_by_heavy_(turns + 1), first_light_(turns + 1) {}

    // Until it has seen the heavy side's last count.
    void light()
    {
        std::size_t seen = 0;
        for (std::uint64_t count = 1; seen + 1 < first_light_.size(); ++count) {
            light_.store(count, std::memory_order_relaxed);
            AsymmetricFence::light();
            const std::uint64_t now = heavy_.load(std::memory_order_relaxed);
            while (seen < now)
                first_light_[++seen] = count;
            if (count % 256 == 0)
                std::this_thread::yield();  // for where there is one processor
        }
    }
    void heavy()
    {
        for (std::size_t count = 1; count < seen_by_heavy_.size(); ++count) {
            heavy_.store(count, std::memory_order_relaxed);
            AsymmetricFence::heavy();
            seen_by_heavy_[count] = light_.load(std::memory_order_relaxed);
        }
    }
    // The first light count that the heavy side has missed is one that has seen the heavy side.
    void check() const
    {
        for (std::size_t count = 1; count < seen_by_heavy_.size(); ++count)
            ASSERT_LE(first_light_[count], seen_by_heavy_[count] + 1) << "in turn " << count;
    }

private:
    alignas(64) std::atomic<std::uint64_t> light_{0};
    alignas(64) std::atomic<std::uint64_t> heavy_{0};
    std::vector<std::uint64_t> seen_by_heavy_;
    std::vector<std::uint64_t> first_light_;  // that has seen such a heavy count
};

TEST(AsymmetricFence, KeepsOneOfTwoThreadsFromMissingTheOther)
{
    Counting counting(sanitized ? 10'000 : 300'000);
    std::thread other([&] { counting.heavy(); });
    counting.light();
    other.join();
    counting.check();
}

TEST(AsymmetricFence, PairsHeavyFencesWithEachOther)
{
    std::array<std::atomic<int>, 2> stored{};
    std::array<int, 2> seen{};
    race_rounds(
        2, sanitized ? 3'000 : 50'000,
        [&](std::size_t) {
            for (std::atomic<int>& word : stored)
                word.store(0, std::memory_order_relaxed);
        },
        [&](unsigned role, std::size_t) {
            stored[role].store(1, std::memory_order_relaxed);
            AsymmetricFence::heavy();
            seen[role] = stored[1 - role].load(std::memory_order_relaxed);
        },
        [&](std::size_t) { CHECK(seen[0] == 1 || seen[1] == 1); });
}

// From here on membarrier(2) answers with this error, for the calling thread.
void refuse_membarrier(std::uint32_t error)
{
    std::array<sock_filter, 4> program{{
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    }};
    const sock_fprog filter{program.size(), program.data()};
    CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
    CHECK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0) == 0);
}

TEST(AsymmetricFenceDeathTest, EndsTheProcessWhereTheSystemRefusesItLater)
{
    for (const int error : {EPERM, ENOSYS, ENOMEM}) {
        EXPECT_EXIT(
            {
                refuse_membarrier(static_cast<std::uint32_t>(error));
                AsymmetricFence::heavy();
            },
            ::testing::KilledBySignal(SIGABRT), "membarrier\\(2\\) worked when the library was loaded");
    }
}

TEST(AsymmetricFence, LeavesErrnoAlone)
{
    errno = EDOM;
    AsymmetricFence::heavy();
    EXPECT_EQ(errno, EDOM);
}

}  // namespace
