// Floor 0. Events of Chrome's trace format, as text: a few of them, one behind the other, in a buffer on the stack.
#pragma once

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace execq::core {

class TraceLine {
public:
    // What is too much for the room left is left out: callers write few pieces, of bounded size.
    static constexpr std::size_t room = 6144;
    // Of a string, once it is escaped; the rest is cut off.
    static constexpr std::size_t longest_string = 480;

    TraceLine& raw(std::string_view text)
    {
        const std::size_t n = std::min(text.size(), room - size_);
        text.copy(text_.data() + size_, n);
        size_ += n;
        return *this;
    }
    template <class Number>
    TraceLine& number(Number value)
    {
        const auto end = std::to_chars(text_.data() + size_, text_.data() + room, value).ptr;
        size_ = static_cast<std::size_t>(end - text_.data());
        return *this;
    }
    // Nanoseconds, as the microseconds that the format wants.
    TraceLine& time(std::int64_t ns);
    // The inside of a JSON string. What is no UTF-8 becomes U+FFFD.
    TraceLine& escaped(std::string_view text);

    std::string_view text() const { return {text_.data(), size_}; }
    bool empty() const { return size_ == 0; }

private:
    std::array<char, room> text_;
    std::size_t size_ = 0;
};

}  // namespace execq::core
