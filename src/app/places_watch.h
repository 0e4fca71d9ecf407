#pragma once
// The database of places while the node runs: its file is looked at again and again on a thread of
// its own, because reading and checking a new one blocks.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "base/clock.h"
#include "config/config.h"
#include "geo/database_file.h"
#include "loop/loop.h"

namespace weir::app {

// What there is to know of it.
struct PlacesState {
  std::string path;                               // geo.database; empty: none is wanted.
  std::shared_ptr<const geo::Database> database;  // The one in use, or null.
  std::string problem;                            // With the file as it is; empty: nothing.
  std::chrono::milliseconds took{0};              // To read and check the one in use.
};

// Whether there are rules that can only match where a country is known, and none ever is.
bool lacks_countries(const config::Config& config);

// Ownership: owns its thread.
// Threading: any thread; `on_change` runs on the thread of the watch.
class PlacesWatch {
 public:
  // Looks at a file for the first time, on the caller's thread: no request may be decided upon
  // before its rules know countries. Blocks as geo::Database::open().
  static PlacesState first_look(const base::Clock& clock, geo::DatabaseFile& file);

  // Goes on with `file`. Errors: unavailable (out of descriptors).
  static base::Result<std::unique_ptr<PlacesWatch>> start(
      base::Clock& clock, geo::DatabaseFile file, std::function<void(PlacesState)> on_change);
  ~PlacesWatch();
  PlacesWatch(const PlacesWatch&) = delete;
  PlacesWatch& operator=(const PlacesWatch&) = delete;

  // Looks at this path's file from now on, at once and then every `refresh`. `on_change` is called
  // when there is another database (none, where the path is empty) or another problem. Of another
  // path, the old database stays in use until there is a good one.
  void watch(std::string path, std::chrono::milliseconds refresh);

 private:
  PlacesWatch(base::Clock& clock, std::unique_ptr<loop::Loop> loop, geo::DatabaseFile file,
              std::function<void(PlacesState)> on_change);
  void look();

  base::Clock& clock_;
  std::unique_ptr<loop::Loop> loop_;  // Of our own thread; the rest belongs to it.
  const std::function<void(PlacesState)> on_change_;
  geo::DatabaseFile file_;
  PlacesState told_;
  std::chrono::milliseconds refresh_{30'000};
  loop::Alarm again_;
  std::thread thread_;
};

}  // namespace weir::app
