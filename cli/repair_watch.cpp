// `knit repair --watch`: how the exchanges go that run, whoever began them, and how those ended that did.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "cli/peer_state.h"
#include "cli/repair.h"
#include "cli/screen.h"
#include "cli/text.h"
#include "cli/watch.h"

namespace knit {
namespace {

int percentage(const Json& peer) { return static_cast<int>(100 * exchange_fraction(peer)); }

std::string time_text(const Json& peer) {
  const std::int64_t so_far = number_of(peer, "exchange_duration_ms");
  const std::int64_t left = number_of(peer, "exchange_ends_in_ms");
  return fmt::format("{}{}", duration_text(std::max<std::int64_t>(so_far, 0)),
                     left < 0 ? "" : ", about " + duration_text(left) + " left");
}

std::string progress_text(const Json& peer) {
  const std::int64_t rows = number_of(peer, "rows_sent") + number_of(peer, "rows_received");
  const std::int64_t bytes =
      number_of(peer, "exchange_comparison_bytes") + number_of(peer, "exchange_row_bytes");
  return fmt::format("{}, {}, {}", counted(rows, "row"), bytes_text(bytes), time_text(peer));
}

std::vector<Json> running_in(const Json& status) {
  const Json& peers = list_of(status, "peers");
  std::vector<Json> out;
  std::copy_if(peers.begin(), peers.end(), std::back_inserter(out), exchange_runs);
  return out;
}

std::string outcome_text(const Json& report) {
  const std::string error = text_of(report, "error");
  return error.empty() ? escaped(text_of(report, "outcome")) : "failed: " + escaped(error, 60);
}

std::int64_t bytes_of(const Json& report) {
  return number_of(report, "comparison_bytes") + number_of(report, "row_bytes");
}

// The newest first.
std::string history_text(const Json& status) {
  Table table({"ENDED (UTC)", "PEER", "RECEIVED", "SENT", "CHANGED", "BYTES", "TOOK", "OUTCOME"});
  const Json& reports = list_of(status, "last_exchanges");
  for (auto report = reports.rbegin(); report != reports.rend(); ++report) {
    table.add({utc_text(number_of(*report, "ended_ms")), peer_label(*report),
               count_text(number_of(*report, "rows_received")), count_text(number_of(*report, "rows_sent")),
               count_text(number_of(*report, "rows_changed")), bytes_text(bytes_of(*report)),
               duration_text(number_of(*report, "duration_ms")), outcome_text(*report)});
  }
  return table.empty() ? "no exchange has found anything since the start\n" : table.text();
}

std::string picture(const Json& status) {
  const std::vector<Json> running = running_in(status);
  std::string text =
      fmt::format("{} UTC: {}\n", now_text(),
                  running.empty() ? "no exchange runs"
                                  : counted(static_cast<std::int64_t>(running.size()), "exchange") +
                                        (running.size() == 1 ? " runs" : " run"));
  std::size_t width = 0;
  for (const Json& peer : running) {
    width = std::max(width, peer_label(peer).size());
  }
  for (const Json& peer : running) {
    text += fmt::format("{:<{}}  {} {:>3}%  {}\n", peer_label(peer), width, bar(exchange_fraction(peer)),
                        percentage(peer), progress_text(peer));
  }
  return text + "\n" + history_text(status);
}

// What was told already, so that only changes are.
class Changes {
 public:
  // A document of what changed, or empty: `running` (peers whose progress is another whole percentage),
  // `ended` (reports, the oldest first).
  std::optional<Json> next(const Json& status) {
    Json running = Json::array();
    std::map<std::string, int> percentages;
    for (const Json& peer : running_in(status)) {
      const std::string node = text_of(peer, "node");
      percentages[node] = percentage(peer);
      const auto before = percentages_.find(node);
      if (before == percentages_.end() || before->second != percentage(peer)) {
        running.push_back(peer);
      }
    }
    percentages_ = std::move(percentages);
    Json ended = new_reports(list_of(status, "last_exchanges"));
    if (running.empty() && ended.empty()) {
      return std::nullopt;
    }
    return Json{{"running", std::move(running)}, {"ended", std::move(ended)}};
  }

 private:
  // Reports have no number: those after the last one that is known. If it is gone all are new.
  Json new_reports(const Json& reports) {
    const auto known = std::find(reports.rbegin(), reports.rend(), last_report_).base();
    Json fresh = Json::array();
    std::copy(known, reports.end(), std::back_inserter(fresh));
    if (!reports.empty()) {
      last_report_ = reports.back();
    }
    return fresh;
  }

  std::map<std::string, int> percentages_;
  Json last_report_;
};

std::string lines(const Json& changes) {
  std::string text;
  for (const Json& report : list_of(changes, "ended")) {
    text += fmt::format(
        "{} {}: {}; {} received, {} sent, {} changed here, {}, {}\n", utc_text(number_of(report, "ended_ms")),
        peer_label(report), outcome_text(report), counted(number_of(report, "rows_received"), "row"),
        count_text(number_of(report, "rows_sent")), count_text(number_of(report, "rows_changed")),
        bytes_text(bytes_of(report)), duration_text(number_of(report, "duration_ms")));
  }
  for (const Json& peer : list_of(changes, "running")) {
    text +=
        fmt::format("{} {}: {}%, {}\n", now_text(), peer_label(peer), percentage(peer), progress_text(peer));
  }
  return text;
}

}  // namespace

Result<ExitCode> watch_exchanges(const Arguments& arguments) {
  catch_interrupts();
  Screen screen(!arguments.json);
  Changes changes;
  return ask_repeatedly(arguments, {"KNIT", "STATUS"}, [&](const Reply& reply) {
    const Json status = map_document(reply);
    if (screen.redraws()) {
      return screen.show(picture(status));
    }
    const auto changed = changes.next(status);
    if (!changed) {
      return true;
    }
    return write_out(arguments.json ? printed(*changed) + "\n" : lines(*changed));
  });
}

}  // namespace knit
