#include "base/uv_table.h"

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
    // And what it takes to own loops.
    static Symbols all()
    {
        Symbols symbols;
        symbols.set("uv_loop_init", uv_loop_init);
        symbols.set("uv_loop_close", uv_loop_close);
        symbols.set("uv_loop_alive", uv_loop_alive);
        symbols.set("uv_backend_fd", uv_backend_fd);
        symbols.set("uv_backend_timeout", uv_backend_timeout);
        symbols.set("uv_run", uv_run);
        symbols.set("uv_update_time", uv_update_time);
        symbols.set("uv_timer_init", uv_timer_init);
        symbols.set("uv_timer_start", uv_timer_start);
        symbols.set("uv_timer_stop", uv_timer_stop);
        symbols.set("uv_walk", uv_walk);
        symbols.set("uv_is_closing", uv_is_closing);
        symbols.set("uv_handle_get_type", uv_handle_get_type);
        symbols.set("uv_handle_type_name", uv_handle_type_name);
        return symbols;
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
    Symbols symbols = Symbols::all();
    execq_uv_table table{};
    table.struct_size = sizeof table;
    ASSERT_EQ(load_uv_table(Symbols::find, &symbols, sizeof table, &table), EXECQ_OK);
    EXPECT_TRUE(same(table, own_uv_table()));
    EXPECT_EQ(check_uv_table(table), EXECQ_OK);
    EXPECT_EQ(symbols.asked.size(), symbols.table.size()) << "something is looked up that this test does not know";
}

TEST(UvTable, OfTheFirstSizeNeedsNoMoreThanItHad)
{
    Symbols symbols;
    execq_uv_table table{};
    ASSERT_EQ(load_uv_table(Symbols::find, &symbols, first_uv_table_size, &table), EXECQ_OK);
    EXPECT_EQ(table.unref, own_uv_table().unref);
    EXPECT_EQ(table.timer_size, 0U);
    EXPECT_EQ(table.loop_init, nullptr);
    EXPECT_EQ(check_uv_table(table), EXECQ_OK);
    EXPECT_FALSE(can_own_loops(table));
    EXPECT_EQ(symbols.asked.size(), symbols.table.size()) << "something is looked up that the size does not cover";
}

TEST(UvTable, IsRefusedAndUntouchedWhereASymbolIsMissing)
{
    const Symbols all = Symbols::all();
    for (const auto& [name, address] : all.table) {
        Symbols symbols = all;
        symbols.table.erase(name);
        execq_uv_table table;
        std::memset(&table, 0x5a, sizeof table);
        const execq_uv_table before = table;
        EXPECT_EQ(load_uv_table(Symbols::find, &symbols, sizeof table, &table), EXECQ_ENOTSUP) << name;
        EXPECT_TRUE(same(table, before)) << name;
    }
}

TEST(UvTable, IsRefusedWhereTheCopyIsOlderThan1_44)
{
    Symbols symbols = Symbols::all();
    symbols.set(
        "uv_version", +[] { return (1U << 16) | (43U << 8) | 255U; });
    execq_uv_table table;
    std::memset(&table, 0x5a, sizeof table);
    const execq_uv_table before = table;
    EXPECT_EQ(load_uv_table(Symbols::find, &symbols, sizeof table, &table), EXECQ_ENOTSUP);
    EXPECT_TRUE(same(table, before));
    symbols.set(
        "uv_version", +[] { return (1U << 16) | (44U << 8); });
    EXPECT_EQ(load_uv_table(Symbols::find, &symbols, sizeof table, &table), EXECQ_OK);
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
    EXPECT_EQ(table.timer_size, sizeof(uv_timer_t));
    EXPECT_EQ(reinterpret_cast<void*>(table.run), reinterpret_cast<void*>(&uv_run));
    EXPECT_EQ(table.loop_init, &uv_loop_init);
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

TEST(UvTable, OwnsNoLoopsWhereOneOfTheirEntriesIsMissing)
{
    EXPECT_TRUE(can_own_loops(own_uv_table()));
    for (std::size_t at = first_uv_table_size; at < sizeof(execq_uv_table); at += sizeof(void*)) {
        execq_uv_table table = own_uv_table();
        std::memset(reinterpret_cast<char*>(&table) + at, 0, sizeof(void*));
        EXPECT_FALSE(can_own_loops(table)) << at;
        EXPECT_EQ(check_uv_table(table), EXECQ_OK) << "it still attaches loops";
    }
}

TEST(UvTable, NamesTheErrorsOfLibuv)
{
    EXPECT_EQ(status_of_uv(0), EXECQ_OK);
    EXPECT_EQ(status_of_uv(UV_ENOMEM), EXECQ_ENOMEM);
    EXPECT_EQ(status_of_uv(UV_EMFILE), EXECQ_EMFILE);
    EXPECT_EQ(status_of_uv(UV_ENFILE), EXECQ_EMFILE);
    EXPECT_EQ(status_of_uv(UV_EINVAL), EXECQ_EINVAL);
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
