// Text of traces: JSON strings, whatever is in a name, and times.
#include "base/trace_line.h"

#include <gtest/gtest.h>
#include <limits>
#include <string>

namespace execq::core {
namespace {

std::string escaped(std::string_view text) { return std::string(TraceLine().escaped(text).text()); }
std::string timed(std::int64_t ns) { return std::string(TraceLine().time(ns).text()); }

TEST(TraceLine, StringsAreEscaped)
{
    EXPECT_EQ(escaped("plain /usr/include"), "plain /usr/include");
    EXPECT_EQ(escaped("\"a\\b\""), "\\\"a\\\\b\\\"");
    EXPECT_EQ(escaped("\n\t\x01\x1f\x7f"), "\\u000a\\u0009\\u0001\\u001f\\u007f");
    EXPECT_EQ(escaped(std::string_view("\0x", 2)), "\\u0000x");
    EXPECT_EQ(escaped("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"), "\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
}

TEST(TraceLine, WhatIsNoUtf8IsReplaced)
{
    const std::string mark = "\xEF\xBF\xBD";
    EXPECT_EQ(escaped("\xFFx"), mark + "x");
    EXPECT_EQ(escaped("\x80"), mark);
    EXPECT_EQ(escaped("\xC3"), mark);
    EXPECT_EQ(escaped("\xC3(\xC3"), mark + "(" + mark);
    EXPECT_EQ(escaped("\xC0\x80"), mark + mark);                        // overlong
    EXPECT_EQ(escaped("\xE0\x80\x80"), mark + mark + mark);             // overlong
    EXPECT_EQ(escaped("\xED\xA0\x80"), mark + mark + mark);             // a surrogate
    EXPECT_EQ(escaped("\xF4\x90\x80\x80"), mark + mark + mark + mark);  // above U+10FFFF
    EXPECT_EQ(escaped("\xE2\x82"), mark + mark);
}

TEST(TraceLine, LongStringsAreCutBetweenCharacters)
{
    for (const std::string piece : {"a", "\xC3\xA9", "\xF0\x9F\x98\x80", "\x01", "\"", "\xFF"}) {
        std::string text;
        for (int i = 0; i < 1000; ++i)
            text += piece;
        const std::string cut = escaped(text);
        const std::string whole = escaped(piece);
        EXPECT_LE(cut.size(), TraceLine::longest_string);
        EXPECT_GT(cut.size(), TraceLine::longest_string - 16);
        ASSERT_TRUE(cut.ends_with("\xE2\x80\xA6"));
        EXPECT_EQ((cut.size() - 3) % whole.size(), 0U);
    }
}

TEST(TraceLine, TimesAreMicrosecondsWithThreeDigits)
{
    EXPECT_EQ(timed(0), "0.000");
    EXPECT_EQ(timed(7), "0.007");
    EXPECT_EQ(timed(1'234'567), "1234.567");
    EXPECT_EQ(timed(-5), "0.000");
    EXPECT_EQ(timed(std::numeric_limits<std::int64_t>::max()), "9223372036854775.807");
}

TEST(TraceLine, TooMuchIsLeftOut)
{
    TraceLine line;
    for (std::size_t i = 0; i < TraceLine::room; ++i)
        line.raw("abc").number(12345).escaped("xyz");
    EXPECT_LE(line.text().size(), TraceLine::room);
}

}  // namespace
}  // namespace execq::core
