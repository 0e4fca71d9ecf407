#include "stats/internal/rows.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "stats/count_columns.h"

namespace weir::stats::internal {
namespace {

using sqlite::Database;
using sqlite::Statement;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  return -1;
}

void bind_optional(Statement& statement, int parameter, std::optional<uint64_t> value) {
  if (value) {
    statement.bind_unsigned(parameter, *value);
  } else {
    statement.bind_null(parameter);
  }
}

}  // namespace

traffic::EventId id_of_text(std::string_view text) {
  traffic::EventId id;
  constexpr size_t kTailDigits = 2 * std::tuple_size_v<decltype(id.tail)>;
  if (text.size() < kTailDigits + 1) return {};
  const size_t dash = text.size() - kTailDigits - 1;
  std::from_chars(text.data(), text.data() + dash, id.unix_ms);
  for (size_t i = 0; i < id.tail.size(); ++i) {
    const int high = hex_value(text[dash + 1 + 2 * i]);
    const int low = hex_value(text[dash + 2 + 2 * i]);
    if (high < 0 || low < 0) return {};
    id.tail[i] = static_cast<uint8_t>(high * 16 + low);
  }
  return id;
}

void bind_id(Statement& statement, int parameter, const traffic::EventId& id, int64_t ts_ms,
             std::string& text) {
  if (id.unix_ms == static_cast<uint64_t>(ts_ms)) {
    statement.bind_blob(parameter, {reinterpret_cast<const char*>(id.tail.data()), id.tail.size()});
    return;
  }
  text = traffic::to_string(id);
  statement.bind_text(parameter, text);
}

traffic::EventId id_of_row(const Statement& row, int column, int64_t ts_ms) {
  if (row.column_type(column) == sqlite::ColumnType::text) {
    return id_of_text(row.column_text(column));
  }
  traffic::EventId id;
  const std::string_view tail = row.column_blob(column);
  id.unix_ms = static_cast<uint64_t>(ts_ms);
  std::memcpy(id.tail.data(), tail.data(), std::min(tail.size(), id.tail.size()));
  return id;
}

std::optional<int64_t> ipv4_number(std::string_view text) {
  uint32_t number = 0;
  const char* at = text.data();
  const char* const end = at + text.size();
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at == end || *at++ != '.')) return std::nullopt;
    const char* const begin = at;
    uint32_t value = 0;
    while (at != end && *at >= '0' && *at <= '9' && at - begin < 3) {
      value = value * 10 + static_cast<uint32_t>(*at++ - '0');
    }
    const bool leading_zero = at - begin > 1 && *begin == '0';
    if (at == begin || leading_zero || value > 255) return std::nullopt;
    number = number << 8U | value;
  }
  if (at != end) return std::nullopt;
  return static_cast<int32_t>(number);
}

void bind_address(Statement& statement, int parameter, std::string_view address) {
  if (address.empty()) {
    statement.bind_null(parameter);
  } else if (const std::optional<int64_t> number = ipv4_number(address)) {
    statement.bind(parameter, *number);
  } else {
    statement.bind_text(parameter, address);
  }
}

std::string address_of(const Statement& row, int column) {
  if (row.column_type(column) != sqlite::ColumnType::integer) {
    return std::string{row.column_text(column)};
  }
  const auto number = static_cast<uint32_t>(row.column_int(column));
  return std::to_string(number >> 24U) + '.' + std::to_string(number >> 16U & 255U) + '.' +
         std::to_string(number >> 8U & 255U) + '.' + std::to_string(number & 255U);
}

void bind_counts(Statement& statement, const Counts& counts) {
  static_assert(kCountParameters == static_cast<int>(kCountNames.size()));
  const CountValues values = values_of(counts);
  for (size_t i = 0; i < values.size(); ++i)
    bind_optional(statement, static_cast<int>(i) + 1, values[i]);
}

Counts read_counts(const Statement& row, int first) {
  CountValues values;
  for (size_t i = 0; i < values.size(); ++i) {
    const int column = first + static_cast<int>(i);
    if (row.column_type(column) == sqlite::ColumnType::null) continue;
    values[i] = row.column_unsigned(column);
  }
  return counts_of(values);
}

bool decode_sketches(const Statement& row, int column, SketchRow& into) {
  base::Result<sketch::DdSketch> latency = sketch::DdSketch::decode(row.column_blob(column));
  base::Result<sketch::HyperLogLog> clients =
      sketch::HyperLogLog::decode(row.column_blob(column + 1));
  if (latency.ok()) into.latency = std::move(latency).value();
  if (clients.ok()) into.clients = std::move(clients).value();
  return latency.ok() && clients.ok();
}

base::Result<TopPath> sum_of_path(Database& database, int64_t path_id, int64_t first_hour,
                                  int64_t last_hour) {
  const Database::Borrowed query = WEIR_TRY(database.cached(
      "SELECT (SELECT path FROM paths WHERE path_id = ?1), max(hour), sum(requests), sum(errors),"
      " sum(us_sum), sum(us_count), min(us_min), max(us_max), sum(method_get), sum(method_head),"
      " sum(method_post), sum(method_put), sum(method_patch), sum(method_delete),"
      " sum(method_options), sum(method_other) FROM hourly WHERE path_id = ?1 AND hour BETWEEN ?2 "
      "AND ?3"));
  query->bind(1, path_id);
  query->bind(2, first_hour);
  query->bind(3, last_hour);
  TopPath top;
  if (!WEIR_TRY(query->step())) return top;
  const auto number = [&query](int i) { return query->column_unsigned(i); };
  const auto optional = [&query, &number](int i) {
    const bool none = query->column_type(i) == sqlite::ColumnType::null;
    return none ? std::optional<uint64_t>{} : number(i);
  };
  top.path = query->column_text(0);
  top.newest_hour = query->column_int(1);
  top.counts.requests = number(2);
  top.counts.errors = number(3);
  top.counts.us_sum = number(4);
  top.counts.us_count = number(5);
  top.counts.us_min = optional(6);
  top.counts.us_max = optional(7);
  for (size_t i = 0; i < top.counts.methods.size(); ++i) {
    top.counts.methods[i] = number(8 + static_cast<int>(i));
  }
  return top;
}

}  // namespace weir::stats::internal
