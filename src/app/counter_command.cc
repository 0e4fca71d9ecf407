#include "app/counter_command.h"

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/log.h"

namespace weir::app {

int run_counter(const cli::CommandLine& line) {
  const Json answer =
      ask_running(line.data_dir, {{"command", "counter"}, {"operation", line.operation}});
  if (!answer.is_object()) return 1;
  if (answer.contains("error")) {
    complain(fmt::format("counter: {}", answer["error"].get<std::string>()));
    return 1;
  }
  if (line.json) {
    print_json(answer);
  } else {
    print(fmt::format("{}\n", answer["value"].get<int64_t>()));
  }
  return 0;
}

std::optional<CounterChange> parse_counter_change(std::string_view operation) {
  if (operation == "value") return CounterChange::none;
  if (operation == "increment") return CounterChange::increment;
  if (operation == "decrement") return CounterChange::decrement;
  if (operation == "reset") return CounterChange::reset;
  return std::nullopt;
}

std::string counter_answer(const base::Result<int64_t>& value) {
  return value.ok() ? fmt::format(R"({{"value":{}}})", value.value())
                    : fmt::format(R"({{"error":"{}"}})", value.error().what.view());
}

}  // namespace weir::app
