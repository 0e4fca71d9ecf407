#pragma once
// What request heads, response heads and trailer sections have in common: field lines, and the few
// fields that decide where the message ends and what becomes of the connection.

#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "http/field.h"
#include "http/malformed.h"

namespace weir::http::internal {

using Present = std::bitset<kFieldNameCount>;

// Parses `lines`: field lines, then one empty line, then nothing. Replaces `fields` and `present`.
Result<void> parse_field_lines(std::string_view lines, size_t count_max, std::vector<Field>& fields,
                               Present& present);

struct Framing {
  bool chunked = false;
  bool has_content_length = false;
  uint64_t content_length = 0;
};
Result<Framing> parse_framing(Fields fields, const Present& present, int minor_version);

struct ConnectionOptions {
  bool close = false;
  bool keep_alive = false;
  bool upgrade = false;
  bool names_fields = false;  // Anything else.
};
ConnectionOptions parse_connection(Fields fields, const Present& present);

bool may_keep_alive(const ConnectionOptions& options, int minor_version);

// Which kind of error the byte at `at` makes of a line that should have gone on otherwise: a line
// end that is not CRLF, NUL, or else `otherwise`.
Malformed judge(const char* at, const char* end, Malformed otherwise);

}  // namespace weir::http::internal
