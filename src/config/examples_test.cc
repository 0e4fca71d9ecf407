// The files that users read: they must load, and say what is true. Run in the root folder of the
// sources.
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include <gtest/gtest.h>

#include "config/internal/decoder.h"
#include "config/load.h"
#include "config/render.h"

namespace weir::config {
namespace {

std::string text_of(const char* path) {
  const std::ifstream file{path};
  EXPECT_TRUE(file) << path << ": run from the root of the sources";
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

Config loaded(const char* path) {
  LoadResult result = load(text_of(path), path, {});
  for (const Problem& problem : result.problems)
    ADD_FAILURE() << to_string(problem);
  return std::move(result.config);
}

// The defaults, with the least that rules and a route need.
Config reference() {
  Config config;
  config.ip_rules = {{.match = {"192.0.2.0/24"}, .action = IpAction::block}};
  config.ban_rules = {{.id = "example", .on = {"denied"}, .count = 100}};
  config.geo_rules = {{.action = GeoAction::block, .countries = {"CN"}}};
  config.path_rules = {{.id = "example", .pattern = "/example/search/*"}};
  Route& route = config.routes.emplace_back();
  route.id = "example";
  route.pattern = "/example/*";
  route.upstreams = {{.url = "http://127.0.0.1:9000", .host = "127.0.0.1", .port = 9000}};
  return config;
}

// "routes.example.timeouts.connect" as "routes[0].timeouts.connect", with `index` "[0]". IP and
// geographic rules stand in the file as they are named.
std::string indexed_key(const std::string& key, const std::string& index) {
  for (const std::string list : {"routes", "path_rules", "ban_rules"}) {
    const std::string named = list + ".example.";
    if (key.starts_with(named)) return list + index + "." + key.substr(named.size());
  }
  return key;
}

TEST(ExamplesTest, FirstConfigurationLoads) {
  EXPECT_EQ(loaded("examples/weir.toml").routes.size(), 3U);
}

TEST(ExamplesTest, FullConfigurationIsTheDefaults) {
  EXPECT_EQ(loaded("examples/full.toml"), reference());
}

TEST(ExamplesTest, FullConfigurationHasEveryKey) {
  const auto document = internal::parse_document(text_of("examples/full.toml"));
  ASSERT_TRUE(std::holds_alternative<internal::Value>(document));
  const internal::Decoded decoded = internal::decode(std::get<internal::Value>(document));
  for (const Setting& setting : settings(reference())) {
    EXPECT_TRUE(decoded.places.contains(indexed_key(setting.key, "[0]"))) << setting.key;
  }
}

TEST(ExamplesTest, DocumentationHasEveryKeyWithItsDefaultAndWhetherItNeedsARestart) {
  struct Row {
    std::string value;
    bool restart;
  };
  std::map<std::string, Row> rows;
  std::istringstream text{text_of("docs/configuration.md")};
  std::string line;
  while (std::getline(text, line)) {
    std::istringstream cells{line};
    std::string skip;
    std::string key;
    std::string value;
    std::string restart;
    std::getline(cells, skip, '|');
    std::getline(cells, key, '|');
    std::getline(cells, value, '|');
    std::getline(cells, restart, '|');
    if (!key.starts_with(" `") || key.find('.') == std::string::npos) continue;
    rows[key.substr(2, key.size() - 4)] = {value, restart == " yes "};
  }
  const std::set<std::string> required{
      "routes.id",          "routes.pattern",   "routes.upstreams",    "ip_rules.match",
      "ip_rules.action",    "geo_rules.action", "geo_rules.countries", "path_rules.id",
      "path_rules.pattern", "ban_rules.id",     "ban_rules.on",        "ban_rules.count"};
  size_t count = 0;
  for (const Setting& setting : settings(reference())) {
    std::string key = indexed_key(setting.key, "");
    if (const size_t index = key.find("[0]."); index != std::string::npos) key.erase(index, 3);
    ASSERT_TRUE(rows.contains(key)) << key;
    EXPECT_EQ(rows[key].value, required.contains(key) ? " required " : " `" + setting.value + "` ")
        << key;
    EXPECT_EQ(rows[key].restart, setting.restart) << key;
    ++count;
  }
  EXPECT_EQ(rows.size(), count) << "the documentation has keys that do not exist";
}

}  // namespace
}  // namespace weir::config
