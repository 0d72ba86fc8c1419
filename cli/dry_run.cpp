// `knit repair --dry-run`: keys, versions, who would win, and what would travel. Built on KNIT DIFF.
#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "cli/difference.h"
#include "cli/repair.h"
#include "cli/text.h"

namespace knit {
namespace {

std::string winner_text(const Json& difference) {
  const std::string winner = text_of(difference, "winner");
  const bool both_kept = text_of(difference, "kept") == "both";
  if (winner == "equal") {
    return "equal value";
  }
  if (winner == "both") {
    return "the sum of both";
  }
  const std::string side = winner == "mine" ? "here" : winner == "theirs" ? "there" : "-";
  return both_kept ? side + ", the other kept as sibling" : side;
}

std::string travelling(std::int64_t bytes) { return bytes == 0 ? "-" : bytes_text(bytes); }

std::string dots_text(const Json& difference, const char* side) {
  const Json version = difference.value(side, Json());
  return version.is_object() ? escaped(text_of(version, "dots"), 60) : "-";
}

Table forecast_table(const Json& diff) {
  Table table({"KEY", "HERE (UTC)", "THERE (UTC)", "WINNER", "SENDS", "GETS", "DOTS HERE", "DOTS THERE"});
  for (const Json& difference : list_of(diff, "differences")) {
    table.add({key_text(difference), version_text(difference.value("mine", Json())),
               version_text(difference.value("theirs", Json())), winner_text(difference),
               travelling(number_of(difference, "send_bytes")),
               travelling(number_of(difference, "receive_bytes")), dots_text(difference, "mine"),
               dots_text(difference, "theirs")});
  }
  return table;
}

void print_forecast(const Json& diff, const std::string& peer) {
  const std::int64_t found = number_of(diff, "found");
  if (found == 0) {
    fmt::print("{}: nothing to repair\n", escaped(peer));
    return;
  }
  const std::int64_t known = number_of(diff, "forecast_of");
  fmt::print("{}: {} {}; a repair would send {} ({}) and get {} ({}){}\n\n", escaped(peer),
             counted(found, "key"), found == 1 ? "differs" : "differ",
             counted(number_of(diff, "send_rows"), "row"), bytes_text(number_of(diff, "send_bytes")),
             counted(number_of(diff, "receive_rows"), "row"), bytes_text(number_of(diff, "receive_bytes")),
             known < found ? fmt::format(", for the first {} of them", count_text(known)) : "");
  fmt::print("{}", forecast_table(diff).text());
  const std::int64_t listed = number_of(diff, "listed");
  if (listed < found) {
    fmt::print("... and {} more: --limit N shows more of them\n", count_text(found - listed));
  }
  fmt::print("\n");
}

// What one peer's comparison came to.
struct Forecast {
  std::string peer;
  Result<Json> diff;
};

Json document(const Forecast& forecast) {
  return forecast.diff ? *forecast.diff
                       : Json{{"peer", forecast.peer}, {"error", forecast.diff.error().message}};
}

void print_one(const Forecast& forecast) {
  if (forecast.diff) {
    print_forecast(*forecast.diff, forecast.peer);
  } else {
    fmt::print("{}: failed: {}\n", escaped(forecast.peer), escaped(forecast.diff.error().message, 200));
  }
}

void print_total(const std::vector<Forecast>& forecasts) {
  const auto sum = [&](const char* field) {
    std::int64_t total = 0;
    for (const Forecast& forecast : forecasts) {
      total += forecast.diff ? number_of(*forecast.diff, field) : 0;
    }
    return total;
  };
  fmt::print("in total: {}, {} ({}) to send, {} ({}) to get; nothing was changed\n",
             counted(sum("found"), "difference"), counted(sum("send_rows"), "row"),
             bytes_text(sum("send_bytes")), counted(sum("receive_rows"), "row"),
             bytes_text(sum("receive_bytes")));
}

Result<std::vector<std::string>> peers_to_compare(const Arguments& arguments, Connection& connection) {
  if (!arguments.all) {
    return std::vector{arguments.peer};
  }
  const auto reply = connection.ask({"KNIT", "MEMBERS"});
  if (!reply) {
    return tl::unexpected(reply.error());
  }
  std::vector<std::string> nodes;
  for (const Json& member : list_document(*reply)) {
    if (flag_of(member, "reachable") && !flag_of(member, "self")) {
      nodes.push_back(text_of(member, "node"));
    }
  }
  return nodes;
}

Forecast ask_for_one(Connection& connection, const std::string& peer, std::uint64_t limit) {
  const auto reply =
      connection.ask({"KNIT", "DIFF", peer, "LIMIT", std::to_string(limit)}, Connection::endless_patience);
  if (!reply) {
    return {peer, tl::unexpected(reply.error())};
  }
  Json diff = map_document(*reply);
  const std::string name = text_of(diff, "peer");
  return {name.empty() ? peer : name, std::move(diff)};
}

ExitCode code(const std::vector<Forecast>& forecasts) {
  const bool failed =
      std::any_of(forecasts.begin(), forecasts.end(), [](const Forecast& f) { return !f.diff; });
  const bool differs = std::any_of(forecasts.begin(), forecasts.end(), [](const Forecast& f) {
    return f.diff && number_of(*f.diff, "found") > 0;
  });
  return failed ? ExitCode::failed : differs ? ExitCode::differs : ExitCode::fine;
}

void show(const std::vector<Forecast>& forecasts, bool json) {
  if (json) {
    Json documents = Json::array();
    for (const Forecast& forecast : forecasts) {
      documents.push_back(document(forecast));
    }
    fmt::print("{}\n", printed(std::move(documents)));
  } else {
    std::for_each(forecasts.begin(), forecasts.end(), print_one);
    print_total(forecasts);
  }
}

}  // namespace

Result<ExitCode> run_dry(const Arguments& arguments) {
  auto connection = connect(arguments);
  if (!connection) {
    return tl::unexpected(connection.error());
  }
  const auto peers = peers_to_compare(arguments, *connection);
  if (!peers) {
    return tl::unexpected(peers.error());
  }
  std::vector<Forecast> forecasts;
  for (const std::string& peer : *peers) {
    forecasts.push_back(ask_for_one(*connection, peer, arguments.limit));
    const auto& diff = forecasts.back().diff;
    const bool connection_lost = !diff && diff.error().code == ErrorCode::io;
    if (connection_lost || (!diff && !arguments.all)) {
      return tl::unexpected(diff.error());
    }
  }
  show(forecasts, arguments.json);
  return code(forecasts);
}

}  // namespace knit
