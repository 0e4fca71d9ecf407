#pragma once
// What the commands of operators share: reading a node's data directory, asking the server that
// runs on it, and printing tables for people or JSON for programs.

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/result.h"
#include "cli/command_line.h"
#include "config/problem.h"
#include "objects/directory_store.h"
#include "os/files.h"
#include "sqlite/database.h"

namespace weir::app {

using Json = nlohmann::ordered_json;

void print(std::string_view text);
std::string json_text(const Json& json);  // One line; invalid UTF-8 is replaced.
void print_json(const Json& json);        // It, and the end of the line.
std::string time_text(base::Wall wall);
Json problems_json(const std::vector<config::Problem>& problems);

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

// The object store of `data_dir` for reading, beside a running server too; null: it cannot be read,
// and that was said. Borrows its arguments.
std::unique_ptr<objects::DirectoryStore> open_objects(os::Files& files, const base::Clock& clock,
                                                      const std::string& data_dir);

// Writes --from and --to as Unix days, where they were given. False: they make no sense, and that
// was said.
bool days_asked(const cli::CommandLine& line, int64_t& first, int64_t& last);

// "archive: 8192 of 100000 rows read", on the terminal, once it takes more than two seconds; empty:
// standard error is none. Borrows the clock.
std::function<void(uint64_t done, uint64_t total)> progress_on_terminal(const base::Clock& clock,
                                                                        std::string_view what,
                                                                        std::string_view unit);

// What the server of `data_dir` answers; null: none runs there, or it takes too long.
Json ask(const std::string& data_dir, const Json& question);
// The same for commands that cannot do without: null: there is no answer, and that was said.
Json ask_running(const std::string& data_dir, const Json& question);
// Says why ask_server() failed.
void complain_of_no_answer(const std::string& data_dir, const base::Error& error);
void complain_of_no_server(const std::string& data_dir);
// Asks again and again until `done` says so. Null: no server runs there any more, or `patience` has
// passed.
Json ask_until(const std::string& data_dir, const Json& question,
               std::chrono::milliseconds patience,
               const std::function<bool(const Json& answer)>& done);
// Lets a running server write what it holds in memory; a stopped one has written it.
void flush(const std::string& data_dir);

}  // namespace weir::app
