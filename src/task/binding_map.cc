#include "task/binding_map.h"

#include <bit>
#include <cstddef>
#include <cstring>
#include <new>

#include "task/callbacks.h"

namespace execq::core {

// ---- variables and their values ----

namespace {

std::uint64_t new_id()
{
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

}  // namespace

Var::Var(execq_drop_fn values_drop, char* own_name) : id_(new_id()), drop_(values_drop), name_(own_name) {}

Var::~Var() { delete[] name_; }

Var* Var::make(execq_drop_fn drop, const char* name)
{
    char* copy = nullptr;
    if (name != nullptr) {
        const std::size_t size = std::strlen(name) + 1;
        copy = new (std::nothrow) char[size];
        if (copy == nullptr)
            return nullptr;
        std::memcpy(copy, name, size);
    }
    auto* var = new (std::nothrow) Var(drop, copy);
    if (var == nullptr)
        delete[] copy;
    return var;
}

void Var::release()
{
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1 && !inherited())
        delete this;
}

Binding* Binding::make(Var& var, void* value) { return new (std::nothrow) Binding(var, value); }

void Binding::release()
{
    if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    call_drop(var_.drop(), value_);
    delete this;
}

void Binding::discard() { delete this; }

// ---- the trie ----

namespace {

constexpr unsigned bits = 5;
constexpr std::uintptr_t branch_bit = 1;

// Its slots, one for each bit that is set, follow it in the same allocation.
struct Branch {
    // Counted by the words that name it; the last one frees.
    std::atomic<std::uint32_t> references{1};
    std::uint32_t present;

    explicit Branch(std::uint32_t which) : present(which) {}

