#pragma once
// The path pattern of a route: the one grammar and the one meaning, for routing, statistics,
// previews and validation alike.
//
// A pattern is a path in segments. A segment is literal text, or `*` alone, which stands for
// exactly one segment that is not empty. At the end, `/*` and `/**` mean the same: everything
// below, and nothing too. So "/kv/*" matches "/kv/", "/kv/a" and "/kv/a/b", not "/kv" and not
// "/kvx"; "/**" matches every path; "/v1/*/items" matches "/v1/7/items" only. Nothing is a regular
// expression.
//
// Patterns are compared with normalised paths, so literal text is normalised the same way: escapes
// of unreserved characters are decoded, other escapes get upper-case digits, bytes outside ASCII
// are escaped. What no normalised path can contain (dot segments, '?', '#', backslash, controls) is
// refused, because such a route would never match.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::config {

struct Pattern {
  struct Segment {
    bool any;          // `*`: one segment, not empty.
    std::string text;  // When literal; may be empty ("/kv/" ends in an empty segment).
    bool operator==(const Segment&) const = default;
  };

  std::vector<Segment> segments;
  bool rest = false;           // Ended in "/*" or "/**".
  std::string literal_prefix;  // Up to the first wildcard; the whole path when there is none.
  bool operator==(const Pattern&) const = default;

  bool has_wildcard() const;
};

inline constexpr size_t kPatternBytesMax = 1024;
inline constexpr size_t kPatternSegmentsMax = 64;

// Errors: invalid_input, limit_exceeded; `what` completes "pattern has ..." for the user.
base::Result<Pattern> parse_pattern(std::string_view text);

// Normalises the literal text of a path (no wildcards: `*` is an ordinary character) in the way
// above. Errors: as parse_pattern.
base::Result<std::string> normalize_literal_path(std::string_view text);

// Whether `path` (normalised, without query) matches. The slow and obvious reference; the table
// that serves requests is routing::RouteTable.
bool matches(const Pattern& pattern, std::string_view path);

}  // namespace weir::config
