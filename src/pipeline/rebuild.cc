#include "pipeline/rebuild.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "codec/iso_time.h"
#include "pipeline/adjust_archiver.h"
#include "stats/adjust_parts.h"
#include "stats/archive_parts.h"
#include "stats/count_columns.h"
#include "stats/rebuilt_rows.h"

namespace weir::pipeline {
namespace {

using base::Error;
using base::ErrorCode;
using stats::Adjustment;
using stats::CountedRow;
using stats::SketchRow;
using stats::Span;
using stats::StoredEvent;

constexpr int64_t kHoursOfDay = 24;
constexpr int kTriesOfDay = 3;
// Rows set in one transaction.
constexpr size_t kRowsPerTransaction = 500;

constexpr Error kOverflow{ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
                          "archived counts beyond 64 bits"};

// What is known of one hour and path; of all paths together only the sketches.
struct Slot {
  CountedRow row;
  uint64_t first_seq = UINT64_MAX;
  SketchRow sketches;
  uint64_t folded = 0;  // The sketches began with what held all events up to this one.
  bool sketches_known = true;
  bool compared = false;
};

base::Status count(const StoredEvent& event, stats::Counts& counts) {
  traffic::Event counted;
  counted.method = event.method;
  counted.status = event.status;
  counted.cache = static_cast<traffic::CacheStatus>(event.cache);
  counted.bytes_in = event.bytes_in;
  counted.bytes_out = event.bytes_out;
  counted.duration_us = event.us;
  return counts.add(counted) ? base::Status{} : base::Status{kOverflow};
}

std::string differing_column(const CountedRow& rebuilt, const CountedRow& stored) {
  const stats::CountValues right = stats::values_of(rebuilt.counts);
  const stats::CountValues wrong = stats::values_of(stored.counts);
  for (size_t i = 0; i < right.size(); ++i) {
    if (right[i] == wrong[i]) continue;
    const auto text = [](std::optional<uint64_t> value) {
      return value ? std::to_string(*value) : std::string{"NULL"};
    };
    return fmt::format("{}: {} is stored, {} is archived", stats::kCountNames[i], text(wrong[i]),
                       text(right[i]));
  }
  if (rebuilt.partial != stored.partial) {
    return fmt::format("partial: {} is stored, {} is archived", stored.partial ? 1 : 0,
                       rebuilt.partial ? 1 : 0);
  }
  if (rebuilt.route != stored.route) {
    return fmt::format("route: '{}' is stored, '{}' is archived", stored.route, rebuilt.route);
  }
  return {};
}

bool same(const SketchRow& a, const SketchRow& b) {
  return a.through == b.through && a.latency == b.latency && a.clients == b.clients;
}

void merge(SketchRow& sum, const SketchRow& row) {
  sum.through = std::max(sum.through, row.through);
  sum.latency.merge(row.latency);
  sum.clients.merge(row.clients);
}

}  // namespace

// One day, some of its hours at a time.
class Rebuild::Day {
 public:
  Day(Rebuild& rebuild, int64_t day, const Work& work)
      : rebuild_(rebuild), reader_(rebuild.reader_), work_(work), day_(day) {}

  // What changes while the day is being counted, archived or cleaned.
  base::Result<std::string> stamp() {
    sqlite::Statement query = WEIR_TRY(reader_.prepare(
        "SELECT (SELECT inserted || ' ' || (sampled_out + totals_only + degraded) FROM day_ledger"
        " WHERE day = ?1) || ';' || ifnull((SELECT group_concat(state || cleaned_through) FROM"
        " archive_parts WHERE day = ?1), '') || ';' || ifnull((SELECT group_concat(state) FROM"
        " adjust_parts WHERE day = ?1), '')"));
    query.bind(1, day_);
    return std::string{WEIR_TRY(query.step()) ? query.column_text(0) : std::string_view{}};
  }

  base::Status run() {
    sketches_merged_ =
        day_ < WEIR_TRY(reader_.query_int("SELECT ifnull((SELECT value FROM meta WHERE name ="
                                          " 'sketches_from_day'), 0)"));
    WEIR_TRY(begin_transaction());
    for (int64_t hour = 0; hour < kHoursOfDay;) {
      first_hour_ = day_ * kHoursOfDay + hour;
      const int64_t hours = sketches_merged_ ? kHoursOfDay : WEIR_TRY(hours_together(hour));
      end_hour_ = first_hour_ + hours;
      WEIR_TRY(gather());
      for (int64_t at = first_hour_; at < end_hour_; ++at)
        WEIR_TRY(compare_hour(at));
      if (sketches_merged_) WEIR_TRY(compare_merged_sketches());
      hour += hours;
    }
    return end_transaction();
  }

  const RebuildReport& report() const { return report_; }

 private:
  using Slots = std::map<std::string, Slot, std::less<>>;  // By path; empty: all together.

