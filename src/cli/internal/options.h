#pragma once
// Options that many commands have, and the commands that have a file of their own.

#include <CLI/CLI.hpp>

#include "cli/command_line.h"

namespace weir::cli::internal {

inline void add_data(CLI::App& command, CommandLine& line) {
  command.add_option("--data", line.data_dir, "Directory that holds everything Weir keeps")
      ->envname("WEIR_DATA")
      ->capture_default_str();
}

inline void add_json(CLI::App& command, CommandLine& line) {
  command.add_flag("--json", line.json, "Print JSON, for programs");
}

inline void select(CLI::App& command, CommandLine& line, Command selected) {
  command.callback([&line, selected] { line.command = selected; });
}

inline void add_limit(CLI::App& command, CommandLine& line) {
  command.add_option("--limit", line.limit, "Rows at the most")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
}

inline void add_comment(CLI::App& command, CommandLine& line) {
  command.add_option("--comment", line.comment, "Why, for the history")
      ->check([](const std::string& text) {
        const bool has_control = std::any_of(text.begin(), text.end(), [](char c) {
          return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
        });
        if (has_control) return std::string{"no control characters"};
        return text.size() <= 500 ? std::string{} : std::string{"at most 500 bytes"};
      });
}

void add_ip_rule_commands(CLI::App& app, CommandLine& line);
// Of `weir stats`.
void add_client_commands(CLI::App& stats, CommandLine& line);

}  // namespace weir::cli::internal
