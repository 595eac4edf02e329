#include "task/node_pool.h"

#include <array>
#include <bit>
#include <memory>
#include <pthread.h>
#include <sys/mman.h>
#include <utility>

#include "base/annotations.h"
#include "base/immortal.h"
#include "base/links.h"
#include "task/chain_stack.h"

#ifdef EXECQ_POOL_ASAN
#include <sanitizer/lsan_interface.h>
#endif

namespace execq::core::node_pool {

namespace {

// Lines that are in no list, on their way from or to their slabs.
class Batch {
public:
    explicit Batch(std::size_t limit) : limit_(limit) {}

    bool full() const { return size_ == limit_; }
    std::size_t size() const { return size_; }
    void add(Line* line) { lines_[size_++] = line; }
    Line* const* begin() const { return lines_.data(); }
    Line* const* end() const { return lines_.data() + size_; }

private:
    const std::size_t limit_;
    std::size_t size_ = 0;
    std::array<Line*, chain_length> lines_;  // undefined from size_ on
};

// ---- slabs ----

// The first line of a slab. Lines that were never handed out are those from fresh_ on, which are not touched before.
// Which others are free is noted by groups of 64, in a word of bits that stands in the group's highest free line, where
// it needs no memory of its own. Whatever the order in which lines came back, they are handed out in ascending order.
class Slab : public Hook, public OfProcess {
public:
    Slab() { keepers_.fill(none); }

    static Slab& of(const void* line)
    {
        return *reinterpret_cast<Slab*>(reinterpret_cast<std::uintptr_t>(line) & ~(slab_size - 1));
    }

    std::size_t used() const { return used_; }

    // The lowest lines, as many as the batch still takes.
    void take(Batch& batch)
    {
        for (std::size_t group = 0; group * group_lines < fresh_ && !batch.full(); ++group) {
            if (keepers_[group] != none)
                take_returned(group, batch);
        }
        for (; fresh_ != lines && !batch.full(); ++fresh_, ++used_)
            batch.add(line_at(fresh_));
    }

    void put(const Line* line)
    {
        if (--used_ == 0) {
            fresh_ = slab_header_lines;
            keepers_.fill(none);
            return;
        }
        const std::size_t index =
            static_cast<std::size_t>(reinterpret_cast<const char*>(line) - reinterpret_cast<const char*>(this)) /
            line_size;
        const std::size_t group = index / group_lines;
        const std::size_t number = index % group_lines;
        std::uint64_t bits = std::uint64_t{1} << number;
        if (keepers_[group] != none)
            bits |= keeper(group)->returned;
        if (keepers_[group] == none || keepers_[group] < number)
            keepers_[group] = static_cast<std::uint8_t>(number);
        keeper(group)->returned = bits;
    }

private:
    static constexpr std::size_t lines = slab_size / line_size;
    static constexpr std::size_t group_lines = 64;
    static constexpr std::uint8_t none = 0xff;

    Line* line_at(std::size_t index)
    {
        return reinterpret_cast<Line*>(reinterpret_cast<char*>(this) + index * line_size);
    }
    Line* keeper(std::size_t group) { return line_at(group * group_lines + keepers_[group]); }

    // The keeper is the last one to go.
    void take_returned(std::size_t group, Batch& batch)
    {
        std::uint64_t& returned = keeper(group)->returned;
        for (std::uint64_t bits = returned; bits != 0; bits &= bits - 1) {
            if (batch.full()) {
                returned = bits;
                return;
            }
            batch.add(line_at(group * group_lines + static_cast<std::size_t>(std::countr_zero(bits))));
            ++used_;
        }
        keepers_[group] = none;
    }

    std::uint16_t used_ = 0;
    std::uint16_t fresh_ = slab_header_lines;
    std::array<std::uint8_t, lines / group_lines> keepers_;  // by group: which line has the word
    static_assert(lines <= 0xffff && group_lines < none);
};
static_assert(sizeof(Slab) <= slab_header_lines * line_size);

void* map(std::size_t size)
{
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : nullptr;
}

void* map_aligned()
{
    constexpr std::uintptr_t mask = slab_size - 1;
    // Linux puts a mapping next to the last one, so after the first slab this is aligned most of the time.
    void* memory = map(slab_size);
    if (memory == nullptr || (reinterpret_cast<std::uintptr_t>(memory) & mask) == 0)
        return memory;
    munmap(memory, slab_size);
    // Twice the size has an aligned slab in it; the rest goes back.
    memory = map(2 * slab_size);
    if (memory == nullptr)
        return nullptr;
    const std::size_t before = (slab_size - (reinterpret_cast<std::uintptr_t>(memory) & mask)) & mask;
    char* aligned = static_cast<char*>(memory) + before;
    if (before != 0)
        munmap(memory, before);
    munmap(aligned + slab_size, slab_size - before);
    return aligned;
}

Slab* map_slab()
{
    void* memory = map_aligned();
    if (memory == nullptr)
        return nullptr;
#ifdef EXECQ_POOL_ASAN
    __lsan_register_root_region(memory, slab_size);  // a queued node may hold the only pointer to a user's memory
#endif
    return new (memory) Slab;
}

// False: the system had no room to split a mapping; the slab is as it was.
bool unmap_slab(Slab& slab)
{
#ifdef EXECQ_POOL_ASAN
    __asan_unpoison_memory_region(&slab, slab_size);  // before another mapping can be here
    __lsan_unregister_root_region(&slab, slab_size);
#endif
    if (munmap(&slab, slab_size) == 0)
        return true;
#ifdef EXECQ_POOL_ASAN
    __lsan_register_root_region(&slab, slab_size);
#endif
    return false;
}

// ---- the depot ----

class Depot {
public:
    // A full chain; null if there is none.
    Line* take_chain() { return chains_.take(); }

