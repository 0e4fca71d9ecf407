#include "app/audit_command.h"

#include <fmt/format.h>

#include "app/command_output.h"
#include "app/log.h"
#include "os/clock.h"

namespace weir::app {
namespace {

using pipeline::Finding;
using pipeline::Verdict;

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::agrees:
      return "agrees";
    case Verdict::differs:
      return "DIFFERS";
    case Verdict::skipped:
      return "skipped";
  }
  return "";
}

Json json_of(const Finding& finding) {
  const bool compared = finding.verdict != Verdict::skipped;
  return {{"verdict", to_string(finding.verdict)},
          {"identity", finding.identity},
          {"left", compared ? Json(finding.left) : Json()},
          {"right", compared ? Json(finding.right) : Json()},
          {"note", finding.note}};
}

// What the loops counted when a response ended, against what they recorded. Each is counted by code
// of its own; what was recorded and not answered is under way, or broke off after its record.
void add_answered(const std::string& data_dir, Json& rows, bool& balanced) {
  const Json status = ask(data_dir, {{"command", "status"}});
  Json row{{"verdict", "skipped"},
           {"identity", "every answered exchange of this run is recorded or counted"},
           {"left", nullptr},
           {"right", nullptr},
           {"note", "no server runs there"}};
  if (status.is_object() && status.contains("answered")) {
    const auto answered = status["answered"].get<uint64_t>();
    const uint64_t counted = status["recorded"].get<uint64_t>() +
                             status["degraded"].get<uint64_t>() +
                             status["totals_only"].get<uint64_t>();
    row["left"] = answered;
    row["right"] = counted;
    row["verdict"] = answered <= counted ? "agrees" : "DIFFERS";
    row["note"] = answered < counted ? "the rest is under way, or broke off after its record" : "";
    balanced = balanced && answered <= counted;
  }
  rows.push_back(std::move(row));
}

}  // namespace

int run_audit(const cli::CommandLine& line) {
  flush(line.data_dir);
  Reader reader{line.data_dir};
  if (!reader.open()) return 2;
  const os::RealClock clock;
  const auto report = pipeline::audit(reader.database, clock, {});
  if (!report.ok()) {
    complain(fmt::format("the statistics cannot be read: {}", reader.database.message()));
    return 2;
  }
  Json rows = Json::array();
  for (const Finding& finding : report.value().findings)
    rows.push_back(json_of(finding));
  bool balanced = report.value().balanced();
  add_answered(line.data_dir, rows, balanced);
  if (line.json) {
    print_json({{"balanced", balanced}, {"findings", rows}});
  } else {
    print_rows(line, rows, {"verdict", "identity", "left", "right", "note"});
    print(balanced ? "\nbalanced\n" : "\nNOT BALANCED\n");
  }
  return balanced ? 0 : 1;
}

std::string summary_of(const pipeline::AuditReport& report) {
  std::string text =
      fmt::format("{} of {} sums agree", report.count(Verdict::agrees), report.findings.size());
  for (const Finding& finding : report.findings) {
    if (finding.verdict == Verdict::agrees) continue;
    text += finding.verdict == Verdict::differs
                ? fmt::format("; {}: NOT SO, {} against {}", finding.identity, finding.left,
                              finding.right)
                : fmt::format("; {}: not checked, {}", finding.identity, finding.note);
  }
  return text;
}

}  // namespace weir::app
