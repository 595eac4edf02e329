// bench/harness. See isolate.h.
#include "harness/isolate.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <utility>

#include "harness/clock.h"

namespace bench {
namespace {

// Lines of "name value", the last one "end 0": a child that ends early is told from one that had nothing to say.
std::string to_text(const Figures& figures)
{
    std::ostringstream text;
    text.precision(17);
    for (const auto& [name, value] : figures)
        text << name << ' ' << value << '\n';
    text << "end 0\n";
    return text.str();
}

std::optional<Figures> from_text(const std::string& text)
{
    Figures figures;
    std::istringstream stream(text);
    std::string name;
    double value = 0;
    while (stream >> name >> value) {
        if (name == "end")
            return figures;
        figures.emplace_back(name, value);
    }
    return std::nullopt;
}

[[noreturn]] void be_the_child(Run run, const Params& params, int pipe)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    const std::string text = to_text(run(params));
    std::size_t done = 0;
    while (done < text.size()) {
        const ssize_t written = write(pipe, text.data() + done, text.size() - done);
        if (written < 0 && errno != EINTR)
            _exit(1);
        done += written > 0 ? static_cast<std::size_t>(written) : 0;
    }
    _exit(0);  // no destructors of statics: the libraries' threads may still be there
}

// All that comes until the other end is closed; false if that takes longer.
bool read_all(int pipe, std::int64_t limit_s, std::string& text)
{
    const std::int64_t end = now_ns() + limit_s * 1'000'000'000;
    std::array<char, 4096> buffer{};
    while (now_ns() < end) {
        pollfd ready{pipe, POLLIN, 0};
        if (poll(&ready, 1, 100) <= 0)
            continue;
        const ssize_t n = read(pipe, buffer.data(), buffer.size());
        if (n == 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
        text.append(buffer.data(), n > 0 ? static_cast<std::size_t>(n) : 0);
    }
    return false;
}

}  // namespace

Child::Child(Run run, const Params& params)
{
    std::array<int, 2> ends{};
    if (pipe2(ends.data(), O_CLOEXEC) != 0) {
        std::perror("pipe2");
        std::exit(1);
    }
    std::fflush(nullptr);
    pid_ = fork();
    if (pid_ < 0) {
        std::perror("fork");
        std::exit(1);
    }
    if (pid_ == 0) {
        close(ends[0]);
        be_the_child(run, params, ends[1]);
    }
    close(ends[1]);
    pipe_ = ends[0];
}

Child::Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)), pipe_(std::exchange(other.pipe_, -1)) {}

Child::~Child()
{
    if (pipe_ >= 0)
        close(pipe_);
    if (pid_ > 0) {
        kill(pid_, SIGKILL);
        waitpid(pid_, nullptr, 0);
    }
}

std::optional<Figures> Child::figures(std::int64_t limit_s)
{
    std::string text;
    const bool whole = read_all(pipe_, limit_s, text);
    if (!whole)
        kill(pid_, SIGKILL);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    if (!whole || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return std::nullopt;
    return from_text(text);
}

}  // namespace bench
