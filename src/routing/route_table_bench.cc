// What a match costs: nanoseconds per request, median of 15 rounds, for tables of 10 to 10 000
// routes. Usage: routing_route_table_bench
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "config/validate.h"
#include "routing/route_table.h"

namespace {

using weir::routing::NoHeaders;
using weir::routing::RouteTable;

struct Shape {
  const char* name;
  void (*make)(weir::config::Route& route, size_t index, std::string& path, std::string& host);
};

void prefixes(weir::config::Route& route, size_t index, std::string& path, std::string& /*host*/) {
  route.pattern = "/service-" + std::to_string(index) + "/*";
  path = "/service-" + std::to_string(index) + "/v1/items/123456";
}

void nested(weir::config::Route& route, size_t index, std::string& path, std::string& /*host*/) {
  route.pattern = "/v1/*/items-" + std::to_string(index) + "/*/parts/**";
  path = "/v1/tenant/items-" + std::to_string(index) + "/77/parts/a/b";
}

void hosts(weir::config::Route& route, size_t index, std::string& path, std::string& host) {
  host = "host-" + std::to_string(index) + ".example.com";
  route.pattern = "/**";
  route.hosts = {host};
  path = "/v1/items/123456";
}

double measure(const Shape& shape, size_t count) {
  weir::config::Config config;
  std::vector<std::string> paths(count);
  std::vector<std::string> names(count, "example.com");
  for (size_t index = 0; index < count; ++index) {
    weir::config::Route route;
    route.id = "r" + std::to_string(index);
    route.upstreams = {{.url = "http://127.0.0.1:9000"}};
    shape.make(route, index, paths[index], names[index]);
    config.routes.push_back(std::move(route));
  }
  weir::config::complete(config);
  const RouteTable table{std::make_shared<const weir::config::Config>(std::move(config))};
  const NoHeaders headers;
  weir::base::Random random{1};
  std::vector<size_t> order(100'000);
  for (size_t& index : order)
    index = random.below(count);
  std::vector<double> rounds;
  for (int round = 0; round < 15; ++round) {
    size_t found = 0;
    const auto start = std::chrono::steady_clock::now();
    for (const size_t index : order) {
      const auto* route = table.match({names[index], "GET", paths[index], headers});
      found += route != nullptr && route->index == index ? 1 : 0;
    }
    const std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - start;
    if (found != order.size()) std::printf("WRONG: %zu found\n", found);
    rounds.push_back(took.count() / static_cast<double>(order.size()));
  }
  std::nth_element(rounds.begin(), rounds.begin() + 7, rounds.end());
  return rounds[7];
}

}  // namespace

int main() {
  for (const Shape& shape :
       {Shape{"prefixes", prefixes}, Shape{"nested", nested}, Shape{"hosts", hosts}}) {
    for (const size_t count : {size_t{10}, size_t{1000}, size_t{10'000}}) {
      std::printf("%-9s %6zu routes  %6.1f ns\n", shape.name, count, measure(shape, count));
    }
  }
}
