#include "task/error.h"

#include <gtest/gtest.h>
#include <limits>
#include <set>
#include <string>

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
