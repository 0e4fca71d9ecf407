#pragma once
// Bytes as text: hexadecimal and base64 (RFC 4648). Decoders accept exactly what encoders write, so
// that no two texts mean the same bytes (hexadecimal digits may also be upper case). And whether
// bytes are text.

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::codec {

std::string hex_encode(std::string_view bytes);  // Lower case.

// All decoders: Errors: invalid_input (Origin::client).
base::Result<std::string> hex_decode(std::string_view text);

std::string base64_encode(std::string_view bytes);  // Padded with '='.
base::Result<std::string> base64_decode(std::string_view text);

std::string base64url_encode(std::string_view bytes);  // '-' and '_', no padding.
base::Result<std::string> base64url_decode(std::string_view text);

// Source: RFC 3629.
bool is_utf8(std::string_view text);

}  // namespace weir::codec
