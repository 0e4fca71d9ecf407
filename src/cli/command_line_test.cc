#include "cli/command_line.h"

#include <gtest/gtest.h>

namespace weir::cli {
namespace {

TEST(CommandLineTest, UnderstandsEveryCommand) {
  const auto serve = parse({"serve", "--data", "/d"}, "1");
  EXPECT_FALSE(serve.exit_code.has_value()) << serve.message;
  EXPECT_EQ(serve.command, Command::serve);
  EXPECT_EQ(serve.data_dir, "/d");
  const auto sql = parse({"sql", "SELECT 1", "--json"}, "1");
  EXPECT_EQ(sql.command, Command::sql);
  EXPECT_EQ(sql.statement, "SELECT 1");
  EXPECT_TRUE(sql.json);
  const auto kv = parse({"kv", "get", "snapshot:latest", "--data", "x"}, "1");
  EXPECT_EQ(kv.command, Command::kv_get);
  EXPECT_EQ(kv.key, "snapshot:latest");
  const auto put = parse({"kv", "put", "k", "-", "--ttl", "15m"}, "1");
  EXPECT_EQ(put.command, Command::kv_put);
  EXPECT_EQ(put.key + put.value + put.ttl, "k-15m");
  const auto path = parse({"stats", "path", "/a/{id}", "--hours", "3"}, "1");
  EXPECT_EQ(path.command, Command::stats_path);
  EXPECT_EQ(path.path, "/a/{id}");
  EXPECT_EQ(path.hours, 3U);
  EXPECT_EQ(parse({"kv", "delete", "k"}, "1").command, Command::kv_delete);
  const auto explain = parse({"config", "explain", "--config", "f.toml", "--header", "A: 1",
                              "--header", "B: 2", "GET", "/x"},
                             "1");
  EXPECT_EQ(explain.command, Command::config_explain);
  EXPECT_EQ(explain.headers, (std::vector<std::string>{"A: 1", "B: 2"}));
  EXPECT_EQ(explain.method + explain.target + explain.config_file, "GET/xf.toml");
  EXPECT_EQ(parse({"counter"}, "1").operation, "value");
  EXPECT_EQ(parse({"counter", "increment"}, "1").command, Command::counter);
  EXPECT_EQ(parse({"counter", "double"}, "1").exit_code, 2);
  EXPECT_EQ(parse({"config", "check", "f.toml"}, "1").command, Command::config_check);
  EXPECT_EQ(parse({"config", "show", "f.toml"}, "1").command, Command::config_show);
  const auto diff = parse({"config", "diff", "a.toml", "b.toml"}, "1");
  EXPECT_EQ(diff.command, Command::config_diff);
  EXPECT_EQ(diff.config_file + diff.config_file_after, "a.tomlb.toml");
  EXPECT_EQ(parse({"status"}, "1").command, Command::status);
  EXPECT_EQ(parse({"demo"}, "1").command, Command::demo);
}

TEST(CommandLineTest, ARebuildNamesItsSourceAndItsDays) {
  const auto line = parse({"stats", "rebuild", "--from-archive", "--from", "2026-11-20", "--to",
                           "2026-11-23", "--check"},
                          "1");
  EXPECT_EQ(line.exit_code, std::nullopt);
  EXPECT_EQ(line.command, Command::stats_rebuild);
  EXPECT_EQ(line.from_date, "2026-11-20");
  EXPECT_EQ(line.to_date, "2026-11-23");
  EXPECT_TRUE(line.check);
  EXPECT_EQ(parse({"stats", "rebuild"}, "1").exit_code, 2) << "from what?";
}

TEST(CommandLineTest, ChangesOfIpRulesNameWhatAndHow) {
  const auto add = parse({"ip-rules", "add", "192.0.2.1", "::/0", "--action", "throttle", "--limit",
                          "5", "--window", "1m", "--for", "1h", "--reason", "r", "--dry-run"},
                         "1");
  EXPECT_EQ(add.exit_code, std::nullopt) << add.message;
  EXPECT_EQ(add.command, Command::ip_rules_add);
  EXPECT_EQ(add.ip_rule.matches, (std::vector<std::string>{"192.0.2.1", "::/0"}));
  EXPECT_EQ(add.ip_rule.action + add.ip_rule.window + add.ip_rule.lifetime + add.ip_rule.reason,
            "throttle1m1hr");
  EXPECT_EQ(add.ip_rule.limit, 5U);
  EXPECT_TRUE(add.ip_rule.dry_run);
  EXPECT_EQ(parse({"ip-rules", "add", "192.0.2.1"}, "1").exit_code, 2) << "what with it?";
  EXPECT_EQ(parse({"ip-rules", "add", "::1", "--action", "deny"}, "1").exit_code, 2);
  EXPECT_EQ(parse({"ip-rules", "add", "::1", "--action", "block", "--for", "1h", "--expires",
                   "2030-01-01T00:00:00Z"},
                  "1")
                .exit_code,
            2)
      << "one end, not two";
  EXPECT_EQ(parse({"ip-rules", "remove"}, "1").exit_code, 2) << "of what?";
  EXPECT_EQ(parse({"ip-rules", "remove", "--reason", "r"}, "1").ip_rule.reason, "r");
  const auto import = parse({"ip-rules", "import", "-", "--replace", "--reason", "r"}, "1");
  EXPECT_EQ(import.command, Command::ip_rules_import);
  EXPECT_EQ(import.ip_rule.file, "-");
  EXPECT_TRUE(import.ip_rule.replace);
  EXPECT_EQ(parse({"ip-rules", "export", "--format", "csv"}, "1").ip_rule.format, "csv");
}

TEST(CommandLineTest, AStatementMayNameItsDays) {
  const auto line = parse({"sql", "--from", "2026-11-20", "--to", "2026-11-23", "SELECT 1"}, "1");
  EXPECT_EQ(line.exit_code, std::nullopt) << line.message;
  EXPECT_EQ(line.statement, "SELECT 1");
  EXPECT_EQ(line.from_date, "2026-11-20");
  EXPECT_EQ(line.to_date, "2026-11-23");
  EXPECT_NE(parse({"sql", "--help"}, "1").message.find("weir sql --from 2026-11-01 --to"),
            std::string::npos);
}

TEST(CommandLineTest, HelpAndVersionEndWithZero) {
  EXPECT_EQ(parse({"--version"}, "1.2.3").exit_code, 0);
  EXPECT_NE(parse({"--version"}, "1.2.3").message.find("weir 1.2.3"), std::string::npos);
  EXPECT_EQ(parse({"sql", "--help"}, "1").exit_code, 0);
}

TEST(CommandLineTest, NonsenseEndsWithTwoAndSaysWhy) {
  for (const std::vector<std::string>& arguments : std::vector<std::vector<std::string>>{
           {}, {"fly"}, {"sql"}, {"serve", "--config", "/nonexistent"}, {"status", "--yaml"}}) {
    const auto line = parse(arguments, "1");
    EXPECT_EQ(line.exit_code, 2);
    EXPECT_FALSE(line.message.empty());
  }
}

}  // namespace
}  // namespace weir::cli
