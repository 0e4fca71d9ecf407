// What a decision costs: nanoseconds with 1, 500 and 10 000 rules of a few countries each, for
// requests that match none, and with as many rules of paths. Usage: access_geo_rules_bench; prints
// the median of nine runs, and the least and the most.
#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "access/geo_rules.h"
#include "base/random.h"

namespace {

using weir::access::GeoRequest;
using weir::access::GeoRules;
using weir::base::Random;
using weir::config::Config;
using weir::config::Country;
using weir::config::GeoAction;
using weir::config::GeoRule;

constexpr size_t kRequests = 1'000'000;
constexpr weir::base::Wall kNow{std::chrono::seconds{1'760'000'000}};

void measure(const char* what, const GeoRules& rules, const std::vector<GeoRequest>& requests) {
  std::array<double, 9> runs{};
  size_t blocked = 0;
  for (double& run : runs) {
    blocked = 0;
    const auto begun = std::chrono::steady_clock::now();
    for (const GeoRequest& request : requests)
      blocked += rules.decide(request, kNow).enforced.action == GeoAction::block ? 1U : 0U;
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begun;
    run = took.count() / static_cast<double>(requests.size());
  }
  std::sort(runs.begin(), runs.end());
  std::printf("%-34s %5.0f ns (%.0f to %.0f), %.0f %% blocked\n", what, runs[4], runs.front(),
              runs.back(),
              100 * static_cast<double>(blocked) / static_cast<double>(requests.size()));
}

}  // namespace

int main() {
  Random random{42};
  const auto country = [&] { return Country::at(1 + random.below(Country::kKnown)); };
  std::vector<std::string> paths;
  for (size_t i = 0; i < 20'000; ++i)
    paths.push_back("/v1/tenant-" + std::to_string(i) + "/items/42");
  std::vector<GeoRequest> requests(kRequests);
  for (GeoRequest& request : requests)
    request = {.country = country(), .path = paths[random.below(paths.size())]};
  for (const size_t count : {1U, 500U, 10'000U}) {
    Config config;
    for (size_t i = 0; i < count; ++i) {
      GeoRule& rule = config.geo_rules.emplace_back();
      rule.action = GeoAction::block;
      rule.priority = static_cast<int32_t>(random.below(1000));
      for (int k = 0; k < 5; ++k)
        rule.countries.emplace_back(country().code());
    }
    const std::string name = std::to_string(count) + " rules";
    const auto begun = std::chrono::steady_clock::now();
    const GeoRules everywhere{config};
    const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begun;
    std::printf("%s: built in %.1f ms, %zu KiB\n", name.c_str(), took.count(),
                everywhere.bytes() / 1024);
    measure((name + ", random countries").c_str(), everywhere, requests);
    std::vector<GeoRequest> strangers = requests;
    for (GeoRequest& request : strangers)
      request.country = Country{};
    measure((name + ", none matches").c_str(), everywhere, strangers);
    for (size_t i = 0; i < count; ++i)
      config.geo_rules[i].paths = {"/v1/tenant-" + std::to_string(i) + "/*"};
    measure((name + " of paths").c_str(), GeoRules{config}, requests);
  }
}
