#pragma once
// A consumer over a fake journal and a real database in a directory of its own, which tests
// restart, starve and audit.

#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/logger.h"
#include "kv/sqlite_kv.h"
#include "pipeline/consumer.h"
#include "pipeline/testing/fake_journal.h"
#include "sqlite/database.h"
#include "sqlite/testing/fault_vfs.h"
#include "sqlite/testing/temp_directory.h"
#include "stats/sqlite_stats.h"

namespace weir::pipeline::testing {

// Threading: one thread at a time.
class CapturingLogger final : public base::Logger {
 public:
  struct Line {
    base::LogLevel level;
    std::string marker;
    std::string text;
  };
  void write(base::LogLevel level, std::string_view marker, std::string_view text) override {
    lines.push_back({level, std::string{marker}, std::string{text}});
  }
  bool enabled(base::LogLevel) const override { return true; }
  size_t count(base::LogLevel level) const;
  bool has_marker(std::string_view marker) const;

  std::vector<Line> lines;
};

// Keeps the paths of what it saw.
// Threading: one thread at a time.
class CapturingSink final : public EventSink {
 public:
  void on_events(std::span<const traffic::Event> events) override {
    for (const traffic::Event& event : events)
      paths.emplace_back(event.path);
  }
  std::vector<std::string> paths;
};

// Threading: one thread at a time.
class Rig {
 public:
  explicit Rig(ConsumerOptions options = {});
  ~Rig() { crash(); }

  // An event with an id of its own, arriving now; views point to literals or to `path`'s owner.
  traffic::Event event(std::string_view path = "/kv/a");

  // Everything in memory is gone; files and the journal stay. start() goes on from there.
  void crash();
  void start();

  // Steps until all is committed, moving the clock on; at most `steps_max` steps. False: not
  // drained.
  bool drain(int steps_max = 2000);

  int64_t number(const std::string& sql);
  std::string text(const std::string& sql);

  // The audit identity and every sum that must agree with another; empty, or what does not.
  std::string audit();

  std::string path() const { return directory.file("weir.db"); }

  const ConsumerOptions options;
  sqlite::testing::TempDirectory directory;
  sqlite::testing::FaultVfs vfs;
  base::ManualClock clock;
  CapturingLogger logger;
  FakeJournal journal;
  CapturingSink sink;
  std::unique_ptr<sqlite::Database> database;
  std::unique_ptr<stats::SqliteStats> stats;
  std::unique_ptr<kv::SqliteKv> kv;
  std::unique_ptr<Consumer> consumer;

 private:
  uint64_t ids_ = 0;
};

inline constexpr journal::Stream kStream{1, 0};

}  // namespace weir::pipeline::testing
