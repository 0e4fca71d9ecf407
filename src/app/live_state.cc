#include "app/live_state.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace weir::app {
namespace {

std::string key_of(std::string_view name) {
  return fmt::format("state:{}", name);
}

}  // namespace

base::Result<std::optional<std::string>> KvStateStore::load(std::string_view name) {
  std::optional<kv::Entry> entry = WEIR_TRY(kv_.get(key_of(name)));
  if (!entry) return std::optional<std::string>{};
  return std::optional<std::string>{std::move(entry->value)};
}

base::Status KvStateStore::save(std::string_view name, std::string_view bytes) {
  if (name.empty() || name.size() > kNameBytesMax || bytes.size() > kImageBytesMax) {
    return base::Error{base::ErrorCode::limit_exceeded, base::Origin::storage, base::Retry::never,
                       0, "name or size of a state image"};
  }
  return kv_.put(key_of(name), bytes);
}

LiveState::LiveState(kv::Kv& kv, const base::Clock& clock, base::Logger& logger, uint64_t threshold)
    : clock_(clock),
      logger_(logger),
      store_(kv),
      monitor_(clock, {.threshold = threshold}),
      clients_(clock),
      monitor_keeper_(store_, clock, {.interval = kMonitorInterval}),
      // One image in a step: 64 of them in a row would keep the consumer from its batches.
      clients_keeper_(store_, clock, {.interval = kClientsInterval, .step_bytes_max = 1}),
      counter_keeper_(store_, clock),
      next_cleanup_(clock.monotonic() + kCleanup),
      current_at_ns_((clock.monotonic() - kLagMax).time_since_epoch().count()) {
  monitor_.note_seen_through(base::Wall{});
  monitor_keeper_.add(monitor_);
  for (state::Kept* const shard : clients_.kept())
    clients_keeper_.add(*shard);
  counter_keeper_.add(counter_);
}

base::Status LiveState::load() {
  if (loaded_.load(std::memory_order_relaxed)) return {};
  for (state::Keeper* const keeper : {&monitor_keeper_, &clients_keeper_, &counter_keeper_}) {
    const base::Result<state::Keeper::Loaded> loaded = keeper->load();
    if (!loaded.ok()) {
      report(loaded.error());
      return loaded.error();
    }
    for (const std::string& name : loaded.value().refused) {
      logger_.log(base::LogLevel::warning,
                  "state: the image of {} is corrupt; it begins anew, the old one is kept as "
                  "state:{}.refused",
                  name, name);
    }
  }
  loaded_.store(true, std::memory_order_release);
  report({});
  return {};
}

void LiveState::report(const base::Status& saved) {
  if (!saved.ok() && !failing_) {
    logger_.log(base::LogLevel::warning, "state: {} failed; it is tried again",
                saved.error().what.view());
  }
  failing_ = !saved.ok();
  const state::Keeper::Report monitor = monitor_keeper_.report();
  const state::Keeper::Report clients = clients_keeper_.report();
  const base::MutexLock lock{mutex_};
  saves_ = monitor.saves + clients.saves;
  save_failures_ = monitor.failures + clients.failures;
}

void LiveState::on_events(std::span<const traffic::Event> events) {
  if (!load().ok()) {
    const base::MutexLock lock{mutex_};
    missed_ += events.size();
    return;
  }
  for (const traffic::Event& event : events) {
    newest_arrival_us_ = std::max(newest_arrival_us_, event.arrival_us);
    const std::string_view path = templates_ ? templates_->of(event.path, scratch_) : event.path;
    monitor_.observe(event, path);
    clients_.observe(event, path);
  }
}

// Under load something new is always there, so "drained" alone would not do; where the store fails,
// nothing is committed and nothing drained.
void LiveState::note_progress(bool drained) {
  const base::Wall now = clock_.wall();
  const int64_t lag_from_us = (now - kLagMax).time_since_epoch().count();
  if (!drained && newest_arrival_us_ < lag_from_us) return;
  monitor_.note_seen_through(now);
  current_at_ns_.store(clock_.monotonic().time_since_epoch().count(), std::memory_order_relaxed);
}

void LiveState::clean_up() {
  if (clock_.monotonic() < next_cleanup_) return;
  next_cleanup_ = clock_.monotonic() + kCleanup;
  static_cast<void>(clients_.cleanup());  // Its figures are in the metrics.
}

void LiveState::step() {
  const base::Monotonic now = clock_.monotonic();
  if (now < next_step_) return;
  next_step_ = now + kStep;
  if (!load().ok()) return;
  clean_up();
  base::Status saved = monitor_keeper_.step();
  const base::Status clients = clients_keeper_.step();
  if (saved.ok()) saved = clients;
  report(saved);
}

void LiveState::flush() {
  if (!loaded_.load(std::memory_order_relaxed)) return;
  base::Status saved = monitor_keeper_.flush();
  const base::Status clients = clients_keeper_.flush();
  if (saved.ok()) saved = clients;
  report(saved);
}

base::Result<int64_t> LiveState::count(CounterChange change) {
  WEIR_TRY(load());
  int64_t value = counter_.value();
  switch (change) {
    case CounterChange::none:
      break;
    case CounterChange::increment:
      value = WEIR_TRY(counter_.increment());
      break;
    case CounterChange::decrement:
      value = WEIR_TRY(counter_.decrement());
      break;
    case CounterChange::reset:
      value = counter_.reset();
      break;
  }
  WEIR_TRY(counter_keeper_.save(counter_));
  return value;
}

std::optional<LiveState::View> LiveState::view(size_t paths) {
  if (!loaded_.load(std::memory_order_acquire)) return std::nullopt;
  View view{.traffic = monitor_.view(paths), .clients = clients_.metrics()};
  const std::chrono::nanoseconds current_at{current_at_ns_.load(std::memory_order_relaxed)};
  view.is_current = clock_.monotonic().time_since_epoch() - current_at < kLagMax;
  const base::MutexLock lock{mutex_};
  view.missed = missed_;
  view.saves = saves_;
  view.save_failures = save_failures_;
  return view;
}

}  // namespace weir::app
