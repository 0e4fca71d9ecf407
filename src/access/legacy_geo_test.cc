// The founding system's older rules, as this one decides about them.
#include "access/legacy_geo.h"

#include <gtest/gtest.h>

#include "access/geo_rules.h"

namespace weir::access {
namespace {

using config::GeoAction;
using Mode = LegacyGeo::Mode;

GeoAction decide(const LegacyGeo& legacy, std::string_view country,
                 std::string_view path = "/elsewhere", uint32_t route = GeoRequest::kNoRoute) {
  config::Config config;
  config.routes.resize(2);
  config.routes[0].id = "kv";
  config.routes[1].id = "shop";
  config.geo_rules = rules_of(legacy);
  const GeoRules rules{config};
  return rules
      .decide({.country = config::Country::of(country), .route = route, .path = path}, base::Wall{})
      .enforced.action;
}

// Defect 82: two systems, of which one was marked in no statistics.
TEST(LegacyGeoTest, AWhitelistAllowsItsCountriesAndTheUnknown) {
  const LegacyGeo legacy{.enabled = true, .mode = Mode::whitelist, .countries = {"DE", "FR"}};
  EXPECT_EQ(decide(legacy, "DE"), GeoAction::allow);
  EXPECT_EQ(decide(legacy, "CN"), GeoAction::block);
  EXPECT_EQ(decide(legacy, ""), GeoAction::allow);
  EXPECT_EQ(decide({.enabled = true, .mode = Mode::whitelist}, "DE"), GeoAction::block);
}

TEST(LegacyGeoTest, ABlacklistBlocksItsCountries) {
  const LegacyGeo legacy{.enabled = true, .mode = Mode::blacklist, .countries = {"CN"}};
  EXPECT_EQ(decide(legacy, "CN"), GeoAction::block);
  EXPECT_EQ(decide(legacy, "DE"), GeoAction::allow);
  EXPECT_EQ(decide(legacy, ""), GeoAction::allow);
}

TEST(LegacyGeoTest, WhatIsOffDecidesNothing) {
  EXPECT_TRUE(rules_of({.enabled = false, .countries = {"DE"}}).empty());
}

// Defect 83: a screen for paths lost the mode, and a whitelist became a blacklist.
TEST(LegacyGeoTest, TheListOfAPathReplacesThoseOfItsRouteAndOfEverythingInTheirMode) {
  const LegacyGeo legacy{
      .enabled = true,
      .mode = Mode::whitelist,
      .countries = {"DE"},
      .routes = {{.route = "kv", .countries = {"FR"}}, {.route = "shop", .enabled = false}},
      .paths = {{"/kv/public", {"CN"}}}};
  EXPECT_EQ(decide(legacy, "CN", "/kv/public", 0), GeoAction::allow);
  EXPECT_EQ(decide(legacy, "FR", "/kv/public", 0), GeoAction::block);
  EXPECT_EQ(decide(legacy, "DE", "/kv/public", 0), GeoAction::block);
  EXPECT_EQ(decide(legacy, "FR", "/kv/a", 0), GeoAction::allow);
  EXPECT_EQ(decide(legacy, "DE", "/kv/a", 0), GeoAction::block);
  EXPECT_EQ(decide(legacy, "CN", "/shop/a", 1), GeoAction::allow);
  EXPECT_EQ(decide(legacy, "DE"), GeoAction::allow);
  EXPECT_EQ(decide(legacy, "FR"), GeoAction::block);
  LegacyGeo reversed = legacy;
  reversed.mode = Mode::blacklist;
  EXPECT_EQ(decide(reversed, "CN", "/kv/public", 0), GeoAction::block);
  EXPECT_EQ(decide(reversed, "DE", "/kv/public", 0), GeoAction::allow);
}

}  // namespace
}  // namespace weir::access
