// The form in which a Book outlives its process: docs/formats/alerts.md.

#include <algorithm>
#include <utility>

#include <nlohmann/json.hpp>

#include "alerts/book.h"

namespace weir::alerts {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;

constexpr int64_t kVersion = 1;
constexpr size_t kImageBytesMax = size_t{1024} * 1024;
constexpr size_t kTextBytesMax = 4096;
// Stamps and counts that no clock and no counter reaches are none.
constexpr int64_t kStampMax = int64_t{1} << 52U;
constexpr uint64_t kCountMax = uint64_t{1} << 62U;

constexpr base::Error kCorrupt{base::ErrorCode::corrupt, base::Origin::storage, base::Retry::never,
                               0, "the image of the alerts"};

// Reads members of one object. After the first mistake everything is empty, and ok() false.
// Threading: one thread at a time.
class Members {
 public:
  explicit Members(const Json& object) : object_(object), ok_(object.is_object()) {}

  std::string text(const char* name) {
    const Json* value = find(name);
    if (!expect(value != nullptr && value->is_string())) return {};
    const auto& text = value->get_ref<const std::string&>();
    return expect(text.size() <= kTextBytesMax) ? text : std::string{};
  }
  int64_t stamp(const char* name) {
    const Json* value = find(name);
    if (!expect(value != nullptr && value->is_number_integer())) return 0;
    const bool fits = value->is_number_unsigned()
                          ? value->get<uint64_t>() <= static_cast<uint64_t>(kStampMax)
                          : value->get<int64_t>() >= -kStampMax;
    return expect(fits) ? value->get<int64_t>() : 0;
  }
  uint64_t count(const char* name, uint64_t max = kCountMax) {
    const Json* value = find(name);
    if (!expect(value != nullptr && value->is_number_unsigned())) return 0;
    const auto count = value->get<uint64_t>();
    return expect(count <= max) ? count : 0;
  }
  double number(const char* name) {
    const Json* value = find(name);
    return expect(value != nullptr && value->is_number()) ? value->get<double>() : 0.0;
  }
  bool flag(const char* name) {
    const Json* value = find(name);
    return expect(value != nullptr && value->is_boolean()) && value->get<bool>();
  }
  bool has(const char* name) {
    const Json* value = find(name);
    return value != nullptr && !value->is_null();
  }

  bool expect(bool condition) {
    ok_ = ok_ && condition;
    return ok_;
  }
  bool ok() const { return ok_; }

 private:
  const Json* find(const char* name) {
    if (!ok_) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }

