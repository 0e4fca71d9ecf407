#include "metrics/registry.h"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "base/assert.h"

namespace weir::metrics {
namespace {

bool is_name(std::string_view name, bool colons) {
  if (name.empty() || (name.front() >= '0' && name.front() <= '9')) return false;
  return std::all_of(name.begin(), name.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (colons && c == ':');
  });
}

bool is_label_name(std::string_view name) {
  return is_name(name, false) && !name.starts_with("__") && name != "le" && name != "quantile";
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  for (const char c : text) {
    if (c == '\\') {
      out += "\\\\";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '"' && quotes) {
      out += "\\\"";
    } else {
      out += c;
    }
  }
}

std::string number(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

void append_sample(std::string& out, std::string_view name, const Labels& labels,
                   std::string_view value) {
  out += name;
  if (!labels.empty()) {
    out += '{';
    for (const auto& [label, text] : labels) {
      if (out.back() != '{') out += ',';
      out += label;
      out += "=\"";
      append_escaped(out, text, true);
      out += '"';
    }
    out += '}';
  }
  out += ' ';
  out += value;
  out += '\n';
}

}  // namespace

struct Registry::Family {
  enum class Type : uint8_t { counter, gauge, histogram };

  std::string name;
  std::string help;
  Type type = Type::counter;
  std::vector<Labels> series;  // One per slot, but for histograms and collections.
  uint32_t slot = 0;
  std::vector<uint64_t> bounds;
  double scale = 1.0;
  Collect callback;
};

Shard::Shard(Key /*key*/, size_t slot_count)
    : lines_(std::make_unique<Line[]>((slot_count + 7) / 8)), slots_(lines_[0].slots) {}

Registry::Registry() = default;
Registry::~Registry() = default;

Registry::Family& Registry::declare(std::string_view name, std::string_view help) {
  WEIR_ASSERT(is_name(name, true));
  const bool is_new = std::none_of(families_.begin(), families_.end(),
                                   [&](const auto& family) { return family->name == name; });
  WEIR_ASSERT(is_new);
  Family& family = *families_.emplace_back(std::make_unique<Family>());
  family.name = name;
  family.help = help;
  return family;
}

uint32_t Registry::take_slots(size_t count) {
  WEIR_ASSERT(shards_.empty());  // Shards have a fixed size.
  const uint32_t first = slot_count_;
  slot_count_ += static_cast<uint32_t>(count);
  return first;
}

Counter Registry::counter(std::string_view name, std::string_view help) {
  WEIR_ASSERT(name.ends_with("_total"));
  Family& family = declare(name, help);
  family.series.emplace_back();
  family.slot = take_slots(1);
  return {family.slot};
}

std::vector<Counter> Registry::counters(std::string_view name, std::string_view help,
                                        std::string_view label,
                                        const std::vector<std::string>& values) {
  WEIR_ASSERT(name.ends_with("_total") && is_label_name(label));
  Family& family = declare(name, help);
  family.slot = take_slots(values.size());
  std::vector<Counter> out;
  for (const std::string& value : values) {
    out.push_back({family.slot + static_cast<uint32_t>(family.series.size())});
    family.series.push_back({{std::string{label}, value}});
  }
  return out;
}

Gauge Registry::gauge(std::string_view name, std::string_view help) {
  Family& family = declare(name, help);
  family.type = Family::Type::gauge;
  family.series.emplace_back();
  family.slot = take_slots(1);
  return {family.slot};
}

std::vector<Gauge> Registry::gauges(std::string_view name, std::string_view help,
                                    std::string_view label,
                                    const std::vector<std::string>& values) {
  WEIR_ASSERT(is_label_name(label));
  Family& family = declare(name, help);
  family.type = Family::Type::gauge;
  family.slot = take_slots(values.size());
  std::vector<Gauge> out;
  for (const std::string& value : values) {
    out.push_back({family.slot + static_cast<uint32_t>(family.series.size())});
    family.series.push_back({{std::string{label}, value}});
  }
  return out;
}

Histogram Registry::histogram(std::string_view name, std::string_view help,
                              std::vector<uint64_t> bounds, double scale) {
  const bool ascending =
      std::adjacent_find(bounds.begin(), bounds.end(), std::greater_equal<>{}) == bounds.end();
  WEIR_ASSERT(!bounds.empty() && ascending);
  Family& family = declare(name, help);
  family.type = Family::Type::histogram;
  family.bounds = std::move(bounds);
  family.scale = scale;
  family.slot = take_slots(family.bounds.size() + 2);
  return {family.slot, static_cast<uint32_t>(family.bounds.size()), family.bounds.data()};
}

void Registry::collect(std::string_view name, std::string_view help, Kind kind, Collect callback) {
  WEIR_ASSERT(callback != nullptr && (kind == Kind::gauge || name.ends_with("_total")));
  Family& family = declare(name, help);
  family.type = kind == Kind::gauge ? Family::Type::gauge : Family::Type::counter;
  family.callback = std::move(callback);
}

Shard& Registry::make_shard() {
  return *shards_.emplace_back(std::make_unique<Shard>(Shard::Key{}, slot_count_));
}

uint64_t Registry::total(uint32_t slot) const {
  uint64_t sum = 0;
  for (const auto& shard : shards_)
    sum += shard->slots_[slot].load(std::memory_order_relaxed);
  return sum;
}

uint64_t Registry::value(Counter counter) const {
  return total(counter.slot);
}

int64_t Registry::value(Gauge gauge) const {
  return static_cast<int64_t>(total(gauge.slot));
}

uint64_t Registry::count(Histogram histogram) const {
  uint64_t count = 0;
  for (uint32_t bucket = 0; bucket <= histogram.bound_count; ++bucket)
    count += total(histogram.slot + bucket);
  return count;
}

uint64_t Registry::sum(Histogram histogram) const {
  return total(histogram.slot + histogram.bound_count + 1);
}

// The count is the sum of the buckets that were read, so that it agrees with the last of them
// whatever is counted meanwhile.
void Registry::render_histogram(const Family& family, std::string& out) const {
  const auto bound_count = static_cast<uint32_t>(family.bounds.size());
  uint64_t count = 0;
  for (uint32_t bucket = 0; bucket <= bound_count; ++bucket) {
    count += total(family.slot + bucket);
    const std::string le = bucket == bound_count
                               ? "+Inf"
                               : number(static_cast<double>(family.bounds[bucket]) * family.scale);
    append_sample(out, family.name + "_bucket", {{"le", le}}, std::to_string(count));
  }
  const uint64_t sum = total(family.slot + bound_count + 1);
  append_sample(out, family.name + "_sum", {}, number(static_cast<double>(sum) * family.scale));
  append_sample(out, family.name + "_count", {}, std::to_string(count));
}

std::string Registry::render() const {
  std::string out;
  for (const auto& pointer : families_) {
    const Family& family = *pointer;
    constexpr std::string_view kTypes[] = {"counter", "gauge", "histogram"};
    out += fmt::format("# HELP {} ", family.name);
    append_escaped(out, family.help, false);
    out += fmt::format("\n# TYPE {} {}\n", family.name, kTypes[static_cast<size_t>(family.type)]);
    if (family.callback) {
      family.callback([&](const Labels& labels, double value) {
        const bool named = std::all_of(labels.begin(), labels.end(), [](const auto& label) {
          return is_label_name(label.first);
        });
        WEIR_ASSERT(named);
        append_sample(out, family.name, labels, number(value));
      });
    } else if (family.type == Family::Type::histogram) {
      render_histogram(family, out);
    } else {
      for (size_t index = 0; index < family.series.size(); ++index) {
        const uint64_t value = total(family.slot + static_cast<uint32_t>(index));
        append_sample(out, family.name, family.series[index],
                      family.type == Family::Type::gauge
                          ? std::to_string(static_cast<int64_t>(value))
                          : std::to_string(value));
      }
    }
  }
  return out;
}

std::vector<uint64_t> latency_bounds_us() {
  return {100,       250,       500,       1'000,      2'500,      5'000,
          10'000,    25'000,    50'000,    100'000,    250'000,    500'000,
          1'000'000, 2'500'000, 5'000'000, 10'000'000, 30'000'000, 60'000'000};
}

}  // namespace weir::metrics
