#include "app/smoke.h"

#include <algorithm>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>
#include <netdb.h>

#include "app/command_output.h"
#include "app/log.h"
#include "app/smoke_evidence.h"
#include "app/smoke_load.h"
#include "config/config.h"
#include "config/endpoint.h"
#include "os/clock.h"
#include "os/random.h"

namespace weir::app {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// The founding document's targets (its section on performance).
constexpr milliseconds kResponseTarget{50};
constexpr milliseconds kConsumedTarget{1000};
constexpr milliseconds kWriteTarget{500};
constexpr milliseconds kSnapshotTarget{2000};
constexpr milliseconds kStartTarget{100};

constexpr uint32_t kWaves = 12;                // More than the ten batches that make a snapshot.
constexpr milliseconds kRowsLook{2};           // Between two looks into the database.
constexpr milliseconds kRowsPatience{15'000};  // For what should take a second.

double in_ms(microseconds time) {
  return static_cast<double>(time.count()) / 1000.0;
}

microseconds quantile(std::vector<microseconds> times, double share) {
  if (times.empty()) return {};
  std::sort(times.begin(), times.end());
  const auto rank = static_cast<size_t>(share * static_cast<double>(times.size() - 1) + 0.5);
  return times[rank];
}

// One line per step: what was measured, what is wanted, and whether that holds.
class Proof {
 public:
  void add(std::string step, std::string measured, std::string target, bool holds) {
    steps_.push_back({{"step", std::move(step)},
                      {"measured", std::move(measured)},
                      {"target", std::move(target)},
                      {"ok", holds}});
    holds_ = holds_ && holds;
  }
  void add_time(std::string step, microseconds measured, milliseconds target) {
    add(std::move(step), fmt::format("{:.1f} ms", in_ms(measured)),
        fmt::format("< {} ms", target.count()), measured < target);
  }

  int print(bool json, const std::string& path) const {
    if (json) {
      print_json({{"ok", holds_}, {"path", path}, {"steps", steps_}});
      return holds_ ? 0 : 1;
    }
    for (const Json& step : steps_) {
      app::print(fmt::format("{} {:<36} {:<34} {}\n", step["ok"].get<bool>() ? "✓" : "✗",
                             step["step"].get<std::string>(), step["measured"].get<std::string>(),
                             step["target"].get<std::string>()));
    }
    app::print(holds_ ? "every step holds\n" : "NOT every step holds\n");
    return holds_ ? 0 : 1;
  }

 private:
  Json steps_ = Json::array();
  bool holds_ = true;
};

struct Target {
  net::SocketAddress address;
  std::string host;
};

std::optional<Target> refuse_target(std::string_view text, std::string_view why) {
  complain(fmt::format("{}: {}; --url http://HOST:PORT says where to send", text, why));
  return std::nullopt;
}

std::optional<Target> target_of_url(const std::string& url) {
  const auto upstream = config::parse_upstream_url(url);
  if (!upstream.ok()) return refuse_target(url, upstream.error().what.view());
  const config::Upstream& to = upstream.value();
  if (!to.unix_path.empty()) return Target{net::SocketAddress::unix_socket(to.unix_path), "smoke"};
  addrinfo* found = nullptr;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  if (::getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &found) != 0) {
    return refuse_target(url, "the name has no address");
  }
  Target target{net::SocketAddress::from_system(found->ai_addr, found->ai_addrlen), to.host};
  ::freeaddrinfo(found);
  return target;
}

// The server's own listener: one that listens everywhere is asked on this machine.
std::optional<Target> target_of_listener(const std::string& listener) {
  auto address = net::SocketAddress::parse(listener);
  if (!address.ok()) return refuse_target(listener, "no address that can be connected to");
  net::SocketAddress to = std::move(address).value();
  if (to.is_ip() && to.port() == 0) return refuse_target(listener, "the port is not known");
  const std::string port = std::to_string(to.port());
  if (listener.starts_with("0.0.0.0:")) to = net::SocketAddress::parse("127.0.0.1:" + port).value();
  if (listener.starts_with("[::]:")) to = net::SocketAddress::parse("[::1]:" + port).value();
  return Target{to, "smoke"};
}

// Ownership: borrows what it is given. Threading: one thread at a time.
class Smoke {
 public:
  Smoke(const cli::CommandLine& line, sqlite::Database& database, const Target& target,
        const std::string& user_agent)
      : line_(line),
        database_(database),
        evidence_(database, clock_, user_agent),
        load_(target.address, target.host, line.path, user_agent) {}

