#pragma once
// The one path: guards, routes, cache keys and upstreams all see the string made here, so none can
// be passed by spelling a path differently for another.
// Source: RFC 3986 sections 2.3, 5.2.4 and 6.2.2.
//
// In this order, in one pass, never twice:
//   1. refused: NUL, control characters, backslash and '#', raw or (but for '#') percent-encoded,
//      and '%' without two hex digits;
//   2. escapes of unreserved characters (letters, digits, "-._~") are decoded; other escapes stay,
//      in upper case; raw bytes that a path must not hold ('"<>[]^`{|}', 0x80 to 0xFF) are escaped;
//   3. refused: a segment that would become a dot segment if its %2F were decoded, or if ';' (or
//      %3B) and what follows were stripped, as some servers do;
//   4. dot segments are removed; ".." above the root stays at the root.
// Slashes are not merged. The query is not touched.

#include <span>
#include <string>
#include <string_view>

#include "base/thread_annotations.h"
#include "http/malformed.h"

namespace weir::http {

// The normalised form of `raw_path`, which is a path without query: `raw_path` itself where nothing
// changes (no copy), else a view into `out`. The result is a fixed point: normalising it again
// changes nothing.
// Limits: needs at most 3 * raw_path.size() bytes of `out`.
//
// Errors: path_nul, path_control, path_backslash, path_escape, path_fragment, path_dot_segment,
// path_not_rooted; target_too_long when `out` is too small.
Result<std::string_view> normalise_path(std::string_view raw_path WEIR_LIFETIMEBOUND,
                                        std::span<char> out WEIR_LIFETIMEBOUND);

// The same with a string as scratch memory, which grows as needed and keeps its capacity.
Result<std::string_view> normalise_path(std::string_view raw_path WEIR_LIFETIMEBOUND,
                                        std::string& scratch WEIR_LIFETIMEBOUND);

}  // namespace weir::http
