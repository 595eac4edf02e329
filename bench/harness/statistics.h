// bench/harness. Medians and percentiles of small sets of figures.
#pragma once

#include <vector>

namespace bench {

// The value below which the given share (0 to 1) of the figures lies, by the nearest rank.
double percentile(std::vector<double> figures, double share);
double median(const std::vector<double>& figures);

}  // namespace bench