  // From `hour` of the day on, as many hours as hold no more rows than the limit.
  base::Result<int64_t> hours_together(int64_t hour) {
    sqlite::Statement query =
        WEIR_TRY(reader_.prepare("SELECT count(*) FROM hourly WHERE hour = ?1"));
    uint64_t rows = 0;
    int64_t hours = 0;
    for (; hour + hours < kHoursOfDay; ++hours) {
      query.reset();
      query.bind(1, day_ * kHoursOfDay + hour + hours);
      rows += WEIR_TRY(query.step()) ? query.column_unsigned(0) : 0;
      if (hours > 0 && rows > rebuild_.options_.rows_max) break;
    }
    return hours;
  }

  // Adjustments first: with them come the sketches that events are folded into.
  base::Status gather() {
    hours_.clear();
    last_seq_ = 0;
    for (const stats::AdjustPart& part : WEIR_TRY(stats::adjust_parts_of(reader_, day_))) {
      if (!part.completed) continue;
      const auto archived = [this](const Adjustment& each) { return add(each, true); };
      const auto read = WEIR_TRY(read_adjustments(rebuild_.store_, part.key, archived));
      if (read.raw_sha256 != part.raw_sha256) return changed();
    }
    WEIR_TRY(stats::read_live_adjustments(
        reader_, day_, [this](const Adjustment& each) { return add(each, false); }));
    for (const stats::ArchivePart& part : WEIR_TRY(stats::parts_of(reader_, day_))) {
      if (part.cleaned_through == part.after) continue;
      const auto cleaned = [&](const StoredEvent& event) {
        return event.seq <= part.cleaned_through ? add(event) : base::Status{};
      };
      const auto read = WEIR_TRY(read_archive(rebuild_.store_, part.key, cleaned));
      if (read.raw_sha256 != part.raw_sha256) return changed();
    }
    const auto through = static_cast<uint64_t>(
        WEIR_TRY(reader_.query_int("SELECT value - 1 FROM meta WHERE name = 'next_seq'")));
    const stats::ArchivePart live{.day = day_, .key = {}, .through = through, .digest = {}};
    return stats::read_part(reader_, live, [this](const StoredEvent& each) { return add(each); });
  }

  static Error changed() {
    return {ErrorCode::corrupt, base::Origin::storage, base::Retry::never, 0,
            "archive that is another one than was recorded"};
  }

  bool wanted(int64_t hour) const { return hour >= first_hour_ && hour < end_hour_; }

  Slot& slot(int64_t hour, std::string_view path) {
    Slots& slots = hours_[hour];
    const auto found = slots.find(path);
    if (found != slots.end()) return found->second;
    Slot& fresh = slots.emplace(path, Slot{}).first->second;
    fresh.row.path = path;
    return fresh;
  }

  base::Status add(const Adjustment& adjustment, bool archived) {
    if (!wanted(adjustment.hour)) return {};
    Slot& into = slot(adjustment.hour, adjustment.path);
    if (!into.row.counts.add(adjustment.counts)) return kOverflow;
    into.row.partial = into.row.partial || adjustment.partial;
    if (!adjustment.path.empty() && adjustment.first_seq < into.first_seq) {
      into.first_seq = adjustment.first_seq;
      into.row.route = adjustment.route;
    }
    if (!archived && adjustment.folded()) {
      into.sketches_known = false;
      slot(adjustment.hour, {}).sketches_known = false;
    }
    if (!adjustment.sketch || adjustment.sketch->through < into.folded) return {};
    into.sketches.latency = WEIR_TRY(sketch::DdSketch::decode(adjustment.sketch->latency));
    into.sketches.clients = WEIR_TRY(sketch::HyperLogLog::decode(adjustment.sketch->clients));
    into.folded = into.sketches.through = adjustment.sketch->through;
    return {};
  }

  base::Status add(const StoredEvent& event) {
    const int64_t hour = codec::unix_hour_of_ms(event.ts_ms);
    if (!wanted(hour)) return {};
    if (work_.cancelled.load(std::memory_order_relaxed)) return base::cancelled("rebuilding");
    last_seq_ = std::max(last_seq_, event.seq);
    Slot& of_path = slot(hour, event.path);
    WEIR_TRY(count(event, of_path.row.counts));
    if (event.seq < of_path.first_seq) {
      of_path.first_seq = event.seq;
      const bool named = event.path != stats::kOtherPath;  // Which has no route.
      of_path.row.route = named ? event.route : std::string_view{};
    }
    for (Slot* const each : {&of_path, &slot(hour, {})}) {
      if (event.seq <= each->folded) continue;
      each->sketches.latency.add(event.us);
      each->sketches.clients.add(event.client);
      each->sketches.through = std::max(each->sketches.through, event.seq);
    }
    return {};
  }