  const Json& object_;
  bool ok_;
};

template <typename Value>
Json or_null(const std::optional<Value>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json json_of(const BookEntry& entry) {
  const Alert& alert = entry.alert;
  return {{"id", alert.id},
          {"key", alert.key},
          {"severity", to_string(alert.severity)},
          {"source", to_string(alert.source)},
          {"title", alert.title},
          {"message", alert.message},
          {"value", alert.value},
          {"timestamp", alert.timestamp_ms},
          {"link", alert.link},
          {"raised", entry.raised},
          {"since", entry.since_ms},
          {"over", or_null(entry.over_ms)},
          {"worst", to_string(entry.worst)},
          {"told", entry.told},
          {"owesEnd", entry.owes_end},
          {"toldSeverity", to_string(entry.told_severity)},
          {"lastTold", or_null(entry.told_ms)},
          {"reminders", entry.reminders}};
}

std::optional<BookEntry> entry_of(const Json& json) {
  Members members{json};
  BookEntry entry;
  Alert& alert = entry.alert;
  alert.id = members.text("id");
  alert.key = members.text("key");
  const auto severity = severity_of(members.text("severity"));
  const auto source = source_of(members.text("source"));
  alert.title = members.text("title");
  alert.message = members.text("message");
  alert.value = members.number("value");
  alert.timestamp_ms = members.stamp("timestamp");
  alert.link = members.text("link");
  entry.raised = members.flag("raised");
  entry.since_ms = members.stamp("since");
  if (members.has("over")) entry.over_ms = members.stamp("over");
  const auto worst = severity_of(members.text("worst"));
  entry.told = members.flag("told");
  entry.owes_end = members.flag("owesEnd");
  const auto told_severity = severity_of(members.text("toldSeverity"));
  if (members.has("lastTold")) entry.told_ms = members.stamp("lastTold");
  entry.reminders = static_cast<uint32_t>(members.count("reminders", UINT32_MAX));
  members.expect(severity && source && worst && told_severity && !alert.key.empty());
  // Raised and over exclude each other; what was told has a time; an end is owed after it.
  members.expect(entry.raised != entry.over_ms.has_value());
  members.expect(!entry.told || entry.told_ms.has_value());
  members.expect(!entry.owes_end || !entry.raised);
  if (!members.ok()) return std::nullopt;
  alert.severity = *severity;
  alert.source = *source;
  entry.worst = *worst;
  entry.told_severity = *told_severity;
  return entry;
}

std::optional<SettledPeak::Image> peak_of(const Json& json) {
  Members members{json};
  SettledPeak::Image peak;
  if (members.has("settled")) peak.settled = members.count("settled");
  if (members.has("next")) peak.next = members.count("next");
  peak.next_since_ms = members.stamp("nextSince");
  return members.ok() ? std::optional{peak} : std::nullopt;
}

// By the wall clock; from the future: just now.
base::Monotonic told_at(int64_t told_ms, const Moment& now) {
  const int64_t ago_ms = std::clamp<int64_t>(base::unix_ms(now.wall) - told_ms, 0,
                                             milliseconds{Book::kReminderMax}.count());
  return now.monotonic - milliseconds{ago_ms};
}

// `known` was raised by this process before it could read what `kept` says.
void merge(BookEntry& known, const BookEntry& kept) {
  if (!kept.told_at) return;
  if (!known.told_at || *known.told_at < *kept.told_at) {
    known.told_at = kept.told_at;
    known.told_ms = kept.told_ms;
    known.told_severity = kept.told_severity;
  }
  if (!known.raised || !kept.raised) return;
  known.told = known.told || kept.told;
  known.since_ms = std::min(known.since_ms, kept.since_ms);
  known.reminders = std::max(known.reminders, kept.reminders);
}

}  // namespace

std::string Book::image() const {
  Json alerts = Json::array();
  for (const auto& [key, entry] : entries_)
    alerts.push_back(json_of(entry));
  const SettledPeak::Image& peak = peak_.image();
  return Json{{"version", kVersion},
              {"alerts", alerts},
              {"peak",
               {{"settled", or_null(peak.settled)},
                {"next", or_null(peak.next)},
                {"nextSince", peak.next_since_ms}}}}
      .dump(-1, ' ', false, Json::error_handler_t::replace);
}

base::Status Book::restore(std::string_view image, const Moment& now) {
  if (image.size() > kImageBytesMax) return kCorrupt;
  const Json json = Json::parse(image, nullptr, false);
  if (!json.is_object() || !json.contains("alerts") || !json.contains("peak")) return kCorrupt;
  Members members{json};
  if (members.stamp("version") != kVersion || !json["alerts"].is_array() ||
      json["alerts"].size() > kEntriesMax) {
    return kCorrupt;
  }
  const std::optional<SettledPeak::Image> peak = peak_of(json["peak"]);
  if (!peak) return kCorrupt;
  std::vector<BookEntry> kept;
  for (const Json& each : json["alerts"]) {
    std::optional<BookEntry> entry = entry_of(each);
    if (!entry) return kCorrupt;
    if (entry->told_ms) entry->told_at = told_at(*entry->told_ms, now);
    kept.push_back(*std::move(entry));
  }
  // Into an empty book nothing has changed: that is what is stored.
  if (!entries_.empty()) ++generation_;
  for (BookEntry& entry : kept) {
    const auto known = entries_.find(entry.alert.key);
    if (known != entries_.end()) {
      merge(known->second, entry);
    } else if (make_room()) {
      const std::string key = entry.alert.key;
      entries_.emplace(key, std::move(entry));
    }
  }
  if (!peak_.value()) peak_ = SettledPeak{*peak};
  return {};
}

}  // namespace weir::alerts
