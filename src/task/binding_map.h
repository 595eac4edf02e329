// Floor 1. Variables, their values, and persistent maps from the one to the other.
//
// A map never changes: with() and without() give another one, which shares with the first whatever is the same in both.
// It is a trie over the variables' ids, five bits a level, lowest first, in which only nodes that branch stand (or lead to
// one that does). Ids are given out one after the other, so n variables are about log32(n) levels deep.
//
// A word of the trie is 0 (nothing), a Binding, or a Branch with the lowest bit set. Words own one reference.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "base/process.h"
#include "execq/context.h"

namespace execq::core {

class Var : public OfProcess {
public:
    // One reference for the caller; null: no memory.
    static Var* make(execq_drop_fn drop, const char* name);

    void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
    void release();

    std::uint64_t id() const { return id_; }
    execq_drop_fn drop() const { return drop_; }
    const char* name() const { return name_; }

private:
    Var(execq_drop_fn values_drop, char* own_name);
    ~Var();

    // Counted by the C surface's handles and by bindings; the last one frees.
    std::atomic<std::uint32_t> references_{1};
    const std::uint64_t id_;  // never used again
    const execq_drop_fn drop_;
    char* const name_;  // owned; null: none
};

inline execq_var* handle_of(Var* var) { return reinterpret_cast<execq_var*>(var); }
inline Var* core_of(execq_var* var) { return reinterpret_cast<Var*>(var); }

// A value of a variable, owned: the variable's drop runs when the last reference goes.
class Binding {
public:
    // One reference for the caller; null: no memory.
    static Binding* make(Var& var, void* value);

    void retain() { references_.fetch_add(1, std::memory_order_relaxed); }
    void release();
    // Undoes make(): the value is not dropped.
    void discard();

    std::uint64_t id() const { return var_.id(); }
    void* value() const { return value_; }

private:
    Binding(Var& var, void* held) : var_(var), value_(held) { var.retain(); }
    ~Binding() { var_.release(); }

    // Counted by the words that name it; the last one drops.
    std::atomic<std::uint32_t> references_{1};
    Var& var_;  // with one reference
    void* const value_;
};

class BindingMap {
public:
    BindingMap() = default;
    BindingMap(const BindingMap& other);
    BindingMap(BindingMap&& other) noexcept : root_(std::exchange(other.root_, 0)) {}
    BindingMap& operator=(BindingMap other) noexcept
    {
        std::swap(root_, other.root_);
        return *this;
    }
    ~BindingMap();

    bool empty() const { return root_ == 0; }
    // Null: none.
    Binding* find(std::uint64_t id) const;
    // This map with a binding in place of that of its id, or without that of an id. False: no memory, and out is as it was.
    [[nodiscard]] bool with(Binding& binding, BindingMap& out) const;
    [[nodiscard]] bool without(std::uint64_t id, BindingMap& out) const;

private:
    std::uintptr_t root_ = 0;
};

}  // namespace execq::core
