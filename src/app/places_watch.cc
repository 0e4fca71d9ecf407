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

bool lacks_cities(const config::Config& config, const geo::Database* database) {
  // A file that is missing or damaged has an alarm of its own.
  if (database == nullptr && !config.geo.database.empty()) return false;
  if (lacks_countries(config) || (database != nullptr && database->has_cities())) return false;
  return std::any_of(
      config.geo_rules.begin(), config.geo_rules.end(),
      [](const config::GeoRule& rule) { return rule.enabled && !rule.cities.empty(); });
}

PlacesState PlacesWatch::first_look(const base::Clock& clock, geo::DatabaseFile& file) {
  return look_at(clock, file, {});
}

base::Result<std::unique_ptr<PlacesWatch>> PlacesWatch::start(base::Clock& clock,
                                                              geo::DatabaseFile file,
                                                              PlacesState known,
                                                              std::function<bool()> on_change) {
  auto loop = loop::Loop::create(clock);
  if (!loop.ok()) return loop.error();
  std::unique_ptr<PlacesWatch> watch{
      new PlacesWatch{clock, std::move(loop).value(), std::move(file), std::move(known),
                      std::move(on_change)}};  // Private constructor.
  watch->thread_ = std::thread([loop = watch->loop_.get()] { loop->run(); });
  ::pthread_setname_np(watch->thread_.native_handle(), "places");
  return watch;
}

PlacesWatch::PlacesWatch(base::Clock& clock, std::unique_ptr<loop::Loop> loop,
                         geo::DatabaseFile file, PlacesState known, std::function<bool()> on_change)
    : clock_(clock),
      loop_(std::move(loop)),
      on_change_(std::move(on_change)),
      file_(std::move(file)),
      known_(std::move(known)),
      again_(*loop_, [this] { look(); }),
      shown_(known_) {}

PlacesWatch::~PlacesWatch() {
  loop_->stop();
  thread_.join();
}

void PlacesWatch::watch(std::string path, std::chrono::milliseconds refresh,
                        std::function<void()> on_looked) {
  // A full mailbox only means that many changes wait already: the next reload tries again.
  [[maybe_unused]] const bool sent =
      loop_->post([this, path = std::move(path), refresh, on_looked = std::move(on_looked)] {
        if (path != file_.path()) file_ = geo::DatabaseFile{path};
        refresh_ = refresh;
        look();
        on_looked();
      });
}

PlacesState PlacesWatch::state() const {
  const base::MutexLock lock{mutex_};
  return shown_;
}

void PlacesWatch::look() {
  PlacesState now = look_at(clock_, file_, known_);
  is_told_ = is_told_ && now.path == known_.path && now.database == known_.database &&
             now.problem == known_.problem;
  known_ = std::move(now);
  {
    const base::MutexLock lock{mutex_};
    shown_ = known_;
  }
  if (!is_told_) is_told_ = on_change_();
  if (file_.path().empty()) return again_.cancel();
  again_.set(refresh_);
}

}  // namespace weir::app
