#pragma once
// One evaluation after another: figures in, messages out, and what must be remembered kept.
//
//   figures ─► rules.h ─► Book ──raised, over──► WatchPorts::changed
//                          │ due ─► WatchPorts::send ─► delivered: kept before the next one is sent
//                          └─ image ─► WatchPorts::save
//
// A message counts as delivered when send() says so, and that is kept at once: a process that is
// killed between the two sends that one message again. Anything else is sent once for each
// cooldown.
//
// Degraded: while what was kept cannot be read, alerts are raised and sent all the same, because
// a database that fails is something to be told of; what was told by an earlier process may then be
// told again. While it cannot be written, memory knows what was told, for as long as the process
// lives. Neither loses what was kept: nothing is saved before it could be read.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "alerts/book.h"
#include "alerts/rules.h"
#include "base/clock.h"
#include "base/result.h"

namespace weir::alerts {

enum class Sent : uint8_t {
  delivered,
  refused,      // The other side answered, and not with success: another message may fare better.
  unreachable,  // Nothing else would arrive either.
};

// What a Watch needs of its surroundings.
// Ownership: the composition root owns it.
// Threading: that of the Watch.
class WatchPorts {
 public:
  virtual ~WatchPorts() = default;
  // What was saved last; nothing: never. Errors: of the store.
  virtual base::Result<std::optional<std::string>> load() = 0;
  // Durable when it returns ok. Errors: of the store.
  virtual base::Status save(std::string_view image) = 0;
  // Keeps an image that cannot be understood under another name. Errors: of the store.
  virtual base::Status set_aside(std::string_view image) = 0;
  // May block for a while. Ends soon when the evaluation is cancelled.
  virtual Sent send(const Message& message) = 0;
  virtual void changed(const BookChange& change) = 0;
};

struct WatchOptions {
  Thresholds thresholds;
  std::chrono::milliseconds cooldown{600'000};
  bool webhook = false;  // Whether there is anybody to send to.
};

struct Watched {
  size_t raised = 0;  // Are, now.
  size_t delivered = 0;
  size_t failed = 0;
  size_t waiting = 0;  // Messages that are due and were not tried: the next evaluation does.
  bool kept = true;    // What is to be remembered is stored.
};

// Ownership: owns the book; borrows ports and clock.
// Threading: one thread at a time.
// Limits: an evaluation sends up to kMessagesMax messages, begins none kSendingMax after its
//   beginning, and ends sending with the first one that is unreachable. So it blocks for at most
//   kSendingMax and the time of one send().
class Watch {
 public:
  static constexpr size_t kMessagesMax = 20;
  static constexpr std::chrono::seconds kSendingMax{10};

  Watch(WatchPorts& ports, const base::Clock& clock) : ports_(ports), clock_(clock) {}

  // `figures.live->settled_peak_rpm` is filled in here, from `peak_rpm`.
  Watched evaluate(Figures figures, uint64_t peak_rpm, const WatchOptions& options,
                   const std::atomic<bool>& cancelled);

  const Book& book() const { return book_; }

 private:
  void load(const Moment& now);
  void save();
  void send(const WatchOptions& options, const std::atomic<bool>& cancelled, Watched& watched);

  WatchPorts& ports_;
  const base::Clock& clock_;
  Book book_;
  bool loaded_ = false;
  uint64_t saved_ = 0;  // The book's generation that is stored.
};

}  // namespace weir::alerts
