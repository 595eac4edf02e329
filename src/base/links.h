// Floor 0. Intrusive lists: no allocation, no ownership; who links an item keeps it alive.
#pragma once

#include <cstddef>

namespace execq::core {

// The link of a singly linked item.
struct Link {
    Link* next = nullptr;
};

// First in, first out, of items derived from Base, which is Link or, where an item has several links, names one of them.
template <class Item, class Base = Link>
class Fifo {
public:
    bool empty() const { return head_ == nullptr; }

    void push(Item& item)
    {
        Base& link = item;
        link.next = nullptr;
        if (empty())
            head_ = &link;
        else
            tail_->next = &link;
        tail_ = &link;
        ++size_;
    }

    Item* pop()
    {
        if (empty())
            return nullptr;
        Base* link = head_;
        head_ = static_cast<Base*>(link->next);
        --size_;
        return static_cast<Item*>(link);
    }

    // Moves all of `other` behind what is here.
    void append(Fifo& other)
    {
        if (other.empty())
            return;
        if (empty())
            head_ = other.head_;
        else
            tail_->next = other.head_;
        tail_ = other.tail_;
        size_ += other.size_;
        other = Fifo{};
    }

    std::size_t size() const { return size_; }

    template <class Visit>
    void for_each(const Visit& visit) const
    {
        for (Base* link = head_; link != nullptr; link = static_cast<Base*>(link->next))
            visit(static_cast<Item&>(*link));
    }

private:
    Base* head_ = nullptr;
    Base* tail_ = nullptr;  // undefined while head_ is null
    std::size_t size_ = 0;
};

// The link of a doubly linked item; unlinked while both are null.
struct Hook {
    Hook* previous = nullptr;
    Hook* next = nullptr;
};

// A list from which any item can be removed in constant time, of items derived from Hook.
template <class Item>
class HookList {
public:
    HookList() { root_.previous = root_.next = &root_; }
    HookList(const HookList&) = delete;
    HookList& operator=(const HookList&) = delete;

    bool empty() const { return root_.next == &root_; }

    void push_back(Item& item)
    {
        Hook& hook = item;
        hook.previous = root_.previous;
        hook.next = &root_;
        root_.previous->next = &hook;
        root_.previous = &hook;
    }

    void push_front(Item& item)
    {
        Hook& hook = item;
        hook.previous = &root_;
        hook.next = root_.next;
        root_.next->previous = &hook;
        root_.next = &hook;
    }

    void remove(Item& item) { unlink(item); }

    // The same for who does not know the list.
    static void unlink(Item& item)
    {
        Hook& hook = item;
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): who is linked has neighbours
        hook.previous->next = hook.next;
        hook.next->previous = hook.previous;
        hook.previous = hook.next = nullptr;
    }

    Item* front() { return empty() ? nullptr : static_cast<Item*>(root_.next); }
    // The one behind an item of this list.
    Item* after(Item& item)
    {
        Hook* next = static_cast<Hook&>(item).next;
        return next != &root_ ? static_cast<Item*>(next) : nullptr;
    }

    template <class Visit>
    void for_each(Visit&& visit) const
    {
        for (Hook* hook = root_.next; hook != &root_; hook = hook->next)
            visit(static_cast<Item&>(*hook));
    }

private:
    mutable Hook root_;
};

}  // namespace execq::core
