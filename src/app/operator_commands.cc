#include "app/operator_commands.h"

#include <cstdio>
#include <string>
#include <thread>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include "app/command_output.h"
#include "app/housekeeping.h"
#include "app/log.h"
#include "app/recording.h"
#include "codec/iso_time.h"
#include "codec/text.h"
#include "jobs/sqlite_history.h"
#include "kv/sqlite_kv.h"
#include "objects/directory_store.h"
#include "os/clock.h"
#include "os/files.h"
#include "pipeline/adjust_archiver.h"
#include "pipeline/archiver.h"

namespace weir::app {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kJobsLook{100};

int refuse_object(const std::string& key, const base::Error& error) {
  complain(error.code == base::ErrorCode::not_found
               ? fmt::format("{}: no such object", key)
               : fmt::format("{}: {}", key, error.what.view()));
  return 1;
}

Json find_job(const std::string& data_dir, const std::string& name) {
  const Json listed = ask(data_dir, {{"command", "jobs.list"}});
  if (!listed.is_object()) return {};
  for (const Json& job : listed["jobs"]) {
    if (job["name"] == name) return job;
  }
  return {};
}

void show_job(const Json& job, bool& shown) {
  if (::isatty(STDERR_FILENO) == 0) return;
  const Json& progress = job["progress"];
  const auto total = progress["total"].get<uint64_t>();
  if (total == 0) return;
  const auto done = progress["done"].get<uint64_t>();
  fmt::print(stderr, "\r{}: {} of {} {} ({} %)  ", job["name"].get<std::string>(), done, total,
             progress["unit"].get<std::string>(), done * 100 / total);
  std::fflush(stderr);
  shown = true;
}

// The job's state once it neither runs nor waits; null, and said: the server ended.
Json wait_until_idle(const cli::CommandLine& line) {
  bool shown = false;
  for (;;) {
    std::this_thread::sleep_for(kJobsLook);
    Json job = find_job(line.data_dir, line.job);
    const bool over = !job.is_object() || job["phase"] == "idle";
    if (!over) show_job(job, shown);
    if (over && shown) fmt::print(stderr, "\n");
    if (!job.is_object()) complain("the server ended");
    if (over) return job;
  }
}

}  // namespace

int run_jobs_list(const cli::CommandLine& line) {
  const Json answer = ask_running(line.data_dir, {{"command", "jobs.list"}});
  if (!answer.is_object()) return 1;
  Json rows = Json::array();
  for (Json job : answer["jobs"]) {
    if (!line.json) {
      const Json last = job["last"];
      job["last"] = last.is_null() ? "" : last["status"];
      job["result"] = last.is_null()                             ? ""
                      : last["error"].get<std::string>().empty() ? last["summary"]
                                                                 : last["error"];
    }
    rows.push_back(std::move(job));
  }
  print_rows(line, rows, {"name", "schedule", "phase", "next", "last", "result"});
  return 0;
}

int run_jobs_run(const cli::CommandLine& line) {
  // A run that is in progress may have begun before what the asker wants it to see: it is waited
  // for, and another one is run.
  Json asked = ask_running(line.data_dir, {{"command", "jobs.run"}, {"name", line.job}});
  while (asked.is_object() && asked.contains("error") && asked.value("busy", false)) {
    if (!wait_until_idle(line).is_object()) return 1;
    asked = ask_running(line.data_dir, {{"command", "jobs.run"}, {"name", line.job}});
  }
  if (!asked.is_object()) return 1;
  if (asked.contains("error")) {
    complain(fmt::format("{}: {}", line.job, asked["error"].get<std::string>()));
    return 1;
  }
  const Json job = wait_until_idle(line);
  if (!job.is_object()) return 1;
  const bool succeeded = job["last"]["status"] == "succeeded";
  const std::string result = job["last"][succeeded ? "summary" : "error"];
  if (!succeeded) {
    complain(fmt::format("{}: {}", line.job, result));
    return 1;
  }
  print(fmt::format("{}: {}\n", line.job, result));
  return 0;
}