  base::Status compare_hour(int64_t hour) {
    Slots& slots = hours_[hour];
    const std::string when = codec::hour_bucket(hour);
    CountedRow total;
    for (auto& [path, each] : slots) {
      if (path.empty()) continue;
      if (!total.counts.add(each.row.counts)) return kOverflow;
      total.partial = total.partial || each.row.partial;
      each.compared = false;
    }
    std::vector<std::string> too_much;
    const auto compare = [&](const CountedRow& stored) -> base::Status {
      const auto found = slots.find(stored.path);
      if (found == slots.end()) {
        too_much.push_back(stored.path);
        return {};
      }
      ++report_.rows;
      found->second.compared = true;
      const std::string what = differing_column(found->second.row, stored);
      return what.empty() ? base::Status{} : set_hour(hour, found->second.row, what);
    };
    WEIR_TRY(stats::read_hour(reader_, hour, compare));
    for (auto& [path, each] : slots) {
      if (!path.empty() && !each.compared) WEIR_TRY(set_hour(hour, each.row, "missing"));
    }
    for (const std::string& path : too_much) {
      note("hourly", when, path, "too much");
      if (setter_) WEIR_TRY(changed(setter_->remove_hour(hour, path)));
    }
    WEIR_TRY(compare_total(hour, total));
    return sketches_merged_ ? base::Status{} : compare_sketches(Span::hour, hour, slots);
  }

  base::Status set_hour(int64_t hour, const CountedRow& row, const std::string& what) {
    note("hourly", codec::hour_bucket(hour), row.path, what);
    return setter_ ? changed(setter_->set_hour(hour, row)) : base::Status{};
  }

  base::Status compare_total(int64_t hour, const CountedRow& total) {
    const std::optional<CountedRow> stored = WEIR_TRY(stats::read_total(reader_, hour));
    const bool wanted_row = total.counts.requests > 0;
    if (!stored && !wanted_row) return {};
    std::string what = "missing";
    if (stored) what = wanted_row ? differing_column(total, *stored) : "too much";
    if (what.empty()) return {};
    note("totals", codec::hour_bucket(hour), {}, what);
    if (!setter_) return {};
    return changed(wanted_row ? setter_->set_total(hour, total) : setter_->remove_total(hour));
  }

  // Whether what is stored holds all that was read: a running node writes it later.
  base::Result<bool> derived() {
    const auto seq = static_cast<uint64_t>(
        WEIR_TRY(reader_.query_int("SELECT seq FROM derived WHERE name = 'folded'")));
    return setter_.has_value() || seq >= last_seq_;
  }

  base::Status compare_sketches(Span span, int64_t at, Slots& slots) {
    std::map<std::string, SketchRow, std::less<>> stored;
    const auto keep = [&](std::string_view path, const SketchRow& row) -> base::Status {
      merge(stored[std::string{path}], row);
      return {};
    };
    WEIR_TRY(stats::read_sketches(reader_, span, at, keep));
    return compare_sketches(span, at, slots, stored);
  }

  base::Status compare_sketches(Span span, int64_t at, Slots& slots,
                                const std::map<std::string, SketchRow, std::less<>>& stored) {
    const bool all_known = WEIR_TRY(derived());
    const bool of_hour = span == Span::hour;
    const char* const table = of_hour ? "sketches" : "daily_sketches";
    const std::string when = of_hour ? codec::hour_bucket(at) : codec::iso_day(at);
    for (auto& [path, each] : slots) {
      const auto found = stored.find(path);
      const bool empty = each.sketches.latency.empty();
      if (!all_known || !each.sketches_known) {
        ++report_.sketches_left;
        continue;
      }
      if (empty && found == stored.end()) continue;
      ++report_.sketches;
      if (found != stored.end() && !empty && same(each.sketches, found->second)) continue;
      note(table, when, path, found == stored.end() ? "missing" : "other bytes");
      if (!setter_) continue;
      for (int64_t hour = first_hour_; !of_hour && hour < end_hour_; ++hour)
        WEIR_TRY(setter_->remove_sketches(Span::hour, hour, path));
      WEIR_TRY(changed(empty ? setter_->remove_sketches(span, at, path)
                             : setter_->set_sketches(span, at, path, each.sketches)));
    }
    for (const auto& [path, row] : stored) {
      if (slots.find(path) != slots.end()) continue;
      note(table, when, path, "too much");
      if (setter_) WEIR_TRY(changed(setter_->remove_sketches(span, at, path)));
    }
    return {};
  }

