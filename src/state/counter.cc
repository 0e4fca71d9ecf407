#include "state/counter.h"

#include "state/internal/bytes.h"

namespace weir::state {
namespace {

constexpr uint8_t kVersion = 1;

}  // namespace

base::Result<int64_t> Counter::add(int64_t change) {
  const base::MutexLock lock{mutex_};
  int64_t value = 0;
  if (__builtin_add_overflow(value_, change, &value)) {
    return base::Error{.code = base::ErrorCode::limit_exceeded,
                       .origin = base::Origin::client,
                       .retry = base::Retry::never,
                       .what = "counter value"};
  }
  value_ = value;
  ++generation_;
  return value;
}

int64_t Counter::reset() {
  const base::MutexLock lock{mutex_};
  value_ = 0;
  ++generation_;
  return 0;
}

int64_t Counter::value() const {
  const base::MutexLock lock{mutex_};
  return value_;
}

uint64_t Counter::generation() const {
  const base::MutexLock lock{mutex_};
  return generation_;
}

Image Counter::image() const {
  const base::MutexLock lock{mutex_};
  internal::Writer writer{internal::Kind::counter, kVersion, generation_};
  writer.signed_number(value_);
  return {generation_, std::move(writer).finish()};
}

base::Status Counter::restore(std::string_view bytes) {
  internal::Reader reader{bytes, internal::Kind::counter, kVersion};
  const int64_t value = reader.signed_number();
  WEIR_TRY(reader.complete());
  const base::MutexLock lock{mutex_};
  value_ = value;
  generation_ = reader.generation();
  return {};
}

}  // namespace weir::state
