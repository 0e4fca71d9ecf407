#include "config/webhook.h"

#include <gtest/gtest.h>

#include "config/load.h"
#include "config/render.h"

namespace weir::config {
namespace {

TEST(WebhookTest, TakesUrlsOfTheWebWithNamesAndAddresses) {
  for (const char* url :
       {"https://hooks.slack.com/services/T0/B0/x-Y_z", "http://127.0.0.1:8080", "http://[::1]:9/a",
        "https://open.feishu.cn/open-apis/bot/v2/hook/1?a=b&c=d%20e", "http://localhost/***/a"}) {
    EXPECT_TRUE(check_webhook_url(url).ok()) << url;
  }
}

TEST(WebhookTest, RefusesWhatIsNoneOrSaysMore) {
  for (const char* url : {"",
                          "hooks.slack.com/a",
                          "ftp://a/b",
                          "HTTP://a/",
                          "http://",
                          "http:///a",
                          "http://a:0/",
                          "http://a:65536/",
                          "http://user:pass@a/",
                          "http://a/#b",
                          "http://a/ b",
                          "http://a/\nb",
                          "http://a/\xc3\xa9",
                          "http://127.1/",
                          "http://0x7f.1/",
                          "http://a b/",
                          "file:///etc/passwd",
                          "http://[::1/",
                          "http://::1/",
                          "https://hooks.example.com/***"}) {
    EXPECT_FALSE(check_webhook_url(url).ok()) << url;
  }
  EXPECT_TRUE(check_webhook_url("http://a/" + std::string(kWebhookUrlBytesMax - 9, 'x')).ok());
  EXPECT_FALSE(check_webhook_url("http://a/" + std::string(kWebhookUrlBytesMax - 8, 'x')).ok());
}

TEST(WebhookTest, WhatIsShownOfAUrlIsItsServer) {
  EXPECT_EQ(shown_url("https://hooks.slack.com/services/secret"), "https://hooks.slack.com/***");
  EXPECT_EQ(shown_url("http://[::1]:80?token=secret"), "http://[::1]:80/***");
  EXPECT_EQ(shown_url("http://a"), "http://a/***");
  EXPECT_EQ(shown_url(""), "");
  EXPECT_EQ(shown_url("secret"), "***");
  EXPECT_EQ(shown_url("http://user:secret@a/"), "***");
}

TEST(WebhookTest, TheSecretIsInNoTextForPeopleAndInNoProblem) {
  constexpr std::string_view kFile =
      "[alerts.webhook]\nurl = \"https://hooks.example.com/secret\"\nformat = \"slack\"\n";
  const LoadResult loaded = load(kFile, "weir.toml", {});
  ASSERT_TRUE(loaded.ok());
  EXPECT_EQ(loaded.config.alerts.webhook.url, "https://hooks.example.com/secret");
  EXPECT_EQ(to_toml(loaded.config).find("secret"), std::string::npos);
  for (const Setting& setting : settings(loaded.config))
    EXPECT_EQ(setting.value.find("secret"), std::string::npos) << setting.key;
  EXPECT_NE(to_toml(loaded.config, Secrets::shown).find("secret"), std::string::npos);
  const LoadResult hidden = load(to_toml(loaded.config), "weir.toml", {});
  ASSERT_EQ(hidden.problems.size(), 1U);
  EXPECT_EQ(hidden.problems[0].key, "alerts.webhook.url");
  for (const Problem& problem :
       load("[alerts]\nwebhook.url = \"http://a b/secret\"\n", "weir.toml", {}).problems)
    EXPECT_EQ(to_string(problem).find("secret"), std::string::npos);
}

TEST(WebhookTest, AnotherSecretIsAChangeThatNeedsNoRestart) {
  Config before;
  before.alerts.webhook.url = "https://a/one";
  Config after = before;
  after.alerts.webhook.url = "https://a/two";
  after.alerts.cooldown = std::chrono::minutes{1};
  EXPECT_EQ(changed_keys(before, after),
            (std::vector<std::string>{"alerts.cooldown", "alerts.webhook.url"}));
  EXPECT_TRUE(restart_needed(before, after).empty());
}

}  // namespace
}  // namespace weir::config