int run_jobs_history(const cli::CommandLine& line) {
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  sqlite::DirectWriter never{reader.database};  // Reading needs none.
  jobs::SqliteHistory history{never, reader.database};
  const auto runs = history.list(line.job, line.limit, jobs::History::kNewest);
  if (!runs.ok()) {
    complain(fmt::format("the history cannot be read: {}", runs.error().what.view()));
    return 1;
  }
  Json rows = Json::array();
  for (const jobs::JobRun& run : runs.value()) {
    rows.push_back(
        {{"started", time_text(run.started)},
         {"job", run.job},
         {"trigger", jobs::to_string(run.trigger)},
         {"status", jobs::to_string(run.status)},
         {"seconds", run.finished
                         ? Json(std::chrono::duration<double>(*run.finished - run.started).count())
                         : Json()},
         {"result", run.error.empty() ? run.summary : run.error}});
  }
  print_rows(line, rows, {"started", "job", "trigger", "status", "seconds", "result"});
  return 0;
}

int run_objects_list(const cli::CommandLine& line) {
  os::RealFiles files;
  const os::RealClock clock;
  const auto store = open_objects(files, clock, line.data_dir);
  if (!store) return 1;
  Json rows = Json::array();
  std::string after;
  for (bool complete = false; !complete && rows.size() < line.limit;) {
    const auto listing = store->list(line.key, after, line.limit - rows.size());
    if (!listing.ok()) return refuse_object(line.key, listing.error());
    for (const objects::Listed& object : listing.value().objects) {
      rows.push_back(
          {{"key", object.key}, {"bytes", object.bytes}, {"modified", time_text(object.modified)}});
      after = object.key;
    }
    complete = listing.value().complete;
  }
  print_rows(line, rows, {"key", "bytes", "modified"});
  return 0;
}

int run_objects_get(const cli::CommandLine& line) {
  os::RealFiles files;
  const os::RealClock clock;
  const auto store = open_objects(files, clock, line.data_dir);
  if (!store) return 1;
  const auto object = store->open(line.key);
  if (!object.ok()) return refuse_object(line.key, object.error());
  const base::Status read = objects::read_object(*object.value(), [](std::string_view bytes) {
    print(bytes);
    return base::Status{};
  });
  return read.ok() ? 0 : refuse_object(line.key, read.error());
}

int run_objects_verify(const cli::CommandLine& line) {
  os::RealFiles files;
  const os::RealClock clock;
  const auto store = open_objects(files, clock, line.data_dir);
  if (!store) return 1;
  const auto info = objects::verify(*store, line.key);
  if (!info.ok()) return refuse_object(line.key, info.error());
  Json result{{"key", line.key},
              {"bytes", info.value().bytes},
              {"sha256", codec::hex_encode(codec::as_text(info.value().sha256))}};
  if (line.key.find(".adjust.") != std::string::npos) {
    const auto archive = pipeline::read_adjustments(*store, line.key, {});
    if (!archive.ok()) return refuse_object(line.key, archive.error());
    result["rows"] = archive.value().rows;
    result["requests"] = archive.value().requests;
    result["raw_sha256"] = codec::hex_encode(codec::as_text(archive.value().raw_sha256));
  } else if (line.key.ends_with(".jsonl.gz")) {
    const auto archive = pipeline::read_archive(*store, line.key, {});
    if (!archive.ok()) return refuse_object(line.key, archive.error());
    result["rows"] = archive.value().rows;
    result["raw_bytes"] = archive.value().raw_bytes;
    result["raw_sha256"] = codec::hex_encode(codec::as_text(archive.value().raw_sha256));
  }
  if (line.json) {
    print_json(result);
  } else {
    for (const auto& [name, value] : result.items()) {
      print(fmt::format("{:12}{}\n", name,
                        value.is_string() ? value.get<std::string>() : value.dump()));
    }
  }
  return 0;
}

int run_kv_list(const cli::CommandLine& line) {
  Reader reader{line.data_dir};
  if (!reader.open()) return 1;
  const os::RealClock clock;
  kv::SqliteKv kv{reader.database, clock};
  const auto listing = kv.list(line.key, {}, line.limit);
  if (!listing.ok()) {
    complain(fmt::format("the store cannot be read: {}", listing.error().what.view()));
    return 1;
  }
  Json rows = Json::array();
  for (const kv::Listed& listed : listing.value().keys) {
    rows.push_back({{"key", listed.key},
                    {"metadata", listed.metadata},
                    {"expires", listed.expires ? Json(time_text(*listed.expires)) : Json()}});
  }
  print_rows(line, rows, {"key", "metadata", "expires"});
  return 0;
}

}  // namespace weir::app
