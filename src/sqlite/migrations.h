#pragma once
// Versioned schema changes.
//
// Several modules share one file, so each keeps its own version in the table `migrations`
// (component, version, applied_at in Unix seconds) instead of PRAGMA user_version. A migration is
// never edited once released; a change is one more entry at the end. PRAGMA application_id marks
// the file as Weir's.
//
// Database::open() runs the schemas given in its Options; nothing else needs to.

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace weir::sqlite {

class Database;

// One module's part of the file. `scripts[0]` makes version 1, and so on. Both live as long as the
// program.
struct Schema {
  std::string_view component;
  std::span<const std::string_view> scripts;
};

// 'WEIR' in ASCII.
inline constexpr int64_t kApplicationId = 0x57454952;

// Brings the component to its newest version. Each script is one transaction together with its
// version, so a crash leaves a whole version.
//
// Errors: conflict with Retry::never (the file belongs to another program, or was written by a
// newer Weir), and the others of database.h.
base::Status migrate(Database& database, const Schema& schema);

}  // namespace weir::sqlite
