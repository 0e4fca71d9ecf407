// Goal: what explain() says of a request is what the stages do with it, whatever the configuration.
// Method: random configurations and requests over few names, so that rules meet; each request goes
// through the stages, with a client of its own and a clock that has passed every window, so that
// limits have the room that explain() takes for granted.
#include "gateway/explain.h"

#include <array>
#include <map>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "base/random.h"
#include "config/load.h"
#include "gateway/testing/stage_rig.h"

namespace weir::gateway {
namespace {

using testing::MuxStream;
using testing::Neighbour;
using testing::StageRig;

constexpr int kConfigurations = 400;
constexpr int kRequestsEach = 25;

// Threading: one thread at a time.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  // Rules that mean the same, or a limit that lacks another one beside it, are refused: once more.
  std::string configuration() {
    for (;;) {
      std::string text = any_configuration();
      if (config::load(text, "random", {}).ok()) return text;
    }
  }

  std::string any_configuration() {
    std::string text = fmt::format(
        "[vars]\nDEFAULT_RATE_WINDOW = 9\n[listen]\nhealth_path = \"{}\"\n"
        "traffic = [{{address = \"127.0.0.1:1\", trusted_proxies = [\"10.1.1.9\"]}}]\n",
        one({"/a", "/up", ""}));
    if (coin()) text += fmt::format("[global]\nrate_limit = {}\n", limits());
    for (uint64_t left = random_.below(4); left > 0; --left)
      text += ip_rule();
    text += fmt::format("[geo]\ndefault_action = \"{}\"\ncountry_header = \"X-Country\"\n",
                        random_.below(6) == 0 ? "block" : "allow");
    for (uint64_t left = random_.below(5); left > 0; --left)
      text += geo_rule();
    const uint64_t routes = 1 + random_.below(4);
    for (uint64_t id = 0; id < random_.below(5); ++id)
      text += path_rule(id, routes);
    for (uint64_t id = 0; id < routes; ++id)
      text += route(id);
    return text;
  }

  std::string request() {
    std::string head = fmt::format(
        "{} {}{} HTTP/1.1\r\nHost: {}\r\n",
        one({"GET", "GET", "POST", "OPTIONS", "DELETE", "TRACE", "HEAD", "BREW"}), path(),
        one({"", "?", "?q=1"}), one({"a.test", "b.a.test", "A.TEST:80", "[::1]"}));
    if (coin()) head += fmt::format("X-Key: {}\r\n", one({"1", "2", ""}));
    if (coin()) head += fmt::format("X-Country: {}\r\n", one({"FR", "de", "XX", "AT"}));
    if (random_.below(9) == 0) head += "X-Country: FR\r\n";
    if (coin()) head += "Origin: https://a.test\r\n";
    if (coin()) head += "Access-Control-Request-Method: POST\r\n";
    if (random_.below(4) == 0) head += fmt::format("Content-Length: {}\r\n", random_.below(20));
    return head + "\r\n";
  }

  config::IpAddress client() {
    return *config::parse_ip(one({"10.1.1.7", "10.1.1.9", "10.1.2.3", "10.200.0.1", "192.0.2.1"}));
  }

 private:
  bool coin() { return random_.below(2) == 0; }
  std::string_view one(std::initializer_list<std::string_view> all) {
    return all.begin()[random_.below(all.size())];
  }

