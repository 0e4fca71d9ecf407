#include "webhook/payload.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace weir::webhook {
namespace {

using alerts::Event;
using alerts::Message;
using alerts::Severity;
using config::WebhookFormat;
using Json = nlohmann::ordered_json;

Message message(Event event = Event::raised) {
  return {.event = event,
          .alert = {.id = "high-error-rate",
                    .key = "high-error-rate",
                    .severity = Severity::critical,
                    .title = "High error rate",
                    .message = "12.50 % of 200 requests in 24 hours failed.",
                    .value = 12.5,
                    .timestamp_ms = 1'760'486'460'000,
                    .link = "/dashboard"},
          .since_ms = 1'760'486'400'000,
          .until_ms = event == Event::over || event == Event::missed
                          ? std::optional<int64_t>{1'760'490'000'000}
                          : std::nullopt};
}

TEST(PayloadTest, TheGenericFormHoldsEverything) {
  EXPECT_EQ(payload(WebhookFormat::generic, message(), "edge-1"),
            R"({"event":"raised","node":"edge-1","id":"high-error-rate","severity":"critical",)"
            R"("title":"High error rate","message":"12.50 % of 200 requests in 24 hours failed.",)"
            R"("value":12.5,"timestamp":1760486460000,"since":1760486400000,"until":null,)"
            R"("link":"/dashboard"})");
  EXPECT_EQ(Json::parse(payload(WebhookFormat::generic, message(Event::over), "n"))["until"],
            1'760'490'000'000);
}

TEST(PayloadTest, FeishuAndSlackGetTheTextInTheirForms) {
  EXPECT_EQ(payload(WebhookFormat::feishu, message(), "edge-1"),
            R"({"msg_type":"text","content":{"text":"[critical] edge-1: High error rate\n)"
            R"(12.50 % of 200 requests in 24 hours failed."}})");
  EXPECT_EQ(payload(WebhookFormat::slack, message(), "edge-1"),
            R"({"text":"[critical] edge-1: High error rate\n)"
            R"(12.50 % of 200 requests in 24 hours failed."})");
}

TEST(PayloadTest, TheTextSaysWhatHappenedAndSinceWhen) {
  const auto text = [](Event event) {
    return Json::parse(payload(WebhookFormat::slack, message(event), "n"))["text"]
        .get<std::string>();
  };
  EXPECT_EQ(text(Event::reminder),
            "[critical] n: High error rate, since 2025-10-15T00:00:00.000Z\n"
            "12.50 % of 200 requests in 24 hours failed.");
  EXPECT_EQ(text(Event::over),
            "[over] n: High error rate, from 2025-10-15T00:00:00.000Z to 2025-10-15T01:00:00.000Z");
  EXPECT_EQ(text(Event::missed),
            "[critical, over] n: High error rate, from 2025-10-15T00:00:00.000Z to"
            " 2025-10-15T01:00:00.000Z\n12.50 % of 200 requests in 24 hours failed.");
}

TEST(PayloadTest, NoTextBreaksTheFormOrIsNoUtf8) {
  Message nasty = message();
  nasty.alert.title = "a\"}\r\n\x01 <!channel> & \xff\xc3";
  for (const auto format : {WebhookFormat::generic, WebhookFormat::feishu, WebhookFormat::slack}) {
    const std::string body = payload(format, nasty, "n\n");
    EXPECT_EQ(body.find('\n'), std::string::npos);
    EXPECT_EQ(body.find('\xff'), std::string::npos);
    EXPECT_TRUE(Json::accept(body)) << body;
  }
  EXPECT_EQ(Json::parse(payload(WebhookFormat::generic, nasty, "n"))["title"],
            "a\"}\r\n\x01 <!channel> & \ufffd\ufffd");
  EXPECT_NE(payload(WebhookFormat::slack, nasty, "n").find("&lt;!channel&gt; &amp; "),
            std::string::npos);
}

TEST(PayloadTest, SuccessIsWhatTheReceiverMeansByIt) {
  for (const auto format : {WebhookFormat::generic, WebhookFormat::slack}) {
    EXPECT_TRUE(is_success(format, 200, R"({"code":1})"));
    EXPECT_TRUE(is_success(format, 299, ""));
    EXPECT_FALSE(is_success(format, 199, ""));
    EXPECT_FALSE(is_success(format, 300, ""));
  }
  const auto feishu = [](int status, std::string_view body) {
    return is_success(WebhookFormat::feishu, status, body);
  };
  EXPECT_TRUE(feishu(200, R"({"code":0,"msg":"success"})"));
  EXPECT_FALSE(feishu(200, R"({"code":19024,"msg":"Key Words Not Found"})"));
  EXPECT_FALSE(feishu(500, R"({"code":0})"));
  EXPECT_TRUE(feishu(200, "ok"));
  EXPECT_TRUE(feishu(200, R"({"StatusCode":0})"));
}

}  // namespace
}  // namespace weir::webhook
