// The options of a submission as the bytes say, and what they mean for the oracle.
#pragma once

#include <cstddef>

#include "ops.h"

namespace fuzz {

class TaskOptions {
public:
    // For a task of that executor (empty: what NULL stands for). Reads three bytes, and one more where they are to be wrong.
    TaskOptions(World& world, Job& job, Executors::Ref executor, Args& args);
    TaskOptions(const TaskOptions&) = delete;
    TaskOptions& operator=(const TaskOptions&) = delete;

    // Null where there are none.
    const execq_task_options* get() const { return none_ ? nullptr : &given_.options; }
    execq_executor* executor() const { return executor_.get(); }
    void* env() const { return &job_.env; }
    // The group is given to the call instead, as its own argument.
    execq_group* group_apart();
    // One name cannot tell several tasks apart.
    void without_name() { given_.options.name = nullptr; }
    // It is not to be submitted: nobody says where it would run, and NULL stands for what is not ours; or it might wait for
    // ever.
    bool nowhere() const { return nowhere_; }
    // To be called last: from here on the job is what it will be. in_order: its place in its queue is that of the call.
    void seal(bool in_order);
    // The same for another job of the same call.
    void seal_as(Job& other) const;

private:
    void read_flags(unsigned bits);
    void read_scopes(World& world, unsigned bits);
    void read_times(World& world, unsigned bits);
    void break_something(unsigned choice);
    void leave_out();
    bool sees(std::size_t end) const { return given_.options.struct_size >= end; }

    struct {
        execq_task_options options = EXECQ_TASK_OPTIONS_INIT;
        unsigned char later[16] = {};  // of a version to come
    } given_;
    Job& job_;
    bool none_ = false;
    bool nowhere_ = false;
    Executors::Ref executor_;
    Queues::Ref queue_;
    Groups::Ref group_;
    Sources::Ref source_;
    Contexts::Ref context_;
};

}  // namespace fuzz
