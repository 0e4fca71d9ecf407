#pragma once
// Versioned schema changes.
//
// Several modules share one file, so each keeps its own version in the table `migrations`
// (component, version, applied_ms) instead of PRAGMA user_version. A migration is never edited once
// released; a change is one more entry at the end. PRAGMA application_id marks the file as Weir's.

#include <cstdint>
#include <span>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "sqlite/database.h"

namespace weir::sqlite {

// 'WEIR' in ASCII.
inline constexpr int64_t kApplicationId = 0x57454952;

// Brings `component` to the newest version: `scripts[0]` makes version 1, and so on. Each script is
// one transaction together with its version, so a crash leaves a whole version.
//
// Errors: conflict (the file belongs to another program, or was written by a newer Weir), and the
// others of database.h.
base::Status migrate(Database& database, std::string_view component,
                     std::span<const std::string_view> scripts, base::Wall now);

}  // namespace weir::sqlite
