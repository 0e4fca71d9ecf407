#pragma once
// What the directory store writes behind an object's content: its description, and a footer by
// which to find and check that (docs/formats/objects.md).

#include <cstddef>
#include <string>
#include <string_view>

#include "base/result.h"
#include "objects/objects.h"

namespace weir::objects {

// Of description and footer together: read that much from a file's end, and they are in it.
inline constexpr size_t kTailBytesMax = 8192;

// The bytes that follow the content. Sets `info.etag`, which is made from them. Requires a key and
// fields that check_key() and check_options() accept.
std::string encode_tail(ObjectInfo& info);

struct Tail {
  ObjectInfo info;
  size_t bytes;  // Length of description and footer.
};

// Reads what encode_tail() writes, and nothing else, at the end of `file_end`.
// Errors: corrupt.
base::Result<Tail> decode_tail(std::string_view file_end);

}  // namespace weir::objects
