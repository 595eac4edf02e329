// Context variables, and contexts that are kept and entered again.
#include "ops.h"

namespace fuzz {

namespace {

void var_value_drop(void* value)
{
    VarModel& model = *static_cast<VarModel*>(value);
    CHECK(++model.drops <= model.sets);
}

void var_new(World& world, Args& args)
{
    VarModel* model = world.var_models.make();
    if (model == nullptr)
        return;
    execq_var_options options = EXECQ_VAR_OPTIONS_INIT;
    options.drop = var_value_drop;
    options.name = "variable";
    execq_var* var = nullptr;
    const execq_status status = execq_var_new(&options, &var);
    CHECK(status == EXECQ_OK || status == EXECQ_ENOMEM);
    if (status == EXECQ_OK)
        world.vars[args.below(world.vars.size())].exchange(Vars::Ref(var, model));
}

void check_value(const Vars::Ref& var)
{
    void* value = nullptr;
    const int32_t has = execq_var_get(var.get(), &value);
    CHECK(has == 1 ? value == var.model() : has == 0 && value == nullptr);
}

void var_set(World& world, Args& args)
{
    const Vars::Ref var = pick(world.vars, args);
    if (!var) {
        CHECK(execq_var_set(nullptr, nullptr, nullptr) == EXECQ_EINVAL);
        return;
    }
    check_value(var);
    const bool resets = args.chance(2);
    execq_var_token token = 0;
    ++var->sets;  // before: it may be dropped on another thread at once
    const execq_status status = execq_var_set(var.get(), var.model(), resets ? &token : nullptr);
    CHECK(status == EXECQ_OK || status == EXECQ_ENOMEM);
    if (status != EXECQ_OK) {
        --var->sets;
        return;
    }
    check_value(var);
    if (resets) {
        const execq_status reset = execq_var_reset(var.get(), token);
        CHECK(reset == EXECQ_OK);
        CHECK(execq_var_reset(var.get(), token) == EXECQ_EINVAL);
    }
}

void var_release(World& world, Args& args) { world.vars[args.below(world.vars.size())].take(); }

void context_capture(World& world, Args& args)
{
    execq_context* context = nullptr;
    const execq_status status = execq_context_capture(&context);
    CHECK(status == EXECQ_OK && context != nullptr);
    world.contexts[args.below(world.contexts.size())].exchange(Contexts::Ref(context, nullptr));
}

void inside_context(void* env)
{
    Args& args = *static_cast<Args*>(env);
    var_set(world(), args);
    context_capture(world(), args);
}

void context_run(World& world, Args& args)
{
    const Contexts::Ref context = pick(world.contexts, args);
    const execq_status status = execq_context_run(context.get(), inside_context, &args);
    CHECK(status == (context ? EXECQ_OK : EXECQ_EINVAL));
}

void context_release(World& world, Args& args) { world.contexts[args.below(world.contexts.size())].take(); }

}  // namespace

std::span<const Op> context_ops()
{
    static constexpr Op ops[] = {
        {"var_new", var_new, 0},         {"var_set", var_set, 0},
        {"var_release", var_release, 0}, {"context_capture", context_capture, 0},
        {"context_run", context_run, 0}, {"context_release", context_release, 0},
    };
    return ops;
}

}  // namespace fuzz
