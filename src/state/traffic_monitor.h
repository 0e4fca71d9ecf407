#pragma once
// How much traffic there is: requests per minute, windows of five minutes, the paths with most
// requests, and whether a threshold is exceeded. The founding system's TrafficMonitor (spec 7.3),
// without its defects (17.7 (88)): each request is counted once, by the consumer; a young window is
// not extrapolated; paths are bounded; nothing is stored per request.
//
// Time. A request belongs to the second and the window of its arrival stamp, however late it is
// observed; windows begin at multiples of five minutes UTC. "Current" is what the wall clock says.
// The wall clock may be set at any moment, so:
//   - Windows are kept by their start; when there are too many, the one farthest from the wall
//     clock goes. So an excursion into 2100 leaves the windows of today where they are, and those
//     of 2100 are the first to go when the clock is back. After a step back of an hour, the windows
//     of that hour get the requests of both passes, as their stamps say.
//   - When the clock was set back, the minute begins anew, as in a new process: the rolling figure
//     is too low for a minute and never too high, so that the peak holds only what really came
//     within 60 seconds. Stamps over a second ahead of the clock do not enter it.
//   - After any step, the threshold is cleared only by a window that began after it.
//
// The threshold has a hysteresis:
//
//          a window's requests reach the threshold: auto-cache goes on
//   quiet ────────────────────────────────────────────────────────────► exceeded
//         ◄────────────────────────────────────────────────────────────
//          a whole later window stayed under 80 %: auto-cache goes off, unless set by hand
//
// Of one process' life: the rolling minute begins empty at each start. All else is in the image.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_annotations.h"
#include "state/clock_steps.h"
#include "state/path_counts.h"
#include "state/rolling_minute.h"
#include "state/state.h"
#include "traffic/event.h"

namespace weir::state {

// What `GET /api/admin/traffic/stats` shows; the JSON names are these in camelCase.
struct TrafficView {
  struct Stats {
    uint64_t current_rpm = 0;     // Requests of the last 60 s.
    uint64_t peak_rpm = 0;        // Most ever within 60 s.
    uint64_t total_requests = 0;  // Ever, also those of no kept window.
    double cache_hit_rate = 0;    // Percent of the current window's requests, two decimals.
    bool auto_cache = false;
  };
  struct Window {
    base::Wall start;
    uint64_t requests = 0;
    uint64_t cache_hits = 0;  // Answered from the cache while fresh.
    bool operator==(const Window&) const = default;
  };
  struct CurrentWindow : Window {
    std::chrono::microseconds duration{0};  // `duration` in JSON is in minutes.
    uint64_t threshold = 0;
    bool threshold_exceeded = false;
  };

  Stats stats;
  CurrentWindow current_window;
  std::vector<PathCount> top_paths;  // Since the window became current.
  uint64_t other_requests = 0;       // Of all paths that are not counted by name: `__other__`.
  std::vector<Window> history;       // Oldest first; also windows ahead of a clock that went back.
};

struct TrafficMonitorOptions {
  uint64_t threshold = 10'000;  // Requests per window, until set_threshold().
};

// Ownership: borrows the clock.
// Threading: any thread; restore() before any other thread knows the monitor. observe() is meant
//   for the consumer thread: some 0.3 µs under a mutex that others hold for as long as it takes to
//   copy a view or an image (under 1 ms).
// Limits: the current window and kHistoryWindows others, those without requests not kept;
//   PathCounts for the current one. An event of a window that finds no place is in the total only.
class TrafficMonitor final : public Kept {
 public:
  static constexpr std::chrono::seconds kWindow{300};
  static constexpr size_t kHistoryWindows = 24;
  static constexpr uint64_t kClearPercent = 80;
  // A window is judged so long after its end: the consumer may be late.
  static constexpr std::chrono::seconds kJudgeDelay{10};
  static constexpr uint64_t kThresholdMax = 1'000'000'000'000'000;

  // Names of paths that stand for many.
  static constexpr std::string_view kUnroutedPath = "__unrouted__";

  explicit TrafficMonitor(const base::Clock& clock, TrafficMonitorOptions options = {},
                          std::string name = "traffic_monitor/global");

  // Counts one request under `path`: best the consumer's, with ids in segments replaced. What no
  // route matched is counted under kUnroutedPath, so that a scan does not displace routed paths.
  void observe(const traffic::Event& event, std::string_view path);
  void observe(const traffic::Event& event) { observe(event, event.path); }

  // All that arrived until then has been observed: windows after it are not judged yet. As long as
  // this is never called, whatever the clock has passed is taken for seen.
  void note_seen_through(base::Wall time);

  // With the `top` paths with most requests of the current window.
  // Looking lets time pass, hence not const.
  TrafficView view(size_t top = 10);

  // Takes effect at once: the current window may exceed a lower threshold. Kept across restarts;
  // absent: the option's again. Errors: invalid_input (Origin::client): not 1 to kThresholdMax.
  base::Status set_threshold(std::optional<int64_t> threshold);

  // By hand. On: until switched off or reset. Off: until the threshold is exceeded anew.
  void set_auto_cache(bool enabled);
  bool auto_cache();

  // Forgets the current window, the minute, the exceeded threshold and auto-cache; not the total,
  // the peak and the history.
  void reset();

  std::string_view name() const override { return name_; }
  uint64_t generation() const override;
  Image image() const override;
  base::Status restore(std::string_view bytes) override;

 private:
  struct Window {
    uint64_t requests = 0;
    uint64_t cache_hits = 0;
  };
  // What an image holds.
  struct Content {
    uint64_t total = 0;
    uint64_t peak_rpm = 0;
    std::map<int64_t, Window> windows;  // By start / kWindow.
    int64_t paths_window = 0;           // The window that `paths` is about.
    PathCounts paths;
    std::optional<uint64_t> threshold;
    bool exceeded = false;
    bool auto_cache = false;
    bool auto_cache_by_hand = false;
    uint64_t generation = 0;
  };

  void follow_clock() WEIR_ATTRIBUTE(requires_capability(mutex_));
  void judge_windows() WEIR_ATTRIBUTE(requires_capability(mutex_));
  void drop_farthest_windows() WEIR_ATTRIBUTE(requires_capability(mutex_));
  // Nothing when it finds no place.
  Window* window_of(int64_t index) WEIR_ATTRIBUTE(requires_capability(mutex_));
  uint64_t threshold() const WEIR_ATTRIBUTE(requires_capability(mutex_));
  static bool decode(std::string_view bytes, Content& content);
  void exceed() WEIR_ATTRIBUTE(requires_capability(mutex_));

  const base::Clock& clock_;
  const TrafficMonitorOptions options_;
  const std::string name_;

  mutable base::Mutex mutex_;
  Content content_ WEIR_GUARDED_BY(mutex_);
  RollingMinute minute_ WEIR_GUARDED_BY(mutex_);
  ClockSteps steps_ WEIR_GUARDED_BY(mutex_);
  base::Wall now_ WEIR_GUARDED_BY(mutex_);
  int64_t current_ WEIR_GUARDED_BY(mutex_) = 0;         // Window of now_.
  int64_t judged_through_ WEIR_GUARDED_BY(mutex_) = 0;  // Only later windows may clear.
  base::Wall seen_through_ WEIR_GUARDED_BY(mutex_) = base::Wall::max();
};

}  // namespace weir::state
