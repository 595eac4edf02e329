// bench/peers. The pools that this build knows; the build system says which ones it has found.
#pragma once

#include <vector>

#include "harness/case.h"
#include "peers/execq.h"
#include "peers/mutex.h"
#ifdef BENCH_HAS_MOODYCAMEL
#include "peers/moodycamel.h"
#endif
#ifdef BENCH_HAS_TBB
#include "peers/tbb.h"
#endif
#ifdef BENCH_HAS_ASIO
#include "peers/asio.h"
#endif
#ifdef BENCH_HAS_GLIB
#include "peers/glib.h"
#endif

namespace bench {

// Calls visit.operator()<Peer>() for each peer.
template <class Visit>
void for_each_peer(Visit visit)
{
    visit.template operator()<Execq>();
#ifdef BENCH_HAS_MOODYCAMEL
    visit.template operator()<Moodycamel>();
    visit.template operator()<MoodycamelBulk>();
#endif
#ifdef BENCH_HAS_TBB
    visit.template operator()<Tbb>();
#endif
#ifdef BENCH_HAS_ASIO
    visit.template operator()<Asio>();
#endif
#ifdef BENCH_HAS_GLIB
    visit.template operator()<Glib>();
#endif
    visit.template operator()<Mutex>();
}

// The entries of a scenario: run_of.operator()<Peer>() gives the function that measures a peer.
template <class RunOf>
std::vector<Entry> pool_entries(RunOf run_of)
{
    std::vector<Entry> entries;
    for_each_peer([&entries, &run_of]<class Peer>() {
        entries.push_back({Peer::name, &Peer::version, run_of.template operator()<Peer>()});
    });
    return entries;
}

}  // namespace bench
