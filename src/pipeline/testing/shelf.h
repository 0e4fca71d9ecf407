#pragma once
// A node of some days of age: its consumer (rig.h), its objects, and the work that moves between
// them.

#include <atomic>
#include <string>

#include "objects/objects.h"
#include "pipeline/archiver.h"
#include "pipeline/rebuild.h"
#include "pipeline/testing/rig.h"

namespace weir::pipeline::testing {

inline constexpr std::chrono::hours kDay{24};

// Ownership: borrows `store`, which a test sets first.
// Threading: one thread at a time.
class Shelf {
 public:
  // An event of kStream, now, with these flags.
  void event(std::string_view path, uint16_t flags = 0);

  // Everything is committed and derived. False: it cannot be.
  bool settle();

  // Events and adjustments, as the jobs do.
  base::Status archive();
  base::Status clean();

  base::Result<RebuildReport> check(RebuildOptions options = {});
  base::Result<RebuildReport> rebuild(RebuildOptions options = {});

  // All rows of hours, totals and sketches, as text, time stamps of rows apart.
  std::string books();

  Rig rig;
  objects::Store* store = nullptr;

 private:
  base::Result<RebuildReport> run(sqlite::Database* writer, const RebuildOptions& options);

  std::atomic<bool> never_{false};
};

}  // namespace weir::pipeline::testing
