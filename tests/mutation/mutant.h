// Included before everything else where a model is compiled from headers that orders.py has prepared. Each place that it
// found there asks here, by its number, whether this run is the one without it: one program for all mutants of a model.
//
//   EXECQ_MUTANT=<place>[:<order>]   weaken or leave out that place
//   EXECQ_REACHED=<file>             write the numbers of the places that were reached, once the program ends
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace execq_mutant {

constexpr int most_places = 4096;

inline std::memory_order order_called(const char* name)
{
    if (std::strcmp(name, "relaxed") == 0)
        return std::memory_order_relaxed;
    if (std::strcmp(name, "acquire") == 0)
        return std::memory_order_acquire;
    if (std::strcmp(name, "release") == 0)
        return std::memory_order_release;
    if (std::strcmp(name, "acq_rel") == 0)
        return std::memory_order_acq_rel;
    std::fprintf(stderr, "mutant.h: there is no order '%s'\n", name);
    std::_Exit(2);
}

struct Chosen {
    int place = -1;
    std::memory_order order = std::memory_order_seq_cst;
    bool reached[most_places] = {};

    Chosen()
    {
        const char* text = std::getenv("EXECQ_MUTANT");
        if (text == nullptr)
            return;
        place = std::atoi(text);
        if (const char* colon = std::strchr(text, ':'))
            order = order_called(colon + 1);
    }
    ~Chosen()
    {
        const char* path = std::getenv("EXECQ_REACHED");
        std::FILE* file = path != nullptr ? std::fopen(path, "w") : nullptr;
        if (file == nullptr)
            return;
        for (int i = 0; i < most_places; ++i) {
            if (reached[i])
                std::fprintf(file, "%d\n", i);
        }
        std::fclose(file);
    }
};

inline Chosen chosen;

inline std::memory_order order(int place, std::memory_order shipped)
{
    chosen.reached[place] = true;
    return place == chosen.place ? chosen.order : shipped;
}

inline bool left_out(int place)
{
    chosen.reached[place] = true;
    return place == chosen.place;
}

}  // namespace execq_mutant
