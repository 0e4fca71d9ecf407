#pragma once
// What the commands of operators share: reading a node's data directory, asking the server that
// runs on it, and printing tables for people or JSON for programs.

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "cli/command_line.h"
#include "sqlite/database.h"

namespace weir::app {

using Json = nlohmann::ordered_json;

void print(std::string_view text);
void print_json(const Json& json);  // One line; invalid UTF-8 is replaced.
std::string time_text(base::Wall wall);

// Rows, objects with the names in `columns`, as a table or as JSON; numbers in a table have two
// decimals at most, null is empty.
void print_rows(const cli::CommandLine& line, const Json& rows,
                const std::vector<std::string>& columns);

// What is open to read of a node's data directory, whether it runs or not.
struct Reader {
  explicit Reader(const std::string& data_dir);
  bool open();  // False: it cannot be read, and that was said.

  sqlite::Database database;
};

// What the server of `data_dir` answers; null: none runs there.
Json ask(const std::string& data_dir, const Json& question);
// Lets a running server write what it holds in memory; a stopped one has written it.
void flush(const std::string& data_dir);

}  // namespace weir::app
