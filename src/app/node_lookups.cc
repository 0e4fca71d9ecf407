// What a node has to know beyond its configuration: addresses of names, and places of clients.

#include <algorithm>
#include <chrono>
#include <memory>
#include <utility>

#include "app/log.h"
#include "app/node.h"
#include "base/rendezvous.h"
#include "codec/iso_time.h"

namespace weir::app {
namespace {

// Nothing else is answered meanwhile; the time of a look-up whose first server does not answer is
// longer, and nobody's health check should fail for it.
constexpr std::chrono::milliseconds kLookPatience{1000};

}  // namespace

// A file that is damaged or missing does not keep the node from starting: it is no configuration,
// and others write it. Until it is good, no country is known, and an alarm says so.
bool Node::open_places() {
  geo::DatabaseFile file{config_->geo.database};
  take_places(PlacesWatch::first_look(clock_, file));
  auto watch = PlacesWatch::start(clock_, std::move(file), places_, [this] {
    return loop_->post([this] { publish_what_changed(); });
  });
  if (!watch.ok()) {
    complain("the watch of geo.database cannot be started: out of descriptors");
    return false;
  }
  places_watch_ = std::move(watch).value();
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

// What lies outside of the configuration, and has to be known before it is in force: a route would
// answer 503, and a rule would take every country for an unknown one. What takes longer than
// kLookPatience comes later, through publish_what_changed().
void Node::look_around(const config::Config& config) {
  std::vector<std::string> names = gateway::EndpointTable::names(config);
  const bool is_new =
      std::any_of(names.begin(), names.end(),
                  [this](const auto& name) { return !addresses_.contains(name); }) ||
      (config.geo.database != places_.path && !config.geo.database.empty());
  const auto looked = std::make_shared<base::Rendezvous>(2);
  resolver_->watch(std::move(names), config.dns_refresh, [looked] { looked->arrive(0); });
  places_watch_->watch(config.geo.database, config.geo.database_refresh,
                       [looked] { looked->arrive(1); });
  if (is_new) looked->wait(kLookPatience);
  addresses_ = resolver_->addresses();
  take_places(places_watch_->state());
}

void Node::publish_what_changed() {
  gateway::Addresses addresses = resolver_->addresses();
  PlacesState places = places_watch_->state();
  const bool is_other = addresses != addresses_ || places.database != places_.database;
  addresses_ = std::move(addresses);
  take_places(std::move(places));
  if (is_other) static_cast<void>(publish(config_));  // Stalled loops are in the log.
}

}  // namespace weir::app
