#include "task/error.h"

#include <array>
#include <gtest/gtest.h>
#include <limits>
#include <set>
#include <string>

#include "small_stack.h"
#include "white_box.h"

using namespace execq::core;

namespace {

TEST(Error, CopiesItsMessage)
{
    std::string message = "the disk is full";
    Error* error = Error::make(28, message.c_str());
    message.assign(message.size(), '-');
    EXPECT_EQ(error->code(), 28);
    EXPECT_STREQ(error->message(), "the disk is full");
    error->release();
}

TEST(Error, TakesNoMessageForAnEmptyOne)
{
    Error* none = Error::make(-1, nullptr);
    EXPECT_STREQ(none->message(), "");
    none->release();
    Error* empty = Error::make(-1, "");
    EXPECT_STREQ(empty->message(), "");
    empty->release();
}

TEST(Error, HoldsAMessageOfAnyLength)
{
    const std::string message(100'000, 'm');
    Error* error = Error::make(1, message.c_str());
    EXPECT_EQ(error->message(), message);
    error->release();
}

// A use after the last release is AddressSanitizer's to find.
TEST(Error, LivesUntilEveryHolderOfEightThreadsLetGo)
{
    Error* error = nullptr;
    race_rounds(
        8, sanitized ? 2'000 : 20'000,
        [&](std::size_t) {
            error = Error::make(3, "three");
            for (int i = 1; i < 8; ++i)
                error->retain();
        },
        [&](unsigned, std::size_t) {
            error->retain();
            error->release();
            CHECK(std::string(error->message()) == "three");
            error->release();
        },
        [](std::size_t) {});
}

TEST(Error, OfMemoryIsStaticAndOutlivesAnyRelease)
{
    Error* error = Error::out_of_memory();
    for (int i = 0; i < 3; ++i)
        error->release();
    error->retain();
    EXPECT_EQ(Error::out_of_memory(), error);
    EXPECT_EQ(error->code(), EXECQ_ENOMEM);
    EXPECT_STREQ(error->message(), status_text(EXECQ_ENOMEM));
}

TEST(Error, KeepsItsCause)
{
    Error* cause = Error::make(1, "first");
    Error* error = Error::make(2, "second", cause, {});
    cause->release();
    EXPECT_EQ(error->cause(), cause);
    EXPECT_STREQ(error->cause()->message(), "first");
    EXPECT_EQ(cause->cause(), nullptr);
    error->release();
}

TEST(Error, DropsItsPayloadAtTheLastRelease)
{
    Counter drops;
    const char kind = 0;
    Error* error = Error::make(2, nullptr, nullptr, {&drops, &kind, Counter::hit});
    error->retain();
    EXPECT_EQ(error->payload().value, &drops);
    EXPECT_EQ(error->payload().kind, &kind);
    error->release();
    EXPECT_EQ(drops.n, 0U);
    error->release();
    EXPECT_EQ(drops.n, 1U);
}

TEST(Error, ChainIsFreedAsFarAsNobodyElseHoldsIt)
{
    std::array<Counter, 4> drops;
    std::array<Error*, 4> links{};
    for (std::size_t i = 0; i < links.size(); ++i) {
        links[i] = Error::make(1, nullptr, i != 0 ? links[i - 1] : nullptr, {&drops[i], nullptr, Counter::hit});
        if (i == 3)
            links[2]->release();
    }
    links[0]->release();  // links[1], which was kept, still has it
    links[3]->release();
    EXPECT_EQ(drops[3].n + drops[2].n, 2U);
    EXPECT_EQ(drops[1].n + drops[0].n, 0U);
    links[1]->release();
    EXPECT_EQ(drops[1].n + drops[0].n, 2U);
}

TEST(Error, ChainOfAMillionIsFreedOnASmallStack)
{
    constexpr std::size_t length = sanitized ? 100'000 : 1'000'000;
    Counter drops;
    Error* chain = nullptr;
    for (std::size_t i = 0; i < length; ++i) {
        Error* next = Error::make(1, nullptr, chain, {&drops, nullptr, Counter::hit});
        if (chain != nullptr)
            chain->release();
        chain = next;
    }
    on_small_stack([&] { chain->release(); });
    EXPECT_EQ(drops.n, length);
}

TEST(Error, IsFormattedWithItsCauses)
{
    Error* first = Error::make(28, "the disk is full");
    Error* second = Error::make(EXECQ_EEXCEPTION, nullptr, first, {});
    Error* third = Error::make(-1000, "can not save", second, {});
    const std::string whole = "-1000: can not save; caused by EXECQ_EEXCEPTION; caused by 28: the disk is full";
    std::string text(200, 'x');
    EXPECT_EQ(format(*third, text.data(), text.size()), whole.size());
    EXPECT_EQ(text.c_str(), whole);
    for (std::size_t size = 1; size <= whole.size() + 1; ++size) {
        std::string part(size + 1, 'x');
        EXPECT_EQ(format(*third, part.data(), size), whole.size());
        EXPECT_EQ(part.c_str(), whole.substr(0, size - 1));
        EXPECT_EQ(part[size], 'x');
    }
    EXPECT_EQ(format(*third, nullptr, 0), whole.size());
    first->release();
    second->release();
    third->release();
}

TEST(Error, OfACodeHasTheTextOfAStatus)
{
    Error* status = Error::of_code(EXECQ_EBROKEN);
    EXPECT_STREQ(status->message(), status_text(EXECQ_EBROKEN));
    status->release();
    Error* other = Error::of_code(12);
    EXPECT_EQ(other->code(), 12);
    EXPECT_STREQ(other->message(), "");
    other->release();
}

TEST(Status, HasANameAndATextOfItsOwnForEachNumber)
{
    std::set<std::string> names;
    std::set<std::string> texts;
    int count = 0;
#define EXECQ_CASE(name, number, text)                 \
    EXPECT_STREQ(status_name(number), "EXECQ_" #name); \
    EXPECT_STREQ(status_text(number), text);           \
    EXPECT_EQ(EXECQ_##name, number);                   \
    names.insert(status_name(number));                 \
    texts.insert(status_text(number));                 \
    ++count;
    EXECQ_STATUS_MAP(EXECQ_CASE)
#undef EXECQ_CASE
    EXPECT_EQ(names.size(), static_cast<std::size_t>(count));
    EXPECT_EQ(texts.size(), static_cast<std::size_t>(count));
    EXPECT_EQ(count, -EXECQ_STATUS_END_) << "the numbers have no gap";
}

TEST(Status, HasNoNameForOtherNumbers)
{
    for (const std::int32_t number : {1, std::int32_t{EXECQ_STATUS_END_}, std::numeric_limits<std::int32_t>::min(),
                                      std::numeric_limits<std::int32_t>::max()}) {
        EXPECT_EQ(status_name(number), nullptr);
        EXPECT_EQ(status_text(number), nullptr);
    }
}

}  // namespace
