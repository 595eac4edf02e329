// Promises and errors.
#include "ops.h"

namespace fuzz {

namespace {

void promise_new(World& world, Args& args)
{
    Job* job = make_job(JobKind::promise, current_depth());
    if (job == nullptr)
        return;
    const unsigned slots = args.byte();
    const unsigned bits = args.byte();
    execq_promise_options options = EXECQ_PROMISE_OPTIONS_INIT;
    job->has_drop_result = (bits & 1) != 0;
    job->named = true;
    options.drop_result = job->has_drop_result ? value_drop : nullptr;
    options.name = job->name;
    if (bits >= 0xf8)
        options.flags = 1;
    if ((bits & 0xf8) == 0xf0)
        options.struct_size = bits & 7;
    execq_promise* promise = nullptr;
    execq_future* future = nullptr;
    const execq_status status = execq_promise_new(&options, &promise, &future);
    CHECK(bits < 0xf0 ? status == EXECQ_OK || status == EXECQ_ENOMEM
                      : status == EXECQ_EINVAL || status == EXECQ_ENOTSUP);
    settle(*job, status);
    if (status != EXECQ_OK)
        return;
    if ((bits & 2) != 0) {
        execq_future_retain(future);
        job->audit = future;
    }
    world.futures[slots % 16].exchange(Futures::Ref(future, job));
    world.promises[(slots >> 4) % world.promises.size()].exchange(Promises::Ref(promise, job));
}

void promise_resolve(World& world, Args& args)
{
    const Promises::Ref promise = pick(world.promises, args);
    if (promise)
        resolve(promise.get(), *promise.model());
    else
        CHECK(execq_promise_resolve(nullptr, nullptr) == EXECQ_EINVAL);
}

void promise_reject(World& world, Args& args)
{
    const Promises::Ref promise = pick(world.promises, args);
    if (!promise) {
        CHECK(execq_promise_reject(nullptr, 1, nullptr) == EXECQ_EINVAL);
        return;
    }
    CHECK(execq_promise_reject(promise.get(), 0, nullptr) == EXECQ_EINVAL);
    const bool cancels = args.chance(3);
    if (cancels)
        ++promise->unclear_ends;
    const int32_t code = cancels ? EXECQ_ECANCELED : own_code(*promise.model());
    if (promise_won(*promise.model(), execq_promise_reject(promise.get(), code, "as planned")) && !cancels)
        ++promise->failures;
}

void promise_reject_error(World& world, Args& args)
{
    const Promises::Ref promise = pick(world.promises, args);
    const Errors::Ref error = pick(world.errors, args);
    if (!promise || !error) {
        CHECK(execq_promise_reject_error(promise.get(), error.get()) == EXECQ_EINVAL);
        return;
    }
    ++promise->unclear_ends;
    promise_won(*promise.model(), execq_promise_reject_error(promise.get(), error.get()));
}

void promise_on_cancel(World& world, Args& args)
{
    const Promises::Ref promise = pick(world.promises, args);
    Reg* reg = make_reg(RegKind::promise_cancel, nullptr, args);
    if (reg != nullptr)
        settle(*reg, execq_promise_on_cancel(promise.get(), reg_cancel, reg, reg_drop));
}

void promise_asked(World& world, Args& args)
{
    const Promises::Ref promise = pick(world.promises, args);
    const int32_t asked = execq_promise_cancel_requested(promise.get());
    CHECK(promise ? asked == 0 || asked == 1 : asked == EXECQ_EINVAL);
}

void promise_release(World& world, Args& args) { world.promises[args.below(world.promises.size())].take(); }

void payload_drop(void* payload)
{
    ErrorModel& model = *static_cast<ErrorModel*>(payload);
    CHECK(model.payload_drops.fetch_add(1) == 0);
}

void error_new(World& world, Args& args)
{
    static const int kind = 0;
    ErrorModel* model = world.error_models.make();
    if (model == nullptr)
        return;
    const Errors::Ref cause = pick(world.errors, args);
    execq_error_options options = EXECQ_ERROR_OPTIONS_INIT;
    options.drop = payload_drop;
    options.payload = model;
    options.kind = &kind;
    options.message = args.chance(2) ? "made" : nullptr;
    options.cause = cause.get();
    options.code = static_cast<int32_t>(args.below(4));
    const execq_error* error = nullptr;
    const execq_status status = execq_error_new(&options, &error);
    CHECK((status == EXECQ_EINVAL) == (options.code == 0));
    if (status != EXECQ_OK) {
        CHECK(model->payload_drops == 1);
        return;
    }
    CHECK(execq_error_payload(error, &kind) == model);
    CHECK(execq_error_cause(error) == cause.get());
    world.errors[args.below(world.errors.size())].exchange(Errors::Ref(error, model));
}

void error_release(World& world, Args& args) { world.errors[args.below(world.errors.size())].take(); }

}  // namespace

std::span<const Op> promise_ops()
{
    static constexpr Op ops[] = {
        {"promise_new", promise_new, 0},
        {"promise_resolve", promise_resolve, 0},
        {"promise_reject", promise_reject, 0},
        {"promise_reject_error", promise_reject_error, 0},
        {"promise_on_cancel", promise_on_cancel, 0},
        {"promise_asked", promise_asked, 0},
        {"promise_release", promise_release, 0},
        {"error_new", error_new, 0},
        {"error_release", error_release, 0},
    };
    return ops;
}

}  // namespace fuzz
