#include "pipeline/snapshot.h"

#include <algorithm>
#include <charconv>
#include <vector>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "base/fault_point.h"
#include "codec/iso_time.h"

namespace weir::pipeline {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kConfigKey = "snapshot:config";
constexpr std::string_view kLatestKey = "snapshot:latest";
constexpr std::string_view kVersionPrefix = "snapshot:v";

// Paths may hold bytes that are no UTF-8; JSON cannot.
std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

double ms(uint64_t us) {
  return static_cast<double>(us) / 1000.0;
}

Json optional_ms(std::optional<uint64_t> us) {
  return us ? Json(ms(*us)) : Json(nullptr);
}

// The most frequent of the methods that are counted by name.
std::string_view method_of(const stats::Counts& counts) {
  const auto end = counts.methods.begin() + stats::kOtherMethod;
  const auto most = std::max_element(counts.methods.begin(), end);
  if (*most == 0) return {};
  return stats::kMethods[static_cast<size_t>(most - counts.methods.begin())];
}

Json item_of(const stats::TopPath& top) {
  const stats::Counts& counts = top.counts;
  const auto requests = static_cast<double>(counts.requests);
  Json item;
  item["path"] = top.path;
  item["hour_bucket"] = codec::hour_bucket(top.newest_hour);
  item["requests"] = counts.requests;
  item["errors"] = counts.errors;
  item["error_rate"] = requests > 0 ? static_cast<double>(counts.errors) / requests : 0.0;
  item["avg_response_time"] =
      counts.us_count > 0 ? ms(counts.us_sum) / static_cast<double>(counts.us_count) : 0.0;
  const std::optional<stats::Estimates>& estimates = top.estimates;
  item["p50"] = estimates ? Json(ms(estimates->p50_us)) : Json(nullptr);
  item["p95"] = estimates ? Json(ms(estimates->p95_us)) : Json(nullptr);
  item["p99"] = estimates ? Json(ms(estimates->p99_us)) : Json(nullptr);
  item["min"] = optional_ms(counts.us_min);
  item["max"] = optional_ms(counts.us_max);
  item["unique_ips_min"] = estimates ? Json(estimates->unique_clients) : Json(nullptr);
  const std::string_view method = method_of(counts);
  if (!method.empty()) item["method"] = method;
  return item;
}

// N of "snapshot:v{N}:paths"; 0 for other keys.
uint64_t version_of_key(std::string_view key) {
  uint64_t version = 0;
  if (key.substr(0, kVersionPrefix.size()) != kVersionPrefix) return 0;
  key.remove_prefix(kVersionPrefix.size());
  const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), version);
  const std::string_view rest = key.substr(static_cast<size_t>(end - key.data()));
  return error == std::errc{} && rest == ":paths" ? version : 0;
}

struct Versions {
  uint64_t newest = 0;
  std::vector<std::pair<uint64_t, std::string>> keys;
};

base::Result<Versions> stored_versions(kv::Kv& kv) {
  Versions versions;
  const std::optional<kv::Entry> config = WEIR_TRY(kv.get(kConfigKey));
  if (config) {
    const Json stored = Json::parse(config->value, nullptr, /*allow_exceptions=*/false);
    if (stored.is_object() && stored.contains("version") &&
        stored["version"].is_number_unsigned()) {
      versions.newest = stored["version"].get<uint64_t>();
    }
  }
  std::string after;
  for (bool complete = false; !complete;) {
    const kv::Listing listing = WEIR_TRY(kv.list(kVersionPrefix, after, 1000));
    for (const kv::Listed& listed : listing.keys) {
      const uint64_t version = version_of_key(listed.key);
      if (version == 0) continue;
      versions.keys.emplace_back(version, listed.key);
      versions.newest = std::max(versions.newest, version);
    }
    complete = listing.complete;
    if (!complete) after = listing.keys.back().key;
  }
  return versions;
}

}  // namespace

int64_t first_snapshot_hour(base::Wall now) {
  return codec::unix_hour_of_ms(base::unix_ms(now)) - kSnapshotHours;
}

base::Result<Snapshot> publish_snapshot(stats::Stats& stats, kv::Kv& kv, base::Wall now) {
  const int64_t now_ms = base::unix_ms(now);
  const std::vector<stats::TopPath> top =
      WEIR_TRY(stats.top_paths(first_snapshot_hour(now), kSnapshotPaths));
  if (top.empty()) return Snapshot{};
  const Versions versions = WEIR_TRY(stored_versions(kv));
  const uint64_t version = versions.newest + 1;

  Json items = Json::array();
  int64_t first = top.front().newest_hour;
  int64_t last = first;
  for (const stats::TopPath& path : top) {
    items.push_back(item_of(path));
    first = std::min(first, path.newest_hour);
    last = std::max(last, path.newest_hour);
  }
  Json config;
  config["version"] = version;
  config["timestamp"] = now_ms;
  config["count"] = top.size();
  config["timeRange"]["start"] = codec::hour_bucket(first);
  config["timeRange"]["end"] = codec::hour_bucket(last);

  const std::string config_text = text_of(config);
  const std::string items_text = text_of(items);
  const std::string version_key = fmt::format("{}{}:paths", kVersionPrefix, version);
  const std::string metadata = fmt::format(R"({{"version":{},"timestamp":{}}})", version, now_ms);
  const std::string counted =
      fmt::format(R"({{"version":{},"count":{},"timestamp":{}}})", version, top.size(), now_ms);
  std::vector<kv::Change> changes{
      {.key = kConfigKey, .value = config_text, .metadata = metadata},
      {.key = version_key, .value = items_text, .metadata = counted},
      {.key = kLatestKey, .value = items_text, .metadata = metadata},
  };
  for (const auto& [old, key] : versions.keys) {
    if (old + kVersionsKept <= version) changes.push_back({.key = key, .value = {}});
  }
  base::fault_point("snapshot.before_publish");
  WEIR_TRY(kv.write(changes));
  base::fault_point("snapshot.after_publish");
  return Snapshot{version, top.size()};
}

bool SnapshotSchedule::due(base::Monotonic now, base::Wall wall) const {
  if (published_ && now < not_before_) return false;
  if (requested_ || batches_ >= rules_.batches) return true;
  return published_ && batches_ > 0 && codec::unix_hour_of_ms(base::unix_ms(wall)) != hour_;
}

void SnapshotSchedule::done(base::Monotonic now, base::Monotonic end, base::Wall wall) {
  published_ = true;
  requested_ = false;
  batches_ = 0;
  hour_ = codec::unix_hour_of_ms(base::unix_ms(wall));
  not_before_ = std::max<base::Monotonic>(now + rules_.interval, end + 9 * (end - now));
}

}  // namespace weir::pipeline
