#include "app/places_watch.h"

#include <algorithm>
#include <string>
#include <utility>

#include <pthread.h>

namespace weir::app {
namespace {

PlacesState look_at(const base::Clock& clock, geo::DatabaseFile& file, const PlacesState& before) {
  const base::Monotonic began = clock.monotonic();
  PlacesState state{.path = file.path(), .database = before.database, .took = before.took};
  if (file.look()) {
    state.database = file.current();
    state.took = std::chrono::ceil<std::chrono::milliseconds>(clock.monotonic() - began);
  }
  if (file.path().empty()) state.database = nullptr;
  state.problem = file.problem();
  return state;
}

}  // namespace

bool lacks_countries(const config::Config& config) {
  if (!config.geo.database.empty() || !config.geo.country_header.empty()) return false;
  return std::any_of(
      config.geo_rules.begin(), config.geo_rules.end(), [](const config::GeoRule& rule) {
        return rule.enabled &&
               (!rule.continents.empty() || !rule.groups.empty() || !rule.cities.empty() ||
                std::any_of(rule.countries.begin(), rule.countries.end(),
                            [](const std::string& code) { return code != "unknown"; }));
      });
}

PlacesState PlacesWatch::first_look(const base::Clock& clock, geo::DatabaseFile& file) {
  return look_at(clock, file, {});
}

base::Result<std::unique_ptr<PlacesWatch>> PlacesWatch::start(
    base::Clock& clock, geo::DatabaseFile file, std::function<void(PlacesState)> on_change) {
  auto loop = loop::Loop::create(clock);
  if (!loop.ok()) return loop.error();
  std::unique_ptr<PlacesWatch> watch{new PlacesWatch{clock, std::move(loop).value(),
                                                     std::move(file),  // Private constructor.
                                                     std::move(on_change)}};
  watch->thread_ = std::thread([loop = watch->loop_.get()] { loop->run(); });
  ::pthread_setname_np(watch->thread_.native_handle(), "places");
  return watch;
}

PlacesWatch::PlacesWatch(base::Clock& clock, std::unique_ptr<loop::Loop> loop,
                         geo::DatabaseFile file, std::function<void(PlacesState)> on_change)
    : clock_(clock),
      loop_(std::move(loop)),
      on_change_(std::move(on_change)),
      file_(std::move(file)),
      told_{.path = file_.path(), .database = file_.current(), .problem = file_.problem()},
      again_(*loop_, [this] { look(); }) {}

PlacesWatch::~PlacesWatch() {
  loop_->stop();
  thread_.join();
}

void PlacesWatch::watch(std::string path, std::chrono::milliseconds refresh) {
  // A full mailbox only means that many changes wait already: the next reload tries again.
  [[maybe_unused]] const bool sent = loop_->post([this, path = std::move(path), refresh] {
    if (path != file_.path()) file_ = geo::DatabaseFile{path};
    refresh_ = refresh;
    look();
  });
}

void PlacesWatch::look() {
  PlacesState now = look_at(clock_, file_, told_);
  const bool changed =
      now.path != told_.path || now.database != told_.database || now.problem != told_.problem;
  told_ = now;
  if (changed) on_change_(std::move(now));
  if (file_.path().empty()) return again_.cancel();
  again_.set(refresh_);
}

}  // namespace weir::app