    void give_chain(Line* chain)
    {
        if (chains_.keep(chain))
            return;
        give_back(chain);
        while (unmap_spare() == Unmapped::one) {
        }
    }

    // Fills the batch from the slabs; it stays short where memory is out.
    void take_lines(Batch& batch)
    {
        while (!take_mapped(batch)) {
            Slab* slab = map_slab();  // not under the mutex, as the system takes its time
            if (slab == nullptr)
                return;
            add(*slab);
        }
    }

    void give_lines(const Batch& batch)
    {
        const MutexLock lock(mutex_);
        for (const Line* line : batch) {
            Slab& slab = Slab::of(line);
            const std::size_t before = slab.used();
            slab.put(line);
            relist(slab, before);
        }
        lines_out_ -= batch.size();
    }

    // One step: a whole slab, else a chain.
    bool trim()
    {
        switch (unmap_spare()) {
        case Unmapped::one:
            return true;
        case Unmapped::refused:
            return false;
        case Unmapped::none:
            break;
        }
        Line* chain = chains_.take_to_trim();
        if (chain == nullptr)
            return false;
        give_back(chain);
        return true;
    }

    // Returns a list of at most chain_length lines to their slabs. It is walked before the mutex is taken.
    void give_back(Line* list)
    {
        Batch batch(chain_length);
        for (; list != nullptr; list = list->next)
            batch.add(list);
        give_lines(batch);
    }

    Usage usage()
    {
        const MutexLock lock(mutex_);
        return {slab_count_, lines_out_ - chains_.count() * chain_length};
    }

private:
    enum class Unmapped { none, one, refused };
    Unmapped unmap_spare()
    {
        Slab* slab = take_off_spare();
        if (slab == nullptr)
            return Unmapped::none;
        if (unmap_slab(*slab))
            return Unmapped::one;
        add(*slab);
        return Unmapped::refused;
    }

    // False: no slab has a line any more, and the batch is not full.
    bool take_mapped(Batch& batch)
    {
        const MutexLock lock(mutex_);
        const std::size_t size = batch.size();
        while (!batch.full()) {
            Slab* slab = fullest();
            if (slab == nullptr)
                break;
            const std::size_t before = slab->used();
            slab->take(batch);
            relist(*slab, before);
        }
        lines_out_ += batch.size() - size;
        return batch.full();
    }

    // The fullest slab, to within 64 lines, that has a line to give.
    Slab* fullest() EXECQ_REQUIRES(mutex_)
    {
        for (std::size_t i = partial_.size(); i-- != 0;) {
            if (Slab* slab = partial_[i].front())
                return slab;
        }
        return whole_.front();
    }

    // Where a slab with so many lines in use is listed; null: it is full.
    HookList<Slab>* list_for(std::size_t used) EXECQ_REQUIRES(mutex_)
    {
        if (used == 0)
            return &whole_;
        return used != lines_per_slab ? &partial_[used / 64] : nullptr;
    }

    void relist(Slab& slab, std::size_t before) EXECQ_REQUIRES(mutex_)
    {
        HookList<Slab>* from = list_for(before);
        HookList<Slab>* to = list_for(slab.used());
        if (from == to)
            return;
        if (from != nullptr)
            unlist(slab, *from);
        if (to != nullptr)
            list(slab, *to);
    }

    void list(Slab& slab, HookList<Slab>& to) EXECQ_REQUIRES(mutex_)
    {
        to.push_front(slab);
        whole_count_ += &to == &whole_ ? 1 : 0;
    }

    void unlist(Slab& slab, HookList<Slab>& from) EXECQ_REQUIRES(mutex_)
    {
        from.remove(slab);
        whole_count_ -= &from == &whole_ ? 1 : 0;
    }

    void add(Slab& slab)
    {
        const MutexLock lock(mutex_);
        list(slab, whole_);
        ++slab_count_;
    }

