#include "gateway/testing/stage_rig.h"

#include <gtest/gtest.h>

#include "config/load.h"

namespace weir::gateway::testing {
namespace {

using std::chrono::milliseconds;

constexpr int kTurnsMax = 5000;  // Of up to 1 ms.
constexpr int kNeighbourPiecesMax = 500;

constexpr std::string_view kNeighbourRoute = R"(
[[routes]]
id = "neighbour"
pattern = "/neighbour"
upstreams = ["{neighbour}"]
)";

void replace(std::string& text, std::string_view name, std::string_view value) {
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at))
    text.replace(at, name.size(), value);
}

std::unique_ptr<loop::Loop> make_loop(base::Clock& clock) {
  return std::move(loop::Loop::create(clock)).value();
}

}  // namespace

StageRig::StageRig(Neighbour neighbour)
    : loop(make_loop(clock)),
      context(*loop),
      upstream(*loop),
      neighbour_upstream_(*loop),
      recorder(timeline_),
      pool(context),
      gateway(context, pool, recorder, identity_, shared, {.node = "node-1", .seed = 7}),
      connection(*loop, gateway, timeline_) {
  publish_with("");
  if (neighbour == Neighbour::busy) start_neighbour();
}

StageRig::~StageRig() {
  if (neighbour_ != nullptr) end_neighbour();
  EXPECT_TRUE(connection.forbidden_calls().empty()) << connection.forbidden_calls().front();
  size_t answered = 0;
  for (const auto& stream : connection.streams()) {
    if (!stream->over()) continue;
    check_stream(*stream);
    if (stream->recorded()) ++answered;
  }
  EXPECT_EQ(recorder.answered_count(), answered);
  connection.lose();
  EXPECT_EQ(gateway.exchanges_in_progress(), 0U);
}

void StageRig::check_stream(const MuxStream& stream) {
  EXPECT_EQ(timeline_.violation(stream.number(), stream.recorded(), stream.open_ended()), "")
      << "stream " << stream.number();
}

void StageRig::publish_with(const std::string& keys) {
  publish("[[routes]]\nid = \"kv\"\npattern = \"/kv/*\"\nupstreams = [\"{upstream}\"]\n" + keys);
}

void StageRig::publish(std::string routes) {
  routes += kNeighbourRoute;
  replace(routes, "{upstream}", upstream.url());
  replace(routes, "{neighbour}", neighbour_upstream_.url());
  config::LoadResult loaded = config::load(routes, "test", {});
  for (const config::Problem& problem : loaded.problems)
    ADD_FAILURE() << config::to_string(problem);
  ASSERT_TRUE(loaded.ok());
  snapshot = endpoints_.build(std::make_shared<const config::Config>(std::move(loaded.config)),
                              ++version_, {}, places);
  gateway.publish(snapshot);
}

void StageRig::until(const std::function<bool()>& condition, const char* what) {
  for (int i = 0; i < kTurnsMax; ++i) {
    if (condition()) return;
    step();
  }
  FAIL() << "waited in vain: " << what;
}

void StageRig::until_over(const MuxStream& stream) {
  until([&] { return stream.over(); }, "the response is over");
}

void StageRig::until_request(size_t index) {
  until(
      [&] {
        return upstream.connection_count() > index && upstream.connection(index).head_count() > 0;
      },
      "a request comes at the upstream");
}

void StageRig::turns(int count) {
  for (int i = 0; i < count; ++i)
    step();
}

void StageRig::pass(milliseconds time) {
  clock.advance(time);
  step();
}

void StageRig::step() {
  if (neighbour_ != nullptr && neighbour_pieces_ < kNeighbourPiecesMax && !neighbour_->paused()) {
    const std::string piece = "piece " + std::to_string(neighbour_pieces_++) + ";";
    neighbour_sent_ += piece;
    neighbour_->send(piece);
  }
  loop->turn(milliseconds{1});
}

// Both directions are chunked, so the upstream echoes the coded body as it comes.
void StageRig::start_neighbour() {
  neighbour_upstream_.on_input = [](UpstreamConnection& peer) {
    if (peer.head_count() == 0) return;
    if (peer.answered == 0) {
      peer.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
      peer.answered = peer.received().find("\r\n\r\n") + 4;
    }
    peer.send(std::string_view{peer.received()}.substr(peer.answered));
    peer.answered = peer.received().size();
  };
  neighbour_ = &connection.open("POST /neighbour HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
  until([&] { return neighbour_->body().size() > 20; }, "the neighbour streams");
}

void StageRig::end_neighbour() {
  MuxStream& stream = *std::exchange(neighbour_, nullptr);
  if (stream.end() == End::gave_up) return;  // The test broke the connection.
  stream.send_last("end");
  until_over(stream);
  EXPECT_EQ(stream.end(), End::complete);
  EXPECT_EQ(stream.body(), neighbour_sent_ + "end");
  const traffic::Event event = recorder.of(stream.number());
  EXPECT_EQ(event.status, 200);
  EXPECT_EQ(event.path, "/neighbour");
  EXPECT_EQ(event.route_id, "neighbour");
  EXPECT_EQ(event.outcome, traffic::Outcome::complete);
  EXPECT_EQ(event.attempts, 1);
}

}  // namespace weir::gateway::testing
