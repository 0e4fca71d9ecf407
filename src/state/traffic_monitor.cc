#include "state/traffic_monitor.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/assert.h"
#include "state/internal/bytes.h"

namespace weir::state {
namespace {

constexpr uint8_t kVersion = 1;
constexpr std::chrono::seconds kStepTolerance{1};
// Stamps beyond are as good as at it; keeps the arithmetic of windows from overflowing.
constexpr int64_t kStampUsMax = int64_t{1} << 60U;
constexpr int64_t kWindowIndexMax = kStampUsMax / 300'000'000 + 1;
constexpr int64_t kWindowIndexMin = -kWindowIndexMax;

int64_t floor_divide(int64_t value, int64_t by) {
  return value / by - (value % by < 0 ? 1 : 0);
}

int64_t second_of(int64_t unix_us) {
  return floor_divide(std::clamp(unix_us, -kStampUsMax, kStampUsMax), 1'000'000);
}
int64_t second_of(base::Wall time) {
  return second_of(time.time_since_epoch().count());
}
int64_t window_of_second(int64_t second) {
  return floor_divide(second, TrafficMonitor::kWindow.count());
}
base::Wall start_of(int64_t window) {
  return base::Wall{TrafficMonitor::kWindow * window};
}

double percent(uint64_t part, uint64_t whole) {
  if (whole == 0) return 0;
  return std::round(1e4 * static_cast<double>(part) / static_cast<double>(whole)) / 100;
}

}  // namespace

TrafficMonitor::TrafficMonitor(const base::Clock& clock, TrafficMonitorOptions options,
                               std::string name)
    : clock_(clock), options_(options), name_(std::move(name)) {
  WEIR_ASSERT(options_.threshold >= 1 && options_.threshold <= kThresholdMax);
}

uint64_t TrafficMonitor::threshold() const {
  return content_.threshold.value_or(options_.threshold);
}

void TrafficMonitor::follow_clock() {
  now_ = clock_.wall();
  const auto step = steps_.look(clock_.monotonic(), now_);
  const int64_t current = window_of_second(second_of(now_));
  if (current != current_) {
    current_ = current;
    drop_farthest_windows();
  }
  if (!step || *step > kStepTolerance || *step < -kStepTolerance) judged_through_ = current_;
  if (step && *step < -kStepTolerance) minute_.clear();
  if (content_.exceeded) judge_windows();
}

void TrafficMonitor::judge_windows() {
  const base::Wall seen = std::min(now_, seen_through_);
  const int64_t ended = window_of_second(second_of(seen - kJudgeDelay)) - 1;
  while (judged_through_ < ended) {
    const auto window = content_.windows.find(++judged_through_);
    const uint64_t requests = window == content_.windows.end() ? 0 : window->second.requests;
    if (requests >= (threshold() * kClearPercent + 99) / 100) continue;
    content_.exceeded = false;
    if (!content_.auto_cache_by_hand) content_.auto_cache = false;
    ++content_.generation;
    return;
  }
}

void TrafficMonitor::exceed() {
  content_.exceeded = true;
  judged_through_ = current_;
  if (content_.auto_cache) return;
  content_.auto_cache = true;
  content_.auto_cache_by_hand = false;
}

// The current window has a place beside the others even while it is empty.
void TrafficMonitor::drop_farthest_windows() {
  auto& windows = content_.windows;
  while (windows.size() - windows.count(current_) > kHistoryWindows) {
    const auto last = std::prev(windows.end());
    const bool first_is_farther =
        std::abs(windows.begin()->first - current_) >= std::abs(last->first - current_);
    windows.erase(first_is_farther ? windows.begin() : last);
  }
}

TrafficMonitor::Window* TrafficMonitor::window_of(int64_t index) {
  auto& windows = content_.windows;
  auto found = windows.find(index);
  if (found == windows.end()) {
    windows.try_emplace(index);
    drop_farthest_windows();
    found = windows.find(index);
  }
  return found == windows.end() ? nullptr : &found->second;
}

void TrafficMonitor::observe(const traffic::Event& event, std::string_view path) {
  const int64_t second = second_of(event.arrival_us);
  const int64_t index = window_of_second(second);
  const base::MutexLock lock{mutex_};
  follow_clock();
  ++content_.generation;
  ++content_.total;
  if (second <= second_of(now_) + 1) {
    content_.peak_rpm = std::max(content_.peak_rpm, minute_.add(second));
  }
  Window* const window = window_of(index);
  if (window == nullptr) return;
  ++window->requests;
  if (event.cache == traffic::CacheStatus::hit) ++window->cache_hits;
  if (index == current_) {
    if (content_.paths_window != current_) content_.paths.clear();
    content_.paths_window = current_;
    const bool unrouted = (event.flags & traffic::EventFlag::kUnrouted) != 0;
    content_.paths.add(unrouted ? kUnroutedPath : path);
  }
  // Late events may be what lifts the window before over the threshold; once, because a reset does
  // not touch that one.
  const bool reached = index == current_       ? window->requests >= threshold()
                       : index == current_ - 1 ? window->requests == threshold()
                                               : false;
  if (reached && !content_.exceeded) exceed();
}

void TrafficMonitor::note_seen_through(base::Wall time) {
  const base::MutexLock lock{mutex_};
  seen_through_ = time;
}

TrafficView TrafficMonitor::view(size_t top) {
  const base::MutexLock lock{mutex_};
  follow_clock();
  TrafficView view;
  view.stats.current_rpm = minute_.sum(second_of(now_));
  view.stats.peak_rpm = content_.peak_rpm;
  view.stats.total_requests = content_.total;
  view.stats.auto_cache = content_.auto_cache;
  view.current_window.start = start_of(current_);
  view.current_window.duration = now_ - start_of(current_);
  view.current_window.threshold = threshold();
  view.current_window.threshold_exceeded = content_.exceeded;
  for (const auto& [index, window] : content_.windows) {
    if (index == current_) {
      view.current_window.requests = window.requests;
      view.current_window.cache_hits = window.cache_hits;
      view.stats.cache_hit_rate = percent(window.cache_hits, window.requests);
    } else {
      view.history.push_back({start_of(index), window.requests, window.cache_hits});
    }
  }
  if (content_.paths_window == current_) {
    view.top_paths = content_.paths.top(top);
    view.other_requests = content_.paths.other();
  }
  return view;
}

base::Status TrafficMonitor::set_threshold(std::optional<int64_t> threshold) {
  if (threshold && (*threshold < 1 || *threshold > static_cast<int64_t>(kThresholdMax))) {
    return base::Error{.code = base::ErrorCode::invalid_input,
                       .origin = base::Origin::client,
                       .retry = base::Retry::never,
                       .what = "threshold"};
  }
  const base::MutexLock lock{mutex_};
  follow_clock();
  ++content_.generation;
  content_.threshold = threshold;
  const auto window = content_.windows.find(current_);
  if (!content_.exceeded && window != content_.windows.end() &&
      window->second.requests >= this->threshold()) {
    exceed();
  }
  return {};
}

void TrafficMonitor::set_auto_cache(bool enabled) {
  const base::MutexLock lock{mutex_};
  ++content_.generation;
  content_.auto_cache = enabled;
  content_.auto_cache_by_hand = enabled;
}

bool TrafficMonitor::auto_cache() {
  const base::MutexLock lock{mutex_};
  follow_clock();
  return content_.auto_cache;
}

void TrafficMonitor::reset() {
  const base::MutexLock lock{mutex_};
  follow_clock();
  ++content_.generation;
  content_.windows.erase(current_);
  content_.paths.clear();
  content_.exceeded = content_.auto_cache = content_.auto_cache_by_hand = false;
  minute_.clear();
}

uint64_t TrafficMonitor::generation() const {
  const base::MutexLock lock{mutex_};
  return content_.generation;
}

Image TrafficMonitor::image() const {
  const base::MutexLock lock{mutex_};
  internal::Writer writer{internal::Kind::traffic_monitor, kVersion, content_.generation};
  writer.number(content_.total);
  writer.number(content_.peak_rpm);
  writer.number(content_.threshold.value_or(0));
  writer.byte(static_cast<uint8_t>((content_.exceeded ? 1U : 0U) | (content_.auto_cache ? 2U : 0U) |
                                   (content_.auto_cache_by_hand ? 4U : 0U)));
  writer.number(content_.windows.size());
  for (const auto& [index, window] : content_.windows) {
    writer.signed_number(index);
    writer.number(window.requests);
    writer.number(window.cache_hits);
  }
  writer.signed_number(content_.paths_window);
  writer.number(content_.paths.other());
  writer.number(content_.paths.paths().size());
  for (const auto& [path, requests] : content_.paths.paths()) {
    writer.text(path);
    writer.number(requests);
  }
  return {content_.generation, std::move(writer).finish()};
}

bool TrafficMonitor::decode(std::string_view bytes, Content& content) {
  internal::Reader reader{bytes, internal::Kind::traffic_monitor, kVersion};
  const auto count = [&] { return reader.number(internal::kCountMax); };
  const auto index = [&] {
    const int64_t value = reader.signed_number();
    reader.expect(value >= kWindowIndexMin && value <= kWindowIndexMax);
    return value;
  };
  content.generation = reader.generation();
  content.total = count();
  content.peak_rpm = count();
  if (const uint64_t threshold = reader.number(kThresholdMax); threshold != 0) {
    content.threshold = threshold;
  }
  const uint8_t flags = reader.byte();
  reader.expect(flags < 8);
  content.exceeded = (flags & 1U) != 0;
  content.auto_cache = (flags & 2U) != 0;
  content.auto_cache_by_hand = (flags & 4U) != 0;
  reader.expect(content.auto_cache || !content.auto_cache_by_hand);
  for (uint64_t left = reader.number(kHistoryWindows + 1); left > 0 && reader.ok(); --left) {
    const int64_t start = index();
    reader.expect(content.windows.empty() || content.windows.rbegin()->first < start);
    Window& window = content.windows[start];
    window.requests = count();
    window.cache_hits = reader.number(window.requests);
    reader.expect(window.requests > 0);
  }
  content.paths_window = index();
  content.paths.restore_other(count());
  for (uint64_t left = reader.number(PathCounts::kPathsMax); left > 0 && reader.ok(); --left) {
    const std::string_view path = reader.text(PathCounts::kPathBytesMax);
    const auto& before = content.paths.paths();
    reader.expect(before.empty() || before.rbegin()->first < path);
    const uint64_t requests = count();
    reader.expect(requests > 0 && content.paths.restore(path, requests));
  }
  return reader.complete().ok();
}

base::Status TrafficMonitor::restore(std::string_view bytes) {
  Content content;
  if (!decode(bytes, content)) {
    return base::Error{.code = base::ErrorCode::corrupt,
                       .origin = base::Origin::storage,
                       .retry = base::Retry::never,
                       .what = "traffic monitor image"};
  }
  const base::MutexLock lock{mutex_};
  content_ = std::move(content);
  minute_.clear();
  current_ = kWindowIndexMin;
  return {};
}

}  // namespace weir::state
