#include "task/context.h"

#include <memory>
#include <new>
#include <pthread.h>

#include "base/immortal.h"

namespace execq::core {

// A set that a token can undo.
struct VarChange {
    std::uint64_t token = 0;
    std::uint64_t id = 0;        // of the variable
    ContextRef before;           // what was active
    VarChange* older = nullptr;  // of the same scope
};

namespace {

std::uint64_t new_token()
{
    static std::atomic<std::uint64_t> last{0};
    return last.fetch_add(1, std::memory_order_relaxed) + 1;
}

void free_changes(VarChange* change)
{
    while (change != nullptr)
        delete std::exchange(change, change->older);
}

// At the end of a thread; what drops of values set then comes here again.
void end_thread(void* mine) { forget_changes(*static_cast<ThisThread*>(mine)); }

struct Key {
    Key() : made(pthread_key_create(&key, end_thread) == 0) {}
    pthread_key_t key{};
    const bool made;
};

const Key& key_of_threads()
{
    static const Key key;
    return key;
}

// As all that is made once: a child could not wait for another thread to make it.
[[maybe_unused]] const Key& key_made_when_loaded = key_of_threads();

// A thread that sets variables gives them up when it ends. False: no key, or no memory.
bool ends_with_thread()
{
    const Key& key = key_of_threads();
    return key.made && (pthread_getspecific(key.key) != nullptr || pthread_setspecific(key.key, &this_thread) == 0);
}

const BindingMap& map_of(const Context* context)
{
    static Immortal<BindingMap> empty;
    return context != nullptr ? context->map() : *empty;
}

[[maybe_unused]] const BindingMap& made_when_loaded = map_of(nullptr);

// The caller takes the reference of what was active, if the thread had one of its own.
ContextRef put_in_place(ThisThread& mine, ContextRef next)
{
    Context* before = mine.context;
    ContextRef owned = before != mine.entered ? ContextRef(before) : ContextRef();
    // What the scope holds needs no second reference.
    mine.context = next.get();
    if (next.get() != mine.entered)
        static_cast<void>(next.give());
    return owned;
}

// What is active, with the variable as it was in another context. False: no memory.
bool restored(const ThisThread& mine, std::uint64_t id, const Context* before, ContextRef& out)
{
    const BindingMap& map = map_of(mine.context);
    Binding* const old = map_of(before).find(id);
    BindingMap next;
    if (!(old != nullptr ? map.with(*old, next) : map.without(id, next)))
        return false;
    if (next.empty()) {
        out = {};
        return true;
    }
    ContextRef made(Context::make(0));
    if (made.get() == nullptr)
        return false;
    made.get()->map() = std::move(next);
    out = std::move(made);
    return true;
}

}  // namespace

Context* Context::make(std::uint64_t serial, Foreign* foreign) { return new (std::nothrow) Context(serial, foreign); }

Context::~Context() { delete foreign_; }

void Context::release()
{
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1 && !inherited())
        delete this;
}

execq_status capture_foreign(ContextRef& out)
{
    Foreign* captured = nullptr;
    const execq_status status = Foreign::capture(&captured);
    if (status != EXECQ_OK)
        return status;
    std::unique_ptr<Foreign> foreign(captured);
    Context* active = this_thread.context;
    if (foreign == nullptr && (active == nullptr || active->foreign() == nullptr)) {
        out = ContextRef::share(active);
        return EXECQ_OK;
    }
    const BindingMap& map = map_of(active);
    if (foreign == nullptr && map.empty()) {
        out = {};
        return EXECQ_OK;
    }
    ContextRef made(Context::make(0, foreign.get()));
    if (made.get() == nullptr)
        return EXECQ_ENOMEM;
    static_cast<void>(foreign.release());
    made.get()->map() = map;
    out = std::move(made);
    return EXECQ_OK;
}

// ---- variables ----

execq_status set_var(Var& var, void* value, std::uint64_t* token)
{
    std::unique_ptr<VarChange> change(token != nullptr ? new (std::nothrow) VarChange : nullptr);
    if ((token != nullptr && change == nullptr) || !ends_with_thread())
        return EXECQ_ENOMEM;
    const std::uint64_t serial = token != nullptr ? new_token() : 0;
    ContextRef next(Context::make(serial));
    Binding* binding = next.get() != nullptr ? Binding::make(var, value) : nullptr;
    if (binding == nullptr)
        return EXECQ_ENOMEM;
    ThisThread& mine = this_thread;
    if (!map_of(mine.context).with(*binding, next.get()->map())) {
        binding->discard();
        return EXECQ_ENOMEM;
    }
    binding->release();  // the map has its own
    ContextRef before = ContextRef::share(change != nullptr ? mine.context : nullptr);
    if (change != nullptr) {
        change->token = *token = serial;
        change->id = var.id();
        change->before = std::move(before);
        change->older = mine.changes;
        mine.changes = change.release();
    }
    if (mine.left != nullptr)
        *mine.left |= context_left;
    // Last of all, as it may run drops, which may set variables themselves.
    const ContextRef given_up = put_in_place(mine, std::move(next));
    return EXECQ_OK;
}

execq_status reset_var(const Var& var, std::uint64_t token)
{
    ThisThread& mine = this_thread;
    VarChange** place = &mine.changes;
    while (*place != nullptr && (*place)->token != token)
        place = &(*place)->older;
    VarChange* change = *place;
    if (change == nullptr || change->id != var.id())
        return EXECQ_EINVAL;
    ContextRef next;
    if (mine.context != nullptr && mine.context->serial() == token)
        next = std::move(change->before);  // nothing has changed since
    else if (!restored(mine, var.id(), change->before.get(), next))
        return EXECQ_ENOMEM;
    *place = change->older;
    const std::unique_ptr<VarChange> used(change);
    const ContextRef given_up = put_in_place(mine, std::move(next));
    return EXECQ_OK;
}

void forget_changes(ThisThread& mine)
{
    VarChange* changes = std::exchange(mine.changes, nullptr);
    const ContextRef given_up(std::exchange(mine.context, nullptr));
    free_changes(changes);
}

// ---- scopes ----

void ContextScope::enter(Context* context)
{
    outer_ = std::exchange(mine_.context, context);
    outer_entered_ = std::exchange(mine_.entered, context);
    outer_changes_ = std::exchange(mine_.changes, nullptr);
    entered_ = true;
    entered_in_ = Process::generation();
    Foreign* foreign = context != nullptr ? context->foreign() : nullptr;
    if (foreign == nullptr)
        return;
    status_ = foreign->enter(foreign_);
}

// Without enter() all that was active outside is the empty context.
void ContextScope::leave()
{
    if (entered_ && entered_in_ != Process::generation())
        return;  // in a child: what was active outside is the parent's
    Context* entered = entered_ ? mine_.entered : nullptr;
    if (entered != nullptr && entered->foreign() != nullptr && status_ == EXECQ_OK)
        entered->foreign()->leave(foreign_);
    Context* active = std::exchange(mine_.context, outer_);
    VarChange* changes = std::exchange(mine_.changes, outer_changes_);
    if (entered_)
        mine_.entered = outer_entered_;
    // Drops run outside.
    const ContextRef given_up(active != entered ? active : nullptr);
    free_changes(changes);
}

}  // namespace execq::core
