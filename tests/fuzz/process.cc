#include "process.h"

#include <dirent.h>

#include <cctype>
#include <cstdio>

#include "descriptors.h"
#include "world.h"

#if defined(__SANITIZE_ADDRESS__)
#define FUZZ_LEAKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FUZZ_LEAKS 1
#endif
#endif
#ifdef FUZZ_LEAKS
#include <sanitizer/lsan_interface.h>
#endif

namespace fuzz {

namespace {

bool is_worker(const char* task)
{
    char path[64];
    std::snprintf(path, sizeof path, "/proc/self/task/%.20s/comm", task);
    std::FILE* file = std::fopen(path, "re");
    if (file == nullptr)
        return false;  // gone
    char name[32] = {};
    const bool ours = std::fgets(name, sizeof name, file) != nullptr && name[0] == 'x' && std::isdigit(name[1]) != 0;
    std::fclose(file);
    return ours;
}

void check_threads()
{
    await("the threads of closed executors are gone", [](World&, bool) { return worker_threads() == 0; });
}

void name_descriptors()
{
    for (int fd = 0; fd < 64; ++fd) {
        char path[32];
        char name[128] = {};
        std::snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, name, sizeof name - 1) > 0)
            std::fprintf(stderr, "descriptor %d: %s\n", fd, name);
    }
}

// No more than after the first program, which has opened what stays open.
void check_descriptors()
{
    static int first = -1;
    const int now = descriptors_open();
    if (first < 0)
        first = now;
    if (now > first)
        name_descriptors();
    CHECK(now <= first);
}

void check_memory()
{
#ifdef FUZZ_LEAKS
    CHECK(__lsan_do_recoverable_leak_check() == 0);
#endif
}

// Opens what stays open: libuv's own descriptors.
void warm_up()
{
    uv_loop_t loop;
    CHECK(uv_loop_init(&loop) == 0);
    CHECK(uv_loop_close(&loop) == 0);
}

}  // namespace

std::size_t worker_threads()
{
    DIR* dir = opendir("/proc/self/task");
    CHECK(dir != nullptr);
    std::size_t n = 0;
    while (const dirent* entry = readdir(dir))
        n += entry->d_name[0] != '.' && is_worker(entry->d_name) ? 1 : 0;
    closedir(dir);
    return n;
}

void run_input(const std::uint8_t* data, std::size_t size)
{
    static unsigned long inputs = 0;
    if (inputs == 0) {
        warm_up();
        world().run(Stream(nullptr, 0));
        check_descriptors();
    }
    world().run(Stream(data, size));
    ++inputs;
    if (inputs % 16 == 1) {  // the first among them, for who runs but one
        check_threads();
        check_descriptors();
    }
    if (inputs % 256 == 1)
        check_memory();
}

}  // namespace fuzz
