// Futures: waits, looks at the outcome, cancels, registrations.
#include "ops.h"

namespace fuzz {

namespace {

bool waited(execq_status status)
{
    return status == EXECQ_OK || status == EXECQ_ETIMEDOUT || status == EXECQ_EDEADLK || status == EXECQ_ENOMEM;
}

void future_wait(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    const execq_status status = execq_future_wait(future.get(), short_time(args));
    CHECK(future ? waited(status) : status == EXECQ_EINVAL);
    if (status == EXECQ_OK) {
        CHECK(execq_future_state(future.get()) >= EXECQ_FUTURE_OK);
        note_future(*future.model(), future.get());
    }
}

void run_until(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    const execq_status status = execq_run_until(future.get(), short_time(args));
    CHECK(future ? waited(status) || status == EXECQ_EMFILE : status == EXECQ_EINVAL);
    if (status == EXECQ_OK)
        note_future(*future.model(), future.get());
}

struct Several {
    std::array<Futures::Ref, 3> refs;
    std::array<execq_future*, 3> futures{};
    unsigned n = 0;

    Several(World& world, Args& args)
    {
        for (Futures::Ref& ref : refs) {
            ref = pick(world.futures, args);
            if (ref)
                futures[n++] = ref.get();
        }
    }
};

void wait_all(World& world, Args& args)
{
    const Several several(world, args);
    const execq_status status = execq_future_wait_all(several.futures.data(), several.n, short_time(args));
    CHECK(waited(status));
    if (status == EXECQ_OK)
        for (unsigned i = 0; i < several.n; ++i)
            CHECK(execq_future_state(several.futures[i]) >= EXECQ_FUTURE_OK);
}

void wait_any(World& world, Args& args)
{
    const Several several(world, args);
    size_t index = 99;
    const execq_status status = execq_future_wait_any(several.futures.data(), several.n, short_time(args), &index);
    CHECK(several.n == 0 ? status == EXECQ_EINVAL : waited(status));
    if (status == EXECQ_OK) {
        CHECK(index < several.n);
        CHECK(execq_future_state(several.futures[index]) >= EXECQ_FUTURE_OK);
    }
}

void future_result(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    void* value = nullptr;
    const execq_status status = execq_future_result(future.get(), &value);
    if (!future) {
        CHECK(status == EXECQ_EINVAL);
        return;
    }
    note_result(*future.model(), status);
    note_future(*future.model(), future.get());
    if (status == EXECQ_OK && value != nullptr)
        CHECK(static_cast<Value*>(value)->job->result_drops == 0);
}

void future_take(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    void* value = nullptr;
    const execq_status status = execq_future_take(future.get(), &value);
    if (!future) {
        CHECK(status == EXECQ_EINVAL);
        return;
    }
    note_result(*future.model(), status);
    if (status == EXECQ_OK && value != nullptr) {
        Job& owner = *static_cast<Value*>(value)->job;
        CHECK(owner.taken.fetch_add(1) == 0);
        CHECK(owner.result_drops == 0);
    }
}

void future_error(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    const execq_error* error = execq_future_error(future.get());
    if (error == nullptr)
        return;
    ++future->consumed;
    CHECK(execq_error_code(error) != 0);
    CHECK(execq_error_message(error) != nullptr);
    CHECK(execq_future_state(future.get()) == EXECQ_FUTURE_FAILED);
    char text[64];
    execq_error_format(error, text, sizeof text);
    if (args.chance(4)) {
        execq_error_retain(error);
        world.errors[args.below(world.errors.size())].exchange(Errors::Ref(error, nullptr));
    }
}

void future_cancel(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    const execq_status status = execq_future_cancel(future.get());
    if (!future) {
        CHECK(status == EXECQ_EINVAL);
        return;
    }
    note_cancel(*future.model(), status);
    if (status == EXECQ_OK) {
        note_future(*future.model(), future.get());
        CHECK(execq_future_state(future.get()) == EXECQ_FUTURE_CANCELED);
    }
}

void future_release(World& world, Args& args) { world.futures[args.below(world.futures.size())].take(); }

void future_forward(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    const Promises::Ref promise = pick(world.promises, args);
    if (future)
        ++future->forwarded;
    if (promise)
        ++promise->unclear_ends;
    const execq_status status = execq_future_forward(future.get(), promise.get());
    CHECK(status == EXECQ_OK || status == EXECQ_EALREADY || status == EXECQ_EDEADLK || status == EXECQ_ENOMEM ||
          status == EXECQ_EINVAL);
    CHECK(status != EXECQ_OK || (future && promise));
}

void on_done(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    Reg* reg = make_reg(RegKind::done, future.model(), args);
    if (reg != nullptr)
        settle(*reg, execq_future_on_done(future.get(), reg_done, reg, reg_drop));
}

void on_loop(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    const Ports::Ref port = pick(world.ports, args);
    Reg* reg = make_reg(RegKind::on_loop, future.model(), args);
    if (reg == nullptr)
        return;
    reg->port = port.model();
    settle(*reg, execq_future_on_loop(future.get(), port.get(), reg_done, reg, reg_drop));
}

void on_promise(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    const Promises::Ref promise = pick(world.promises, args);
    Reg* reg = make_reg(RegKind::on_promise, future.model(), args);
    if (reg != nullptr)
        settle(*reg, execq_future_on_promise(future.get(), promise.get(), reg_done, reg, reg_drop));
}

void on_cq(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    const Cqs::Ref cq = pick(world.cqs, args);
    Reg* reg = make_reg(RegKind::to_cq, future.model(), args);
    if (reg == nullptr)
        return;
    reg->cq = cq.model();
    settle(*reg, execq_future_on_cq(future.get(), cq.get(), reg));
}

void future_nothing(World& world, Args& args)
{
    const Futures::Ref future = pick(world.futures, args);
    void* value = nullptr;
    CHECK(execq_future_wait(nullptr, 0) == EXECQ_EINVAL);
    CHECK(execq_future_state(nullptr) == EXECQ_EINVAL);
    CHECK(execq_future_result(nullptr, &value) == EXECQ_EINVAL);
    CHECK(execq_future_take(future.get(), nullptr) == EXECQ_EINVAL);
    CHECK(execq_future_error(nullptr) == nullptr);
    CHECK(execq_future_cancel(nullptr) == EXECQ_EINVAL);
    CHECK(execq_future_cancel_reason(nullptr) == EXECQ_EINVAL);
    CHECK(execq_future_on_done(future.get(), nullptr, nullptr, nullptr) == EXECQ_EINVAL);
    CHECK(execq_future_forward(future.get(), nullptr) == EXECQ_EINVAL);
    CHECK(execq_run_until(nullptr, 0) == EXECQ_EINVAL);
    execq_future* none = nullptr;
    CHECK(execq_future_wait_all(&none, 1, 0) == EXECQ_EINVAL);
    CHECK(execq_future_wait_any(&none, 1, 0, nullptr) == EXECQ_EINVAL);
}

}  // namespace

std::span<const Op> future_ops()
{
    static constexpr Op ops[] = {
        {"future_wait", future_wait, op_blocks},
        {"run_until", run_until, op_blocks},
        {"wait_all", wait_all, op_blocks},
        {"wait_any", wait_any, op_blocks},
        {"future_result", future_result, 0},
        {"future_take", future_take, 0},
        {"future_error", future_error, 0},
        {"future_cancel", future_cancel, 0},
        {"future_release", future_release, 0},
        {"future_forward", future_forward, 0},
        {"on_done", on_done, 0},
        {"on_loop", on_loop, 0},
        {"on_promise", on_promise, 0},
        {"on_cq", on_cq, 0},
        {"future_nothing", future_nothing, 0},
    };
    return ops;
}

}  // namespace fuzz