    std::size_t size() const { return static_cast<std::size_t>(std::popcount(present)); }
    std::uintptr_t* slots() { return reinterpret_cast<std::uintptr_t*>(this + 1); }
    std::size_t index_of(std::uint32_t bit) const
    {
        return static_cast<std::size_t>(std::popcount(present & (bit - 1)));
    }
};
static_assert(sizeof(Branch) % alignof(std::uintptr_t) == 0);

bool is_branch(std::uintptr_t word) { return (word & branch_bit) != 0; }
Branch& branch_in(std::uintptr_t word) { return *reinterpret_cast<Branch*>(word & ~branch_bit); }
Binding& binding_in(std::uintptr_t word) { return *reinterpret_cast<Binding*>(word); }
std::uintptr_t word_of(Branch& branch) { return reinterpret_cast<std::uintptr_t>(&branch) | branch_bit; }
std::uintptr_t word_of(Binding& binding) { return reinterpret_cast<std::uintptr_t>(&binding); }
std::uint32_t bit_of(std::uint64_t id, unsigned shift)
{
    return std::uint32_t{1} << (id >> shift & ((1U << bits) - 1));
}

// With its slots undefined; null: no memory.
Branch* make_branch(std::uint32_t present)
{
    const std::size_t slots = static_cast<std::size_t>(std::popcount(present));
    void* memory = ::operator new(sizeof(Branch) + slots * sizeof(std::uintptr_t), std::nothrow);
    return memory != nullptr ? new (memory) Branch(present) : nullptr;
}

void free_branch(Branch& branch)
{
    branch.~Branch();
    ::operator delete(&branch);
}

std::uintptr_t retained(std::uintptr_t word)
{
    if (is_branch(word))
        branch_in(word).references.fetch_add(1, std::memory_order_relaxed);
    else if (word != 0)
        binding_in(word).retain();
    return word;
}

// As deep as the trie is.
void release(std::uintptr_t word)
{
    if (word == 0)
        return;
    if (!is_branch(word)) {
        binding_in(word).release();
        return;
    }
    Branch& branch = branch_in(word);
    if (branch.references.fetch_sub(1, std::memory_order_acq_rel) != 1)
        return;
    for (std::size_t i = 0; i < branch.size(); ++i)
        release(branch.slots()[i]);
    free_branch(branch);
}

// A copy of `from` in which `word`, which it takes, stands for a bit; 0: nothing does. Null: no memory, and word is the
// caller's.
Branch* copy_with(Branch& from, std::uint32_t bit, std::uintptr_t word)
{
    Branch* copy = make_branch(word != 0 ? from.present | bit : from.present & ~bit);
    if (copy == nullptr)
        return nullptr;
    std::uintptr_t* slot = copy->slots();
    for (std::uint32_t left = from.present | bit; left != 0; left &= left - 1) {
        const std::uint32_t which = left & (0U - left);
        if (which != bit)
            *slot++ = retained(from.slots()[from.index_of(which)]);
        else if (word != 0)
            *slot++ = word;
    }
    return copy;
}

// What these return is owned by the caller, and so is what they are given; 0: no memory.

// Both under one branch, `older` retained.
std::uintptr_t join(std::uintptr_t older, Binding& added, unsigned shift)
{
    const std::uint32_t older_bit = bit_of(binding_in(older).id(), shift);
    const std::uint32_t added_bit = bit_of(added.id(), shift);
    Branch* branch = make_branch(older_bit | added_bit);
    if (branch == nullptr)
        return 0;
    if (older_bit == added_bit) {
        branch->slots()[0] = join(older, added, shift + bits);
        if (branch->slots()[0] == 0) {
            free_branch(*branch);
            return 0;
        }
    } else {
        branch->slots()[branch->index_of(older_bit)] = retained(older);
        branch->slots()[branch->index_of(added_bit)] = retained(word_of(added));
    }
    return word_of(*branch);
}

std::uintptr_t inserted(std::uintptr_t at, Binding& added, unsigned shift)
{
    if (at == 0 || (!is_branch(at) && binding_in(at).id() == added.id()))
        return retained(word_of(added));
    if (!is_branch(at))
        return join(at, added, shift);
    Branch& branch = branch_in(at);
    const std::uint32_t bit = bit_of(added.id(), shift);
    const std::uintptr_t below = (branch.present & bit) != 0 ? branch.slots()[branch.index_of(bit)] : 0;
    const std::uintptr_t next = inserted(below, added, shift + bits);
    Branch* copy = next != 0 ? copy_with(branch, bit, next) : nullptr;
    if (copy != nullptr)
        return word_of(*copy);
    release(next);
    return 0;
}

// The id is there. False: no memory.
bool remove(std::uintptr_t at, std::uint64_t id, unsigned shift, std::uintptr_t& out)
{
    if (!is_branch(at)) {
        out = 0;
        return true;
    }
    Branch& branch = branch_in(at);
    const std::uint32_t bit = bit_of(id, shift);
    std::uintptr_t below = 0;
    if (!remove(branch.slots()[branch.index_of(bit)], id, shift + bits, below))
        return false;
    // A binding that is alone needs no branch.
    const std::uint32_t others = branch.present & ~bit;
    if (others == 0 && !is_branch(below)) {
        out = below;
        return true;
    }
    if (below == 0 && std::has_single_bit(others) && !is_branch(branch.slots()[branch.index_of(others)])) {
        out = retained(branch.slots()[branch.index_of(others)]);
        return true;
    }
    Branch* copy = copy_with(branch, bit, below);
    if (copy == nullptr) {
        release(below);
        return false;
    }
    out = word_of(*copy);
    return true;
}

}  // namespace

BindingMap::BindingMap(const BindingMap& other) : root_(retained(other.root_)) {}

BindingMap::~BindingMap() { release(root_); }

Binding* BindingMap::find(std::uint64_t id) const
{
    std::uintptr_t at = root_;
    for (unsigned shift = 0; is_branch(at); shift += bits) {
        Branch& branch = branch_in(at);
        const std::uint32_t bit = bit_of(id, shift);
        at = (branch.present & bit) != 0 ? branch.slots()[branch.index_of(bit)] : 0;
    }
    return at != 0 && binding_in(at).id() == id ? &binding_in(at) : nullptr;
}

bool BindingMap::with(Binding& binding, BindingMap& out) const
{
    BindingMap made;
    made.root_ = inserted(root_, binding, 0);
    if (made.root_ == 0)
        return false;
    out = std::move(made);
    return true;
}

bool BindingMap::without(std::uint64_t id, BindingMap& out) const
{
    BindingMap made(*this);
    if (find(id) != nullptr) {
        std::uintptr_t root = 0;
        if (!remove(root_, id, 0, root))
            return false;
        release(std::exchange(made.root_, root));
    }
    out = std::move(made);
    return true;
}

}  // namespace execq::core
