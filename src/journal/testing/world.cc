#include "journal/testing/world.h"

#include <charconv>

#include <gtest/gtest.h>

namespace weir::journal::testing {
namespace {

std::string path_of(uint64_t number) {
  return "/e/" + std::to_string(number);
}

uint64_t number_of(std::string_view path) {
  uint64_t number = 0;
  if (path.starts_with("/e/")) {
    std::from_chars(path.data() + 3, path.data() + path.size(), number);
  }
  return number;
}

}  // namespace

World::World(uint64_t seed, uint16_t loops) : files(seed) {
  EXPECT_TRUE(files.create_directory("data").ok());
  options.dir = "data/journal";
  options.ring_dir = "data/rings";
  options.loops = loops;
  options.ring_bytes = traffic::Ring::kDataBytesMin;
  options.segment_bytes = kSegmentBytesMin;
  options.max_bytes = 64 * kSegmentBytesMin;
  options.collector = {1024, 64 * 1024};
  options.collector_interval = std::chrono::milliseconds{100};
}

bool World::start() {
  EXPECT_FALSE(running());
  auto opened = SegmentJournal::open(options, files, clock, logger);
  if (!opened.ok()) return false;
  journal = std::move(opened).value();
  for (uint16_t loop = 0; loop < options.loops; ++loop) {
    recorders.push_back(std::make_unique<traffic::RingRecorder>(
        journal->ring(loop), journal->collector(loop), loop, traffic::RecorderOptions{}));
  }
  sequences_.assign(options.loops, {});
  released_.clear();
  return true;
}

void World::start_until_ok() {
  for (int tries = 0; tries < 100; ++tries) {
    if (start()) return;
  }
  FAIL() << "the journal cannot be opened";
}

void World::kill() {
  recorders.clear();
  journal.reset();
}

bool World::shut_down() {
  const bool closed = journal->storage().close().ok();
  note_durable();
  kill();
  return closed;
}

void World::lose_power(uint64_t seed) {
  kill();
  files.lose_power(seed);
}

uint64_t World::commit(uint16_t loop, size_t padding_bytes) {
  const uint64_t number = next_number_++;
  const std::string path = path_of(number);
  const std::string padding(padding_bytes, 'x');
  traffic::Event event;
  event.id = recorders[loop]->next_id(clock.wall());
  event.arrival_us = clock.wall().time_since_epoch().count();
  event.path = path;
  event.method = "GET";
  event.user_agent = padding;
  event.status = 200;
  const uint64_t before = journal->ring(loop).written();
  recorders[loop]->commit(event);
  recorders[loop]->answered();
  Fate& fate = events[number];
  fate.stream = {journal->epoch(), loop};
  const uint64_t after = journal->ring(loop).written();
  if (after != before) sequences_[loop][after] = number;
  return number;
}

void World::note_durable() {
  if (!running()) return;
  const JournalStatus status = journal->storage().status();
  for (size_t loop = 0; loop < status.rings.size(); ++loop) {
    auto& sequences = sequences_[loop];
    while (!sequences.empty() && sequences.begin()->first <= status.rings[loop].synced) {
      events[sequences.begin()->second].durable = true;
      sequences.erase(sequences.begin());
    }
  }
}

void World::step() {
  const base::Monotonic next = journal->storage().step();
  note_durable();
  const auto pause =
      journal->storage().status().failing ? std::chrono::milliseconds{2000} : options.sync_interval;
  clock.advance(std::max<std::chrono::microseconds>(
      pause, std::chrono::duration_cast<std::chrono::microseconds>(next - clock.monotonic())));
}

void World::settle() {
  for (int steps = 0; steps < 1000; ++steps) {
    step();
    const JournalStatus status = journal->storage().status();
    bool idle = !status.recovering && !status.failing && !status.full;
    for (const RingStatus& ring : status.rings)
      idle = idle && ring.synced == ring.written;
    if (idle) return;
  }
  FAIL() << "the journal does not settle";
}

void World::consume(size_t records_max) {
  for (const Stream stream : journal->streams()) {
    uint64_t& position = positions[stream];
    while (true) {
      const auto read = journal->read(stream, position + 1, records_max);
      if (!read.ok()) break;
      uint64_t expected = position + 1;
      uint64_t gaps = 0;
      for (const Record& record : read.value().records) {
        ASSERT_GE(record.sequence, expected);
        gaps += record.sequence - expected;
        expected = record.sequence + 1;
        const auto event = traffic::decode(record.payload);
        ASSERT_TRUE(event.ok());
        const auto found = events.find(number_of(event.value().path));
        ASSERT_NE(found, events.end()) << event.value().path;
        ASSERT_EQ(found->second.stream, stream);
        ++found->second.counted;
        found->second.durable = true;
      }
      ASSERT_GE(read.value().next, expected);
      EXPECT_EQ(read.value().lost, gaps + read.value().next - expected);
      lost += read.value().lost;
      position = read.value().next - 1;
      if (released_[stream] != position) {
        ASSERT_TRUE(journal->release(stream, position).ok());
        released_[stream] = position;
      }
      if (read.value().at_end) break;
    }
  }
  const auto sides = journal->degraded();
  if (!sides.ok()) return;
  for (const DegradedSide& side : sides.value()) {
    uint64_t& generation = generations[side.stream];
    if (side.generation > generation) {
      generation = side.generation;
      for (const DegradedRow& row : side.rows) {
        merged += row.requests;
        const auto found = events.find(number_of(row.path));
        if (found == events.end()) continue;  // `__other__`
        found->second.counted += row.requests;
        found->second.durable = true;
      }
    }
    ASSERT_TRUE(journal->release_degraded(side.stream, side.generation).ok());
  }
}

void World::consume_all() {
  // Quiet rounds in a row: both sides of every collector had their turn.
  for (int quiet = 0; quiet < 4; ++quiet) {
    const auto before = std::pair(positions, generations);
    settle();
    consume();
    if (::testing::Test::HasFatalFailure()) return;
    if (before != std::pair(positions, generations)) quiet = 0;
    clock.advance(options.collector_interval);
  }
}

void World::check(Must must) const {
  for (const auto& [number, fate] : events) {
    const bool required = must == Must::all || fate.durable;
    ASSERT_LE(fate.counted, 1U) << "event " << number << " of epoch " << fate.stream.epoch;
    if (required) {
      ASSERT_EQ(fate.counted, 1U) << "event " << number << " of epoch " << fate.stream.epoch
                                  << " loop " << fate.stream.loop;
    }
  }
}

// A life of a node with everything in it: several loops, rotation of segments, a kill, a full ring,
// a start with old rings, deletion, a shutdown.
void live(World& world) {
  const auto commit = [&world](int count, size_t padding = 0) {
    for (int i = 0; i < count; ++i)
      world.commit(static_cast<uint16_t>(i % 2), padding);
  };
  const auto dead = [&world] { return world.files.injected() && !world.running(); };
  if (!world.start()) return;
  commit(20);
  world.step();
  commit(10);
  world.consume();
  world.step();
  for (int i = 0; i < 12; ++i) {
    commit(150, 200);  // About 25 KiB a loop: the segment is full after a few rounds.
    world.step();
    if (i % 4 == 0) world.consume(100);
  }
  commit(700, 200);  // More than the ring holds.
  world.kill();
  if (dead() || !world.start()) return;
  commit(30);
  for (int i = 0; i < 12; ++i) {
    world.step();
    world.consume();
    commit(5);
  }
  if (!world.shut_down()) return;
  if (!world.start()) return;
  commit(10);
  world.step();
  world.step();
  world.consume();
}

uint64_t operations_of_a_life() {
  World world;
  live(world);
  return world.files.operations();
}

}  // namespace weir::journal::testing
