#include "flow/uv_table.h"

#include <cstring>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>
#include <uv.h>

using namespace execq::core;

namespace {

// The symbols of a libuv copy of our own making.
struct Symbols {
    std::map<std::string, void*> table;
    std::set<std::string> asked;

    static void* find(void* env, const char* name)
    {
        auto* self = static_cast<Symbols*>(env);
        self->asked.insert(name);
        const auto found = self->table.find(name);
        return found != self->table.end() ? found->second : nullptr;
    }

    Symbols()
    {
        set("uv_version", uv_version);
        set("uv_version_string", uv_version_string);
        set("uv_loop_size", uv_loop_size);
        set("uv_handle_size", uv_handle_size);
        set("uv_async_init", uv_async_init);
        set("uv_async_send", uv_async_send);
        set("uv_close", uv_close);
        set("uv_ref", uv_ref);
        set("uv_unref", uv_unref);
    }
    template <class Function>
    void set(const char* name, Function* function)
    {
        table[name] = reinterpret_cast<void*>(function);
    }
};

bool same(const execq_uv_table& a, const execq_uv_table& b) { return std::memcmp(&a, &b, sizeof a) == 0; }

TEST(UvTable, IsLoadedBySymbolLookup)
{
    Symbols symbols;
    execq_uv_table table{};
    table.struct_size = sizeof table;
    ASSERT_EQ(load_uv_table(Symbols::find, &symbols, &table), EXECQ_OK);
    EXPECT_TRUE(same(table, own_uv_table()));
    EXPECT_EQ(check_uv_table(table), EXECQ_OK);
    EXPECT_EQ(symbols.asked.size(), symbols.table.size()) << "something is looked up that this test does not know";
}

TEST(UvTable, IsRefusedAndUntouchedWhereASymbolIsMissing)
{
    const Symbols all;
    for (const auto& [name, address] : all.table) {
        Symbols symbols;
        symbols.table.erase(name);
        execq_uv_table table;
        std::memset(&table, 0x5a, sizeof table);
        const execq_uv_table before = table;
        EXPECT_EQ(load_uv_table(Symbols::find, &symbols, &table), EXECQ_ENOTSUP) << name;
        EXPECT_TRUE(same(table, before)) << name;
    }
}

TEST(UvTable, IsRefusedWhereTheCopyIsOlderThan1_44)
{
    Symbols symbols;
    symbols.set(
        "uv_version", +[] { return (1U << 16) | (43U << 8) | 255U; });
    execq_uv_table table;
    std::memset(&table, 0x5a, sizeof table);
    const execq_uv_table before = table;
    EXPECT_EQ(load_uv_table(Symbols::find, &symbols, &table), EXECQ_ENOTSUP);
    EXPECT_TRUE(same(table, before));
    symbols.set(
        "uv_version", +[] { return (1U << 16) | (44U << 8); });
    EXPECT_EQ(load_uv_table(Symbols::find, &symbols, &table), EXECQ_OK);
    EXPECT_EQ(table.version, (1U << 16) | (44U << 8));
}

TEST(UvTable, OfOurOwnIsThatOfTheLinkedLibuv)
{
    const execq_uv_table& table = own_uv_table();
    EXPECT_EQ(table.struct_size, sizeof table);
    EXPECT_EQ(table.flags, 0U);
    EXPECT_EQ(table.version, uv_version());
    EXPECT_EQ(table.identity, uv_version_string());
    EXPECT_EQ(table.loop_size, sizeof(uv_loop_t));
    EXPECT_EQ(table.async_size, sizeof(uv_async_t));
    EXPECT_EQ(table.async_init, &uv_async_init);
    EXPECT_EQ(table.async_send, &uv_async_send);
    EXPECT_EQ(table.close, &uv_close);
    EXPECT_EQ(table.ref, &uv_ref);
    EXPECT_EQ(table.unref, &uv_unref);
}

TEST(UvTable, IsInvalidWhereAnEntryIsMissing)
{
    void (*const holes[])(execq_uv_table&) = {
        [](execq_uv_table& t) { t.identity = nullptr; },   [](execq_uv_table& t) { t.loop_size = 0; },
        [](execq_uv_table& t) { t.async_size = 0; },       [](execq_uv_table& t) { t.async_init = nullptr; },
        [](execq_uv_table& t) { t.async_send = nullptr; }, [](execq_uv_table& t) { t.close = nullptr; },
        [](execq_uv_table& t) { t.ref = nullptr; },        [](execq_uv_table& t) { t.unref = nullptr; },
    };
    for (const auto hole : holes) {
        execq_uv_table table = own_uv_table();
        hole(table);
        EXPECT_EQ(check_uv_table(table), EXECQ_EINVAL);
    }
}

TEST(UvTable, OfAnOldCopyIsNotSupported)
{
    execq_uv_table table = own_uv_table();
    table.version = (1U << 16) | (43U << 8) | 9U;
    EXPECT_EQ(check_uv_table(table), EXECQ_ENOTSUP);
    table.version = (1U << 16) | (44U << 8);
    EXPECT_EQ(check_uv_table(table), EXECQ_OK);
    table.async_send = nullptr;
    table.version = 0;
    EXPECT_EQ(check_uv_table(table), EXECQ_EINVAL) << "what is missing comes first";
}

}  // namespace