  // Of a day whose hours were merged: what came later lies in rows of hours beside it.
  base::Status compare_merged_sketches() {
    Slots of_day;
    for (const auto& [hour, slots] : hours_) {
      for (const auto& [path, each] : slots) {
        Slot& sum = of_day[path];
        merge(sum.sketches, each.sketches);
        sum.sketches_known = sum.sketches_known && each.sketches_known;
      }
    }
    std::map<std::string, SketchRow, std::less<>> stored;
    const auto keep = [&](std::string_view path, const SketchRow& row) -> base::Status {
      merge(stored[std::string{path}], row);
      return {};
    };
    WEIR_TRY(stats::read_sketches(reader_, Span::day, day_, keep));
    for (int64_t hour = first_hour_; hour < end_hour_; ++hour)
      WEIR_TRY(stats::read_sketches(reader_, Span::hour, hour, keep));
    return compare_sketches(Span::day, day_, of_day, stored);
  }

  void note(const char* table, const std::string& when, std::string_view path, std::string what) {
    ++report_.differing;
    if (report_.differences.size() >= rebuild_.options_.differences_max) return;
    report_.differences.push_back({table, when, std::string{path}, std::move(what)});
  }

  base::Status begin_transaction() {
    if (rebuild_.writer_ == nullptr) return {};
    setter_.emplace(*rebuild_.writer_, rebuild_.clock_.wall());
    transaction_.emplace(WEIR_TRY(sqlite::Transaction::begin(*rebuild_.writer_)));
    return {};
  }

  // A row was set: some of them make a transaction.
  base::Status changed(base::Status set) {
    if (!set.ok() || ++rows_set_ % kRowsPerTransaction != 0) return set;
    WEIR_TRY(end_transaction());
    return begin_transaction();
  }

  base::Status end_transaction() {
    if (!transaction_) return {};
    const base::Status committed = transaction_->commit();
    transaction_.reset();
    return committed;
  }

  Rebuild& rebuild_;
  sqlite::Database& reader_;
  const Work& work_;
  const int64_t day_;
  int64_t first_hour_ = 0;
  int64_t end_hour_ = 0;
  std::map<int64_t, Slots> hours_;
  uint64_t last_seq_ = 0;
  bool sketches_merged_ = false;
  RebuildReport report_;
  size_t rows_set_ = 0;
  std::optional<stats::RowSetter> setter_;
  std::optional<sqlite::Transaction> transaction_;
};

base::Result<RebuildReport> Rebuild::run(const Work& work) {
  RebuildReport report;
  const std::vector<int64_t> all = WEIR_TRY(days());
  for (size_t i = 0; i < all.size(); ++i) {
    if (work.cancelled.load(std::memory_order_relaxed)) return base::cancelled("rebuilding");
    if (work.progress) work.progress(i, all.size());
    WEIR_TRY(run_day(all[i], work, report));
  }
  if (work.progress) work.progress(all.size(), all.size());
  return report;
}

// Those that still have hourly rows, oldest first.
base::Result<std::vector<int64_t>> Rebuild::days() {
  sqlite::Statement query = WEIR_TRY(
      reader_.prepare("SELECT day FROM day_ledger WHERE day >= ?1 AND day <= ?2 AND day >="
                      " ifnull((SELECT value FROM meta WHERE name = 'hourly_from_day'), 0)"
                      " AND inserted + sampled_out + totals_only + degraded > 0 ORDER BY day"));
  query.bind(1, options_.first_day);
  query.bind(2, options_.last_day);
  std::vector<int64_t> found;
  while (WEIR_TRY(query.step()))
    found.push_back(query.column_int(0));
  return found;
}

base::Status Rebuild::run_day(int64_t day, const Work& work, RebuildReport& report) {
  const int64_t unadjusted = WEIR_TRY(reader_.query_int(
      fmt::format("SELECT ifnull((SELECT unadjusted FROM day_ledger WHERE day = {}), 0)", day)));
  if (unadjusted > 0) {
    report.skipped.push_back(
        {day, fmt::format("{} requests were counted without detail by a version that did not keep"
                          " them apart",
                          unadjusted)});
    return {};
  }
  for (int tries = 0; tries < kTriesOfDay; ++tries) {
    Day attempt{*this, day, work};
    const std::string before = WEIR_TRY(attempt.stamp());
    WEIR_TRY(attempt.run());
    if (before != WEIR_TRY(attempt.stamp())) continue;
    const RebuildReport& of_day = attempt.report();
    ++report.days;
    report.rows += of_day.rows;
    report.sketches += of_day.sketches;
    report.sketches_left += of_day.sketches_left;
    report.differing += of_day.differing;
    const size_t room = options_.differences_max - report.differences.size();
    const size_t described = std::min(room, of_day.differences.size());
    report.differences.insert(report.differences.end(), of_day.differences.begin(),
                              of_day.differences.begin() + static_cast<std::ptrdiff_t>(described));
    return {};
  }
  report.skipped.push_back({day, "it is being counted, archived or cleaned"});
  return {};
}

}  // namespace weir::pipeline
