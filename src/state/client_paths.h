#pragma once
// What each client asked for: the founding system's PathCollector objects, one per client
// (spec 7.4), in one bounded table. Not to be taken for traffic/path_collector.h, which counts what
// could not be recorded.
//
// The statistics database answers exactly who asked for what and when, for as long as it keeps
// rows; this table answers about recent clients at once, with their user agents, response times and
// last errors.
//
//   client (hash) ─► {ip, requests, last activity, paths: "METHOD:path" ─► PathFigures, other}
//
// When there is no room for a client, the one that was quiet for longest goes. When there is no
// room for a path of a client, it is counted under the client's `__other__`. So the sums hold:
// a client's requests = its paths + other + forgotten; all requests = the clients' + forgotten.
//
// Clients are spread over kShards shards by their hash. Each has its own lock, its share of the
// limits and its own image, so that observing never waits for a look at everything, and one save is
// short.
//
// Time stamps are those of events. A cleanup takes one ahead of the wall clock back to it, so that
// a clock that was in 2100 for a while keeps nothing until then; and it removes nothing unless the
// wall clock has run for kSteady without being set, so that such a clock does not empty the table.

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/thread_annotations.h"
#include "state/clock_steps.h"
#include "state/state.h"
#include "traffic/event.h"

namespace weir::state {

// Unix microseconds; the JSON names are these in camelCase, with ISO stamps and milliseconds.
struct PathFigures {
  uint64_t count = 0;
  int64_t first_seen_us = 0;     // Of the event observed first.
  int64_t last_accessed_us = 0;  // The latest.
  std::string user_agent;        // The last that was not empty.
  std::string country;           // Likewise.
  struct ResponseTime {          // Of exchanges that took any time.
    uint64_t samples = 0;
    uint64_t sum_us = 0;
    uint64_t min_us = 0;
    uint64_t max_us = 0;
    double average_us() const {
      return samples == 0 ? 0 : static_cast<double>(sum_us) / static_cast<double>(samples);
    }
    bool operator==(const ResponseTime&) const = default;
  } response_time;
  uint64_t error_count = 0;  // Status 400 and above.
  struct LastError {
    int64_t at_us = 0;
    uint16_t status = 0;
    bool operator==(const LastError&) const = default;
  };
  std::optional<LastError> last_error;
  bool operator==(const PathFigures&) const = default;
};

struct ClientSummary {
  uint64_t client = 0;  // Event::client_hash.
  std::string ip;       // As privacy.client_ip left it; may be empty.
  uint64_t total_requests = 0;
  size_t unique_paths = 0;  // Counted by name.
  int64_t created_us = 0;
  int64_t last_activity_us = 0;
  size_t memory_usage = 0;  // Bytes, as the limits count them.
};

struct ClientView {
  struct Path {
    std::string path_key;  // METHOD:path, or `__other__`.
    std::string method;    // Empty for `__other__`.
    PathFigures figures;
  };
  ClientSummary summary;
  std::vector<Path> paths;          // By count, largest first, then by key; `__other__` last.
  uint64_t forgotten_requests = 0;  // Of paths that a cleanup removed.
};

struct ClientPathsOptions {
  size_t clients_max = 10'000;
  size_t paths_per_client_max = 256;
  size_t bytes_max = size_t{24} * 1024 * 1024;
};

// Ownership: borrows the clock.
// Threading: any thread; restoring before any other thread knows the table. observe() is meant for
//   the consumer thread: some 1.2 µs (10,000 clients), and it waits at most for a look at one shard
//   (under 5 ms).
// Limits: ClientPathsOptions, divided evenly over kShards, rounded up; a client takes at most a
//   quarter of its shard's bytes. An image is smaller than its shard's bytes. Strings are cut as in
//   traffic::Event.
class ClientPaths {
 public:
  static constexpr size_t kShards = 64;
  static constexpr size_t kBytesMaxLeast = kShards * size_t{16} * 1024;
  static constexpr size_t kBytesMaxMost = kShards * Store::kImageBytesMax;
  static constexpr std::string_view kOtherPath = "__other__";
  static constexpr std::chrono::hours kIdle{30 * 24};
  static constexpr std::chrono::hours kSteady{1};

  // Requires clients_max and paths_per_client_max of 1 or more, and a bytes_max of kBytesMaxLeast
  // to kBytesMaxMost.
  explicit ClientPaths(const base::Clock& clock, ClientPathsOptions options = {});
  ~ClientPaths();
  ClientPaths(const ClientPaths&) = delete;
  ClientPaths& operator=(const ClientPaths&) = delete;

  // Counts one exchange under `path`: best the consumer's, with ids in segments replaced.
  void observe(const traffic::Event& event, std::string_view path);
  void observe(const traffic::Event& event) { observe(event, event.path); }

  struct Metrics {
    uint64_t total_requests = 0;
    size_t clients = 0;
    size_t paths = 0;  // Counted by name.
    size_t memory_usage = 0;
    uint64_t forgotten_clients = 0;   // Removed for want of room, or by a cleanup.
    uint64_t forgotten_requests = 0;  // Theirs.
  };
  Metrics metrics() const;

  // The `count` clients with most requests, largest first, then by hash.
  std::vector<ClientSummary> top_clients(size_t count) const;
  std::optional<ClientView> client(uint64_t client_hash) const;

  struct Cleanup {
    bool skipped = false;  // The clock was set not long ago: nothing is removed.
    uint64_t cleaned_paths = 0;
    uint64_t removed_clients = 0;
    uint64_t remaining_paths = 0;
  };
  // Removes paths that were idle for more than kIdle, and clients that have no path left and were
  // idle as long. To be called every hour.
  Cleanup cleanup();

  // One to keep per shard: "client_paths/00" to "client_paths/63".
  std::vector<Kept*> kept();

 private:
  class Shard;

  Shard& shard_of(uint64_t client_hash) const;

  const base::Clock& clock_;
  std::array<std::unique_ptr<Shard>, kShards> shards_;

  base::Mutex cleanup_mutex_;
  ClockSteps steps_ WEIR_GUARDED_BY(cleanup_mutex_);
  base::Monotonic steady_since_ WEIR_GUARDED_BY(cleanup_mutex_);
};

}  // namespace weir::state
