#pragma once
// A file layer for SQLite that fails when told to.
//
// It passes every operation on to the system's and counts those that change or lock something. The
// operation with the chosen number fails, alone (a hiccup) or with all that follow (a dead disk;
// and, when the connection is then thrown away, a killed process: what was written stays written).

#include <cstdint>

namespace weir::sqlite::testing {

enum class Fault : uint8_t {
  io_error,   // Writes, syncs and truncations fail with SQLITE_IOERR.
  disk_full,  // Writes fail with SQLITE_FULL.
  read_only,  // Writes fail with SQLITE_READONLY.
  locked,     // Locks fail with SQLITE_BUSY.
};
enum class Spell : uint8_t { once, for_ever };

// Registers itself with SQLite as "fault" while it lives; only one may live at a time.
// Threading: one thread at a time.
class FaultVfs {
 public:
  static constexpr const char* kName = "fault";

  FaultVfs();
  ~FaultVfs();
  FaultVfs(const FaultVfs&) = delete;
  FaultVfs& operator=(const FaultVfs&) = delete;

  // The operation number `nth` (from 0, counted anew by this call) of the fault's kind fails.
  void fail_at(int64_t nth, Fault fault, Spell spell);
  void heal();

  // Operations of the chosen kind seen since fail_at().
  int64_t operations() const;
  // A failure was delivered since fail_at().
  bool struck() const;
};

}  // namespace weir::sqlite::testing
