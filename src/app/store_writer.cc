#include "app/store_writer.h"

#include <atomic>
#include <memory>
#include <utility>

#include "base/fault_point.h"
#include "base/rendezvous.h"

namespace weir::app {
namespace {

constexpr base::Error kUnavailable{base::ErrorCode::unavailable, base::Origin::storage,
                                   base::Retry::with_backoff, 0, "writing connection"};

enum class Turn : uint8_t { waiting, running, withdrawn };

struct Task {
  explicit Task(sqlite::Writer::Command what) : command(std::move(what)) {}
  const sqlite::Writer::Command command;
  // Whoever moves it away from `waiting` decides; `status` crosses by the rendezvous' mutex, so the
  // order of this word with other memory does not matter.
  std::atomic<Turn> turn{Turn::waiting};
  base::Status status;
  base::Rendezvous done{1};
};

}  // namespace

base::Status StoreWriter::run(Command command) {
  // Shared with the posted function, which may come to its turn after this call has given up.
  const auto task = std::make_shared<Task>(std::move(command));
  const bool sent = thread_.post([task, &database = database_] {
    Turn expected = Turn::waiting;
    if (!task->turn.compare_exchange_strong(expected, Turn::running)) return;
    base::fault_point("command.before_run");
    task->status = database.is_open() ? task->command(database) : base::Status{kUnavailable};
    base::fault_point("command.after_run");
    task->done.arrive(0);
  });
  if (!sent) return kUnavailable;
  if (!task->done.wait(kPatience).front()) {
    Turn expected = Turn::waiting;
    if (task->turn.compare_exchange_strong(expected, Turn::withdrawn)) return kUnavailable;
    while (!task->done.wait(kPatience).front()) {
    }
  }
  return task->status;
}

}  // namespace weir::app
