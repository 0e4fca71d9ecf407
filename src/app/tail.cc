#include "app/tail.h"

#include <cstdio>
#include <string>

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/control_socket.h"
#include "app/log.h"

namespace weir::app {

// Ends when the server does, or with the process.
int run_tail(const cli::CommandLine& line) {
  const Json request{{"command", "tail"}, {"json", line.json}, {"grep", line.grep}};
  std::string refusal;
  const base::Status followed =
      follow_server(line.data_dir, request.dump(-1, ' ', false, Json::error_handler_t::replace),
                    [&refusal](std::string_view text) {
                      // A refusal is the only answer; no line looks like it, whatever it says: they
                      // begin with a time, a marker or their type.
                      if (text.starts_with(R"({"error":)")) {
                        refusal = text;
                        return false;
                      }
                      std::fwrite(text.data(), 1, text.size(), stdout);
                      std::fputc('\n', stdout);
                      return std::fflush(stdout) == 0;
                    });
  if (!followed.ok() && followed.error().code == base::ErrorCode::not_found) {
    complain_of_no_answer(line.data_dir, followed.error());
    return 1;
  }
  if (!refusal.empty()) {
    const Json said = Json::parse(refusal, nullptr, false);
    complain(said.is_object() ? said["error"].get<std::string>() : refusal);
    return 1;
  }
  complain("the server ended");
  return 1;
}

std::optional<FollowHub::Rules> parse_tail_request(std::string_view request) {
  const Json parsed = Json::parse(request, nullptr, false);
  if (!parsed.is_object()) return std::nullopt;
  FollowHub::Rules rules;
  if (const auto json = parsed.find("json"); json != parsed.end()) {
    if (!json->is_boolean()) return std::nullopt;
    rules.json = json->get<bool>();
  }
  if (const auto grep = parsed.find("grep"); grep != parsed.end()) {
    if (!grep->is_string()) return std::nullopt;
    rules.grep = grep->get<std::string>();
  }
  return rules;
}

}  // namespace weir::app
