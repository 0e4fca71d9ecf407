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
#include "base/thread_annotations.h"
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
// The same of cities, where countries are known: only a database knows cities, and not each of
// them.
bool lacks_cities(const config::Config& config, const geo::Database* database);

// Ownership: owns its thread.
// Threading: any thread; the functions given to it run on the thread of the watch.
class PlacesWatch {
 public:
  // Looks at a file for the first time, on the caller's thread: no request may be decided upon
  // before its rules know countries. Blocks as geo::Database::open().
  static PlacesState first_look(const base::Clock& clock, geo::DatabaseFile& file);

  // Goes on with `file`, of which `known` is known. `on_change`: state() has another database
  // (none, where no path is watched) or another problem. False: nobody could be told; it is called
  // again with the next look. Errors: unavailable (out of descriptors).
  static base::Result<std::unique_ptr<PlacesWatch>> start(base::Clock& clock,
                                                          geo::DatabaseFile file, PlacesState known,
                                                          std::function<bool()> on_change);
  ~PlacesWatch();
  PlacesWatch(const PlacesWatch&) = delete;
  PlacesWatch& operator=(const PlacesWatch&) = delete;

  // Looks at this path's file from now on: at once, and then `on_looked` is called once, and every
  // `refresh`. Of another path, the old database stays in use until there is a good one.
  void watch(std::string path, std::chrono::milliseconds refresh, std::function<void()> on_looked);

  PlacesState state() const;

 private:
  PlacesWatch(base::Clock& clock, std::unique_ptr<loop::Loop> loop, geo::DatabaseFile file,
              PlacesState known, std::function<bool()> on_change);
  void look();

  base::Clock& clock_;
  std::unique_ptr<loop::Loop> loop_;  // Of our own thread; the rest belongs to it.
  const std::function<bool()> on_change_;
  geo::DatabaseFile file_;
  PlacesState known_;
  bool is_told_ = true;
  std::chrono::milliseconds refresh_{30'000};
  loop::Alarm again_;

  mutable base::Mutex mutex_;
  PlacesState shown_ WEIR_GUARDED_BY(mutex_);  // A copy of known_, for other threads.
  std::thread thread_;
};

}  // namespace weir::app
