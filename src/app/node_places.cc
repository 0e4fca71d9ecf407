// Where a node's clients are: its part in the database of places.

#include <utility>

#include "app/log.h"
#include "app/node.h"
#include "codec/iso_time.h"

namespace weir::app {

// A file that is damaged or missing does not keep the node from starting: it is no configuration,
// and others write it. Until it is good, no country is known, and an alarm says so.
bool Node::open_places() {
  geo::DatabaseFile file{config_->geo.database};
  take_places(PlacesWatch::first_look(clock_, file));
  auto watch = PlacesWatch::start(clock_, std::move(file), [this](PlacesState state) {
    // Not sent: many changes wait, and the next look at a changed file brings the next one.
    static_cast<void>(loop_->post([this, state = std::move(state)] {
      const bool is_other = state.database != places_.database;
      take_places(state);
      if (is_other) static_cast<void>(publish(config_));  // Stalled loops are in the log.
    }));
  });
  if (!watch.ok()) {
    complain("the watch of geo.database cannot be started: out of descriptors");
    return false;
  }
  places_watch_ = std::move(watch).value();
  places_watch_->watch(config_->geo.database, config_->geo.database_refresh);
  return true;
}

void Node::take_places(PlacesState state) {
  if (state.database != nullptr && state.database != places_.database) {
    const geo::Database& database = *state.database;
    logger_->log(base::LogLevel::info, "geo: {}: {} of {}, {} bytes, read in {} ms", state.path,
                 database.type(), codec::iso_ms(database.built_s() * 1000),
                 database.identity().bytes, state.took.count());
  }
  places_ = std::move(state);
}

}  // namespace weir::app
