// Loops: each thread that makes calls may have one, with ports that the others use.
#include <execq/uv.h>

#include "ops.h"

namespace fuzz {

namespace {

LaneState* lane_here() { return this_lane >= 0 ? &world().lanes[static_cast<unsigned>(this_lane)] : nullptr; }

void loop_attach(World& world, Args& args)
{
    LaneState* lane = lane_here();
    PortModel* model = lane != nullptr ? world.port_models.make() : nullptr;
    if (model == nullptr)
        return;
    if (!lane->has_loop) {
        CHECK(uv_loop_init(&lane->loop) == 0);
        lane->has_loop = true;
    }
    model->lane = static_cast<unsigned>(this_lane);
    execq_loop* port = nullptr;
    const unsigned bits = args.byte();
    const execq_status status =
        (bits & 16) != 0 ? execq_loop_attach_uv(&lane->loop, nullptr, &port) : execq_loop_attach(&lane->loop, &port);
    CHECK(status == EXECQ_OK || status == EXECQ_ENOMEM);
    if (status != EXECQ_OK)
        return;
    // What was there before stays attached until its thread runs it, or until the end.
    Ports::Ref before = world.ports[bits % world.ports.size()].exchange(Ports::Ref(port, model));
}

void loop_run(World&, Args& args)
{
    LaneState* lane = lane_here();
    if (lane == nullptr || !lane->has_loop)
        return;
    for (unsigned n = 1 + args.below(3); n > 0; --n)
        uv_run(&lane->loop, UV_RUN_NOWAIT);
}

void loop_detach(World& world, Args& args)
{
    const Ports::Ref port = pick(world.ports, args);
    if (!port) {
        CHECK(execq_loop_detach(nullptr) == EXECQ_EINVAL);
        return;
    }
    if (static_cast<int>(port->lane) != this_lane)
        return;
    const execq_status status = execq_loop_detach(port.get());
    CHECK(status == EXECQ_OK || status == EXECQ_EALREADY);
    if (status == EXECQ_OK)
        CHECK(port->detached.fetch_add(1) == 0);
}

void loop_hold(World& world, Args& args)
{
    const Ports::Ref port = pick(world.ports, args);
    const bool holds = args.chance(2);
    const execq_status status = holds ? execq_loop_hold(port.get()) : execq_loop_unhold(port.get());
    CHECK(port ? status == EXECQ_OK || status == EXECQ_ECLOSED || (!holds && status == EXECQ_EINVAL)
               : status == EXECQ_EINVAL);
}

void loop_release(World& world, Args& args) { world.ports[args.below(world.ports.size())].take(); }

void main_loop(World& world, Args& args)
{
    const Ports::Ref port = pick(world.ports, args);
    execq_conf conf = EXECQ_CONF_INIT;
    conf.main_loop = port.get();
    conf.flags = args.chance(3) ? EXECQ_CONF_CLEAR_MAIN_LOOP : 0;
    const execq_status status = execq_init_conf(&conf);
    CHECK(status == (port && conf.flags != 0 ? EXECQ_EINVAL : EXECQ_OK));
    execq_loop* found = nullptr;
    const execq_status there = execq_main_loop(&found);
    CHECK(there == EXECQ_OK || there == EXECQ_ECLOSED);
    execq_loop_release(found);
}

void thread_loop(World&, Args&)
{
    uv_loop_s* loop = nullptr;
    uv_loop_s* again = nullptr;
    const execq_status status = execq_thread_loop(&loop);
    CHECK(status == EXECQ_OK || status == EXECQ_ENOMEM || status == EXECQ_ECLOSED);
    if (status == EXECQ_OK)
        CHECK(execq_thread_loop(&again) == EXECQ_OK && again == loop);
}

void thread_loop_close(World&, Args&)
{
    const execq_status status = execq_thread_loop_close();
    CHECK(status == EXECQ_OK || status == EXECQ_EALREADY || status == EXECQ_EBUSY || status == EXECQ_EINVAL);
}

}  // namespace

std::span<const Op> loop_ops()
{
    static constexpr Op ops[] = {
        {"loop_attach", loop_attach, op_outermost},
        {"loop_run", loop_run, op_outermost},
        {"loop_detach", loop_detach, 0},
        {"loop_hold", loop_hold, 0},
        {"loop_release", loop_release, 0},
        {"main_loop", main_loop, op_outermost},
        {"thread_loop", thread_loop, op_blocks},  // the thread that keeps times would have one until it ends
        {"thread_loop_close", thread_loop_close, op_outermost},
    };
    return ops;
}

}  // namespace fuzz
