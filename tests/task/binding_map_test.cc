// Persistent maps: each version stays what it was, and each value is dropped once.
#include <map>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "failing_new.h"
#include "task/binding_map.h"

using namespace execq::core;

namespace {

struct Value {
    int alive = 0;

    static void drop(void* value) { --static_cast<Value*>(value)->alive; }
};

struct ReleaseVar {
    void operator()(Var* var) const { var->release(); }
};
using OwnedVar = std::unique_ptr<Var, ReleaseVar>;

OwnedVar new_var() { return OwnedVar(Var::make(Value::drop, nullptr)); }

// Variables some of whose ids share their low bits, so that the trie is deep here and there.
std::vector<OwnedVar> new_vars(std::size_t n, std::size_t apart)
{
    std::vector<OwnedVar> vars;
    while (vars.size() != n) {
        vars.push_back(new_var());
        for (std::size_t i = 1; i < apart; ++i)
            new_var();
    }
    return vars;
}

bool set(const BindingMap& map, Var& var, Value& value, BindingMap& out)
{
    Binding* binding = Binding::make(var, &value);
    if (binding == nullptr)
        return false;
    if (!map.with(*binding, out)) {
        binding->discard();
        return false;
    }
    ++value.alive;
    binding->release();
    return true;
}

void* value_in(const BindingMap& map, const Var& var)
{
    const Binding* binding = map.find(var.id());
    return binding != nullptr ? binding->value() : nullptr;
}

TEST(BindingMap, IsEmptyAtFirst)
{
    const OwnedVar var = new_var();
    const BindingMap map;
    EXPECT_TRUE(map.empty());
    EXPECT_EQ(map.find(var->id()), nullptr);
    BindingMap out;
    EXPECT_TRUE(map.without(var->id(), out));
    EXPECT_TRUE(out.empty());
}

TEST(BindingMap, LeavesTheOneThatItIsMadeOfAsItIs)
{
    const OwnedVar a = new_var();
    const OwnedVar b = new_var();
    Value one, two, three;
    BindingMap first, second, third, fourth;
    ASSERT_TRUE(set(first, *a, one, first));
    ASSERT_TRUE(set(first, *b, two, second));
    ASSERT_TRUE(set(second, *a, three, third));
    ASSERT_TRUE(third.without(b->id(), fourth));
    EXPECT_EQ(value_in(first, *a), &one);
    EXPECT_EQ(value_in(first, *b), nullptr);
    EXPECT_EQ(value_in(second, *a), &one);
    EXPECT_EQ(value_in(second, *b), &two);
    EXPECT_EQ(value_in(third, *a), &three);
    EXPECT_EQ(value_in(third, *b), &two);
    EXPECT_EQ(value_in(fourth, *a), &three);
    EXPECT_EQ(value_in(fourth, *b), nullptr);
}

TEST(BindingMap, DropsAValueWhenTheLastMapThatHoldsItIsGone)
{
    const OwnedVar var = new_var();
    Value value, other;
    {
        BindingMap first;
        ASSERT_TRUE(set(first, *var, value, first));
        {
            const BindingMap copy(first);
            ASSERT_TRUE(set(first, *var, other, first));
            EXPECT_EQ(value.alive, 1);
        }
        EXPECT_EQ(value.alive, 0);
        EXPECT_EQ(other.alive, 1);
    }
    EXPECT_EQ(other.alive, 0);
}

TEST(BindingMap, KeepsAVariableAliveForItsValues)
{
    Value value;
    BindingMap map;
    {
        const OwnedVar var = new_var();
        ASSERT_TRUE(set(map, *var, value, map));
    }
    map = {};
    EXPECT_EQ(value.alive, 0);
}

// Against std::map, over many versions that live at the same time.
void compare_with_std_map(std::size_t n_vars, std::size_t apart, unsigned seed)
{
    struct Version {
        BindingMap map;
        std::map<const Var*, Value*> expected;
    };
    std::minstd_rand random(seed);
    const std::vector<OwnedVar> vars = new_vars(n_vars, apart);
    std::vector<std::unique_ptr<Value>> values;
    {
        std::vector<Version> versions(1);
        for (int step = 0; step < 2000; ++step) {
            const Version& from = versions[random() % versions.size()];
            Version next{from.map, from.expected};
            Var& var = *vars[random() % vars.size()];
            if (random() % 5 < 3) {
                values.push_back(std::make_unique<Value>());
                ASSERT_TRUE(set(from.map, var, *values.back(), next.map));
                next.expected[&var] = values.back().get();
            } else {
                ASSERT_TRUE(from.map.without(var.id(), next.map));
                next.expected.erase(&var);
            }
            if (versions.size() < 20)
                versions.push_back(std::move(next));
            else
                versions[random() % versions.size()] = std::move(next);
            const Version& looked_at = versions[random() % versions.size()];
            ASSERT_EQ(looked_at.map.empty(), looked_at.expected.empty());
            for (const OwnedVar& each : vars) {
                const auto found = looked_at.expected.find(each.get());
                ASSERT_EQ(value_in(looked_at.map, *each), found != looked_at.expected.end() ? found->second : nullptr);
            }
        }
        // A value is alive if and only if some version has it.
        std::map<const Value*, bool> held;
        for (const Version& version : versions) {
            for (const auto& entry : version.expected)
                held[entry.second] = true;
        }
        for (const auto& value : values)
            ASSERT_EQ(value->alive, held.count(value.get()) != 0 ? 1 : 0);
    }
    for (const auto& value : values)
        ASSERT_EQ(value->alive, 0);
}

TEST(BindingMap, AgreesWithStdMap)
{
    for (unsigned seed = 1; seed <= 3; ++seed) {
        compare_with_std_map(3, 1, seed);
        compare_with_std_map(40, 1, seed);
        compare_with_std_map(150, 1, seed);
        compare_with_std_map(40, 1024, seed);  // the same low bits, two levels of them
    }
}

// Whichever allocation fails: the map is as it was, the value the caller's, nothing leaks.
TEST(BindingMap, StaysAsItIsWhereMemoryIsOut)
{
    const std::vector<OwnedVar> vars = new_vars(60, 7);
    std::vector<Value> values(vars.size());
    BindingMap map;
    for (std::size_t i = 0; i < vars.size(); ++i) {
        const int failed = fail_each_allocation([&] { return set(map, *vars[i], values[i], map); }, false,
                                                [&] {
                                                    EXPECT_EQ(value_in(map, *vars[i]), nullptr);
                                                    EXPECT_EQ(values[i].alive, 0);
                                                });
        EXPECT_GE(failed, i == 0 ? 1 : 2);
        EXPECT_LT(failed, 10);
        EXPECT_EQ(value_in(map, *vars[i]), &values[i]);
    }
    int failed = 0;
    for (std::size_t i = 0; i < vars.size(); ++i) {
        failed += fail_each_allocation([&] { return map.without(vars[i]->id(), map); }, false,
                                       [&] {
                                           EXPECT_EQ(value_in(map, *vars[i]), &values[i]);
                                           EXPECT_EQ(values[i].alive, 1);
                                       });
        EXPECT_EQ(values[i].alive, 0);
    }
    EXPECT_GT(failed, static_cast<int>(vars.size()) / 2);
    EXPECT_TRUE(map.empty());
}

}  // namespace