  // False: the proof cannot be made, and why was said.
  bool run(const Json& status) {
    if (!evidence_.begin().ok()) return cannot_read();
    const auto before = evidence_.snapshot(line_.path);
    if (!before.ok()) return cannot_read();
    for (uint32_t wave = 0; wave < kWaves; ++wave) {
      const uint32_t share = line_.count / kWaves + (wave < line_.count % kWaves ? 1 : 0);
      if (share > 0 && !send_wave(share)) return cannot_read();
      if (load_.answers().complete == 0) break;  // Nobody answers at all.
    }
    const auto rows = evidence_.count();
    if (!rows.ok()) return cannot_read();
    const auto growth = evidence_.hourly_growth(rows.value().path_id);
    if (!growth.ok()) return cannot_read();
    prove_answers();
    prove_rows(rows.value(), growth.value());
    if (!prove_snapshot(rows.value().path, before.value().version)) return cannot_read();
    prove_times(status);
    return true;
  }

  int print() const { return proof_.print(line_.json, line_.path); }

 private:
  bool cannot_read() const {
    complain(fmt::format("the database cannot be read: {}", database_.message()));
    return false;
  }

  // Each wave is committed before the next one is sent, so each is a batch of its own at least.
  bool send_wave(uint32_t count) {
    load_.send(count);
    const base::Monotonic end = clock_.monotonic() + kRowsPatience;
    while (evidence_.rows() < load_.answers().complete && !gave_up_) {
      std::this_thread::sleep_for(kRowsLook);
      if (!evidence_.look().ok()) return false;
      gave_up_ = clock_.monotonic() > end;
    }
    ++waves_;
    const auto took = evidence_.last_batch_ms();
    if (!took.ok()) return false;
    slowest_batch_ms_ = std::max(slowest_batch_ms_, took.value());
    return true;
  }

  void prove_answers() {
    const SmokeAnswers& answers = load_.answers();
    std::string statuses;
    for (const auto& [status, count] : answers.statuses)
      statuses += fmt::format("{}{} × {}", statuses.empty() ? "" : ", ", count, status);
    const bool built_in = line_.path == config::kSmokePath;
    const auto good = answers.statuses.find(200);
    const uint32_t wanted =
        built_in ? (good == answers.statuses.end() ? 0 : good->second) : answers.complete;
    proof_.add("sent and answered", answers.problem.empty() ? statuses : answers.problem,
               fmt::format("{}{}", line_.count, built_in ? " × 200" : ""), wanted == line_.count);
    if (built_in && answers.statuses.contains(404)) {
      complain("the built-in route is off: set smoke.enabled = true, or name a --path");
    }
  }

  void prove_rows(const SmokeEvidence::Rows& rows, uint64_t growth) {
    const uint64_t n = line_.count;
    proof_.add("in the journal, and consumed", fmt::format("{} records", rows.positions),
               fmt::format("{}", n), rows.positions == n);
    proof_.add("detail rows in SQL", fmt::format("{} rows", rows.count), fmt::format("{}", n),
               rows.count == n);
    proof_.add("each counted once", fmt::format("{} distinct ids", rows.ids), fmt::format("{}", n),
               rows.ids == n && rows.count == n);
    proof_.add("hourly rows of " + (rows.path.empty() ? line_.path : rows.path),
               fmt::format("grew by {}", growth), fmt::format("{}", n),
               growth == n && rows.paths == 1);
  }