  std::string path() {
    if (random_.below(30) == 0) return std::string{one({"*", "/a\\b", "/a/%2e%2e%2fb", "/%0a"})};
    std::string out;
    for (uint64_t left = 1 + random_.below(3); left > 0; --left)
      out += one({"/a", "/b", "/%61", "/a/../b", "/", "/c%2Fd", "/./a"});
    return out;
  }
  std::string pattern() {
    std::string out;
    for (uint64_t left = random_.below(3); left > 0; --left)
      out += one({"/a", "/b", "/*"});
    return out.empty() || coin() ? out + "/**" : out;
  }
  std::string limits() {
    constexpr std::array<std::string_view, 6> kLimits{"{limit = 5}",
                                                      "{window = 2, enforce = false}",
                                                      "{limit = 7, per = \"route\"}",
                                                      "{enabled = false, window = 7}",
                                                      "{window = 3}",
                                                      "{ipv6_prefix_bits = 48, window = 4}"};
    if (random_.below(4) == 0) {
      return "[{limit = 30, window = 5, per = \"client\", header = \"\"},"
             " {limit = 2, window = 6, per = \"header\", header = \"X-Key\"}]";
    }
    return std::string{kLimits[random_.below(kLimits.size())]};
  }
  std::string ip_rule() {
    return fmt::format("[[ip_rules]]\nmatch = [\"{}\"]\naction = \"{}\"\nenforce = {}\n{}",
                       one({"10.0.0.0/8", "10.1.0.0/16", "10.1.1.0/24", "10.1.1.7", "10.0.0.0/9"}),
                       one({"block", "allow"}), coin(),
                       coin() ? "expires = \"2025-10-15T00:02:00Z\"\n" : "");
  }
  std::string geo_rule() {
    std::string out = fmt::format("[[geo_rules]]\naction = \"{}\"\nenforce = {}\npriority = {}\n",
                                  one({"block", "allow"}), coin(), random_.below(3));
    if (coin()) {
      out += fmt::format("countries = [\"{}\"]\n", one({"DE", "FR", "*", "unknown", "AT"}));
    } else {
      out += fmt::format("cities = [\"{}\"]\n", one({"Bonn", "DE/BONN", "Ulm"}));
    }
    if (random_.below(3) == 0) out += "routes = [\"r0\"]\n";
    if (random_.below(3) == 0) out += fmt::format("paths = [\"{}\"]\n", pattern());
    if (random_.below(5) == 0) out += "starts = \"2025-10-15T00:01:00Z\"\n";
    if (random_.below(5) == 0) out += "expires = \"2025-10-15T00:02:00Z\"\n";
    if (out.find("\"block\"") != std::string::npos && coin()) out += "response = {status = 451}\n";
    return out;
  }
  std::string path_rule(uint64_t id, uint64_t routes) {
    std::string out =
        fmt::format("[[path_rules]]\nid = \"p{}\"\npattern = \"{}\"\n", id, pattern());
    if (coin()) out += fmt::format("route = \"r{}\"\n", random_.below(routes));
    if (coin()) out += fmt::format("methods = [\"{}\"]\n", one({"GET", "POST"}));
    if (coin()) out += fmt::format("rate_limit = {}\n", limits());
    if (random_.below(6) == 0) out += "enabled = false\n";
    return out;
  }
  std::string route(uint64_t id) {
    std::string out = fmt::format("[[routes]]\nid = \"r{}\"\npattern = \"{}\"\npriority = {}\n", id,
                                  pattern(), random_.below(2));
    if (coin()) out += fmt::format("hosts = [\"{}\"]\n", one({"a.test", "*.a.test", "[::1]"}));
    if (random_.below(4) == 0) out += fmt::format("methods = [\"{}\"]\n", one({"GET", "POST"}));
    if (random_.below(4) == 0)
      out += fmt::format("headers = {{X-Key = \"{}\"}}\n", one({"1", "*"}));
    if (coin()) out += fmt::format("rate_limit = {}\n", limits());
    if (random_.below(4) == 0) out += "cors = {origins = [\"*\"]}\n";
    if (random_.below(6) == 0) out += "enabled = false\n";
    if (random_.below(5) == 0) {
      return out + "redirect = {status = 308, location = \"/to$path$query\"}\n";
    }
    out += "upstreams = [\"http://upstream.test\"]\n";
    if (coin()) out += "body_max = 9\n";
    if (random_.below(3) == 0) out += "strip_prefix = true\n";
    return out;
  }

