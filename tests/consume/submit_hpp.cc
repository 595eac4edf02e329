// A program that uses the library through execq/execq.hpp, and no libuv of its own.
#include <cstdio>
#include <execq/execq.hpp>

static execq::task<int> twice(execq::executor pool, int number)
{
    co_return 2 * co_await pool.submit([number] { return number; });
}

int main()
{
    const execq::scoped_executor pool({.max_threads = 1});
    const int seen = execq::start(twice(pool, 72)).get();
    std::printf("%d\n", seen);
    return seen == 144 ? 0 : 1;
}
