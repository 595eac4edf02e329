// Queues, groups, cancel sources and completion queues.
#include "ops.h"

namespace fuzz {

namespace {

// ---- queues ----

void queue_new(World& world, Args& args)
{
    const Executors::Ref executor = pick(world.executors, args);
    const unsigned bits = args.byte();
    const unsigned slot = args.below(world.queues.size());
    QueueModel* model = executor ? world.queue_models.make() : nullptr;
    if (model == nullptr)
        return;
    static constexpr std::uint32_t policies[] = {EXECQ_FULL_REJECT, EXECQ_FULL_BLOCK, EXECQ_FULL_CALLER_RUNS};
    execq_queue_options options = EXECQ_QUEUE_OPTIONS_INIT;
    options.flags = (bits & 7) == 7 ? EXECQ_QUEUE_PAUSED : 0;
    options.max_in_flight = (bits >> 3) % 3;
    // Who is to step a manual executor may be the one who waits for room.
    options.full_policy = policies[executor->manual ? 0 : (bits >> 5) % 3];
    options.capacity = args.below(4);
    options.key_max_in_flight = args.below(3);
    options.reserved = bits == 255 ? 1 : 0;
    model->max_in_flight = options.max_in_flight != 0 ? options.max_in_flight : 1;
    model->exec = executor.model();
    model->may_block = (options.capacity != 0 && options.full_policy != EXECQ_FULL_REJECT) || executor->may_block;
    execq_queue* queue = nullptr;
    const execq_status status = execq_queue_new(executor.get(), &options, &queue);
    CHECK(status == EXECQ_OK || status == EXECQ_ENOMEM || (status == EXECQ_EINVAL && options.reserved != 0));
    if (status == EXECQ_OK)
        world.queues[slot].exchange(Queues::Ref(queue, model));
}

void queue_pause(World& world, Args& args)
{
    const Queues::Ref queue = pick(world.queues, args);
    const bool pauses = args.chance(2);
    const execq_status status = pauses ? execq_queue_pause(queue.get()) : execq_queue_resume(queue.get());
    CHECK(queue ? status == EXECQ_OK || status == EXECQ_ECLOSED : status == EXECQ_EINVAL);
}

void queue_set_key(World& world, Args& args)
{
    const Queues::Ref queue = pick(world.queues, args);
    const std::uint32_t weight = args.below(4);
    const execq_status status = execq_queue_set_key(queue.get(), args.below(4), weight, args.below(3));
    CHECK(queue && weight != 0 ? status == EXECQ_OK || status == EXECQ_ENOMEM : status == EXECQ_EINVAL);
}

void queue_counts(World& world, Args& args)
{
    const Queues::Ref queue = pick(world.queues, args);
    std::uint64_t waiting = 0;
    std::uint64_t running = 0;
    const execq_status status = execq_queue_counts(queue.get(), &waiting, &running);
    CHECK(status == (queue ? EXECQ_OK : EXECQ_EINVAL));
    if (queue)
        CHECK(running <= queue->max_in_flight);
}

void queue_close(World& world, Args& args)
{
    const Queues::Ref queue = pick(world.queues, args);
    const int32_t how = static_cast<int32_t>(args.below(4));
    const unsigned slot = args.byte();
    Job* job = make_job(JobKind::closed, current_depth());
    if (job == nullptr)
        return;
    execq_future* closed = nullptr;
    const bool wants = slot < 128;
    const execq_status status = execq_queue_close(queue.get(), how, wants ? &closed : nullptr);
    CHECK(status == (queue && how >= EXECQ_DRAIN && how <= EXECQ_CANCEL ? EXECQ_OK : EXECQ_EINVAL));
    CHECK((closed != nullptr) == (wants && status == EXECQ_OK));
    if (closed == nullptr)
        return;
    job->entry = Entry::accepted;
    note_future(*job, closed);
    world.futures[slot % 16].exchange(Futures::Ref(closed, job));
}

void queue_release(World& world, Args& args) { world.queues[args.below(world.queues.size())].take(); }

// ---- groups ----

void group_new(World& world, Args& args)
{
    const Executors::Ref executor = pick(world.executors, args);
    const Groups::Ref parent = pick(world.groups, args);
    const Sources::Ref source = pick(world.sources, args);
    const unsigned bits = args.byte();
    const unsigned slot = args.below(world.groups.size());
    GroupModel* model = world.group_models.make();
    if (model == nullptr)
        return;
    execq_group_options options = EXECQ_GROUP_OPTIONS_INIT;
    options.flags = (bits & 1) != 0 ? EXECQ_GROUP_KEEP_GOING : 0;
    options.parent = (bits & 6) == 6 ? parent.get() : nullptr;
    options.cancel_source = (bits & 24) == 24 ? source.get() : nullptr;
    options.timeout_ns = (bits & 96) == 96 ? ms : 0;
    if ((bits & 128) != 0 && executor) {
        model->max_in_flight = options.max_in_flight = 1 + slot % 2;
        model->exec = executor.model();
        options.executor = executor.get();
    }
    execq_group* group = nullptr;
    const execq_status status = execq_group_new(&options, &group);
    CHECK(status == EXECQ_OK || status == EXECQ_ENOMEM || status == EXECQ_EAGAIN ||
          (status == EXECQ_ECLOSED && options.parent != nullptr));
    if (status == EXECQ_OK)
        world.groups[slot].exchange(Groups::Ref(group, model));
}

// A group of a released parent may be closed without a join; one that was joined has no task left.
void check_joined(World& world, const GroupModel* group)
{
    world.jobs.each([&](Job& job) {
        if (job.accepted() && job.group == group && job.has_drop)
            CHECK(job.drops == 1);
    });
}

void group_join(World& world, Args& args)
{
    const Groups::Ref group = pick(world.groups, args);
    const execq_status status = execq_group_join(group.get(), short_time(args));
    if (!group) {
        CHECK(status == EXECQ_EINVAL);
        return;
    }
    switch (status) {
    case EXECQ_OK:
    case EXECQ_EFAILED:
    case EXECQ_ECANCELED:
        group->joined = 1;
        check_joined(world, group.model());
        CHECK((execq_group_error(group.get()) != nullptr) == (status == EXECQ_EFAILED));
        break;
    default:
        CHECK(status == EXECQ_ETIMEDOUT || status == EXECQ_EDEADLK || status == EXECQ_ENOMEM);
    }
    CHECK(status != EXECQ_ECANCELED || execq_group_cancel_reason(group.get()) != EXECQ_REASON_NONE);
}

void group_cancel(World& world, Args& args)
{
    const Groups::Ref group = pick(world.groups, args);
    const execq_status status = execq_group_cancel(group.get());
    CHECK(group ? status == EXECQ_OK || status == EXECQ_EALREADY : status == EXECQ_EINVAL);
    if (status == EXECQ_OK)
        CHECK(execq_group_cancel_reason(group.get()) != EXECQ_REASON_NONE);
}

void group_look(World& world, Args& args)
{
    const Groups::Ref group = pick(world.groups, args);
    const execq_error* error = execq_group_error(group.get());
    CHECK(error == nullptr || execq_error_code(error) != 0);
    CHECK(group ? execq_group_cancel_reason(group.get()) >= EXECQ_REASON_NONE
                : execq_group_cancel_reason(nullptr) == EXECQ_EINVAL);
}

void group_release(World& world, Args& args) { world.groups[args.below(world.groups.size())].take(); }

// ---- cancel sources ----

void source_new(World& world, Args& args)
{
    const Sources::Ref parent = pick(world.sources, args);
    SourceModel* model = world.source_models.make();
    if (model == nullptr)
        return;
    execq_cancel_source_options options = EXECQ_CANCEL_SOURCE_OPTIONS_INIT;
    options.parent = args.chance(2) ? parent.get() : nullptr;
    execq_cancel_source* source = nullptr;
    const execq_status status = execq_cancel_source_new(&options, &source);
    CHECK(status == EXECQ_OK || status == EXECQ_ENOMEM);
    if (status == EXECQ_OK)
        world.sources[args.below(world.sources.size())].exchange(Sources::Ref(source, model));
}

void source_cancel(World& world, Args& args)
{
    const Sources::Ref source = pick(world.sources, args);
    const execq_status status = execq_cancel_source_cancel(source.get());
    if (!source) {
        CHECK(status == EXECQ_EINVAL);
        return;
    }
    CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
    if (status == EXECQ_OK)
        CHECK(source->canceled.fetch_add(1) == 0);
    CHECK(execq_cancel_source_requested(source.get()) == 1);
}

void source_on_cancel(World& world, Args& args)
{
    const Sources::Ref source = pick(world.sources, args);
    const bool takes_back = args.chance(3);
    Reg* reg = make_reg(RegKind::source, nullptr, args);
    if (reg == nullptr)
        return;
    execq_cancel_token token = 0;
    const execq_status status = execq_cancel_source_on_cancel(source.get(), reg_cancel, reg, reg_drop, &token);
    settle(*reg, status);
    if (status != EXECQ_OK || !takes_back)
        return;
    const execq_status off = execq_cancel_source_off(source.get(), token);
    CHECK(off == EXECQ_OK || off == EXECQ_EALREADY);
    CHECK(reg->delivered == (off == EXECQ_OK ? 0 : 1));
    if (off == EXECQ_OK)
        CHECK(reg->drops == 1);
}

void source_link(World& world, Args& args)
{
    const Sources::Ref source = pick(world.sources, args);
    const Futures::Ref future = pick(world.futures, args);
    const execq_status status = execq_cancel_source_link_future(source.get(), future.get());
    CHECK(source && future ? status == EXECQ_OK || status == EXECQ_ENOMEM : status == EXECQ_EINVAL);
}

void source_release(World& world, Args& args) { world.sources[args.below(world.sources.size())].take(); }

// ---- completion queues ----

void cq_new(World& world, Args& args)
{
    CqModel* model = world.cq_models.make();
    if (model == nullptr)
        return;
    execq_cq* cq = nullptr;
    const execq_status status = execq_cq_new(&cq);
    CHECK(status == EXECQ_OK || status == EXECQ_ENOMEM);
    if (status != EXECQ_OK)
        return;
    Cqs::Ref before = world.cqs[args.below(world.cqs.size())].exchange(Cqs::Ref(cq, model));
    if (before)
        before->orphaned = 1;
}

void cq_drain_some(World& world, Args& args)
{
    const Cqs::Ref cq = pick(world.cqs, args);
    if (cq)
        drain(cq.get(), 1 + args.below(4));
    else
        CHECK(execq_cq_wait(nullptr, 0) == EXECQ_EINVAL);
}

void cq_wait(World& world, Args& args)
{
    const Cqs::Ref cq = pick(world.cqs, args);
    const execq_status status = execq_cq_wait(cq.get(), short_time(args));
    CHECK(cq ? status == EXECQ_OK || status == EXECQ_ETIMEDOUT || status == EXECQ_ECLOSED || status == EXECQ_EDEADLK
             : status == EXECQ_EINVAL);
}

void cq_close(World& world, Args& args)
{
    const Cqs::Ref cq = pick(world.cqs, args);
    const execq_status status = execq_cq_close(cq.get(), tag_drop);
    CHECK(cq ? status == EXECQ_OK || status == EXECQ_EALREADY : status == EXECQ_EINVAL);
    if (status == EXECQ_OK) {
        execq_completion one;
        size_t n = 0;
        CHECK(execq_cq_drain(cq.get(), &one, 1, &n) == EXECQ_ECLOSED);
    }
}

void cq_release(World& world, Args& args)
{
    Cqs::Ref cq = world.cqs[args.below(world.cqs.size())].take();
    if (cq)
        cq->orphaned = 1;
}

}  // namespace

std::size_t drain(execq_cq* cq, std::size_t max)
{
    std::array<execq_completion, 4> got;
    size_t n = 0;
    const execq_status status = execq_cq_drain(cq, got.data(), std::min(max, got.size()), &n);
    CHECK(status == EXECQ_OK || status == EXECQ_ECLOSED);
    if (status != EXECQ_OK)
        return 0;
    for (size_t i = 0; i < n; ++i) {
        Reg& reg = *static_cast<Reg*>(got[i].tag);
        CHECK(reg.entry != Entry::refused);
        CHECK(reg.drops == 0);
        CHECK(reg.delivered.fetch_add(1) == 0);
        CHECK(got[i].status == EXECQ_OK || got[i].status == EXECQ_EFAILED || got[i].status == EXECQ_ECANCELED);
        if (reg.job != nullptr)
            note_future(*reg.job, got[i].future);
        execq_future_release(got[i].future);
    }
    return n;
}

std::span<const Op> flow_ops()
{
    static constexpr Op ops[] = {
        {"queue_new", queue_new, 0},
        {"queue_pause", queue_pause, 0},
        {"queue_set_key", queue_set_key, 0},
        {"queue_counts", queue_counts, 0},
        {"queue_close", queue_close, 0},
        {"queue_release", queue_release, 0},
        {"group_new", group_new, 0},
        {"group_join", group_join, op_blocks},
        {"group_cancel", group_cancel, 0},
        {"group_look", group_look, 0},
        {"group_release", group_release, 0},
        {"source_new", source_new, 0},
        {"source_cancel", source_cancel, 0},
        {"source_on_cancel", source_on_cancel, 0},
        {"source_link", source_link, 0},
        {"source_release", source_release, 0},
        {"cq_new", cq_new, 0},
        {"cq_drain", cq_drain_some, 0},
        {"cq_wait", cq_wait, op_blocks},
        {"cq_close", cq_close, 0},
        {"cq_release", cq_release, 0},
    };
    return ops;
}

}  // namespace fuzz
