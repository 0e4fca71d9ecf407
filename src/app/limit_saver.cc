#include "app/limit_saver.h"

#include <algorithm>
#include <utility>

#include "os/random.h"

namespace weir::app {
namespace {

constexpr std::chrono::milliseconds kRetryMax{60'000};
constexpr int kSaverNiceness = 5;

}  // namespace

LimitSaver::LimitSaver(os::Files& files, base::Clock& clock, base::Logger& logger,
                       const std::string& directory, std::chrono::milliseconds interval)
    : clock_(clock), logger_(logger), interval_(interval), file_(files, clock, directory) {}

uint64_t LimitSaver::seed() {
  return interval_.count() == 0 ? os::secure_random_u64() : file_.seed();
}

size_t LimitSaver::load(limit::Limiter& limiter) {
  if (interval_.count() == 0) return 0;
  const LimitFile::Loaded loaded = file_.load(limiter);
  if (!loaded.problem.empty()) {
    logger_.log(base::LogLevel::warning,
                "rate limits: {}; what is missing is counted from the beginning", loaded.problem);
  }
  return loaded.entries;
}

base::Status LimitSaver::start(limit::Limiter& limiter) {
  if (interval_.count() == 0) return {};
  limiter_ = &limiter;
  thread_ = WEIR_TRY(PacedThread::create(clock_, "limits", kSaverNiceness,
                                         [this, &limiter] { return save(limiter); }));
  thread_->start();
  return {};
}

void LimitSaver::stop() {
  if (thread_ == nullptr) return;
  thread_->stop();
  thread_.reset();
  save(*limiter_);
}

std::chrono::milliseconds LimitSaver::save(limit::Limiter& limiter) {
  const bool failed_before = file_.failing();
  const base::Status saved = file_.save(limiter);
  if (saved.ok()) {
    retry_ = std::chrono::milliseconds{0};
    return interval_;
  }
  if (!failed_before) {
    logger_.log(base::LogLevel::warning, "rate limits cannot be saved: {}; it is tried again",
                saved.error().what.view());
  }
  retry_ = std::clamp(2 * retry_, interval_, std::max(interval_, kRetryMax));
  return retry_;
}

std::string LimitSaver::alarm() const {
  if (!file_.failing()) return {};
  return "rate limits cannot be saved: after a restart, clients may begin anew";
}

}  // namespace weir::app
