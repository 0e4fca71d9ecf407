// `weir stats clients` and `weir stats client`.

#include "cli/internal/options.h"

namespace weir::cli::internal {

void add_client_commands(CLI::App& stats, CommandLine& line) {
  ClientOptions& asked = line.client;
  CLI::App& clients = *stats.add_subcommand("clients", "The busiest clients, and suspicious ones");
  clients.add_option("--date", asked.date, "Last day (UTC), as 2026-11-23; if not given, today");
  clients.add_option("--days", asked.days, "Of so many days up to it")
      ->check(CLI::Range(1, 7))
      ->capture_default_str();
  clients.add_option("--sort", asked.sort, "Most requests or errors first")
      ->check(CLI::IsMember({"requests", "errors"}))
      ->capture_default_str();
  clients.add_option("--search", asked.search,
                     "Hashes that begin so: 3 hexadecimal digits or more");
  clients.add_option("--limit", line.limit, "Rows at the most")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  add_data(clients, line);
  add_json(clients, line);
  clients.footer(
      "For example: weir stats clients --days 7 --sort errors --limit 50\n"
      "blocked: by a geographic rule, or status 403; throttled: likewise, or status 429. Both "
      "with\n"
      "their usual statuses are errors, too; success is all that is no error. Rates are percent.\n"
      "unique_paths is of the day with most; countries are five of each day.\n"
      "suspicious: more than 10000 requests, or more than 50 % errors of more than 100 requests.");
  select(clients, line, Command::stats_clients);

  CLI::App& client =
      *stats.add_subcommand("client", "One client, day by day, and what it asked for");
  client.add_option("client", asked.client, "Its hash, from weir stats clients, or its address")
      ->required();
  client.add_option("--date", asked.date, "Last of the 7 days (UTC); if not given, today");
  add_data(client, line);
  add_json(client, line);
  client.footer(
      "For example: weir stats client 203.0.113.7\n"
      "An address is looked up under the hash that this node's key makes of it.\n"
      "Exit codes: 0 there it is, 1 it made no request in these days.");
  select(client, line, Command::stats_client);
}

}  // namespace weir::cli::internal
