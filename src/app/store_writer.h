#pragma once
// The consumer's connection as a sqlite::Writer: commands of other threads run on the consumer's
// thread, between two of its steps.

#include "app/paced_thread.h"
#include "sqlite/writer.h"

namespace weir::app {

// Ownership: borrows the Database and the thread that it belongs to; both outlive every run().
// Threading: run(): any thread but that one.
class StoreWriter final : public sqlite::Writer {
 public:
  StoreWriter(sqlite::Database& database, PacedThread& thread)
      : database_(database), thread_(thread) {}

  // Waits kPatience for its turn, then withdraws the command.
  base::Status run(Command command) override;

 private:
  static constexpr std::chrono::seconds kPatience{30};

  sqlite::Database& database_;
  PacedThread& thread_;
};

}  // namespace weir::app
