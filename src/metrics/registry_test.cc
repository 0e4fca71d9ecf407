#include "metrics/registry.h"

#include <limits>

#include <gtest/gtest.h>

namespace weir::metrics {
namespace {

TEST(RegistryTest, CountersAreSumsOverTheShards) {
  Registry registry;
  const Counter requests = registry.counter("weir_requests_total", "Requests.");
  Shard& one = registry.make_shard();
  Shard& two = registry.make_shard();
  one.add(requests);
  two.add(requests, 41);
  EXPECT_EQ(registry.value(requests), 42U);
  EXPECT_EQ(registry.render(),
            "# HELP weir_requests_total Requests.\n"
            "# TYPE weir_requests_total counter\n"
            "weir_requests_total 42\n");
}

TEST(RegistryTest, FamilyHasOneSeriesForEachValueAlsoWithoutShards) {
  Registry registry;
  const auto classes = registry.counters("c_total", "By class.", "class", {"2xx", "5xx"});
  EXPECT_EQ(registry.render(),
            "# HELP c_total By class.\n# TYPE c_total counter\n"
            "c_total{class=\"2xx\"} 0\nc_total{class=\"5xx\"} 0\n");
  Shard& shard = registry.make_shard();
  shard.add(classes[1], 7);
  EXPECT_EQ(registry.value(classes[0]), 0U);
  EXPECT_EQ(registry.value(classes[1]), 7U);
}

TEST(RegistryTest, GaugesMayFallBelowZeroInOneShard) {
  Registry registry;
  const Gauge open = registry.gauge("open", "Open connections.");
  const auto parts = registry.gauges("parts", "Parts.", "part", {"a", "b"});
  Shard& one = registry.make_shard();
  Shard& two = registry.make_shard();
  one.add(open, 3);
  two.add(open, -5);
  EXPECT_EQ(registry.value(open), -2);
  two.set(open, 4);
  one.set(parts[1], 9);
  EXPECT_EQ(registry.render(),
            "# HELP open Open connections.\n# TYPE open gauge\nopen 7\n"
            "# HELP parts Parts.\n# TYPE parts gauge\n"
            "parts{part=\"a\"} 0\nparts{part=\"b\"} 9\n");
}

TEST(RegistryTest, HistogramBoundsAreInclusiveAndBucketsCumulative) {
  Registry registry;
  const Histogram latency =
      registry.histogram("latency_seconds", "Latency.", {1000, 250'000}, 1e-6);
  Shard& one = registry.make_shard();
  Shard& two = registry.make_shard();
  one.observe(latency, 0);
  one.observe(latency, 1000);
  two.observe(latency, 1001);
  two.observe(latency, 250'001);
  EXPECT_EQ(registry.count(latency), 4U);
  EXPECT_EQ(registry.sum(latency), 252'002U);
  EXPECT_EQ(registry.render(),
            "# HELP latency_seconds Latency.\n# TYPE latency_seconds histogram\n"
            "latency_seconds_bucket{le=\"0.001\"} 2\n"
            "latency_seconds_bucket{le=\"0.25\"} 3\n"
            "latency_seconds_bucket{le=\"+Inf\"} 4\n"
            "latency_seconds_sum 0.252002\n"
            "latency_seconds_count 4\n");
}

TEST(RegistryTest, CollectionsAreAskedWhenRead) {
  Registry registry;
  double lag = 1.5;
  registry.collect("lag_seconds", "Lag.", Kind::gauge, [&](const Emit& emit) {
    emit({{"loop", "0"}, {"kind", "ring"}}, lag);
    emit({}, std::numeric_limits<double>::infinity());
    emit({{"loop", "1"}}, -std::numeric_limits<double>::infinity());
    emit({{"loop", "2"}}, std::numeric_limits<double>::quiet_NaN());
  });
  lag = 2;
  EXPECT_EQ(registry.render(),
            "# HELP lag_seconds Lag.\n# TYPE lag_seconds gauge\n"
            "lag_seconds{loop=\"0\",kind=\"ring\"} 2\nlag_seconds +Inf\n"
            "lag_seconds{loop=\"1\"} -Inf\nlag_seconds{loop=\"2\"} NaN\n");
}

TEST(RegistryTest, TextThatCouldForgeLinesIsEscaped) {
  Registry registry;
  registry.collect("x_total", "A \\ and\na \"line\".", Kind::counter, [](const Emit& emit) {
    emit({{"name", "a\"b\\c\nd_total 9"}}, 1);
  });
  EXPECT_EQ(registry.render(),
            "# HELP x_total A \\\\ and\\na \"line\".\n# TYPE x_total counter\n"
            "x_total{name=\"a\\\"b\\\\c\\nd_total 9\"} 1\n");
}

TEST(RegistryTest, DefaultIdsCountWhereNobodyReads) {
  Registry registry;
  const Counter real = registry.counter("real_total", "Real.");
  Shard& shard = registry.make_shard();
  shard.add(Counter{}, 5);
  shard.add(Gauge{}, -5);
  shard.observe(Histogram{}, 7);
  EXPECT_EQ(registry.value(real), 0U);
}

TEST(RegistryTest, LatencyBoundsAscend) {
  Registry registry;
  const Histogram histogram = registry.histogram("h", "H.", latency_bounds_us(), 1e-6);
  Shard& shard = registry.make_shard();
  shard.observe(histogram, UINT32_MAX);
  EXPECT_NE(registry.render().find("h_bucket{le=\"60\"} 0\nh_bucket{le=\"+Inf\"} 1\n"),
            std::string::npos);
}

TEST(RegistryDeathTest, RefusesNamesThatPrometheusWould) {
  Registry registry;
  registry.gauge("taken", "T.");
  EXPECT_DEATH(registry.gauge("taken", "T."), "assertion failed");
  EXPECT_DEATH(registry.gauge("9lives", "T."), "assertion failed");
  EXPECT_DEATH(registry.gauge("a-b", "T."), "assertion failed");
  EXPECT_DEATH(registry.counter("without_suffix", "T."), "assertion failed");
  EXPECT_DEATH(registry.gauges("g", "T.", "le", {"1"}), "assertion failed");
  EXPECT_DEATH(registry.histogram("h", "T.", {2, 1}), "assertion failed");
  registry.make_shard();
  EXPECT_DEATH(registry.gauge("late", "T."), "assertion failed");
}

}  // namespace
}  // namespace weir::metrics
