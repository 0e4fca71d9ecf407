#pragma once
// Keys of objects as names of files.
//
// A file's name is its key with every byte but [a-z0-9._-] as %xx, so that any URL decoder reads
// it: traffic-events%2f2025-10-15.jsonl.gz. '/' is encoded too: all files lie in one directory, one
// sync makes a name durable, and the key "a" does not stand in the way of "a/b". Upper-case letters
// are encoded, so that two keys differ also where the file system does not know upper from lower
// case. A key whose name were longer than kPlainBytesMax is named by its beginning and its digest,
// with '~' between; the key itself stands in the file. Names that begin with '~' belong to no key.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace weir::objects {

inline constexpr size_t kPlainBytesMax = 200;  // File systems allow 255.

// Requires a key that check_key() accepts.
std::string file_name(std::string_view key);

// True for a name that file_name() gives to long keys, as far as the name tells.
bool is_shortened(std::string_view name);

// The key of a file that is not shortened; nothing when file_name() gives no key this name.
std::optional<std::string> key_of(std::string_view name);

}  // namespace weir::objects
