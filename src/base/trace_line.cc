#include "base/trace_line.h"

namespace execq::core {

namespace {

constexpr std::string_view replacement = "\xEF\xBF\xBD";
constexpr std::string_view ellipsis = "\xE2\x80\xA6";

bool continues(std::string_view text, std::size_t at)
{
    return at < text.size() && (static_cast<unsigned char>(text[at]) & 0xC0U) == 0x80U;
}

// How many bytes the character at the front has; 0: it is none. No overlong forms, no surrogates, nothing above U+10FFFF.
std::size_t character_size(std::string_view text)
{
    const auto first = static_cast<unsigned char>(text.front());
    const auto second = static_cast<unsigned char>(text.size() > 1 ? text[1] : 0);
    if (first < 0x80)
        return 1;
    std::size_t size = 0;
    if (first >= 0xC2 && first <= 0xDF)
        size = 2;
    else if ((first & 0xF0U) == 0xE0)
        size = (first == 0xE0 && second < 0xA0) || (first == 0xED && second > 0x9F) ? 0 : 3;
    else if (first >= 0xF0 && first <= 0xF4)
        size = (first == 0xF0 && second < 0x90) || (first == 0xF4 && second > 0x8F) ? 0 : 4;
    for (std::size_t i = 1; i < size; ++i) {
        if (!continues(text, i))
            return 0;
    }
    return size;
}

}  // namespace

TraceLine& TraceLine::time(std::int64_t ns)
{
    const std::int64_t whole = std::max<std::int64_t>(ns, 0);
    const auto part = static_cast<unsigned>(whole % 1000);
    const std::array<char, 4> fraction{'.', static_cast<char>('0' + part / 100),
                                       static_cast<char>('0' + part / 10 % 10), static_cast<char>('0' + part % 10)};
    return number(whole / 1000).raw({fraction.data(), fraction.size()});
}

TraceLine& TraceLine::escaped(std::string_view text)
{
    constexpr std::string_view digits = "0123456789abcdef";
    constexpr std::size_t longest_piece = 6;
    const std::size_t end = size_ + longest_string - ellipsis.size() - longest_piece;
    while (!text.empty()) {
        if (size_ > end)
            return raw(ellipsis);
        const auto first = static_cast<unsigned char>(text.front());
        const std::size_t n = character_size(text);
        if (n == 0) {
            raw(replacement);
        } else if (first < 0x20 || first == 0x7F) {
            const std::array<char, 2> code{digits[first >> 4U], digits[first & 0xFU]};
            raw("\\u00").raw({code.data(), code.size()});
        } else {
            if (first == '"' || first == '\\')
                raw("\\");
            raw(text.substr(0, n));
        }
        text.remove_prefix(std::max<std::size_t>(n, 1));
    }
    return *this;
}

}  // namespace execq::core
