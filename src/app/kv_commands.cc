#include "app/kv_commands.h"

#include <cstdio>

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/control_socket.h"
#include "app/log.h"
#include "codec/text.h"
#include "config/units.h"
#include "kv/sqlite_kv.h"
#include "os/clock.h"
#include "os/directory_lock.h"

namespace weir::app {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kKvPatience{10'000};
// Of a value for a running server: a write keeps the consumer waiting.
constexpr size_t kServedValueBytesMax = 1024 * 1024;

int fail(const std::string& key, std::string_view why) {
  complain(fmt::format("{}: {}", key, why));
  return 1;
}

// Everything on standard input, up to one byte more than a value may have.
std::string read_input() {
  std::string input;
  std::array<char, 16384> piece{};
  while (input.size() <= kv::Kv::kValueBytesMax) {
    const size_t count = std::fread(piece.data(), 1, piece.size(), stdin);
    if (count == 0) break;
    input.append(piece.data(), count);
  }
  return input;
}

// Of a stopped node: nobody else may open the directory meanwhile.
int write_directly(const std::string& data_dir, const KvWrite& write) {
  const auto lock = os::DirectoryLock::acquire(data_dir);
  if (!lock.ok()) {
    return fail(data_dir, lock.error().code == base::ErrorCode::conflict
                              ? "a server uses it and does not answer"
                              : "no data directory that can be locked");
  }
  const os::RealClock clock;
  sqlite::Database database{database_path(data_dir), database_options()};
  if (!database.open().ok()) return fail(database.path(), database.message());
  const base::Status written = write_kv(database, clock, write);
  return written.ok() ? 0 : fail(write.key, written.error().what.view());
}

int write(const std::string& data_dir, const KvWrite& write, std::optional<milliseconds> ttl) {
  if (write.key.empty() || write.key.size() > kv::Kv::kKeyBytesMax) {
    return fail("key", "1 to 512 bytes are allowed");
  }
  if (write.value && write.value->size() > kv::Kv::kValueBytesMax) {
    return fail(write.key, "a value has at most 25 MiB");
  }
  Json request{{"command", "kv.write"}, {"key", codec::base64_encode(write.key)}};
  if (write.value) request["value"] = codec::base64_encode(*write.value);
  if (ttl) request["ttl_ms"] = ttl->count();
  const bool served = write.value.value_or("").size() <= kServedValueBytesMax;
  const auto answer = served ? ask_server(data_dir, request.dump(), kKvPatience)
                             : ask_server(data_dir, R"({"command":"status"})", kKvPatience);
  if (!answer.ok()) {
    return answer.error().code == base::ErrorCode::not_found
               ? write_directly(data_dir, write)
               : fail(write.key, "the server does not answer: it may have been written or not");
  }
  if (!served) return fail(write.key, "a running server takes values of at most 1 MiB");
  const Json said = Json::parse(answer.value(), nullptr, false);
  if (said.is_object() && said.contains("ok")) return 0;
  return fail(write.key, said.is_object() && said.contains("error")
                             ? said["error"].get<std::string>()
                             : "the server's answer is not understood");
}

}  // namespace

int run_kv_put(const cli::CommandLine& line) {
  std::optional<milliseconds> ttl;
  if (!line.ttl.empty()) {
    ttl = config::parse_duration(line.ttl);
    if (!ttl || ttl->count() == 0) return fail(line.ttl, "no duration, such as 90s, 15m or 1d");
  }
  KvWrite change{.key = line.key, .value = line.value == "-" ? read_input() : line.value};
  const os::RealClock clock;
  if (ttl) change.expires = clock.wall() + *ttl;
  return write(line.data_dir, change, ttl);
}

int run_kv_delete(const cli::CommandLine& line) {
  return write(line.data_dir, {.key = line.key}, {});
}

std::optional<KvWrite> parse_kv_request(std::string_view request, base::Wall now) {
  const Json parsed = Json::parse(request, nullptr, false);
  if (!parsed.is_object()) return std::nullopt;
  KvWrite write;
  const auto key = parsed.find("key");
  if (key == parsed.end() || !key->is_string()) return std::nullopt;
  auto decoded = codec::base64_decode(key->get<std::string>());
  if (!decoded.ok()) return std::nullopt;
  write.key = std::move(decoded).value();
  if (const auto value = parsed.find("value"); value != parsed.end()) {
    if (!value->is_string()) return std::nullopt;
    auto bytes = codec::base64_decode(value->get<std::string>());
    if (!bytes.ok()) return std::nullopt;
    write.value = std::move(bytes).value();
  }
  if (const auto ttl = parsed.find("ttl_ms"); ttl != parsed.end()) {
    constexpr int64_t kTtlMsMax =
        36525LL * 86'400'000;  // Beyond it no Wall can be told from wrong.
    if (!ttl->is_number_integer()) return std::nullopt;
    const auto ms = ttl->get<int64_t>();
    if (ms <= 0 || ms > kTtlMsMax) return std::nullopt;
    write.expires = now + milliseconds{ms};
  }
  return write;
}

std::string kv_answer(const base::Status& status) {
  return status.ok() ? R"({"ok":true})"
                     : fmt::format(R"({{"error":"{}"}})", status.error().what.view());
}

}  // namespace weir::app
