// fuzz_replay [-n COUNT] [-seed SEED] FILE|FOLDER…: the programs that are kept, then COUNT by chance (default 300).
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "process.h"

namespace {

using Bytes = std::vector<std::uint8_t>;

Bytes read(const std::filesystem::path& path)
{
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

std::vector<std::filesystem::path> files_of(const char* name)
{
    std::vector<std::filesystem::path> files;
    if (!std::filesystem::is_directory(name))
        return {name};
    for (const auto& entry : std::filesystem::directory_iterator(name))
        files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

Bytes by_chance(unsigned long seed)
{
    std::mt19937 chance(static_cast<std::mt19937::result_type>(seed));
    Bytes bytes(2 + 12 * (1 + chance() % 48));
    for (std::uint8_t& byte : bytes)
        byte = static_cast<std::uint8_t>(chance());
    return bytes;
}

void run(const Bytes& bytes) { fuzz::run_input(bytes.data(), bytes.size()); }

}  // namespace

int main(int argc, char** argv)
{
    unsigned long count = 300;
    unsigned long seed = 1;
    unsigned long kept = 0;
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "-n") == 0 && i + 1 < argc) {
            count = std::strtoul(argv[++i], nullptr, 10);
        } else if (std::strcmp(argv[i], "-seed") == 0 && i + 1 < argc) {
            seed = std::strtoul(argv[++i], nullptr, 10);
        } else {
            for (const auto& path : files_of(argv[i])) {
                std::fprintf(stderr, "\r%s", path.filename().c_str());  // the last one names what failed
                run(read(path));
                ++kept;
            }
        }
    }
    for (unsigned long i = 0; i < count; ++i) {
        std::fprintf(stderr, "\rby chance, seed %lu                              ", seed + i);
        run(by_chance(seed + i));
    }
    std::fprintf(stderr, "\n");
    std::printf("%lu programs that are kept and %lu by chance\n", kept, count);
    return 0;
}