  // First the one that the batches caused by themselves, then one that is asked for: it must hold
  // everything.
  bool prove_snapshot(const std::string& path, uint64_t version_before) {
    if (waves_ >= kWaves) {
      const auto caused = await_snapshot(path, version_before, kSnapshotTarget);
      if (!caused) return false;
      proof_.add("snapshot every 10 batches",
                 fmt::format("version {} after {} batches or more", caused->version, waves_),
                 fmt::format("> {}", version_before), caused->version > version_before);
    }
    const auto last = evidence_.snapshot(path);
    if (!last.ok()) return false;
    const base::Monotonic asked = clock_.monotonic();
    ask(line_.data_dir, {{"command", "snapshot"}});
    const auto snapshot = await_snapshot(path, last.value().version, kRowsPatience);
    if (!snapshot) return false;
    const auto took = std::chrono::duration_cast<microseconds>(clock_.monotonic() - asked);
    // A path of which others have more is rightly not among the first hundred.
    const bool crowded_out = snapshot->paths >= 100 && snapshot->least >= line_.count;
    proof_.add("snapshot:latest has the path",
               snapshot->requests > 0 ? fmt::format("{} requests", snapshot->requests)
               : crowded_out          ? "100 busier paths"
                                      : "not in it",
               fmt::format(">= {}", line_.count), snapshot->requests >= line_.count || crowded_out);
    proof_.add_time("snapshot, from asking to reading", took, kSnapshotTarget);
    const int64_t age_ms = base::unix_ms(clock_.wall()) - snapshot->timestamp_ms;
    proof_.add_time("age of the snapshot", milliseconds{age_ms}, kSnapshotTarget);
    return true;
  }

  // The first snapshot above `version`, or the last one before patience ended.
  std::optional<SmokeSnapshot> await_snapshot(const std::string& path, uint64_t version,
                                              milliseconds patience) {
    const base::Monotonic end = clock_.monotonic() + patience;
    while (true) {
      const auto snapshot = evidence_.snapshot(path);
      if (!snapshot.ok()) return std::nullopt;
      if (snapshot.value().version > version || clock_.monotonic() > end) return snapshot.value();
      std::this_thread::sleep_for(kRowsLook);
    }
  }

  void prove_times(const Json& status) {
    const auto& times = load_.answers().times;
    proof_.add_time("response, p50", quantile(times, 0.50), kResponseTarget);
    proof_.add_time("response, p99", quantile(times, 0.99), kResponseTarget);
    proof_.add_time("answer to row in SQL, p50", quantile(evidence_.latencies(), 0.50),
                    kConsumedTarget);
    proof_.add_time("answer to row in SQL, p99", quantile(evidence_.latencies(), 0.99),
                    kConsumedTarget);
    proof_.add_time("slowest batch written", milliseconds{slowest_batch_ms_}, kWriteTarget);
    proof_.add_time("start of the server", milliseconds{status["start_ms"].get<int64_t>()},
                    kStartTarget);
  }

  const cli::CommandLine& line_;
  sqlite::Database& database_;
  const os::RealClock clock_;
  SmokeEvidence evidence_;
  SmokeLoad load_;
  Proof proof_;
  uint32_t waves_ = 0;
  bool gave_up_ = false;  // Some rows did not come: the other waves do not wait for theirs.
  uint64_t slowest_batch_ms_ = 0;
};

}  // namespace

int run_smoke(const cli::CommandLine& given) {
  cli::CommandLine line = given;
  if (line.path.empty()) line.path = config::kSmokePath;
  const Json status = ask_running(line.data_dir, {{"command", "status"}});
  if (!status.is_object()) return 1;
  const std::optional<Target> target = line.url.empty()
                                           ? target_of_listener(status["listeners"]["traffic"][0])
                                           : target_of_url(line.url);
  if (!target) return 1;
  flush(line.data_dir);  // A server that has just begun makes its tables first.
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  const std::string user_agent = fmt::format("weir-smoke/{:016x}", os::secure_random_u64());
  Smoke smoke{line, reader.database, *target, user_agent};
  return smoke.run(status) ? smoke.print() : 1;
}

}  // namespace weir::app
