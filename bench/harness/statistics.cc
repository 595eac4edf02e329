// bench/harness. See statistics.h.
#include "harness/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace bench {

double percentile(std::vector<double> figures, double share)
{
    if (figures.empty())
        return 0;
    const double rank = std::ceil(share * static_cast<double>(figures.size()));
    const std::size_t index = rank < 1 ? 0 : static_cast<std::size_t>(rank) - 1;
    const auto place = figures.begin() + static_cast<std::ptrdiff_t>(std::min(index, figures.size() - 1));
    std::nth_element(figures.begin(), place, figures.end());
    return *place;
}

double median(const std::vector<double>& figures)
{
    if (figures.size() % 2 == 1)
        return percentile(figures, 0.5);
    const double half = static_cast<double>(figures.size()) / 2;
    return (percentile(figures, 0.5) + percentile(figures, (half + 1) / static_cast<double>(figures.size()))) / 2;
}

}  // namespace bench
