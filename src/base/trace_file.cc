#include "base/trace_file.h"

#include <cerrno>
#include <cstdlib>
#include <exception>
#include <fcntl.h>
#include <new>
#include <string>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/immortal.h"

namespace execq::core {

namespace {

// Starts and stops, one at a time.
Mutex& control()
{
    static PerProcess<Mutex> instance;
    return *instance;
}
[[maybe_unused]] const Mutex& made_early = control();

// The sessions of a child go on where its parent's were, so that what its threads remember is over there, too.
std::uint64_t last_session = 0;  // under the mutex

std::string expanded(const char* path)
{
    std::string name = path;
    const std::string process = std::to_string(getpid());
    for (std::size_t at = name.find("%p"); at != std::string::npos; at = name.find("%p", at + process.size()))
        name.replace(at, 2, process);
    return name;
}

// A file, or a device as /dev/null: what a pipe's reader does is not for a task to wait for. -1, and errno, if not.
int open_for_trace(const std::string& name)
{
    const int descriptor = open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
    if (descriptor < 0)
        return -1;
    struct stat status {};
    if (fstat(descriptor, &status) != 0 || (!S_ISREG(status.st_mode) && !S_ISCHR(status.st_mode))) {
        close(descriptor);
        errno = ESPIPE;
        return -1;
    }
    fcntl(descriptor, F_SETFL, O_WRONLY);
    return descriptor;
}

}  // namespace

// What the parent's threads were at stays as it is, and with it the memory.
const InChild TraceFile::in_child_([](void*) EXECQ_NO_ANALYSIS {
    TraceFile* parents = instance_.exchange(nullptr, std::memory_order_relaxed);
    if (parents == nullptr)
        return;
    left_behind_ = parents;
    if (parents->descriptor_ >= 0)
        close(parents->descriptor_);
});

TraceFile::Outcome TraceFile::start(const char* path, std::string_view first_event)
{
    const MutexLock lock(control());
    if (session() != 0)
        return {Started::already, 0};
    TraceFile* file = instance_.load(std::memory_order_acquire);
    int descriptor = -1;
    try {
        if (file == nullptr)
            file = new TraceFile;
        instance_.store(file, std::memory_order_release);
        descriptor = open_for_trace(expanded(path));
    } catch (const std::exception&) {
        return {Started::no_memory, 0};
    }
    if (descriptor < 0)
        return {Started::unwritable, errno};
    static const int at_exit = std::atexit([] { stop(); });
    static_cast<void>(at_exit);
    {
        const MutexLock file_lock(file->file_mutex_);
        file->descriptor_ = descriptor;
        file->refused_ = false;
    }
    file->put("[\n");
    file->put(first_event);
    file->began_ns_.store(now_ns(), std::memory_order_relaxed);
    file->session_.store(++last_session, std::memory_order_release);
    return {Started::yes, 0};
}

TraceFile::Stopped TraceFile::stop()
{
    const MutexLock lock(control());
    if (session() == 0)
        return Stopped::no_trace;
    TraceFile& file = *instance_.load(std::memory_order_acquire);
    file.session_.store(0, std::memory_order_release);
    for (Shard& shard : file.shards_) {  // who is not through with one yet is so before we are; others see the store
        const MutexLock shard_lock(shard.mutex);
        file.flush(shard);
    }
    file.put("\n]\n");
    const MutexLock file_lock(file.file_mutex_);
    file.refused_ = close(file.descriptor_) != 0 || file.refused_;
    file.descriptor_ = -1;
    return file.refused_ ? Stopped::incomplete : Stopped::yes;
}

void TraceFile::write(std::uint64_t session, std::uint64_t thread, std::string_view events)
{
    TraceFile* file = instance_.load(std::memory_order_acquire);
    if (file == nullptr || events.size() > shard_size)
        return;
    Shard& shard = file->shards_[thread % file->shards_.size()];
    const MutexLock lock(shard.mutex);
    if (file->session_.load(std::memory_order_acquire) != session)
        return;
    if (shard.size + events.size() > shard_size)
        file->flush(shard);
    events.copy(shard.text.data() + shard.size, events.size());
    shard.size += events.size();
}

void TraceFile::flush(Shard& shard)
{
    put({shard.text.data(), shard.size});
    shard.size = 0;
}

// After a write that was refused nothing more follows: half an event would not be JSON for anybody.
void TraceFile::put(std::string_view text)
{
    const int errno_before = errno;
    const MutexLock lock(file_mutex_);
    while (!text.empty() && !refused_) {
        const ssize_t written = ::write(descriptor_, text.data(), text.size());
        if (written > 0)
            text.remove_prefix(static_cast<std::size_t>(written));
        else if (written == 0 || errno != EINTR)
            refused_ = true;
    }
    errno = errno_before;
}

}  // namespace execq::core
