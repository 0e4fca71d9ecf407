// The program. What it is made of: app/node.h. What it can do: cli/command_line.cc.

#include <cstdio>
#include <string>
#include <vector>

#include "app/commands.h"
#include "app/status.h"
#include "cli/command_line.h"

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const weir::cli::CommandLine line = weir::cli::parse(arguments, std::string{weir::app::kVersion});
  if (line.exit_code) {
    std::fputs(line.message.c_str(), *line.exit_code == 0 ? stdout : stderr);
    return *line.exit_code;
  }
  return weir::app::run_command(line);
}
