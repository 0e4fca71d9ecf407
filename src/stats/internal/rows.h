#pragma once
// Small conversions between values and columns, the sums of one path, and the errors of several
// sources.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sqlite/database.h"
#include "stats/derived.h"
#include "stats/stats.h"

namespace weir::stats::internal {

inline constexpr base::Error kUnfolded{base::ErrorCode::conflict, base::Origin::storage,
                                       base::Retry::with_backoff, 0,
                                       "events that are not derived yet"};
inline constexpr base::Error kPartVanished{base::ErrorCode::conflict, base::Origin::storage,
                                           base::Retry::with_backoff, 0, "archive part"};

// The inverse of traffic::to_string(); zero for a text of another form.
traffic::EventId id_of_text(std::string_view text);

// The column `id` of an event that arrived at `ts_ms`: the 10 bytes that the time stamp does not
// tell; the whole text where the id was made at another moment. `text` is borrowed until the
// statement has run.
void bind_id(sqlite::Statement& statement, int parameter, const traffic::EventId& id, int64_t ts_ms,
             std::string& text);
traffic::EventId id_of_row(const sqlite::Statement& row, int column, int64_t ts_ms);

// The columns of `events`, as parameters of an INSERT of whole rows.
struct EventColumn {
  enum : int {
    seq = 1,
    epoch,
    loop,
    sequence,
    id,
    ts_ms,
    lag_s,
    path_id,
    raw_path,
    method,
    status,
    us,
    client,
    ip,
    ua,
    country,
    city,
    colo,
    route,
    geo,
    cache,
    outcome,
    attempts,
    flags,
    upstream_us,
    bytes_in,
    bytes_out,
  };
};

// The four numbers of a dotted IPv4 address as one, in network order, read as a signed integer
// because SQLite stores small magnitudes in fewer bytes. Nothing when the text would not come back
// the same.
std::optional<int64_t> ipv4_number(std::string_view text);

// The address as a column: NULL, the number of a dotted IPv4 address, or the text; and back.
void bind_address(sqlite::Statement& statement, int parameter, std::string_view address);
std::string address_of(const sqlite::Statement& row, int column);

// Milliseconds of microseconds; floors, also before 1970.
constexpr int64_t floor_ms(int64_t us) {
  return us / 1000 - (us % 1000 < 0 ? 1 : 0);
}

// Binds the parameters 1 to kCountParameters. Column order: docs/formats/database.md.
inline constexpr int kCountParameters = 25;
void bind_counts(sqlite::Statement& statement, const Counts& counts);
// The kCountParameters columns from `first` on.
Counts read_counts(const sqlite::Statement& row, int first);

// The bytes of a row of sketches: latency in `column`, clients behind it. What is damaged stays
// empty. False: something was.
bool decode_sketches(const sqlite::Statement& row, int column, SketchRow& into);

// Over the hours from `first_hour` to `last_hour`, both included.
base::Result<TopPath> sum_of_path(sqlite::Database& database, int64_t path_id, int64_t first_hour,
                                  int64_t last_hour);

}  // namespace weir::stats::internal
