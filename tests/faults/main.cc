// faults.sweep [scenario [kind [once|ever [k]]]]
#include "scenarios.h"

int main(int argc, char** argv)
{
    using namespace faults;
    return sweep({task_scenarios(), future_scenarios(), loop_scenarios(), life_scenarios(), observe_scenarios(),
                  cpp_scenarios()},
                 argc, argv);
}
