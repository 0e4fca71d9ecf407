#pragma once
// What is wrong with a configuration, in a form for people and for programs.

#include <cstdint>
#include <string>
#include <string_view>

namespace weir::config {

struct Problem {
  std::string file;     // As given to load(); "environment" for environment variables.
  uint32_t line = 0;    // From 1; 0: no place in a file.
  uint32_t column = 0;  // From 1, in characters; 0: no place in a file.
  std::string key;      // "routes[0].timeouts.connect"; empty for the file as a whole.
  std::string message;  // What is wrong; completes "KEY ...".
  std::string allowed;  // What would be right; may be empty.
  bool operator==(const Problem&) const = default;
};

// "weir.toml:12:3: routes[0].pattern: has no '/' at its beginning; allowed: ..."
std::string to_string(const Problem& problem);

// `text` in double quotes for a message: shortened to 80 bytes and with control
// characters and quotes replaced, so that no file can forge log lines or steer a terminal.
std::string in_quotes(std::string_view text);
std::string plain(std::string_view text);  // The same without the quotes around it.

}  // namespace weir::config
