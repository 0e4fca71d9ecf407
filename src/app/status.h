#pragma once
// What `weir status` shows: gathered on the control thread, as JSON; and that JSON for eyes.

#include <string>
#include <string_view>

namespace weir::app {

inline constexpr std::string_view kVersion = WEIR_VERSION;

class Node;

// Threading: the control thread.
class StatusReport {
 public:
  explicit StatusReport(Node& node) : node_(node) {}
  std::string json() const;

 private:
  Node& node_;
};

// Requires the text of json(). False when it is none.
bool print_status(const std::string& json, std::string& out);

}  // namespace weir::app
