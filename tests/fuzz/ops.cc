#include "ops.h"

#include <cstdio>
#include <cstdlib>

#include "faults.h"

namespace fuzz {

namespace {

// 128 places: what is common stands in many of them, so that programs of chance do something.
constexpr std::size_t places = 128;

struct Table {
    std::array<Op, places> ops{};

    Table()
    {
        std::size_t n = 1;  // the first is the barrier
        for (const auto list :
             {executor_ops(), submit_ops(), future_ops(), promise_ops(), flow_ops(), loop_ops(), context_ops()}) {
            for (const Op& op : list)
                ops[n++] = op;
        }
        const std::span<const Op> submissions = submit_ops().first(10);
        for (std::size_t i = 0; n < places; ++i)
            ops[n++] = i % 11 == 10 ? executor_ops().front() : submissions[i % 11];
    }
};

const Op& op_of(const Record& record)
{
    static const Table table;
    return table.ops[record.code % places];
}

// Of 16 calls one is made while memory is out, from the first to the eighth allocation on.
unsigned fault_of(const Record& record) { return (record.lane & 0x1e) == 0x1e ? 1 + (record.lane >> 5) : 0; }

}  // namespace

bool is_barrier(const Record& record) { return record.code % places == 0; }

void run_record(const Record& record, bool outermost)
{
    const Op& op = op_of(record);
    if (op.run == nullptr || (!outermost && world().closing))
        return;
    if (!outermost && (op.flags & op_outermost) != 0)
        return;
    if (callbacks_here > 0 && (op.flags & op_blocks) != 0)
        return;
    static const bool traced = std::getenv("EXECQ_FUZZ_TRACE") != nullptr;
    if (traced)
        std::fprintf(stderr, "%*s%s on %d\n", outermost ? 0 : 4, "", op.name, this_lane);
    Args args = record.args;
    const OutOfMemory fault(outermost ? fault_of(record) : 0);
    op.run(world(), args);
}

}  // namespace fuzz