  base::Random random_;
};

// The clients of Generator are in two countries and a city, one is nowhere.
// Threading: any thread.
class FewPlaces final : public geo::Places {
 public:
  geo::Place find(const config::IpAddress& ip) const override {
    const std::string text = config::to_string(ip);
    if (text == "10.1.1.7") return {config::Country::of("DE"), {}};
    if (text == "10.1.1.9") return {config::Country::of("DE"), "Bonn"};  // The trusted proxy.
    if (text == "10.1.2.3") return {config::Country::of("FR"), "Bonn"};
    return {};
  }
};

// Of what clients are told: the one with least room, which is the smallest here, the first of equal
// ones.
std::string told_limit(const Explanation& explanation) {
  std::string told = "(none)";
  uint32_t least = UINT32_MAX;
  for (const Explanation::Limit& limit : explanation.rate_limits) {
    const config::RateLimit& value = limit.effective.value;
    if (!limit.counts || !value.enforce || value.limit >= least) continue;
    least = value.limit;
    told = fmt::format("\"default\";q={};w={}", value.limit, value.window.count());
  }
  return told;
}

// Threading: one thread at a time.
class Comparison {
 public:
  explicit Comparison(std::string configuration) : rig_(Neighbour::none) {
    constexpr std::string_view kUpstream = "http://upstream.test";
    for (size_t at = 0; (at = configuration.find(kUpstream, at)) != std::string::npos;)
      configuration.replace(at, kUpstream.size(), "{upstream}");
    rig_.places = std::make_shared<FewPlaces>();
    rig_.publish(configuration);
    rig_.upstream.on_input = [this](net::testing::UpstreamConnection& peer) { serve(peer); };
  }

  // False: `head` is none that a codec would hand on. Else compares, and counts the answer.
  bool check(const std::string& head, const config::IpAddress& client,
             std::map<Answer, int>& answers) {
    http::RequestHead parsed;
    if (!http::parse_request_head(head, {}, parsed).ok()) return false;
    rig_.pass(std::chrono::seconds{10});  // More than any window.
    net::ClientConnection& connection = rig_.connection.client();
    connection.peer = net::SocketAddress::ip(net::IpAddress{client.bytes}, 4711);
    const Explanation told =
        explain(*rig_.snapshot, head, {.peer = connection.peer}, rig_.clock.wall());
    ++answers[told.answer];
    body_bytes_ = parsed.content_length;
    target_ = {};
    MuxStream& stream = rig_.connection.open(head);
    if (body_bytes_ > 0 && !stream.over()) stream.send_last(std::string(body_bytes_, 'b'));
    rig_.until_over(stream);
    compare(told, stream);
    return true;
  }

 private:
  // Answers what came in full.
  void serve(net::testing::UpstreamConnection& peer) {
    const std::string_view request = std::string_view{peer.received()}.substr(peer.answered);
    const size_t end = request.find("\r\n\r\n");
    if (end == std::string_view::npos || request.size() < end + 4 + body_bytes_) return;
    const size_t target = request.find(' ') + 1;
    target_ = request.substr(target, request.find(' ', target) - target);
    peer.answered = peer.received().size();
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  }

  static traffic::GeoAction geo_action(const Explanation& told) {
    if (told.answer == Answer::geo_blocked) return traffic::GeoAction::blocked;
    return told.geo.exists() && !told.geo.is_default() ? traffic::GeoAction::allowed
                                                       : traffic::GeoAction::none;
  }

  void compare(const Explanation& told, MuxStream& stream) {
    const bool passed = told.answer == Answer::upstream;
    ASSERT_EQ(stream.head().status, passed ? 200 : told.status) << to_string(told.answer);
    EXPECT_EQ(target_, told.upstream_target);
    EXPECT_EQ(stream.head().field("RateLimit-Policy"), told_limit(told));
    if (told.answer == Answer::redirect) {
      EXPECT_EQ(stream.head().field("Location"), told.location);
    }
    if (told.answer == Answer::health) return stream.expect_unrecorded();
    const traffic::Event event = rig_.event(stream);
    if (told.route != nullptr) {
      EXPECT_EQ(event.route_id, told.route->id);
    } else if (told.answer == Answer::no_route) {
      EXPECT_EQ(event.route_id, "");
    }
    if (!told.path.empty()) {
      EXPECT_EQ(event.path, told.path);
    }
    EXPECT_EQ(event.geo, geo_action(told));
    const bool is_placed = told.answer != Answer::malformed &&
                           told.answer != Answer::refused_method &&
                           told.answer != Answer::ip_blocked;
    if (is_placed) {
      EXPECT_EQ(event.country, told.country.code());
      EXPECT_EQ(event.city, told.city);
    }
  }