    // A whole slab beyond the reserve; null if there is none.
    Slab* take_off_spare()
    {
        const MutexLock lock(mutex_);
        if (whole_count_ <= reserve_slabs)
            return nullptr;
        Slab* slab = whole_.front();
        unlist(*slab, whole_);
        --slab_count_;
        return slab;
    }

    BasicChainStack<Line> chains_;  // each of chain_length lines
    Mutex mutex_;                   // of the slabs
    HookList<Slab> whole_ EXECQ_GUARDED_BY(mutex_);
    std::array<HookList<Slab>, slab_size / line_size / 64> partial_ EXECQ_GUARDED_BY(mutex_);  // by lines in use / 64
    std::size_t whole_count_ EXECQ_GUARDED_BY(mutex_) = 0;
    std::size_t slab_count_ EXECQ_GUARDED_BY(mutex_) = 0;
    std::size_t lines_out_ EXECQ_GUARDED_BY(mutex_) = 0;  // of their slabs: in use, in a cache, in a chain
};

Depot& depot()
{
    static PerProcess<Depot> instance;
    return *instance;
}

[[maybe_unused]] Depot& made_when_loaded = depot();

// ---- a thread's cache ----

// The thread that forked is an ordinary one in the child, whatever it was in the parent, and outside of all callbacks; its free
// lines are the parent's.
const InChild in_child([](void*) {
    const std::uint32_t number = this_thread.number;
    if (this_thread.left != nullptr)
        *this_thread.left |= forked_left;             // for the worker that this thread was
    const Cache::Life life = this_thread.cache.life;  // what is to be done at its end is registered still
    std::destroy_at(&this_thread);
    new (&this_thread) ThisThread;
    this_thread.number = number;
    this_thread.cache.life = life;
    this_thread.cache.room = life == Cache::Life::registered ? chain_length : 0;
});

// False: there was nothing in it.
bool empty_cache()
{
    Cache& mine = this_thread.cache;
    if (mine.lines == nullptr && mine.spare == nullptr)
        return false;
    depot().give_back(std::exchange(mine.lines, nullptr));
    if (mine.spare != nullptr)
        depot().give_chain(std::exchange(mine.spare, nullptr));
    mine.room = chain_length;
    return true;
}

// The thread ends; what it still frees (a destructor that runs after this one) goes past the cache.
void end_cache(void*)
{
    empty_cache();
    this_thread.cache.room = 0;
    this_thread.cache.life = Cache::Life::over;
}

struct Key {
    Key() : made(pthread_key_create(&key, end_cache) == 0) {}
    pthread_key_t key{};
    const bool made;
};

const Key& key_of_caches()
{
    static const Key key;
    return key;
}

[[maybe_unused]] const Key& key_made_when_loaded = key_of_caches();

// True if the cache may be used: it will be emptied when the thread ends.
bool registered()
{
    const Key& key = key_of_caches();
    if (this_thread.cache.life == Cache::Life::unregistered && key.made &&
        pthread_setspecific(key.key, &this_thread.cache) == 0) {
        this_thread.cache.life = Cache::Life::registered;
        this_thread.cache.room = chain_length;
    }
    return this_thread.cache.life == Cache::Life::registered;
}

// The list of a batch, in its order.
Line* link(const Batch& batch)
{
    Line* list = nullptr;
    Line** end = &list;
    for (Line* memory : batch) {
        Line* line = new (memory) Line;
        poison(line);
        *end = line;
        end = &line->next;
    }
    *end = nullptr;
    return list;
}

}  // namespace

void* allocate_slowly()
{
    if (!registered()) {
        Batch one(1);
        depot().take_lines(one);
        if (one.size() == 0)
            return nullptr;
        unpoison(*one.begin());
        return *one.begin();
    }
    this_thread.cache.lines =
        this_thread.cache.spare != nullptr ? std::exchange(this_thread.cache.spare, nullptr) : depot().take_chain();
    this_thread.cache.room = 0;
    if (this_thread.cache.lines == nullptr) {
        Batch batch(chain_length);
        depot().take_lines(batch);
        this_thread.cache.lines = link(batch);
        this_thread.cache.room = static_cast<std::uint32_t>(chain_length - batch.size());
    }
    return this_thread.cache.lines != nullptr ? allocate() : nullptr;
}

void free_slowly(Line* line)
{
    if (!registered()) {
        Batch one(1);
        one.add(line);
        depot().give_lines(one);
        return;
    }
    if (this_thread.cache.room == 0) {  // the list is a full chain
        if (this_thread.cache.spare != nullptr)
            depot().give_chain(this_thread.cache.spare);
        this_thread.cache.spare = std::exchange(this_thread.cache.lines, nullptr);
        this_thread.cache.room = chain_length;
    }
    --this_thread.cache.room;
    line->next = std::exchange(this_thread.cache.lines, line);
}

bool inherited(const void* memory) { return Slab::of(memory).inherited(); }

bool trim() { return empty_cache() || depot().trim(); }

Usage usage() { return depot().usage(); }

}  // namespace execq::core::node_pool
