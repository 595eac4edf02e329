// The bytes of an input as a program: records of one size each, so that a mutation changes one call and no other.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace fuzz {

// What a call reads its choices from; zeros beyond the end.
class Args {
public:
    Args() = default;
    Args(const std::uint8_t* bytes, std::size_t size) : size_(std::min(size, bytes_.size()))
    {
        std::copy_n(bytes, size_, bytes_.begin());
    }

    std::uint8_t byte() { return at_ < size_ ? bytes_[at_++] : 0; }
    unsigned below(std::size_t n) { return static_cast<unsigned>(byte() % n); }
    bool chance(unsigned one_in) { return byte() % one_in == one_in - 1; }

private:
    std::array<std::uint8_t, 10> bytes_{};
    std::size_t size_ = 0;
    std::size_t at_ = 0;
};

// One call: which, on which thread, with which choices.
struct Record {
    std::uint8_t code = 0;
    std::uint8_t lane = 0;
    Args args;
};

// The first byte says how many threads there are beside the first, the second how the end goes.
class Stream {
public:
    static constexpr std::size_t header_size = 2;
    static constexpr std::size_t record_size = 12;

    Stream(const std::uint8_t* data, std::size_t size) : data_(data), size_(size) {}

    std::uint8_t header(std::size_t i) const { return i < size_ ? data_[i] : 0; }
    std::size_t records() const
    {
        return size_ <= header_size ? 0 : (size_ - header_size + record_size - 1) / record_size;
    }
    Record record(std::size_t i) const
    {
        const std::size_t from = header_size + i * record_size;
        const std::size_t length = std::min(record_size, size_ - from);
        const std::uint8_t* bytes = data_ + from;
        return {bytes[0], length > 1 ? bytes[1] : std::uint8_t{0}, length > 2 ? Args(bytes + 2, length - 2) : Args()};
    }

private:
    const std::uint8_t* data_;
    std::size_t size_;
};

}  // namespace fuzz