  StageRig rig_;
  uint64_t body_bytes_ = 0;  // Of the request that is under way.
  std::string target_;       // That the upstream saw of it.
};

TEST(ExplainTest, AgreesWithTheStagesOnTenThousandRandomRequests) {
  Generator random{20261126};
  std::map<Answer, int> answers;
  for (int configuration = 0; configuration < kConfigurations; ++configuration) {
    const std::string text = random.configuration();
    SCOPED_TRACE(text);
    Comparison comparison{text};
    for (int done = 0; done < kRequestsEach;) {
      const std::string head = random.request();
      SCOPED_TRACE(head);
      if (comparison.check(head, random.client(), answers)) ++done;
      if (::testing::Test::HasFailure()) return;
    }
  }
  for (const Answer each : {Answer::malformed, Answer::refused_method, Answer::health,
                            Answer::ip_blocked, Answer::geo_blocked, Answer::no_route,
                            Answer::preflight, Answer::redirect, Answer::body_too_large}) {
    EXPECT_GE(answers[each], 15) << to_string(each);
  }
  EXPECT_GE(answers[Answer::upstream], 1000);
}

TEST(ExplainTest, SaysWhichLevelEachFieldOfALimitIsFrom) {
  StageRig rig{Neighbour::none};
  rig.publish(R"([global]
rate_limit = {window = 10}
[[path_rules]]
id = "search"
pattern = "/kv/search/*"
rate_limit = {limit = 5}
[[routes]]
id = "kv"
pattern = "/kv/*"
upstreams = ["{upstream}"]
rate_limit = {per = "route"}
)");
  const Explanation told = explain(*rig.snapshot, "GET /kv/search/%61 HTTP/1.1\r\nHost: a\r\n\r\n",
                                   {}, rig.clock.wall());
  EXPECT_EQ(told.answer, Answer::upstream);
  EXPECT_EQ(told.path, "/kv/search/a");
  ASSERT_NE(told.path_rule, nullptr);
  EXPECT_EQ(told.path_rule->id, "search");
  EXPECT_EQ(told.rate_limit_level, config::Level::path);
  ASSERT_EQ(told.rate_limits.size(), 1U);
  const config::EffectiveRateLimit& limit = told.rate_limits[0].effective;
  EXPECT_TRUE(told.rate_limits[0].counts);
  EXPECT_EQ(limit.limit, config::Level::path);
  EXPECT_EQ(limit.per, config::Level::route);
  EXPECT_EQ(limit.window, config::Level::global);
  EXPECT_EQ(limit.ipv6_prefix_bits, config::Level::built_in);
}

TEST(ExplainTest, ARequestWithTwoReadingsIsNamedByItsKind) {
  StageRig rig{Neighbour::none};
  const auto kind = [&](std::string_view head) {
    const Explanation told = explain(*rig.snapshot, head, {}, rig.clock.wall());
    EXPECT_EQ(told.answer, Answer::malformed);
    EXPECT_EQ(told.status, 400);
    return told.malformed;
  };
  EXPECT_EQ(kind("GET / HTTP/1.1\r\n\r\n"), http::Malformed::host_missing);
  EXPECT_EQ(kind("GET /a%00 HTTP/1.1\r\nHost: a\r\n\r\n"), http::Malformed::path_nul);
}

}  // namespace
}  // namespace weir::gateway
