#include "task_options.h"

#define FIELD_END(field) (offsetof(execq_task_options, field) + sizeof(execq_task_options{}.field))

namespace fuzz {

TaskOptions::TaskOptions(World& world, Job& job, Executors::Ref executor, Args& args)
    : job_(job), executor_(std::move(executor))
{
    const unsigned flags = args.byte();
    const unsigned scopes = args.byte();
    const unsigned times = args.byte();
    job.exec = executor_.model();
    read_flags(flags);
    read_scopes(world, scopes);
    read_times(world, times);
    if ((times & 0xf0) == 0xf0)
        break_something(args.byte());
    if ((times & 0xf0) == 0xe0)
        leave_out();
}

void TaskOptions::read_flags(unsigned bits)
{
    static constexpr std::int32_t priorities[] = {EXECQ_PRIORITY_NORMAL, EXECQ_PRIORITY_NORMAL, EXECQ_PRIORITY_HIGH,
                                                  EXECQ_PRIORITY_LOW};
    execq_task_options& options = given_.options;
    options.drop = (bits & 1) == 0 ? env_drop : nullptr;
    options.drop_result = (bits & 2) == 0 ? value_drop : nullptr;
    options.name = (bits & 4) == 0 ? job_.name : nullptr;
    options.env_size = (bits & 8) != 0 ? sizeof(Env) : 0;
    options.priority = priorities[(bits >> 4) % 4];
    if ((bits & 0x40) != 0)
        options.flags |= EXECQ_TASK_NO_WAIT;
    if ((bits & 0xf0) == 0x80)
        options.flags |= EXECQ_TASK_INTERRUPT;
}

void TaskOptions::read_scopes(World& world, unsigned bits)
{
    execq_task_options& options = given_.options;
    if ((bits & 3) != 3)
        queue_ = world.queues[bits & 3].borrow();
    if ((bits & 12) != 12)
        group_ = world.groups[(bits >> 2) & 3].borrow();
    if ((bits & 48) != 48)
        source_ = world.sources[(bits >> 4) & 3].borrow();
    options.queue = queue_.get();
    options.group = group_.get();
    options.cancel_source = source_.get();
    options.key = queue_ ? bits >> 6 : 0;
}

void TaskOptions::read_times(World& world, unsigned bits)
{
    execq_task_options& options = given_.options;
    const std::int64_t time = (bits & 4) != 0 ? ms : (bits & 32) != 0 ? -1 : 100 * us;
    switch (bits & 3) {
    case 1:
        options.delay_ns = time;
        break;
    case 2:
        options.start_within_ns = time;
        break;
    case 3:
        options.timeout_ns = time;
        break;
    default:
        break;
    }
    if ((bits & 24) == 24) {
        context_ = world.contexts[(bits >> 5) % world.contexts.size()].borrow();
        options.context = context_.get();
    }
}

void TaskOptions::break_something(unsigned choice)
{
    execq_task_options& options = given_.options;
    static constexpr std::size_t sizes[] = {0,
                                            8,
                                            15,
                                            FIELD_END(drop),
                                            FIELD_END(drop_result),
                                            FIELD_END(env_size),
                                            FIELD_END(timeout_ns),
                                            FIELD_END(uv_identity),
                                            FIELD_END(priority),
                                            FIELD_END(context),
                                            FIELD_END(queue),
                                            FIELD_END(group),
                                            sizeof given_,
                                            100000};
    switch (choice % 8) {
    case 0:
    case 1:
    case 2:
    case 3:
        options.struct_size = static_cast<std::uint32_t>(sizes[(choice >> 3) % std::size(sizes)]);
        break;
    case 4:
        options.struct_size = sizeof given_;
        given_.later[(choice >> 3) % sizeof given_.later] = 1;
        break;
    case 5:
        options.flags |= 0x100;
        break;
    case 6:
        options.reserved = 1;
        break;
    default:
        options.priority = 9;
    }
}

void TaskOptions::leave_out()
{
    none_ = true;
    given_.options = EXECQ_TASK_OPTIONS_INIT;
    queue_ = Queues::Ref();
    group_ = Groups::Ref();
}

execq_group* TaskOptions::group_apart()
{
    given_.options.group = nullptr;
    return group_.get();
}

void TaskOptions::seal_as(Job& other) const
{
    other.exec = job_.exec;
    other.queue = job_.queue;
    other.group = job_.group;
    other.key = job_.key;
    other.has_drop = job_.has_drop;
    other.has_drop_result = job_.has_drop_result;
}

void TaskOptions::seal(bool in_order)
{
    execq_task_options& options = given_.options;
    job_.has_drop = options.drop != nullptr && sees(FIELD_END(drop));
    job_.has_drop_result = options.drop_result != nullptr && sees(FIELD_END(drop_result));
    job_.named = options.name != nullptr && sees(FIELD_END(name));
    if (sees(FIELD_END(queue)))
        job_.queue = queue_.model();
    if (group_ && (options.group == nullptr || sees(FIELD_END(group))))
        job_.group = group_.model();
    job_.key = sees(FIELD_END(key)) ? static_cast<unsigned>(options.key) : 0;
    if (job_.exec == nullptr && job_.queue != nullptr)
        job_.exec = job_.queue->exec;
    if (job_.exec == nullptr && job_.group != nullptr)
        job_.exec = job_.group->exec;
    nowhere_ = job_.exec == nullptr && !world().configured;
    if ((job_.exec != nullptr && job_.exec->may_block) || (job_.queue != nullptr && job_.queue->may_block)) {
        // It waits for room no longer than for its start.
        nowhere_ = nowhere_ || none_;
        if (callbacks_here > 0 || !sees(FIELD_END(start_within_ns)))
            options.flags |= EXECQ_TASK_NO_WAIT;
        else if (options.start_within_ns == 0)
            options.start_within_ns = ms;
    }
    if (in_order && this_lane >= 0 && current_depth() == 0 && callbacks_here == 0 && options.delay_ns <= 0 &&
        job_.queue != nullptr) {
        job_.lane = this_lane;
        job_.turn = ++world().lanes[static_cast<unsigned>(this_lane)].turn;
    }
}

}  // namespace fuzz
