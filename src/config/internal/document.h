#pragma once
// A TOML file as a tree of plain values, each with its place. The only file that knows toml++ is
// document.cc; it is compiled without that library's exceptions.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "config/problem.h"

namespace weir::config::internal {

struct Place {
  uint32_t line = 0;
  uint32_t column = 0;
};

struct Member;

struct Value {
  enum class Kind : uint8_t { text, integer, real, boolean, time, array, table };

  Kind kind = Kind::table;
  Place place;
  std::string text;
  int64_t integer = 0;
  double real = 0;
  bool boolean = false;
  std::vector<Value> items;     // Of an array.
  std::vector<Member> members;  // Of a table, sorted by key.
};

struct Member {
  std::string key;
  Place place;
  Value value;
};

// "a string", "an integer", ... for messages.
std::string_view kind_name(Value::Kind kind);

// 100 000 IPv6 prefixes in an array take 5 MiB.
inline constexpr size_t kKeyDotsMax = 16;  // Dots of one dotted key or table header.
inline constexpr size_t kDepthMax = 24;    // Nesting of tables and arrays, all in all.

// The root table, or the one syntax error at which reading stopped (its `file` is not filled in).
std::variant<Value, Problem> parse_document(std::string_view toml);

}  // namespace weir::config::internal
